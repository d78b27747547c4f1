package license

import (
	"cmp"
	"slices"
	"strings"
)

// MaxBarKeys is how many keys one block of a machine holds: a machine has one for each
// account of its system that sitegate is used with.
const MaxBarKeys = 64

// BarKey adds a key to the block of the machine for which it was shown: whoever calls the
// machine otherwise from now on is still that machine. The leader proposes it when such a key
// was shown with a sign-in and refused. Where nothing keeps the machine out, or its block has
// the key or MaxBarKeys of them, nothing changes.
type BarKey struct {
	User    UserID  `cbor:"462,keyasint"` // who was signed in
	Machine Machine `cbor:"463,keyasint"` // as it was called
	Key     Digest  `cbor:"464,keyasint"`
}

// KeyBarred: the block of a machine holds one key more.
type KeyBarred struct {
	Bar  Bar    `cbor:"465,keyasint"` // with the key
	User UserID `cbor:"466,keyasint"` // who was signed in where it was shown
	Key  Digest `cbor:"467,keyasint"`
}

func (KeyBarred) fact() {}

func (c BarKey) subject(*State) UserID { return c.User }

func (c BarKey) decide(*State, Time) *Denial {
	if c.User == "" || !validName(string(c.User)) || !c.Machine.valid() || c.Key == (Digest{}) {
		return deny(BadCommand)
	}
	return nil
}

func (c BarKey) do(s *State, _ Time) Outcome {
	b := s.lacks(c)
	if b == nil {
		return Outcome{Repeat: true}
	}
	i, _ := slices.BinarySearchFunc(b.Keys, c.Key, compareDigests)
	b.Keys = slices.Insert(slices.Clone(b.Keys), i, c.Key) // readers may still have the old ones
	s.setBar(*b, true)
	s.emit(KeyBarred{Bar: *b, User: c.User, Key: c.Key})
	s.shutOutMachine(*b)
	return Outcome{}
}

// KeyUnbarred reports whether a BarKey would add its key to a block.
func KeyUnbarred(s *State, c BarKey) bool { return s.lacks(c) != nil }

// lacks is the block to which the key is to be added, or nil.
func (s *State) lacks(c BarKey) *Bar {
	b := s.barOn(c.User, c.Machine)
	if b == nil || len(s.barKeys[c.Key]) > 0 || len(b.Keys) >= MaxBarKeys {
		return nil
	}
	return b
}

// holds reports whether a block is of this key.
func (b *Bar) holds(key Digest) bool {
	_, held := slices.BinarySearchFunc(b.Keys, key, compareDigests)
	return held
}

// means reports whether a block keeps a user's machine out: by its id or name, or by a key
// that it goes by.
func (b *Bar) means(s *State, user UserID, m Machine) bool {
	return b.Machine.Is(m) || len(b.Keys) > 0 && slices.ContainsFunc(KeysOf(s, user), func(k MachineKey) bool {
		return k.Machine.ID == m.ID && b.holds(k.Proof.Key)
	})
}

// barOn is what keeps a user's machine out, or nil: by its id or name, or by a key that it
// goes by.
func (s *State) barOn(user UserID, m Machine) *Bar {
	if b := s.bar("", m); b != nil || len(s.barKeys) == 0 {
		return b
	}
	keys := KeysOf(s, user)
	for i := range keys {
		if k := &keys[i]; k.Machine.ID == m.ID {
			if b := s.barOfKey(k.Proof.Key); b != nil {
				return b
			}
		}
	}
	return nil
}

// barOfKey is the first block that holds a key, or nil.
func (s *State) barOfKey(key Digest) *Bar {
	of := s.barKeys[key]
	if len(of) == 0 {
		return nil
	}
	b := s.bars[of[0]]
	return &b
}

// keysSeen are the keys that a machine has shown as its own, whoever was signed in, in order;
// of too many those with the latest sign-ins. The keys of the hosts that people go on to from
// it are not its own: others work there.
func (s *State) keysSeen(m Machine) []Digest {
	last := map[Digest]Time{}
	for _, r := range s.machineKeys {
		for i := range r.Keys {
			if k := &r.Keys[i]; k.Proof.Host == "" && m.Is(k.Machine) {
				last[k.Proof.Key] = max(last[k.Proof.Key], k.Verified)
			}
		}
	}
	if len(last) == 0 {
		return nil
	}
	keys := make([]Digest, 0, len(last))
	for key := range last {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b Digest) int {
		return cmp.Or(cmp.Compare(last[b], last[a]), compareDigests(a, b))
	})
	keys = slices.Clip(keys[:min(len(keys), MaxBarKeys)])
	slices.SortFunc(keys, compareDigests)
	return keys
}

// shutOutMachine releases what anybody has open on a machine that is kept out.
func (s *State) shutOutMachine(b Bar) {
	for _, user := range s.usersOn(func(user UserID, m Machine) bool { return b.means(s, user, m) }) {
		s.settle(user)
		s.shutOut(user, func(m Machine) bool { return b.means(s, user, m) }, b)
	}
}

// indexBarKeys keeps the index of the keys that blocks hold.
func (s *State) indexBarKeys(b Bar, on bool) {
	for _, key := range b.Keys {
		of := s.barKeys[key]
		i, found := slices.BinarySearchFunc(of, b.Key(), strings.Compare)
		switch {
		case on && !found:
			s.barKeys[key] = slices.Insert(slices.Clone(of), i, b.Key())
		case !on && found && len(of) == 1:
			delete(s.barKeys, key)
		case !on && found:
			s.barKeys[key] = slices.Delete(slices.Clone(of), i, i+1)
		}
	}
}
