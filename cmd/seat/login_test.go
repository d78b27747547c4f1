package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sitegate/client/signin"
	"sitegate/emulator"
)

// inBrowser opens the page that seat has printed, with the code, through the same
// proxy, and answers.
func inBrowser(t *testing.T, said string, flags []string, e *emulator.Emulator, do string) {
	t.Helper()
	code := regexp.MustCompile(`(?m)^    ([A-Z]{4}-[A-Z]{4})$`).FindStringSubmatch(said)
	if code == nil || !strings.Contains(said, "https://ims.cloud.example/device?user_code="+code[1]) {
		t.Fatalf("no code, or no page with it, in:\n%s", said)
	}
	value := func(flag string) string {
		for i, f := range flags {
			if f == flag {
				return flags[i+1]
			}
		}
		t.Fatalf("no %s", flag)
		return ""
	}
	pem, err := os.ReadFile(value("--issuer-ca"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	door, err := url.Parse(value("--proxy"))
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(door), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer c.CloseIdleConnections()
	u, _ := e.User(emulator.UserA)
	resp, err := c.PostForm("https://ims.cloud.example/device", url.Values{"user_code": {code[1]}, "email": {u.Email}, "password": {emulator.Password(u.ID)}, "do": {do}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the browser got %d, want 200", resp.StatusCode)
	}
}

// device is a login by browser: the flags of a login with a password, without it.
func device(flags []string) []string {
	var out []string
	for i := 0; i < len(flags); i++ {
		switch flags[i] {
		case "--email", "--keyring":
			i++
		default:
			out = append(out, flags[i])
		}
	}
	return out
}

func TestLoginWithABrowserSealsTheToken(t *testing.T) {
	r := newRig(t)
	e, flags := issuer(t, r)
	e.DeviceInterval = time.Second
	u, _ := e.User(emulator.UserA)
	b := r.background(device(flags)...)
	b.await("Waiting")
	inBrowser(t, b.text.String(), flags, e, "allow")
	b.await("Signed in as " + u.Email)
	b.await("sealed with a key in the system's keyring")
	b.end(0)

	path := filepath.Join(r.dir, "kept", "token.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &tokenFile{path: path, keys: r.keys}
	token, err := f.Token(t.Context())
	if err != nil || token == "" || strings.Contains(string(raw), token) || strings.Contains(string(raw), "refresh") {
		t.Fatalf("Token: %v; the file:\n%s\nwant a token that is not in it", err, raw)
	}

	// Renewed, it is sealed with the same key.
	k := f.kept
	k.Expires = time.Now().Add(-time.Minute)
	if err := k.save(path, f.key); err != nil {
		t.Fatal(err)
	}
	renewed, err := (&tokenFile{path: path, keys: r.keys}).Token(t.Context())
	if err != nil || renewed == token {
		t.Fatalf("the renewed one: %v, want another", err)
	}
	if again, err := f.Token(t.Context()); err != nil || again != renewed {
		t.Errorf("the program that runs has not read what another renewed (%v)", err)
	}

	r.env["SITEGATE_TOKEN_FILE"] = path
	r.keys.locked = true
	r.expect(r.seat("status"), 64, "unlock the keyring", "--keyring off")
	r.keys.locked = false
	r.keys.all = map[string]string{}
	r.expect(r.seat("status"), 64, "is not in the keyring: sign in again")
	if err := r.keys.Set(t.Context(), f.keyName(), strings.Repeat("A", 43)+"="); err != nil {
		t.Fatal(err)
	}
	r.expect(r.seat("status"), 64, "does not open")
}

func TestLoginDeniedInTheBrowser(t *testing.T) {
	r := newRig(t)
	e, flags := issuer(t, r)
	e.DeviceInterval = time.Second
	b := r.background(device(flags)...)
	b.await("Waiting")
	inBrowser(t, b.text.String(), flags, e, "deny")
	b.await("denied in the browser")
	b.end(77)
}

func TestLoginInterrupted(t *testing.T) {
	r := newRig(t)
	_, flags := issuer(t, r)
	b := r.background(device(flags)...)
	b.await("Waiting")
	b.cancel()
	b.end(130)
}

func TestLoginWithoutAKeyring(t *testing.T) {
	r := newRig(t)
	_, flags := issuer(t, r)
	r.keys.locked = true
	password := []string{"--password-file", r.file("pw", emulator.Password(emulator.UserA))}
	r.expect(r.seat(append(append(flags, password...), "--keyring", "on")...), 1, "--keyring off")
	r.expect(r.seat(append(append(flags, password...), "--keyring", "auto")...), 0, "which only you can read (not sealed: there is no keyring)")
}

// TestLoginAnewKeepsTheKey: where the new token file cannot be written, the old one must
// still open.
func TestLoginAnewKeepsTheKey(t *testing.T) {
	r := newRig(t)
	_, flags := issuer(t, r)
	path := filepath.Join(r.dir, "kept", "token.json")
	again := append(append(flags, "--password-file", r.file("pw", emulator.Password(emulator.UserA))), "--keyring", "on")
	r.expect(r.seat(again...), 0, "sealed")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r.expect(r.seat(again...), 0, "sealed")
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&tokenFile{path: path, keys: r.keys}).Token(t.Context()); err != nil {
		t.Errorf("the file from before: %v, want it opened", err)
	}
}

// What IT has put into the settings need not be typed.
func TestLoginBySettings(t *testing.T) {
	r := newRig(t)
	_, flags := issuer(t, r)
	text := "sign_in:\n"
	for i, f := range flags {
		if key, ok := map[string]string{"--issuer": "issuer", "--proxy": "proxy", "--issuer-ca": "ca"}[f]; ok {
			text += "  " + key + ": " + flags[i+1] + "\n"
		}
	}
	r.etc(text)
	b := r.background("login")
	b.await("https://ims.cloud.example/device")
	b.cancel()
	b.end(130)
}

func TestLogoutEndsWhatRunsHere(t *testing.T) {
	r := newRig(t)
	e, flags := issuer(t, r)
	here := []string{"--machine-name", "WS-101", "--machine-id", "id-of-WS-101"}
	r.expect(r.seat(append(append(flags, "--password-file", r.file("pw", emulator.Password(emulator.UserA))), "--keyring", "auto")...), 0)
	path := filepath.Join(r.dir, "kept", "token.json")
	f := &tokenFile{path: path, keys: r.keys}
	token, err := f.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.g.Users[token] = ann
	r.env["SITEGATE_TOKEN_FILE"] = path
	b := r.background(runArgs(here, sh(`trap 'echo saved; exit 5' TERM; echo running; while :; do sleep 0.05; done`))...)
	b.await("running")
	r.listens()

	r.expect(r.seat(append([]string{"logout"}, here...)...), 0, "Signed out; what you ran on this machine has ended.")
	b.await("saved")
	b.end(5)
	if _, err := os.Stat(path); err == nil || len(r.keys.all) != 0 {
		t.Errorf("left: the file (%v), the keys %v; want neither", err, r.keys.all)
	}
	if n := e.Requests("/connect/revocation"); n != 1 {
		t.Errorf("the issuer was asked %d times to take the sign-in back, want once", n)
	}
	r.expect(r.seat("logout"), 0, "Nobody is signed in")
}

func TestLogoutWithoutAGateway(t *testing.T) {
	r := newRig(t)
	r.srv.Close()
	r.expect(r.seat("logout", "--timeout", "200ms"), 69, "still signed in", "--anyway")
	r.expect(r.seat("logout", "--timeout", "200ms", "--anyway"), 0, "ends with its lease")
	if _, err := os.Stat(r.env["SITEGATE_TOKEN_FILE"]); err == nil {
		t.Error("the token file is still there")
	}
}

// signedIn signs in, and leaves behind a token file whose access token is over.
func signedIn(t *testing.T, r *rig) (e *emulator.Emulator, path string, k kept) {
	t.Helper()
	e, flags := issuer(t, r)
	r.expect(r.seat(append(flags, "--password-file", r.file("pw", emulator.Password(emulator.UserA)))...), 0)
	path = filepath.Join(r.dir, "kept", "token.json")
	k, err := (&tokenFile{path: path}).load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.env["SITEGATE_TOKEN_FILE"] = path
	k.Expires = time.Now().Add(-time.Minute)
	if err := k.save(path, nil); err != nil {
		t.Fatal(err)
	}
	return e, path, k
}

// TestLogoutWithoutTheIssuer: that a sign-in cannot be renewed now does not say that it is
// over, and what runs here was not ended (R8).
func TestLogoutWithoutTheIssuer(t *testing.T) {
	r := newRig(t)
	_, path, k := signedIn(t, r)
	k.Proxy = "http://127.0.0.1:1"
	if err := k.save(path, nil); err != nil {
		t.Fatal(err)
	}
	r.expect(r.seat("status"), 69, "cannot be done now")
	r.expect(r.seat("logout"), 69, "still signed in", "--anyway")
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the token file: %v, want it kept", err)
	}
	r.expect(r.seat("logout", "--anyway"), 0, "ends with its lease")
	if _, err := os.Stat(path); err == nil {
		t.Error("the token file is still there after --anyway")
	}
}

// TestASignInThatIsOverIsAskedForOnce: until the file is another.
func TestASignInThatIsOverIsAskedForOnce(t *testing.T) {
	r := newRig(t)
	e, path, k := signedIn(t, r)
	e.DeleteUser(emulator.UserA)
	f := &tokenFile{path: path}
	asked := e.Requests("/connect/token")
	for range 3 {
		if _, err := f.Token(t.Context()); !errors.Is(err, signin.ErrExpired) {
			t.Fatalf("Token = %v, want %v", err, signin.ErrExpired)
		}
	}
	if n := e.Requests("/connect/token") - asked; n != 1 {
		t.Errorf("the issuer was asked %d times, want once", n)
	}
	if err := k.save(path, nil); err != nil { // signed in anew, for all that f knows
		t.Fatal(err)
	}
	f.Token(t.Context())
	if n := e.Requests("/connect/token") - asked; n != 2 {
		t.Errorf("the issuer was asked %d times with another file, want once more", n)
	}
	r.expect(r.seat("status"), 77, "expired")
}

func TestWatchTellsThatTheSignInIsOver(t *testing.T) {
	t.Parallel() // it looks every few seconds
	r := newRig(t)
	e, path, k := signedIn(t, r)
	e.DeleteUser(emulator.UserA)
	r.g.Users[k.Access] = ann
	r.g.Expires = 3 * time.Second // of a token on a websocket: then there must be another
	over := k.Expires
	k.Expires = time.Now().Add(time.Hour)
	if err := k.save(path, nil); err != nil {
		t.Fatal(err)
	}
	b := r.background("watch")
	b.await("listening for")
	k.Expires = over
	if err := k.save(path, nil); err != nil {
		t.Fatal(err)
	}
	b.await("the sign-in has expired, and nothing more is told here: seat login")
	b.cancel()
	b.end(0)
	if n := strings.Count(b.text.String(), "has expired"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, b.text)
	}
}

func TestWaitAndCheckouts(t *testing.T) {
	r := newRig(t)
	there := r.startOn("WS-101")
	b := r.background("wait", "--product", cad, "--machine-name", "LT-7", "--machine-id", "id-of-LT-7")
	r.listens()
	r.waits()
	if err := there.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.await("Free, and kept for this machine for")
	b.end(0)
	if !r.screen.has("Free") {
		t.Errorf("the desktop shows %v, want that it is free", r.screen.shown)
	}
	r.expect(r.seat("wait"), 64, "--product")

	r.expect(r.seat("checkouts"), 0, "Nothing is checked out.")
	r.expect(r.seat("checkouts", "--json"), 0, `"items": []`)
	r.expect(r.seat("checkout", "--product", cad, "--for", "72h", "--machine-name", "LT-7", "--machine-id", "id-of-LT-7"), 0)
	got := r.seat("checkouts", "--json")
	var list struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("checkouts --json: %v\n%s", err, got.out)
	}
	r.expect(r.seat("checkouts", "--machine-id", "id-of-LT-7"), 0, "LT-7 (this machine)", list.Items[0].ID)
}
