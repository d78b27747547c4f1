package license

// Everything that a cloud offers to a site beside the vendor's public wire is optional,
// and which of it there is decides what the site can do. The leader finds out as it
// asks; every node knows it from the log.

// Offered is whether a cloud offers something. The zero value: nobody has asked yet. The
// numbers are in logs.
type Offered uint8

// What is known of an offer.
const (
	OfferUnknown Offered = 0
	OfferYes     Offered = 1
	OfferNo      Offered = 2
)

// Capability is something that a cloud may offer to a site.
type Capability struct {
	Offered Offered `cbor:"1,keyasint,omitempty"`
	Since   Time    `cbor:"2,keyasint,omitempty"` // when it was found to be so
}

// Capabilities are what the cloud offers to the site, and how usage goes there.
type Capabilities struct {
	Feed     Capability `cbor:"1,keyasint,omitzero"` // of changes; else: files
	Holds    Capability `cbor:"2,keyasint,omitzero"` // it confirms starts and checkouts; else: the account's terms decide
	Moves    Capability `cbor:"3,keyasint,omitzero"` // it takes moves from the site; else: its portal does
	Books    Capability `cbor:"4,keyasint,omitzero"` // it lists what the site has checked out; else: after a restore an administrator has to say
	Usage    UsageWay   `cbor:"5,keyasint,omitempty"`
	UsageHow Time       `cbor:"6,keyasint,omitempty"` // since when usage goes that way; zero: it is not known
}

// NoteCloud says what the leader has found that the cloud offers. What is unknown to it
// stays as it was. Only the leader proposes it.
type NoteCloud struct {
	Feed  Offered  `cbor:"1,keyasint,omitempty"`
	Holds Offered  `cbor:"2,keyasint,omitempty"`
	Moves Offered  `cbor:"3,keyasint,omitempty"`
	Books Offered  `cbor:"4,keyasint,omitempty"`
	Usage UsageWay `cbor:"5,keyasint,omitempty"`
}

// News reports whether c says anything that is not known.
func (c NoteCloud) News(known Capabilities) bool { return c.on(known, 1) != known }

// on is what is known after c, where known was so before.
func (c NoteCloud) on(known Capabilities, at Time) Capabilities {
	for _, x := range []struct {
		found Offered
		known *Capability
	}{{c.Feed, &known.Feed}, {c.Holds, &known.Holds}, {c.Moves, &known.Moves}, {c.Books, &known.Books}} {
		if x.found != OfferUnknown && x.found != x.known.Offered {
			*x.known = Capability{x.found, at}
		}
	}
	if c.Usage != known.Usage || known.UsageHow == 0 {
		known.Usage, known.UsageHow = c.Usage, at
	}
	return known
}

func (c NoteCloud) decide(*State, Time) *Denial {
	if max(c.Feed, c.Holds, c.Moves, c.Books) > OfferNo || c.Usage > WayCarried {
		return deny(BadCommand)
	}
	return nil
}

func (c NoteCloud) do(s *State, _ Time) Outcome {
	before := s.head.Cloud
	s.head.Cloud = c.on(before, s.head.Now)
	return Outcome{Repeat: s.head.Cloud == before}
}
