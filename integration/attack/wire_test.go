package attack

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/integration"
)

// wire is a connection over which bytes go as they are written.
type wire struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// dial connects to a node's API over TLS, from this test's own address.
func dial(t *testing.T, s *integration.Site, n *integration.Node) *wire {
	t.Helper()
	return dialFrom(t, s, n, address(t))
}

func dialFrom(t testing.TB, s *integration.Site, n *integration.Node, from net.IP) *wire {
	t.Helper()
	return secured(t, s, n, connect(t, strings.TrimPrefix(n.URL, "https://"), from))
}

// secured speaks TLS with a node over a connection.
func secured(t testing.TB, s *integration.Site, n *integration.Node, c net.Conn) *wire {
	t.Helper()
	host, _, err := net.SplitHostPort(strings.TrimPrefix(n.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	return over(t, tls.Client(c, &tls.Config{RootCAs: s.CA, ServerName: host}))
}

// knock connects to a node's forward proxy.
func knock(t *testing.T, n *integration.Node) *wire {
	t.Helper()
	return over(t, connect(t, strings.TrimPrefix(n.Door, "http://"), address(t)))
}

func connect(t testing.TB, to string, from net.IP) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func over(t testing.TB, c net.Conn) *wire {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &wire{Conn: c, t: t, r: bufio.NewReader(c)}
}

// send writes bytes. That the node has hung up meanwhile is no error here: answer and over
// tell.
func (w *wire) send(text string) *wire {
	io.WriteString(w.Conn, text)
	return w
}

// request is the head of a request, with a Host unless there is one, and its end.
func request(first string, headers ...string) string {
	host := false
	for _, h := range headers {
		host = host || strings.HasPrefix(strings.ToLower(h), "host:")
	}
	if !host {
		headers = append([]string{"Host: 127.0.0.1"}, headers...)
	}
	return first + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// answer reads one answer to its end.
func (w *wire) answer() answer {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatalf("got no answer: %v; want one", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("an answer of status %d broke off: %v", resp.StatusCode, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// over waits until the node has hung up. What it still says is in the failure.
func (w *wire) over() {
	w.t.Helper()
	said, err := io.ReadAll(io.LimitReader(w.r, 1<<20))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Errorf("the connection is still open after %v, want it closed; it said %.200q", patience, said)
	}
}

// secrets are what no answer to an outsider has in it: where things are, what they are made of.
func secrets() []string {
	return []string{"goroutine", ".go:", "panic", "/tmp", "/var", "/etc", "runtime.", "x509", "jose", "jwt:", "raft", "badger", "0x", "sql",
		"stack", "github.com", "127.0.0.1:", integration.LoginHost, integration.CloudHost}
}

// problem holds an answer against a status and a code, and returns the document.
func (a answer) problem(t testing.TB, status int, code string) api.Problem {
	t.Helper()
	var p api.Problem
	if a.status != status {
		t.Errorf("got status %d, want %d; it said %.500s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != api.ProblemType {
		t.Errorf("got a %q, want %q; it said %.500s", got, api.ProblemType, a.body)
		return p
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Errorf("the problem does not parse: %v; it is %.500s", err, a.body)
		return p
	}
	if p.Code != code || p.Status != a.status || p.Type != api.ProblemBase+code {
		t.Errorf("got code %q, status %d, type %q; want %q and %d", p.Code, p.Status, p.Type, code, status)
	}
	if p.Title == "" || p.Detail == "" || len(p.Next) == 0 || p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("a user is told %q, %q, %q under %q; want a title, a sentence, a next step, and the id of the answer's header", p.Title, p.Detail, p.Next, p.RequestID)
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if a.header.Get("Retry-After") == "" || p.RetryAfterMS <= 0 {
			t.Errorf("Retry-After is %q and retry_after_ms %d, want when to come back", a.header.Get("Retry-After"), p.RetryAfterMS)
		}
	}
	a.discreet(t)
	return p
}

// discreet holds an answer against what it must not tell.
func (a answer) discreet(t testing.TB, more ...string) {
	t.Helper()
	text := strings.ToLower(a.body)
	for _, s := range append(secrets(), more...) {
		if s != "" && strings.Contains(text, strings.ToLower(s)) {
			t.Errorf("the answer tells %q: %.500s", s, a.body)
		}
	}
	for _, h := range []string{"Server", "X-Powered-By"} {
		if v := a.header.Get(h); v != "" {
			t.Errorf("the answer says %s: %s", h, v)
		}
	}
}
