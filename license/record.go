package license

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// KeyKind is the table a record of the state belongs to. The numbers are on
// disk: never reuse one.
type KeyKind uint8

// The tables.
const (
	KeyHead      KeyKind = 1 // Head; one record, empty ID
	KeyUser      KeyKind = 2 // User by UserID
	KeyProduct   KeyKind = 3 // Product by ProductID
	KeyLicense   KeyKind = 4 // License by LicenseID
	KeyActive    KeyKind = 5 // Active by UserID
	KeyTombstone KeyKind = 6 // Tombstone by the sixteen bytes of the ID
	KeyBar       KeyKind = 7 // Bar by its key

	KeyPoolUse KeyKind = 70 // PoolUse by UserID

	KeyNode  KeyKind = 90 // Node by its name in lower case
	KeyToken KeyKind = 91 // JoinToken by the thirty-two bytes of its Secret
)

// Key names one record of the state. A State is its records: what a store keeps
// and gives back through Put is the same state.
type Key struct {
	Kind KeyKind
	ID   string
}

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.ID, other.ID))
}

// changes are the keys of records that changed. Those that nearly every entry
// changes are kept as they are: a Key would cost more than the change.
type changes struct {
	head  bool
	tombs map[ID]struct{}
	keys  map[Key]struct{} // of all other tables
	last  Key              // of keys; the next is often the same
}

func newChanges() changes { return changes{tombs: map[ID]struct{}{}, keys: map[Key]struct{}{}} }

func (s *State) touch(k Key) {
	if k != s.changed.last {
		s.changed.last, s.changed.keys[k] = k, struct{}{}
	}
}

// Changed is how many records changed since the last TakeChanged.
func (s *State) Changed() int {
	n := len(s.changed.keys) + len(s.changed.tombs)
	if s.changed.head {
		n++
	}
	return n
}

// TakeChanged returns the keys of the records that changed since the last call,
// sorted. A record that Record no longer finds is to be deleted.
func (s *State) TakeChanged() []Key {
	keys := make([]Key, 0, s.Changed())
	if s.changed.head {
		keys = append(keys, Key{Kind: KeyHead})
	}
	for k := range s.changed.keys {
		keys = append(keys, k)
	}
	for id := range s.changed.tombs {
		keys = append(keys, Key{KeyTombstone, string(id[:])})
	}
	// A map that was large once stays slow to walk: the first fill of the mirror
	// would be paid for with every call after it.
	s.changed = newChanges()
	slices.SortFunc(keys, Key.compare)
	return keys
}

// Keys returns the keys of all records, sorted.
func (s *State) Keys() []Key {
	keys := []Key{{Kind: KeyHead}}
	for id := range s.users {
		keys = append(keys, Key{KeyUser, string(id)})
	}
	for id := range s.products {
		keys = append(keys, Key{KeyProduct, string(id)})
	}
	for id := range s.licenses {
		keys = append(keys, Key{KeyLicense, string(id)})
	}
	for id := range s.active {
		keys = append(keys, Key{KeyActive, string(id)})
	}
	for id := range s.tombs {
		keys = append(keys, Key{KeyTombstone, string(id[:])})
	}
	for key := range s.bars {
		keys = append(keys, Key{KeyBar, key})
	}
	for key := range s.nodes {
		keys = append(keys, Key{KeyNode, key})
	}
	for secret := range s.tokens {
		keys = append(keys, Key{KeyToken, string(secret[:])})
	}
	for id := range s.poolUse {
		keys = append(keys, Key{KeyPoolUse, string(id)})
	}
	slices.SortFunc(keys, Key.compare)
	return keys
}

// Record returns the record under k: a *Head, *User, *Product, *License, *Active,
// *Tombstone, *Bar, *PoolUse, *Node or *JoinToken, to be encoded at once and not kept. Nil: there is none.
func (s *State) Record(k Key) any {
	switch k.Kind {
	case KeyHead:
		return &s.head
	case KeyUser:
		if r := s.users[UserID(k.ID)]; r != nil {
			return r
		}
	case KeyProduct:
		if r := s.products[ProductID(k.ID)]; r != nil {
			return r
		}
	case KeyLicense:
		if r := s.licenses[LicenseID(k.ID)]; r != nil {
			return r
		}
	case KeyActive:
		if r := s.active[UserID(k.ID)]; r != nil {
			return r
		}
	case KeyTombstone:
		var id ID
		copy(id[:], k.ID)
		if r, ok := s.tombs[id]; ok {
			return &r
		}
	case KeyBar:
		if r, ok := s.bars[k.ID]; ok {
			return &r
		}
	case KeyNode:
		if r := s.nodes[k.ID]; r != nil {
			return r
		}
	case KeyToken:
		var secret Digest
		copy(secret[:], k.ID)
		if r, ok := s.tokens[secret]; ok {
			return &r
		}
	case KeyPoolUse:
		if r := s.poolUse[UserID(k.ID)]; r != nil {
			return r
		}
	}
	return nil
}

