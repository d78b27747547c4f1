package license

import (
	"cmp"
	"encoding/binary"
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

	KeyQuarantined KeyKind = 150 // Quarantined by its kind and id

	KeyNode  KeyKind = 90 // Node by its name in lower case
	KeyToken KeyKind = 91 // JoinToken by the thirty-two bytes of its Secret

	KeySetAside KeyKind = 140 // SetAside by its usage's Record
	KeyExport   KeyKind = 141 // Export by the eight bytes of its Number

	KeyMachineKeys  KeyKind = 28 // MachineKeys by UserID
	KeyCredential   KeyKind = 30 // Credential by the thirty-two bytes of its Secret
	KeyLocalAccount KeyKind = 31 // LocalAccount by its name

	KeyLearned KeyKind = 200 // Learned by its user, a zero byte and its product
	KeyRevoked KeyKind = 201 // Revocation by its UserID

	// Audited by the eight bytes of its Number. They are written once, and not part of the
	// state in memory; Head.Audit.After says which may be deleted.
	KeyAudit KeyKind = 232
	KeyVeil  KeyKind = 233 // Veil by its Name

	// Peak by the eight bytes of its Day and its Product. They are written once, and not
	// part of the state in memory; Head.PeaksUntil says of which days they are all there.
	KeyPeak KeyKind = 234
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

// changes are the records that changed. Those that nearly every entry changes are
// noted as they are: a Key would cost more than the change.
type changes struct {
	head      bool
	people    []*person // whose Active changed, each once
	buried    int       // how many of the graves are new
	forgotten []ID
	keys      []Key // of all other tables; some more than once
	audited   []Audited
	peaks     []Peak
}

func (s *State) touch(k Key) {
	if k.Kind == KeyActive {
		s.touchActive(s.person(UserID(k.ID)))
		return
	}
	c := &s.changed
	if n := len(c.keys); n > 0 && c.keys[n-1] == k {
		return
	}
	if n := len(c.keys); n >= maxKeys && n == cap(c.keys) { // nobody takes them
		c.keys = slices.Grow(distinct(c.keys), n)
	}
	c.keys = append(c.keys, k)
}

func (s *State) touchActive(p *person) {
	if !p.changed {
		p.changed = true
		s.changed.people = append(s.changed.people, p)
	}
}

// maxKeys is how many keys are gathered before it is seen whether they are many.
const maxKeys = 1 << 12

// distinct sorts keys and drops what is there twice.
func distinct(keys []Key) []Key {
	slices.SortFunc(keys, Key.compare)
	return slices.Compact(keys)
}

// Changed is about how many records changed since the last TakeChanged; it may
// count one twice.
func (s *State) Changed() int {
	n := len(s.changed.people) + s.changed.buried + len(s.changed.forgotten) + len(s.changed.keys) + len(s.changed.audited) + len(s.changed.peaks)
	if s.changed.head {
		n++
	}
	return n
}

// TakeChanged gives each record that changed since the last call, as Record does,
// to a store that keeps all of them; nil is one to be deleted. What a user opened
// and closed in between is not given at all, a rare record perhaps twice.
func (s *State) TakeChanged(each func(k Key, record any)) {
	c := s.changed
	s.changed = changes{people: c.people[:0], forgotten: c.forgotten[:0], keys: c.keys[:0]}
	if c.head {
		each(Key{Kind: KeyHead}, &s.head)
	}
	for _, k := range c.keys {
		each(k, s.Record(k))
	}
	for i := range c.audited {
		each(auditKey(c.audited[i].Number), &c.audited[i])
	}
	for i := range c.peaks {
		each(c.peaks[i].Key(), &c.peaks[i])
	}
	for _, p := range c.people {
		p.changed = false
		if p.active != nil {
			each(Key{KeyActive, string(p.user.ID)}, p.active)
		} else if p.stored {
			each(Key{KeyActive, string(p.user.ID)}, nil)
		}
		p.stored = p.active != nil
		s.count(p)
		s.part(p)
	}
	for _, g := range s.graves[max(0, len(s.graves)-c.buried):] {
		each(Key{KeyTombstone, string(g.id[:])}, &Tombstone{ID: g.id, User: g.of.user.ID, Until: g.until})
	}
	for _, id := range c.forgotten {
		if s.ids[id].until != 0 {
			continue // the same id has ended again since, and was given above
		}
		each(Key{KeyTombstone, string(id[:])}, nil)
	}
}

// Keys returns the keys of all records, sorted.
func (s *State) Keys() []Key {
	keys := []Key{{Kind: KeyHead}}
	for id, p := range s.people {
		if p.mirrored {
			keys = append(keys, Key{KeyUser, string(id)})
		}
	}
	for id := range s.products {
		keys = append(keys, Key{KeyProduct, string(id)})
	}
	for id := range s.licenses {
		keys = append(keys, Key{KeyLicense, string(id)})
	}
	for _, p := range s.busy {
		keys = append(keys, Key{KeyActive, string(p.user.ID)})
	}
	for _, g := range s.graves {
		keys = append(keys, Key{KeyTombstone, string(g.id[:])})
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
	for secret := range s.credentials {
		keys = append(keys, Key{KeyCredential, string(secret[:])})
	}
	for name := range s.accounts {
		keys = append(keys, Key{KeyLocalAccount, name})
	}
	for id := range s.poolUse {
		keys = append(keys, Key{KeyPoolUse, string(id)})
	}
	for id := range s.setAside {
		keys = append(keys, Key{KeySetAside, id})
	}
	for number := range s.exports {
		keys = append(keys, exportKey(number))
	}
	for id := range s.learned {
		keys = append(keys, Key{KeyLearned, id})
	}
	for id := range s.revoked {
		keys = append(keys, Key{KeyRevoked, string(id)})
	}
	for id := range s.quarantined {
		keys = append(keys, Key{KeyQuarantined, id})
	}
	for id := range s.machineKeys {
		keys = append(keys, Key{KeyMachineKeys, string(id)})
	}
	for name := range s.veils {
		keys = append(keys, Key{KeyVeil, name})
	}
	slices.SortFunc(keys, Key.compare)
	return keys
}

// Record returns the record under k: a *Head, *User, *Product, *License, *Active,
// *Tombstone, *Bar, *PoolUse, *Node, *JoinToken, *Credential, *LocalAccount, *Quarantined,
// *SetAside, *Export, *MachineKeys, *Learned, *Revocation or *Veil, to be encoded at once and not kept. Nil: there is none.
func (s *State) Record(k Key) any {
	switch k.Kind {
	case KeyHead:
		return &s.head
	case KeyUser:
		if r := s.User(UserID(k.ID)); r != nil {
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
		if r := s.Active(UserID(k.ID)); r != nil {
			return r
		}
	case KeyTombstone:
		var id ID
		copy(id[:], k.ID)
		if u := s.ids[id]; u.until != 0 {
			return &Tombstone{ID: id, User: u.of.user.ID, Until: u.until}
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
	case KeyCredential:
		var secret Digest
		copy(secret[:], k.ID)
		if r, ok := s.credentials[secret]; ok {
			return &r
		}
	case KeyLocalAccount:
		if r, ok := s.accounts[k.ID]; ok {
			return &r
		}
	case KeyPoolUse:
		if r := s.poolUse[UserID(k.ID)]; r != nil {
			return r
		}
	case KeySetAside:
		if r, ok := s.setAside[k.ID]; ok {
			return &r
		}
	case KeyExport:
		if r, ok := s.exports[binary.BigEndian.Uint64([]byte(k.ID))]; ok {
			return &r
		}
	case KeyLearned:
		if r, ok := s.learned[k.ID]; ok {
			return &r
		}
	case KeyMachineKeys:
		if r := s.machineKeys[UserID(k.ID)]; r != nil {
			return r
		}
	case KeyRevoked:
		if at, ok := s.revoked[UserID(k.ID)]; ok {
			return &Revocation{User: UserID(k.ID), At: at}
		}
	case KeyQuarantined:
		if r, ok := s.quarantined[k.ID]; ok {
			return &r
		}
	case KeyVeil:
		if r, ok := s.veils[k.ID]; ok {
			return &r
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
	case KeyCredential:
		return &Credential{}, nil
	case KeyLocalAccount:
		return &LocalAccount{}, nil
	case KeyPoolUse:
		return &PoolUse{}, nil
	case KeySetAside:
		return &SetAside{}, nil
	case KeyExport:
		return &Export{}, nil
	case KeyLearned:
		return &Learned{}, nil
	case KeyRevoked:
		return &Revocation{}, nil
	case KeyQuarantined:
		return &Quarantined{}, nil
	case KeyMachineKeys:
		return &MachineKeys{}, nil
	case KeyAudit:
		return &Audited{}, nil
	case KeyVeil:
		return &Veil{}, nil
	case KeyPeak:
		return &Peak{}, nil
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
		s.setUser(r)
	case *Product:
		s.products[r.ID] = r
	case *License:
		s.keep(r)
	case *Active:
		p := s.meet(r.User)
		r.User, p.stored = p.user.ID, true
		s.setActive(p, r)
		s.count(p)
		for i := range r.Sessions {
			r.Sessions[i].User = p.user.ID
			s.ids[r.Sessions[i].ID] = use{of: p}
			s.setLeaning(&r.Sessions[i])
		}
		for i := range r.Checkouts {
			r.Checkouts[i].User = p.user.ID
			s.ids[r.Checkouts[i].ID] = use{of: p}
			s.planCheckout(&r.Checkouts[i])
		}
		for i := range r.Reservations {
			s.plan(r.Reservations[i].Until, r.User)
		}
		for i := range r.Sessions {
			if next := r.Sessions[i].nextWarning(); next != 0 {
				s.plan(next, r.User)
			}
		}
		if len(r.Waiters) > 0 {
			s.waiting[r.User] = struct{}{}
		}
	case *Tombstone:
		p := s.person(r.User)
		if p == nil {
			p = &person{user: User{ID: r.User}} // who is gone but for this
		}
		s.ids[r.ID] = use{of: p, until: r.Until}
		s.graves = append(s.graves, grave{r.ID, p, r.Until})
	case *Bar:
		s.setBar(*r, true)
	case *Node:
		s.setNode(*r)
	case *JoinToken:
		s.setToken(*r)
	case *Credential:
		s.setCredential(*r)
	case *LocalAccount:
		s.setLocalAccount(*r)
	case *PoolUse:
		s.setPoolUse(r.User, r)
	case *SetAside:
		s.setAside[r.Usage.Record] = *r
	case *Export:
		s.exports[r.Number] = *r
	case *Learned:
		s.learned[r.key().ID] = *r
	case *Revocation:
		s.revoked[r.User] = r.At
	case *Quarantined:
		s.quarantined[r.key().ID] = *r
	case *MachineKeys:
		s.machineKeys[r.User] = r
	case *Audited, *Peak: // only the store has them
	case *Veil:
		s.setVeil(*r)
	default:
		return fmt.Errorf("%T is not a record of the state", record)
	}
	return nil
}

// Loaded ends a run of Put.
func (s *State) Loaded() {
	slices.SortFunc(s.graves, func(a, b grave) int {
		return cmp.Or(cmp.Compare(a.until, b.until), slices.Compare(a.id[:], b.id[:]))
	})
	s.replanTerms()
	for _, user := range slices.Sorted(maps.Keys(s.waiting)) {
		a := s.Active(user)
		s.planWaiter(a, s.head.Now)
		if s.offers(a, s.head.Now) {
			s.plan(s.head.Now, user)
		}
	}
	s.changed = changes{}
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
			h.Settings.Modes, h.Settings.Hosts = slices.Clone(h.Settings.Modes), slices.Clone(h.Settings.Hosts)
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
			a.Waiters, a.Reservations = slices.Clone(a.Waiters), slices.Clone(a.Reservations)
			r = &a
		case *Tombstone, *Bar, *JoinToken, *Credential, *LocalAccount, *PoolUse, *Quarantined, *SetAside, *Export, *Revocation, *Learned, *MachineKeys, *Veil:
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
