package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/upstream/cloudapi"
)

const (
	batchesAtOnce = 8         // on their way to the cloud
	batchAnew     = time.Hour // before a cloud that takes no batches is asked for one again
)

// batcher sends holds and releases to the cloud, together where several are asked for at once: one goes by itself at once, and what is
// asked for while requests are on their way, or while the site's rate or the cloud lets none go, goes with the next.
type batcher struct {
	c     *Client
	turns chan struct{} // one for each request under way

	mu    sync.Mutex // guards all below
	queue []*operation
	alone time.Time // until then each goes by itself: the cloud takes no batches
}

// operation is a hold or a release that somebody waits for.
type operation struct {
	ctx    context.Context // of who waits
	what   cloudapi.Operation
	done   chan struct{} // closed when answer and err are set
	answer cloudapi.OperationResult
	err    error
}

func newBatcher(c *Client) *batcher { return &batcher{c: c, turns: make(chan struct{}, batchesAtOnce)} }

// do asks for one thing and returns the cloud's answer to that. A refusal with a Problem in it is a *refusal.
func (b *batcher) do(ctx context.Context, what cloudapi.Operation) (cloudapi.OperationResult, error) {
	if until := b.c.quietUntil(cloudapi.PathHolds); tooLate(ctx, until) {
		return cloudapi.OperationResult{}, leftAlone(until)
	}
	o := &operation{ctx: ctx, what: what, done: make(chan struct{})}
	b.mu.Lock()
	b.queue = append(b.queue, o)
	b.mu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
	case b.turns <- struct{}{}:
		go b.send()
		select {
		case <-o.done:
		case <-ctx.Done():
		}
	}
	select {
	case <-o.done:
		if ctx.Err() == nil || !errors.Is(o.err, context.Canceled) { // else it was ended because nobody waits for it
			return o.answer, o.err
		}
	default:
	}
	return cloudapi.OperationResult{}, unreachable(ctx, ctx.Err())
}

// send sends what has queued, once the cloud may be asked, and gives the turn back.
func (b *batcher) send() {
	defer func() { <-b.turns }()
	for busy := true; busy; {
		if err := b.c.wait(b.c.tokens.ctx, cloudapi.PathHolds); err != nil {
			for _, o := range b.take() {
				o.finish(cloudapi.OperationResult{}, err)
			}
			return
		}
		ops := b.take()
		if len(ops) == 0 {
			return
		}
		busy = b.sendThese(ops)
	}
}

// take takes what has queued and is still waited for, as much as goes into one request.
func (b *batcher) take() []*operation {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := cloudapi.MaxBatch
	if time.Now().Before(b.alone) {
		most = 1
	}
	var ops []*operation
	i := 0
	for ; i < len(b.queue) && len(ops) < most; i++ {
		if o := b.queue[i]; o.ctx.Err() == nil {
			ops = append(ops, o)
		}
	}
	b.queue = append([]*operation(nil), b.queue[i:]...)
	return ops
}

// sendThese reports whether it, or what has queued meanwhile, is to be sent now.
func (b *batcher) sendThese(ops []*operation) (more bool) {
	ctx, cancel := context.WithCancel(b.c.tokens.ctx)
	defer cancel()
	waiting := atomic.Int64{}
	waiting.Store(int64(len(ops)))
	for _, o := range ops { // nobody waits for an answer that nobody waits for
		stop := context.AfterFunc(o.ctx, func() {
			if waiting.Add(-1) == 0 {
				cancel()
			}
		})
		defer stop()
	}
	answers, err := b.ask(ctx, ops)
	var s *StatusError
	switch {
	case errors.As(err, &s) && s.NotOffered() && len(ops) > 1:
		b.mu.Lock()
		b.alone = time.Now().Add(batchAnew)
		b.queue = append(ops, b.queue...)
		b.mu.Unlock()
		return true
	case errors.Is(err, ErrBusy):
		b.again(ops)
		return true
	}
	for i, o := range ops {
		if err != nil {
			o.finish(cloudapi.OperationResult{}, err)
			continue
		}
		o.finish(answers[i], resultError(answers[i]))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) > 0
}

// again queues what the cloud has not taken yet, as far as who asks waits that long.
func (b *batcher) again(ops []*operation) {
	until := b.c.quietUntil(cloudapi.PathHolds)
	var patient []*operation
	for _, o := range ops {
		if tooLate(o.ctx, until) {
			o.finish(cloudapi.OperationResult{}, leftAlone(until))
		} else {
			patient = append(patient, o)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(patient, b.queue...)
}

// ask sends one by itself, or several in a batch.
func (b *batcher) ask(ctx context.Context, ops []*operation) ([]cloudapi.OperationResult, error) {
	if len(ops) == 1 {
		a, err := b.askOne(ctx, ops[0].what)
		return []cloudapi.OperationResult{a}, err
	}
	req := cloudapi.BatchRequest{}
	for _, o := range ops {
		req.Operations = append(req.Operations, o.what)
	}
	body, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	var got cloudapi.BatchAnswer
	err = b.c.do(ctx, call{method: http.MethodPost, path: cloudapi.PathHoldsBatch, limit: cloudapi.PathHolds, body: body, waited: true,
		max: maxSmall + 2048*int64(len(ops))}, &got)
	if err == nil && len(got.Results) != len(ops) {
		err = fmt.Errorf("%w: %d answers to a batch of %d", ErrGarbage, len(got.Results), len(ops))
	}
	return got.Results, err
}

func (b *batcher) askOne(ctx context.Context, what cloudapi.Operation) (a cloudapi.OperationResult, err error) {
	q := call{method: http.MethodPut, path: cloudapi.PathHolds, limit: cloudapi.PathHolds, waited: true}
	if what.Release != nil {
		q.method, q.path = http.MethodPost, cloudapi.PathHoldsRelease
		if q.body, err = json.Marshal(what.Release); err == nil {
			err = b.c.do(ctx, q, nil)
		}
		return a, err
	}
	var got cloudapi.HoldGrant
	if q.body, err = json.Marshal(what.Hold); err == nil {
		err = b.c.do(ctx, q, &got)
	}
	return cloudapi.OperationResult{LeaseMS: got.LeaseMS}, err
}

func (o *operation) finish(a cloudapi.OperationResult, err error) {
	o.answer, o.err = a, err
	close(o.done)
}

// resultError is the answer to one operation of a batch as a request by itself would have it.
func resultError(a cloudapi.OperationResult) error {
	switch {
	case a.Problem == nil:
		return nil
	case a.Status == http.StatusConflict && a.Problem.Reason != "":
		return &refusal{*a.Problem}
	case a.Status == http.StatusConflict:
		return fmt.Errorf("%w: status 409 without a reason", ErrGarbage)
	}
	return &StatusError{a.Status, clip(a.Problem.Reason), clip(a.Problem.Detail)}
}

// tooLate reports whether who asks does not wait until then.
func tooLate(ctx context.Context, until time.Time) bool {
	end, ends := ctx.Deadline()
	return ends && end.Before(until)
}

func leftAlone(until time.Time) error {
	return fmt.Errorf("%w: it asked to be left alone until %s", ErrBusy, until.UTC().Format(time.RFC3339))
}
