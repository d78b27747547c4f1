package license

import "time"

// Renewal is one session's heartbeat. Heartbeats are no log entries: the leader
// keeps who renewed when, and Renew is the rule it asks.
type Renewal struct {
	Session ID      `cbor:"1,keyasint"`
	User    UserID  `cbor:"2,keyasint"`
	Machine Machine `cbor:"3,keyasint"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"430,keyasint,omitzero"`
}

// Lease answers a Renewal: the session lives for TTL from when the heartbeat was
// sent, or the denial says why not.
type Lease struct {
	Session ID            `cbor:"1,keyasint"`
	TTL     time.Duration `cbor:"2,keyasint,omitempty"`
	Denial  *Denial       `cbor:"3,keyasint,omitempty"`
	// Notice: the session is renewed, but only until then.
	Notice *Ending `cbor:"4,keyasint,omitempty"`
}

// Renew says whether a heartbeat keeps its session alive, and for how long. It
// only reads.
func Renew(s *State, at Time, r Renewal) Lease {
	at = max(at, s.head.Now)
	x := s.Session(r.Session)
	switch {
	case x == nil:
		return Lease{Session: r.Session, Denial: deny(UnknownSession)}
	case x.User != r.User || !x.Machine.Is(r.Machine):
		return Lease{Session: r.Session, Denial: deny(NotYours)}
	case !x.Renewable(at):
		return Lease{Session: r.Session, Denial: &Denial{Reason: AlreadyEnded, Product: x.Product, License: x.License,
			Machine: x.Notice.Machine}, Notice: x.Notice}
	}
	if d := s.holder(x.User, x.Machine, x.Proof, r.Proof); d != nil {
		return Lease{Session: r.Session, Denial: d}
	}
	if d := s.doubts(x, at); d != nil {
		return Lease{Session: r.Session, Denial: d}
	}
	ttl := x.TTL
	if x.Notice != nil {
		ttl = min(ttl, x.Notice.Until.Sub(at))
	}
	return Lease{Session: r.Session, TTL: ttl, Notice: x.Notice}
}
