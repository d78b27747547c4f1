package main

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

// named is a connection that is known by a name.
type named struct {
	net.Conn
	name   string
	closed bool
}

func (n *named) Close() error { n.closed = true; return nil }

// Who comes alone is let in before the thousands of another network, which go in the order
// in which they came; one network has only so many waiting.
func TestNetworksTakeTurns(t *testing.T) {
	q := newQueue(1000, 0)
	many, few := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.1.0/24")
	put := func(from netip.Prefix, name string) bool { return q.put(&named{name: name}, from) }
	for i := range 1000 {
		if !put(many, fmt.Sprint("m", i)) {
			t.Fatalf("%d of 1000 were taken", i)
		}
	}
	if put(many, "one too many") {
		t.Error("more than 1000 of one network wait")
	}
	next := func(want string) {
		t.Helper()
		if c := q.next(); c == nil || c.(*named).name != want {
			t.Fatalf("let in is %v, want %s", c, want)
		}
	}
	for i := range 500 {
		next(fmt.Sprint("m", i))
	}
	put(few, "a")
	put(few, "b")
	put(netip.MustParsePrefix("10.0.2.0/24"), "c")
	for _, want := range []string{"m500", "a", "c", "m501", "b", "m502", "m503"} {
		next(want)
	}
	last := &named{name: "left behind"}
	q.put(last, few)
	q.close()
	if !last.closed || q.next() != nil || len(q.of) != 0 {
		t.Errorf("after the end: hung up %t, %d networks remembered; want true, 0", last.closed, len(q.of))
	}
}

// Of a network of which as many are silent as may be, the next come in when one has asked or
// gone; others do not wait for that.
func TestSilentNetworksWait(t *testing.T) {
	q := newQueue(10, 2)
	mute, other := netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.1.0/24")
	for i := range 4 {
		q.put(&named{name: fmt.Sprint("m", i)}, mute)
	}
	q.put(&named{name: "a"}, other)
	for _, want := range []string{"m0", "a", "m1", ""} {
		got := ""
		if c := q.next(); c != nil {
			got = c.(*named).name
		}
		if got != want {
			t.Fatalf("let in is %q, want %q", got, want)
		}
	}
	q.left(mute)
	if c := q.next(); c == nil || c.(*named).name != "m2" {
		t.Fatalf("after one has asked %v is let in, want m2", c)
	}
	if c := q.next(); c != nil {
		t.Fatalf("%v is let in beside two that are silent", c)
	}
	for range 2 {
		q.left(mute)
	}
	q.left(other)
	if c := q.next(); c == nil || c.(*named).name != "m3" {
		t.Fatalf("%v is let in, want m3", c)
	}
	q.left(mute)
	if len(q.of) != 0 {
		t.Errorf("%d networks are remembered of which nobody is here", len(q.of))
	}
}
