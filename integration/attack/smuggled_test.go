package attack

import (
	"net/http"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/upstream/cloudapi"
)

// TestSmuggledRequestsAreRefused: what two readers could take for two different requests is one
// that is refused, and the connection ends with it, so that nothing that follows is
// taken for a request of anybody's.
func TestSmuggledRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	const second = "GET /openapi.yaml HTTP/1.1\r\nHost: smuggled\r\n\r\n"
	for name, text := range map[string]string{
		"both lengths":              request("POST "+api.PathSessions+" HTTP/1.1", "Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\nG" + second,
		"two lengths":               request("POST "+api.PathSessions+" HTTP/1.1", "Content-Length: 0", "Content-Length: 60") + second,
		"a list of lengths":         request("POST "+api.PathSessions+" HTTP/1.1", "Content-Length: 0, 60") + second,
		"a length with a sign":      request("POST "+api.PathSessions+" HTTP/1.1", "Content-Length: +60") + second,
		"a length that is negative": request("POST "+api.PathSessions+" HTTP/1.1", "Content-Length: -1") + second,
		"an encoding nobody knows":  request("POST "+api.PathSessions+" HTTP/1.1", "Transfer-Encoding: xchunked") + second,
		"an encoding twice":         request("POST "+api.PathSessions+" HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + second,
		"an encoding with a tab":    request("POST "+api.PathSessions+" HTTP/1.1", "Transfer-Encoding: \x0bchunked") + "0\r\n\r\n" + second,
		"a space before the colon":  request("GET /healthz HTTP/1.1", "Content-Length : 60") + second,
		"two hosts":                 request("GET /healthz HTTP/1.1", "Host: a", "Host: b") + second,
		"no host":                   "GET /healthz HTTP/1.1\r\n\r\n" + second,
		"a host with a path":        request("GET /healthz HTTP/1.1", "Host: a/../b") + second,
		"a null in a header":        request("GET /healthz HTTP/1.1", "X-A: a\x00b") + second,
		"a carriage return alone":   request("GET /healthz HTTP/1.1", "X-A: a\rContent-Length: 60") + second,
		"a chunk's length too long": request("POST "+api.PathSessions+" HTTP/1.1", "Transfer-Encoding: chunked") + "FFFFFFFFFFFFFFFFF\r\n" + second,
		"HTTP/2 without TLS's word": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + second,
		"HTTP/0.9":                  "GET /healthz\r\n\r\n" + second,
		"not HTTP":                  "\x16\x03\x01\x02\x00\x01" + strings.Repeat("\x00", 60) + "\r\n\r\n",
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			w := dialFrom(t, s, n, addressOf(t.Name())).send(text)
			a := w.answer()
			if name == "both lengths" && a.status == http.StatusUnauthorized {
				w.over() // it is read by its chunks, and nothing after it
				return
			}
			if a.status < 400 || a.status > 505 || a.status == http.StatusInternalServerError {
				t.Errorf("got %d %.200s, want it refused", a.status, a.body)
			}
			a.discreet(t)
			w.over()
		})
	}
}

// TestLineEndsAreReadInOneWay: a line that ends with a bare line feed ends there for net/http;
// nothing behind it is another request to us, and the relay writes its own lines.
func TestLineEndsAreReadInOneWay(t *testing.T) {
	t.Parallel()
	s := single(t)
	w := dial(t, s, s.Nodes[0]).send("GET /v1/me HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n")
	if a := w.answer(); a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
		t.Errorf("got %d %s, want one answer: 401 or 400", a.status, a.body)
	}
	w.over()
	// Nor is a line that begins with a space one of its own.
	w = dial(t, s, s.Nodes[0]).send(request("GET /healthz HTTP/1.1", "X-Folded: a", " Content-Length: 60", "Connection: close"))
	if a := w.answer(); a.status != http.StatusOK && a.status != http.StatusBadRequest {
		t.Errorf("a folded header: got %d %s, want one answer: 200 or 400", a.status, a.body)
	}
	w.over()
}

