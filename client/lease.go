package client

import (
	"math/rand/v2"
	"time"

	"sitegate/api"
)

const (
	// margin is how long before the end of its lease a session stops; of short
	// leases, a quarter.
	margin  = 15 * time.Second
	maxTTL  = 24 * time.Hour
	lookout = time.Second // how often the wall clock is looked at
)

// lease is a session's right in time. The owner's lock guards it.
type lease struct {
	full time.Duration // the TTL that was promised with the grant
	beat time.Duration // between heartbeats
	sent instant       // the acknowledged heartbeat, or the start
	ttl  time.Duration // from then on
}

func newLease(s api.Session, sent instant) lease {
	full := millis(s.TTLMS, maxTTL)
	l := lease{full: full, ttl: full, sent: sent, beat: full / 3}
	if b := millis(s.BeatMS, maxTTL); b > 0 {
		l.beat = min(b, l.beat)
	}
	// A little early, so that a third of the lease without acknowledgement means
	// that a heartbeat went unanswered; and apart from others that started with us.
	l.beat = l.beat*3/4 + rand.N(l.beat/8+1)
	return l
}

// end is the age at which the session must have stopped.
func (l lease) end() time.Duration { return l.ttl - min(margin, l.full/4) }

// warn is the age at which a heartbeat is overdue.
func (l lease) warn() time.Duration { return l.full / 3 }

// next is how long nothing happens to a lease of this age.
func (l lease) next(age time.Duration) time.Duration {
	next := lookout
	for _, at := range []time.Duration{l.beat, l.warn(), l.end()} {
		if at > age {
			next = min(next, at-age)
		}
	}
	return next
}
