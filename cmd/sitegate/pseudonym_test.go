package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/license"
)

func hashing(t *testing.T, v configs.Privacy) *pseudonyms {
	t.Helper()
	p, err := openPseudonyms(configs.Config{DataDir: t.TempDir(), Privacy: v})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNamesAreHashedInTheLog(t *testing.T) {
	p := hashing(t, configs.Privacy{Names: "hashed"})
	var b bytes.Buffer
	log := p.logger(slog.New(slog.NewTextHandler(&b, nil)))
	log.With("user", license.UserID("ada")).WithGroup("g").Info("refused", "machine", "WS-101", "other", "WS-202", "reason", "machine-active", slog.Group("x", "user", "ada"))
	log.Info("request", "path", "/v1/users/ada/block", "status", 200)
	log.Info("request", "path", "/v1/site/users/ada")
	log.Info("request", "path", "/console/users/ada/free")
	log.Info("request", "path", "/v1/sessions")
	got := b.String()
	for _, name := range []string{"ada", "WS-101", "WS-202"} {
		if strings.Contains(got, name) {
			t.Errorf("%s is in the log:\n%s", name, got)
		}
	}
	for _, want := range []string{"user=" + p.name("user", "ada"), "g.machine=" + p.name("machine", "WS-101"), "g.x.user=" + p.name("user", "ada"),
		"reason=machine-active", "path=/v1/users/" + p.name("user", "ada") + "/block", "path=/v1/sessions", "status=200"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in the log:\n%s", want, got)
		}
	}
	if n := p.name("user", "ada"); len(n) != 18 || !strings.HasPrefix(n, "u-") || n != p.name("user", "Ada") || n == p.name("machine", "ada") || n == p.name("user", "adb") {
		t.Errorf("ada is called %q", n)
	}
}

