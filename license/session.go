package license

import (
	"slices"
	"time"
)

// TombstoneLife is how long the id of an ended session or checkout is kept: as
// long as a first copy of its command can be under way, twice over.
const TombstoneLife = 60 * time.Second

// MaxSessions is how many sessions one user may have: more than anyone works
// with, and few enough that a client gone wild does not weigh on the others.
const MaxSessions = 100

// Session is a product running on a machine.
type Session struct {
	ID      ID        `cbor:"1,keyasint"`
	User    UserID    `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint"`
	License LicenseID `cbor:"4,keyasint"`
	Machine Machine   `cbor:"5,keyasint"`
	Version string    `cbor:"6,keyasint,omitempty"` // of the product, four-part
	Client  string    `cbor:"7,keyasint,omitempty"` // version of the client
	Since   Time      `cbor:"8,keyasint,omitempty"`

	// Holds: the session is part of its user's hold; false for uncapped products
	// and for a session that runs under this machine's own checkout.
	Holds bool `cbor:"9,keyasint,omitempty"`
	// UnderCheckout is the checkout it runs under, or none.
	UnderCheckout ID `cbor:"10,keyasint,omitempty"`
	// Provisional: granted by the site alone; the cloud has not agreed yet.
	Provisional bool `cbor:"11,keyasint,omitempty"`
	// Generation grows when the session's Start is repeated: an Expire that was
	// proposed before names the older one and no longer fits.
	Generation uint64 `cbor:"12,keyasint,omitempty"`
	// TTL was promised to the client: a new leader counts with it.
	TTL time.Duration `cbor:"13,keyasint,omitempty"`
	// Token is the seq of the grant: with the epoch, its fencing token.
	Token uint64 `cbor:"14,keyasint,omitempty"`
	// Notice: the session has lost its right or was released; nil otherwise.
	Notice *Ending `cbor:"15,keyasint,omitempty"`

	// Type is the license type its use is recorded as, one of the Type… constants;
	// empty is Practitioner. Warnings are what its user is told of it.
	Type     string    `cbor:"20,keyasint,omitempty"`
	Warnings []Warning `cbor:"21,keyasint,omitempty"`
	Feature  string    `cbor:"22,keyasint,omitempty"` // the feature level it was started with
	// Pool: it runs by what the account has for all its users, not by a license of its
	// user's own.
	Pool bool `cbor:"70,keyasint,omitempty"`
	// Country is the entitlement country of its user when it began, for its usage.
	Country string `cbor:"71,keyasint,omitempty"`

	// Fences: its client stops by itself before its lease is over; only such a one
	// can be taken over.
	Fences bool `cbor:"50,keyasint,omitempty"`
	// Warned is how many of the warnings of its end were given.
	Warned uint8 `cbor:"51,keyasint,omitempty"`
	// Relayed: started by traffic of the vendor's own client, which meters itself and
	// hears nothing of this site's.
	Relayed bool `cbor:"200,keyasint,omitempty"`
	// Runs are the correlation ids of the product's runs that a relayed session is kept
	// by, in the order they were heard of; see Report.
	Runs []string `cbor:"220,keyasint,omitempty"`
	// From is the address that a relayed session was granted to, as netip.Addr writes it;
	// empty: it is not known. What ends its runs comes from there; see Report.
	From string `cbor:"270,keyasint,omitempty"`
	// Proof is the key that its machine has shown for it; zero: none. See holder.
	Proof Proof `cbor:"346,keyasint,omitzero"`
}

// Ending is why and until when a session may still be renewed.
type Ending struct {
	Reason  string  `cbor:"1,keyasint,omitempty"` // one of the End… constants
	By      string  `cbor:"2,keyasint,omitempty"` // who released it
	Note    string  `cbor:"3,keyasint,omitempty"` // what they said
	Machine Machine `cbor:"4,keyasint,omitempty"` // that is active instead
	Until   Time    `cbor:"5,keyasint,omitempty"` // renewals are refused from then on
}

// The reasons of an Ending; more are in cover.go and takeover.go.
const (
	EndReleased     = "released"      // by an administrator
	EndConflict     = "conflict"      // the cloud knows another active machine
	EndUnassigned   = "unassigned"    // the license was moved, ended or taken away
	EndCheckoutOver = "checkout-over" // the checkout it ran under is over
	EndBlocked      = "blocked"       // IT has blocked the user or the machine
	EndLicenseEnded = "license-ended" // the license's term, or that of the account's cover, is over then (R1)
)

// Endings lists every reason of an Ending, in a fixed order.
func Endings() []string {
	return []string{EndReleased, EndConflict, EndUnassigned, EndCheckoutOver, EndBlocked, EndLicenseEnded, EndNotCovered, EndTakeover, EndLetGo}
}

// Renewable reports whether a heartbeat at this time keeps the session alive.
func (x *Session) Renewable(at Time) bool { return x.Notice == nil || at < x.Notice.Until }

