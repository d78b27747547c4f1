package license

import "slices"

// startConflict says which other machine keeps a start that needs a hold out: one
// with a capped session of this user, or with this license checked out (with the
// default scopes), or one that something is kept for. A machine is never in its
// own way.
func (s *State) startConflict(user UserID, lic *License, m Machine, at Time) *Denial {
	return s.conflict(user, lic, m, at, s.head.Settings.sessionScope())
}

// checkoutConflict says which other machine keeps a checkout out: one with a
// session or a checkout of this license (with the default scopes), or one that
// it is kept for. What is not capped may be out on as many machines as one likes
// (R5).
func (s *State) checkoutConflict(user UserID, lic *License, m Machine, at Time) *Denial {
	if p := s.products[lic.Product]; p != nil && !p.Single() {
		return nil
	}
	return s.conflict(user, lic, m, at, s.head.Settings.checkoutScope())
}

func (s *State) conflict(user UserID, lic *License, m Machine, at Time, sessions Scope) *Denial {
	a := s.Active(user)
	if a == nil {
		return nil
	}
	if d := s.held(a, lic, m, at, sessions); d != nil {
		return d
	}
	if d := a.takenFor(lic, m, at, sessions); d != nil {
		return d
	}
	return a.reservedFor(lic, m, at, sessions)
}

// held says which other machine has what m asks for. The scope is of what is
// asked for: how far the sessions of others are in its way.
func (s *State) held(a *Active, lic *License, m Machine, at Time, sessions Scope) *Denial {
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if x.Holds && !x.Machine.Is(m) && (sessions == ScopeUser || x.License == lic.ID) {
			return x.inTheWay(lic)
		}
	}
	if x := a.checkedOut(lic, m, at, s.head.Settings.checkoutScope()); x != nil {
		return x.inTheWay(lic)
	}
	return a.runs(lic, m)
}

// has says which other machine has the license itself, checked out or running. That
// is in the way even of what runs under a checkout of its own: two machines have one
// license checked out where it was uncapped, or where the cloud's books say so after
// a restore, and neither starts anything until the other has returned it.
func (a *Active) has(lic *License, m Machine, at Time) *Denial {
	if x := a.checkedOut(lic, m, at, ScopeLicense); x != nil {
		return x.inTheWay(lic)
	}
	return a.runs(lic, m)
}

// checkedOut is another machine's checkout of the license, or of any where
// checkouts hold the user; or nil.
func (a *Active) checkedOut(lic *License, m Machine, at Time, scope Scope) *Checkout {
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; x.Until > at && !x.Machine.Is(m) && (scope == ScopeUser || x.License == lic.ID) {
			return x
		}
	}
	return nil
}

// runs says which other machine runs the license itself. That is in the way even
// where the session has no hold: its checkout may be over while its lease is not.
func (a *Active) runs(lic *License, m Machine) *Denial {
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if (x.Holds || !x.UnderCheckout.IsZero()) && x.License == lic.ID && !x.Machine.Is(m) {
			return x.inTheWay(lic)
		}
	}
	return nil
}

func (x *Session) inTheWay(lic *License) *Denial {
	return &Denial{Reason: MachineActive, Product: lic.Product, License: lic.ID, Machine: x.Machine,
		Since: x.Since, Holding: x.License, By: HoldSession}
}

func (x *Checkout) inTheWay(lic *License) *Denial {
	return &Denial{Reason: MachineActive, Product: lic.Product, License: lic.ID, Machine: x.Machine,
		Since: x.Since, Holding: x.License, By: HoldCheckout, Until: x.Until}
}

// reservedFor says for which other machine something is kept that m would take
// from it.
func (a *Active) reservedFor(lic *License, m Machine, at Time, scope Scope) *Denial {
	for i := range a.Reservations {
		r := &a.Reservations[i]
		if r.Until > at && !r.Machine.Is(m) && (scope == ScopeUser || r.Product == lic.Product) {
			return &Denial{Reason: KeptForWaiter, Product: lic.Product, License: lic.ID, Machine: r.Machine, Until: r.Until}
		}
	}
	return nil
}

// startBlocked says which other machine keeps a start out, whatever kind of start
// it would be: an uncapped one, and one by another license than a Virtuoso, needs
// nothing, one under this machine's own checkout no hold.
func (s *State) startBlocked(user UserID, p *Product, lic *License, m Machine, version string, at Time) *Denial {
	switch {
	case !p.needsHold(lic):
		return nil
	case s.startsUnder(user, lic, m, version, at) != nil:
		return s.Active(user).has(lic, m, at)
	}
	return s.startConflict(user, lic, m, at)
}

// startsUnder is the checkout that a start by the license would run under, or nil.
func (s *State) startsUnder(user UserID, lic *License, m Machine, version string, at Time) *Checkout {
	if lic.Kind != Virtuoso {
		return nil
	}
	return s.ownCheckout(user, lic.ID, m, version, at)
}

// ownCheckout is this machine's own checkout of the license that covers the
// version, or nil. What runs under it needs no hold of its own.
func (s *State) ownCheckout(user UserID, lic LicenseID, m Machine, version string, at Time) *Checkout {
	a := s.Active(user)
	if a == nil {
		return nil
	}
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; x.License == lic && x.Until > at && x.Machine.Is(m) && x.covers(version) {
			return x
		}
	}
	return nil
}

// claim takes up what was kept for this machine, or the wait for it, and reports
// whether something was kept: the next that waits may be offered another license
// now.
func (s *State) claim(a *Active, product ProductID, m Machine) bool {
	for i := range a.Waiters {
		if w := a.Waiters[i]; w.Product == product && w.Machine.Is(m) {
			s.emit(WaitEnded{Waiter: w, Granted: true})
			s.unwait(a, w.ID)
			break // one product has one
		}
	}
	had := len(a.Reservations)
	a.Reservations = slices.DeleteFunc(a.Reservations, func(r Reservation) bool { return r.Product == product && r.Machine.Is(m) })
	return len(a.Reservations) < had
}
