package license

func longestFirst(a, b License) int {
	end := func(l License) Time {
		if l.Ends == 0 {
			return 1 << 62
		}
		return l.Ends
	}
	switch {
	case end(a) > end(b), end(a) == end(b) && a.ID < b.ID:
		return -1
	}
	return 1
}

func (w *twin) sessionsHoldUser() bool { return w.head.Settings.SessionScope != ScopeLicense }

func (w *twin) checkoutsHoldUser() bool { return w.head.Settings.CheckoutScope == ScopeUser }

// holder is the other machine that has what m asks for: its sessions with a hold,
// its checkouts, its sessions by the very license.
func (w *twin) holder(user UserID, product ProductID, lic LicenseID, m Machine, allSessions bool) *Denial {
	active := func(x *Session) *Denial {
		return &Denial{Reason: "machine-active", Product: product, License: lic, Machine: x.Machine, Since: x.Since, Holding: x.License, By: HoldSession}
	}
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.User == user && x.Holds && !sameMachine(x.Machine, m) && (allSessions || x.License == lic) {
			return active(x)
		}
	}
	for i := range w.checkouts {
		x := &w.checkouts[i]
		if x.User == user && x.Until > w.now() && !sameMachine(x.Machine, m) && (w.checkoutsHoldUser() || x.License == lic) {
			return &Denial{Reason: "machine-active", Product: product, License: lic, Machine: x.Machine, Since: x.Since, Holding: x.License,
				By: HoldCheckout, Until: x.Until}
		}
	}
	return w.runsElsewhere(user, product, lic, m)
}

func (w *twin) runsElsewhere(user UserID, product ProductID, lic LicenseID, m Machine) *Denial {
	for _, x := range w.sessions {
		if x.User == user && x.License == lic && !sameMachine(x.Machine, m) && (x.Holds || x.UnderCheckout != ID{}) {
			return &Denial{Reason: "machine-active", Product: product, License: lic, Machine: x.Machine, Since: x.Since, Holding: x.License, By: HoldSession}
		}
	}
	return nil
}

// keptFromThis refuses what is kept for another machine.
func (w *twin) keptFromThis(user UserID, product ProductID, lic LicenseID, m Machine, everything bool) *Denial {
	for _, r := range w.keptFor(user) {
		if r.Until <= w.now() || sameMachine(r.Machine, m) || !everything && r.Product != product {
			continue
		}
		return &Denial{Reason: "reserved", Product: product, License: lic, Machine: r.Machine, Until: r.Until}
	}
	return nil
}

// own is this machine's own checkout of the license, for the version.
func (w *twin) own(user UserID, lic LicenseID, m Machine, version string) *Checkout {
	return twinFind(w.checkouts, func(x *Checkout) bool {
		return x.User == user && x.License == lic && x.Until > w.now() && sameMachine(x.Machine, m) &&
			(x.Version == "" || version == "" || twinVersion(version) == twinVersion(x.Version))
	})
}

func (w *twin) startRefused(user UserID, lic License, m Machine, version string) *Denial {
	if !w.single(lic.Product) || lic.Kind != Virtuoso {
		return nil
	}
	if w.own(user, lic.ID, m, version) != nil {
		for _, x := range w.checkouts {
			if x.User == user && x.License == lic.ID && x.Until > w.now() && !sameMachine(x.Machine, m) {
				return &Denial{Reason: "machine-active", Product: lic.Product, License: lic.ID, Machine: x.Machine, Since: x.Since,
					Holding: lic.ID, By: HoldCheckout, Until: x.Until}
			}
		}
		return w.runsElsewhere(user, lic.Product, lic.ID, m)
	}
	if d := w.holder(user, lic.Product, lic.ID, m, w.sessionsHoldUser()); d != nil {
		return d
	}
	if d := w.takenFrom(user, lic.Product, lic.ID, m, w.sessionsHoldUser()); d != nil {
		return d
	}
	return w.keptFromThis(user, lic.Product, lic.ID, m, w.sessionsHoldUser())
}
