package license

import "time"

// BypassTime is how long a bypass lasts, if nobody ends it before.
const BypassTime = 15 * time.Minute

// Bypass is an emergency: nothing that is relayed to the vendor's cloud is withheld until
// it ends, as if the mode of all of it were to observe. The cloud still decides. What this
// gateway is asked itself is decided as ever.
type Bypass struct {
	Since Time   `cbor:"450,keyasint,omitempty"`
	Until Time   `cbor:"451,keyasint,omitempty"` // zero: there is none
	By    string `cbor:"452,keyasint,omitempty"` // who
	Note  string `cbor:"453,keyasint,omitempty"` // why
}

// LetPass begins a bypass, for BypassTime from now on, also in the place of one that lasts;
// or (Over) ends the one that does.
type LetPass struct {
	Over bool   `cbor:"450,keyasint,omitempty"`
	By   string `cbor:"451,keyasint,omitempty"` // who
	Note string `cbor:"452,keyasint,omitempty"` // why
}

// EndBypass ends a bypass whose time is up. Due lists it.
type EndBypass struct{}

// BypassTold: a bypass began or, where it is Over, ended.
type BypassTold struct {
	Bypass Bypass `cbor:"450,keyasint"`
	Over   bool   `cbor:"451,keyasint,omitempty"`
	// By and Note are of Over: who has ended it, and why; empty: its time was up.
	By   string   `cbor:"452,keyasint,omitempty"`
	Note string   `cbor:"453,keyasint,omitempty"`
	To   []UserID `cbor:"454,keyasint,omitempty"` // who is told, sorted
}

func (BypassTold) fact() {}

// BypassAt is the bypass that lasts at a time; its Until is zero where none does.
func BypassAt(s *State, at Time) Bypass {
	if b := s.head.Bypass; b.Until > at {
		return b
	}
	return Bypass{}
}

// bypassIsUp reports whether there is a bypass whose time is up.
func (s *State) bypassIsUp(at Time) bool {
	return s.head.Bypass.Until != 0 && s.head.Bypass.Until <= at
}

func (s *State) endBypass(by, note string) {
	was := s.head.Bypass
	s.head.Bypass = Bypass{}
	s.emit(BypassTold{Bypass: was, Over: true, By: by, Note: note, To: s.told(administrators)})
}

func (c LetPass) decide(*State, Time) *Denial {
	if c.By == "" || c.Note == "" || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	return nil
}

func (c LetPass) do(s *State, at Time) Outcome {
	up := s.bypassIsUp(at)
	if up {
		s.endBypass("", "")
	}
	switch {
	case !c.Over:
		s.head.Bypass = Bypass{Since: at, Until: at.Add(BypassTime), By: c.By, Note: c.Note}
		begun := s.head.Bypass
		s.emit(BypassTold{Bypass: begun, To: s.told(administrators)})
		return Outcome{Bypass: &begun}
	case s.head.Bypass.Until == 0:
		return Outcome{Repeat: !up}
	default:
		s.endBypass(c.By, c.Note)
	}
	return Outcome{}
}

// decide always lets EndBypass pass: what is not due lasts.
func (EndBypass) decide(*State, Time) *Denial { return nil }

func (EndBypass) do(s *State, at Time) Outcome {
	if !s.bypassIsUp(at) {
		return Outcome{Repeat: true}
	}
	s.endBypass("", "")
	return Outcome{}
}
