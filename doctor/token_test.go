package doctor

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

// The site's secret is shown once, to the sign-in itself, and it is told whether it is taken.
func TestToken(t *testing.T) {
	var shown atomic.Int32
	signIn := func(change func(w http.ResponseWriter, r *http.Request) (done bool)) http.Handler {
		e := &emulator.Emulator{Issuer: "https://" + signInHost, Sites: map[string]string{"site-1": "cloud-secret-1"}}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, secret, ok := r.BasicAuth(); ok && secret != "" {
				shown.Add(1)
			}
			if change == nil || !change(w, r) {
				e.ServeHTTP(w, r)
			}
		})
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "openid-configuration") {
			return false
		}
		json.NewEncoder(w).Encode(map[string]string{"issuer": "https://" + signInHost, "jwks_uri": "https://" + signInHost + "/keys", "token_endpoint": "https://thief.test/token"})
		return true
	}
	keys := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/keys" {
			return elsewhere(w, r)
		}
		io.WriteString(w, `{"keys": [{}]}`)
		return true
	}
	broken := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	for name, tt := range map[string]struct {
		change func(http.ResponseWriter, *http.Request) bool
		secret string
		state  State
		code   string
		words  string
		shown  int32
	}{
		"all is well":                 {nil, "cloud-secret-1", Pass, "", "takes this site's id and secret", 1},
		"the secret is wrong":         {nil, "another", Fail, "site_secret_rejected", "does not take", 1},
		"it wants it sent elsewhere":  {keys, "cloud-secret-1", Fail, "api_unreachable", "thief.test. It was not sent", 0},
		"the sign-in is out of order": {broken, "cloud-secret-1", Fail, "api_unreachable", "status 502", 1},
	} {
		t.Run(name, func(t *testing.T) {
			shown.Store(0)
			s := newSite(t, nil, signIn(tt.change), proxy.Config{})
			s.text = strings.Replace(s.text, ", username: 'CORP\\svc-licenses', password_file: proxy.password", "", 1)
			s.text = strings.Replace(s.text, "egress:\n", "egress:\n  proxies: [{name: second, address: \""+s.proxy.Addr()+"\"}]\n", 1) // two ways, and still one secret
			s.file(t, "cloud.secret", tt.secret+"\n")
			r := Run(t.Context(), s.config(t))
			if c := find(t, r, "token", signInHost); c.State != tt.state || c.Code != tt.code || !strings.Contains(c.Found, tt.words) || (c.Action == "") != (tt.state == Pass) {
				t.Errorf("got %+v, want %s %s with %q", c, tt.state, tt.code, tt.words)
			}
			if got := shown.Load(); got != tt.shown || strings.Count(states(r), " token ") != 1 {
				t.Errorf("the secret was shown %d times, want %d, in\n%s", got, tt.shown, states(r))
			}
		})
	}
}

// A cloud that takes longer than a start waits for it fails, however well all else is.
func TestLatency(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(20 * time.Millisecond)
		w.WriteHeader(http.StatusUnauthorized)
	})
	s := newSite(t, slow, nil, proxy.Config{})
	c := s.config(t)
	c.Settings.Cloud.AskTimeout = time.Millisecond
	r := Run(t.Context(), c)
	if c := find(t, r, "latency", cloudHost); c.State != Fail || !strings.Contains(c.Found, "the middle one of 5") || !strings.Contains(c.Action, "so slow") {
		t.Errorf("got %+v, want it too slow", c)
	}
	closing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusUnauthorized)
	})
	s = newSite(t, closing, nil, proxy.Config{})
	if c := find(t, Run(t.Context(), s.config(t)), "latency", cloudHost); c.State != Skip {
		t.Errorf("over a connection that is closed after each answer: got %+v, want no measure", c)
	}
}
