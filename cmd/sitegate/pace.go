package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace bounds how fast connections are let in, before anything is computed for them: a
// TLS handshake costs more than most requests. Who comes from one address (of IPv6, from one /64) too often is
// closed at once; all others wait for their turn (queue), so
// that a whole site may come back together. The zero value lets everybody in.
type pace struct {
	all  *rate.Limiter
	each Pace

	mu    sync.Mutex
	from  map[netip.Prefix]*visits
	swept time.Time // when those who need not be remembered were last forgotten
}

// Pace is how often, and how many at once.
type Pace struct {
	PerSecond float64
	Burst     int
}

// visits are those of one address.
type visits struct {
	left float64 // of the burst, when it last came
	at   time.Time
}

// The paces of a node. An address can be a whole building behind NAT; but all the others
// wait for no more than a quarter of the node's pace, and for what came at once no longer
// than two seconds, however few cores there are.
const (
	acceptsPerCore = 500
	acceptsBurst   = 1000
	fromOnePerCore = acceptsPerCore / 4
	burstPerCore   = acceptsPerCore * 2
	mostCoresOfOne = 4      // that are counted for one address
	maxVisitors    = 16_384 // addresses that are remembered
)

func newPace(cores int) *pace {
	counted := min(cores, mostCoresOfOne)
	return &pace{all: rate.NewLimiter(rate.Limit(acceptsPerCore*cores), acceptsBurst),
		each: Pace{float64(fromOnePerCore * counted), burstPerCore * counted}, from: map[netip.Prefix]*visits{}}
}

// newSuspects is the pace of networks that send junk: one may be the building that also
// those are in who belong.
func newSuspects() *pace {
	return &pace{each: Pace{PerSecond: 25, Burst: 25}, from: map[netip.Prefix]*visits{}}
}

// admits reports whether one more may come from a computer, or from a network, now.
func (p *pace) admits(from netip.Prefix, now time.Time) bool {
	if p.from == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.from[from]
	if v == nil {
		if len(p.from) >= maxVisitors && !p.forget(now) {
			return true // more addresses than one can remember: the pace of all still holds
		}
		v = &visits{left: float64(p.each.Burst), at: now}
		p.from[from] = v
	}
	v.left = min(float64(p.each.Burst), v.left+now.Sub(v.at).Seconds()*p.each.PerSecond)
	v.at = now
	if v.left < 1 {
		return false
	}
	v.left--
	return true
}

// forget drops who could come as often as if never seen, at most once a second. False:
// there is nobody. The lock is held.
func (p *pace) forget(now time.Time) bool {
	if now.Sub(p.swept) < time.Second {
		return false
	}
	p.swept = now
	before := len(p.from)
	for a, v := range p.from {
		if v.left+now.Sub(v.at).Seconds()*p.each.PerSecond >= float64(p.each.Burst) {
			delete(p.from, a)
		}
	}
	return len(p.from) < before
}

// turn waits for one's turn.
func (p *pace) turn() {
	if p.all != nil {
		time.Sleep(p.all.Reserve().Delay())
	}
}

// handshakes bounds how many TLS handshakes are computed at once.
type handshakes chan struct{}

// The bounds of handshakes.
const (
	handshakesPerCore = 4
	// handshakeTime is long beside what one computes, and short beside what a client may
	// take: who waits for a busy client keeps nobody else waiting.
	handshakeTime = 20 * time.Millisecond
)

func newHandshakes() handshakes {
	return make(handshakes, handshakesPerCore*runtime.GOMAXPROCS(0))
}

// limit is a configuration whose handshakes wait for a place, from when the client has
// said hello until what it is answered is computed. A node that is short of processors
// so has no more under way than it can end before their clients give up. Where the
// connection cannot tell when that is, it is after a moment.
func (h handshakes) limit(c *tls.Config) *tls.Config {
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// The server's own deadline does not end the hello's context: who has waited for
		// half of it would compute for a client that is being let go of.
		late := time.NewTimer(headerTime / 2)
		defer late.Stop()
		select {
		case h <- struct{}{}:
		case <-late.C:
			return nil, errors.New("there was no place for a handshake in time: come back later")
		case <-hello.Context().Done():
			return nil, errors.New("the handshake took too long")
		}
		leave := sync.OnceFunc(func() { <-h })
		if c, ok := hello.Conn.(*countedConn); ok {
			c.beforeWrite.Store(&leave) // the answer is written at once, and then the client computes
			context.AfterFunc(hello.Context(), leave)
			return nil, nil
		}
		over := time.AfterFunc(handshakeTime, leave)
		context.AfterFunc(hello.Context(), func() { over.Stop(); leave() })
		return nil, nil
	}
	return c
}
