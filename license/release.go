package license

// Release ends a session by an administrator. It is free at once only when its
// client acknowledges by Stop; otherwise when the lease, which is renewed no
// more, runs out.
type Release struct {
	Session ID     `cbor:"1,keyasint"`
	By      string `cbor:"2,keyasint,omitempty"` // who
	Note    string `cbor:"3,keyasint,omitempty"` // why; the client is shown it
}

// Released: the session was ended by an administrator; its client is to stop.
type Released struct {
	Session Session `cbor:"1,keyasint"`
}

func (c Release) subject(s *State) UserID { return s.runner(c.Session) }

func (c Release) decide(s *State, _ Time) *Denial {
	if c.By == "" || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	if s.Session(c.Session) == nil {
		return deny(UnknownSession)
	}
	return nil
}

func (c Release) do(s *State, at Time) Outcome {
	x := s.Session(c.Session)
	if x.Notice != nil && x.Notice.Reason == EndReleased {
		copied := *x
		return Outcome{Session: &copied, Repeat: true}
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.Notice = &Ending{Reason: EndReleased, By: c.By, Note: c.Note, Until: at}
	s.planWarnings(x)
	copied := *x
	s.emit(Released{Session: copied})
	return Outcome{Session: &copied}
}

// Confirm says that the cloud has agreed to a provisional session after all.
type Confirm struct {
	Session ID `cbor:"1,keyasint"`
}

// Confirmed: the cloud has agreed to what the site had granted alone.
type Confirmed struct {
	Session Session `cbor:"1,keyasint"`
}

func (c Confirm) subject(s *State) UserID { return s.runner(c.Session) }

func (c Confirm) decide(s *State, _ Time) *Denial {
	if s.Session(c.Session) == nil {
		return deny(UnknownSession)
	}
	return nil
}

func (c Confirm) do(s *State, at Time) Outcome {
	s.contact(at)
	x := s.Session(c.Session)
	if !x.Provisional {
		return Outcome{Repeat: true}
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.Provisional = false
	copied := *x
	s.emit(Confirmed{Session: copied})
	return Outcome{Session: &copied}
}

// Conflict says that the cloud knows another active machine for a session, or,
// with no machine, that the right to it is gone: it is put on notice, with time
// to save, and not renewed after that. While the mirror is held back it is not to be
// said that a right is gone (MirrorShrunk).
type Conflict struct {
	Session ID      `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint,omitempty"`
}

// Conflicted: another machine is active in the cloud's books; the session may be
// renewed until its notice says, and no longer.
type Conflicted struct {
	Session Session `cbor:"1,keyasint"`
}

func (c Conflict) subject(s *State) UserID { return s.runner(c.Session) }

func (c Conflict) decide(s *State, _ Time) *Denial {
	if !validName(c.Machine.ID) || !validName(c.Machine.Name) {
		return deny(BadCommand)
	}
	if s.Session(c.Session) == nil {
		return deny(UnknownSession)
	}
	if c.Machine == (Machine{}) && s.head.Held.Since != 0 {
		return deny(MirrorShrunk)
	}
	return nil
}

func (c Conflict) do(s *State, at Time) Outcome {
	x := s.Session(c.Session)
	until := at.Add(s.head.Settings.saveGrace())
	if !x.yields(until) {
		copied := *x
		return Outcome{Session: &copied, Repeat: true}
	}
	why := EndConflict
	if c.Machine == (Machine{}) {
		why = EndUnassigned
	}
	copied := s.putOnNotice(x, Ending{Reason: why, Machine: c.Machine, Until: until})
	s.emit(Conflicted{Session: copied})
	return Outcome{Session: &copied}
}

// putOnNotice gives a session a notice. What was to end sooner, for another machine
// of its user, still does.
func (s *State) putOnNotice(x *Session, e Ending) Session {
	if x.Notice != nil && x.Notice.Reason == EndTakeover {
		e.Until = min(e.Until, x.Notice.Until)
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.Notice = &e
	s.planWarnings(x)
	return *x
}
