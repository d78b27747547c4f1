package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// One address that comes too often is turned away, others are not, and after a while
// it may come again; what is remembered of addresses is bounded.
func TestOneAddressComesOnlySoOften(t *testing.T) {
	p := &pace{each: Pace{PerSecond: 10, Burst: 3}, from: map[netip.Addr]*visits{}}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for i, want := range []bool{true, true, true, false, false} {
		if got := p.admits(a, now); got != want {
			t.Errorf("visit %d: let in %t; want %t", i, got, want)
		}
	}
	if !p.admits(b, now) {
		t.Error("another address was turned away")
	}
	if !p.admits(a, now.Add(100*time.Millisecond)) || p.admits(a, now.Add(110*time.Millisecond)) {
		t.Error("a tenth of a second later one more may come, and one only")
	}
	addr := netip.MustParseAddr("10.1.0.0")
	for range 2 * maxVisitors {
		addr = addr.Next()
		if !p.admits(addr, now) {
			t.Fatal("a new address was turned away")
		}
	}
	if len(p.from) > maxVisitors {
		t.Errorf("%d addresses are remembered; want at most %d", len(p.from), maxVisitors)
	}
	later := now.Add(time.Minute)
	p.admits(netip.MustParseAddr("10.2.0.1"), later)
	if len(p.from) != 1 {
		t.Errorf("a minute later %d addresses are remembered; want the new one", len(p.from))
	}
}

// All together come at the pace, in turn, and nobody is turned away.
func TestAllComeInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pace{all: rate.NewLimiter(100, 10)}
		began := time.Now()
		for range 60 {
			p.turn()
		}
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("60 came within %v; want 10 at once and 50 more within half a second", took)
		}
	})
	var none pace
	none.turn()
	if !none.admits(netip.MustParseAddr("10.0.0.1"), time.Now()) {
		t.Error("without a pace somebody was turned away")
	}
}

// Who says hello and then nothing holds a place for a moment only.
func TestHandshakesWaitForAPlaceAndGiveItBack(t *testing.T) {
	h := make(handshakes, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.TLS = h.limit(&tls.Config{})
	srv.StartTLS()
	defer srv.Close()
	stuck := &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
	for range 3 {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go tls.Client(deaf{conn}, stuck).Handshake() // says hello, and hears no answer
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			resp, err := srv.Client().Get(srv.URL)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	group.Wait()
	srv.Close()
	if n := len(h); n != 0 {
		deadline := time.Now().Add(20 * time.Second)
		for len(h) > 0 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if len(h) > 0 {
			t.Errorf("%d places were not given back", len(h))
		}
	}
}

// Who finds no place gives up long before the server lets go of the connection, so that
// no place goes to a client that is not there any more.
func TestAHandshakeWithoutAPlaceGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := make(handshakes, 1)
		h <- struct{}{} // taken, for good
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		go tls.Client(client, &tls.Config{ServerName: "gw.example"}).Handshake()
		began := time.Now()
		late := time.AfterFunc(time.Minute, func() { server.Close() })
		defer late.Stop()
		err := tls.Server(server, h.limit(&tls.Config{})).Handshake()
		if took := time.Since(began); err == nil || took != headerTime/2 {
			t.Errorf("waited for %v: %v; want an error after %v", took, err, headerTime/2)
		}
		if len(h) != 1 {
			t.Error("it gave back a place that it never had")
		}
	})
}

// deaf is a connection that hears nothing until it is closed.
type deaf struct{ net.Conn }

func (d deaf) Read(b []byte) (int, error) {
	for {
		if _, err := d.Conn.Read(b); err != nil {
			return 0, err
		}
	}
}
