package signin_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/client/signin"
	"sitegate/emulator"
)

// browser is one on the same network: it types a code in and answers.
func browser(t *testing.T, cfg signin.Config) func(p signin.Prompt, email, password, do string) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cfg.CA)
	c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(cfg.Proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(c.CloseIdleConnections)
	return func(p signin.Prompt, email, password, do string) int {
		t.Helper()
		resp, err := c.PostForm(p.URL, url.Values{"user_code": {strings.ToLower(p.Code)}, "email": {email}, "password": {password}, "do": {do}})
		if err != nil {
			t.Error(err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
}

func TestDeviceIsSignedInByABrowser(t *testing.T) {
	e := &emulator.Emulator{DeviceInterval: time.Second}
	cfg, p := cloud(t, e)
	at := browser(t, cfg)
	mail := email(t, e, emulator.UserA)
	tok, err := signin.SignInDevice(t.Context(), cfg, func(p signin.Prompt) error {
		if !strings.HasSuffix(p.Complete, "?user_code="+p.Code) || time.Until(p.Until) < 9*time.Minute {
			t.Errorf("prompt %+v, want the code in Complete and ten minutes", p)
		}
		if got := at(p, mail, "wrong", "allow"); got != http.StatusForbidden {
			t.Errorf("a wrong password: %d, want 403", got)
		}
		if got := at(p, mail, emulator.Password(emulator.UserA), "allow"); got != http.StatusOK {
			t.Errorf("the right password: %d, want 200", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := claim(t, tok.Access, "email"); got != mail {
		t.Errorf("the token is of %q, want %q", got, mail)
	}
	if p.Stats().Tunnels == 0 {
		t.Error("no tunnel through the proxy")
	}
	if err := signin.Revoke(t.Context(), cfg, tok.Refresh); err != nil {
		t.Fatal(err)
	}
	if _, err := signin.Renew(t.Context(), cfg, tok.Refresh); !errors.Is(err, signin.ErrExpired) {
		t.Errorf("Renew after Revoke: %v, want %v", err, signin.ErrExpired)
	}
}

func TestDeviceIsDenied(t *testing.T) {
	e := &emulator.Emulator{DeviceInterval: time.Second}
	cfg, _ := cloud(t, e)
	at := browser(t, cfg)
	_, err := signin.SignInDevice(t.Context(), cfg, func(p signin.Prompt) error {
		at(p, "", "", "deny")
		return nil
	})
	if !errors.Is(err, signin.ErrRefused) {
		t.Errorf("got %v, want %v", err, signin.ErrRefused)
	}
}

func TestDeviceGivesUp(t *testing.T) {
	e := &emulator.Emulator{}
	cfg, _ := cloud(t, e)
	enough := errors.New("enough")
	if _, err := signin.SignInDevice(t.Context(), cfg, func(signin.Prompt) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v, want the error of show", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := signin.SignInDevice(ctx, cfg, func(signin.Prompt) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// TestDevicePollsAsItIsTold: an issuer that is asked too often says so and is heeded,
// one that is broken for a moment is asked again, and a late code is told as that.
func TestDevicePollsAsItIsTold(t *testing.T) {
	type answers []string // of the token endpoint, one after the other; a number is a status
	for name, c := range map[string]struct {
		with answers
		want error
	}{
		"pending": {with: answers{"authorization_pending", "authorization_pending", "ok"}},
		"broken":  {with: answers{"503", "ok"}},
		"late":    {with: answers{"expired_token"}, want: signin.ErrTooLate},
		"denied":  {with: answers{"access_denied"}, want: signin.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			mux := http.NewServeMux()
			ln := listen(t)
			base := "http://" + ln.Addr().String()
			mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
				json.NewEncoder(w).Encode(map[string]string{"issuer": base, "token_endpoint": base + "/t", "device_authorization_endpoint": base + "/d"})
			})
			mux.HandleFunc("POST /d", func(w http.ResponseWriter, r *http.Request) {
				json.NewEncoder(w).Encode(map[string]any{"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": base + "/page", "expires_in": 60, "interval": 0.01})
			})
			mux.HandleFunc("POST /t", func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("device_code") != "d" || r.PostFormValue("client_id") != "desktop" {
					t.Errorf("asked with %v", r.PostForm)
				}
				say := c.with[min(n, len(c.with)-1)]
				n++
				switch say {
				case "ok":
					json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "expires_in": 60})
				case "503":
					w.WriteHeader(http.StatusServiceUnavailable)
				default:
					w.WriteHeader(http.StatusBadRequest)
					json.NewEncoder(w).Encode(map[string]string{"error": say})
				}
			})
			srv := &http.Server{Handler: mux}
			go srv.Serve(ln)
			defer srv.Close()
			tok, err := signin.SignInDevice(t.Context(), signin.Config{Issuer: base}, func(signin.Prompt) error { return nil })
			if !errors.Is(err, c.want) || err == nil && tok.Access != "a" || n != len(c.with) {
				t.Errorf("got %+v, %v after %d questions; want %v after %d", tok, err, n, c.want, len(c.with))
			}
		})
	}
}

func TestDeviceFlowIsMissed(t *testing.T) {
	mux := http.NewServeMux()
	ln := listen(t)
	base := "http://" + ln.Addr().String()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]string{"issuer": base, "authorization_endpoint": base + "/a", "token_endpoint": base + "/t"})
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(ln)
	defer srv.Close()
	_, err := signin.SignInDevice(t.Context(), signin.Config{Issuer: base}, func(signin.Prompt) error { return nil })
	if !errors.Is(err, signin.ErrNoDeviceFlow) {
		t.Errorf("got %v, want %v", err, signin.ErrNoDeviceFlow)
	}
}
