package endpoint

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"sitegate/license"
)

// A vendor that is silent answers nothing and refuses nothing: everybody would wait for as
// long as an answer may take before they are given what is kept, or their posting is taken
// over. Where a service is known to be silent they wait briefly instead. It is asked all the
// same, each time, and one question goes on without its client, so that a service that is
// back, or slow, is found by the next one who asks, and that its no is heard. A posting does
// not: the vendor would have it twice, from its client and from the site that took it over.

// The times of a service that is silent.
const (
	briefly   = 2 * time.Second
	lookAgain = 500 * time.Millisecond // at whether it is, while a question is under way
)

// silence is what this node knows of whether one of the vendor's services answers.
type silence struct {
	mu    sync.Mutex // guards all below
	asked bool       // there was an answer, or none in time
	vain  bool       // the last question had none
	then  license.LinkState
	trial bool // a question goes on that its client does not wait for
}

// answers notes whether a question was answered, and what was known of the link then.
func (s *silence) answers(yes bool, l license.LinkState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.vain, s.then = true, !yes, l
}

// is reports whether the service is known to be silent: by the site's link, unless it has
// answered since that went down, or by what this node asked last, unless the link has come
// up since.
func (s *silence) is(l license.LinkState) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.asked && s.then.Up == l.Up && s.then.Since == l.Since
	switch {
	case since:
		return s.vain
	case !l.Up && l.Since != 0:
		return true
	}
	return false
}

// begin has a question go on without its client, if none does.
func (s *silence) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.trial
	s.trial = true
	return !was
}

func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trial = false
}

// link is what the site knows of its link.
func (rl *relay) link() (l license.LinkState) {
	rl.e.gw.View(func(s *license.State) { l = s.Head().Link })
	return l
}

// patience is the way to the vendor of what is relayed. Where there is another answer, it
// waits for the vendor's no longer than that is worth.
type patience struct{ rl *relay }

// came is what came of a question: the answer, read to its end.
type came struct {
	resp *http.Response
	err  error
}

func (p patience) RoundTrip(r *http.Request) (*http.Response, error) {
	x, rl := r.Context().Value(exchangeKey{}).(*exchange), p.rl
	if x.rt.silence == nil {
		return rl.cfg.Transport.RoundTrip(r)
	}
	// The question may outlive its client, and nothing of the client's is used by it then.
	s, asked := x.rt.silence, time.Now()
	until := asked.Add(relayTime)
	if at, there := r.Context().Deadline(); there {
		until = at
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(r.Context()), until)
	stop := context.AfterFunc(rl.ctx, cancel)
	answer := make(chan came, 1)
	go func() {
		resp, all, err := whole(rl.cfg.Transport.RoundTrip(r.WithContext(ctx)))
		switch gone := ctx.Err() != nil && time.Now().Before(until); {
		case all:
			s.answers(true, rl.link())
		case !gone && time.Since(asked) >= rl.briefly: // else nobody has waited for it
			s.answers(false, rl.link())
		}
		answer <- came{resp, err}
	}()
	over := func() {
		stop()
		cancel()
	}
	wait := time.NewTimer(rl.briefly)
	defer wait.Stop()
	for {
		select {
		case a := <-answer:
			over()
			return a.resp, a.err
		case <-r.Context().Done():
			over()
			return nil, r.Context().Err()
		case <-wait.C:
		}
		if !s.is(rl.link()) || !x.rt.spare(x) {
			wait.Reset(min(rl.briefly, lookAgain))
			continue
		}
		if x.rt.late == nil || !s.begin() {
			over()
		} else {
			alone := x.alone(ctx)
			go func() {
				defer s.end()
				defer over()
				rl.hearLate(alone, <-answer)
			}()
		}
		return nil, &relayError{code: relayTimeout, detail: "it is known to be silent, and was asked briefly"}
	}
}

// alone is an exchange of a question that its client does not wait for any more: what the
// client is answered meanwhile is not its own.
func (x *exchange) alone(ctx context.Context) *exchange {
	y, c := *x, *x.call
	c.ctx, c.w = ctx, &recorder{} // whose line is never written
	y.call = &c
	return &y
}

// hearLate reads an answer that its client did not wait for. What is wrong with it is nothing
// that anybody waits to hear.
func (rl *relay) hearLate(x *exchange, a came) {
	if a.err != nil {
		return
	}
	if body, err := x.read(a.resp); err == nil {
		x.rt.late(x, a.resp, body)
	}
}

// whole reads an answer to its end, as far as one may go, so that the time for it is over with
// that. What stopped the reading is met again where the body is read.
func whole(resp *http.Response, err error) (_ *http.Response, all bool, _ error) {
	if err != nil || resp.StatusCode < 200 {
		return resp, err == nil, err
	}
	body, err := readAnswer(resp)
	read := &readBody{Reader: bytes.NewReader(body), whole: body, err: err}
	if err != nil {
		read.Reader = io.MultiReader(read.Reader, failing{err})
	}
	resp.Body = read
	return resp, err == nil, nil
}

// failing is a reader that only fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
