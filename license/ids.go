package license

// use is what an id stands for: somebody's session or checkout, or one that ended
// lately, as a posting does at once.
type use struct {
	of    *person
	until Time // when it may be forgotten that it has ended; zero: it has not
}

// grave is an id that has ended and is to be forgotten.
type grave struct {
	id    ID
	of    *person
	until Time
}

// Tombstone keeps the id of an ended session or checkout for as long as a late
// copy of its first command could still arrive.
type Tombstone struct {
	ID    ID     `cbor:"1,keyasint"`
	User  UserID `cbor:"2,keyasint,omitempty"`
	Until Time   `cbor:"3,keyasint,omitempty"`
}

// Session returns a running session, or nil.
func (s *State) Session(id ID) *Session {
	if x := s.subject.session(id); x != nil {
		return x
	}
	return s.ids[id].of.session(id)
}

// Checkout returns an open checkout, or nil.
func (s *State) Checkout(id ID) *Checkout {
	if x := s.subject.checkout(id); x != nil {
		return x
	}
	return s.ids[id].of.checkout(id)
}

// runner is whose running session it is, or "".
func (s *State) runner(session ID) UserID {
	if x := s.Session(session); x != nil {
		return x.User
	}
	return ""
}

// borrower is whose open checkout it is, or "".
func (s *State) borrower(checkout ID) UserID {
	if x := s.Checkout(checkout); x != nil {
		return x.User
	}
	return ""
}

// ended returns whose session or checkout the id was, or "" where it is not known
// (any more) to have ended.
func (s *State) ended(id ID, at Time) UserID {
	if u := s.ids[id]; u.until > at {
		return u.of.user.ID
	}
	return ""
}

// openIDs is how many sessions and checkouts are open.
func (s *State) openIDs() int { return len(s.ids) - len(s.graves) }

// bury remembers that the session or checkout of the id has ended.
func (s *State) bury(id ID, p *person) {
	until := s.head.Now.Add(TombstoneLife)
	s.ids[id] = use{of: p, until: until}
	if n := len(s.graves); n == cap(s.graves) { // they have moved to the end of their ground
		if n >= cap(s.ground)/2 {
			s.ground = make([]grave, 0, 2*n+64)
		}
		s.graves = append(s.ground, s.graves...)
	}
	s.graves = append(s.graves, grave{id, p, until})
	s.changed.buried++
}

// forgetEnded forgets what ended long enough ago.
func (s *State) forgetEnded() {
	for len(s.graves) > 0 && s.graves[0].until <= s.head.Now {
		id := s.graves[0].id
		s.graves = s.graves[1:]
		delete(s.ids, id)
		s.changed.forgotten = append(s.changed.forgotten, id)
	}
}