// NewRecord returns an empty record for the table, to be decoded into and given
// to Put. An unknown table is an error: the data is of a newer version.
func NewRecord(kind KeyKind) (any, error) {
	switch kind {
	case KeyHead:
		return &Head{}, nil
	case KeyUser:
		return &User{}, nil
	case KeyProduct:
		return &Product{}, nil
	case KeyLicense:
		return &License{}, nil
	case KeyActive:
		return &Active{}, nil
	case KeyTombstone:
		return &Tombstone{}, nil
	case KeyBar:
		return &Bar{}, nil
	case KeyNode:
		return &Node{}, nil
	case KeyToken:
		return &JoinToken{}, nil
	case KeyPoolUse:
		return &PoolUse{}, nil
	}
	return nil, fmt.Errorf("a record of table %d is of a newer version than this program knows", kind)
}

// Put loads a stored record into a state that is being read from disk. Loaded
// must be called once after the last.
func (s *State) Put(record any) error {
	switch r := record.(type) {
	case *Head:
		s.head = *r
		s.setAccount(r.Account)
	case *User:
		s.setUser(r.ID, r)
	case *Product:
		s.products[r.ID] = r
	case *License:
		s.licenses[r.ID] = r
		s.setAssigned(r, true)
		s.setPooled(r, true)
	case *Active:
		s.active[r.User] = r
		for i := range r.Sessions {
			s.sessions[r.Sessions[i].ID] = r.User
			s.setLeaning(&r.Sessions[i])
		}
		for i := range r.Checkouts {
			s.checkouts[r.Checkouts[i].ID] = r.User
			s.planCheckout(&r.Checkouts[i])
		}
		if r.Reservation != nil {
			s.plan(r.Reservation.Until, r.User)
		}
		for i := range r.Sessions {
			if next := r.Sessions[i].nextWarning(); next != 0 {
				s.plan(next, r.User)
			}
		}
		if r.Waiter != nil {
			s.waiting[r.User] = struct{}{}
		}
	case *Tombstone:
		s.tombs[r.ID] = *r
		s.graves = append(s.graves, r.ID)
	case *Bar:
		s.setBar(*r, true)
	case *Node:
		s.setNode(*r)
	case *JoinToken:
		s.setToken(*r)
	case *PoolUse:
		s.setPoolUse(r.User, r)
	default:
		return fmt.Errorf("%T is not a record of the state", record)
	}
	return nil
}

// Loaded ends a run of Put.
func (s *State) Loaded() {
	slices.SortFunc(s.graves, func(a, b ID) int {
		return cmp.Or(cmp.Compare(s.tombs[a].Until, s.tombs[b].Until), slices.Compare(a[:], b[:]))
	})
	s.replanTerms()
	for _, user := range slices.Sorted(maps.Keys(s.waiting)) {
		a := s.active[user]
		s.planWaiter(a, s.head.Now)
		if s.offers(a, s.head.Now) {
			s.plan(s.head.Now, user)
		}
	}
	s.changed = newChanges()
}

// Clone copies the state, for models and tests.
func (s *State) Clone() *State {
	c := NewState()
	for _, k := range s.Keys() {
		var r any
		switch v := s.Record(k).(type) {
		case *Head:
			h := *v
			h.Account.Administrators = slices.Clone(h.Account.Administrators)
			h.Account.CountryPolicies = slices.Clone(h.Account.CountryPolicies)
			h.Settings.Modes = slices.Clone(h.Settings.Modes)
			r = &h
		case *User:
			u := *v
			r = &u
		case *Product:
			p := *v
			r = &p
		case *License:
			l := *v
			l.Countries = slices.Clone(l.Countries)
			r = &l
		case *Active:
			a := *v
			a.Sessions, a.Checkouts = slices.Clone(a.Sessions), slices.Clone(a.Checkouts)
			if a.Waiter != nil {
				w := *a.Waiter
				a.Waiter = &w
			}
			if a.Reservation != nil {
				w := *a.Reservation
				a.Reservation = &w
			}
			r = &a
		case *Tombstone, *Bar, *JoinToken, *PoolUse:
			r = v // replaced whole, where they change at all
		case *Node:
			r = v // Put copies it
		}
		if err := c.Put(r); err != nil {
			panic(err) // every record of Record is one of Put
		}
	}
	c.Loaded()
	return c
}
