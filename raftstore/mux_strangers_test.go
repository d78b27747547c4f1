package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func addr(format string, args ...any) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf(format, args...))
}

// admitAll admits whom there is room for of one address, and says how many they were.
func admitAll(m *mux, a netip.Addr) (n int) {
	for {
		if _, ok := m.admit(a); !ok {
			return n
		}
		n++
	}
}

// crowd takes all room that there is for strangers, from other addresses than any test's.
func crowd(m *mux) {
	for i := range maxStrangers {
		admitAll(m, addr("192.0.2.%d", i))
	}
}

// One host does not keep the others from the port, nor do all together take more than there is.
func TestStrangersAreBoundedByHost(t *testing.T) {
	m := &mux{strangers: map[room]int{}}
	first, _ := m.admit(addr("10.0.0.1"))
	if n := 1 + admitAll(m, addr("10.0.0.1")); n != strangersOfHost {
		t.Errorf("a host has room for %d, want %d", n, strangersOfHost)
	}
	others := 0
	for i := range maxStrangers {
		if _, ok := m.admit(addr("10.0.1.%d", i)); ok {
			others++
		}
	}
	if others != maxStrangers-strangersOfHost {
		t.Errorf("%d others are let in, want %d", others, maxStrangers-strangersOfHost)
	}
	m.admitted(first)
	if _, ok := m.admit(addr("10.0.2.1")); !ok {
		t.Error("one has said who it is, and nobody takes its place")
	}
}

// Who has IPv6 has as many addresses as they like, and is one host.
func TestStrangersOfOneNetworkAreOneHost(t *testing.T) {
	m := &mux{strangers: map[room]int{}}
	let := 0
	for i := range maxStrangers {
		if _, ok := m.admit(addr("2001:db8:0:1::%x", i)); ok {
			let++
		}
	}
	if let != strangersOfHost {
		t.Errorf("a /64 has room for %d, want %d", let, strangersOfHost)
	}
	if _, ok := m.admit(addr("2001:db8:0:2::1")); !ok {
		t.Error("another /64 is not let in")
	}
}

// An address at which a member is looked for, or by which it was connected, has room of its
// own; it is not endless, and its neighbours have none of it.
func TestMembersAddressesHaveRoomOfTheirOwn(t *testing.T) {
	m := &mux{strangers: map[room]int{}, known: map[string]*known{}, conns: map[net.Conn]*caller{}, listed: func(string) string { return "gw2.example:7443" }}
	m.expect([]string{"10.0.0.1:7443", "[2001:db8::1]:7443", "gw2.example:7443", "gw4"})
	crowd(m)
	for _, a := range []string{"10.0.0.3", "2001:db8::2", "10.0.0.7", "10.0.0.8"} {
		if n := admitAll(m, addr("%s", a)); n != 0 {
			t.Errorf("%d strangers from %s are let in beside all others, want none", n, a)
		}
	}
	for at, dialled := range map[string]bool{"10.0.0.7": false, "::ffff:10.0.0.8": true} {
		if err := m.enter(from{at: at}, caller{name: "gw2", instance: "i"}, hello{}, dialled); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []string{"10.0.0.1", "2001:db8::1", "10.0.0.7", "10.0.0.8"} {
		if n := admitAll(m, addr("%s", a)); n != strangersOfMember {
			t.Errorf("%s, where a member is, has room for %d, want %d", a, n, strangersOfMember)
		}
	}
}

// Who is not of the cluster any more has no room of a member's, wherever it was connected, and
// whether it still is.
func TestWhoIsRemovedLosesTheRoomOfItsAddress(t *testing.T) {
	m := &mux{strangers: map[room]int{}, known: map[string]*known{}, listed: func(string) string { return "" },
		vet: func(c caller) (error, bool) {
			if c.name == "gw2" {
				return errors.New("it was removed"), true
			}
			return nil, true
		}}
	for name, at := range map[string]string{"gw2": "10.0.0.2", "gw3": "10.0.0.3"} {
		for _, dialled := range []bool{false, true} {
			if err := m.enter(from{at: at}, caller{name: name, instance: name}, hello{}, dialled); err != nil {
				t.Fatal(err)
			}
		}
	}
	crowd(m)
	m.recheck()
	for at, want := range map[string]int{"10.0.0.2": 0, "10.0.0.3": strangersOfMember} {
		if n := admitAll(m, addr("%s", at)); n != want {
			t.Errorf("%s has room for %d strangers, want %d", at, n, want)
		}
	}
}

// from is a connection that comes from an address.
type from struct {
	net.Conn
	at string
}

// RemoteAddr is that address.
func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.at), Port: 40_000} }

