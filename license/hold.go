package license

// startConflict says which other machine keeps a capped start out: one with a
// capped session of this user, or with this license checked out (with the
// default scopes). A machine is never in its own way.
func (s *State) startConflict(user UserID, lic *License, m Machine, at Time) *Denial {
	a := s.active[user]
	if a == nil {
		return nil
	}
	byUser := s.head.Settings.sessionScope() == ScopeUser
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if x.Holds && !x.Machine.Is(m) && (byUser || x.License == lic.ID) {
			return x.inTheWay(lic)
		}
	}
	if d := s.checkoutInTheWay(a, lic, m, at); d != nil {
		return d
	}
	return a.reservedFor(lic, m, at)
}

// checkoutConflict says which other machine keeps a checkout out: one with a
// session or a checkout of this license (with the default scopes).
func (s *State) checkoutConflict(user UserID, lic *License, m Machine, at Time) *Denial {
	a := s.active[user]
	if a == nil {
		return nil
	}
	byUser := s.head.Settings.checkoutScope() == ScopeUser
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if x.Holds && !x.Machine.Is(m) && (byUser || x.License == lic.ID) {
			return x.inTheWay(lic)
		}
	}
	if d := s.checkoutInTheWay(a, lic, m, at); d != nil {
		return d
	}
	return a.reservedFor(lic, m, at)
}

func (s *State) checkoutInTheWay(a *Active, lic *License, m Machine, at Time) *Denial {
	byUser := s.head.Settings.checkoutScope() == ScopeUser
	for i := range a.Checkouts {
		x := &a.Checkouts[i]
		if x.Until > at && !x.Machine.Is(m) && (byUser || x.License == lic.ID) {
			return &Denial{Reason: MachineActive, Product: lic.Product, License: lic.ID, Machine: x.Machine,
				Since: x.Since, Holding: x.License, By: HoldCheckout, Until: x.Until}
		}
	}
	return nil
}

func (x *Session) inTheWay(lic *License) *Denial {
	return &Denial{Reason: MachineActive, Product: lic.Product, License: lic.ID, Machine: x.Machine,
		Since: x.Since, Holding: x.License, By: HoldSession}
}

func (a *Active) reservedFor(lic *License, m Machine, at Time) *Denial {
	r := a.Reservation
	if r == nil || r.Until <= at || r.Machine.Is(m) {
		return nil
	}
	return &Denial{Reason: KeptForWaiter, Product: lic.Product, License: lic.ID, Machine: r.Machine, Until: r.Until}
}

// ownCheckout is this machine's own checkout of the license, or nil. What runs
// under it needs no hold of its own.
func (s *State) ownCheckout(user UserID, lic LicenseID, m Machine, at Time) *Checkout {
	a := s.active[user]
	if a == nil {
		return nil
	}
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; x.License == lic && x.Until > at && x.Machine.Is(m) {
			return x
		}
	}
	return nil
}

// claim takes up a reservation that was kept for this machine, and the wait
// that led to it.
func (s *State) claim(a *Active, m Machine) {
	if a.Reservation != nil && a.Reservation.Machine.Is(m) {
		a.Reservation = nil
	}
	if a.Waiter != nil && a.Waiter.Machine.Is(m) {
		w := *a.Waiter
		a.Waiter = nil
		s.emit(WaitEnded{Waiter: w, Granted: true})
	}
}
