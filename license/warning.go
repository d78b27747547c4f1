package license

import "time"

// endWarnings are when a session that ends is warned, before its end, besides when it
// is put on notice.
var endWarnings = [...]time.Duration{5 * time.Minute, time.Minute, 0}

// WarnEnding warns a session that is on notice, whatever for: 5 min and 1 min before
// its end, and at its end. Due lists it.
type WarnEnding struct {
	Session ID `cbor:"1,keyasint"`
}

// EndingWarned: the session has been warned. Left is how long it had at that moment;
// zero: it is renewed no more.
type EndingWarned struct {
	Session Session       `cbor:"1,keyasint"`
	Left    time.Duration `cbor:"2,keyasint,omitempty"`
}

// decide always lets WarnEnding pass: what is due was settled before, and what is not
// due stays.
func (c WarnEnding) decide(*State, Time) *Denial { return nil }

func (c WarnEnding) subject(s *State) UserID { return s.runner(c.Session) }

func (c WarnEnding) do(*State, Time) Outcome { return Outcome{Repeat: true} }

// planWarnings begins the warnings of a session that has just been put on notice, which
// is a warning itself: those whose time has passed are not given.
func (s *State) planWarnings(x *Session) {
	x.Warned = 0
	for x.warns(s.head.Now) {
		x.Warned++
	}
	if next := x.nextWarning(); next != 0 {
		s.plan(next, x.User)
	}
}

// nextWarning is when a session that ends is warned next; zero: no more.
func (x *Session) nextWarning() Time {
	if x.Notice == nil || int(x.Warned) >= len(endWarnings) {
		return 0
	}
	return x.Notice.Until.Add(-endWarnings[x.Warned])
}

func (x *Session) warns(at Time) bool {
	next := x.nextWarning()
	return next != 0 && next <= at
}

// warnEndings warns the user's sessions that are to be warned. Of several warnings
// that are due at once, the last is given.
func (s *State) warnEndings(a *Active) {
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if !x.warns(s.head.Now) {
			continue
		}
		s.touch(Key{KeyActive, string(a.User)})
		for x.warns(s.head.Now) {
			x.Warned++
		}
		if next := x.nextWarning(); next != 0 {
			s.plan(next, a.User)
		}
		s.emit(EndingWarned{Session: *x, Left: max(0, x.Notice.Until.Sub(s.head.Now))})
	}
}
