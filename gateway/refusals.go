package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/license"

	"golang.org/x/time/rate"
)

// refusals brings what was answered without the log into the journal, or on the way
// there, without making anyone wait. The active machine's client, the refusals list
// and the audit trail hear of it so.
type refusals struct {
	*coalesced
	queue  chan noted
	logger *slog.Logger
	full   rate.Sometimes // tells that there are too many, now and then
}

// noted is a Refused or a WouldRefuse that waits.
type noted struct {
	at      time.Time
	refusal refusal
	command license.Command
}

func newRefusals(logger *slog.Logger) *refusals {
	return &refusals{coalesced: newCoalesced(), queue: make(chan noted, 4*refusalsSecond), logger: logger,
		full: rate.Sometimes{Interval: time.Second}}
}

// refusal is what counts as the same, said again.
type refusal struct {
	user    license.UserID
	machine license.Machine
	reason  license.Reason
	offline bool // it does not hold the client: to be told even where one that does was told just now
}

const (
	refusalPeriod  = time.Minute
	refusalsSecond = 50
	// refusalsMoment is how long one waits for others, where more than half of a second's
	// have come.
	refusalsMoment = 200 * time.Millisecond
)

// coalesced lets one refusal pass a minute per user, machine (by its id, where it has one),
// reason and whether it holds, and 50 a second in all.
type coalesced struct {
	limit *rate.Limiter
	mu    sync.Mutex
	seen  map[refusal]time.Time // when last noted; mu guards it
}

func newCoalesced() *coalesced {
	return &coalesced{limit: rate.NewLimiter(refusalsSecond, refusalsSecond), seen: map[refusal]time.Time{}}
}

// first reports whether it has not been said lately. tooMany: it has not, and there
// are too many of them.
func (c *coalesced) first(r refusal) (first, tooMany bool) {
	if r.machine.ID != "" { // its name is what its client says, who may say another each time
		r.machine.Name = ""
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.seen[r]) < refusalPeriod {
		return false, false
	}
	if !c.limit.Allow() {
		return false, true
	}
	if len(c.seen) > 20*refusalsSecond {
		for k, at := range c.seen {
			if now.Sub(at) >= refusalPeriod {
				delete(c.seen, k)
			}
		}
	}
	c.seen[r] = now
	return true, false
}

// worthTelling are the reasons that somebody else should hear of: not the
// caller's own mistakes.
func worthTelling(r license.Reason) bool {
	switch r {
	case license.MachineActive, license.KeptForWaiter, license.TakeoverUnderWay,
		license.NotAssigned, license.LicenseEnded, license.LicenseNotStarted, license.NoCountry, license.WrongCountry, license.FeatureLevel,
		license.CloudNeeded, license.CheckoutTooLong, license.CheckoutOff, license.CheckoutWrittenOff,
		license.UserBlocked, license.UserBlockedHere, license.MachineBlocked, license.MachineClone, license.KeyNeeded, license.SignInNeeded, license.TooManyKeys:
		return true
	}
	return false
}

// note takes a denial to be passed on as a command. It never blocks; nil is nothing
// to note. Of key the reason is the denial's.
func (r *refusals) note(key refusal, d *license.Denial, c func() license.Command) {
	if d == nil || !worthTelling(d.Reason) {
		return
	}
	key.reason = d.Reason
	first, tooMany := r.first(key)
	if first {
		select {
		case r.queue <- noted{time.Now(), key, c()}:
		default:
			tooMany = true
		}
	}
	if tooMany {
		r.full.Do(func() {
			r.logger.Warn("refusals come faster than they are journalled", "user", key.user, "machine", key.machine.Name, "reason", d.Reason)
		})
	}
}

// run passes on what was noted, each at once. Where there are many, those of a moment go
// together, and into the log as one entry or two: each by itself would be a write to the disk
// of every node.
func (r *refusals) run(ctx context.Context, pass func(context.Context, license.Command) error) {
	for {
		var together []noted
		select {
		case <-ctx.Done():
			return
		case n := <-r.queue:
			together = append(together, n)
		}
		if r.limit.Tokens() < refusalsSecond/2 {
			if !pause(ctx, refusalsMoment) {
				r.putBack(together[0])
				return
			}
			for len(r.queue) > 0 { // nobody else takes any
				together = append(together, <-r.queue)
			}
		}
		var all sync.WaitGroup
		var later atomic.Bool
		for _, n := range together {
			all.Go(func() {
				if !r.pass(ctx, n, pass) {
					later.Store(true)
				}
			})
		}
		all.Wait()
		if later.Load() && !pause(ctx, refusalsMoment) {
			return
		}
	}
}

// pass passes one on. What has waited too long is no news any more. False: this node has ceased
// to lead, nothing was done, and it is there for when it leads again.
func (r *refusals) pass(ctx context.Context, n noted, pass func(context.Context, license.Command) error) bool {
	if time.Since(n.at) >= refusalPeriod {
		return true
	}
	err := pass(ctx, n.command)
	if errors.Is(err, ErrNotLeader) {
		r.putBack(n)
		return false
	}
	if err != nil && ctx.Err() == nil {
		r.logger.Warn("a refusal could not be journalled", "user", n.refusal.user, "machine", n.refusal.machine.Name,
			"reason", n.refusal.reason, "err", err)
	}
	return true
}

func (r *refusals) putBack(n noted) {
	select {
	case r.queue <- n:
	default: // newer ones have come
	}
}
