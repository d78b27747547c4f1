package license

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// What is relayed tells of users and products that the mirror may not have: the vendor
// has signed that this user may use that product. It is kept for people to look at,
// marked as learned and apart from the mirror, and decides nothing: what the vendor
// has signed for one client is no word about what this site may grant to others.

// The bounds of what is learned.
const (
	MaxLearned      = 20_000 // users' products in all; more are left out
	MaxLearnedAtOne = 500    // in one command
)

// Learned is a user's use of a product that the vendor has signed for.
type Learned struct {
	User    UserID    `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint"`
	Email   string    `cbor:"3,keyasint,omitempty"` // by the user's token
	Country string    `cbor:"4,keyasint,omitempty"` // that the use is counted in
	Name    string    `cbor:"5,keyasint,omitempty"` // of the product
	Feature string    `cbor:"6,keyasint,omitempty"`
	First   Day       `cbor:"7,keyasint,omitempty"` // the rules keep both
	Last    Day       `cbor:"8,keyasint,omitempty"`
}

func (l *Learned) key() Key { return Key{KeyLearned, string(l.User) + "\x00" + string(l.Product)} }

func (l *Learned) valid() bool {
	for _, s := range []string{string(l.User), string(l.Product), l.Email, l.Country, l.Name, l.Feature} {
		if !validName(s) || strings.Contains(s, "\x00") {
			return false
		}
	}
	return l.User != "" && l.Product != ""
}

// Learn brings in what was seen of relayed traffic. Nodes coalesce it: each user's
// product once a day.
type Learn struct {
	Seen []Learned `cbor:"1,keyasint"`
}

// LearnedOf: relayed traffic told of these.
type LearnedOf struct {
	Seen []Learned `cbor:"1,keyasint"`
}

func (LearnedOf) fact() {}

// AllLearned lists what was learned, by user and product.
func AllLearned(s *State) []Learned {
	return slices.SortedFunc(maps.Values(s.learned), func(a, b Learned) int { return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Product, b.Product)) })
}

// Unlearned reports whether a use says something new at a time: neither the mirror nor
// what was learned has it, or not of this day.
func Unlearned(s *State, l Learned, at Time) bool {
	if s.User(l.User) != nil && s.products[l.Product] != nil &&
		slices.ContainsFunc(s.Assigned(l.User), func(x *License) bool { return x.Product == l.Product }) {
		return false
	}
	known, there := s.learned[l.key().ID]
	return !there || dayOf(at) > known.Last || !known.says(l)
}

// says reports whether it says the same as another, but for its days.
func (l Learned) says(other Learned) bool {
	other.First, other.Last = l.First, l.Last
	return l == other
}

func (c Learn) decide(*State, Time) *Denial {
	if len(c.Seen) == 0 || len(c.Seen) > MaxLearnedAtOne || slices.ContainsFunc(c.Seen, func(l Learned) bool { return !l.valid() }) {
		return deny(BadCommand)
	}
	return nil
}

func (c Learn) do(s *State, at Time) Outcome {
	var f LearnedOf
	for _, l := range c.Seen {
		known, there := s.learned[l.key().ID]
		if !Unlearned(s, l, at) || !there && len(s.learned) >= MaxLearned {
			continue
		}
		l.First, l.Last = dayOf(at), dayOf(at)
		if there {
			l.First = known.First
		}
		s.learned[l.key().ID] = l
		s.touch(l.key())
		f.Seen = append(f.Seen, l)
	}
	if f.Seen == nil {
		return Outcome{Repeat: true}
	}
	s.emit(f)
	return Outcome{}
}
