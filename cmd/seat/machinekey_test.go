package main

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// hangsUp is where a TPM is that does not answer.
func hangsUp(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "tpm"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return ln.Addr().String()
}

// What the computer is to the gateway is shown without a gateway, and without making a key.
func TestMachineSaysWhereItsKeyIs(t *testing.T) {
	r := newRig(t)
	r.env["SITEGATE_TPM"] = filepath.Join(r.dir, "none")
	r.expect(r.seat("machine", "--machine-name", "WS-7", "--machine-id", "id-7"), 0, "WS-7", "id-7", "none yet", "(auto)", "not used, since no TPM 2.0")
	r.expect(r.seat("doctor"), 0, "SKIP  key: none yet", "not used, since no TPM 2.0")
	r.expect(r.seat("doctor", "--machine-key", "tpm"), 1, "FAIL  key: none yet", "not used, since no TPM 2.0", "machine_key: auto")
	host, _ := os.Hostname()
	path := filepath.Join(r.dir, ".config", "sitegate", "machine-key-"+fileName(host))
	if _, err := os.Stat(path); err == nil {
		t.Error("a key was made")
	}
	r.expect(r.seat("status", "--machine-key", "tpm"), 64, "cannot be made", "no TPM 2.0")
	// What keeps the key in the TPM's place is said once, when it is made.
	said := "a file keeps this computer's key, and is of use to whoever has a copy"
	r.expect(r.seat("status"), 0, said, "no TPM 2.0")
	if again := r.seat("status"); strings.Contains(again.out+again.stderr, said) {
		t.Errorf("it is said again: %s", again.stderr)
	}
	r.expect(r.seat("doctor"), 0, "PASS  key: in a file (Ed25519)", "not used, since no TPM 2.0")
	r.expect(r.seat("doctor", "--machine-key", "file"), 0, "PASS  key: in a file (Ed25519), of use to whoever has a copy\n")
	r.expect(r.seat("machine"), 0, "in a file (Ed25519)", path, "not used, since no TPM 2.0")
	r.expect(r.seat("machine", "--json"), 0, `"kind": "file"`, `"type": "Ed25519"`, `"why": "no TPM 2.0`)
	r.expect(r.seat("status", "--machine-key", "tpm"), 64, "is asked for", path)
	// A TPM that is there and cannot be used is to be seen to.
	r.env["SITEGATE_TPM"] = hangsUp(t)
	r.expect(r.seat("doctor"), 0, "WARN  key: in a file", "the TPM could not do it", "Have IT see to the computer's TPM")
	r.expect(r.seat("doctor", "--machine-key", "file"), 0, "PASS  key: in a file")
	r.expect(r.seat("machine", "--machine-key", "usb"), 64, "auto, tpm or file")
	r.expect(r.seat("machine", "here"), 64, "no arguments")
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.expect(r.seat("machine"), 64, "cannot be used", "does not hold a key", "delete it")
	r.expect(r.seat("doctor"), 1, "FAIL  key", "does not hold a key", "delete it")
	r.env["SITEGATE_SEAT_CONFIG"] = r.file("seat.yaml", "machine_key: usb\n")
	r.expect(r.seat("machine"), 64, "seat.yaml: machine_key", "write auto, tpm or file")
	r.env["SITEGATE_SEAT_CONFIG"] = r.file("seat.yaml", "machine_key: file\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.expect(r.seat("machine"), 0, "(file)")
}
