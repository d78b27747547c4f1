package license

// AcceptTime notes that an administrator has accepted the time of the nodes' clocks,
// which were off from the site's. The leader's clock has been set before, and the
// entry is stamped by it: what time makes due is settled after it.
type AcceptTime struct {
	From Time   `cbor:"120,keyasint,omitempty"` // what time it was for the site until then
	By   string `cbor:"121,keyasint,omitempty"` // who
	Note string `cbor:"122,keyasint,omitempty"` // why
}

// TimeAccepted: an administrator has accepted the time of the nodes' clocks.
type TimeAccepted struct {
	From Time   `cbor:"120,keyasint,omitempty"`
	To   Time   `cbor:"121,keyasint,omitempty"`
	By   string `cbor:"122,keyasint,omitempty"`
	Note string `cbor:"123,keyasint,omitempty"`
}

func (TimeAccepted) fact() {}

func (c AcceptTime) decide(s *State, at Time) *Denial {
	if c.By == "" || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	if r := s.head.Restored; at < r.Until && !r.Over(at) { // the wait after a restore is not to be shortened so
		return &Denial{Reason: AfterRestore, Until: r.Until}
	}
	return nil
}

func (c AcceptTime) do(s *State, at Time) Outcome {
	f := TimeAccepted{From: c.From, To: at, By: c.By, Note: c.Note}
	s.emit(f)
	return Outcome{Time: &f}
}
