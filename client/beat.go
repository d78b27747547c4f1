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
		if err == nil {
			return sent, api.Lease{}, refusedBeat(node, r)
		}
		b.over = node
	}
	sent, l, node, err := c.beatRequest(ctx, session)
	if err == nil && b.over != "" && b.over != node {
		link.leave(b.over) // that node is cut off from its cluster, or deaf
	}
	return sent, l, err
}

// refusedBeat is the problem that the same heartbeat would have got as a request.
func refusedBeat(node string, r api.BeatResult) *Error {
	e := &Error{Node: node, Ending: r.Ending, Problem: api.Problem{
		Type: api.ProblemBase + r.Reason, Code: r.Reason, Status: http.StatusConflict,
		Title: "The session is over", Detail: "This session has lost its license: it is not renewed any more.",
		Next: []string{"Save your work and start again."},
	}}
	if r.Ending != nil {
		e.Machine = r.Ending.Machine
	}
	return e
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
		return sent, l, node, unreachable(node, ctx.Err())
	}
	path := api.PathSessions + "/" + url.PathEscape(session) + "/heartbeat"
	sent = c.now()
	if _, e := c.try(ctx, node, token, http.MethodPost, path, body, &l); e != nil {
		return sent, l, node, e
	}
	if l.TTLMS <= 0 {
		return sent, l, node, unreachable(node, errors.New("the heartbeat's answer has no lease"))
	}
	return sent, l, node, nil
}
