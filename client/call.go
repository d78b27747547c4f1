package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"sitegate/api"
)

const (
	dialTimeout = 3 * time.Second
	tryTimeout  = 12 * time.Second      // one request to one node: the cloud may be asked meanwhile
	moveOver    = 20 * time.Millisecond // before a node that was not asked yet, after one that is gone
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 5 * time.Second
	maxAfter    = time.Minute // of a Retry-After that is believed
	maxAnswer   = 1 << 20     // bytes
)

// sending says when a request went out that was answered.
type sending struct {
	// first is when it was sent the first time that a node may have carried it
	// out: an answer to a repetition speaks of that one.
	first    instant
	repeated bool
	// maybe: a node may have carried it out without our hearing of it.
	maybe bool
}

// call sends a request until a node has answered it for good, on the next node
// and after a random pause where one could not, until ctx ends. The body, and so
// the id in it, stays the same.
func (c *Client) call(ctx context.Context, method, path string, in, out any) (sending, error) {
	var s sending
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return s, fmt.Errorf("encoding a request: %w", err)
		}
	}
	token, err := c.token(ctx)
	if err != nil {
		return s, err
	}
	renewed, keyed := false, false
	var last *Error
	var told *Error // the last that a node said; it tells more than a node that does not answer
	asked := map[string]bool{}
	for n := 0; ; n++ {
		url, wait := c.nodes.pick()
		pause := backoff(n)
		if last != nil && last.Code == string(ErrUnreachable) && !asked[url] {
			pause = rand.N(moveOver)
		}
		asked[url] = true
		if last != nil && last.Code == api.CodeTooMany {
			wait = max(wait, after(last)) // the limit is the user's, on every node
		}
		if !sleep(ctx, c.ctx, max(wait, pause)) {
			return s, c.gaveUp(ctx, cmp.Or(told, last))
		}
		sent := c.now()
		if !s.maybe {
			s.first = sent
		}
		var reached bool
		reached, last = c.try(ctx, url, token, method, path, body, out)
		if last == nil {
			return s, nil
		}
		if last.Code != string(ErrUnreachable) {
			told = last
		}
		switch last.Code {
		case string(ErrUnreachable), api.CodeUnknown, api.CodeInternal:
			s.maybe = s.maybe || reached
		}
		switch {
		case last.Code == api.CodeUnauthorized && !renewed:
			renewed = true
			old := token
			if token, err = c.token(ctx); errors.Is(err, ErrSignIn) || errors.Is(err, ErrKeyUnusable) || Denied(err) {
				return s, err
			}
			if err != nil || token == old {
				return s, last
			}
		case last.Code == string(ErrKeyNeeded) && c.cfg.Key != nil && !keyed:
			old := token
			c.keyNeeded()
			if token, err = c.token(ctx); err != nil {
				return s, err
			}
			var why *Error // the key could not be shown just now
			keyed, why = c.keyShown(token)
			switch {
			case !keyed && why != nil && why.Denied():
				return s, why
			case keyed && token == old, !keyed && (why == nil || !why.retry()):
				return s, last
			}
			if !keyed {
				last, told = why, why
			}
		case !last.retry():
			return s, last
		case ctx.Err() != nil || c.ctx.Err() != nil:
			return s, c.gaveUp(ctx, cmp.Or(told, last))
		case certificate(last) && n+1 >= len(c.nodes.all()):
			return s, last // waiting does not help
		}
		s.repeated = true
		c.log.Debug("request will be repeated", "node", url, "path", path, "code", last.Code)
	}
}

// gaveUp is the error of a request whose context has ended.
func (c *Client) gaveUp(ctx context.Context, last *Error) error {
	cause := ctx.Err()
	if cause == nil {
		cause = ErrClosed
	}
	if last == nil {
		return c.lang.unreachable("", cause)
	}
	e := *last
	if e.Cause == nil {
		e.Cause = cause
	} else if !errors.Is(e.Cause, cause) {
		e.Cause = fmt.Errorf("%w; %w", e.Cause, cause)
	}
	return &e
}

