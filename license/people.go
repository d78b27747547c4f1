package license

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Roles are what a user may do in the account (R22), as bits. Zero: nothing.
type Roles uint8

// The roles of an account.
const (
	RoleAdministrator Roles = 1 << iota
	RoleCoAdministrator
	RoleLicenseAdministrator // of Virtuoso licenses
	RoleFulfillment          // gets the notices of new and changed licenses; need not be an administrator
)

// administrators are the roles that can do something about a refusal.
const administrators = RoleAdministrator | RoleCoAdministrator | RoleLicenseAdministrator

// Contact is somebody who can help, and what they are.
type Contact struct {
	Name  string
	Email string
	Role  Roles // the one that counts most here; zero: not known
}

// The bounds of who is named and told.
const (
	MaxContacts = 10
	MaxTold     = 20
)

// Contacts are whom a refused user is told to ask (R23): those who assign Virtuoso
// licenses first, then administrators and co-administrators, then whom the account
// names besides. It lists at most MaxContacts.
func Contacts(s *State) []Contact {
	var contacts []Contact
	seen := map[string]bool{}
	add := func(c Contact) {
		key := strings.ToLower(cmp.Or(c.Email, c.Name))
		if key != "" && !seen[key] && len(contacts) < MaxContacts {
			seen[key] = true
			contacts = append(contacts, c)
		}
	}
	staff := slices.Sorted(maps.Keys(s.staff))
	for _, role := range []Roles{RoleLicenseAdministrator, RoleAdministrator, RoleCoAdministrator} {
		for _, id := range staff {
			if u := s.User(id); u.Roles&role != 0 && !u.Blocked && !u.OtherAccount {
				add(Contact{Name: u.Name, Email: u.Email, Role: role})
			}
		}
	}
	for _, a := range s.head.Account.Administrators {
		add(Contact{Name: a.Name, Email: a.Email})
	}
	return contacts
}

// Administers reports whether somebody administers the account (R22): a user, or who
// is told by mail (ByMail).
func Administers(s *State, id UserID) bool {
	if u := s.User(id); u != nil {
		return s.rolesOf(u)&administrators != 0 && !u.Blocked && !u.OtherAccount
	}
	mail, ok := strings.CutPrefix(string(id), mailPrefix)
	return ok && Named(s, mail)&administrators != 0
}

// LicenseChanged: a license is new, gone, or has another product or term. Who
// looks after the account's licenses is told.
type LicenseChanged struct {
	License LicenseID `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint,omitempty"`
	Ends    Time      `cbor:"3,keyasint,omitempty"`
	New     bool      `cbor:"4,keyasint,omitempty"`
	Gone    bool      `cbor:"5,keyasint,omitempty"`
	To      []UserID  `cbor:"6,keyasint,omitempty"` // administrators and fulfillment contacts, as they were then
}

// tellChanged tells who looks after licenses what has become of one. Where there
// is nobody to tell, it is no news.
func (s *State) tellChanged(id LicenseID, old, l *License) {
	f := LicenseChanged{License: id, New: old == nil, Gone: l == nil}
	switch {
	case old == nil && l == nil:
		return
	case l == nil:
		f.Product, f.Ends = old.Product, old.Ends
	default:
		f.Product, f.Ends = l.Product, l.Ends
		if old != nil && old.Product == l.Product && old.Starts == l.Starts && old.Ends == l.Ends && old.Kind == l.Kind &&
			slices.Equal(old.Countries, l.Countries) {
			return
		}
	}
	if f.To = s.told(administrators | RoleFulfillment); len(f.To) > 0 {
		s.emit(f)
	}
}

// UserMissing: a user to whom a license is assigned is gone from the account. Only
// the vendor can move it now (R11).
type UserMissing struct {
	User    UserID    `cbor:"1,keyasint"`
	License LicenseID `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint,omitempty"`
	To      []UserID  `cbor:"4,keyasint,omitempty"` // the administrators, as they were then
}

// missing tells which licenses are lost with a user who is gone.
func (s *State) missing(user UserID) {
	for _, l := range s.Assigned(user) {
		if l.Ends != 0 && s.head.Now >= l.Ends {
			continue
		}
		s.emit(UserMissing{User: user, License: l.ID, Product: l.Product, To: s.told(administrators)})
	}
}

// NotFound reports whether the license is assigned to somebody who is not in the
// account (any more): the state the vendor shows as "Not Found User" (R11).
func NotFound(s *State, l *License) bool { return l.Assignee != "" && s.User(l.Assignee) == nil }

// CheckoutFlagged: the right to a checkout is gone, and it cannot be called back:
// it is for IT to see to.
type CheckoutFlagged struct {
	Checkout Checkout `cbor:"1,keyasint"`
	Reason   string   `cbor:"2,keyasint,omitempty"` // EndUnassigned, EndLicenseEnded or EndBlocked
	To       []UserID `cbor:"3,keyasint,omitempty"` // the administrators, as they were then
}

// flag tells IT of a checkout, once.
func (s *State) flag(x *Checkout, reason string) {
	if x.Flagged != 0 || x.Until <= s.head.Now {
		return
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.Flagged = s.head.Now
	s.emit(CheckoutFlagged{Checkout: *x, Reason: reason, To: s.told(administrators)})
}
