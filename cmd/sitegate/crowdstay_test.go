package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// guest is one connection to a door, and how it goes with it.
type guest struct {
	net.Conn
	r *bufio.Reader
}

func (g guest) asks(path string) (stays bool, err error) {
	if _, err := fmt.Fprintf(g, "GET %s HTTP/1.1\r\nHost: gw.site.test\r\n\r\n", path); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(g.r, nil)
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered %s", path, resp.Status)
	}
	return !resp.Close, err
}

// stayDoor is a door whose crowd is so large. What is asked below /v1 is asked by somebody
// who is known.
func stayDoor(t *testing.T, max, each int) (room *crowd, dial func(from string) guest) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	ep, err := endpoint.New(endpoint.Config{Gateway: gateway.New(gateway.Config{Log: &nodeLog{}, Logger: log}), Hub: notice.New(0, 0), Logger: log, KeysDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ep.Administer("GET "+askedByKnown, license.Viewer, license.ClusterScope, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "well") }))
	strangers, known := ep.Handler(), ep.Operator()
	room = &crowd{max: max, each: each, log: log, suspects: newSuspects(), from: map[netip.Prefix]int{}}
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ConnState: hear, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			known.ServeHTTP(w, r)
			return
		}
		strangers.ServeHTTP(w, r)
	})}
	room.watch(srv)
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve(room.judged(raw, ep)) }()
	t.Cleanup(func() { srv.Close(); <-served })
	return room, func(from string) guest {
		t.Helper()
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}).Dial("tcp", raw.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(time.Minute))
		return guest{c, bufio.NewReader(c)}
	}
}

// inside is how many connections there are.
func (c *crowd) inside() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

const askedByKnown = "/v1/how-it-goes"

// Strangers who ask something now and then, so that their connections stay, take three
// quarters of a node's: the rest is for those who belong, who stay, and for whom strangers go.
func TestStrangersDoNotFillTheDoor(t *testing.T) {
	room, dial := stayDoor(t, 8, 8)
	var idle []guest
	for i := range 20 {
		g := dial(fmt.Sprint("127.5.0.", 1+i%4))
		stays, err := g.asks("/healthz")
		if err != nil {
			t.Fatalf("stranger %d: %v; want it answered", i, err)
		}
		if stays {
			idle = append(idle, g)
		}
		eventually(t, "who is not to stay has gone", func() bool { return room.inside() == len(idle) })
	}
	if len(idle) != 6 {
		t.Fatalf("%d of 8 are strangers' who idle; want three quarters", len(idle))
	}
	desktops := []guest{dial("127.6.0.1"), dial("127.6.0.2")}
	for range 2 {
		for i, d := range desktops {
			if stays, err := d.asks(askedByKnown); err != nil || !stays {
				t.Errorf("desktop %d: stays %t, %v; want it inside", i, stays, err)
			}
		}
	}
	for i, g := range idle[:2] {
		if stays, err := g.asks("/healthz"); err != nil || stays {
			t.Errorf("stranger %d asks again: stays %t, %v; want it answered, and gone", i, stays, err)
		}
		eventually(t, "it has gone", func() bool { return room.inside() == 7-i })
	}
	if stays, err := idle[2].asks("/healthz"); err != nil || !stays {
		t.Errorf("where there is room again, a stranger stays %t, %v; want it to", stays, err)
	}
	if stays, err := dial("127.6.0.3").asks(askedByKnown); err != nil || !stays {
		t.Errorf("a third desktop stays %t, %v; want it inside", stays, err)
	}
}

// So it is where one address alone has too many: those who belong may be behind it, too.
func TestStrangersDoNotFillTheShareOfAnAddress(t *testing.T) {
	room, dial := stayDoor(t, 100, 4)
	idle := 0
	for range 10 {
		stays, err := dial("127.5.0.1").asks("/healthz")
		if err != nil {
			t.Fatal(err)
		}
		if stays {
			idle++
		}
		eventually(t, "who is not to stay has gone", func() bool { return room.inside() == idle })
	}
	if idle != 3 {
		t.Errorf("%d of 4 idle; want three quarters", idle)
	}
	if stays, err := dial("127.5.0.1").asks(askedByKnown); err != nil || !stays {
		t.Errorf("a desktop behind the same address stays %t, %v; want it inside", stays, err)
	}
	if stays, err := dial("127.5.0.2").asks("/healthz"); err != nil || !stays {
		t.Errorf("a stranger elsewhere stays %t, %v; want it to", stays, err)
	}
}

// Who has a /64 has as many addresses as they like, and the share of one.
func TestA64IsOneAddress(t *testing.T) {
	c := &crowd{max: 10, each: 4, log: slog.New(slog.DiscardHandler), from: map[netip.Prefix]int{}}
	at := func(n, host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%d::%x", n, host)) }
	for i := range 4 {
		if !c.enter(at(1, i)) {
			t.Fatalf("the %d. was closed", i+1)
		}
	}
	if c.enter(at(1, 99)) || !c.tight(at(1, 100)) || c.tight(at(2, 1)) || !c.enter(at(2, 1)) {
		t.Errorf("want a fifth of the /64 closed, and one of another let in: %v", c.from)
	}
	for i := range 4 {
		c.leave(at(1, i))
	}
	c.leave(at(2, 1))
	if len(c.from) != 0 || c.open != 0 {
		t.Errorf("%v are still counted", c.from)
	}
}
