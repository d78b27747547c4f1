package gateway

import (
	"context"
	"sync"
	"time"

	"sitegate/license"
)

// link is what the leader knows of the way to the cloud. It is up from the first
// answer and down once the cloud did not answer and a probe failed too; slow while it
// is up and most questions about holds take too long, and stale without contact for
// two hours. Every change goes through the log, so that every node tells its clients.
type link struct {
	g    *Gateway
	wake chan struct{}

	asking  sync.Mutex // one asks for all, see sure
	mu      sync.Mutex
	answers bool      // mu guards these
	contact time.Time // of the last answer
	read    time.Time // when the feed was last read to its end, in this leadership
}

const (
	probeEvery    = 10 * time.Second // while nothing else was heard
	probeDown     = 500 * time.Millisecond
	probeDownMax  = 5 * time.Second
	probeTimeout  = 3 * time.Second
	contactPeriod = time.Minute // how often the log is told that the link is still up
)

func newLink(g *Gateway) *link { return &link{g: g, wake: make(chan struct{}, 1)} }

// begin starts a leadership: the link is taken to be as the site knew it last,
// until the first probe.
func (l *link) begin() {
	var last license.LinkState
	l.g.log.View(func(s *license.State) { last = s.Head().Link })
	l.mu.Lock()
	l.answers, l.contact, l.read = last.Up, time.Time{}, time.Time{}
	l.mu.Unlock()
}

func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers
}

// sure is up, but of an answer: a leadership that has not heard the cloud yet asks
// it first.
func (l *link) sure(ctx context.Context) bool {
	l.asking.Lock()
	defer l.asking.Unlock()
	l.mu.Lock()
	unheard := l.answers && l.contact.IsZero()
	l.mu.Unlock()
	if unheard {
		l.probe(ctx)
	}
	return l.up()
}

// heard notes an answer of the cloud.
func (l *link) heard() {
	l.mu.Lock()
	was := l.answers
	l.answers, l.contact = true, time.Now()
	l.mu.Unlock()
	if !was {
		l.poke()
	}
}

// followed notes that the feed was read to its end.
func (l *link) followed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = time.Now()
}

// suspect asks for a probe at once.
func (l *link) suspect() {
	l.mu.Lock()
	l.contact = time.Time{}
	l.mu.Unlock()
	l.poke()
}

func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run probes and tells the log, while this node leads.
func (l *link) run(ctx context.Context) {
	var told time.Time
	toldUp, toldSlow, known := false, false, false
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-time.After(wait):
		}
		l.mu.Lock()
		quiet := time.Since(l.contact) >= probeEvery
		l.mu.Unlock()
		if quiet {
			l.probe(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		up, slow := l.up(), l.g.asks.slow()
		if !known || up != toldUp || up && (slow != toldSlow || time.Since(told) >= contactPeriod) || !up && l.stale() {
			if l.tell(ctx, up, slow) {
				known, toldUp, toldSlow, told = true, up, slow, time.Now()
			}
		}
		switch {
		case up:
			wait = probeEvery
		case wait >= probeEvery || wait == 0:
			wait = probeDown
		default:
			wait = min(2*wait, probeDownMax)
		}
	}
}

func (l *link) probe(ctx context.Context) {
	ask, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := l.g.cloud.Ping(ask)
	if err == nil {
		l.heard()
		return
	}
	if ctx.Err() != nil {
		return // the leadership has ended, not the link
	}
	if isBusy(err) {
		return // it asks to be left alone for a while, which is no silence
	}
	l.mu.Lock()
	was := l.answers
	l.answers = false
	l.mu.Unlock()
	if was {
		l.g.logger.Warn("the link to the cloud is down", "err", err)
	}
}

// stale reports whether there has been no contact for so long that the log is to be
// told, which was not yet.
func (l *link) stale() bool {
	last := l.g.head().Link
	return !last.Stale && last.Contact != 0 && l.g.log.Now() >= last.Contact.Add(license.StaleAfter)
}

func (l *link) tell(ctx context.Context, up, slow bool) bool {
	c := license.Link{Up: up, Slow: up && slow}
	if up {
		now := l.g.log.Now()
		l.mu.Lock()
		c.Contact = now.Add(-time.Since(l.contact)) // heard since the last probe was due
		if !l.read.IsZero() {
			c.Read = now.Add(-time.Since(l.read))
		}
		l.mu.Unlock()
	}
	_, err := l.g.log.Propose(ctx, c)
	return err == nil
}
