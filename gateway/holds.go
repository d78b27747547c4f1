package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"sitegate/license"
)

// holds keeps the cloud's books in step with the site's: what the site holds is
// renewed from its full list, what was freed is given back at once, what the
// site granted alone is confirmed or found to be in conflict.
//
// What a user's machine has freed is given back before the cloud is asked for
// another one of theirs, so that the cloud never refuses a machine for one of
// this site that has just let go.
type holds struct {
	g    *Gateway
	wake chan struct{}
	one  chan struct{} // room for one renewal at a time

	mu         sync.Mutex // guards all below
	unfinished map[license.ID]unfinished
	freed      map[license.UserID][]license.CloudHold // not given back yet
	// behind: the cloud may still have what the site has freed, because an earlier
	// leader knew of it or giving it back failed. The next renewal settles it.
	behind bool
	given  uint64 // releases begun
	// overtaken: releases were begun while the last full list was on its way, which
	// may have brought back what they gave.
	overtaken bool
	listing   bool // a full list is on its way
	// absent: the cloud keeps no holds, and is not asked before then.
	absent time.Time
}

// unfinished is a hold that is being asked for. until is zero, or it is not known
// whether it was granted: then it still may be, until then. listed: a full list had
// it, so the cloud may have it whatever it answers to who asks.
type unfinished struct {
	hold   license.CloudHold
	until  time.Time
	listed bool
}

const (
	renewEvery  = time.Minute      // a third of the cloud's lease
	holdsAnew   = 10 * time.Minute // before a cloud that keeps no holds is asked for one again
	readTimeout = 10 * time.Second // for the feed, before a session is told that its right is gone
	maxFreed    = 10_000           // users with something to give back; the rest is for the full list
	manyFreed   = 100              // users for whom one full list is less than a release each
)

func newHolds(g *Gateway) *holds {
	return &holds{g: g, wake: make(chan struct{}, 1), one: make(chan struct{}, 1),
		unfinished: map[license.ID]unfinished{}, freed: map[license.UserID][]license.CloudHold{}}
}

// lead begins a leadership: of what was freed before it nothing is known, and
// what was not known to be granted is in the state by now, or nowhere.
func (h *holds) lead() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.freed)
	maps.DeleteFunc(h.unfinished, func(_ license.ID, u unfinished) bool { return !u.until.IsZero() })
	h.behind = true
}

// catchUp has the full list sent: confirmations wait for it.
func (h *holds) catchUp() {
	h.mu.Lock()
	h.behind = true
	h.mu.Unlock()
	h.poke()
}

// begin notes a hold that is being asked for, so that a full list sent meanwhile
// has it, until it is decided. again: it was asked for before, and the cloud may
// have it from then.
func (h *holds) begin(hold license.CloudHold) (again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, again = h.unfinished[hold.Ref]
	h.unfinished[hold.Ref] = unfinished{hold: hold}
	return again
}

// end forgets a hold that was asked for, and says whether a full list had it
// meanwhile.
func (h *holds) end(hold license.CloudHold) (listed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	listed = h.unfinished[hold.Ref].listed
	delete(h.unfinished, hold.Ref)
	return listed
}

// decided hears what became of a hold that was asked for. What led to nothing is
// given back. What is not known stays in the list for as long as it may yet be
// applied.
func (h *holds) decided(hold license.CloudHold, out license.Outcome, err error) {
	if errors.Is(err, ErrUnknown) {
		h.mu.Lock()
		h.unfinished[hold.Ref] = unfinished{hold: hold, until: time.Now().Add(Life)}
		h.mu.Unlock()
		return
	}
	h.end(hold)
	switch {
	case err != nil || out.Denial != nil:
		h.free(hold)
	case out.Session != nil && out.Session.Provisional:
		h.catchUp() // to be confirmed as soon as the cloud hears
	}
}

// underWay lists the unfinished holds, for a full list, and forgets those that came to
// nothing.
func (h *holds) underWay() []license.CloudHold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []license.CloudHold
	for id, u := range h.unfinished {
		if !u.until.IsZero() && time.Now().After(u.until) {
			delete(h.unfinished, id)
			continue
		}
		u.listed = true
		h.unfinished[id] = u
		list = append(list, u.hold)
	}
	return list
}

func (h *holds) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run gives back what was freed and renews the full list, while this node leads.
func (h *holds) run(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	h.renew(ctx) // a new leader begins with the full list
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			h.giveAllBack(ctx)
			if h.isBehind() {
				h.renew(ctx)
			}
		case <-tick.C:
			h.renew(ctx)
		}
	}
}

// offered reports whether the cloud keeps holds for a site, as far as is known.
func (h *holds) offered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !time.Now().Before(h.absent)
}

// notOffered: the cloud has said that it keeps none.
func (h *holds) notOffered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.absent.IsZero() {
		h.g.logger.Warn("this cloud keeps no holds for a site: starts that need its agreement are decided by the account's terms")
	}
	h.absent = time.Now().Add(holdsAnew)
}

func (h *holds) isBehind() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behind
}

