package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// strangers judge who connects by what has come from there before.
type strangers interface {
	// Wary reports whether the connections of an address are not worth a handshake now.
	Wary(netip.Addr) bool
	// Mute and Idle count a connection that asked for nothing: until its time was up, or
	// until its client hung up.
	Mute(netip.Addr)
	Idle(netip.Addr)
}

// network is what connections are queued by: a /24, or of IPv6 a /64, which is what one
// customer has at least.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// watched is a connection that has been let in, of which it is not known yet whether it asks
// for anything.
type watched struct {
	from   netip.Addr
	since  time.Time
	judges strangers
	queue  *queue
	once   sync.Once
}

// spoke is for one that has asked; closed for one that is closed.
func (w *watched) spoke() { w.once.Do(func() { w.queue.left(network(w.from)) }) }

func (w *watched) closed() {
	w.once.Do(func() {
		w.queue.left(network(w.from))
		if time.Since(w.since) >= headerTime*9/10 {
			w.judges.Mute(w.from)
		} else {
			w.judges.Idle(w.from)
		}
	})
}

// hear is an http.Server's ConnState: it notes who has begun to ask.
func hear(c net.Conn, state http.ConnState) {
	if state != http.StateActive {
		return
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if counted, ok := c.(*countedConn); ok && counted.watched != nil {
		counted.watched.spoke()
	}
}
