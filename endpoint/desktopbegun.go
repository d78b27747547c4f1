package endpoint

import (
	"context"
	"slices"
	"sync"

	"sitegate/gateway"
	"sitegate/license"
)

// beginnings are the sessions that were begun for answers which have not left yet. Where
// another request of the same machine goes on with one, it is not ended with the answer that
// it was begun for. It is this node's: what another one does meanwhile is not seen.
type beginnings struct {
	mu    sync.Mutex
	known map[license.ID]*beginning
}

type beginning struct {
	used bool          // by another request, too
	over chan struct{} // closed once it has been ended; nil: nobody ends it
}

func newBeginnings() *beginnings { return &beginnings{known: map[license.ID]*beginning{}} }

// begin is before the session is asked for: what came of it may never be heard.
func (b *beginnings) begin(id license.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[id] = &beginning{}
}

// leave is once the answers that sessions were begun for may leave.
func (b *beginnings) leave(ids []license.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		delete(b.known, id)
	}
}

// use is before another request goes on with a session. False: it is over, or time is.
func (b *beginnings) use(ctx context.Context, id license.ID) bool {
	b.mu.Lock()
	is := b.known[id]
	if is == nil || is.over == nil {
		if is != nil {
			is.used = true
		}
		b.mu.Unlock()
		return true
	}
	b.mu.Unlock()
	select {
	case <-is.over:
	case <-ctx.Done():
	}
	return false
}

// end calls f for a session that nobody else uses, before anybody can.
func (b *beginnings) end(id license.ID, f func() error) error {
	b.mu.Lock()
	is := b.known[id]
	switch {
	case is == nil:
		b.mu.Unlock()
		return f()
	case is.used:
		delete(b.known, id)
		b.mu.Unlock()
		return nil
	}
	is.over = make(chan struct{})
	b.mu.Unlock()
	err := f()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, id)
	close(is.over)
	return err
}

// undo ends what was begun for an answer that does not leave, also where its client has left.
func (rl *relay) undo(x *exchange, begun []license.ID, lent ...license.ID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.ctx), gateway.Patience)
	defer cancel()
	for _, id := range begun {
		// Should it fail, the session ends with its lease.
		err := rl.begun.end(id, func() error {
			_, err := rl.e.gw.Stop(ctx, license.Stop{ID: id, User: x.desk.user, Machine: x.machine})
			return err
		})
		if err != nil {
			x.w.more = append(x.w.more, notUndone(err))
		}
	}
	for _, id := range lent {
		if _, err := rl.e.gw.Return(ctx, license.Return{ID: id, User: x.desk.user, Machine: x.machine}); err != nil {
			x.w.more = append(x.w.more, notUndone(err))
		}
	}
}

// refusedFirst is the list with what this node would refuse before what it would not: so that
// nothing is begun, and seen by others, for an answer that does not leave. The order
// decides nothing.
func (rl *relay) refusedFirst(x *exchange, list []allowed) []allowed {
	if len(list) < 2 {
		return list
	}
	var no, yes, lent []allowed // checkouts are last: they last longest
	now := rl.e.gw.Now()
	rl.e.gw.View(func(s *license.State) {
		for _, a := range list {
			switch {
			case !a.checkout.IsZero():
				lent = append(lent, a)
			case license.Check(s, now, x.startOf(a)) != nil:
				no = append(no, a)
			default:
				yes = append(yes, a)
			}
		}
	})
	return slices.Concat(no, yes, lent)
}

// lend enters a checkout that the vendor has signed, before it leaves: its client asks nobody
// until its end.
func (rl *relay) lend(x *exchange, a allowed, lent *[]license.ID) (what string, err error) {
	c := license.CheckOut{ID: a.checkout, User: x.desk.user, Product: a.product, Machine: x.machine, Until: license.TimeOf(a.expires)}
	there := false
	rl.e.gw.View(func(s *license.State) { there = s.Checkout(c.ID) != nil })
	out, err := rl.e.gw.ImportCheckout(x.ctx, c)
	if !there && (err != nil || out.Outcome.Denial == nil && !out.Outcome.Repeat) {
		*lent = append(*lent, c.ID)
	}
	if err == nil && out.Outcome.Denial != nil {
		err = &withheld{denial: *out.Outcome.Denial, offline: a.offline}
	}
	return relayedCheckout, err
}

// startOf is the start that an allowed product becomes; its ID is new.
func (x *exchange) startOf(a allowed) license.Start {
	c := x.start(a.wanted)
	c.TTL, c.Agreed, c.Offline = a.lease, true, a.offline
	return c
}
