package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sitegate/client"
)

func TestAComputerHasOneKeyAndAnotherForEachHost(t *testing.T) {
	dir := t.TempDir()
	s := &seat{stderr: os.Stderr}
	o := &options{dir: dir, tokenFile: filepath.Join(dir, "token.json")}
	first, again, from := client.Config{}, client.Config{}, client.Config{}
	for _, cfg := range []*client.Config{&first, &again} {
		cfg.Machine.ID = "m-1"
		if err := s.withKey(cfg, o); err != nil {
			t.Fatal(err)
		}
	}
	if first.Key == nil || first.Host != "" || first.Bound != nil {
		t.Fatalf("got key %v on host %q, bound %v", first.Key != nil, first.Host, first.Bound)
	}
	if a, b := public(t, first), public(t, again); a != b {
		t.Error("two seats of one computer have two keys")
	}
	// What the gateway has told is there for the next seat, of this machine only.
	want := client.Bound{User: "u-1", Cluster: "c-1", Until: time.Now().Add(time.Hour).UTC().Truncate(time.Second)}
	first.OnBound(want)
	if err := s.withKey(&again, o); err != nil || again.Bound == nil || *again.Bound != want {
		t.Errorf("the next seat knows %v (%v), want %v", again.Bound, err, want)
	}
	info, err := os.Stat(boundFile(o.tokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("what is kept: %v (%v), want mode 0600", info, err)
	}
	other := client.Config{}
	other.Machine.ID = "m-2"
	if err := s.withKey(&other, o); err != nil || other.Bound != nil {
		t.Errorf("another machine knows %v (%v)", other.Bound, err)
	}
	// On a server for many users the machine is where the user comes from, and the key the server's.
	o.origin = func() (string, bool) { return "WS-101", true }
	from.Machine.ID = "m-1"
	if err := s.withKey(&from, o); err != nil {
		t.Fatal(err)
	}
	if host, _ := os.Hostname(); from.Host != host || from.Bound != nil {
		t.Errorf("on host %q, bound %v; want %q and nothing", from.Host, from.Bound, host)
	}
	if err := forgetBound(o.tokenFile); err != nil {
		t.Fatal(err)
	}
	if err := forgetBound(o.tokenFile); err != nil {
		t.Errorf("forgetting it twice: %v", err)
	}
}

func public(t *testing.T, cfg client.Config) string {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(cfg.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAKeyThatOthersCanReadIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	s := &seat{stderr: os.Stderr}
	o := &options{dir: dir, tokenFile: filepath.Join(dir, "token.json")}
	if err := s.withKey(&client.Config{}, o); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	if err := os.Chmod(filepath.Join(dir, "machine-key-"+fileName(host)), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := client.Config{}
	if err := s.withKey(&cfg, o); err == nil || cfg.Key != nil {
		t.Errorf("a key that others can read is used (%v)", err)
	}
	// Where nothing can be kept, seat goes on without.
	o.dir = filepath.Join(dir, "token.json", "nowhere")
	if err := os.WriteFile(filepath.Join(dir, "token.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.withKey(&cfg, o); err != nil || cfg.Key != nil {
		t.Errorf("without a place to keep a key: %v", err)
	}
}
