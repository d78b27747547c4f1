package signin_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/client/signin"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

const host = "ims.cloud.example:443" // only the proxy knows where that is

// cloud is an issuer that can be reached through a CONNECT proxy only.
func cloud(t *testing.T, e *emulator.Emulator) (signin.Config, *proxy.Proxy) {
	t.Helper()
	e.Seed(3)
	e.Issuer = "https://ims.cloud.example"
	srv, err := emulator.Serve(listen(t), e, "ims.cloud.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	p := proxy.Start(listen(t), proxy.Config{Hosts: map[string]string{host: srv.Addr()}})
	t.Cleanup(func() { p.Close() })
	return signin.Config{Issuer: e.Issuer, CA: srv.CAPEM, Proxy: &url.URL{Scheme: "http", Host: p.Addr()}}, p
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func email(t *testing.T, e *emulator.Emulator, id string) string {
	t.Helper()
	u, ok := e.User(id)
	if !ok {
		t.Fatalf("no user %s", id)
	}
	return u.Email
}

// claim reads one claim of a JWT, unchecked.
func claim(t *testing.T, token, name string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts, want 3", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	s, _ := all[name].(string)
	return s
}

func TestSignInThroughTheProxy(t *testing.T) {
	e := &emulator.Emulator{}
	cfg, p := cloud(t, e)
	tok, err := signin.SignIn(t.Context(), cfg, email(t, e, emulator.UserA), emulator.Password(emulator.UserA))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := claim(t, tok.Access, "email"), email(t, e, emulator.UserA); got != want {
		t.Errorf("the token is of %q, want %q", got, want)
	}
	if left := time.Until(tok.Expires); left < 50*time.Minute || left > time.Hour {
		t.Errorf("it expires in %v, want an hour", left)
	}
	if p.Stats().Tunnels == 0 {
		t.Error("no tunnel through the proxy")
	}

	again, err := signin.Renew(t.Context(), cfg, tok.Refresh)
	if err != nil || claim(t, again.Access, "email") != email(t, e, emulator.UserA) || again.Access == tok.Access {
		t.Errorf("Renew: %v, want a new token of the same user", err)
	}
	if _, err := signin.Renew(t.Context(), cfg, tok.Refresh); !errors.Is(err, signin.ErrExpired) {
		t.Errorf("Renew with a used refresh token: %v, want %v", err, signin.ErrExpired)
	}
}

func TestWrongPasswordIsRefusedInTheIssuersWords(t *testing.T) {
	e := &emulator.Emulator{}
	cfg, _ := cloud(t, e)
	const secret = "not-the-password"
	_, err := signin.SignIn(t.Context(), cfg, email(t, e, emulator.UserA), secret)
	if !errors.Is(err, signin.ErrRefused) || !strings.Contains(err.Error(), "password is wrong") || strings.Contains(err.Error(), secret) {
		t.Errorf("SignIn = %v, want the issuer's sentence and no password", err)
	}
}

func TestIssuerMustBeItself(t *testing.T) {
	e := &emulator.Emulator{}
	cfg, _ := cloud(t, e)
	cfg.CA = nil
	if _, err := signin.SignIn(t.Context(), cfg, "a@b.example", "p"); err == nil {
		t.Error("signed in at an issuer with an unknown certificate")
	}
	e2 := &emulator.Emulator{}
	cfg, _ = cloud(t, e2)
	e2.Issuer = "https://other.example"
	if _, err := signin.SignIn(t.Context(), cfg, "a@b.example", "p"); err == nil || !strings.Contains(err.Error(), "other.example") {
		t.Errorf("SignIn = %v, want that the issuer has another name", err)
	}
	if _, err := signin.SignIn(t.Context(), signin.Config{Issuer: "http://ims.cloud.example"}, "a@b.example", "p"); err == nil ||
		!strings.Contains(err.Error(), "https") {
		t.Errorf("SignIn without TLS = %v, want a refusal to send secrets", err)
	}
}

func TestSourceRenewsInTimeAndOnce(t *testing.T) {
	e := &emulator.Emulator{}
	cfg, _ := cloud(t, e)
	first, err := signin.SignIn(t.Context(), cfg, email(t, e, emulator.UserA), emulator.Password(emulator.UserA))
	if err != nil {
		t.Fatal(err)
	}
	good := signin.NewSource(cfg, first, nil)
	if got, err := good.Token(t.Context()); err != nil || got != first.Access {
		t.Errorf("Token = other than the first (%v), want it while it is good", err)
	}

	stale := first
	stale.Expires = time.Now().Add(-time.Second)
	var kept []signin.Tokens
	s := signin.NewSource(cfg, stale, func(t signin.Tokens) error { kept = append(kept, t); return nil })
	var wg sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = s.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(kept) != 1 || kept[0].Access == first.Access {
		t.Fatalf("renewed %d times, want once", len(kept))
	}
	for _, g := range got {
		if g != kept[0].Access {
			t.Error("a caller got another token than the renewed one")
		}
	}

	over := signin.NewSource(cfg, signin.Tokens{Access: "x", Expires: time.Now().Add(-time.Second)}, nil)
	if _, err := over.Token(t.Context()); !errors.Is(err, signin.ErrExpired) {
		t.Errorf("Token without a refresh token = %v, want %v", err, signin.ErrExpired)
	}
}

// An issuer's page is whatever it sends; the password must not follow it anywhere.
func TestPasswordStaysWithTheIssuer(t *testing.T) {
	for name, page := range map[string]string{
		"form elsewhere": `<form action="https://evil.example/take"><input name="email"><input name=password></form>`,
		"no password":    `<form action="/x"><input name="email"></form>`,
		"no form":        `<input name="email"><input name="password">`,
		"form not over":  `<form><input name="email"><input name="password">`,
		"empty":          ``,
	} {
		posted := false
		mux := http.NewServeMux()
		var base string
		mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			json.NewEncoder(w).Encode(map[string]string{"issuer": base, "authorization_endpoint": base + "/a", "token_endpoint": base + "/t"})
		})
		mux.HandleFunc("GET /a", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(page)) })
		mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) { posted = true })
		ln := listen(t)
		base = "http://" + ln.Addr().String()
		srv := &http.Server{Handler: mux}
		go srv.Serve(ln)
		_, err := signin.SignIn(context.Background(), signin.Config{Issuer: base}, "a@b.example", "p")
		srv.Close()
		if err == nil || posted {
			t.Errorf("%s: SignIn = %v, posted %v; want an error and nothing sent", name, err, posted)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add(`<form method="post" action="/connect/authorize"><input type="hidden" name="tx" value="a&amp;b"><input name="email"><input name='password'></form>`)
	f.Add(`<form ><input/></form>`)
	f.Fuzz(func(t *testing.T, page string) {
		action, fields, err := signin.ReadForm("https://ims.example/a", []byte(page))
		if err == nil && (!strings.HasPrefix(action, "https://ims.example") || fields == nil) {
			t.Errorf("the form leads to %q, want it to stay", action)
		}
	})
}