// TestPathsAreReadInOneWay: no way to write a path gets by who may use it: what is not the
// path as it stands in the table is not there.
func TestPathsAreReadInOneWay(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	for _, path := range []string{"//v1/me", "/v1//me", "/v1/./me", "/v1/x/../me", "/v1/%2e%2e/v1/me", "/v1%2Fme", "/v1/users/a%2fb/block", "/V1/me", "/v1/me;a=b", "/v1/me%00",
		"/v1\\me", "/v1/status/../me", "/..%2f..%2fetc/passwd", cloudapi.DefaultPolicyPath + "/../GetPolicy", cloudapi.DefaultPolicyPath + "%2fGetPolicy"} {
		a := dialFrom(t, s, n, addressOf(path)).send(request("GET "+path+" HTTP/1.1", "Authorization: Bearer x")).answer()
		if a.status != http.StatusNotFound && a.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %.300s, want 404 or 400", path, a.status, a.body)
		}
		a.discreet(t)
	}
	for _, target := range []string{"https://127.0.0.1" + api.PathMe, "http://elsewhere.example/", "*"} {
		a := dialFrom(t, s, n, addressOf(target)).send(request("OPTIONS " + target + " HTTP/1.1")).answer()
		a.problem(t, http.StatusBadRequest, api.CodeMalformed)
	}
}

// TestHeadersAreBounded: many, long and strange ones are refused, before anything is
// computed for them.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	many := make([]string, 200)
	for i := range many {
		many[i] = "X-" + strings.Repeat("a", i+1) + ": 1"
	}
	dialFrom(t, s, n, addressOf("many")).send(request("GET "+api.PathMe+" HTTP/1.1", many...)).answer().problem(t, http.StatusBadRequest, api.CodeMalformed)
	w := dialFrom(t, s, n, addressOf("long")).send(request("GET "+api.PathMe+" HTTP/1.1", "X-A: "+strings.Repeat("a", 200<<10)))
	if a := w.answer(); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("200 kB of headers: got %d, want %d", a.status, http.StatusRequestHeaderFieldsTooLarge)
	}
	a := dialFrom(t, s, n, addressOf("two")).send(request("GET "+api.PathMe+" HTTP/1.1", "Authorization: Bearer a", "Authorization: Bearer b")).answer()
	a.problem(t, http.StatusBadRequest, api.CodeMalformed)
}

// TestProtocolsAreNotSwitched: to nothing but a websocket, and nowhere but where there is
// one: an upgrade is a way past everything that looks at requests.
func TestProtocolsAreNotSwitched(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	token := "Authorization: Bearer " + s.Token(t, user(t, s))
	for name, to := range map[string]string{"h2c": api.PathMe, "TLS/1.0": api.PathMe, "websocket": api.PathMe, "h2c, websocket": api.PathNotices, "foo": api.PathNotices,
		"h2c ": cloudapi.DefaultPolicyPath + cloudapi.PathSigningCertificate} {
		head := request("GET "+to+" HTTP/1.1", token, "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+name, "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
			"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
		a := dialFrom(t, s, n, addressOf(name+to)).send(head).answer()
		if a.status == http.StatusSwitchingProtocols || a.status >= 500 && a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable {
			t.Errorf("%s to %s: got %d %.300s, want no switch", to, name, a.status, a.body)
		}
	}
}

// TestNoHeaderSaysWhoCalls: what a proxy would add of who calls, and what a server behind
// would take for another method or path, changes nothing.
func TestNoHeaderSaysWhoCalls(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	for _, header := range []string{"X-Forwarded-User: root", "X-Remote-User: root", "Remote_User: root", "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1",
		"X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-HTTP-Method-Override: GET", "X-Forwarded-Client-Cert: By=x", "Cookie: session=admin"} {
		a := dialFrom(t, s, n, addressOf(header)).send(request("POST "+api.PathSignOut+" HTTP/1.1", header, "Content-Length: 0")).answer()
		a.problem(t, http.StatusUnauthorized, api.CodeUnauthorized)
	}
}
