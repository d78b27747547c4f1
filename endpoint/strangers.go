package endpoint

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"sitegate/api"
)

// strangers are those who have not shown who they are: no token, or none that holds. What
// they cost is counted by address and by the network that is in, and before they are told no
// they wait until it is paid for, or are told to come back; who belongs is never asked, so
// that a stranger in the building keeps nobody from work who is known.
//
// What a stranger costs is in points, of which a refusal without more is one.
type strangers struct {
	hosts, networks *limits[netip.Prefix] // what there is to spend
	paces           *limits[netip.Prefix] // how fast a network may spend it, without waiting
	slights         *limits[netip.Prefix] // what an address may cost without being held to account for its neighbours
}

// What strangers cost.
const (
	costAnswer = 1  // to be told no
	costForged = 10 // a signature that was looked at
	costIdle   = 10 // a handshake that nothing was asked after
	costMute   = 20 // a connection that was held open until its time was up
)

// The bounds of strangers. An address can be a site of 20,000 desktops behind one NAT, whose
// tokens have all expired in a night without a link. What there is to spend is enough for each
// of them, and for each once a minute from then on (333 a second). The pace has most of them
// come again: strangerAtOnce are told at once, the last after some 40 seconds.
const (
	strangerPerSecond = 400
	strangerBurst     = 20_000
	strangerNetworks  = 2    // times that for a network: /24, or /48 of IPv6
	strangerPace      = 500  // a network's points a second before its strangers wait
	strangerAtOnce    = 1000 // and at once
	slightPerSecond   = 1    // points of an address that is not held to account for its neighbours:
	slightBurst       = 20   // a load balancer looks whether this node is well
	strangerWait      = 3 * time.Second
)

// networksOf are the two that an address is counted in. Who has IPv6 has a /64 at least, and
// as many addresses in it as they like.
func networksOf(a netip.Addr) (host, network netip.Prefix) {
	a = a.Unmap().WithZone("")
	small, large := 32, 24
	if a.Is6() {
		small, large = 64, 48
	}
	host, _ = a.Prefix(small)
	network, _ = a.Prefix(large)
	return host, network
}

// Computer is what one computer is counted by that comes from an address: that address, or of
// IPv6 its /64.
func Computer(a netip.Addr) netip.Prefix {
	one, _ := networksOf(a)
	return one
}

// hostOf is the Computer at a remote address, or what that has in place of one.
func hostOf(remote string) string {
	a, ok := remoteOf(remote)
	if !ok {
		return host(remote)
	}
	return Computer(a).String()
}

func newStrangers(each, pace Rate) *strangers {
	return &strangers{newLimits[netip.Prefix](each), newLimits[netip.Prefix](Rate{each.PerSecond * strangerNetworks, each.Burst * strangerNetworks}),
		newLimits[netip.Prefix](pace), newLimits[netip.Prefix](Rate{slightPerSecond, min(slightBurst, each.Burst)})}
}

// peek reports whether a stranger at an address is heard now, and if not, in how long. An
// address that has hardly cost anything is, whatever its neighbours do.
func (s *strangers) peek(a netip.Addr) (wait time.Duration, ok bool) {
	host, network := networksOf(a)
	if wait, ok := s.hosts.peek(host); !ok {
		return wait, false
	}
	if s.slight(host) {
		return 0, true
	}
	return s.networks.peek(network)
}

func (s *strangers) slight(host netip.Prefix) bool { _, ok := s.slights.peek(host); return ok }

// pay counts what a stranger at an address has cost, and is how long its network has to wait
// for it.
func (s *strangers) pay(a netip.Addr, cost int) (wait time.Duration) {
	host, network := networksOf(a)
	if slight := s.slight(host); !slight {
		wait = s.paces.owe(network, cost, 2*strangerWait)
	}
	s.slights.pay(host, cost)
	s.hosts.pay(host, cost)
	s.networks.pay(network, cost)
	return wait
}

// hurried reports whether a network spends faster than it may.
func (s *strangers) hurried(a netip.Addr) bool {
	host, network := networksOf(a)
	_, ok := s.paces.peek(network)
	return !ok && !s.slight(host)
}

// Wary reports whether so much junk comes from an address that its new connections are
// not worth a TLS handshake each.
func (e *Endpoint) Wary(a netip.Addr) bool {
	_, ok := e.strays.peek(a)
	return !ok || e.strays.hurried(a)
}

// Mute counts a connection of an address that was held open until its time was up, and
// asked for nothing.
func (e *Endpoint) Mute(a netip.Addr) { e.strays.pay(a, costMute) }

// Idle counts a connection of an address that has gone without having asked for anything.
func (e *Endpoint) Idle(a netip.Addr) { e.strays.pay(a, costIdle) }

// heard refuses strangers who have cost too much. Their connection is closed, so that the
// next one has to be made first.
func (e *Endpoint) heard(c *call) error {
	from, ok := remoteOf(c.r.RemoteAddr)
	if !ok {
		return nil // of this machine's own socket
	}
	if wait, ok := e.strays.peek(from); !ok {
		return e.later(c, wait)
	}
	return nil
}

func (e *Endpoint) later(c *call, wait time.Duration) error {
	e.metrics.limited.Inc()
	c.w.Header().Set("Connection", "close")
	return &trouble{code: api.CodeTooMany, after: wait}
}

// toll has a stranger pay for the answer that they are about to get, and wait for it where
// too many of their network are. An error: they are to come back.
func (e *Endpoint) toll(c *call, cost int) error {
	if err := e.heard(c); err != nil {
		return err
	}
	from, ok := remoteOf(c.r.RemoteAddr)
	if !ok {
		return nil
	}
	c.w.paid = true
	wait := e.strays.pay(from, cost)
	if wait > strangerWait {
		return e.later(c, wait)
	}
	if wait > 0 {
		late := time.NewTimer(wait)
		defer late.Stop()
		select {
		case <-late.C:
		case <-c.r.Context().Done():
		}
	}
	return nil
}

// stranger is what somebody is told whose token was not taken.
func (e *Endpoint) stranger(c *call, err error) error {
	var a *authError
	if !errors.As(err, &a) {
		return err
	}
	if a.why != tokenMissing { // who has none has not tried
		e.denials.note("sign-in-denied", a.why, host(c.r.RemoteAddr))
	}
	cost := costAnswer
	if a.why == tokenSignature || a.why == tokenKey {
		cost = costForged
	}
	return cmp.Or(e.toll(c, cost), err)
}

// charge has a stranger pay who was told no, and has not paid yet.
func (e *Endpoint) charge(w *recorder) {
	from, ok := remoteOf(w.call.r.RemoteAddr)
	if !ok || w.paid || w.status < 400 || w.status >= 500 || w.status == http.StatusTooManyRequests || w.call.known() {
		return
	}
	e.strays.pay(from, costAnswer)
}

// remoteOf is the address of a remote address, if it has one.
func remoteOf(remote string) (a netip.Addr, ok bool) {
	ap, err := netip.ParseAddrPort(remote)
	return ap.Addr(), err == nil
}
