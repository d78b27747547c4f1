package gateway

import (
	"context"
	"sync"
	"time"

	"sitegate/license"
)

// refresh is a request to have usage sent and the feed read now. Its zero value is
// all there is to say.
type refresh struct{}

// journalLag is how long what was decided may take to be read from the journal.
const journalLag = 2 * time.Second

// Refresh delivers the usage that waits and reads what the cloud says, now, and
// returns when both are done (R18, R21). Many that ask at once are answered
// together. ErrCloud: it could not be reached; usage is kept and sent later.
func (g *Gateway) Refresh(ctx context.Context) (Answer, error) {
	return g.ask(ctx, request{Refresh: &refresh{}})
}

func (g *Gateway) refresh(ctx context.Context) error {
	if g.cloud == nil || !g.link.sure(ctx) {
		return ErrCloud
	}
	// One after the other, so that what the usage changes in the cloud is read.
	for _, errand := range []*again{&g.resend, &g.reread} {
		select {
		case err := <-errand.ask():
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ErrCloud
		}
	}
	return nil
}

// again is how an errand of the leader is asked to be done at once, and how those
// who ask hear that a round of it that began after they asked is over.
type again struct {
	mu     sync.Mutex
	asking []chan error // guarded by mu
	wake   chan struct{}
}

func newAgain() again { return again{wake: make(chan struct{}, 1)} }

// ask asks; the answer comes once.
func (a *again) ask() <-chan error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.add()
}

// add is ask, with the lock held.
func (a *again) add() <-chan error {
	c := make(chan error, 1)
	a.asking = append(a.asking, c)
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return c
}

// take returns those who ask, whom the round that begins now is to answer.
func (a *again) take() []chan error {
	a.mu.Lock()
	defer a.mu.Unlock()
	asking := a.asking
	a.asking = nil
	return asking
}

func answerAll(asking []chan error, err error) {
	for _, c := range asking {
		c <- err
	}
}

// pause waits until somebody asks, or for d; false: ctx has ended.
func (a *again) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-a.wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// interrupted is a context that ends when somebody asks; stop must be called.
func (a *again) interrupted(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-a.wake:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); <-done }
}

// journalEnd is the seq up to which usage waits now.
func (g *Gateway) journalEnd() (seq uint64) {
	g.log.View(func(s *license.State) { seq = s.Head().Seq })
	return seq
}