// token is what to show at the gateway now.
func (c *Client) token(ctx context.Context) (string, error) {
	if c.cfg.Key == nil {
		return c.access(ctx)
	}
	access, err := c.accessOr(ctx)
	return c.byKey(ctx, access, err)
}

func (c *Client) access(ctx context.Context) (string, error) {
	t, err := c.cfg.Token(ctx)
	if err == nil && t == "" {
		err = errors.New("the token is empty")
	}
	if err != nil {
		return "", c.lang.notSignedIn(err)
	}
	return t, nil
}

// try sends a request to one node, once, and keeps book of the node. reached: the
// request may have come to it, whatever became of the answer.
func (c *Client) try(ctx context.Context, url, token, method, path string, body []byte, out any) (reached bool, _ *Error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewReader(body))
	if err != nil {
		return written.Load(), c.lang.unreachable(url, err)
	}
	c.head(req.Header, token)
	req.Header.Set("Accept", "application/json, "+api.ProblemType)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.nodes.failed(url, 0)
		return written.Load(), c.lang.unreachable(url, err)
	}
	defer resp.Body.Close()
	c.dated(resp)
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		c.nodes.failed(url, 0)
		return written.Load(), c.lang.unreachable(url, err)
	}
	if resp.StatusCode/100 == 2 {
		if out != nil {
			if err := json.Unmarshal(answer, out); err != nil {
				c.nodes.failed(url, 0)
				return written.Load(), c.lang.unreachable(url, fmt.Errorf("the answer cannot be read: %w", err))
			}
		}
		c.nodes.answered(url)
		return true, nil
	}
	e := c.lang.problem(url, resp, answer)
	switch e.Code {
	case api.CodeUnauthorized:
		c.notTaken(token)
		c.nodes.answered(url)
	case api.CodeNoQuorum, api.CodeUnknown, api.CodeNotReady:
		c.nodes.failed(url, max(after(e), minBackoff))
	case string(ErrUnreachable):
		c.nodes.failed(url, after(e))
	default:
		c.nodes.answered(url)
	}
	return true, e
}

func (c *Client) head(h http.Header, token string) {
	h.Set("Authorization", "Bearer "+token)
	h.Set("User-Agent", "sitegate-client/1")
	if c.cfg.Lang != "" {
		h.Set("Accept-Language", c.cfg.Lang)
	}
}

// problem reads an answer that is no success.
func (w lang) problem(url string, resp *http.Response, answer []byte) *Error {
	e := &Error{Node: url}
	mt, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mt != api.ProblemType || json.Unmarshal(answer, &e.Problem) != nil || e.Code == "" {
		// Not from a gateway: something in between, or nothing of ours at all.
		e = w.unreachable(url, fmt.Errorf("%s answered %s without a problem document", url, resp.Status))
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
			e.Code, e.Type = codeUnexpected, api.ProblemBase+codeUnexpected
			e.Title, e.Detail = w.say("Not a license gateway"), w.say("What answers there is not a license gateway.")
			e.Next = []string{w.say("Check the gateway's URL.")}
		}
	}
	e.Status = resp.StatusCode
	if s, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil && e.RetryAfterMS == 0 {
		e.RetryAfterMS = int64(s) * 1000
	}
	return e
}

// after is the Retry-After of a problem, within reason.
func after(e *Error) time.Duration {
	return millis(e.RetryAfterMS, maxAfter)
}

func certificate(e *Error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](e.Cause)
	return ok
}

// backoff is the pause before try n: none before the first, then anything up to
// 0.1 s, 0.2 s, … 5 s (full jitter: clients that failed together come back apart).
func backoff(n int) time.Duration {
	return jitter(n, minBackoff, maxBackoff)
}

func jitter(n int, first, most time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	return rand.N(min(most, first<<min(n-1, 16)) + 1)
}

// sleep waits; false: one of the contexts has ended.
func sleep(ctx, also context.Context, d time.Duration) bool {
	if ctx.Err() != nil || also.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-also.Done():
		return false
	}
}
