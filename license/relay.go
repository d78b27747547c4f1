package license

import "time"

// Traffic of the vendor's own client is relayed to the vendor's cloud, which decides, and
// the rule of one machine is enforced on the way: what the cloud allows becomes a start
// here before its answer leaves. Such a session is renewed by what its client asks and
// posts, which is seldom, so its lease is long; and its use is metered by the client
// itself, so that this site makes no record of it.

// The lease of a relayed session: twice the time between two postings of its client. Its
// default is for the vendor's default, an hour (TimeToKeepUnSentLogs). The longest is for
// clients that ask anew each four hours and post nothing, and a little more.
const (
	DefaultRelayedLease = 2 * time.Hour
	MaxRelayedLease     = 4*time.Hour + 10*time.Minute
)

// LongestLease is the longest that any session of the site lives without a heartbeat: no
// Start gets more.
func (s *Settings) LongestLease() time.Duration {
	if s.Relay {
		return MaxRelayedLease
	}
	return MaxLeaseTTL
}

// RelayedSession is the session of a user, machine and product that was started by
// relayed traffic, or nil. It is read-only.
func RelayedSession(s *State, user UserID, m Machine, p ProductID) *Session {
	a := s.Active(user)
	if a == nil {
		return nil
	}
	for i := range a.Sessions {
		if x := &a.Sessions[i]; x.Relayed && x.Product == p && x.Machine.Is(m) {
			return x
		}
	}
	return nil
}

// lease is how long the session of a start lives without a heartbeat.
func (c Start) lease(s *Settings) time.Duration {
	switch {
	case c.Relayed && c.TTL == 0:
		return min(DefaultRelayedLease, s.LongestLease())
	case c.Relayed:
		return min(max(c.TTL, DefaultLeaseTTL), s.LongestLease())
	case c.TTL == 0:
		return s.TTL()
	}
	return c.TTL
}

// leaseAllowed reports whether the start may ask for its lease.
func (c Start) leaseAllowed() bool {
	return c.TTL >= 0 && (c.Relayed || c.TTL <= MaxLeaseTTL)
}

// extendWait has a site that went on from a backup wait for the leases of relayed
// sessions too, where it relays: there may have been some in the time that is lost.
func (s *State) extendWait(at Time) {
	r := &s.head.Restored
	if r.At != 0 && !r.Pending && at < r.Until {
		r.Until = max(r.Until, r.At.Add(s.head.Settings.LongestLease()))
	}
}
