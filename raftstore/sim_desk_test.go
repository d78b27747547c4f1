package raftstore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"sitegate/license"
)

// simDesk is a machine of a user: it starts and stops, checks out and returns, and
// keeps to its lease as package client does. Now and then it is switched off.
type simDesk struct {
	s       *sim
	user    license.UserID
	machine license.Machine
	dice    *rand.Rand
}

// simMargin is how long before the end of its lease a session stops.
const simMargin = 15 * time.Second

func (d *simDesk) work(ctx context.Context) {
	for {
		nap(ctx, time.Duration(d.dice.ExpFloat64()*float64(40*time.Minute)))
		switch {
		case ctx.Err() != nil:
			return
		case d.dice.IntN(12) == 0:
			d.checkOut(ctx)
		default:
			d.session(ctx)
		}
	}
}

// holds notes that this machine may run from now on: no other of its user may.
func (d *simDesk) holds(what string) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	held := d.s.holders[d.user]
	if held == nil {
		held = map[string]string{}
		d.s.holders[d.user] = held
	}
	for machine, other := range held {
		d.s.t.Errorf("%v: %s was granted %s while %s has %s", d.s.now(), d.machine.ID, what, machine, other)
	}
	held[d.machine.ID] = what
}

func (d *simDesk) holdsNoMore() {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	delete(d.s.holders[d.user], d.machine.ID)
}

// granted asks until it is known whether something was granted.
func (d *simDesk) granted(c license.Command, r *simRecord, id license.ID, give license.Command) bool {
	denied, ok := d.s.ask(d.dice, c)
	d.s.mu.Lock()
	if ok && denied != "" {
		d.s.refused++
	}
	if ok && denied == "" {
		d.s.records[id] = r
	}
	d.s.mu.Unlock()
	if !ok { // it may have been
		d.giveBack(give)
	}
	return ok && denied == ""
}

func (d *simDesk) giveBack(c license.Command) {
	for {
		if _, ok := d.s.ask(d.dice, c); ok {
			return
		}
	}
}

func (d *simDesk) session(ctx context.Context) {
	id := license.ID(uuid.Must(uuid.NewV7()))
	ttl := []time.Duration{5 * time.Minute, 30 * time.Minute, time.Hour}[d.dice.IntN(3)]
	asked := time.Now()
	r := &simRecord{what: "session", ttl: ttl, promised: asked.Add(ttl), beat: asked}
	start := license.Start{ID: id, User: d.user, Product: "1000", Machine: d.machine, Agreed: true, Fences: true, TTL: ttl,
		NotAfter: license.TimeOf(asked).Add(time.Minute)}
	give := license.Stop{ID: id, User: d.user, Machine: d.machine}
	if !d.granted(start, r, id, give) || !time.Now().Before(r.promised.Add(-simMargin)) {
		return
	}
	d.holds("session " + id.String())
	ends := time.Now().Add(time.Duration(d.dice.ExpFloat64() * float64(time.Hour)))
	kept := d.keep(ctx, id, r, ends)
	d.holdsNoMore()
	d.s.mu.Lock()
	d.s.sessions++
	off := !kept || d.dice.IntN(4) == 0
	d.s.mu.Unlock()
	if !off {
		d.giveBack(give)
		d.s.mu.Lock()
		r.done = true
		d.s.mu.Unlock()
	}
}

// keep renews a session until a moment, or until its lease is over; false: it is.
func (d *simDesk) keep(ctx context.Context, id license.ID, r *simRecord, ends time.Time) bool {
	for {
		next := r.beat.Add(r.ttl / 3)
		stop := r.promised.Add(-simMargin)
		until := next
		for _, t := range []time.Time{stop, ends} {
			if t.Before(until) {
				until = t
			}
		}
		nap(ctx, time.Until(until))
		now := time.Now()
		switch {
		case !now.Before(stop):
			return false
		case ctx.Err() != nil || !now.Before(ends):
			return true
		}
		node := d.s.any(d.dice)
		if node == nil {
			time.Sleep(5 * time.Second)
			continue
		}
		d.s.mu.Lock()
		before := r.beat
		r.beat = now
		d.s.mu.Unlock()
		asking, cancel := context.WithDeadline(ctx, minTime(stop, now.Add(20*time.Second)))
		leases, err := node.Renew(asking, []license.Renewal{{Session: id, User: d.user, Machine: d.machine}})
		cancel()
		d.s.mu.Lock()
		switch {
		case err != nil:
			r.beat = before // asked again soon; a beat that was lost moves nothing
		case leases[0].Denial != nil:
			if time.Now().Before(r.promised) {
				d.s.t.Errorf("%v: session %s was lost %v before its lease is over: %s", d.s.now(), id, time.Until(r.promised), leases[0].Denial.Reason)
			}
			d.s.mu.Unlock()
			return false
		default:
			r.promised = now.Add(leases[0].TTL)
		}
		d.s.mu.Unlock()
		if err != nil {
			nap(ctx, minDuration(5*time.Second, time.Until(stop)))
		}
	}
}

func (d *simDesk) checkOut(ctx context.Context) {
	id := license.ID(uuid.Must(uuid.NewV7()))
	now := time.Now()
	until := now.Add(time.Hour + time.Duration(d.dice.Int64N(int64(6*time.Hour)))).Truncate(time.Second)
	r := &simRecord{what: "checkout", promised: until}
	give := license.Return{ID: id, User: d.user, Machine: d.machine}
	if !d.granted(license.CheckOut{ID: id, User: d.user, Product: "1000", Machine: d.machine, Agreed: true, Until: license.TimeOf(until),
		NotAfter: license.TimeOf(now).Add(time.Minute)}, r, id, give) {
		return
	}
	d.holds("checkout " + id.String())
	ends := time.Now().Add(time.Duration(d.dice.ExpFloat64() * float64(4*time.Hour)))
	last := until.Add(-wallTolerance) // a laptop that trusts the clocks as far as the site does
	nap(ctx, time.Until(minTime(ends, last)))
	d.holdsNoMore()
	d.s.mu.Lock()
	d.s.checkouts++
	d.s.mu.Unlock()
	if time.Now().Before(last) {
		d.giveBack(give)
		d.s.mu.Lock()
		r.done = true
		d.s.mu.Unlock()
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func minDuration(a, b time.Duration) time.Duration { return max(0, min(a, b)) }
