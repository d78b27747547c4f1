package license

import (
	"maps"
	"slices"
	"strings"
)

// Head is the part of the state that is one of a kind.
type Head struct {
	Level     uint32    `cbor:"1,keyasint,omitempty"` // what every member of the cluster can do
	Epoch     uint64    `cbor:"2,keyasint,omitempty"` // grows with each restore and recovery
	Seq       uint64    `cbor:"3,keyasint,omitempty"` // of the last event
	Now       Time      `cbor:"4,keyasint,omitempty"` // of the last entry
	Settings  Settings  `cbor:"5,keyasint,omitempty"`
	Link      LinkState `cbor:"6,keyasint,omitempty"`
	Account   Account   `cbor:"7,keyasint,omitempty"`
	Cursor    string    `cbor:"8,keyasint,omitempty"`  // of the mirror's last page
	UsageSent uint64    `cbor:"9,keyasint,omitempty"`  // usage up to this seq is with the cloud
	Filled    bool      `cbor:"10,keyasint,omitempty"` // the mirror has been read to its end once
	Cluster   string    `cbor:"11,keyasint,omitempty"` // the site's identity, a UUID
	// UsageMade and UsageKept count usage records: those there were, and those the
	// cloud has acknowledged.
	UsageMade uint64 `cbor:"12,keyasint,omitempty"`
	UsageKept uint64 `cbor:"13,keyasint,omitempty"`
	// Refilling: the mirror is being read anew from the beginning; what is not named
	// again is gone, and its reader deletes it with the last page.
	Refilling bool `cbor:"14,keyasint,omitempty"`
	// UsedFrom is when the site was founded: since then licenses remember their last use.
	UsedFrom Time `cbor:"40,keyasint,omitempty"`
	// Restored is what a site that went on from a backup has to wait for.
	Restored Restoration `cbor:"100,keyasint,omitzero"`
}

// State is everything the rules decide from, in memory and indexed. It is not
// safe for concurrent use; its owner guards it. NewState makes an empty one.
type State struct {
	head     Head
	users    map[UserID]*User
	products map[ProductID]*Product
	licenses map[LicenseID]*License
	active   map[UserID]*Active
	tombs    map[ID]Tombstone
	bars     map[string]Bar
	nodes    map[string]*Node // by name, in lower case
	tokens   map[Digest]JoinToken
	poolUse  map[UserID]*PoolUse

	// Derived from the records above, and never stored.
	assigned  map[UserID][]LicenseID    // sorted
	pools     map[ProductID][]LicenseID // sorted: what covers it for the whole account
	sessions  map[ID]UserID
	checkouts map[ID]UserID
	waiting   map[UserID]struct{}               // who has a machine that waits
	leaning   map[ProductID]map[UserID]struct{} // who has sessions by the account's cover of it
	due       dueHeap
	terms     termHeap
	useEnds   dueHeap             // when what poolUse has of a user is too old
	graves    []ID                // tombs, oldest first
	staff     map[UserID]struct{} // users with roles, or whom the account names
	byMail    map[string]*mailed  // whom the account names: by e-mail in lower case
	barNames  map[string][]string // keys of bars by the bare name of their machine, sorted

	changed   changes   // since the last TakeChanged
	events    []Event   // of the entry being applied
	uncertain uncertain // of the entry being applied
}

// NewState is the state before the first entry.
func NewState() *State {
	return &State{
		users:     map[UserID]*User{},
		products:  map[ProductID]*Product{},
		licenses:  map[LicenseID]*License{},
		active:    map[UserID]*Active{},
		tombs:     map[ID]Tombstone{},
		assigned:  map[UserID][]LicenseID{},
		pools:     map[ProductID][]LicenseID{},
		sessions:  map[ID]UserID{},
		checkouts: map[ID]UserID{},
		bars:      map[string]Bar{},
		nodes:     map[string]*Node{},
		tokens:    map[Digest]JoinToken{},
		poolUse:   map[UserID]*PoolUse{},
		staff:     map[UserID]struct{}{},
		byMail:    map[string]*mailed{},
		barNames:  map[string][]string{},
		waiting:   map[UserID]struct{}{},
		leaning:   map[ProductID]map[UserID]struct{}{},
		changed:   newChanges(),
	}
}

// Active is all that one user has open: sessions, checkouts, a machine that
// waits, a reservation. A user with none of these has no Active.
type Active struct {
	User        UserID       `cbor:"1,keyasint"`
	Sessions    []Session    `cbor:"2,keyasint,omitempty"` // in order of their grant
	Checkouts   []Checkout   `cbor:"3,keyasint,omitempty"` // in order of their grant
	Waiter      *Waiter      `cbor:"4,keyasint,omitempty"`
	Reservation *Reservation `cbor:"5,keyasint,omitempty"`
}

func (a *Active) empty() bool {
	return len(a.Sessions) == 0 && len(a.Checkouts) == 0 && a.Waiter == nil && a.Reservation == nil
}

// Tombstone keeps the id of an ended session or checkout for as long as a late
// copy of its first command could still arrive.
type Tombstone struct {
	ID    ID     `cbor:"1,keyasint"`
	User  UserID `cbor:"2,keyasint,omitempty"`
	Until Time   `cbor:"3,keyasint,omitempty"`
}

// Head returns what is one of a kind.
func (s *State) Head() Head { return s.head }

// User returns the mirrored user, or nil. The result is read-only, like that of
// every reader of State.
func (s *State) User(id UserID) *User { return s.users[id] }