// Strangers that take all room there is keep the nodes from nothing: with the leader lost,
// the others find each other and go on, and it comes back.
func TestStrangersDoNotKeepTheNodesFromOneAnother(t *testing.T) {
	c := newCluster(t, nil)
	lost := c.leader()
	c.do(fill(2))
	eventually(t, func() error { return shakesHands(t, lost) }) // there is room
	eventually(t, func() error {
		lost.mux.mu.Lock()
		defer lost.mux.mu.Unlock()
		if n := len(lost.mux.strangers); n > 0 { // the crowd is to take theirs, too
			return fmt.Errorf("strangers take %d rooms", n)
		}
		return nil
	})
	for _, s := range c.nodes {
		crowd(s.mux)
	}
	if err := shakesHands(t, lost); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stranger for whom there is no room was not hung up on: %v", err)
	}
	c.crash(lost.cfg.Node)
	c.leader()
	c.do(start(1, 1, "WS-101"))
	crowd(c.restart(lost.cfg.Node).mux)
	c.do(start(2, 0, "WS-102"))
	c.alike()
}

// shakesHands is how a node greets somebody from an address that is no member's: nil, it goes
// on to ask who that is.
func shakesHands(t *testing.T, s *Store) error {
	t.Helper()
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}, Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := d.DialContext(limited(t), "tcp", s.Advertised())
	if err != nil {
		return err
	}
	return conn.Close()
}

// A host that asks to be let in again and again keeps no other out, until there are so many
// of them that all together are too many; and it is looked at again after a while.
func TestNewcomersAreBoundedByHost(t *testing.T) {
	n, now := newNewcomers(), time.Now()
	allowed := func(a netip.Addr) (times int) {
		for n.allow(a, now) {
			times++
		}
		return times
	}
	if got := allowed(addr("10.0.0.1")); got != newcomerBurst {
		t.Errorf("a host is looked at %d times, want %d", got, newcomerBurst)
	}
	if !n.allow(addr("10.0.0.2"), now) {
		t.Error("another host is not looked at")
	}
	rest := 0
	for i := range 100 {
		rest += allowed(addr("2001:db8:0:%x::1", i))
	}
	if want := newcomersBurst - newcomerBurst - 1; rest != want {
		t.Errorf("all others are looked at %d times, want %d", rest, want)
	}
	now = now.Add(time.Minute)
	if got := allowed(addr("10.0.0.1")); got != newcomerBurst {
		t.Errorf("after a minute a host is looked at %d times, want %d", got, newcomerBurst)
	}
}

// However many hosts ask, what is remembered of them is bounded, and who has used up what
// there is for one host is not forgotten for those that have not.
func TestNewcomersHostsAreBounded(t *testing.T) {
	n, now := newNewcomers(), time.Now()
	for n.allow(addr("10.0.0.1"), now) {
	}
	for i := range newcomerHosts + 50 {
		n.allow(addr("2001:db8:0:%x::1", i), now)
	}
	if len(n.hosts) != newcomerHosts {
		t.Errorf("%d hosts are remembered, want %d", len(n.hosts), newcomerHosts)
	}
	if n.allow(addr("10.0.0.1"), now.Add(100*time.Millisecond)) {
		t.Error("who has had too much is looked at again, once there are many others")
	}
	n.allow(addr("10.0.0.2"), now.Add(time.Minute))
	if len(n.hosts) != 1 {
		t.Errorf("%d hosts are remembered after a minute, want 1", len(n.hosts))
	}
}
