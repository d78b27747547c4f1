package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a DNS server on loopback, whose answers are said query by query.
type names struct {
	addr string
	mu   sync.Mutex
	say  func(n int) []string // addresses, or a name to look for instead, for query n for IPv4 (from 0)
	n    int
}

func startNames(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &names{addr: conn.LocalAddr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if a, err := s.answer(b[:n]); err == nil {
				conn.WriteTo(a, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

func (s *names) set(say func(n int) []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say, s.n = say, 0
}

func (s *names) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *names) answer(query []byte) ([]byte, error) {
	var q dnsmessage.Message
	if err := q.Unpack(query); err != nil || len(q.Questions) != 1 {
		return nil, errors.New("no question")
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RecursionAvailable: true}, Questions: q.Questions}
	of := q.Questions[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	if list = s.say(s.n); of.Type == dnsmessage.TypeA {
		s.n++
	}
	name := of.Name
	for _, text := range list {
		head := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET} // of no time to live
		a, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			name = dnsmessage.MustNewName(text)
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: name}})
		case a.Is4() && of.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case !a.Is4() && of.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}

// door counts who comes in at an address.
type door struct {
	mu   sync.Mutex
	came int
}

func (d *door) visits() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.came
}

// openDoors listens on one port of several addresses.
func openDoors(t *testing.T, addresses ...string) (port string, doors []*door) {
	t.Helper()
	var open []net.Listener
	for range 100 {
		port = "0"
		for _, a := range addresses {
			ln, err := net.Listen("tcp", net.JoinHostPort(a, port))
			if err != nil {
				break
			}
			open = append(open, ln)
			_, port, _ = net.SplitHostPort(ln.Addr().String())
		}
		if len(open) == len(addresses) {
			break
		}
		for _, ln := range open {
			ln.Close()
		}
		open = nil
	}
	if open == nil {
		t.Fatalf("no port is free on all of %v", addresses)
	}
	var all sync.WaitGroup
	for _, ln := range open {
		d := new(door)
		doors = append(doors, d)
		all.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				d.mu.Lock()
				d.came++
				d.mu.Unlock()
				c.Close()
			}
		})
	}
	t.Cleanup(func() {
		for _, ln := range open {
			ln.Close()
		}
		all.Wait()
	})
	return port, doors
}

// TestANameThatLeadsElsewhereAMomentLaterLeadsNobodyInside: whoever has the DNS of a name that desktops are let through to may change its answers as they like, from one
// query to the next. A name is looked up once for a connection, each address is judged before it is dialled, and what is dialled is what was judged.
// 127.0.0.1 and ::1 are inside here, and 127.0.0.2 is not.
func TestANameThatLeadsElsewhereAMomentLaterLeadsNobodyInside(t *testing.T) {
	const inside, outside, name = "127.0.0.1", "127.0.0.2", "licenses.vendor.test"
	port, doors := openDoors(t, inside, outside)
	dns := startNames(t)
	d, err := New(Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	d.way.Load().net.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", dns.addr)
	}}
	var judged []netip.Addr
	var mu sync.Mutex
	admit := func(a netip.AddrPort) error {
		mu.Lock()
		defer mu.Unlock()
		judged = append(judged, a.Addr())
		if a.Addr() != netip.MustParseAddr(outside) {
			return fmt.Errorf("%s is inside", a.Addr())
		}
		return nil
	}
	dial := func(g Guest) (string, error) {
		c, err := d.DialGuest(t.Context(), "tcp", net.JoinHostPort(name, port), g)
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.RemoteAddr().(*net.TCPAddr).IP.String(), nil
	}
	always := func(list ...string) func(int) []string { return func(int) []string { return list } }

	for _, c := range []struct {
		what string
		say  func(n int) []string
		want []string // where each connection leads; empty: it is refused
	}{
		{"it leads outside", always(outside), []string{outside, outside}},
		{"it leads inside later", func(n int) []string { return [][]string{{outside}, {inside}, {inside}}[min(n, 2)] }, []string{outside, "", ""}},
		{"it leads inside and back", func(n int) []string { return []string{[]string{inside, outside}[n%2]} }, []string{"", outside, "", outside}},
		{"it leads both ways at once", always(inside, outside), nil}, // either is right, as long as nobody comes inside
		{"the same in another order", always(outside, inside), nil},
		{"it leads inside by IPv6", always("::1"), []string{""}},
		{"it hides an address of IPv4", always("::ffff:127.0.0.1"), []string{""}},
		{"it leads to a name inside", always("localhost.", inside), []string{""}},
		{"it leads to this very host", always("0.0.0.0"), []string{""}},
		{"it leads nowhere", always(), []string{""}},
	} {
		t.Run(c.what, func(t *testing.T) {
			dns.set(c.say)
			tries := max(len(c.want), 1)
			for i := range tries {
				mu.Lock()
				judged = nil
				mu.Unlock()
				got, err := dial(Guest{Admit: admit})
				if n := dns.asked(); len(c.say(0)) > 0 && n != i+1 {
					t.Errorf("connection %d: %d queries, want one each", i, n)
				}
				mu.Lock()
				if got != "" && !slices.Contains(judged, netip.MustParseAddr(got)) {
					t.Errorf("connection %d is to %s; judged were %v", i, got, judged)
				}
				mu.Unlock()
				if c.want == nil {
					continue
				}
				if got != c.want[i] {
					t.Errorf("connection %d leads to %q (%v), want %q", i, got, err, c.want[i])
				}
				var e *Error
				if got == "" && len(c.say(0)) > 0 && (!errors.As(err, &e) || e.Code != PrivateAddress || e.Action == "") {
					t.Errorf("connection %d: got %v, want %s and what to do", i, err, PrivateAddress)
				}
			}
		})
	}
	dns.set(always(outside))
	var e *Error
	if got, err := dial(Guest{}); !errors.As(err, &e) || e.Code != PrivateAddress {
		t.Errorf("with nobody to judge: got %q, %v; want %s, since all of 127.0.0.0/8 is inside", got, err, PrivateAddress)
	}
	if n := doors[0].visits(); n != 0 {
		t.Errorf("%d have come inside", n)
	}
	// The node itself may go there: it was the judge that kept the others out.
	dns.set(always(inside))
	c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(name, port))
	if err != nil {
		t.Fatalf("the node itself: %v", err)
	}
	c.Close()
	for deadline := time.Now().Add(time.Minute); doors[0].visits() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the door does not count")
		}
	}
}
