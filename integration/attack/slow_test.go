package attack

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
)

// TestSlowClientsAreHungUpOn: who sends half a hello, half a head or half a body, or a byte now
// and then, is hung up on within the time that a request may take, and meanwhile keeps
// nobody from work.
func TestSlowClientsAreHungUpOn(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	to := strings.TrimPrefix(n.URL, "https://")
	token := s.Token(t, user(t, s))
	half := "POST " + api.PathSignOut + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n"
	var all sync.WaitGroup
	for name, w := range map[string]*wire{
		"says nothing":       over(t, connect(t, to, addressOf("nothing"))),
		"says half a hello":  over(t, connect(t, to, addressOf("hello"))).send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"says half a head":   dialFrom(t, s, n, addressOf("head")).send("GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "),
		"says half a body":   dialFrom(t, s, n, addressOf("body")).send(half + "Content-Length: 100\r\n\r\n{"),
		"says half a chunk":  dialFrom(t, s, n, addressOf("chunk")).send(half + "Transfer-Encoding: chunked\r\n\r\n64\r\n{"),
		"has a body unasked": dialFrom(t, s, n, addressOf("unasked")).send("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"),
		"knocks and is mute": knock(t, n),
		"knocks with a half": knock(t, n).send("CONNECT a.example:443 HTTP/1.1\r\nHost: "),
		"drips a head":       drip(t, dialFrom(t, s, n, addressOf("drip")), "GET /healthz HTTP/1.1\r\nHost: x\r\n"),
	} {
		all.Go(func() {
			begun := time.Now()
			if _, err := io.Copy(io.Discard, w.Conn); err != nil {
				if e, ok := err.(net.Error); ok && e.Timeout() {
					t.Errorf("who %s is still there after %v", name, time.Since(begun))
				}
			}
		})
	}
	honest(t, s, n)
	all.Wait()
}

// drip sends a byte every now and then until the connection ends.
func drip(t *testing.T, w *wire, text string) *wire {
	w.send(text)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(w.Conn, "X-A: b\r\n"); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { w.Close(); <-ended })
	return w
}

// TestAFloodOfJunkIsSlowed: what one network sends that is nothing but junk is answered at a
// pace, however many ask; who is known is served from the flood's own address meanwhile, and who
// is not from any other. (That it is refused in the end is told by the tests of package
// endpoint, which need no flood for it.)
func TestAFloodOfJunkIsSlowed(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	owner := request("GET "+api.PathMe+" HTTP/1.1", "Authorization: Bearer "+s.Token(t, user(t, s)))
	known := dial(t, s, n)
	if a := known.send(owner).answer(); a.status != http.StatusOK {
		t.Fatalf("before the flood: got %d %s", a.status, a.body)
	}
	const conns, each, atOnce, perSecond = 8, 320, 1020, 500 // as endpoint has them
	begun := time.Now()
	var flood sync.WaitGroup
	for range conns {
		flood.Go(func() {
			w := dial(t, s, n)
			w.SetDeadline(time.Now().Add(3 * patience))
			for i := range each {
				if a := w.send(request("GET /wp-login.php HTTP/1.1", "Authorization: Bearer junk")).answer(); a.status != http.StatusNotFound {
					t.Errorf("number %d of a connection: got %d %.200s, want 404", i, a.status, a.body)
					return
				}
			}
		})
	}
	honest(t, s, n)
	if a := known.send(owner).answer(); a.status != http.StatusOK {
		t.Errorf("somebody who is known, from the flood's own address: got %d %s, want 200", a.status, a.body)
	}
	flood.Wait()
	if took, least := time.Since(begun), time.Second*(conns*each-atOnce)/perSecond; took < least*9/10 {
		t.Errorf("%d junk requests were answered within %v, want %v at least", conns*each, took, least)
	}
}

// TestNobodyTakesMoreThanTheirShare: who belongs and asks without end is told to wait, and
// keeps no colleague from work.
func TestNobodyTakesMoreThanTheirShare(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	w, token := dial(t, s, n), s.Token(t, user(t, s))
	for range 10 {
		for range 100 { // many before one is answered, so that a busy node sees them together
			w.send(request("GET "+api.PathMe+" HTTP/1.1", "Authorization: Bearer "+token))
		}
		for range 100 {
			if a := w.answer(); a.status == http.StatusTooManyRequests {
				a.problem(t, http.StatusTooManyRequests, api.CodeTooMany)
				honest(t, s, n)
				return
			}
		}
	}
	t.Error("a thousand requests of one user were answered at once, want 429")
}
