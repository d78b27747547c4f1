package endpoint

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/emulator"
)

// A policy that the vendor signed before it changed its certificate is served again while its
// own time lasts, after a restart, too.
func TestPoliciesOutliveTheCertificateThatSignedThem(t *testing.T) {
	t.Parallel()
	s := newKeptRig(t)
	s.granted(false, "ada", "WS-1", "2001")
	s.cloud.RotatePolicyKey()
	if cert := s.certificate(); cert.StatusCode != 200 {
		t.Fatalf("the certificate: %d", cert.StatusCode)
	}
	s.granted(false, "ben", "WS-2", "2001")
	s.again()
	s.link.cut.Store(true)
	s.granted(true, "ben", "WS-2", "2001")
	s.granted(true, "ada", "WS-1", "2001")
}

// signersAnswer is what the vendor would answer with a new certificate.
func signersAnswer(t *testing.T) []byte {
	t.Helper()
	answer, err := json.Marshal(base64.StdEncoding.EncodeToString(new(emulator.Emulator).PolicyCertificate().Raw))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestTheCertificatesBeforeAreKeptAndBounded(t *testing.T) {
	dir := t.TempDir()
	k := openKept(t, dir)
	wantOlder := func(when string, k *keptPolicies, want ...[]byte) {
		t.Helper()
		got := k.olderCertificates()
		for i, s := range got {
			if i < len(want) && string(s.answer) != string(want[i]) {
				t.Errorf("%s: certificate %d is another one", when, i)
			}
		}
		files, err := filepath.Glob(filepath.Join(dir, keptOlder+"*"))
		if err != nil || len(got) != len(want) || len(files) != len(want) {
			t.Errorf("%s: %d are kept in %d files (%v), want %d", when, len(got), len(files), err, len(want))
		}
	}
	keep := func(answer []byte) {
		t.Helper()
		if err := k.keepCertificate(answer); err != nil {
			t.Fatal(err)
		}
	}
	var all [][]byte
	for range maxOlder + 3 {
		all = append(all, signersAnswer(t))
	}
	keep([]byte(`"nothing that can be read"`))
	keep(all[0])
	wantOlder("one that was no certificate", k)
	for _, a := range all[1:] {
		keep(a)
	}
	n := len(all) - 1
	wantOlder("many", k, all[n-1], all[n-2], all[n-3])
	k = openKept(t, dir)
	wantOlder("after a restart", k, all[n-1], all[n-2], all[n-3])
	keep(all[n-2]) // the vendor is back at an older one
	wantOlder("back at an older one", k, all[n], all[n-1], all[n-3])
	if got := openKept(t, dir).certificate(); string(got) != string(all[n-2]) {
		t.Error("the newest after a restart is another one")
	}
	if err := os.WriteFile(filepath.Join(dir, keptOlder+"x"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir)
	keep(all[n])
	wantOlder("one is damaged", k, all[n-2], all[n-1], all[n-3])
}

// A certificate that the vendor names no more is believed no longer for a restart.
func TestAnOlderCertificateIsBelievedNoLongerForARestart(t *testing.T) {
	older, newest := signersAnswer(t), signersAnswer(t)
	synctest.Test(t, func(t *testing.T) {
		named := time.Now()
		s := newSigners(nil, "", nil)
		s.seed(newest, []keptSigner{{older, named}})
		time.Sleep(signerLife - time.Hour)
		s.seed(newest, []keptSigner{{older, named}})
		if len(s.known) != 2 || time.Since(s.known[1].seen) != signerLife-time.Hour || time.Since(s.known[0].seen) != signerFresh {
			t.Errorf("got %+v, want the newest to be read again, and the older one named when it was", s.known)
		}
	})
	s := newSigners(nil, "", nil)
	if s.seed([]byte("damaged"), nil); len(s.known) != 0 {
		t.Error("there is something to be had from a damaged answer")
	}
}

// A certificate that the vendor has not named for a while is not believed for longer because
// that is noticed late.
func TestAnOlderCertificateWasNamedWhenTheVendorNamedIt(t *testing.T) {
	older, newest, dir := signersAnswer(t), signersAnswer(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := openKept(t, dir)
		if err := k.keepCertificate(older); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := k.keepCertificate(older); err != nil {
			t.Fatal(err)
		}
		named := time.Now()
		time.Sleep(signerLife - time.Hour)
		if err := k.keepCertificate(newest); err != nil {
			t.Fatal(err)
		}
		if got := k.olderCertificates(); len(got) != 1 || !got[0].named.Equal(named) {
			t.Errorf("older ones: %+v, want one that was named at %v", got, named)
		}
	})
}

// The newest was named when the vendor did so last, give or take an hour: it is not believed
// for longer for a restart before another one takes its place, nor for less.
func TestTheNewestCertificateWasNamedWhenTheVendorNamedIt(t *testing.T) {
	newest, dir := signersAnswer(t), t.TempDir()
	k := openKept(t, dir)
	if err := k.keepCertificate(newest); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-signerLife / 2)
	if err := os.Chtimes(filepath.Join(dir, keptCertificate), before, before); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir)
	if !k.named.Equal(before) {
		t.Errorf("named at %v, want %v", k.named, before)
	}
	if err := k.keepCertificate(newest); err != nil {
		t.Fatal(err)
	}
	if k = openKept(t, dir); time.Since(k.named) > keptTouch {
		t.Errorf("named at %v, want just now", k.named)
	}
}

// An older certificate whose file cannot be read, or is damaged, keeps no node from starting.
func TestADamagedOlderCertificateGoes(t *testing.T) {
	older, newest, dir := signersAnswer(t), signersAnswer(t), t.TempDir()
	k := openKept(t, dir)
	for _, answer := range [][]byte{older, newest} {
		if err := k.keepCertificate(answer); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, k.olderCertificates()[0].name())
	if err := os.WriteFile(path, older[:len(older)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir)
	if _, err := os.Stat(path); len(k.olderCertificates()) != 0 || !os.IsNotExist(err) {
		t.Errorf("older ones: %d, its file: %v; want neither", len(k.olderCertificates()), err)
	}
}
