package gateway

import (
	"sync"
	"time"
)

const (
	breakAfter = 5                // questions in a row that the cloud did not answer
	breakFor   = 2 * time.Second  // before one is tried again
	breakMax   = 30 * time.Second // before the next ones
	maxAsking  = 20_000           // questions under way

	slowAnswer = time.Second     // an answer that takes longer is slow
	slowSample = 8               // answers by which it is judged
	slowWithin = 5 * time.Minute // older ones do not count
)

// breaker keeps everybody from waiting for a cloud that does not answer what it is
// asked, though it may answer otherwise: after breakAfter questions in vain it lets only
// one through now and then, until one is answered. It also knows whether answers are
// slow, and bounds how many questions are under way.
type breaker struct {
	mu     sync.Mutex // guards all below
	asking int
	vain   int           // in a row
	pause  time.Duration // zero: closed
	until  time.Time     // none is let through before
	trial  bool          // one is under way that will tell
	recent [slowSample]answered
	next   int // in recent
}

type answered struct {
	at   time.Time
	slow bool
}

// allow reports whether the cloud may be asked; if so, done is to be called.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.asking >= maxAsking:
		return false
	case b.pause > 0 && (b.trial || time.Now().Before(b.until)):
		return false
	}
	b.trial = b.pause > 0
	b.asking++
	return true
}

// done hears how it went: answered after a time, or in vain. closed: the cloud answers
// again after it was not asked for a while.
func (b *breaker) done(took time.Duration, inVain bool) (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking--
	b.trial = false
	b.recent[b.next] = answered{time.Now(), inVain || took > slowAnswer}
	b.next = (b.next + 1) % slowSample
	if !inVain {
		closed = b.pause > 0
		b.vain, b.pause = 0, 0
		return closed
	}
	if b.vain++; b.vain >= breakAfter || b.pause > 0 {
		b.pause = min(max(2*b.pause, breakFor), breakMax)
		b.until = time.Now().Add(b.pause)
	}
	return false
}

// gone: who asked went away before it was answered, which tells nothing.
func (b *breaker) gone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking--
	b.trial = false
}

// slow reports whether most of the last answers took too long or never came.
func (b *breaker) slow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause > 0 {
		return true
	}
	n, slow := 0, 0
	for _, a := range b.recent {
		if !a.at.IsZero() && time.Since(a.at) < slowWithin {
			if n++; a.slow {
				slow++
			}
		}
	}
	return n >= slowSample/2 && 2*slow > n
}

// begin forgets what an earlier leadership has seen.
func (b *breaker) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.vain, b.pause, b.trial, b.recent = 0, 0, false, [slowSample]answered{}
}
