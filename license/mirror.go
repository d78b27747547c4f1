package license

import "slices"

// MaxChanges is how many changes one Mirror may carry: an entry stays well below
// what a store can keep in one transaction.
const MaxChanges = 1000

// maxCountries is how many countries a license may name: there are fewer.
const maxCountries = 300

// Change is one record of the cloud's feed: exactly one of the pointers, or a
// deletion, is set.
type Change struct {
	User    *User    `cbor:"1,keyasint,omitempty"`
	Product *Product `cbor:"2,keyasint,omitempty"`
	License *License `cbor:"3,keyasint,omitempty"`
	Account *Account `cbor:"4,keyasint,omitempty"`

	DeleteUser    UserID    `cbor:"5,keyasint,omitempty"`
	DeleteProduct ProductID `cbor:"6,keyasint,omitempty"`
	DeleteLicense LicenseID `cbor:"7,keyasint,omitempty"`

	// Malformed says why what the cloud has sent could not be understood. The change is
	// then a deletion, or an account without terms, and the record is listed.
	Malformed string `cbor:"150,keyasint,omitempty"`
}

// Mirror brings what the cloud says into the state, together with the cursor to
// ask on from: both or neither.
type Mirror struct {
	// From is the cursor this page was asked for with: a page that does not follow
	// on the last one is left out.
	From    string   `cbor:"1,keyasint,omitempty"`
	Cursor  string   `cbor:"2,keyasint,omitempty"`
	Changes []Change `cbor:"3,keyasint,omitempty"`
	// Full: the page is part of the first fill, or of a new one after the cursor
	// was lost; the single assignments in it are not news to anyone.
	Full bool `cbor:"4,keyasint,omitempty"`
	// Last: nothing more was waiting behind this page.
	Last bool `cbor:"5,keyasint,omitempty"`
	// Losing is how much is taken by this page and those that follow on it, in all: so
	// that nothing of it is done where that is too much.
	Losing Sizes `cbor:"80,keyasint,omitempty"`
}

// Mirrored: a page of the feed is in.
type Mirrored struct {
	Cursor  string `cbor:"1,keyasint,omitempty"`
	Changes int    `cbor:"2,keyasint,omitempty"`
	Full    bool   `cbor:"3,keyasint,omitempty"`
	Last    bool   `cbor:"4,keyasint,omitempty"`
	// Policy: the account's terms, or what is known of a product, are other ones.
	Policy bool `cbor:"190,keyasint,omitempty"`
}

// Assigned: a license was assigned to a user (R2).
type Assigned struct {
	User    UserID    `cbor:"1,keyasint"`
	License LicenseID `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint,omitempty"`
}

// Unassigned: a license was taken from a user.
type Unassigned struct {
	User    UserID    `cbor:"1,keyasint"`
	License LicenseID `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint,omitempty"`
}

func (c Mirror) decide(s *State, at Time) *Denial {
	if len(c.Changes) > MaxChanges || !c.Losing.valid() {
		return deny(BadCommand)
	}
	for i := range c.Changes {
		if !c.Changes[i].valid() {
			return deny(BadCommand)
		}
	}
	if c.From != s.head.Cursor && !(c.Full && c.From == "") {
		return deny(TooLate)
	}
	if s.head.Filled && s.shrinks(Losing(s, c.Changes).atLeast(c.Losing), at) {
		return deny(MirrorShrunk)
	}
	return nil
}

func (c *Change) valid() bool {
	set := 0
	ok := func(id string, more ...string) {
		set++
		if id == "" || !validName(id) {
			set += 2
		}
		for _, s := range more {
			if !validName(s) {
				set += 2
			}
		}
	}
	if u := c.User; u != nil {
		ok(string(u.ID), u.Email, u.Name, u.Country)
	}
	if p := c.Product; p != nil {
		ok(string(p.ID), p.Name)
	}
	if l := c.License; l != nil {
		ok(string(l.ID), string(l.Product), string(l.Assignee))
		ok(string(l.ID), l.Countries...)
		set--
		if len(l.Countries) > maxCountries {
			return false
		}
	}
	if a := c.Account; a != nil {
		ok(a.ID, a.Name, a.FulfillmentContact.Name, a.FulfillmentContact.Email)
		for _, admin := range a.Administrators {
			if !validName(admin.Name) || !validName(admin.Email) {
				return false
			}
		}
		if !validPolicies(a.CountryPolicies) || len(a.Administrators) > 100 || a.AutonomyCapped < 0 || a.AutonomyUncapped < 0 || a.CheckoutMax < 0 {
			return false
		}
	}
	for _, id := range []string{string(c.DeleteUser), string(c.DeleteProduct), string(c.DeleteLicense)} {
		if id != "" {
			ok(id)
		}
	}
	return set == 1 && validName(c.Malformed)
}