// Start asks for a product on a machine.
type Start struct {
	ID      ID        `cbor:"1,keyasint"`
	User    UserID    `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint"`
	Machine Machine   `cbor:"4,keyasint"`
	Version string    `cbor:"5,keyasint,omitempty"`
	Client  string    `cbor:"6,keyasint,omitempty"`
	// Agreed: the cloud was asked and agrees, or holds nothing of this product.
	// False: the site decides alone, as far as the account's terms go.
	Agreed bool `cbor:"7,keyasint,omitempty"`
	// NotAfter is set once, by the first node that takes the request.
	NotAfter Time `cbor:"8,keyasint,omitempty"`
	// TTL other than the site's; zero is the site's.
	TTL time.Duration `cbor:"9,keyasint,omitempty"`
	// Email is what the user is signed in with (R15), as the access token says;
	// empty where it says nothing.
	Email   string `cbor:"20,keyasint,omitempty"`
	Feature string `cbor:"21,keyasint,omitempty"` // the feature level, where the product has them
	// Fences: the client promises to stop by itself before its lease is over.
	Fences bool `cbor:"50,keyasint,omitempty"`
	// Relayed: the vendor's own client asks, and the vendor has signed that it may.
	Relayed bool `cbor:"200,keyasint,omitempty"`
	// Offline: by what the vendor has signed, that client may work on without asking, so
	// that a refusal does not hold it.
	Offline bool `cbor:"201,keyasint,omitempty"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"280,keyasint,omitzero"`
	// From is the address of the client of a relayed start, as netip.Addr writes it.
	From string `cbor:"270,keyasint,omitempty"`
}

// Started: the session runs. It is the one of the Start's outcome, and read-only.
type Started struct {
	Session *Session `cbor:"1,keyasint"`
}

// GrantedAlone: the session that has just started was granted by the site alone, as
// the account's terms allow: for the audit trail.
type GrantedAlone struct {
	ID      ID        `cbor:"1,keyasint"`
	User    UserID    `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint,omitempty"`
	Machine Machine   `cbor:"4,keyasint,omitempty"`
	Contact Time      `cbor:"5,keyasint,omitempty"` // the last with the cloud
	Until   Time      `cbor:"6,keyasint,omitempty"` // when the terms that it was granted by end
}

// Stop ends a session at its client's word.
type Stop struct {
	ID      ID      `cbor:"1,keyasint"`
	User    UserID  `cbor:"2,keyasint"`
	Machine Machine `cbor:"3,keyasint"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"346,keyasint,omitzero"`
}

// Stopped: the client has stopped the session.
type Stopped struct {
	Session *Session `cbor:"1,keyasint"`
	Freed   bool     `cbor:"2,keyasint,omitempty"` // the hold closed with it
}

// Expire ends a session whose lease ran out. Only the leader proposes it.
type Expire struct {
	ID         ID     `cbor:"1,keyasint"`
	Generation uint64 `cbor:"2,keyasint,omitempty"`
}

// Expired: the session was not renewed in time.
type Expired struct {
	Session *Session `cbor:"1,keyasint"`
	Freed   bool     `cbor:"2,keyasint,omitempty"`
}

func (c Start) subject(*State) UserID { return c.User }

