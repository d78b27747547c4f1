package model

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"sitegate/license"
)

// History is what was asked and answered, written down as it happens. Its times
// are of one clock that does not jump: durations since the history began. The
// zero value is not ready; Begin makes one. It is safe for concurrent use.
type History struct {
	began time.Time

	mu    sync.Mutex
	ops   []porcupine.Operation
	wrong []error
}

// Begin begins an empty history.
func Begin() *History { return &History{began: time.Now()} }

// Now is the time of the history.
func (h *History) Now() time.Duration { return time.Since(h.began) }

// Do asks and writes down what was asked and answered, by a client of this
// number. Where ask returns an Unknown output, Operations sees to the rest.
func (h *History) Do(client int, in Input, ask func() Output) Output {
	call := h.Now()
	out := ask()
	h.Add(client, in, out, call, h.Now())
	return out
}

// Add writes down one operation with the times of its call and return.
func (h *History) Add(client int, in Input, out Output, call, ret time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(call), Return: int64(ret)})
}

// Expired writes down that a session was seen to have expired, at a time when its
// lease could have run out since deadline: what its client sent the last
// acknowledged heartbeat (or its start) at, plus the time to live it was
// promised. A session that was seen to have expired before that is an error of
// the site, which Check reports.
func (h *History) Expired(client int, user license.UserID, session license.ID, deadline, seen time.Duration) {
	h.passed(client, Input{Op: Expire, User: user, ID: session}, deadline, seen)
}

// MayExpire writes down that a session was left alone: from the deadline on, see
// Expired, it may expire unseen.
func (h *History) MayExpire(client int, user license.UserID, session license.ID, deadline time.Duration) {
	h.Add(client, Input{Op: Expire, User: user, ID: session}, Unknown(), deadline, deadline)
}

// Ended writes down that a checkout was seen to have ended by its date, which is
// not to be before then.
func (h *History) Ended(client int, user license.UserID, checkout license.ID, date, seen time.Duration) {
	h.passed(client, Input{Op: End, User: user, ID: checkout}, date, seen)
}

func (h *History) passed(client int, in Input, from, seen time.Duration) {
	if seen < from {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.wrong = append(h.wrong, fmt.Errorf("%s of %s at %v, which may not be before %v", in, in.User, seen, from))
		return
	}
	h.Add(client, in, Granted(), from, seen)
}

// Operations returns what was written down, closed: an operation whose outcome is
// unknown is open until after all others, unless the end of its session or checkout
// is known, and is left out where it changed nothing.
func (h *History) Operations() []porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return settle(h.ops)
}

// ErrImpossible says that no order of a history's operations gives its answers.
var ErrImpossible = errors.New("the history is not possible by the rules")

// ErrUndecided says that the time did not suffice to tell.
var ErrUndecided = errors.New("the history could not be decided in time")

// Check says whether the site's rules could have given the history's answers. It
// gives up after the timeout; zero is never. With an error other than
// ErrUndecided the returned info shows how far an order was found.
func (h *History) Check(site Site, timeout time.Duration) (porcupine.Model, porcupine.LinearizationInfo, error) {
	m := New(site)
	result, info := porcupine.CheckOperationsVerbose(m, h.Operations(), timeout)
	h.mu.Lock()
	err := errors.Join(h.wrong...)
	h.mu.Unlock()
	switch result {
	case porcupine.Illegal:
		err = errors.Join(err, ErrImpossible)
	case porcupine.Unknown:
		err = errors.Join(err, ErrUndecided)
	}
	return m, info, err
}
