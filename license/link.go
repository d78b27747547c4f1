package license

import "time"

// LinkState is what the whole site knows of the link to the cloud.
type LinkState struct {
	Up bool `cbor:"1,keyasint,omitempty"`
	// Contact is the last moment the cloud is known to have answered. Zero: never.
	Contact Time `cbor:"2,keyasint,omitempty"`
	Since   Time `cbor:"3,keyasint,omitempty"` // when it last became what Condition says
	// Read is the last moment at which the feed is known to have been read to its end.
	// A cloud may answer and its feed not be to be had. Zero: never.
	Read Time `cbor:"80,keyasint,omitempty"`
	// Slow: it is up, but most of what it is asked takes too long, or is not answered.
	Slow bool `cbor:"150,keyasint,omitempty"`
	// Stale: it is down, and the last contact was StaleAfter ago or more.
	Stale bool `cbor:"151,keyasint,omitempty"`
}

// StaleAfter is how long without contact administrators are told, who may not have
// heard that the link is down, or have thought that it passes.
const StaleAfter = 2 * time.Hour

// The conditions of a link; the words are those of the API.
const (
	LinkUp    = "up"
	LinkSlow  = "slow"
	LinkDown  = "down"
	LinkStale = "stale"
)

// LinkConditions lists them, in the order from good to bad.
func LinkConditions() []string { return []string{LinkUp, LinkSlow, LinkDown, LinkStale} }

// Condition is one of the conditions.
func (l LinkState) Condition() string {
	switch {
	case l.Up && l.Slow:
		return LinkSlow
	case l.Up:
		return LinkUp
	case l.Stale:
		return LinkStale
	}
	return LinkDown
}

// Link tells every node what the leader knows of the link: proposed when it
// changes, and from time to time to move Contact and Read.
type Link struct {
	Up      bool `cbor:"1,keyasint,omitempty"`
	Contact Time `cbor:"2,keyasint,omitempty"`
	Read    Time `cbor:"80,keyasint,omitempty"`
	Slow    bool `cbor:"150,keyasint,omitempty"` // of a link that is up
}

// LinkChanged: the link to the cloud went up or down.
type LinkChanged struct {
	Up      bool `cbor:"1,keyasint,omitempty"`
	Contact Time `cbor:"2,keyasint,omitempty"`
}

// LinkSlowed: a link that is up became slow, or is so no more.
type LinkSlowed struct {
	Slow bool     `cbor:"1,keyasint,omitempty"`
	To   []UserID `cbor:"2,keyasint,omitempty"` // the administrators, as they were then
}

// LinkStaled: there was no contact for StaleAfter.
type LinkStaled struct {
	Contact Time     `cbor:"1,keyasint,omitempty"`
	To      []UserID `cbor:"2,keyasint,omitempty"`
}

func (c Link) decide(*State, Time) *Denial { return nil }

func (c Link) do(s *State, at Time) Outcome {
	s.contact(min(c.Contact, at))
	l := &s.head.Link
	l.Read = max(l.Read, min(c.Read, at))
	before := *l
	l.Up, l.Slow = c.Up, c.Up && c.Slow
	l.Stale = !c.Up && at >= l.Contact.Add(StaleAfter) && l.Contact != 0
	if l.Condition() == before.Condition() && l.Since != 0 {
		return Outcome{Repeat: true}
	}
	l.Since = at
	if l.Up != before.Up || before.Since == 0 {
		s.emit(LinkChanged{Up: l.Up, Contact: l.Contact})
	}
	if l.Slow != before.Slow && (l.Slow || l.Up) {
		s.emit(LinkSlowed{Slow: l.Slow, To: s.told(administrators)})
	}
	if l.Stale && !before.Stale {
		s.emit(LinkStaled{Contact: l.Contact, To: s.told(administrators)})
	}
	return Outcome{}
}

// contact moves the last contact forward; it never goes back.
func (s *State) contact(at Time) {
	if at > s.head.Link.Contact {
		s.head.Link.Contact = at
	}
}

// Autonomy is how long after the last contact the site may grant starts by
// itself: the account's terms, which the site may only shorten (design: never
// wider than the cloud).
func (s *State) Autonomy(single bool) time.Duration {
	terms, own := s.head.Account.AutonomyUncapped, s.head.Settings.AutonomyUncapped
	if single {
		terms, own = s.head.Account.AutonomyCapped, s.head.Settings.AutonomyCapped
	}
	if own != nil && *own < terms {
		return *own
	}
	return terms
}

// aloneUntil is the last moment at which a start may be granted without asking.
func (s *State) aloneUntil(single bool) Time {
	contact, autonomy := s.head.Link.Contact, s.Autonomy(single)
	if contact == 0 || autonomy <= 0 {
		return 0
	}
	return contact.Add(autonomy)
}