// Users of some countries are hashed, and who is not known, since they may be of one.
func TestNamesAreHashedByCountry(t *testing.T) {
	p := hashing(t, configs.Privacy{Names: "clear", Countries: []string{"DE"}})
	if p.name("user", "bob") == "bob" {
		t.Error("before countries are known a name is clear")
	}
	s := license.NewState()
	license.Apply(s, license.Entry{At: 1, Command: license.Mirror{Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ada", Country: "DE"}}, {User: &license.User{ID: "bob", Country: "FR"}}, {User: &license.User{ID: "nil"}}}}})
	p.lookIn(func(f func(*license.State)) { f(s) }, func(f func(*license.State)) bool { f(s); return true })
	for name, clear := range map[string]bool{"ada": false, "bob": true, "nil": false, "eve": false} {
		if got := p.name("user", name); (got == name) != clear {
			t.Errorf("%s is called %q, want it clear: %v", name, got, clear)
		}
	}
	var b bytes.Buffer
	log := p.logger(slog.New(slog.NewTextHandler(&b, nil)))
	log.Info("m1 of ada", "machine", "WS-1", "user", "ada")
	log.Info("m1 of nobody", "machine", "WS-1")
	log.Info("m1 of both", "user", "bob", "machine", "WS-1", "user", "ada")
	log.With("user", "ada").Info("m1 of ada and another", "machine", "WS-1", "user", "bob")
	if strings.Contains(b.String(), "WS-1") {
		t.Errorf("a machine is clear where who works on it is not known, or hidden:\n%s", b.String())
	}
	b.Reset()
	log.Info("m1 of bob", "machine", "WS-1", "other", "WS-1", "user", "bob")
	log.With("user", "bob").Info("m1 of bob", "machine", "WS-1", slog.Group("x", "machine", "WS-1"))
	if n := strings.Count(b.String(), "=WS-1"); n != 4 {
		t.Errorf("a machine of bob's is clear %d times, want 4:\n%s", n, b.String())
	}
	p.lookIn(func(func(*license.State)) { t.Error("who reads the state asks for it again, which can stop the node") }, nil)
	for name, clear := range map[string]bool{"ada": false, "bob": true, "nil": false, "eve": false} {
		if got := p.shown(s, "user", name); (got == name) != clear {
			t.Errorf("%s is shown as %q, want it clear: %v", name, got, clear)
		}
	}
	if got := p.name("machine", "WS-1"); got == "WS-1" {
		t.Error("a machine is clear, though it may be of somebody there")
	}
}

// Who writes a line of the log while they read the state waits for nobody, even if a
// change of it waits: that would wait for them, and the node stand still for good.
func TestALineOfTheLogWaitsForNobody(t *testing.T) {
	p := hashing(t, configs.Privacy{Names: "clear", Countries: []string{"DE"}})
	s := license.NewState()
	license.Apply(s, license.Entry{At: 1, Command: license.Mirror{Cursor: "1", Changes: []license.Change{{User: &license.User{ID: "bob", Country: "FR"}}}}})
	var lock sync.RWMutex
	view := func(f func(*license.State)) {
		lock.RLock()
		defer lock.RUnlock()
		f(s)
	}
	p.lookIn(view, func(f func(*license.State)) bool {
		if !lock.TryRLock() {
			return false
		}
		defer lock.RUnlock()
		f(s)
		return true
	})
	var b bytes.Buffer
	log := p.logger(slog.New(slog.NewTextHandler(&b, nil)))
	written, changed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(written)
		view(func(*license.State) {
			log.Info("read", "user", "bob")
			go func() {
				defer close(changed)
				lock.Lock()
				defer lock.Unlock()
			}()
			for lock.TryRLock() { // until the change waits
				lock.RUnlock()
				runtime.Gosched()
			}
			log.Info("read beside a change", "user", "bob")
		})
	}()
	select {
	case <-written:
	case <-time.After(time.Minute):
		t.Fatal("a line of the log waits for the state that its writer reads")
	}
	<-changed
	got := strings.Split(b.String(), "\n")
	if !strings.Contains(got[0], "user=bob") || strings.Contains(got[1], "user=bob") {
		t.Errorf("bob is called %q; want him clear where the state is free, and hidden where it is not", got)
	}
}

// The same key gives the same hashes on another node, and after a restart; another
// key gives others.
func TestTheKeyMakesTheHashes(t *testing.T) {
	if p := hashing(t, configs.Privacy{Names: "clear"}); p != nil || p.name("user", "ada") != "ada" {
		t.Error("names are not clear where they are to be")
	}
	c := configs.Config{DataDir: t.TempDir(), Privacy: configs.Privacy{Names: "hashed"}}
	first, err := openPseudonyms(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := openPseudonyms(c)
	if err != nil || first.name("user", "ada") != again.name("user", "ada") {
		t.Errorf("after a restart it is another name, %v", err)
	}
	key := filepath.Join(c.DataDir, "privacy.key")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	other := configs.Config{DataDir: t.TempDir(), Privacy: configs.Privacy{Names: "hashed", KeyFile: key}}
	if p, err := openPseudonyms(other); err != nil || p.name("user", "ada") != first.name("user", "ada") {
		t.Errorf("with the same key it is another name, %v", err)
	}
	if hashing(t, configs.Privacy{Names: "hashed"}).name("user", "ada") == first.name("user", "ada") {
		t.Error("another key gives the same name")
	}
	weak := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(weak, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other.Privacy.KeyFile = weak
	if _, err := openPseudonyms(other); err == nil || !strings.Contains(err.Error(), "guessed") {
		t.Errorf("with a weak key: %v", err)
	}
}

// With several nodes and a key of each, what one log says cannot be found in another.
func TestCheckTellsThatEachNodeHasAKeyOfItsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if status, _, stderr := sitegate(t, nil, initLine(t, dir)...); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", minPrivacyKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	made, cluster, alone := filepath.Join(dir, "gw1", "sitegate.yaml"), filepath.Join(dir, "gw1", "own.yaml"), writeSingle(t)
	text, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "privacy:\n  key_file: privacy.key\n", "", 1)
	if err := os.WriteFile(cluster, []byte(without), 0o600); err != nil || without == string(text) {
		t.Fatalf("a configuration without a key of pseudonyms: %v\n%s", err, text)
	}
	for name, test := range map[string]struct {
		config string
		env    []string
		told   bool
	}{
		"as the tool makes it":  {made, nil, false},
		"by default":            {cluster, nil, true},
		"in the clear":          {cluster, []string{"SITEGATE_PRIVACY_COUNTRIES=[]"}, false},
		"hashed":                {cluster, []string{"SITEGATE_PRIVACY_NAMES=hashed"}, true},
		"hashed in a country":   {cluster, []string{"SITEGATE_PRIVACY_COUNTRIES=DE"}, true},
		"hashed, the same key":  {cluster, []string{"SITEGATE_PRIVACY_NAMES=hashed", "SITEGATE_PRIVACY_KEY_FILE=" + key}, false},
		"hashed by a lone node": {alone, []string{"SITEGATE_PRIVACY_NAMES=hashed"}, false},
	} {
		status, stdout, stderr := sitegate(t, test.env, "check", "--config", test.config)
		if told := strings.Contains(stdout, "privacy.key_file names the same key on all"); status != 0 || told != test.told {
			t.Errorf("%s: status %d, told of it %t, want %t\n%s%s", name, status, told, test.told, stdout, stderr)
		}
	}
}
