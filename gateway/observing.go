package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"sitegate/license"
)

// Observation is what relayed traffic shows whose mode only observes: the vendor lets a
// machine use a product, or a run of it was posted.
type Observation struct {
	Start   license.Start
	Address string // of the client, as netip.Addr writes it
	// Run is the correlation id of what was posted, which Ends it or not; empty: a policy was
	// given.
	Run  string
	Ends bool
}

// observing is what runs by observed traffic, for which no hold is opened: without it nobody
// would see that two machines do so at once. It is in the leader's memory, and begins anew
// with each leadership, so that what began before is known again by the next policy
// or posting of its machine only.
type observing struct {
	mu    sync.Mutex // guards users
	users map[license.UserID][]observedUse
}

// observedUse is what would be a session.
type observedUse struct {
	license.Session
	until license.Time
}

const (
	maxObserved      = 20_000 // users
	observationsWait = 1024   // at one node; what is more is seen again
)

func newObserving() *observing { return &observing{users: map[license.UserID][]observedUse{}} }

// begin forgets what an earlier leadership has seen.
func (o *observing) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.users)
}

// see takes an observation in, and says what the rules would have refused it for; nil:
// nothing. What is posted is never refused.
func (o *observing) see(s *license.State, now license.Time, x Observation) *license.Denial {
	o.mu.Lock()
	defer o.mu.Unlock()
	user := x.Start.User
	list := slices.DeleteFunc(o.users[user], func(u observedUse) bool { return u.until <= now })
	defer func() { o.keep(user, list, now) }()
	i := slices.IndexFunc(list, func(u observedUse) bool { return u.Product == x.Start.Product && u.Machine.Is(x.Start.Machine) })
	if x.Ends {
		if i >= 0 && slices.Contains(list[i].Runs, x.Run) {
			list[i].Runs = slices.DeleteFunc(list[i].Runs, func(r string) bool { return r == x.Run })
			if len(list[i].Runs) == 0 {
				list = slices.Delete(list, i, i+1)
			}
		}
		return nil
	}
	beside := make([]license.Session, len(list))
	for i := range list {
		beside[i] = list[i].Session
	}
	would, d := license.WouldStart(s, now, x.Start, beside)
	switch {
	case d != nil && x.Run == "":
		return d
	case would == nil:
		return nil
	case i < 0 && len(list) >= license.MaxSessions:
		return nil
	case i < 0:
		list, i = append(list, observedUse{Session: *would}), len(list)
	}
	use := &list[i]
	if x.Run == "" {
		use.TTL = would.TTL
	} else if !slices.Contains(use.Runs, x.Run) && len(use.Runs) < license.MaxRuns {
		use.Runs = append(use.Runs, x.Run)
	}
	use.until = now.Add(use.TTL)
	return nil
}

// keep puts a user's list back. The caller has the lock.
func (o *observing) keep(user license.UserID, list []observedUse, now license.Time) {
	if len(list) == 0 {
		delete(o.users, user)
		return
	}
	if _, there := o.users[user]; !there && len(o.users) >= maxObserved {
		for other, l := range o.users {
			if len(o.users) >= maxObserved || !slices.ContainsFunc(l, func(u observedUse) bool { return u.until > now }) {
				delete(o.users, other)
			}
		}
	}
	o.users[user] = list
}

// NoteObserved notes, on whichever node, what relayed traffic shows whose mode only observes. It
// never blocks; the leader, who hears it from all nodes, journals what it would have refused.
func (g *Gateway) NoteObserved(x Observation) {
	x.Start.Agreed, x.Start.Relayed = true, true
	select {
	case g.seen <- x:
	default: // the next one is of the same
	}
}

// tellSeen passes observations on to the leader until ctx ends. One that is lost is made up
// for by the next.
func (g *Gateway) tellSeen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-g.seen:
			asked, cancel := context.WithTimeout(ctx, time.Second)
			if _, err := g.ask(asked, request{Observe: &x}); err != nil && ctx.Err() == nil {
				g.logger.Debug("what relayed traffic shows was not told to the leader", "err", err)
			}
			cancel()
		}
	}
}

// seeObserved is the leader's part of NoteObserved.
func (g *Gateway) seeObserved(ctx context.Context, x Observation) (license.Outcome, error) {
	var d *license.Denial
	now := g.log.Now()
	g.log.View(func(s *license.State) { d = g.observing.see(s, now, x) })
	if d == nil || !worthTelling(d.Reason) {
		return license.Outcome{}, nil
	}
	return g.journalSpared(ctx, license.WouldRefuse{User: x.Start.User, Machine: x.Start.Machine, Denial: *d, Address: x.Address})
}
