package license

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// ledger keeps what is granted, from the events alone, and knows the rule of one
// machine as a person would say it: of what is capped, no two machines of one
// user have
//
//   - the same license, as a session or a checkout;
//   - two capped sessions, where sessions hold the user;
//   - a checkout and anything else, where checkouts hold the user.
//
// A session under its machine's own checkout counts as part of the checkout.
// When that is over it counts for itself, or has lost its right.
type ledger struct {
	witness *witness
	grants  []grant // in the order of their grant
	ended   map[ID]Time
	waiting map[wanted]Waiter
	kept    map[wanted]Waiter
	told    map[ID]Time // by checkout: when its user was last told of its end
}

// wanted is what somebody waits for.
type wanted struct {
	user    UserID
	product ProductID
}

type grant struct {
	id       ID
	user     UserID
	product  ProductID
	license  LicenseID
	machine  Machine
	version  string
	checkout bool
	until    Time // of a checkout
	capped   bool // when it was granted
	under    ID   // of a session: the checkout it is part of
	found    bool // of a checkout: by the cloud's word after a restore
	lost     bool // of a session: what it ran under is over, and another has the right
}

// sameMachine: by id; where one has none, by the name before the first dot.
// Addresses are names without dots to cut at.
func sameMachine(a, b Machine) bool {
	if a.ID != "" && b.ID != "" {
		return a.ID == b.ID
	}
	short := func(name string) string {
		name = strings.ToLower(name[strings.LastIndex(name, `\`)+1:])
		if !strings.HasPrefix(name, "10.") {
			name, _, _ = strings.Cut(name, ".")
		}
		return name
	}
	return short(a.Name) != "" && short(a.Name) == short(b.Name)
}

func (l *ledger) clash(a, b *grant) bool {
	settings := l.witness.state.head.Settings
	if a.found || b.found || a.user != b.user || sameMachine(a.machine, b.machine) || !a.capped || !b.capped {
		return false
	}
	part := func(g *grant) bool { return !g.checkout && (!g.under.IsZero() || g.lost) }
	switch {
	case a.license == b.license:
		return true
	case part(a) || part(b):
		return false
	case a.checkout || b.checkout:
		return settings.CheckoutScope == ScopeUser
	default:
		return settings.SessionScope != ScopeLicense
	}
}

// note takes the events of one entry down and looks whether each grant may be.
func (l *ledger) note(c Command, events []Event) {
	for i, e := range events {
		l.queue(e.Fact)
		switch f := e.Fact.(type) {
		case Started:
			x := f.Session
			g := grant{id: x.ID, user: x.User, product: x.Product, license: x.License, machine: x.Machine, version: x.Version,
				capped: l.single(x.Product) && l.named(x.License)}
			if l.named(x.License) {
				g.under = l.covering(&g)
			}
			l.add(g)
		case CheckedOut:
			x := f.Checkout
			for j := range l.grants { // what it is called is known from now on
				g := &l.grants[j]
				if g.checkout && g.license == x.License && g.user == x.User && sameMachine(g.machine, x.Machine) {
					g.machine = Machine{ID: or(g.machine.ID, x.Machine.ID), Name: or(g.machine.Name, x.Machine.Name)}
				}
			}
			l.add(grant{id: x.ID, user: x.User, product: x.Product, license: x.License, machine: x.Machine, until: x.Until, checkout: true,
				capped: l.single(x.Product), version: x.Version})
			l.told[x.ID] = l.witness.state.head.Now
		case CheckoutFound:
			x := f.Checkout
			l.add(grant{id: x.ID, user: x.User, product: x.Product, license: x.License, machine: x.Machine, until: x.Until, checkout: true,
				capped: l.single(x.Product), found: true})
			l.told[x.ID] = l.witness.state.head.Now
		case Stopped:
			l.remove(f.Session.ID)
		case Expired:
			l.remove(f.Session.ID)
		case Returned:
			l.remove(f.Checkout.ID)
			heir := Checkout{}
			if _, renewed := c.(CheckOut); renewed && i+1 < len(events) {
				heir = events[i+1].Fact.(CheckedOut).Checkout
			}
			l.uncover(f.Checkout.ID, heir)
		case CheckedIn:
			if f.Checkout.WrittenOff == nil {
				l.witness.fail("checked in without a write-off: %+v", f.Checkout)
			}
			l.remove(f.Checkout.ID)
			l.uncover(f.Checkout.ID, Checkout{})
		case WrittenOff:
			delete(l.told, f.Checkout.ID)
		case CheckoutEnding:
			l.reminded(&f.Checkout)
		case CheckoutEnded:
			l.remove(f.Checkout.ID)
			l.uncover(f.Checkout.ID, Checkout{})
		}
	}
	l.agrees()
	l.allTold(l.witness.state.head.Now)
	for i := range l.grants {
		for j := range i {
			a, b := &l.grants[i], &l.grants[j]
			if a.license == b.license && !l.over(a) && !l.over(b) && l.clash(a, b) {
				l.witness.fail("two machines have one license: %+v and %+v", *a, *b)
			}
		}
	}
}

func (l *ledger) single(id ProductID) bool {
	p := l.witness.state.Product(id)
	return p == nil || p.Capped != CappedNo
}

// named: the license is one of those that the rule is for. One that is gone was.
func (l *ledger) named(id LicenseID) bool {
	if id == "" {
		return false
	}
	lic := l.witness.state.License(id)
	return lic == nil || lic.Kind == Virtuoso
}

func (l *ledger) over(g *grant) bool { return g.checkout && g.until <= l.witness.state.head.Now }

func (l *ledger) find(f func(*grant) bool) int {
	return slices.IndexFunc(l.grants, func(g grant) bool { return !l.over(&g) && f(&g) })
}

func (l *ledger) add(g grant) {
	now := l.witness.state.head.Now
	if at, ok := l.ended[g.id]; ok && now < at.Add(TombstoneLife) {
		l.witness.fail("%v ended at %v and is granted again at %v", g.id, at, now)
	}
	if i := l.find(func(h *grant) bool { return l.clash(&g, h) }); i >= 0 {
		l.witness.fail("two machines: %+v was granted beside %+v", g, l.grants[i])
	}
	l.grants = append(l.grants, g)
}

func (l *ledger) remove(id ID) {
	i := slices.IndexFunc(l.grants, func(g grant) bool { return g.id == id })
	if i < 0 {
		l.witness.fail("%v ended and was not open", id)
	}
	l.grants = slices.Delete(l.grants, i, i+1)
	l.ended[id] = l.witness.state.head.Now
	delete(l.told, id)
}

// queue takes down who waits and for whom something is kept.
func (l *ledger) queue(f Fact) {
	taken := func(user UserID, product ProductID, m Machine) {
		maps.DeleteFunc(l.kept, func(_ wanted, w Waiter) bool {
			return w.User == user && w.Product == product && sameMachine(w.Machine, m)
		})
	}
	switch f := f.(type) {
	case Started:
		taken(f.Session.User, f.Session.Product, f.Session.Machine)
	case CheckedOut:
		taken(f.Checkout.User, f.Checkout.Product, f.Checkout.Machine)
	case WaitBegan:
		l.alone("two wait", l.waiting, f.Waiter)
		l.waiting[wanted{f.Waiter.User, f.Waiter.Product}] = f.Waiter
	case Declined:
		l.waiting[wanted{f.Waiter.User, f.Waiter.Product}] = f.Waiter
	case WaitEnded:
		delete(l.waiting, wanted{f.Waiter.User, f.Waiter.Product})
	case Reserved:
		l.alone("kept for two", l.kept, f.Waiter)
		delete(l.waiting, wanted{f.Waiter.User, f.Waiter.Product})
		l.kept[wanted{f.Waiter.User, f.Waiter.Product}] = f.Waiter
	case ReservationEnded:
		delete(l.kept, wanted{f.User, f.Reservation.Product})
	}
}

// alone: nobody else is among them for the same hold of the user.
func (l *ledger) alone(what string, list map[wanted]Waiter, w Waiter) {
	byUser := l.witness.state.head.Settings.SessionScope != ScopeLicense
	for _, x := range list {
		if x.User == w.User && (byUser || x.Product == w.Product) {
			l.witness.fail("%s: %+v and %+v", what, x, w)
		}
	}
}

// agrees: the events have told everything that is open, and nothing else is.
func (l *ledger) agrees() {
	s, kept, waiting := l.witness.state, 0, 0
	if n := s.openIDs(); n != len(l.grants) {
		l.witness.fail("%d sessions and checkouts are open, the events told of %d", n, len(l.grants))
	}
	for _, g := range l.grants {
		if g.checkout && s.Checkout(g.id) == nil || !g.checkout && s.Session(g.id) == nil {
			l.witness.fail("%+v is not open any more, and no event told so", g)
		}
	}
	s.EachActive(func(a *Active) bool {
		for _, x := range a.Waiters {
			waiting++
			l.witness.equal("who waits", x, l.waiting[wanted{x.User, x.Product}])
		}
		for _, r := range a.Reservations {
			kept++
			l.witness.equal("what is kept", r.Wait, l.kept[wanted{a.User, r.Product}].ID)
		}
		for i := range a.Sessions {
			x := &a.Sessions[i]
			if own := s.Checkout(x.UnderCheckout); !x.UnderCheckout.IsZero() && x.Renewable(s.head.Now) &&
				(own == nil || own.License != x.License || !own.Machine.Is(x.Machine) && l.counts(x.ID)) {
				l.witness.fail("runs under a checkout that is not there: %+v", *x)
			}
			if x.Holds && !x.UnderCheckout.IsZero() {
				l.witness.fail("has a hold and a checkout: %+v", *x)
			}
		}
		return true
	})
	if waiting != len(l.waiting) || kept != len(l.kept) {
		l.witness.fail("%d wait and for %d something is kept, the events told of %d and %d", waiting, kept, len(l.waiting), len(l.kept))
	}
}

// counts reports whether a session is of a product that is capped and was when it
// began. One that was not may have begun on a machine that has its checkout's name,
// and turns out to be another when that one says its id.
func (l *ledger) counts(id ID) bool {
	i := l.find(func(g *grant) bool { return g.id == id })
	return i >= 0 && l.grants[i].capped && l.single(l.grants[i].product)
}

// uncover: what ran under a checkout runs under its heir, if that is the same
// machine's, or by a hold of its
// own, or has lost its right and is not renewed.
func (l *ledger) uncover(checkout ID, heir Checkout) {
	for i := range l.grants {
		g := &l.grants[i]
		if g.checkout || g.under != checkout {
			continue
		}
		g.under = ID{}
		if !heir.ID.IsZero() && sameMachine(heir.Machine, g.machine) {
			g.under = heir.ID
			continue
		}
		x := l.witness.state.Session(g.id)
		if x == nil {
			continue // stopped by the entry itself
		}
		if own := l.covering(g); !own.IsZero() && l.single(g.product) {
			g.under = own
			continue
		}
		// What was granted while its product was uncapped, and cannot take up a hold
		// now that it is, counts no more than it did.
		if g.lost = l.single(g.product) && !x.Holds; !g.lost {
			g.capped = l.single(g.product)
		}
		if x.Holds && !g.capped {
			l.witness.fail("an uncapped session took up a hold: %+v", *x)
		}
		if g.lost && x.Renewable(l.witness.state.head.Now) {
			l.witness.fail("%+v has neither a hold nor a checkout and is renewed", *x)
		}
		if j := l.find(func(h *grant) bool { return h != g && l.clash(g, h) }); j >= 0 {
			l.witness.fail("two machines: %+v took up a hold beside %+v", *g, l.grants[j])
		}
	}
}

// covering is the checkout a session runs under, or none: of its license and
// machine, and of its version where both say one.
func (l *ledger) covering(g *grant) ID {
	plain := strings.NewReplacer("10.00.18", "10.0.18", "10.0.18.0", "10.0.18", "23.0.0.0", "23.0").Replace
	own := l.find(func(h *grant) bool {
		return h.checkout && h.user == g.user && h.license == g.license && sameMachine(h.machine, g.machine) &&
			(h.version == "" || g.version == "" || g.version == h.version || plain(g.version) == plain(h.version))
	})
	if own < 0 {
		return ID{}
	}
	return l.grants[own].id
}

// reminded: a user is told of an end that is to come, once for each of its
// moments, and of nothing that is written off.
func (l *ledger) reminded(x *Checkout) {
	now := l.witness.state.head.Now
	last, ok := l.told[x.ID]
	if !ok || x.WrittenOff != nil || now >= x.Until {
		l.witness.fail("told at %v of %+v", now, *x)
	}
	for _, before := range []time.Duration{72 * time.Hour, 24 * time.Hour} {
		if at := x.Until.Add(-before); last < at && at <= now {
			l.told[x.ID] = now
			return
		}
	}
	l.witness.fail("told at %v of the end of %v at %v, and before at %v", now, x.ID, x.Until, last)
}

// allTold: no reminder is due that has not been told.
func (l *ledger) allTold(at Time) {
	for id, last := range l.told {
		x := l.witness.state.Checkout(id)
		if x == nil || x.Until <= at {
			continue
		}
		for _, before := range []time.Duration{72 * time.Hour, 24 * time.Hour} {
			if moment := x.Until.Add(-before); last < moment && moment <= at && !x.reminds(at) {
				l.witness.fail("nobody will tell of the end of %+v", *x)
			}
		}
	}
}
