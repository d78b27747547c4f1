package license

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"slices"
	"strings"
)

// The kinds of what is veiled.
const (
	VeilWho     = "who"     // an administrator, as they are called where they sign in
	VeilUser    = "user"    // a user, by their UserID
	VeilMachine = "machine" // by its name, else its id
	VeilNote    = "note"    // what somebody has given as a reason
)

// MaxVeils is how many pseudonyms there may be; who comes later is called "?", like
// everybody whose name is not known.
const MaxVeils = 250_000

// VeilsLeftFew is how many pseudonyms there are when administrators are told that room for
// them gets short.
const VeilsLeftFew = MaxVeils / 5 * 4

// VeilCount is how many pseudonyms there are.
func VeilCount(s *State) int { return len(s.veils) }

// Veil is whom a pseudonym of the audit trail is of. The pseudonym is made of the name
// and a salt that is nowhere else, so whoever has the veil can show that the name is
// right; and once the veil is erased nobody can find out, by trying names either, while the
// chain of records stays whole.
type Veil struct {
	Name string `cbor:"1,keyasint"` // the pseudonym
	Kind string `cbor:"2,keyasint"` // a Veil… word
	Text string `cbor:"3,keyasint"` // the name, or the reason
	Salt Digest `cbor:"4,keyasint"`
	Last uint64 `cbor:"5,keyasint"` // the last record that it is in; when that is dropped, this is, too
	// Of are, of a reason, the pseudonyms in its record: it may tell of them.
	Of []string `cbor:"6,keyasint,omitempty"`
}

// Pseudonym is what the salt makes of the text: the first 80 bits of its HMAC-SHA-256
// behind the kind's first letter.
func (v *Veil) Pseudonym() string {
	mac := hmac.New(sha256.New, v.Salt[:])
	mac.Write([]byte(v.Kind + "\n" + v.Text))
	return v.Kind[:1] + "-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:10]))
}

type veiled struct{ kind, text string }

// veil is the pseudonym of a text in a record; none for an empty one. A reason has a new
// one each time.
func (s *State) veil(kind, text string, number uint64, of ...string) string {
	if text == "" {
		return ""
	}
	if name, known := s.veilOf[veiled{kind, text}]; known {
		v := s.veils[name]
		v.Last = number
		s.setVeil(v)
		return name
	}
	if len(s.veils) >= MaxVeils {
		return kind[:1] + "-?"
	}
	// The salt follows from a secret that is gone with the next one: who has the state
	// of later cannot make it again.
	secret := &s.head.Audit.Secret
	v := Veil{Kind: kind, Text: text, Salt: salted("salt", *secret), Last: number}
	*secret = salted("next", *secret)
	for _, name := range of {
		if name != "" {
			v.Of = append(v.Of, name)
		}
	}
	v.Name = v.Pseudonym()
	s.setVeil(v)
	return v.Name
}

func salted(word string, secret Digest) Digest {
	return sha256.Sum256(append([]byte(word+"\n"), secret[:]...))
}

func (s *State) setVeil(v Veil) {
	s.veils[v.Name] = v
	if v.Kind != VeilNote {
		s.veilOf[veiled{v.Kind, v.Text}] = v.Name
	}
	s.touch(Key{KeyVeil, v.Name})
}

func (s *State) dropVeil(name string) {
	v := s.veils[name]
	delete(s.veils, name)
	if s.veilOf[veiled{v.Kind, v.Text}] == name {
		delete(s.veilOf, veiled{v.Kind, v.Text})
	}
	s.touch(Key{KeyVeil, name})
}

// Unveil is whom a pseudonym is of; false: nobody knows (any more).
func (s *State) Unveil(name string) (Veil, bool) {
	v, known := s.veils[name]
	return v, known
}

// PseudonymOf is what a name is called in the audit trail; empty: it is not in it.
func (s *State) PseudonymOf(kind, text string) string { return s.veilOf[veiled{kind, text}] }

// Veils lists whom all pseudonyms are of, in the order of kinds and names.
func Veils(s *State) []Veil {
	return slices.SortedFunc(maps.Values(s.veils), func(a, b Veil) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Name, b.Name))
	})
}

// EraseNames makes the audit trail forget a name, and the reasons in records with it.
// The records stay; who comes again under the name gets another pseudonym.
type EraseNames struct {
	Kind string `cbor:"1,keyasint"` // VeilWho, VeilUser or VeilMachine
	Text string `cbor:"2,keyasint"`
	By   string `cbor:"3,keyasint,omitempty"`
	Note string `cbor:"4,keyasint,omitempty"` // why; without the name, or it is kept here
}

func (c EraseNames) decide(*State, Time) *Denial {
	if c.Kind != VeilWho && c.Kind != VeilUser && c.Kind != VeilMachine || c.Text == "" || c.By == "" ||
		!validName(c.Text) || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	return nil
}

func (c EraseNames) do(s *State, _ Time) Outcome {
	name := s.PseudonymOf(c.Kind, c.Text)
	if name == "" {
		return Outcome{Repeat: true}
	}
	gone := []string{name}
	for _, n := range slices.Sorted(maps.Keys(s.veils)) {
		if slices.Contains(s.veils[n].Of, name) {
			gone = append(gone, n)
		}
	}
	for _, n := range gone {
		s.dropVeil(n)
	}
	s.note(act{What: "name-erased", By: c.By, About: name, Note: c.Note}, 0)
	return Outcome{}
}
