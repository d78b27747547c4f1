package license

import (
	"cmp"
	"slices"
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
	// Reminded is when the administrators were last told what there is to see to.
	Reminded Time `cbor:"70,keyasint,omitempty"`
	// Restored is what a site that went on from a backup has to wait for.
	Restored Restoration `cbor:"100,keyasint,omitzero"`
	// Shrinkage is how the mirror shrinks, and Held what of it is held back.
	Shrinkage Shrinkage `cbor:"80,keyasint,omitempty"`
	Held      Held      `cbor:"81,keyasint,omitempty"`
	// Backlog is how much usage waits for the cloud.
	Backlog Backlog `cbor:"140,keyasint,omitzero"`
	// Exported is the last file of usage that somebody carries to the vendor.
	Exported Exported `cbor:"141,keyasint,omitzero"`
	// Imported is when the last file was imported, by which the mirror is filled.
	Imported Time `cbor:"150,keyasint,omitempty"`
	// Cloud is what the vendor's cloud offers to the site.
	Cloud Capabilities `cbor:"180,keyasint,omitzero"`
	// Program is a version that can do Level, since that was raised.
	Program string `cbor:"130,keyasint,omitempty"`
	// Lockouts are in the order of nodes and proxies. The list is replaced as a whole.
	Lockouts []Lockout `cbor:"170,keyasint,omitempty"`
	// KeyViews are in the order of issuers and nodes, KeysAccepted in that of issuers. The
	// lists are replaced as a whole.
	KeyViews     []KeyView      `cbor:"360,keyasint,omitempty"`
	KeysAccepted []AcceptedKeys `cbor:"361,keyasint,omitempty"`
	// Maintenance is what was announced; none: its Until is zero.
	Maintenance Maintenance `cbor:"190,keyasint,omitzero"`
	// Bypass is the one that lasts, or whose end nobody was told yet; none: its Until is zero.
	Bypass Bypass `cbor:"450,keyasint,omitzero"`
	// CopiesTold bounds what is told of keys that are in two places.
	CopiesTold CopiesTold `cbor:"461,keyasint,omitzero"`
	// CAOut is since when somebody outside may have the key of the site's CA, a node that was
	// removed or whoever it is replaced for; zero: nobody has. From then on a node's
	// certificate counts only with the key that is on record.
	CAOut Time `cbor:"321,keyasint,omitempty"`
	// Rekeying is how the site's CA was replaced last.
	Rekeying Rekeying `cbor:"420,keyasint,omitzero"`
	// Alerts are in the order of kinds and subjects. The list is replaced as a whole.
	Alerts []Alert `cbor:"410,keyasint,omitempty"`
	// Reports are in the order of names and ways. The list is replaced as a whole.
	Reports []ReportMark `cbor:"440,keyasint,omitempty"`
	// Audit is where the audit trail stands.
	Audit AuditTrail `cbor:"320,keyasint,omitzero"`
	// PeaksUntil is the day before which the peaks of all days are kept; zero: of none.
	PeaksUntil Time `cbor:"468,keyasint,omitempty"`
	// Forgotten is which events are kept no more, and what an audit has found in them.
	Forgotten Forgotten `cbor:"469,keyasint,omitzero"`
}

// State is everything the rules decide from, in memory and indexed: people by
// their ids, and whose session or checkout an id is. It is not safe for concurrent
// use; its owner guards it. NewState makes an empty one.
type State struct {
	head        Head
	people      map[UserID]*person
	ids         map[ID]use
	products    map[ProductID]*Product
	licenses    map[LicenseID]*License
	bars        map[string]Bar
	nodes       map[string]*Node // by name, in lower case
	tokens      map[Digest]JoinToken
	credentials map[Digest]Credential
	accounts    map[string]LocalAccount // by name
	poolUse     map[UserID]*PoolUse
	setAside    map[string]SetAside     // by the usage's Record
	learned     map[string]Learned      // by its key
	revoked     map[UserID]Time         // of none: everybody's
	exports     map[uint64]Export       // by number, until their usage is acknowledged
	quarantined map[string]Quarantined  // by the ID of their Key
	machineKeys map[UserID]*MachineKeys // each replaced as a whole
	veils       map[string]Veil         // by pseudonym

	// Derived from the records above, and never stored.
	busy      []*person                         // who has something open, in no order
	pools     map[ProductID][]*License          // in the order of ids: what covers it for the whole account
	waiting   map[UserID]struct{}               // who has a machine that waits
	leaning   map[ProductID]map[UserID]struct{} // who has sessions by the account's cover of it
	due       dueHeap
	terms     termHeap
	useEnds   dueHeap             // when what poolUse has of a user is too old
	graves    []grave             // of the ids that have ended, oldest first
	ground    []grave             // what graves is a part of, from its beginning; empty
	staff     map[UserID]struct{} // users with roles, or whom the account names
	byMail    map[string]*mailed  // whom the account names: by e-mail in lower case
	barNames  map[string][]string // keys of bars by the bare name of their machine, sorted
	barKeys   map[Digest][]string // keys of bars by the keys of machines they hold, sorted
	countries map[string]string   // the names of users' countries, once each
	users     int                 // how many of the people are mirrored
	assigned  int                 // how many licenses are assigned
	opened    tally               // what is open, but for what has changed since the last TakeChanged
	veilOf    map[veiled]string   // pseudonyms, but for those of reasons

	changed changes // since the last TakeChanged

	// Of the entry being applied.
	subject   *person // whom its command concerns, or nil
	events    []Event
	uncertain uncertain
}

