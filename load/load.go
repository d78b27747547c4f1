// Package load puts a load on something and measures what its callers see: how
// many calls a second, how long each took, how many failed.
//
// In a closed loop every caller makes its next call when the last one is over; in
// an open loop calls come at a rate, whether or not earlier ones are over, and
// each is timed from when it was to come: what waits behind a stall counts as
// waiting. Calls that were to come and could not be made in time count as failed.
//
// The package knows nothing of what is called, so that whatever is compared is
// measured by the same clock and the same counting.
package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Load says what to call, and how often. Callers, Time and Call are needed.
type Load struct {
	// Callers is how many calls may be under way at once.
	Callers int
	// Rate is how many calls are to come a second, by all callers together, evenly
	// spread. Zero: a closed loop.
	Rate float64
	// Warm goes before Time; its calls are made and not counted.
	Warm, Time time.Duration
	// Most ends the run after so many calls, those of Warm among them, if that is before
	// its time. Zero: no limit.
	Most uint64
	// Call makes one call for a caller. over is when the part of it that is timed
	// was over; zero: when it returned. It may go on after ctx has ended.
	Call func(ctx context.Context, caller int) (over time.Time, err error)
}

// ErrUnsent is the error of calls that were to come and were not made: the callers
// were so far behind that they gave up.
var ErrUnsent = errors.New("not sent: all callers were busy with earlier calls")

// patience is how much longer than its time an open loop runs to make the calls
// that were to come within it.
const patience = 2

// Run makes the calls until the time is over or ctx ends, and returns when none is
// under way.
func (l Load) Run(ctx context.Context) *Result {
	r := newResult()
	begin := time.Now()
	counted := begin.Add(l.Warm)
	end := counted.Add(l.Time)
	var callers sync.WaitGroup
	var made atomic.Uint64
	more := func() bool { return l.Most == 0 || made.Add(1) <= l.Most }
	for i := range l.Callers {
		callers.Go(func() {
			ctx, cancel := context.WithCancel(ctx) // as requests have: all would wait for the lock of one
			defer cancel()
			if l.Rate > 0 {
				l.open(ctx, r, i, begin, counted, end, more)
			} else {
				l.closed(ctx, r, i, counted, end, more)
			}
		})
	}
	callers.Wait()
	r.Elapsed = max(time.Since(counted), 0)
	if l.Rate > 0 && l.Most == 0 {
		r.Elapsed = max(r.Elapsed, l.Time)
	}
	return r
}

func (l Load) closed(ctx context.Context, r *Result, caller int, counted, end time.Time, more func() bool) {
	for ctx.Err() == nil {
		due := time.Now()
		if !due.Before(end) || !more() {
			return
		}
		l.call(ctx, r, caller, due, !due.Before(counted))
	}
}

func (l Load) open(ctx context.Context, r *Result, caller int, begin, counted, end time.Time, more func() bool) {
	each := time.Duration(float64(l.Callers) / l.Rate * float64(time.Second))
	first := begin.Add(each * time.Duration(caller) / time.Duration(l.Callers))
	giveUp := end.Add((patience - 1) * l.Time)
	wait := time.NewTimer(0)
	defer wait.Stop()
	for due := first; due.Before(end); due = due.Add(each) {
		now := time.Now()
		if ahead := due.Sub(now); ahead > 0 {
			wait.Reset(ahead)
			select {
			case <-wait.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil || !more() {
			return
		}
		if now.After(giveUp) {
			r.fail(ErrUnsent)
			continue
		}
		l.call(ctx, r, caller, due, !due.Before(counted))
	}
}

func (l Load) call(ctx context.Context, r *Result, caller int, due time.Time, count bool) {
	over, err := l.Call(ctx, caller)
	if !count || ctx.Err() != nil {
		return
	}
	if err != nil {
		r.fail(err)
		return
	}
	if over.IsZero() {
		over = time.Now()
	}
	r.add(caller, over.Sub(due))
}
