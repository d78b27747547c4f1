package endpoint

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// pollMost is how long a poll waits for something to tell, at most.
const pollMost = 25 * time.Second

// poll is GET /v1/notices/poll, for who gets no websocket through: it answers with what
// came after since, as soon as there is something, or with how things are.
func (e *Endpoint) poll(c *call) (reply, error) {
	who, since, err := e.listener(c)
	if err != nil {
		return reply{}, err
	}
	wait, err := pollWait(c.r.URL.Query().Get("wait_ms"))
	if err != nil {
		return reply{}, err
	}
	if since, err = e.reached(c, since); err != nil {
		return reply{}, err
	}
	if site, err := e.allowed(c, &who); err != nil || site {
		if err == nil {
			err = malformed("a poll has no feed: the events have")
		}
		return reply{}, err
	}
	if err := e.room(); err != nil {
		return reply{}, err
	}
	defer e.sockets.leave()
	woken := make(chan struct{}, 1)
	who.Wake = func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	sub, err := e.hub.Subscribe(who, since)
	if err != nil {
		return reply{}, &trouble{code: api.CodeTooMany, detail: err.Error(), after: 30 * time.Second}
	}
	defer sub.Close()
	http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(pollMost + answerTimeout)) // a writer that knows none needs none
	out, err := e.polled(c, sub, since, wait, woken)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: out}, nil
}

func pollWait(s string) (time.Duration, error) {
	if s == "" {
		return pollMost, nil
	}
	ms, err := strconv.ParseInt(s, 10, 32)
	if err != nil || ms < 0 || ms > pollMost.Milliseconds() {
		return 0, malformed("wait_ms is from 0 to 25000")
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// polled waits for something to tell, unless there is a gap, and tells it. Who has a gap
// meanwhile is answered with nothing, and comes back; whose place was taken is told so. Nothing is told to who may not
// hear it any more, and that nothing has happened only by a node that would know.
func (e *Endpoint) polled(c *call, sub *notice.Subscription, since notice.Token, wait time.Duration, woken <-chan struct{}) (out api.Poll, err error) {
	out.Notices = []api.Notice{}
	if !sub.Recovered {
		out.Hello, out.State, _ = e.greeting(false, sub.From, c.caller, c.lang)
		return out, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, wait)
	defer cancel()
	gone := e.sockets.left()
	at, end := since, notice.Open
	for {
		pos := e.hub.Position() // before Take: what is told up to it has been queued
		var ns []*notice.Notice
		ns, end = sub.Take()
		for _, n := range ns {
			at = notice.Token{Epoch: n.Epoch, Seq: n.Seq}
			out.Notices = append(out.Notices, *e.word(n, c.lang, n.Mine(sub.Who().Machine)))
		}
		if end == notice.Open && at.Before(pos) && pos.Epoch == at.Epoch {
			at = pos
		}
		if len(ns) > 0 || end != notice.Open || ctx.Err() != nil {
			break
		}
		select {
		case <-woken:
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}
	if end == notice.Replaced {
		return out, &trouble{code: api.CodeReplaced}
	}
	if err := e.still(c.caller, sub.Who()); err != nil && !tells(out.Notices, err) {
		return out, err
	}
	if len(out.Notices) == 0 && !e.sockets.going() && !e.led(c.ctx) {
		return out, gateway.ErrNoLeader
	}
	out.Hello, _, _ = e.greeting(true, at, c.caller, c.lang)
	return out, nil
}

// tells reports whether who may not be told any more is told why by these notices, which
// are then the last.
func tells(notices []api.Notice, why error) bool {
	var d denied
	return errors.As(why, &d) && (d.denial.Reason == license.UserBlockedHere || d.denial.Reason == license.MachineBlocked) &&
		slices.ContainsFunc(notices, func(n api.Notice) bool { return n.Kind == api.KindBlocked || n.Kind == api.KindReleased })
}

// still finds out whether a caller may be told as who they were let in as.
func (e *Endpoint) still(caller Caller, was notice.Subscriber) error {
	if caller.key != nil && caller.key.withdrawn.Load() {
		return &authError{tokenKey}
	}
	var now license.UserID
	var err error
	e.gw.View(func(s *license.State) {
		if now, err = known(s, caller); err == nil {
			err = barred(s, &caller, was.Machine)
		}
	})
	if err == nil && now != was.User {
		err = &trouble{code: api.CodeNotReady, detail: "this user is known by another id now: connect again", after: time.Second}
	}
	return err
}
