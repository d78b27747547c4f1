package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sitegate/license"

	"golang.org/x/time/rate"
)

// refusals journals denials that were answered without the log, coalesced: one
// per user, machine and reason a minute, 50 a second for the site. The active
// machine's client, the refusals list and the audit trail hear of them so.
type refusals struct {
	queue  chan refused
	limit  *rate.Limiter
	logger *slog.Logger
	full   rate.Sometimes // tells that there are too many, now and then

	mu   sync.Mutex
	seen map[refusal]time.Time // when last noted; mu guards it
}

type refused struct {
	at      time.Time
	command license.Refused
}

type refusal struct {
	user    license.UserID
	machine license.Machine
	reason  license.Reason
}

const (
	refusalPeriod  = time.Minute
	refusalsSecond = 50
)

func newRefusals(logger *slog.Logger) *refusals {
	return &refusals{
		queue:  make(chan refused, 4*refusalsSecond),
		limit:  rate.NewLimiter(refusalsSecond, refusalsSecond),
		logger: logger,
		full:   rate.Sometimes{Interval: time.Second},
		seen:   map[refusal]time.Time{},
	}
}

// worthTelling are the reasons that somebody else should hear of: not the
// caller's own mistakes.
func worthTelling(r license.Reason) bool {
	switch r {
	case license.MachineActive, license.KeptForWaiter, license.NotAssigned, license.LicenseEnded, license.LicenseNotStarted,
		license.CloudNeeded, license.CheckoutTooLong, license.UserBlocked:
		return true
	}
	return false
}

// note takes a denial to be journalled. It never blocks; nil is nothing to note.
func (r *refusals) note(user license.UserID, m license.Machine, client string, d *license.Denial) {
	if d == nil || !worthTelling(d.Reason) {
		return
	}
	key, now := refusal{user, m, d.Reason}, time.Now()
	r.mu.Lock()
	if now.Sub(r.seen[key]) < refusalPeriod {
		r.mu.Unlock()
		return
	}
	if !r.limit.Allow() {
		r.mu.Unlock()
		r.tooMany(user, m, d.Reason)
		return
	}
	if len(r.seen) > 20*refusalsSecond {
		for k, at := range r.seen {
			if now.Sub(at) >= refusalPeriod {
				delete(r.seen, k)
			}
		}
	}
	r.seen[key] = now
	r.mu.Unlock()
	select {
	case r.queue <- refused{now, license.Refused{User: user, Machine: m, Denial: *d, Client: client}}:
	default:
		r.tooMany(user, m, d.Reason)
	}
}

func (r *refusals) tooMany(user license.UserID, m license.Machine, reason license.Reason) {
	r.full.Do(func() {
		r.logger.Warn("refusals come faster than they are journalled", "user", user, "machine", m.Name, "reason", reason)
	})
}

// run proposes what was noted, while this node leads. What an earlier leadership
// has left is no news any more.
func (r *refusals) run(ctx context.Context, log Log) {
	for {
		select {
		case <-ctx.Done():
			return
		case noted := <-r.queue:
			if time.Since(noted.at) >= refusalPeriod {
				continue
			}
			c := noted.command
			if _, err := log.Propose(ctx, c); err != nil && ctx.Err() == nil {
				r.logger.Warn("a refusal could not be journalled", "user", c.User, "machine", c.Machine.Name, "reason", c.Denial.Reason, "err", err)
			}
		}
	}
}
