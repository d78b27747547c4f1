package egress

import (
	"sync"
	"time"
)

// How long a proxy that failed is left alone: twice as long each time.
const (
	firstRest = 2 * time.Second
	maxRest   = time.Minute
)

// health is how a proxy has been doing, as those who used it found. The zero health is well.
type health struct {
	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // not used before this, where there is another
	trying   bool      // one connection is out to see, since the rest was over
	good     time.Time // when it last opened a tunnel
	seen     time.Time // when somebody last found something out
	bad      time.Time // since when it does not
	err      error     // what went wrong last
}

// admit says whether the proxy is to be used: it is well, or its rest is over and nobody else is trying. Whoever is admitted says what came
// of it: ok, fail, answered or leave.
func (h *health) admit(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures == 0 {
		return true
	}
	if h.trying || now.Before(h.until) {
		return false
	}
	h.trying = true
	return true
}

// ok notes that it works; true: it did not before.
func (h *health) ok() (recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	recovered = h.failures > 0
	h.failures, h.trying, h.err, h.good = 0, false, nil, time.Now()
	h.seen = h.good
	return recovered
}

// answered notes that the proxy is there, whatever it said.
func (h *health) answered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.trying, h.err, h.seen = 0, false, nil, time.Now()
}

// fail notes that it does not work; true: it did before.
func (h *health) fail(err error) (fell bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if fell = h.failures == 0; fell {
		h.bad = now
	}
	if h.trying || !now.Before(h.until) { // many that fail at once are one failure
		h.until = now.Add(min(firstRest<<min(h.failures, 10), maxRest))
		h.failures++
	}
	h.trying, h.err, h.seen = false, err, now
	return fell
}

// leave takes back an admission that came to nothing.
func (h *health) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trying = false
}

// due says whether a probe would tell something: it failed and its rest is over, or nobody has used it for as long as quiet.
func (h *health) due(now time.Time, quiet time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures > 0 {
		return !h.trying && !now.Before(h.until)
	}
	return now.Sub(h.seen) >= quiet
}
