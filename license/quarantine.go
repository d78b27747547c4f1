package license

import (
	"cmp"
	"slices"
)

// MaxQuarantined is how many records the site lists of those that it could not
// understand. A cloud that sends more of them is not to be helped by a list.
const MaxQuarantined = 1000

// Quarantined is a record of the cloud's that could not be understood. It counts as
// deleted, so that nothing goes on by it, until the cloud says it in a way that can be
// understood, or says no more of it.
type Quarantined struct {
	Kind  KeyKind `cbor:"1,keyasint"`           // KeyUser, KeyProduct, KeyLicense, or KeyHead for the account
	ID    string  `cbor:"2,keyasint,omitempty"` // none for the account
	Why   string  `cbor:"3,keyasint"`           // for the operator, in English
	Since Time    `cbor:"4,keyasint,omitempty"`
}

// MirrorQuarantined: records of a page could not be understood that were so before.
type MirrorQuarantined struct {
	Records int      `cbor:"1,keyasint"`
	To      []UserID `cbor:"2,keyasint,omitempty"` // the administrators; none where the list was not empty before
}

// about names the record that a change speaks of; the account is KeyHead without an ID.
func (c *Change) about() Key {
	switch {
	case c.User != nil:
		return Key{KeyUser, string(c.User.ID)}
	case c.Product != nil:
		return Key{KeyProduct, string(c.Product.ID)}
	case c.License != nil:
		return Key{KeyLicense, string(c.License.ID)}
	case c.DeleteUser != "":
		return Key{KeyUser, string(c.DeleteUser)}
	case c.DeleteProduct != "":
		return Key{KeyProduct, string(c.DeleteProduct)}
	case c.DeleteLicense != "":
		return Key{KeyLicense, string(c.DeleteLicense)}
	}
	return Key{Kind: KeyHead}
}

// key is where the record is kept: the table it would be in, and its id there.
func (q *Quarantined) key() Key {
	return Key{KeyQuarantined, string(rune(q.Kind)) + q.ID}
}

// quarantine keeps the list in step with a change, and reports whether it has grown.
func (s *State) quarantine(c *Change, at Time) (grown bool) {
	if c.Malformed == "" && len(s.quarantined) == 0 {
		return false
	}
	about := c.about()
	q := Quarantined{Kind: about.Kind, ID: about.ID, Why: c.Malformed, Since: at}
	k := q.key()
	old, known := s.quarantined[k.ID]
	switch {
	case c.Malformed == "" && !known, c.Malformed != "" && !known && len(s.quarantined) >= MaxQuarantined:
		return false
	case c.Malformed == "":
		delete(s.quarantined, k.ID)
	default:
		if known {
			q.Since = old.Since
		}
		s.quarantined[k.ID] = q
	}
	s.touch(k)
	return c.Malformed != "" && !known
}

// Quarantined lists the records that could not be understood, in the order of their
// kinds and ids.
func (s *State) Quarantined() []Quarantined {
	list := make([]Quarantined, 0, len(s.quarantined))
	for _, q := range s.quarantined {
		list = append(list, q)
	}
	slices.SortFunc(list, func(a, b Quarantined) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// QuarantinedCount is how many they are.
func (s *State) QuarantinedCount() int { return len(s.quarantined) }
