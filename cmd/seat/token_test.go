package main

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

func TestTokenFileMustBePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not what protects files there")
	}
	r := newRig(t)
	if err := os.Chmod(r.env["SITEGATE_TOKEN_FILE"], 0o640); err != nil {
		t.Fatal(err)
	}
	r.expect(r.seat("status"), 64, "chmod 600")
	r.env["SITEGATE_TOKEN_FILE"] = filepath.Join(r.dir, "none")
	r.expect(r.seat("status"), 77, "seat login")
	for _, text := range []string{"", "two words", "{not json", "{}", "a\nb"} {
		r.env["SITEGATE_TOKEN_FILE"] = r.file("odd", text)
		r.expect(r.seat("status"), 64)
	}
}

func TestTokenFileIsReadAnewWhenItChanges(t *testing.T) {
	r := newRig(t)
	f := &tokenFile{path: r.file("t", "one")}
	if got, err := f.Token(t.Context()); got != "one" || err != nil {
		t.Fatalf("Token = %q, %v; want one", got, err)
	}
	path := r.file("new", "another")
	if err := os.Rename(path, f.path); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Token(t.Context()); got != "another" || err != nil {
		t.Errorf("Token = %q, %v; want another", got, err)
	}
}

// issuer is a sign-in behind a CONNECT proxy, and the flags that lead there.
func issuer(t *testing.T, r *rig) (e *emulator.Emulator, flags []string) {
	t.Helper()
	e = &emulator.Emulator{Issuer: "https://ims.cloud.example"}
	e.Seed(3)
	srv, err := emulator.Serve(listen(t), e, "ims.cloud.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	p := proxy.Start(listen(t), proxy.Config{Hosts: map[string]string{"ims.cloud.example:443": srv.Addr()}})
	t.Cleanup(func() { p.Close() })
	door := url.URL{Scheme: "http", Host: p.Addr()}
	u, ok := e.User(emulator.UserA)
	if !ok {
		t.Fatal("no user")
	}
	return e, []string{"login", "--issuer", e.Issuer, "--email", u.Email, "--proxy", door.String(),
		"--issuer-ca", r.file("issuer.pem", string(srv.CAPEM)), "--token-file", filepath.Join(r.dir, "kept", "token.json"), "--keyring", "off"}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestLoginKeepsATokenThatIsRenewedOnce(t *testing.T) {
	r := newRig(t)
	e, flags := issuer(t, r)
	secret := emulator.Password(emulator.UserA)
	got := r.seat(append(flags, "--password-file", r.file("pw", secret+"\n"))...)
	r.expect(got, 0, "Signed in as")
	path := filepath.Join(r.dir, "kept", "token.json")
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("token file %v, %v; want mode 0600", info, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b)+got.out+got.stderr, secret) {
		t.Error("the password was written somewhere")
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		t.Fatal(err)
	}
	if tok, err := (&tokenFile{path: path}).Token(t.Context()); err != nil || tok != k.Access {
		t.Errorf("Token is not the one kept (%v)", err)
	}

	k.Expires = time.Now().Add(-time.Minute)
	if err := k.save(path, nil); err != nil {
		t.Fatal(err)
	}
	asked := e.Requests("/connect/token")
	var wg sync.WaitGroup
	var tokens [4]string
	for i := range tokens { // as many programs, each with its own
		wg.Go(func() {
			var err error
			if tokens[i], err = (&tokenFile{path: path}).Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := e.Requests("/connect/token") - asked; n != 1 {
		t.Errorf("renewed %d times, want once", n)
	}
	for _, tok := range tokens {
		if tok == k.Access || tok != tokens[0] || tok == "" {
			t.Error("the programs do not all have the renewed token")
		}
	}
}

func TestLoginRefused(t *testing.T) {
	r := newRig(t)
	_, flags := issuer(t, r)
	r.expect(r.seat(append(flags, "--password-file", r.file("pw", "wrong"))...), 77, "password is wrong")
	r.expect(r.seat(flags...), 64, "--password-file go together")
	if _, err := os.Stat(filepath.Join(r.dir, "kept", "token.json")); err == nil {
		t.Error("a token file was written")
	}
	if runtime.GOOS != "windows" {
		open := r.file("open", "pw")
		os.Chmod(open, 0o644)
		r.expect(r.seat(append(flags, "--password-file", open)...), 64, "chmod 600")
	}
}

// Others see command lines: a password has no place in an address there.
func TestLoginTakesNoCredentialsInAddresses(t *testing.T) {
	r := newRig(t)
	pw := r.file("pw", "made-up\n")
	for flag, args := range map[string][]string{
		"proxy":  {"--issuer", "https://ims.example", "--proxy", "http://ann:hush@127.0.0.1:1"},
		"issuer": {"--issuer", "https://ann:hush@127.0.0.1:1"},
	} {
		got := r.seat(append([]string{"login", "--email", "ann@site.example", "--password-file", pw, "--token-file", filepath.Join(r.dir, "t.json")}, args...)...)
		if got.status == 0 || !strings.Contains(got.stderr, "take them out") || strings.Contains(got.stderr, "hush") {
			t.Errorf("%s: got status %d, stderr %q; want it refused without repeating it", flag, got.status, got.stderr)
		}
	}
}
