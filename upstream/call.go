package upstream

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"sitegate/upstream/cloudapi"
)

const (
	callTimeout   = 30 * time.Second // one request, without what a long poll waits
	maxRetryAfter = 2 * time.Minute
	maxSmall      = 256 << 10 // bytes of an answer of which the size does not grow with the site
	maxPage       = 16 << 20  // bytes of a page of changes
)

// call is one request of the site API.
type call struct {
	method string
	path   string
	query  string // encoded
	limit  string // what the cloud's wish to be left alone goes by; empty: path
	key    string // idempotency key
	body   []byte
	max    int64 // bytes of the answer; zero is maxSmall
	likely int64 // bytes of the answer, as far as can be guessed
	extra  time.Duration
	gzip   bool    // the answer may come compressed
	waited bool    // the rate and the wish to be left alone were kept to
	tag    *string // entity tag: of the answer that is known, and then of the answer that came; nil: none is wanted
}

// errUnchanged: the answer is the one that is known already, by its entity tag.
var errUnchanged = errors.New("the cloud's answer has not changed")

// errTooLong: the answer has more bytes than it may have.
var errTooLong = errors.New("it is too long")

// maxTag bounds an entity tag.
const maxTag = 1 << 10

// do sends a request and decodes the answer into out, which is nil where there is none. A refusal with a Problem in it is an *refusal.
func (c *Client) do(ctx context.Context, q call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+q.extra)
	defer cancel()
	q.limit = cmp.Or(q.limit, q.path)
	if !q.waited {
		if err := c.wait(ctx, q.limit); err != nil {
			return err
		}
	}
	for again := true; ; again = false {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return fmt.Errorf("getting this site's access token: %w", err)
		}
		err = c.once(ctx, q, token, out)
		if again && errors.Is(err, ErrUnauthorized) { // its keys were changed, or it has forgotten: that takes a new token
			c.tokens.drop(token)
			continue
		}
		return err
	}
}

// once sends a request with a token.
func (c *Client) once(ctx context.Context, q call, token string, out any) error {
	url := c.api + q.path
	if q.query != "" {
		url += "?" + q.query
	}
	req, err := http.NewRequestWithContext(ctx, q.method, url, bytes.NewReader(q.body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if q.key != "" {
		req.Header.Set(cloudapi.IdempotencyKey, q.key)
	}
	if q.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if q.tag != nil && *q.tag != "" {
		req.Header.Set("If-None-Match", *q.tag)
	}
	resp, body, err := c.fetch(req, max(q.max, maxSmall), q.likely)
	if err != nil {
		return err
	}
	asked := false
	if q.tag != nil {
		asked, *q.tag = *q.tag != "", ""
		if t := resp.Header.Get("ETag"); len(t) <= maxTag {
			*q.tag = t
		}
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && asked:
		return errUnchanged
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		d := retryAfter(resp.Header.Get("Retry-After"))
		c.hush(q.limit, d)
		return fmt.Errorf("%w: in %s", ErrBusy, d)
	case resp.StatusCode >= 500:
		return fmt.Errorf("%w: status %d", ErrUnreachable, resp.StatusCode)
	case resp.StatusCode == http.StatusUnauthorized:
		return ErrUnauthorized
	case resp.StatusCode >= 400:
		var p cloudapi.Problem
		if decode(resp, body, &p) != nil || p.Reason == "" {
			if resp.StatusCode == http.StatusConflict { // who says no has to say why
				return fmt.Errorf("%w: status 409 without a reason", ErrGarbage)
			}
			return &StatusError{Status: resp.StatusCode}
		}
		if resp.StatusCode == http.StatusConflict {
			return &refusal{p}
		}
		return &StatusError{resp.StatusCode, clip(p.Reason), clip(p.Detail)}
	case resp.StatusCode >= 300:
		return fmt.Errorf("%w: a redirect (status %d), as a captive portal sends", ErrGarbage, resp.StatusCode)
	case out == nil && resp.StatusCode == http.StatusNoContent:
		return nil
	case resp.StatusCode != http.StatusOK || out == nil:
		return fmt.Errorf("%w: status %d", ErrGarbage, resp.StatusCode)
	}
	return decode(resp, body, out)
}

// fetch sends req and reads the whole answer, up to most bytes. It makes room for likely at once.
func (c *Client) fetch(req *http.Request, most, likely int64) (*http.Response, []byte, error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sitegate")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, unreachable(req.Context(), err)
	}
	defer resp.Body.Close()
	var from io.Reader = io.LimitReader(resp.Body, most+1)
	if resp.Header.Get("Content-Encoding") == "gzip" && req.Header.Get("Accept-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(from)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: it says that it is compressed: %w", ErrGarbage, err)
		}
		resp.Header.Del("Content-Encoding")
		from = io.LimitReader(unpacked, most+1) // a small body must not become a big one
	}
	var read bytes.Buffer
	read.Grow(int(min(max(likely, 512), most)) + bytes.MinRead) // it looks for the end with that much room left
	_, err = read.ReadFrom(from)
	switch {
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, new(flate.CorruptInputError)):
		return nil, nil, fmt.Errorf("%w: %w", ErrGarbage, err)
	case err != nil:
		return nil, nil, unreachable(req.Context(), err)
	}
	if int64(read.Len()) > most {
		return nil, nil, fmt.Errorf("%w: %w, more than %d bytes", ErrGarbage, errTooLong, most)
	}
	return resp, read.Bytes(), nil
}

func unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// decode takes one JSON value, and nothing else, out of an answer.
func decode(resp *http.Response, body []byte, out any) error {
	if t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return fmt.Errorf("%w: its content type is %q", ErrGarbage, clip(resp.Header.Get("Content-Type")))
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return fmt.Errorf("%w: it is encoded, which was not asked for", ErrGarbage)
	}
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return fmt.Errorf("%w: it is not a JSON object", ErrGarbage)
	}
	read := func() error { return json.Unmarshal(body, out) }
	if own, ok := out.(interface{ decode([]byte) error }); ok {
		read = func() error { return own.decode(body) }
	}
	if err := read(); err != nil {
		return fmt.Errorf("%w: %s", ErrGarbage, clip(err.Error()))
	}
	return nil
}

// retryAfter reads the header's seconds or date, up to maxRetryAfter; without sense it is a second.
func retryAfter(h string) time.Duration {
	d := time.Second
	if s, err := strconv.ParseUint(h, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(s, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(h); err == nil {
		d = max(0, time.Until(t))
	}
	return min(d, maxRetryAfter)
}

// clip bounds what others wrote, for errors and logs, which quote it.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// refusal is the cloud's no, with its reason.
type refusal struct{ cloudapi.Problem }

func (r *refusal) Error() string { return "the cloud refuses: " + clip(r.Reason) }