func (c Mirror) do(s *State, at Time) Outcome {
	s.contact(at)
	if s.head.Filled {
		s.shrink(Losing(s, c.Changes), at)
	}
	products, policy, empty, bad := false, false, len(s.quarantined) == 0, 0
	for i := range c.Changes {
		policy = policy || s.head.Filled && s.otherPolicy(&c.Changes[i])
		s.change(&c.Changes[i], c.Full)
		if s.quarantine(&c.Changes[i], at) {
			bad++
		}
		products = products || c.Changes[i].Product != nil || c.Changes[i].DeleteProduct != ""
	}
	if products {
		s.lookAtAll()
	}
	s.seeToCover()
	anew := c.Full && c.From == "" && (s.head.Filled || s.head.Cursor != "")
	s.head.Cursor = c.Cursor
	s.head.Refilling = !c.Last && (s.head.Refilling || anew)
	if len(c.Changes) > 0 {
		s.emit(Mirrored{Cursor: c.Cursor, Changes: len(c.Changes), Full: c.Full, Last: c.Last, Policy: policy})
	}
	if bad > 0 {
		f := MirrorQuarantined{Records: bad}
		if empty {
			f.To = s.told(administrators)
		}
		s.emit(f)
	}
	if c.Last {
		s.readToEnd(at)
		s.head.Filled = true
	}
	return Outcome{}
}

// otherPolicy reports whether a change is one of the terms that clients go by, and not
// only of who is who and who has what.
func (s *State) otherPolicy(c *Change) bool {
	switch {
	case c.Account != nil:
		was, is := s.head.Account, *c.Account
		return was.AutonomyCapped != is.AutonomyCapped || was.AutonomyUncapped != is.AutonomyUncapped || was.CheckoutMax != is.CheckoutMax ||
			!slices.Equal(was.CountryPolicies, is.CountryPolicies)
	case c.Product != nil:
		p := s.products[c.Product.ID]
		return p == nil || p.Capped != c.Product.Capped || p.V8i != c.Product.V8i || p.NeedsFeature != c.Product.NeedsFeature
	}
	return c.DeleteProduct != "" && s.products[c.DeleteProduct] != nil
}

func (s *State) change(c *Change, quiet bool) {
	switch {
	case c.User != nil:
		u := *c.User
		s.movedAway(s.User(u.ID), &u)
		s.setUser(&u)
		s.touch(Key{KeyUser, string(u.ID)})
		if u.Blocked {
			s.endRight(u.ID, "")
		}
		s.look(u.ID)
	case c.Product != nil:
		p := *c.Product
		s.products[p.ID] = &p
		s.touch(Key{KeyProduct, string(p.ID)})
	case c.License != nil:
		l := *c.License
		l.Countries = slices.Clone(l.Countries)
		s.setLicense(l.ID, &l, quiet)
	case c.Account != nil:
		a := *c.Account
		a.Administrators = slices.Clone(a.Administrators)
		a.CountryPolicies = slices.Clone(a.CountryPolicies)
		s.setAccount(a)
	case c.DeleteUser != "":
		known := s.removeUser(c.DeleteUser)
		s.endRight(c.DeleteUser, "")
		if known {
			s.missing(c.DeleteUser)
		}
		s.look(c.DeleteUser)
	case c.DeleteProduct != "":
		delete(s.products, c.DeleteProduct)
		s.touch(Key{KeyProduct, string(c.DeleteProduct)})
	case c.DeleteLicense != "":
		s.setLicense(c.DeleteLicense, nil, quiet)
	}
}

// setLicense replaces, adds or (with nil) removes a license, tells who got or
// lost it, and puts the sessions of who lost it on notice.
func (s *State) setLicense(id LicenseID, l *License, quiet bool) {
	var before, after UserID
	var product ProductID
	old := s.licenses[id]
	if l != nil {
		l.LastUsed = 0
		if old != nil && old.Assignee == l.Assignee {
			l.LastUsed = old.LastUsed
		}
	}
	if !quiet {
		s.tellChanged(id, old, l)
	}
	s.coverChanged(old, l)
	if old != nil {
		before, product = old.Assignee, old.Product
		s.drop(old)
	}
	if l != nil {
		s.keep(l)
		after, product = l.Assignee, l.Product
		s.newTerm(old, l)
	}
	s.touch(Key{KeyLicense, string(id)})
	s.look(before)
	s.look(after)
	if before == after {
		switch {
		case old == nil || l == nil:
		case old.Product != l.Product:
			s.endRight(before, id)
		default:
			s.termChanged(old, l)
		}
		return
	}
	if before != "" {
		s.emit(Unassigned{User: before, License: id, Product: product})
		s.endRight(before, id)
	}
	if after != "" && !quiet {
		s.emit(Assigned{User: after, License: id, Product: product})
	}
}

// keep adds a license where it is looked for: among all, among its user's, or among
// what covers its product.
func (s *State) keep(l *License) {
	if p := s.products[l.Product]; p != nil {
		l.Product = p.ID // one copy of it for many licenses
	}
	s.licenses[l.ID] = l
	s.setAssigned(l, true)
	s.setPooled(l, true)
}

// drop removes a license from where keep has put it.
func (s *State) drop(l *License) {
	delete(s.licenses, l.ID)
	s.setAssigned(l, false)
	s.setPooled(l, false)
}

// endRight puts the user's sessions (of one license, or all) on notice and flags
// the checkouts to IT.
func (s *State) endRight(user UserID, lic LicenseID) {
	a := s.Active(user)
	if a == nil {
		return
	}
	until := s.head.Now.Add(s.head.Settings.saveGrace())
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if x.yields(until) && (lic == "" || x.License == lic) {
			copied := s.putOnNotice(x, Ending{Reason: EndUnassigned, Until: until})
			s.emit(Conflicted{Session: copied})
		}
	}
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; lic == "" || x.License == lic {
			s.flag(x, EndUnassigned)
		}
	}
}
