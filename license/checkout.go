package license

import "slices"

// Checkout is a license that one machine may use away from the network until a
// date (R14).
type Checkout struct {
	ID      ID        `cbor:"1,keyasint"`
	User    UserID    `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint"`
	License LicenseID `cbor:"4,keyasint"`
	Machine Machine   `cbor:"5,keyasint"`
	Version string    `cbor:"6,keyasint,omitempty"`
	Since   Time      `cbor:"7,keyasint,omitempty"`
	Until   Time      `cbor:"8,keyasint,omitempty"` // the first moment it is over
	Token   uint64    `cbor:"9,keyasint,omitempty"` // seq of the grant: with the epoch, its fencing token
	// Flagged is when IT was told that the right to it is gone. Zero: it is not.
	Flagged Time `cbor:"40,keyasint,omitempty"`
}

// CheckOut asks for a checkout. The cloud must have agreed: a site alone never
// gives one.
type CheckOut struct {
	ID       ID        `cbor:"1,keyasint"`
	User     UserID    `cbor:"2,keyasint"`
	Product  ProductID `cbor:"3,keyasint"`
	Machine  Machine   `cbor:"4,keyasint"`
	Version  string    `cbor:"5,keyasint,omitempty"`
	Until    Time      `cbor:"6,keyasint,omitempty"`
	Agreed   bool      `cbor:"7,keyasint,omitempty"`
	NotAfter Time      `cbor:"8,keyasint,omitempty"`
}

// CheckedOut: the checkout is open.
type CheckedOut struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

// Return gives a checkout back from the machine that has it.
type Return struct {
	ID      ID      `cbor:"1,keyasint"`
	User    UserID  `cbor:"2,keyasint"`
	Machine Machine `cbor:"3,keyasint"`
}

// Returned: the checkout was given back.
type Returned struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

// EndCheckout ends a checkout whose date has come. Due lists it.
type EndCheckout struct {
	ID ID `cbor:"1,keyasint"`
}

// CheckoutEnded: the checkout's date has come.
type CheckoutEnded struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

func (c CheckOut) subject(*State) UserID { return c.User }

