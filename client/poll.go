package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"sitegate/api"
)

const (
	pathPoll  = api.PathNotices + "/poll"
	pollLimit = 60 * time.Second // for an answer; a gateway answers within half of it
	pollLeast = time.Second      // from one to the next, where nothing has happened
)

// poll asks again and again what has happened, until then (nil), or until it cannot be
// had so either.
func (l *link) poll(ctx context.Context, node string, until time.Time) error {
	t := l.c.http.Transport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = pollLimit
	asker := &http.Client{Transport: t, CheckRedirect: l.c.http.CheckRedirect}
	defer t.CloseIdleConnections()
	for time.Now().Before(until) {
		asked := time.Now()
		p, err := l.pollOnce(ctx, asker, node)
		if err != nil {
			return err
		}
		l.c.nodes.answered(node)
		l.polled(p)
		if len(p.Notices) == 0 && !sleep(ctx, ctx, pollLeast-time.Since(asked)) {
			return ctx.Err()
		}
	}
	return nil
}

func (l *link) pollOnce(ctx context.Context, asker *http.Client, node string) (*api.Poll, error) {
	token, err := l.c.token(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+l.address(pathPoll), nil)
	if err != nil {
		return nil, l.c.lang.unreachable(node, err)
	}
	l.c.head(req.Header, token)
	req.Header.Set("Accept", "application/json, "+api.ProblemType)
	resp, err := asker.Do(req)
	if err != nil {
		return nil, l.c.lang.unreachable(node, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, l.c.lang.unreachable(node, err)
	}
	if resp.StatusCode != http.StatusOK {
		e := l.c.lang.problem(node, resp, b)
		if e.Code == api.CodeUnauthorized {
			l.c.notTaken(token)
		}
		return nil, e
	}
	var p api.Poll
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, l.c.lang.unreachable(node, errors.New("the answer to a poll cannot be read"))
	}
	return &p, nil
}

// polled deals with an answer: how things are, or what was missed, and then the token
// to come back with.
func (l *link) polled(p *api.Poll) {
	at := api.Token{Epoch: p.Hello.Epoch, Seq: p.Hello.Seq}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polling = true
	l.met(&p.Hello)
	if p.State != nil {
		l.stands(p.State, at)
	}
	for _, n := range p.Notices {
		l.hear(n, true)
	}
	if !l.known || later(at, l.token) {
		l.token, l.known = at, true
	}
	l.ready()
}