// ask asks the cloud for a hold. A refusal is asked about again where the cloud
// may have refused for something that this site has given up. The caller holds
// the user's lock.
func (h *holds) ask(ctx context.Context, hold license.CloudHold) (*license.Denial, error) {
	h.giveBack(ctx, hold.User)
	doubt := h.inDoubt()
	d, err := h.g.cloud.Hold(ctx, h.g.fence(), hold)
	h.unheard(err)
	doubt = doubt || h.inDoubt() // a list may have been on its way before, or since
	if err != nil || d == nil || d.Reason != license.MachineActive || !doubt || !h.renew(ctx) {
		return d, err
	}
	again, err := h.g.cloud.Hold(ctx, h.g.fence(), hold)
	h.unheard(err)
	if err != nil {
		return d, nil // it has refused; not hearing it any more is no permission
	}
	return again, nil
}

// unheard notes that what was asked for may reach the cloud yet, after it was given
// back: the next full list settles it.
func (h *holds) unheard(err error) {
	if err == nil || isNotOffered(err) {
		return
	}
	h.mu.Lock()
	h.behind = true
	h.mu.Unlock()
}

// inDoubt reports whether the cloud may have what the site has freed.
func (h *holds) inDoubt() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behind || h.overtaken || h.listing
}

// renew sends the full list and acts on what comes back; it reports whether the
// cloud's books are this site's now.
func (h *holds) renew(ctx context.Context) bool {
	select {
	case h.one <- struct{}{}:
		defer func() { <-h.one }()
	case <-ctx.Done():
		return false
	}
	if !h.g.link.up() || h.g.awaitsBooks() || !h.offered() {
		return false
	}
	h.mu.Lock()
	h.behind = false // what fails from now on sets it again
	h.listing = true
	given := h.given
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.listing = false
		h.mu.Unlock()
	}()
	fence := h.g.fence() // before the list: what is asked for from now on is not missing from it
	// The unfinished first: what is finished by the time of the view is in the view.
	under := h.underWay()
	var list []license.CloudHold
	h.g.log.View(func(s *license.State) { list = license.CloudHolds(s) })
	for _, u := range under {
		if !slices.ContainsFunc(list, func(x license.CloudHold) bool { return x.Ref == u.Ref }) {
			list = append(list, u)
		}
	}
	list = h.checkedIn(ctx, list)
	ask, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conflicts, err := h.g.cloud.RenewHolds(ask, fence, list)
	h.g.offers.heard(ofHolds, err)
	if isNotOffered(err) {
		h.notOffered()
		h.g.link.heard()
		return false
	}
	if err != nil {
		if ctx.Err() == nil {
			h.g.logger.Warn("the site's holds could not be renewed in the cloud", "holds", len(list), "err", err)
			h.g.link.suspect()
		}
		h.mu.Lock()
		h.behind = true
		h.mu.Unlock()
		return false
	}
	h.mu.Lock()
	h.overtaken = h.given != given
	h.mu.Unlock()
	h.g.link.heard()
	h.reconcile(ctx, list, conflicts)
	return true
}

// reconcile notes what the cloud agrees to and puts on notice what it does
// not.
func (h *holds) reconcile(ctx context.Context, list []license.CloudHold, conflicts []license.HoldConflict) {
	inConflict := map[license.ID]license.HoldConflict{}
	for _, c := range conflicts {
		inConflict[c.Ref] = c
	}
	var commands []license.Command
	var lost []license.CloudHold // of which the cloud says that the right is gone
	for _, hold := range list {
		conflict, bad := inConflict[hold.Ref]
		switch {
		case hold.Kind == license.HoldCheckout && hold.Unbooked && !bad:
			commands = append(commands, license.Book{Checkout: hold.Ref})
		case hold.Kind != license.HoldSession:
		case !bad && hold.Provisional:
			commands = append(commands, license.Confirm{Session: hold.Ref})
		case bad && conflict.Machine == license.Machine{}:
			lost = append(lost, hold)
		case bad && !h.told(hold):
			commands = append(commands, license.Conflict{Session: hold.Ref, Machine: conflict.Machine})
			h.g.logger.Warn("the cloud does not agree to a session", "user", hold.User, "machine", hold.Machine.Name, "other", conflict.Machine.Name)
		}
	}
	if err := h.g.proposeAll(ctx, append(commands, h.rightsLost(ctx, lost)...)); err != nil {
		h.catchUp() // the next leader, or this one again
	}
}

// told reports whether a session knows already that it is to end, or is over.
func (h *holds) told(hold license.CloudHold) (known bool) {
	h.g.log.View(func(s *license.State) { x := s.Session(hold.Ref); known = x == nil || x.Notice != nil })
	return known
}

// rightsLost is what is to be done about sessions of which the cloud says that the
// right is gone. The feed says so too, and says whether much more is gone that is held
// back: so it is read first, and where it cannot be, the next renewal finds out.
func (h *holds) rightsLost(ctx context.Context, lost []license.CloudHold) (commands []license.Command) {
	lost = slices.DeleteFunc(lost, h.told)
	if len(lost) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	select {
	case err := <-h.g.reread.ask():
		if err != nil {
			return nil
		}
	case <-ctx.Done():
		return nil
	}
	if h.g.head().Held.Since != 0 {
		return nil
	}
	for _, hold := range slices.DeleteFunc(lost, h.told) {
		commands = append(commands, license.Conflict{Session: hold.Ref})
		h.g.logger.Warn("the cloud says that the right to a session is gone", "user", hold.User, "machine", hold.Machine.Name)
	}
	return commands
}
