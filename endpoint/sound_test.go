package endpoint

import (
	"net/http"
	"strings"
	"testing"
)

// Every answer says what a browser is not to do with it, whatever was asked.
func TestAnswersSayWhatBrowsersMustNotDo(t *testing.T) {
	r := newRig(t, filled(t))
	for path, status := range map[string]int{"/healthz": 200, "/openapi.yaml": 200, "/v1/me": 401, "/nothing": 404, "/a/../b": 404} {
		resp := r.want(t, status, "", "GET", path, nil, nil)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := resp.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// What two readers could take for two requests is refused, whoever sends it; what is of
// no use is dropped.
func TestUnsoundRequests(t *testing.T) {
	r := newRig(t, filled(t))
	token := "Bearer " + r.issuer.token(t, "ada")
	good := header{"Authorization": token}
	many := header{"Authorization": token}
	for i := range maxHeaders {
		many["X-"+strings.Repeat("a", i+1)] = "1"
	}
	for name, c := range map[string]struct {
		path string
		head header
		want int
	}{
		"a slash in an escape":       {"/v1/sessions/a%2Fb", good, 404},
		"two slashes":                {"//v1/me", good, 404},
		"dots":                       {"/v1/x/../me", good, 404},
		"dots in escapes":            {"/v1/%2e%2e/v1/me", good, 404},
		"a hundred and one headers":  {"/v1/me", many, 400},
		"another protocol":           {"/v1/me", header{"Authorization": token, "Connection": "Upgrade", "Upgrade": "h2c"}, 400},
		"another protocol, notices":  {"/v1/notices", header{"Authorization": token, "Connection": "Upgrade", "Upgrade": "h2c"}, 400},
		"a websocket elsewhere":      {"/v1/me", header{"Authorization": token, "Connection": "Upgrade", "Upgrade": "websocket"}, 400},
		"a cookie from another site": {"/v1/sign-out", header{"Cookie": "a=b", "Sec-Fetch-Site": "cross-site", "method": "POST"}, 403},
		"the header with underscore": {"/v1/me", header{"X_Forwarded_User": "root", "Authorization": token}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			method := "GET"
			if m := c.head["method"]; m != "" {
				method = m
			}
			r.want(t, c.want, "", method, c.path, nil, c.head)
		})
	}
}

func TestUnderscoresAreDropped(t *testing.T) {
	h := http.Header{"X_user": {"root"}, "X-User": {"ada"}, "_": {"x"}}
	plainHeaders(h)
	if len(h) != 1 || h.Get("X-User") != "ada" {
		t.Errorf("left are %v, want X-User", h)
	}
}
