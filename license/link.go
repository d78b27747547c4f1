package license

import "time"

// LinkState is what the whole site knows of the link to the cloud.
type LinkState struct {
	Up bool `cbor:"1,keyasint,omitempty"`
	// Contact is the last moment the cloud is known to have answered. Zero: never.
	Contact Time `cbor:"2,keyasint,omitempty"`
	Since   Time `cbor:"3,keyasint,omitempty"` // when Up last changed
	// Read is the last moment at which the feed is known to have been read to its end.
	// A cloud may answer and its feed not be to be had. Zero: never.
	Read Time `cbor:"80,keyasint,omitempty"`
}

// Link tells every node what the leader knows of the link: proposed when it
// goes up or down, and from time to time to move Contact and Read.
type Link struct {
	Up      bool `cbor:"1,keyasint,omitempty"`
	Contact Time `cbor:"2,keyasint,omitempty"`
	Read    Time `cbor:"80,keyasint,omitempty"`
}

// LinkChanged: the link to the cloud went up or down.
type LinkChanged struct {
	Up      bool `cbor:"1,keyasint,omitempty"`
	Contact Time `cbor:"2,keyasint,omitempty"`
}

func (c Link) decide(*State, Time) *Denial { return nil }

func (c Link) do(s *State, at Time) Outcome {
	s.contact(min(c.Contact, at))
	l := &s.head.Link
	l.Read = max(l.Read, min(c.Read, at))
	if l.Up == c.Up && l.Since != 0 {
		return Outcome{Repeat: true}
	}
	l.Up, l.Since = c.Up, at
	s.emit(LinkChanged{Up: l.Up, Contact: l.Contact})
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
