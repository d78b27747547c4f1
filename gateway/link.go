package gateway

import (
	"context"
	"sync"
	"time"

	"sitegate/license"
)

// link is what the leader knows of the way to the cloud. It is up from the first
// answer and down once the cloud did not answer and a probe failed too, or has done
// nothing but ask to be left alone for busyMax; slow while it is up and most questions
// about holds take too long, and stale without contact for two hours. Every change goes
// through the log, so that every node tells its clients.
type link struct {
	g    *Gateway
	wake chan struct{}

	asking  chan struct{} // one asks for all, see sure
	mu      sync.Mutex
	answers bool      // mu guards these
	contact time.Time // of the last answer; zero while it is in doubt whether there would be one now
	last    time.Time // of the last answer, also while that is in doubt
	busy    time.Time // when a probe was last asked to come back later
	read    time.Time // when the feed was last read to its end, in this leadership
}

const (
	probeEvery    = 10 * time.Second // while nothing else was heard
	probeDown     = 500 * time.Millisecond
	probeDownMax  = 5 * time.Second
	probeTimeout  = 3 * time.Second
	contactPeriod = time.Minute // how often the log is told that the link is still up
	// busyMax is how long a cloud that asks to be left alone is not taken for one that is
	// down: a front door says so in an outage, too.
	busyMax   = 10 * time.Minute
	busyPause = time.Second // in which sure does not ask such a cloud again
)

func newLink(g *Gateway) *link {
	return &link{g: g, wake: make(chan struct{}, 1), asking: make(chan struct{}, 1)}
}

// begin starts a leadership: the link is taken to be as the site knew it last,
// until the first probe.
func (l *link) begin() {
	known, last := l.g.head().Link, time.Time{}
	if known.Contact != 0 {
		last = time.Now().Add(-l.g.log.Now().Sub(known.Contact))
	}
	l.mu.Lock()
	l.answers, l.last = known.Up, last
	l.contact, l.busy, l.read = time.Time{}, time.Time{}, time.Time{}
	l.mu.Unlock()
}

func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers
}

// sure reports whether the cloud answers: where that is in doubt, it is asked first, by
// one for all who want to know. A cloud that asks to be left alone has agreed to nothing.
func (l *link) sure(ctx context.Context) bool {
	if sure, ask := l.doubt(); !ask {
		return sure
	}
	select {
	case l.asking <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-l.asking }()
	if _, ask := l.doubt(); ask { // nobody has asked meanwhile
		l.probe(ctx)
	}
	sure, _ := l.doubt()
	return sure
}

// doubt reports whether the cloud is known to answer, and if not, whether to ask it.
func (l *link) doubt() (sure, ask bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sure = l.answers && !l.contact.IsZero()
	return sure, l.answers && !sure && time.Since(l.busy) >= busyPause
}

// heard notes an answer of the cloud.
func (l *link) heard() {
	l.mu.Lock()
	was := l.answers
	l.answers, l.contact, l.busy = true, time.Now(), time.Time{}
	l.last = l.contact
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
	l.mu.Lock()
	was, stays := l.answers, false
	if isBusy(err) { // which is no silence at first, and no answer either
		l.contact, l.busy = time.Time{}, time.Now()
		stays = was && time.Since(l.last) < busyMax
	}
	l.answers = stays
	l.mu.Unlock()
	if was && !stays {
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
		if !l.last.IsZero() {
			c.Contact = now.Add(-time.Since(l.last))
		}
		if !l.read.IsZero() {
			c.Read = now.Add(-time.Since(l.read))
		}
		l.mu.Unlock()
	}
	_, err := l.g.log.Propose(ctx, c)
	return err == nil
}
