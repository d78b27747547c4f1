package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

const (
	firstRedial = 500 * time.Millisecond // where no hello has said otherwise
	lastRedial  = 30 * time.Second
	leastRedial = 100 * time.Millisecond // of what a hello is believed
	mostRedial  = 5 * time.Minute        // likewise
	settled     = time.Minute            // a connection that lived so long starts the pauses anew
	budgetPause = 30 * time.Second       // after too many frames or connections
	earlyDeaths = 2                      // of websockets, after which long polls are tried
	pollFor     = 10 * time.Minute       // before a websocket is tried again
)

// ways is which of the two ways notices come: websockets, or, where something in
// between lets none live, long polls.
type ways struct {
	early int       // websockets in a row that died young
	until time.Time // long polls until then
}

// poll reports whether to poll now, and until when.
func (w *ways) poll(now time.Time) (until time.Time, _ bool) {
	return w.until, now.Before(w.until)
}

// died takes note of a websocket's end. reached: there was somebody at the other end.
// What the gateway itself has ended or refused says nothing about the way there, but that
// what it got is no websocket: that was lost on the way.
func (w *ways) died(reached bool, err error, lived time.Duration) {
	ce, closed := errors.AsType[*websocket.CloseError](err)
	e, answered := errors.AsType[*Error](err)
	gateways := errors.Is(err, errMoveOn) || closed && ce.Code != websocket.CloseAbnormalClosure
	if answered {
		gateways = e.Code != codeUnexpected && e.Code != string(ErrUnreachable) && e.Code != api.CodeMalformed
	}
	switch {
	case lived >= settled || gateways:
		w.early = 0
	case reached:
		w.early++
	}
	if w.early >= earlyDeaths {
		w.until = time.Now().Add(pollFor)
		w.early = earlyDeaths - 1 // the next one that dies young is enough
	}
}

// polled takes note of how long polls have ended. Where they get through no better,
// there is no use in them.
func (w *ways) polled(err error) {
	e, ok := errors.AsType[*Error](err)
	if err != nil && (!ok || e.Code == string(ErrUnreachable) || e.Code == codeUnexpected || e.Code == api.CodeNotFound) {
		*w = ways{}
	}
}

// comeback is the pause before a try after so many that failed in a row: none before
// the first, then as the last hello has it, at random, so that those who lost the same
// node come back apart.
func (l *link) comeback(failed int) time.Duration {
	l.mu.Lock()
	r := l.retry
	l.mu.Unlock()
	within := func(ms int64, usual time.Duration) time.Duration {
		if ms <= 0 {
			return usual
		}
		return max(leastRedial, millis(ms, mostRedial))
	}
	if failed == 1 {
		return jitter(1, within(r.FirstMS, firstRedial), mostRedial)
	}
	return jitter(failed, within(r.MinMS, firstRedial), within(r.MaxMS, lastRedial))
}

type verdict struct {
	stop   error         // do not come back
	pause  time.Duration // at least, before coming back
	atOnce bool          // without a pause of ours, unless that has just been tried
}

var noVerdict verdict

// judge decides what the end of a connection means: close codes 4000 to 4499, and
// whatever is not ours, come back; 4500 to 4999 do not.
func (l *link) judge(node string, err error) verdict {
	if errors.Is(err, errMoveOn) {
		return verdict{atOnce: true}
	}
	if e, ok := errors.AsType[*Error](err); ok { // the request was answered with a problem
		switch {
		case e.Denied() || e.Code == api.CodeForbidden || e.Code == api.CodeReplaced:
			return verdict{stop: e}
		case e.Code == api.CodeUnauthorized || e.Code == codeSignIn || e.Code == codeKeyUnusable || e.Code == api.CodeTooMany:
			return verdict{pause: max(after(e), time.Second)}
		default:
			l.c.nodes.failed(node, after(e))
			return verdict{}
		}
	}
	ce, ok := errors.AsType[*websocket.CloseError](err)
	if !ok {
		l.c.nodes.failed(node, 0)
		return verdict{}
	}
	switch {
	case ce.Code == api.CloseSlow || ce.Code == api.CloseResume || ce.Code == api.CloseUnauthorized:
		return verdict{atOnce: true}
	case ce.Code == api.CloseBudget:
		return verdict{pause: budgetPause}
	case ce.Code >= 4500 && ce.Code <= 4999:
		return verdict{stop: l.c.lang.closed(node, ce)}
	case ce.Code >= 4000 && ce.Code <= 4499:
		return verdict{}
	}
	l.c.nodes.failed(node, 0) // 1006, 1012, 1013: it goes or is gone
	return verdict{atOnce: ce.Code == websocket.CloseServiceRestart}
}

// closed is the problem a terminal close code stands for.
func (w lang) closed(node string, ce *websocket.CloseError) *Error {
	e := &Error{Node: node, Cause: ce, Problem: api.Problem{Code: fmt.Sprintf("closed-%d", ce.Code), Title: w.say("Notices have ended"),
		Detail: w.say("The gateway does not send notices to this client any more.")}}
	switch ce.Code {
	case api.CloseReplaced:
		e.Code, e.Detail = string(ErrReplaced), w.say("Another connection has taken this client's place.")
	case api.CloseBlocked:
		e.Code, e.Detail = string(ErrUserBlocked), w.say("This user may not connect to the license gateway.")
		e.Next = []string{w.say("Ask your license administrator.")}
	}
	e.Type = api.ProblemBase + e.Code
	return e
}
