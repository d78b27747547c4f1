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
	Version string    `cbor:"6,keyasint,omitempty"` // that runs under it, and no other; empty: every one
	Since   Time      `cbor:"7,keyasint,omitempty"`
	Until   Time      `cbor:"8,keyasint,omitempty"` // the first moment it is over
	Token   uint64    `cbor:"9,keyasint,omitempty"` // seq of the grant: with the epoch, its fencing token

	// By and Note say which administrator made it for the user, and why; empty where
	// the user did.
	By   string `cbor:"30,keyasint,omitempty"`
	Note string `cbor:"31,keyasint,omitempty"`
	// Remind is when its user is next told that it ends; zero is never (again).
	Remind Time `cbor:"32,keyasint,omitempty"`
	// WrittenOff: an administrator has given it up for lost. It goes on blocking.
	WrittenOff *Loss `cbor:"33,keyasint,omitempty"`
	// Country is the entitlement country of its user when it was made, for its usage.
	Country string `cbor:"71,keyasint,omitempty"`
	// Relayed: the vendor has made it and signed its file, for its own client, which meters
	// itself.
	Relayed bool `cbor:"229,keyasint,omitempty"`
	// Unbooked: it was imported, and the cloud has not taken it into its books yet. That it is
	// missing there is no check-in.
	Unbooked bool `cbor:"491,keyasint,omitempty"`
	// Flagged is when IT was told that the right to it is gone. Zero: it is not.
	Flagged Time `cbor:"40,keyasint,omitempty"`
	// Proof is the key that its machine has shown for it; zero: none. See holder.
	Proof Proof `cbor:"346,keyasint,omitzero"`
}

// CheckOut asks for a checkout. The cloud must have agreed: a site alone never
// gives one.
type CheckOut struct {
	ID       ID        `cbor:"1,keyasint"`
	User     UserID    `cbor:"2,keyasint"`
	Product  ProductID `cbor:"3,keyasint"`
	Machine  Machine   `cbor:"4,keyasint"`
	Version  string    `cbor:"5,keyasint,omitempty"`
	Until    Time      `cbor:"6,keyasint,omitempty"` // zero: Settings.CheckoutDefault, or less where that is too long
	Agreed   bool      `cbor:"7,keyasint,omitempty"`
	NotAfter Time      `cbor:"8,keyasint,omitempty"`

	// By and Note: the administrator who makes it for the user, and why.
	By   string `cbor:"30,keyasint,omitempty"`
	Note string `cbor:"31,keyasint,omitempty"`
	// Imported: the vendor has made it already and signed it, until Until. How long checkouts
	// may be does not matter any more, nor whether there may be any.
	Imported bool `cbor:"228,keyasint,omitempty"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"280,keyasint,omitzero"`
}

// MaxCheckouts is how many checkouts one user may have.
const MaxCheckouts = 100

// CheckedOut: the checkout is open.
type CheckedOut struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

// Return gives a checkout back from the machine that has it.
type Return struct {
	ID      ID      `cbor:"1,keyasint"`
	User    UserID  `cbor:"2,keyasint"`
	Machine Machine `cbor:"3,keyasint"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"346,keyasint,omitzero"`
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
		if d := s.holder(x.User, x.Machine, x.Proof, c.Proof); d != nil && c.By == "" && !c.Imported {
			return d
		}
		if s.single(x.Product) {
			return s.repeats(x.Token, x.Product, x.License, at)
		}
		return nil
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if !validName(string(c.Product)) || !validName(c.Version) || !validName(c.By) || !validName(c.Note) || c.Imported && c.Until == 0 {
		return deny(BadCommand)
	}
	if s.named(c.User, c.ID) {
		return deny(IDInUse)
	}
	if d := s.barred(c.User, c.Machine, c.Product); d != nil {
		return d
	}
	if c.By == "" && !c.Imported {
		if d := s.keyed(c.User, c.Machine, c.Proof, c.Product, s.single(c.Product), at); d != nil {
			return d
		}
	}
	if a := s.Active(c.User); a != nil { // by the names of what it would renew, too
		for i := range a.Checkouts {
			if x := &a.Checkouts[i]; x.Machine.Is(c.Machine) {
				if d := s.barred(c.User, x.Machine, c.Product); d != nil {
					return d
				}
			}
		}
	}
	p, lic, d := s.entitled(c.User, c.Product, at)
	if d != nil {
		return d
	}
	if d := s.renewable(&c, lic); d != nil {
		return d
	}
	if d := s.checkoutTerms(&c, lic, at); d != nil {
		return d
	}
	if d := s.checkoutConflict(c.User, lic, s.knownAs(c.User, lic.ID, c.Machine), at); d != nil {
		return d
	}
	if p.Single() {
		if d := s.awaitsRestore(c.Product, lic.ID, at); d != nil {
			return d
		}
	}
	if d := s.meterable(c.Product, lic.ID); d != nil && !c.Imported {
		return d
	}
	if !c.Agreed {
		return &Denial{Reason: CloudNeeded, Product: c.Product, License: lic.ID}
	}
	return nil
}

