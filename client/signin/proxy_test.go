package signin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sitegate/client/signin"
)

func TestProxyThatRefusesIsToldWithItsReason(t *testing.T) {
	for header, want := range map[string]string{"host_not_allowed": "host_not_allowed", "use-relay": "use-relay", "": "", "Bad\tthing": ""} {
		door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if header != "" {
				w.Header().Set("X-Sitegate-Error", header)
			}
			w.WriteHeader(http.StatusForbidden)
		}))
		u, err := url.Parse(door.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = signin.SignIn(t.Context(), signin.Config{Issuer: "https://ims.example", Proxy: u}, "a@b.example", "hush")
		door.Close()
		got, ok := errors.AsType[*signin.ProxyError](err)
		if !ok || got.Target != "ims.example:443" || got.Status != http.StatusForbidden || got.Reason != want {
			t.Errorf("%q: got %v (%+v), want a refusal for ims.example:443 with the reason %q", header, err, got, want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}
