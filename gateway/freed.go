package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"sitegate/license"
)

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
				g.holds.free(sessionHold(f.Session))
			}
		case license.Expired:
			if f.Session.Holds {
				g.holds.free(sessionHold(f.Session))
			}
		case license.Returned:
			g.holds.free(checkoutHold(&f.Checkout))
		case license.CheckoutEnded:
			g.holds.free(checkoutHold(&f.Checkout))
		case license.CheckedIn:
			g.holds.free(checkoutHold(&f.Checkout)) // a renewal may have been under way
		case license.LinkChanged:
			if f.Up {
				g.holds.catchUp()
			}
		case license.CheckoutsRead, license.RestoreAccepted:
			g.holds.catchUp() // which had to wait for it
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

// free notes what is to be given back. It never blocks: what finds no room is
// left out of the next full list.
func (h *holds) free(hold license.CloudHold) {
	h.mu.Lock()
	if len(h.freed) < maxFreed || h.freed[hold.User] != nil {
		h.freed[hold.User] = append(h.freed[hold.User], hold)
	} else {
		h.behind = true
	}
	h.mu.Unlock()
	h.poke()
}

// giveAllBack tells the cloud what was freed: each by itself or, where it is much
// or the cloud does not answer, by the full list.
func (h *holds) giveAllBack(ctx context.Context) {
	h.mu.Lock()
	if len(h.freed) > manyFreed {
		clear(h.freed)
		h.behind = true
	}
	users := slices.Collect(maps.Keys(h.freed))
	h.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx) // many at a time, which go to the cloud together
	group.SetLimit(atOnce)
	for _, user := range users {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			unlock, err := h.g.users.lock(ctx, string(user))
			if err != nil {
				return err
			}
			defer unlock()
			if !h.giveBack(ctx, user) {
				return errNotGiven
			}
			return nil
		})
	}
	_ = group.Wait() // the next full list does the rest
}

// giveBack tells the cloud what a user's machines have freed, and reports whether
// it took all of it. The caller holds the user's lock, so that nothing is asked
// for them meanwhile.
func (h *holds) giveBack(ctx context.Context, user license.UserID) bool {
	h.mu.Lock()
	freed := h.freed[user]
	delete(h.freed, user)
	h.mu.Unlock()
	if !h.offered() {
		return true
	}
	// A repeated request that came to nothing frees what the first has granted, but
	// only in name.
	h.g.log.View(func(s *license.State) {
		freed = slices.DeleteFunc(freed, func(x license.CloudHold) bool { return s.Session(x.Ref) != nil || s.Checkout(x.Ref) != nil })
	})
	for i, hold := range freed {
		err := errLinkDown
		if h.g.link.up() {
			err = h.giveOneBack(ctx, hold)
		}
		if err == nil {
			continue
		}
		h.mu.Lock()
		h.behind = true
		h.mu.Unlock()
		if err != errLinkDown && ctx.Err() == nil {
			h.g.logger.Warn("what was freed could not be given back to the cloud; the next full list does it",
				"user", user, "holds", len(freed)-i, "err", err)
			h.g.link.suspect()
		}
		return false
	}
	return true
}

// giveOneBack gives a hold back. What runs on when a checkout is over takes up its
// user's hold: that is asked for first, and what the cloud has against it comes
// with the full list.
func (h *holds) giveOneBack(ctx context.Context, hold license.CloudHold) error {
	ctx, cancel := context.WithTimeout(ctx, h.g.askTimeout)
	defer cancel()
	for _, runs := range h.runOn(hold) {
		d, err := h.g.cloud.Hold(ctx, h.g.fence(), runs)
		if err != nil {
			return err
		}
		if d != nil {
			h.catchUp()
		}
	}
	h.mu.Lock()
	h.given++
	h.mu.Unlock()
	return h.g.cloud.Release(ctx, h.g.fence(), hold)
}

// runOn lists the sessions that hold their user now that a checkout is over.
func (h *holds) runOn(over license.CloudHold) (list []license.CloudHold) {
	if over.Kind != license.HoldCheckout {
		return nil
	}
	h.g.log.View(func(s *license.State) {
		a := s.Active(over.User)
		if a == nil {
			return
		}
		for i := range a.Sessions {
			if x := &a.Sessions[i]; x.Holds && x.License == over.License && x.Machine.Is(over.Machine) {
				list = append(list, sessionHold(x))
			}
		}
	})
	return list
}

var (
	errLinkDown = errors.New("the link to the cloud is down")
	errNotGiven = errors.New("the cloud did not take what was freed")
)