// renewable refuses to take the place of a checkout that another key has: by the name alone,
// another id of the machine would.
func (s *State) renewable(c *CheckOut, lic *License) *Denial {
	a := s.Active(c.User)
	if a == nil || c.By != "" || c.Imported {
		return nil
	}
	i := c.renews(a, lic)
	if i < 0 {
		return nil
	}
	x := &a.Checkouts[i]
	return s.holder(x.User, x.Machine, x.Proof, c.Proof)
}

func (c CheckOut) do(s *State, at Time) Outcome {
	if x := s.Checkout(c.ID); x != nil {
		copied := *x
		return Outcome{Checkout: &copied, Repeat: true}
	}
	_, lic, _ := s.entitled(c.User, c.Product, at)
	until := s.checkoutEnd(&c, lic, at)
	s.contact(at)
	a := s.open(c.User)
	claimed := s.claim(a, c.Product, s.knownAs(c.User, lic.ID, c.Machine))
	// A new checkout of the same license and version on the same machine takes the
	// place of the one it renews or shortens, and keeps the id the machine was known
	// by: its name alone may be another's too. Its name stays as well, for sessions that
	// know nothing else.
	machine, renewed, proof := c.Machine, ID{}, Proof{}
	if c.By == "" && !c.Imported {
		proof = c.Proof
	}
	if i := c.renews(a, lic); i >= 0 {
		old := s.take(a, i)
		s.emit(Returned{Checkout: old})
		if proof == (Proof{}) { // by IT, which does not take it from the machine
			proof = old.Proof
		}
		machine, renewed = Machine{ID: or(machine.ID, old.Machine.ID), Name: or(machine.Name, old.Machine.Name)}, old.ID
	}
	machine = a.known(lic.ID, machine)
	for i := range a.Sessions {
		y := &a.Sessions[i]
		if y.UnderCheckout == renewed && !renewed.IsZero() && y.Machine.Is(machine) {
			y.UnderCheckout = c.ID
		}
	}
	x := Checkout{ID: c.ID, User: c.User, Product: c.Product, License: lic.ID, Machine: machine,
		Version: c.Version, Since: at, Until: until, Token: s.head.Seq + 1, By: c.By, Note: c.Note,
		Remind: nextReminder(until, at), Country: s.User(c.User).Country, Relayed: c.Imported, Unbooked: c.Imported, Proof: proof}
	a.Checkouts = append(a.Checkouts, x)
	s.ids[x.ID] = use{of: s.person(c.User)}
	s.planCheckout(&x)
	s.used(lic, at)
	s.emit(CheckedOut{Checkout: x})
	if !renewed.IsZero() {
		s.uncover(a, renewed) // what runs on another machine, which had been taken for this one by its name
	}
	if claimed {
		s.offer(c.User)
	}
	return Outcome{Checkout: &x}
}

// knownAs gives a machine that does not say its id, or its name, what its checkouts
// of the license know: another machine of its name is not it.
func (s *State) knownAs(user UserID, lic LicenseID, m Machine) Machine {
	if a := s.Active(user); a != nil {
		for i := range a.Checkouts {
			if x := &a.Checkouts[i]; x.License == lic && x.Machine.Is(m) {
				m.ID, m.Name = or(m.ID, x.Machine.ID), or(m.Name, x.Machine.Name)
			}
		}
	}
	return m
}

// named reports whether a session of the user still names the checkout: one that
// lost its right with it, and has not stopped yet.
func (s *State) named(user UserID, checkout ID) bool {
	a := s.Active(user)
	return a != nil && slices.ContainsFunc(a.Sessions, func(x Session) bool { return x.UnderCheckout == checkout })
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
	return s.holder(x.User, x.Machine, x.Proof, c.Proof)
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

func (c EndCheckout) subject(s *State) UserID { return s.borrower(c.ID) }

// decide always lets EndCheckout pass: what is due was settled before, and what
// is not due stays.
func (c EndCheckout) decide(*State, Time) *Denial { return nil }

func (c EndCheckout) do(*State, Time) Outcome { return Outcome{Repeat: true} }

// take removes the i-th checkout of a user.
func (s *State) take(a *Active, i int) Checkout {
	x := a.Checkouts[i]
	a.Checkouts = slices.Delete(a.Checkouts, i, i+1)
	s.bury(x.ID, s.person(x.User))
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
		if own := s.ownCheckout(x.User, x.License, x.Machine, x.Version, s.head.Now); own != nil {
			x.UnderCheckout = own.ID // another one of this machine
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
	s.keepsOn(a)
}

// known is the machine as the checkouts of other versions know it, and lets them
// know what they did not: its id, because a name alone may be another machine's too,
// and its name, because another time it may come with nothing else.
func (a *Active) known(lic LicenseID, m Machine) Machine {
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; x.License == lic && x.Machine.Is(m) {
			m.ID, m.Name = or(m.ID, x.Machine.ID), or(m.Name, x.Machine.Name)
		}
	}
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; x.License == lic && x.Machine.Is(m) {
			x.Machine.ID, x.Machine.Name = or(x.Machine.ID, m.ID), or(x.Machine.Name, m.Name)
		}
	}
	return m
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