// NewState is the state before the first entry.
func NewState() *State {
	return &State{
		people:      map[UserID]*person{},
		ids:         map[ID]use{},
		products:    map[ProductID]*Product{},
		licenses:    map[LicenseID]*License{},
		bars:        map[string]Bar{},
		nodes:       map[string]*Node{},
		tokens:      map[Digest]JoinToken{},
		credentials: map[Digest]Credential{},
		accounts:    map[string]LocalAccount{},
		poolUse:     map[UserID]*PoolUse{},
		setAside:    map[string]SetAside{},
		exports:     map[uint64]Export{},
		learned:     map[string]Learned{},
		revoked:     map[UserID]Time{},
		quarantined: map[string]Quarantined{},
		machineKeys: map[UserID]*MachineKeys{},
		veils:       map[string]Veil{},
		veilOf:      map[veiled]string{},
		byMail:      map[string]*mailed{},
		pools:       map[ProductID][]*License{},
		waiting:     map[UserID]struct{}{},
		leaning:     map[ProductID]map[UserID]struct{}{},
		staff:       map[UserID]struct{}{},
		countries:   map[string]string{},
		barNames:    map[string][]string{},
		barKeys:     map[Digest][]string{},
	}
}

// Active is all that one user has open: sessions, checkouts, machines that
// wait, reservations. A user with none of these has no Active.
type Active struct {
	User      UserID     `cbor:"1,keyasint"`
	Sessions  []Session  `cbor:"2,keyasint,omitempty"` // in order of their grant
	Checkouts []Checkout `cbor:"3,keyasint,omitempty"` // in order of their grant
	// Waiters and Reservations are in the order in which they began, and one of each
	// for a hold: see sameHold.
	Waiters      []Waiter      `cbor:"4,keyasint,omitempty"`
	Reservations []Reservation `cbor:"5,keyasint,omitempty"`
}

func (a *Active) empty() bool {
	return len(a.Sessions) == 0 && len(a.Checkouts) == 0 && len(a.Waiters) == 0 && len(a.Reservations) == 0
}

// Head returns what is one of a kind.
func (s *State) Head() Head { return s.head }

// User returns the mirrored user, or nil. The result is read-only, like that of
// every reader of State, and good until the next entry.
func (s *State) User(id UserID) *User {
	if p := s.person(id); p != nil && p.mirrored {
		return &p.user
	}
	return nil
}

// Product returns the mirrored product, or nil.
func (s *State) Product(id ProductID) *Product { return s.products[id] }

// License returns the mirrored license, or nil.
func (s *State) License(id LicenseID) *License { return s.licenses[id] }

// Assigned returns the licenses assigned to the user, in the order of their ids.
func (s *State) Assigned(id UserID) []*License {
	if p := s.person(id); p != nil {
		return p.assigned()
	}
	return nil
}

// Active returns what the user has open, or nil.
func (s *State) Active(id UserID) *Active {
	if p := s.person(id); p != nil {
		return p.active
	}
	return nil
}

// EachActive calls f for every user with something open, in order of their ids,
// until f returns false.
func (s *State) EachActive(f func(*Active) bool) {
	people := slices.SortedFunc(slices.Values(s.busy), func(a, b *person) int { return cmp.Compare(a.user.ID, b.user.ID) })
	for _, p := range people {
		if !f(p.active) {
			return
		}
	}
}

// Mirrored names every user, product and license of the mirror, and those of which
// the cloud said what could not be understood, in no order; some perhaps twice.
func (s *State) Mirrored() []Key {
	keys := slices.Concat(s.MirroredOf(KeyUser), s.MirroredOf(KeyLicense))
	for id := range s.products {
		keys = append(keys, Key{KeyProduct, string(id)})
	}
	for _, q := range s.quarantined {
		if q.Kind != KeyHead {
			keys = append(keys, Key{q.Kind, q.ID})
		}
	}
	return keys
}

// Counts are the sizes of the state's parts.
type Counts struct {
	Users, Products, Licenses, Assigned, Sessions, Checkouts, Provisional, Learned int
}

// Counts counts.
func (s *State) Counts() Counts {
	open := s.opened
	for _, p := range s.changed.people {
		open = open.recount(p)
	}
	return Counts{Users: s.users, Products: len(s.products), Licenses: len(s.licenses), Assigned: s.assigned, Learned: len(s.learned),
		Sessions: int(open.sessions), Checkouts: int(open.checkouts), Provisional: int(open.provisional)}
}

// begin moves the state's time to that of an entry, never back, and forgets what is
// too old to matter.
func (s *State) begin(at Time) {
	if at > s.head.Now {
		s.head.Now = at
	}
	s.changed.head = true
	s.forget()
	s.forgetTerms()
	s.forgetUse()
	s.forgetEnded()
	if cap(s.events)-len(s.events) < 16 { // many entries share one piece of memory
		s.events = make([]Event, 0, 128)
	}
	s.events = s.events[len(s.events):]
}

func (s *State) end() []Event {
	s.audit()
	if len(s.events) == 0 {
		return nil
	}
	return slices.Clip(s.events)
}

func (s *State) emit(f Fact) uint64 {
	s.head.Seq++
	s.events = append(s.events, Event{Seq: s.head.Seq, At: s.head.Now, Fact: f})
	if metered(f) {
		s.head.UsageMade++
	}
	return s.head.Seq
}

// open returns the user's Active to be changed, made if need be.
func (s *State) open(id UserID) *Active {
	p := s.meet(id)
	if p.active == nil {
		room := &struct { // most users have one session: in one piece with their Active
			Active
			first [1]Session
		}{}
		room.User, room.Sessions = p.user.ID, room.first[:0]
		s.setActive(p, &room.Active)
	}
	s.touchActive(p)
	return p.active
}

// close drops the user's Active if nothing is left in it.
func (s *State) close(a *Active) {
	p := s.person(a.User)
	s.touchActive(p)
	if a.empty() {
		s.setActive(p, nil)
	}
}