func (c CheckOut) decide(s *State, at Time) *Denial {
	if x := s.Checkout(c.ID); x != nil && x.Until > at {
		if x.User != c.User || x.Product != c.Product || !x.Machine.Is(c.Machine) {
			return deny(IDInUse)
		}
		return nil
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if !validName(string(c.Product)) || !validName(c.Version) {
		return deny(BadCommand)
	}
	if d := s.barred(c.User, c.Machine, c.Product); d != nil {
		return d
	}
	_, lic, d := s.entitled(c.User, c.Product, at)
	if d != nil {
		return d
	}
	if c.Until <= at {
		return &Denial{Reason: CheckoutInPast, Product: c.Product, License: lic.ID}
	}
	if latest := s.latestCheckout(lic, at); latest != 0 && c.Until > latest {
		return &Denial{Reason: CheckoutTooLong, Product: c.Product, License: lic.ID, Until: latest}
	}
	if d := s.checkoutConflict(c.User, lic, c.Machine, at); d != nil {
		return d
	}
	if !c.Agreed {
		return &Denial{Reason: CloudNeeded, Product: c.Product, License: lic.ID}
	}
	return nil
}

func (c CheckOut) do(s *State, at Time) Outcome {
	if x := s.Checkout(c.ID); x != nil {
		copied := *x
		return Outcome{Checkout: &copied, Repeat: true}
	}
	_, lic, _ := s.entitled(c.User, c.Product, at)
	s.contact(at)
	a := s.open(c.User)
	claimed := s.claim(a, c.Product, c.Machine)
	// A new checkout of the same license on the same machine takes the place of
	// the one it renews or shortens, and keeps the id the machine was known by: its
	// name alone may be another's too.
	machine := c.Machine
	if i := slices.IndexFunc(a.Checkouts, func(y Checkout) bool { return y.License == lic.ID && y.Machine.Is(c.Machine) }); i >= 0 {
		old := s.take(a, i)
		s.emit(Returned{Checkout: old})
		if machine.ID == "" {
			machine.ID = old.Machine.ID
		}
		for j := range a.Sessions {
			if a.Sessions[j].UnderCheckout == old.ID {
				a.Sessions[j].UnderCheckout = c.ID
			}
		}
	}
	x := Checkout{ID: c.ID, User: c.User, Product: c.Product, License: lic.ID, Machine: machine,
		Version: c.Version, Since: at, Until: c.Until, Token: s.head.Seq + 1}
	a.Checkouts = append(a.Checkouts, x)
	s.checkouts[x.ID] = c.User
	s.plan(x.Until, x.User)
	s.used(x.License, at)
	s.emit(CheckedOut{Checkout: x})
	if claimed {
		s.offer(c.User)
	}
	return Outcome{Checkout: &x}
}

func (c Return) subject(*State) UserID { return c.User }

func (c Return) decide(s *State, at Time) *Denial {
	x := s.Checkout(c.ID)
	if x == nil || x.Until <= at {
		if s.ended(c.ID, at) == c.User && c.User != "" {
			return nil
		}
		return deny(UnknownCheckout)
	}
	if x.User != c.User || !x.Machine.Is(c.Machine) {
		return deny(NotYours)
	}
	return nil
}

func (c Return) do(s *State, _ Time) Outcome {
	if s.Checkout(c.ID) == nil {
		return Outcome{Repeat: true}
	}
	a := s.open(c.User)
	x := s.take(a, slices.IndexFunc(a.Checkouts, func(y Checkout) bool { return y.ID == c.ID }))
	s.emit(Returned{Checkout: x})
	s.uncover(a, x.ID)
	s.close(a)
	s.offer(c.User)
	return Outcome{Checkout: &x}
}

func (c EndCheckout) subject(s *State) UserID { return s.checkouts[c.ID] }

// decide always lets EndCheckout pass: what is due was settled before, and what
// is not due stays.
func (c EndCheckout) decide(*State, Time) *Denial { return nil }

func (c EndCheckout) do(*State, Time) Outcome { return Outcome{Repeat: true} }

// take removes the i-th checkout of a user.
func (s *State) take(a *Active, i int) Checkout {
	x := a.Checkouts[i]
	a.Checkouts = slices.Delete(a.Checkouts, i, i+1)
	delete(s.checkouts, x.ID)
	s.bury(x.ID, x.User)
	s.touch(Key{KeyActive, string(a.User)})
	return x
}

// endCheckout ends the i-th checkout of a user by its date. What that frees is
// for the caller to offer.
func (s *State) endCheckout(a *Active, i int) {
	x := s.take(a, i)
	s.emit(CheckoutEnded{Checkout: x})
	s.uncover(a, x.ID)
	s.close(a)
}

// uncover sees to the sessions that ran under a checkout that is over: each
// takes up its user's hold, or, where another machine has that by now, may be
// renewed no more. What runs goes before what is only kept.
func (s *State) uncover(a *Active, checkout ID) {
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if x.UnderCheckout != checkout {
			continue
		}
		if p := s.products[x.Product]; p != nil && !p.Single() {
			x.UnderCheckout = ID{}
			continue
		}
		lic := &License{ID: x.License, Product: x.Product}
		if d := s.held(a, lic, x.Machine, s.head.Now, s.head.Settings.sessionScope()); d == nil {
			x.UnderCheckout, x.Holds = ID{}, true
		} else if x.Renewable(s.head.Now) {
			copied := s.putOnNotice(x, Ending{Reason: EndCheckoutOver, Machine: d.Machine, Until: s.head.Now})
			s.emit(Conflicted{Session: copied})
		}
	}
}

// latestCheckout is the latest end a checkout of the license may have: the
// license's own, the account's and the site's maximum (R14). Zero: no limit.
func (s *State) latestCheckout(lic *License, at Time) Time {
	latest := lic.Ends
	limit := s.head.Account.CheckoutMax
	if own := s.head.Settings.CheckoutMax; own != 0 && (limit == 0 || own < limit) {
		limit = own
	}
	if limit != 0 && (latest == 0 || at.Add(limit) < latest) {
		latest = at.Add(limit)
	}
	return latest
}
