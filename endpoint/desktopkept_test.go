package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func openKept(t *testing.T, dir string) *keptPolicies {
	t.Helper()
	k, err := openKeptPolicies(dir, func() bool { return false }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func policyFor(user, machine string, products ...string) askedFor {
	a := askedFor{user: license.UserID(user), machine: machine}
	for _, p := range products {
		a.products = append(a.products, wanted{product: license.ProductID(p), version: "10.0.0.1"})
	}
	return a
}

// written writes everything that waits.
func (k *keptPolicies) written() {
	for k.writeNext() {
	}
}

func wantKept(t *testing.T, k *keptPolicies, of askedFor, want string) {
	t.Helper()
	if got := k.find(of); string(got) != want {
		t.Errorf("for %s on %s: got %q, want %q", of.user, of.machine, got, want)
	}
}

func TestAPolicyIsKeptForWhomItIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	end := time.Now().Add(time.Hour)
	k := openKept(t, dir)
	k.keep(policyFor("ada", "WS-1", "3201", "3202"), []byte("one"), end)
	check := func(k *keptPolicies) {
		t.Helper()
		wantKept(t, k, policyFor("ada", "ws-1", "3202", "3201"), "one")
		wantKept(t, k, policyFor("ben", "WS-1", "3201", "3202"), "")
		wantKept(t, k, policyFor("ada", "WS-2", "3201", "3202"), "")
		wantKept(t, k, policyFor("ada", "WS-1", "3201"), "")
	}
	check(k)
	k.written()
	check(k)
	check(openKept(t, dir)) // after a restart

	other := policyFor("ada", "WS-1", "3201")
	k.keep(other, []byte("first"), end)
	k.written()
	k.keep(other, []byte("second"), end.Add(time.Minute))
	wantKept(t, k, other, "second")
	k.written()
	k.keep(other, []byte("no more, no less"), end.Add(time.Minute))
	k.written()
	wantKept(t, k, other, "no more, no less")
	wantKept(t, openKept(t, dir), other, "no more, no less")
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("there are %d files, want one for each that is kept: 2", len(files))
	}
	for _, f := range []string{dir, k.path(other.key(), end.Add(time.Minute).Unix())} {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v, %v", f, info.Mode(), err)
		}
	}
	k.drop(other)
	wantKept(t, k, other, "")
	wantKept(t, openKept(t, dir), other, "")
	k.keep(other, []byte("third"), end)
	k.drop(other)
	k.written()
	wantKept(t, openKept(t, dir), other, "")
}

func TestWhatIsThereIsNotWrittenAgain(t *testing.T) {
	k := openKept(t, t.TempDir())
	ada, end := policyFor("ada", "WS-1", "3201"), time.Now().Add(time.Hour)
	k.keep(ada, []byte("one"), end)
	k.written()
	for _, tc := range []struct {
		answer string
		end    time.Time
		waits  int
	}{{"one", end, 0}, {"two", end, 1}, {"two", end.Add(time.Minute), 1}, {"two", end.Add(time.Minute), 0}} {
		k.keep(ada, []byte(tc.answer), tc.end)
		if got := len(k.waits); got != tc.waits {
			t.Errorf("%s until %s: %d wait to be written, want %d", tc.answer, tc.end, got, tc.waits)
		}
		k.written()
		wantKept(t, k, ada, tc.answer)
	}
	k.keep(ada, []byte("three"), end)
	k.keep(ada, []byte("two"), end.Add(time.Minute)) // which is there, but no more the last to come
	k.written()
	wantKept(t, k, ada, "two")
	k.drop(ada)
	k.keep(ada, []byte("two"), end.Add(time.Minute))
	k.written()
	wantKept(t, k, ada, "two")
}

func TestWhatIsKeptOfAUserCanBeForgotten(t *testing.T) {
	dir := t.TempDir()
	end := time.Now().Add(time.Hour)
	k := openKept(t, dir)
	for i, user := range []string{"ada", "ben"} {
		for j, machine := range []string{"WS-1", "WS-2"} {
			k.keep(policyFor(user, machine, "3201"), []byte("on disk"), end)
			k.keep(policyFor(user, machine, "3202"), []byte("on disk"), end)
			if i+j > 0 {
				k.written()
			}
		}
	}
	k.keep(policyFor("ada", "WS-1", "3203"), []byte("waits"), end)
	k.dropAll("ada", "ws-1")
	wantKept(t, k, policyFor("ada", "WS-1", "3201"), "")
	wantKept(t, k, policyFor("ada", "WS-1", "3203"), "")
	wantKept(t, k, policyFor("ada", "WS-2", "3201"), "on disk")
	k.dropAll("ada", "")
	k.written()
	again := openKept(t, dir)
	wantKept(t, again, policyFor("ada", "WS-2", "3202"), "")
	wantKept(t, again, policyFor("ben", "WS-1", "3201"), "on disk")
	wantKept(t, again, policyFor("ben", "WS-2", "3202"), "on disk")
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	dir := t.TempDir()
	k := openKept(t, dir)
	now := time.Now()
	for i := range maxKeptOfUser + 10 {
		k.keep(policyFor("ada", fmt.Sprint("WS-", i), "3201"), []byte("x"), now.Add(time.Duration(i)*time.Minute))
	}
	k.written()
	wantKept(t, k, policyFor("ada", "WS-9", "3201"), "") // those that end first are gone
	wantKept(t, k, policyFor("ada", "WS-10", "3201"), "x")
	if len(k.files) != maxKeptOfUser {
		t.Errorf("got %d of one user, want %d", len(k.files), maxKeptOfUser)
	}

	k.most, k.room = 100, 1000
	for i := range 100 {
		k.keep(policyFor(fmt.Sprint("user-", i), "WS-1", "3201"), bytes.Repeat([]byte("y"), 20), now.Add(24*time.Hour))
		k.written()
		files, _ := os.ReadDir(dir)
		if len(k.files) > k.most || k.size > k.room || len(files) != len(k.files) {
			t.Fatalf("got %d policies (%d files) of %d bytes, want %d of %d at most", len(k.files), len(files), k.size, k.most, k.room)
		}
	}
	if size := openKept(t, dir).size; size != k.size || size < 800 {
		t.Errorf("after a restart there are %d bytes, before %d; want the same, and no more gone than needed", size, k.size)
	}

	for i := range maxKeptWaits + 5 {
		k.keep(policyFor(fmt.Sprint("crowd-", i), "WS-1", "3201"), []byte("z"), now.Add(time.Hour))
	}
	if len(k.waits) != maxKeptWaits {
		t.Errorf("%d wait to be written, want %d at most", len(k.waits), maxKeptWaits)
	}
}

