package endpoint

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"sitegate/api"
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
	if site, err := e.allowed(c, &who); err != nil || site {
		if err == nil {
			err = malformed("a poll has no feed: the events have")
		}
		return reply{}, err
	}
	if since, err = e.reached(c, since); err != nil {
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
	return reply{status: http.StatusOK, body: e.polled(c, sub, since, wait, woken)}, nil
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

// polled waits for something to tell, unless there is a gap, and tells it. Who is
// replaced, or has a gap meanwhile, is answered with nothing, and comes back.
func (e *Endpoint) polled(c *call, sub *notice.Subscription, since notice.Token, wait time.Duration, woken <-chan struct{}) api.Poll {
	if !sub.Recovered {
		hello, me, _ := e.greeting(false, sub.From, c.caller, c.lang)
		return api.Poll{Hello: hello, State: me, Notices: []api.Notice{}}
	}
	ctx, cancel := context.WithTimeout(c.ctx, wait)
	defer cancel()
	gone := e.sockets.left()
	at, out := since, api.Poll{Notices: []api.Notice{}}
	for {
		pos := e.hub.Position() // before Take: what is told up to it has been queued
		ns, end := sub.Take()
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
	out.Hello, _, _ = e.greeting(true, at, c.caller, c.lang)
	return out
}
