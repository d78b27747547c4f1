package load

import (
	"maps"
	"sync"
	"time"
)

// Result is what a load has come to: the times of the calls that came out well,
// and what the others said.
type Result struct {
	Times
	Elapsed time.Duration // that was counted

	mu     sync.Mutex // guards what follows
	failed uint64
	errors map[string]uint64
}

// keptErrors is how many different error texts are told apart.
const keptErrors = 16

func newResult() *Result { return &Result{errors: map[string]uint64{}} }

func (r *Result) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	if text := err.Error(); len(r.errors) < keptErrors || r.errors[text] > 0 {
		r.errors[text]++
	}
}

// Failed is how many calls did not come out well.
func (r *Result) Failed() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Errors are what they said, with how often; at most 16 texts.
func (r *Result) Errors() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.errors)
}

// PerSecond is how many calls came out well a second.
func (r *Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Count()) / r.Elapsed.Seconds()
}
