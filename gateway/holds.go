package gateway

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"sitegate/license"
)

// holds keeps the cloud's books in step with the site's: what the site holds is
// renewed from its full list, what was freed is given back at once, what the
// site granted alone is confirmed or found to be in conflict.
type holds struct {
	g     *Gateway
	freed chan license.CloudHold
	wake  chan struct{}

	mu         sync.Mutex
	unfinished map[license.ID]license.CloudHold // being decided; mu guards it
}

const renewEvery = time.Minute // a third of the cloud's lease

func newHolds(g *Gateway) *holds {
	return &holds{g: g, freed: make(chan license.CloudHold, 1024), wake: make(chan struct{}, 1),
		unfinished: map[license.ID]license.CloudHold{}}
}

// begin notes a hold that is being asked for, so that a full list sent meanwhile
// has it; the func it returns ends that.
func (h *holds) begin(hold license.CloudHold) func() {
	h.mu.Lock()
	h.unfinished[hold.Ref] = hold
	h.mu.Unlock()
	return func() {
		h.mu.Lock()
		delete(h.unfinished, hold.Ref)
		h.mu.Unlock()
	}
}

// of returns the unfinished hold behind an id, or nil.
func (h *holds) of(id license.ID) *license.CloudHold {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hold, ok := h.unfinished[id]; ok {
		return &hold
	}
	return nil
}

// Observe hears of every applied event, on every node; it must not block. The
// leader gives back to the cloud what was freed.
func (g *Gateway) Observe(events []license.Event) {
	if g.cloud == nil {
		return
	}
	if _, leading := g.log.Leading(); !leading {
		return
	}
	for _, e := range events {
		switch f := e.Fact.(type) {
		case license.Stopped:
			if f.Session.Holds {
				g.holds.free(sessionHold(&f.Session))
			}
		case license.Expired:
			if f.Session.Holds {
				g.holds.free(sessionHold(&f.Session))
			}
		case license.Returned:
			g.holds.free(checkoutHold(&f.Checkout))
		case license.CheckoutEnded:
			g.holds.free(checkoutHold(&f.Checkout))
		case license.LinkChanged:
			if f.Up {
				g.holds.poke()
			}
		}
	}
}

func sessionHold(x *license.Session) license.CloudHold {
	return license.CloudHold{Key: license.HoldKey(license.HoldSession, x.User, x.License), Kind: license.HoldSession,
		Ref: x.ID, User: x.User, Product: x.Product, License: x.License, Machine: x.Machine}
}

func checkoutHold(x *license.Checkout) license.CloudHold {
	return license.CloudHold{Key: license.HoldKey(license.HoldCheckout, x.User, x.License), Kind: license.HoldCheckout,
		Ref: x.ID, User: x.User, Product: x.Product, License: x.License, Machine: x.Machine, Until: x.Until}
}

// free never blocks: what finds no room is given back by the next full list.
func (h *holds) free(hold license.CloudHold) {
	select {
	case h.freed <- hold:
	default:
		h.poke()
	}
}

func (h *holds) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *holds) run(ctx context.Context) {
	h.poke() // a new leader begins with the full list
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case hold := <-h.freed:
			h.giveBack(ctx, hold)
		case <-h.wake:
			h.renew(ctx)
		case <-tick.C:
			h.renew(ctx)
		}
	}
}

// giveBack tells the cloud that one session or checkout is over. Its id is never
// used again, so this cannot take back what was asked for since.
func (h *holds) giveBack(ctx context.Context, hold license.CloudHold) {
	if !h.g.link.up() {
		return // the full list that follows the link's return leaves it out
	}
	ctx, cancel := context.WithTimeout(ctx, h.g.askTimeout)
	defer cancel()
	if err := h.g.cloud.Release(ctx, h.g.fence(), hold); err != nil {
		h.g.logger.Warn("a hold could not be given back to the cloud; the next full list does it", "user", hold.User, "machine", hold.Machine.Name, "err", err)
		h.g.link.suspect()
	}
}

// renew sends the full list and acts on what comes back.
func (h *holds) renew(ctx context.Context) {
	if !h.g.link.up() {
		return
	}
	fence := h.g.fence() // before the list: what is asked for from now on is not missing from it
	// The unfinished first: what is finished by the time of the view is in the view.
	h.mu.Lock()
	under := slices.Collect(maps.Values(h.unfinished))
	h.mu.Unlock()
	var list []license.CloudHold
	h.g.log.View(func(s *license.State) { list = license.CloudHolds(s) })
	for _, u := range under {
		if !slices.ContainsFunc(list, func(x license.CloudHold) bool { return x.Key == u.Key && x.Machine.Is(u.Machine) }) {
			list = append(list, u)
		}
	}
	ask, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conflicts, err := h.g.cloud.RenewHolds(ask, fence, list)
	if err != nil {
		if ctx.Err() == nil {
			h.g.logger.Warn("the site's holds could not be renewed in the cloud", "holds", len(list), "err", err)
			h.g.link.suspect()
		}
		return
	}
	h.g.link.heard()
	h.reconcile(ctx, list, conflicts)
}

// reconcile confirms what the cloud agrees to and puts on notice what it does
// not.
func (h *holds) reconcile(ctx context.Context, list []license.CloudHold, conflicts []license.HoldConflict) {
	inConflict := map[string]license.HoldConflict{}
	for _, c := range conflicts {
		inConflict[c.Key] = c
	}
	for _, hold := range list {
		conflict, bad := inConflict[hold.Key]
		if !bad && !hold.Provisional {
			continue
		}
		var sessions []license.ID
		h.g.log.View(func(s *license.State) {
			if a := s.Active(hold.User); a != nil && hold.Kind == license.HoldSession {
				for i := range a.Sessions {
					if x := &a.Sessions[i]; x.Holds && x.Machine.Is(hold.Machine) && (bad || x.Provisional) {
						sessions = append(sessions, x.ID)
					}
				}
			}
		})
		for _, id := range sessions {
			var c license.Command = license.Confirm{Session: id}
			if bad {
				c = license.Conflict{Session: id, Machine: conflict.Machine}
				h.g.logger.Warn("the cloud knows another active machine", "user", hold.User, "machine", hold.Machine.Name, "other", conflict.Machine.Name)
			}
			if _, err := h.g.log.Propose(ctx, c); err != nil {
				h.poke() // the next leader, or this one again
				return
			}
		}
	}
}