func (c Start) decide(s *State, at Time) *Denial {
	if x := s.Session(c.ID); x != nil {
		if x.User != c.User || !x.Machine.Is(c.Machine) || x.Product != c.Product {
			return deny(IDInUse)
		}
		if d := s.holder(x.User, x.Machine, x.Proof, c.Proof); d != nil {
			return d
		}
		if !x.Renewable(at) {
			return deny(AlreadyEnded)
		}
		if s.kept(x) {
			return s.repeats(x.Token, x.Product, x.License, at)
		}
		return nil
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if !c.leaseAllowed() || !validName(string(c.Product)) || !validName(c.Version) || !validName(c.Client) || !validName(c.Email) || !validName(c.Feature) || !validName(c.From) {
		return deny(BadCommand)
	}
	if d := s.barred(c.User, c.Machine, c.Product); d != nil {
		return d
	}
	if !c.Relayed {
		if d := s.keyed(c.User, c.Machine, c.Proof, c.Product, s.single(c.Product), at); d != nil {
			return d
		}
	}
	r, d := s.right(&c, at)
	if d != nil {
		return d
	}
	if r.product.NeedsFeature && c.Feature == "" {
		return &Denial{Reason: FeatureLevel, Product: c.Product, License: r.license.ID}
	}
	if d := s.startBlocked(c.User, r.product, r.license, c.Machine, c.Version, at); d != nil {
		return d
	}
	if a := s.Active(c.User); a != nil && len(a.Sessions) >= MaxSessions {
		return &Denial{Reason: TooManySessions, Product: c.Product, License: r.license.ID}
	}
	if r.product.needsHold(r.license) {
		if d := s.awaitsRestore(c.Product, r.license.ID, at); d != nil {
			return d
		}
	}
	if d := s.meterable(c.Product, r.license.ID); d != nil && !c.Relayed {
		return d
	}
	alone := !c.Agreed && s.startsUnder(c.User, r.license, c.Machine, c.Version, at) == nil
	if alone && at >= s.aloneUntil(r.product.Single()) {
		return &Denial{Reason: CloudNeeded, Product: c.Product, License: r.license.ID}
	}
	return nil
}

func (c Start) do(s *State, at Time) Outcome {
	if x := s.person(c.User).session(c.ID); x != nil {
		s.touch(Key{KeyActive, string(c.User)})
		x.Generation++
		copied := *x
		return Outcome{Session: &copied, Repeat: true}
	}
	r, _ := s.right(&c, at)
	single := r.product.needsHold(r.license)
	if c.Agreed && single {
		s.contact(at)
	}
	x := Session{ID: c.ID, User: c.User, Product: c.Product, License: r.license.ID, Machine: c.Machine,
		Version: c.Version, Client: c.Client, Since: at, TTL: c.lease(&s.head.Settings), Generation: 1, Relayed: c.Relayed,
		Type: r.typ, Warnings: r.warnings.list(), Feature: c.Feature, Fences: c.Fences,
		Pool: r.license.pooled() && r.license.ID != "", Country: s.User(c.User).Country}
	if c.Relayed {
		x.From = c.From
	} else {
		x.Proof = c.Proof
	}
	if own := s.startsUnder(c.User, r.license, c.Machine, c.Version, at); own != nil {
		x.UnderCheckout = own.ID
	} else {
		x.Holds = single
		x.Provisional = !c.Agreed && single
	}
	a := s.open(c.User)
	x.User, x.Product = a.User, r.product.ID // one copy of each for many sessions
	claimed := s.claim(a, c.Product, c.Machine)
	x.Token = s.head.Seq + 1
	a.Sessions = append(a.Sessions, x)
	s.ids[x.ID] = use{of: s.person(c.User)}
	s.setLeaning(&x)
	s.used(r.license, at)
	s.emit(Started{Session: &x})
	if !c.Agreed && x.UnderCheckout.IsZero() {
		s.emit(GrantedAlone{ID: x.ID, User: x.User, Product: x.Product, Machine: x.Machine, Contact: s.head.Link.Contact,
			Until: s.aloneUntil(r.product.Single())})
	}
	out := Outcome{Session: &x}
	began := &a.Sessions[len(a.Sessions)-1]
	if s.seeToEnd(began); began.Notice != nil {
		copied := *began
		out.Session = &copied
	}
	if claimed {
		s.offer(c.User)
	}
	return out
}

func (c Stop) subject(*State) UserID { return c.User }

func (c Stop) decide(s *State, at Time) *Denial {
	x := s.Session(c.ID)
	if x == nil {
		if s.ended(c.ID, at) == c.User && c.User != "" {
			return nil
		}
		return deny(UnknownSession)
	}
	if x.User != c.User || !x.Machine.Is(c.Machine) {
		return deny(NotYours)
	}
	return s.holder(x.User, x.Machine, x.Proof, c.Proof)
}

func (c Stop) do(s *State, _ Time) Outcome {
	x := s.Session(c.ID)
	if x == nil {
		return Outcome{Repeat: true}
	}
	ended, freed := s.remove(x)
	s.emit(Stopped{Session: ended, Freed: freed})
	s.offer(ended.User)
	return Outcome{Session: ended}
}

func (c Expire) subject(s *State) UserID { return s.runner(c.ID) }

func (c Expire) decide(s *State, _ Time) *Denial {
	if x := s.Session(c.ID); x == nil || x.Generation != c.Generation {
		return deny(UnknownSession)
	}
	return nil
}

func (c Expire) do(s *State, _ Time) Outcome {
	ended, freed := s.remove(s.Session(c.ID))
	s.emit(Expired{Session: ended, Freed: freed})
	s.offer(ended.User)
	return Outcome{Session: ended}
}

// remove takes a session out of the state and reports whether its user's hold
// closed with it.
func (s *State) remove(x *Session) (ended *Session, freed bool) {
	copied := *x
	ended = &copied
	a := s.open(ended.User)
	a.Sessions = slices.DeleteFunc(a.Sessions, func(y Session) bool { return y.ID == ended.ID })
	s.setLeaning(ended)
	s.keepUse(ended)
	s.bury(ended.ID, s.person(ended.User))
	if ended.Holds {
		freed = !slices.ContainsFunc(a.Sessions, func(y Session) bool { return y.Holds })
	}
	s.close(a)
	return ended, freed
}

// fresh checks what every first command of a new id must satisfy.
func (s *State) fresh(id ID, user UserID, m Machine, at, notAfter Time) *Denial {
	switch {
	case id.IsZero() || !m.valid() || user == "" || !validName(string(user)):
		return deny(BadCommand)
	case notAfter != 0 && at > notAfter:
		return deny(TooLate)
	}
	switch u, known := s.ids[id]; {
	case known && u.until == 0:
		return deny(IDInUse)
	case u.until > at:
		return deny(AlreadyEnded)
	}
	return nil
}
