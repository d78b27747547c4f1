package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"sitegate/api"
)

// beatWait is how long a heartbeat on the websocket may go unanswered before it
// is sent as a request.
const beatWait = 5 * time.Second

// beating is one heartbeat on its way, through as many tries as it takes.
type beating struct {
	again bool
	over  string // the node of a websocket that could not renew
	keyed bool   // the key was shown anew for it
}

// send tries once: on the websocket where one is up and has not just failed,
// else as a request to one node. sent is when the acknowledged one left.
func (b *beating) send(ctx context.Context, c *Client, session string) (sent instant, _ api.Lease, _ error) {
	link := c.notices()
	if !b.again {
		b.again = true
		sent, r, node, err := link.beat(ctx, session)
		if err == nil && r.Reason == "" {
			return sent, api.Lease{Session: session, TTLMS: r.TTLMS, Ending: r.Ending}, nil
		}
		if err == nil && (r.Reason != string(ErrKeyNeeded) || c.cfg.Key == nil) {
			return sent, api.Lease{}, c.lang.refusedBeat(node, r)
		}
		if err == nil { // it was greeted before the key was shown
			return b.byKey(ctx, c, link, session)
		}
		b.over = node
	}
	sent, l, node, err := c.beatRequest(ctx, session)
	if err == nil && b.over != "" && b.over != node {
		link.leave(b.over) // that node is cut off from its cluster, or deaf
	}
	if e, _ := errors.AsType[*Error](err); e != nil && e.Is(ErrKeyNeeded) && c.cfg.Key != nil && !b.keyed {
		return b.byKey(ctx, c, link, session)
	}
	return sent, l, err
}

// byKey sends a heartbeat as a request after a gateway wanted the key that the session was
// granted to: it is shown anew first. Where it cannot be now, that says nothing about the
// session.
func (b *beating) byKey(ctx context.Context, c *Client, link *link, session string) (instant, api.Lease, error) {
	b.keyed = true
	c.keyNeeded()
	sent, l, node, err := c.beatRequest(ctx, session)
	if err == nil {
		link.comeBack()
		return sent, l, nil
	}
	if e, _ := errors.AsType[*Error](err); e != nil && e.Is(ErrKeyNeeded) {
		if why := c.keyRefused(); why != nil {
			return sent, l, why
		}
		b.keyed = false
		return sent, l, c.lang.unreachable(node, err)
	}
	return sent, l, err
}

// refusedBeat is the problem that the same heartbeat would have got as a request, with why
// the session is over where that is known.
func (w lang) refusedBeat(node string, r api.BeatResult) *Error {
	e := &Error{Node: node, Problem: api.Problem{
		Type: api.ProblemBase + r.Reason, Code: r.Reason, Status: http.StatusConflict,
		Title: w.say("The session is over"), Detail: w.say("This session has lost its license: it is not renewed any more."),
		Next: []string{w.say("Save your work and start again.")},
	}}
	if r.Ending != nil {
		e.ended(w, r.Ending)
	}
	return e
}

// ended says why a session is over, and what can be done about that.
func (e *Error) ended(w lang, why *api.Ending) {
	e.Ending, e.Machine, e.Detail, e.Next = why, why.Machine, w.why(why), w.next(why)
}

func (c *Client) beatRequest(ctx context.Context, session string) (sent instant, l api.Lease, node string, _ error) {
	token, err := c.token(ctx)
	if err != nil {
		return sent, l, "", err
	}
	body, err := json.Marshal(api.MachineRequest{Machine: c.cfg.Machine})
	if err != nil {
		return sent, l, "", err
	}
	node, wait := c.nodes.pick()
	if !sleep(ctx, c.ctx, min(wait, maxBackoff)) {
		return sent, l, node, c.lang.unreachable(node, ctx.Err())
	}
	path := api.PathSessions + "/" + url.PathEscape(session) + "/heartbeat"
	sent = c.now()
	if _, e := c.try(ctx, node, token, http.MethodPost, path, body, &l); e != nil {
		return sent, l, node, e
	}
	if l.TTLMS <= 0 {
		return sent, l, node, c.lang.unreachable(node, errors.New("the heartbeat's answer has no lease"))
	}
	return sent, l, node, nil
}
