package desktop

import (
	"context"
	"sync"
	"time"
)

// Application is a product that was started. Only one goroutine may Tick, Run or Stop it at a time.
type Application struct {
	c           *Client
	want        Product
	correlation string // of this session, in all that is posted
	begun       time.Time
	running     bool
	checkedOut  bool

	mu     sync.Mutex // guards policy
	policy *Policy

	usage, posting, refresh time.Time // when each is due
}

func (a *Application) take(p *Policy, checkout bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policy, a.checkedOut = p, checkout
}

// Policy is the one that counts; nil: there is none.
func (a *Application) Policy() *Policy {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.policy
}

// Status is what the policy means at this moment of the machine's clock.
func (a *Application) Status() Status {
	began := a.c.offlineSince()
	if a.checkedOut {
		began = time.Time{}
	}
	return decide(a.Policy(), a.want, began, a.c.now())
}

// Correlation is the id of the session.
func (a *Application) Correlation() string { return a.correlation }

// The intervals of the three loops, where a policy says nothing.
const (
	usageMinutes   = 1
	postingMinutes = 60
	policyMinutes  = 240
)

func (a *Application) every(setting string, otherwise int) time.Duration {
	return time.Duration(a.Policy().number(a.want, setting, otherwise)) * time.Minute
}

// PostingInterval is how often use is posted: as the policy says, and each hour at least.
func (a *Application) PostingInterval() time.Duration {
	return min(a.every("TimeToKeepUnSentLogs", postingMinutes), time.Hour)
}

func (a *Application) begin(ctx context.Context) {
	now := a.c.now()
	a.record(now)
	a.usage = now.Add(a.every("HeartbeatInterval", usageMinutes))
	a.posting = now.Add(a.PostingInterval())
	a.refresh = now.Add(a.every("PolicyInterval", policyMinutes))
	a.postFirst(ctx)
}

// Tick does what is due: a record of use, a posting of the records, a new policy.
func (a *Application) Tick(ctx context.Context) {
	if !a.running {
		return
	}
	now := a.c.now()
	if !now.Before(a.usage) {
		a.record(now)
		a.usage = now.Add(a.every("HeartbeatInterval", usageMinutes))
	}
	if !now.Before(a.posting) {
		a.c.postLogs(ctx)
		a.posting = now.Add(a.PostingInterval())
	}
	if !now.Before(a.refresh) {
		a.Refresh(ctx)
		a.refresh = now.Add(a.every("PolicyInterval", policyMinutes))
	}
}

// Refresh asks for a new policy now, as a user can (Refresh policy). What is used under a checkout goes on under it.
func (a *Application) Refresh(ctx context.Context) {
	if a.checkedOut && a.c.checkout(a.want) != nil {
		return
	}
	if p := a.c.policy(ctx, a.want); p != nil {
		a.take(p, false)
	}
}

// SendLogs posts what is recorded now, as a user can (Send logs now). It reports whether
// everything was taken.
func (a *Application) SendLogs(ctx context.Context) bool { return a.c.postLogs(ctx) }

// Run ticks each second until ctx ends, or the product may run no more. It leaves Stop to the caller.
func (a *Application) Run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for a.running && a.Status().Runs() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			a.Tick(ctx)
		}
	}
}

// Stop ends the product, and posts what is left to post. It reports whether everything was taken.
func (a *Application) Stop(ctx context.Context) bool {
	if !a.running {
		return true
	}
	a.running = false
	a.finish(a.c.now())
	return a.c.postLogs(ctx)
}
