package endpoint

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections have no sockets, so that a synctest
// bubble can hold both ends.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return from{c}, nil
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// from is a pipe with an address, as the limits want one.
type from struct{ net.Conn }

func (from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40_000} }

// TestSlowClientsAreLetGo: a client that announces a body and does not send it,
// to whatever path, or that does not read its answer, holds a connection for
// seconds, not for ever.
func TestSlowClientsAreLetGo(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	tunnel, err := r.e.Tunnel(TunnelConfig{Dialer: &wayOut{}})
	if err != nil {
		t.Fatal(err)
	}
	head := func(line, more string) string {
		return line + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + more + "\r\n"
	}
	as := "Authorization: Bearer " + r.issuer.token(t, "ada") + "\r\n"
	for _, s := range []struct {
		name, request string
		h             http.Handler
		deaf          bool // the client reads nothing
	}{
		{"nobody, with half a body", head("POST /v1/sessions", "Content-Length: 40\r\n") + "{", r.e.Handler(), false},
		{"a user, with half a body", head("POST /v1/sessions", as+"Content-Length: 40\r\n") + "{", r.e.Handler(), false},
		{"a body where none is read", head("GET /v1/me", as+"Content-Length: 40\r\n"), r.e.Handler(), false},
		{"chunks that never come", head("POST /nowhere", "Transfer-Encoding: chunked\r\n"), r.e.Handler(), false},
		{"the CONNECT door", head("POST /", "Content-Length: 40\r\n"), tunnel, false},
		{"an answer that nobody reads", head("GET /openapi.yaml", ""), r.e.Handler(), true},
	} {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := &pipes{conns: make(chan net.Conn)}
				srv := &http.Server{Handler: s.h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(ln) }()
				defer func() { srv.Close(); <-served }()
				c, server := net.Pipe()
				defer c.Close()
				ln.conns <- server
				began := time.Now()
				if _, err := io.WriteString(c, s.request); err != nil {
					t.Fatal(err)
				}
				if s.deaf {
					time.Sleep(answerTimeout + time.Second)
				}
				c.SetReadDeadline(began.Add(2 * time.Minute))
				resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: strings.Fields(s.request)[0]})
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("after %v there is no answer, and the connection is open", time.Since(began))
				}
				if s.deaf != (err != nil) {
					t.Errorf("got error %v", err)
				}
				if got := time.Since(began); got > answerTimeout+time.Second {
					t.Errorf("it took %v; want at most %v", got, answerTimeout)
				}
			})
		})
	}
}

// TestStrangersDoNotFillTheLog: what anybody can do without end is counted, and
// told only so often.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	r := newRig(t, filled(t))
	tunnel, err := r.e.Tunnel(TunnelConfig{Dialer: &wayOut{}})
	if err != nil {
		t.Fatal(err)
	}
	const many = 2000
	began := time.Now()
	for i := range many {
		h, method, path := r.e.Handler(), "GET", "/v1/me"
		if i%2 == 1 {
			h, method, path = tunnel, "CONNECT", "nowhere.example:443"
		}
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	loud := 0
	for line := range strings.SplitSeq(r.log.String(), "\n") {
		if strings.Contains(line, `"remote"`) && strings.Contains(line, `"INFO"`) || strings.Contains(line, "tunnel refused") && strings.Contains(line, `"WARN"`) {
			loud++
		}
	}
	if most := 501 + int(50*time.Since(began).Seconds()); loud == 0 || loud > most {
		t.Errorf("got %d lines of %d requests, want some, and at most %d", loud, many, most)
	}
	if got := r.metric(t, "sitegate_http_tokens_refused_total") + r.metric(t, "sitegate_tunnels_total"); got != many {
		t.Errorf("the metrics count %v, want %d", got, many)
	}
}
