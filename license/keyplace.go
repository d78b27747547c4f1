package license

import (
	"net/netip"
	"slices"
	"time"
)

// A key that was copied, with its machine's whole disk or as a file, shows itself by nothing
// that is signed: both are that machine. What is left is where it is: a laptop goes from one
// network to another, and two computers are in both at once, so that the key is seen here and
// there and here again. That is no proof, and nothing is refused for it; IT is told.

// The bounds of telling that a key is in two places.
const (
	// placeReturns is how often a key must have come back to where it was just before.
	placeReturns = 3
	// placeWindow is how long it may stay for that to count as coming back.
	placeWindow = 10 * time.Minute
	// placeTold is how long IT is not told again of one key.
	placeTold = 24 * time.Hour
	// copiesHourly is how many keys of a site IT is told of within an hour from the first:
	// when a network is built anew, it is many that come and go. One of which it was not told
	// is told of when it comes back later on.
	copiesHourly = 10
)

// CopiesTold is how many keys IT was told of lately that they are in two places.
type CopiesTold struct {
	Since  Time  `cbor:"461,keyasint,omitempty"` // of the first
	Number uint8 `cbor:"462,keyasint,omitempty"` // within an hour from then
}

// Whereabouts are where a key was seen.
type Whereabouts struct {
	Place   string `cbor:"430,keyasint,omitempty"` // the network, as netip.Prefix writes it; empty: nowhere yet
	Before  string `cbor:"431,keyasint,omitempty"` // where it was before; empty: nowhere
	Since   Time   `cbor:"432,keyasint,omitempty"` // it was seen at Place first
	Returns uint8  `cbor:"433,keyasint,omitempty"` // it came back, without a stay in between
	Told    Time   `cbor:"434,keyasint,omitempty"` // IT was told that it is in both
}

// SeeKey says in which network a machine's key was shown, by the node that was shown it. It is
// said when that changes.
type SeeKey struct {
	User    UserID `cbor:"430,keyasint"`
	Machine string `cbor:"431,keyasint"` // its id
	Proof   Proof  `cbor:"432,keyasint"`
	Place   string `cbor:"433,keyasint"` // as netip.Prefix writes it
}

// KeyElsewhere reports whether a place is worth a SeeKey: the key was seen somewhere else last,
// long enough ago.
func KeyElsewhere(s *State, c SeeKey, at Time) bool {
	k := KeyOf(s, c.User, c.Machine, c.Proof.Host)
	if k == nil || k.Proof != c.Proof || k.Seen.Place == c.Place {
		return false
	}
	_, moved := k.Seen.move(c.Place, max(at, s.head.Now))
	return moved
}

// move is where a key is once it was seen at a place; false: that changes nothing. Whoever has
// addresses of both families shows now one and now the other: a change between them says
// nothing.
func (w Whereabouts) move(place string, at Time) (Whereabouts, bool) {
	stay := at.Sub(w.Since)
	switch {
	case w.Place == "":
		return Whereabouts{Place: place, Since: at, Told: w.Told}, true
	case place == w.Place, stay < keyRhythm:
		return w, false
	case isIPv6(place) != isIPv6(w.Place):
		if stay < placeWindow {
			return w, false
		}
		return Whereabouts{Place: place, Since: at, Told: w.Told}, true
	}
	now := Whereabouts{Place: place, Before: w.Place, Since: at, Told: w.Told}
	if stay < placeWindow {
		now.Returns = w.Returns
		if place == w.Before {
			now.Returns++
		}
	}
	return now, true
}

func isIPv6(place string) bool {
	p, err := netip.ParsePrefix(place)
	return err == nil && p.Addr().Is6()
}

// validPlace reports whether a network is written as netip.Prefix does.
func validPlace(place string) bool {
	p, err := netip.ParsePrefix(place)
	return err == nil && p.Masked().String() == place && !p.Addr().Is4In6()
}

func (c SeeKey) subject(*State) UserID { return c.User }

func (c SeeKey) decide(*State, Time) *Denial {
	if c.User == "" || !validName(string(c.User)) || c.Machine == "" || !validName(c.Machine) || c.Proof.Key == (Digest{}) || !validName(c.Proof.Host) || !validPlace(c.Place) {
		return deny(BadCommand)
	}
	return nil
}

// tellsCopy reports whether IT is told of one key more, and counts it.
func (s *State) tellsCopy(at Time) bool {
	told := &s.head.CopiesTold
	if told.Number == 0 || at >= told.Since.Add(time.Hour) {
		*told = CopiesTold{Since: at}
	}
	if told.Number >= copiesHourly {
		return false
	}
	told.Number++
	return true
}

func (c SeeKey) do(s *State, at Time) Outcome {
	if !KeyElsewhere(s, c, at) {
		return Outcome{Repeat: true}
	}
	keys := slices.Clone(KeysOf(s, c.User)) // readers may still have the old ones
	k := &keys[slices.IndexFunc(keys, func(k MachineKey) bool { return k.Machine.ID == c.Machine && k.Proof == c.Proof })]
	was := k.Seen.Place
	k.Seen, _ = k.Seen.move(c.Place, at)
	if k.Seen.Returns >= placeReturns && (k.Seen.Told == 0 || at >= k.Seen.Told.Add(placeTold)) && s.tellsCopy(at) {
		k.Seen.Told = at
		s.emit(CloneSeen{User: c.User, Machine: k.Machine, To: s.told(administrators), Places: []string{was, c.Place}})
	}
	s.setKeys(c.User, keys)
	return Outcome{}
}