// Product returns the mirrored product, or nil.
func (s *State) Product(id ProductID) *Product { return s.products[id] }

// License returns the mirrored license, or nil.
func (s *State) License(id LicenseID) *License { return s.licenses[id] }

// Assigned returns the ids of the licenses assigned to the user, sorted.
func (s *State) Assigned(id UserID) []LicenseID { return s.assigned[id] }

// Active returns what the user has open, or nil.
func (s *State) Active(id UserID) *Active { return s.active[id] }

// Session returns a running session, or nil.
func (s *State) Session(id ID) *Session {
	if a := s.active[s.sessions[id]]; a != nil {
		if i := slices.IndexFunc(a.Sessions, func(x Session) bool { return x.ID == id }); i >= 0 {
			return &a.Sessions[i]
		}
	}
	return nil
}

// Checkout returns an open checkout, or nil.
func (s *State) Checkout(id ID) *Checkout {
	if a := s.active[s.checkouts[id]]; a != nil {
		if i := slices.IndexFunc(a.Checkouts, func(x Checkout) bool { return x.ID == id }); i >= 0 {
			return &a.Checkouts[i]
		}
	}
	return nil
}

// runner is whose running session it is, or "".
func (s *State) runner(session ID) UserID { return s.sessions[session] }

// borrower is whose open checkout it is, or "".
func (s *State) borrower(checkout ID) UserID { return s.checkouts[checkout] }

// EachActive calls f for every user with something open, in order of their ids,
// until f returns false.
func (s *State) EachActive(f func(*Active) bool) {
	ids := make([]UserID, 0, len(s.active))
	for id := range s.active {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if !f(s.active[id]) {
			return
		}
	}
}

// Mirrored lists the ids of everything mirrored, each kind in order.
func (s *State) Mirrored() (users []UserID, products []ProductID, licenses []LicenseID) {
	return slices.Sorted(maps.Keys(s.users)), slices.Sorted(maps.Keys(s.products)), slices.Sorted(maps.Keys(s.licenses))
}

// Counts are the sizes of the state's parts.
type Counts struct {
	Users, Products, Licenses, Assigned, Sessions, Checkouts, Provisional int
}

// Counts counts.
func (s *State) Counts() Counts {
	c := Counts{Users: len(s.users), Products: len(s.products), Licenses: len(s.licenses),
		Sessions: len(s.sessions), Checkouts: len(s.checkouts)}
	for _, ids := range s.assigned {
		c.Assigned += len(ids)
	}
	for _, a := range s.active {
		for i := range a.Sessions {
			if a.Sessions[i].Provisional {
				c.Provisional++
			}
		}
	}
	return c
}

// begin moves the state's time to at, never back, and forgets what is too old to
// matter.
func (s *State) begin(at Time) {
	s.events = nil
	if at > s.head.Now {
		s.head.Now = at
	}
	s.changed.head = true
	s.forget()
	s.forgetTerms()
	s.forgetUse()
	for len(s.graves) > 0 {
		t := s.tombs[s.graves[0]]
		if t.Until > s.head.Now {
			break
		}
		delete(s.tombs, t.ID)
		s.changed.tombs[t.ID] = struct{}{}
		s.graves = s.graves[1:]
	}
}

func (s *State) end() []Event {
	events := s.events
	s.events = nil
	return events
}

func (s *State) emit(f Fact) uint64 {
	s.head.Seq++
	s.events = append(s.events, Event{Seq: s.head.Seq, At: s.head.Now, Fact: f})
	switch f.(type) {
	case Stopped, Expired, Returned, CheckoutEnded, CheckedIn: // those of UsageOf
		s.head.UsageMade++
	}
	return s.head.Seq
}

// open returns the user's Active to be changed, made if need be.
func (s *State) open(id UserID) *Active {
	a := s.active[id]
	if a == nil {
		room := &struct { // most users have one session: in one piece with their Active
			Active
			first [1]Session
		}{}
		a = &room.Active
		a.User, a.Sessions = id, room.first[:0]
		s.active[id] = a
	}
	s.touch(Key{KeyActive, string(id)})
	return a
}

// close drops the user's Active if nothing is left in it.
func (s *State) close(a *Active) {
	if a.empty() {
		delete(s.active, a.User)
	}
	s.touch(Key{KeyActive, string(a.User)})
}

// ended returns whose session or checkout the id was, or "" where it is not known
// (any more) to have ended.
func (s *State) ended(id ID, at Time) UserID {
	if t, ok := s.tombs[id]; ok && t.Until > at {
		return t.User
	}
	return ""
}

func (s *State) bury(id ID, user UserID) {
	if _, dup := s.tombs[id]; dup {
		return
	}
	s.tombs[id] = Tombstone{ID: id, User: user, Until: s.head.Now.Add(TombstoneLife)}
	s.graves = append(s.graves, id)
	s.changed.tombs[id] = struct{}{}
}

// setAssigned keeps the index of a license's assignee.
func (s *State) setAssigned(l *License, on bool) {
	if l.Assignee == "" {
		return
	}
	ids := s.assigned[l.Assignee]
	i, found := slices.BinarySearchFunc(ids, l.ID, func(a, b LicenseID) int { return strings.Compare(string(a), string(b)) })
	switch {
	case on && !found:
		ids = slices.Insert(ids, i, l.ID)
	case !on && found:
		ids = slices.Delete(ids, i, i+1)
	}
	if len(ids) == 0 {
		delete(s.assigned, l.Assignee)
		return
	}
	s.assigned[l.Assignee] = ids
}
