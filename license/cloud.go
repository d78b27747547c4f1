package license

// Fence orders what one cluster tells the cloud: the cloud refuses what is older
// than the newest it has seen, so that a leader that was replaced cannot undo
// what its successor did.
//
// Order grows with each request of one leader. A full list of holds speaks only
// of what was asked for before it: a hold of a larger Order is not dropped for
// missing from it.
type Fence struct {
	Epoch uint64
	Term  uint64
	Order uint64
}

// CloudHold is one hold of this site as the cloud is asked to keep it. It is
// idempotent per Key and Machine.
type CloudHold struct {
	Key         string // the hold key, see HoldKey
	Kind        HoldKind
	Ref         ID // the session or checkout behind it
	User        UserID
	Product     ProductID
	License     LicenseID
	Machine     Machine
	Feature     string // of a session: the feature level it was started with
	Until       Time   // of a checkout; zero for sessions
	Provisional bool   // of a session the site granted alone
	Unbooked    bool   // of a checkout that was imported, and is not in the cloud's books yet
	WrittenOff  bool   // of a checkout in them that waits for the cloud to confirm its check-in
}

// HoldKey is what a session or checkout keeps from other machines by the default
// scopes: sessions the user, checkouts the user and the license.
func HoldKey(kind HoldKind, user UserID, lic LicenseID) string {
	if kind == HoldCheckout {
		return string(user) + "/" + string(lic)
	}
	return string(user)
}

// CloudHolds lists everything this site holds: what the cloud's leases are
// renewed from. Several sessions of one user on one machine share a key, and each
// is listed: what ends one of them leaves the others in the cloud's books.
func CloudHolds(s *State) []CloudHold {
	var holds []CloudHold
	s.EachActive(func(a *Active) bool {
		holds = append(holds, a.cloudHolds()...)
		return true
	})
	return holds
}

func (a *Active) cloudHolds() []CloudHold {
	var holds []CloudHold
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if !x.Holds {
			continue
		}
		holds = append(holds, CloudHold{Key: HoldKey(HoldSession, x.User, x.License), Kind: HoldSession, Ref: x.ID,
			User: x.User, Product: x.Product, License: x.License, Machine: x.Machine, Feature: x.Feature, Provisional: x.Provisional})
	}
	for i := range a.Checkouts {
		x := &a.Checkouts[i]
		holds = append(holds, CloudHold{Key: HoldKey(HoldCheckout, x.User, x.License), Kind: HoldCheckout, Ref: x.ID,
			User: x.User, Product: x.Product, License: x.License, Machine: x.Machine, Until: x.Until,
			Unbooked: x.Unbooked, WrittenOff: x.WrittenOff != nil && !x.Unbooked})
	}
	return holds
}

// WouldHold is the hold that a Start or CheckOut asks of the cloud, and whether
// it needs one: an uncapped start does not, nor one by another license than a
// Virtuoso, nor one under this machine's own checkout.
func WouldHold(s *State, at Time, c Command) (CloudHold, bool) {
	at = max(at, s.head.Now)
	switch c := c.(type) {
	case Start:
		r, d := s.right(&c, at)
		if d != nil || !r.product.needsHold(r.license) || s.startsUnder(c.User, r.license, c.Machine, c.Version, at) != nil {
			return CloudHold{}, false
		}
		return CloudHold{Key: HoldKey(HoldSession, c.User, r.license.ID), Kind: HoldSession, Ref: c.ID, User: c.User,
			Product: c.Product, License: r.license.ID, Machine: c.Machine, Feature: c.Feature}, true
	case CheckOut:
		_, lic, d := s.entitled(c.User, c.Product, at)
		if d != nil {
			return CloudHold{}, false
		}
		return CloudHold{Key: HoldKey(HoldCheckout, c.User, lic.ID), Kind: HoldCheckout, Ref: c.ID, User: c.User,
			Product: c.Product, License: lic.ID, Machine: c.Machine, Until: s.checkoutEnd(&c, lic, at)}, true
	}
	return CloudHold{}, false
}

// HoldConflict is a hold of this site that the cloud does not agree to: another
// machine is active in its books or, with no machine, the right itself is gone.
type HoldConflict struct {
	Key     string
	Ref     ID // of the hold
	Machine Machine
	Since   Time
}

// Page is one answer of the cloud's change feed.
type Page struct {
	Cursor  string // to ask on from
	More    bool   // more is waiting already
	Reset   bool   // the cursor was not known: this starts from the beginning
	Changes []Change
}

// Delivery is what has become of usage that was sent.
type Delivery struct {
	// Done is how many the cloud has dealt with, from the first on: it keeps them all but
	// those that are set aside.
	Done     int
	SetAside []SetAside // in the order of what was sent
	Way      UsageWay
}