func TestWhatIsDamagedOrHalfWrittenIsNotKept(t *testing.T) {
	dir := t.TempDir()
	k := openKept(t, dir)
	of, end := policyFor("ada", "WS-1", "3201"), time.Now().Add(time.Hour)
	k.keep(of, []byte("whole"), end)
	k.written()
	for name, content := range map[string]string{keptTemporary: "half", "notes.txt": "", of.key() + ".soon": "",
		of.key() + "." + fmt.Sprint(end.Add(-time.Hour).Unix()): "the one before"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := openKept(t, dir)
	wantKept(t, again, of, "whole")
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("there are %d files, want 1", len(files))
	}
	if err := os.Remove(again.path(of.key(), end.Unix())); err != nil {
		t.Fatal(err)
	}
	wantKept(t, again, of, "")
}

func TestAFullDiskKeepsNoPolicy(t *testing.T) {
	dir := t.TempDir()
	k := openKept(t, dir)
	of, end := policyFor("ada", "WS-1", "3201"), time.Now().Add(time.Hour)
	k.keep(of, []byte("before"), end)
	k.written()
	low := true
	k.low = func() bool { return low }
	k.keep(of, []byte("last"), end.Add(time.Minute))
	k.written()
	wantKept(t, k, of, "") // "before" is not the last
	low = false
	k.keep(of, []byte("with room"), end)
	k.written()
	wantKept(t, openKept(t, dir), of, "with room")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	k.keep(of, []byte("nowhere"), end)
	k.written()
	wantKept(t, k, of, "")
}

func TestWhatHasExpiredIsRemovedAndWhatWaitsIsWrittenAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := openKept(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { k.run(ctx); close(done) }()
		k.keep(policyFor("ada", "WS-1", "3201"), []byte("an hour"), time.Now().Add(time.Hour))
		k.keep(policyFor("ada", "WS-1", "3202"), []byte("a week"), time.Now().Add(7*24*time.Hour))
		time.Sleep(2 * keptWrites)
		synctest.Wait()
		wantKept(t, openKept(t, dir), policyFor("ada", "WS-1", "3201"), "an hour")
		time.Sleep(2*keptSweep + time.Minute)
		synctest.Wait()
		wantKept(t, openKept(t, dir), policyFor("ada", "WS-1", "3201"), "")
		k.keep(policyFor("ada", "WS-2", "3201"), []byte("at the end"), time.Now().Add(time.Hour))
		cancel()
		<-done
		again := openKept(t, dir)
		wantKept(t, again, policyFor("ada", "WS-1", "3202"), "a week")
		wantKept(t, again, policyFor("ada", "WS-2", "3201"), "at the end")
	})
}

func TestTheVendorsCertificateIsKept(t *testing.T) {
	dir := t.TempDir()
	k := openKept(t, dir)
	for _, c := range []string{`"first"`, `"first"`, `"second"`} {
		if err := k.keepCertificate([]byte(c)); err != nil {
			t.Fatal(err)
		}
	}
	if got := openKept(t, dir).certificate(); string(got) != `"second"` {
		t.Errorf("after a restart: got %s, want the last", got)
	}
	if name := strings.Split(policyFor("ada", "WS-1", "3201").key(), "-"); len(name) != 3 {
		t.Errorf("a key has %d parts, want 3", len(name))
	}
}

// A disk that does not take the certificate is tried again.
func TestACertificateThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "policies")
	k := openKept(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := k.keepCertificate([]byte("cert")); err == nil {
		t.Fatal("got no error from a folder that is not there")
	}
	k.saveAgain()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k.saveAgain()
	if got := openKept(t, dir).certificate(); string(got) != "cert" {
		t.Errorf("after a restart: got %q, want the certificate", got)
	}
}
