package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"sitegate/endpoint"
	"sitegate/siteca"
)

// One address that comes too often is turned away, others are not, and after a while
// it may come again; what is remembered of addresses is bounded.
func TestOneAddressComesOnlySoOften(t *testing.T) {
	p := &pace{each: Pace{PerSecond: 10, Burst: 3}, from: map[netip.Prefix]*visits{}}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	a, b := endpoint.Computer(netip.MustParseAddr("10.0.0.1")), endpoint.Computer(netip.MustParseAddr("10.0.0.2"))
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
		if !p.admits(endpoint.Computer(addr), now) {
			t.Fatal("a new address was turned away")
		}
	}
	if len(p.from) > maxVisitors {
		t.Errorf("%d addresses are remembered; want at most %d", len(p.from), maxVisitors)
	}
	later := now.Add(time.Minute)
	p.admits(endpoint.Computer(netip.MustParseAddr("10.2.0.1")), later)
	if len(p.from) != 1 {
		t.Errorf("a minute later %d addresses are remembered; want the new one", len(p.from))
	}
}

// Whatever a machine has, one address alone takes at most a quarter of its pace, and
// keeps the others waiting for two seconds at most.
func TestOneAddressKeepsOthersWaitingForAMoment(t *testing.T) {
	for _, cores := range []int{1, 2, 3, 4, 8, 64} {
		p := newPace(cores)
		if all := float64(p.all.Limit()); p.each.PerSecond <= 0 || p.each.PerSecond > all/4 || float64(p.each.Burst) > 2*all || p.each.Burst < 1000 {
			t.Errorf("%d cores: %+v of %v; want at most a quarter, and two seconds of it at once", cores, p.each, all)
		}
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
	if !none.admits(endpoint.Computer(netip.MustParseAddr("10.0.0.1")), time.Now()) {
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
	for range 3 { // each waits for the others, too, and no longer than is waited for a place
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
		deadline := time.Now().Add(time.Minute)
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

// A handshake keeps its place for as long as it computes, and gives it back before its
// client has to do anything.
func TestAHandshakeKeepsItsPlaceWhileItComputes(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	room := &crowd{max: 10, each: 10, log: slog.New(slog.DiscardHandler), from: map[netip.Prefix]int{}}
	ln := room.limit(inner)
	defer ln.Close()
	ca, err := siteca.New("site", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("gw", []string{"gw.example"}, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	h := make(handshakes, 1)
	signs, sign := make(chan struct{}), make(chan struct{})
	conf := h.limit(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(signs)
		<-sign // a processor that others have
		return &pair, nil
	}})
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	go tls.Client(deaf{client}, &tls.Config{ServerName: "gw.example"}).Handshake() // says hello, and hears no answer
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- tls.Server(server, conf).Handshake() }()
	<-signs
	select {
	case h <- struct{}{}:
		t.Error("there is a place while the only one computes")
	case <-time.After(5 * handshakeTime):
	}
	close(sign)
	select {
	case h <- struct{}{}:
	case <-time.After(time.Minute):
		t.Error("a place is kept for a client that does not answer")
	}
	server.Close()
	if err := <-over; err == nil {
		t.Error("a handshake with nobody has come out well")
	}
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
