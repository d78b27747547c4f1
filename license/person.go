package license

import (
	"slices"
	"strings"
)

// person is all that is known of one user, in one place: one look-up finds what
// the user's commands are decided by.
type person struct {
	user     User        // as the cloud says, where mirrored; its ID in any case
	only     [1]*License // the one that is assigned: most users have no more, and it is found here at once
	several  *[]*License // where more are assigned, in the order of their ids; else nil
	active   *Active     // what is open; nil: nothing
	place    int32       // in State.busy, while something is open
	mirrored bool        // false: not in the account
	changed  bool        // the Active, since the last TakeChanged
	stored   bool        // the store keeps an Active
	counted  tally       // the Active, as it is in State.opened
}

// tally is how much somebody has open, or all have.
type tally struct{ sessions, checkouts, provisional int32 }

func (p *person) tally() (t tally) {
	if p.active == nil {
		return t
	}
	t.sessions, t.checkouts = int32(len(p.active.Sessions)), int32(len(p.active.Checkouts))
	for i := range p.active.Sessions {
		if p.active.Sessions[i].Provisional {
			t.provisional++
		}
	}
	return t
}

// recount is a tally of all with that of one person as it is now.
func (t tally) recount(p *person) tally {
	now, then := p.tally(), p.counted
	return tally{t.sessions + now.sessions - then.sessions, t.checkouts + now.checkouts - then.checkouts, t.provisional + now.provisional - then.provisional}
}

// count brings a person's tally into that of all.
func (s *State) count(p *person) { s.opened, p.counted = s.opened.recount(p), p.tally() }

// assigned are the person's licenses, in the order of their ids.
func (p *person) assigned() []*License {
	switch {
	case p.several != nil:
		return *p.several
	case p.only[0] != nil:
		return p.only[:]
	}
	return p.only[:0]
}

// assign keeps a list of the person's licenses, which may have been made of the last.
func (p *person) assign(list []*License) {
	p.several = nil
	switch len(list) {
	case 0:
		p.only[0] = nil
	case 1:
		p.only[0] = list[0]
	default:
		p.only[0], p.several = nil, &list
	}
}

// person finds what is known of a user, or nil. The user of the command under way
// is at hand.
func (s *State) person(id UserID) *person {
	if p := s.subject; p != nil && p.user.ID == id {
		return p
	}
	return s.people[id]
}

// concerned finds the user of a command. A session's id is closer at hand than its
// user among all users.
func (s *State) concerned(user UserID, c Command) *person {
	if c, ok := c.(Stop); ok {
		if u := s.ids[c.ID]; u.of != nil && u.until == 0 && u.of.user.ID == user {
			return u.of
		}
	}
	return s.people[user]
}

// meet is person for a user of whom there will be something to know.
func (s *State) meet(id UserID) *person {
	p := s.person(id)
	if p == nil {
		p = &person{user: User{ID: id}}
		s.people[id] = p
	}
	return p
}

// part forgets a person of whom nothing is left.
func (s *State) part(p *person) {
	if p.mirrored || p.active != nil || p.changed || len(p.assigned()) > 0 {
		return
	}
	delete(s.people, p.user.ID)
	if s.subject == p {
		s.subject = nil
	}
}

// setUser adds or replaces a user of the account.
func (s *State) setUser(u *User) {
	p := s.meet(u.ID)
	if p.mirrored {
		s.setStaff(&p.user, false)
	} else {
		s.users++
	}
	id := p.user.ID
	p.user, p.mirrored = *u, true
	p.user.ID, p.user.Country = id, s.country(u.Country)
	s.setStaff(&p.user, true)
}

// removeUser takes a user out of the account, and reports whether it was one.
func (s *State) removeUser(id UserID) bool {
	p := s.person(id)
	if p == nil || !p.mirrored {
		return false
	}
	s.setStaff(&p.user, false)
	s.users--
	p.user, p.mirrored = User{ID: p.user.ID}, false
	s.setPoolUse(id, nil)
	s.forgetKeys(id)
	s.touch(Key{KeyUser, string(id)})
	s.part(p)
	return true
}

// setAssigned keeps what is assigned to the license's assignee.
func (s *State) setAssigned(l *License, on bool) {
	if l.Assignee == "" {
		return
	}
	p := s.meet(l.Assignee)
	before := len(p.assigned())
	list := listed(p.assigned(), l, on)
	s.assigned += len(list) - before
	p.assign(list)
	l.Assignee = p.user.ID
	s.part(p)
}

// setActive puts what a person has open in its place, or with nil takes it away.
func (s *State) setActive(p *person, a *Active) {
	switch {
	case a != nil && p.active == nil:
		p.place = int32(len(s.busy))
		s.busy = append(s.busy, p)
	case a == nil && p.active != nil:
		last := len(s.busy) - 1
		s.busy[p.place] = s.busy[last]
		s.busy[p.place].place = p.place
		s.busy[last] = nil
		s.busy = s.busy[:last]
	}
	p.active = a
}

// session is the person's running session of the id, or nil.
func (p *person) session(id ID) *Session {
	if p == nil || p.active == nil {
		return nil
	}
	for i := range p.active.Sessions {
		if x := &p.active.Sessions[i]; x.ID == id {
			return x
		}
	}
	return nil
}

// checkout is the person's open checkout of the id, or nil.
func (p *person) checkout(id ID) *Checkout {
	if p == nil || p.active == nil {
		return nil
	}
	for i := range p.active.Checkouts {
		if x := &p.active.Checkouts[i]; x.ID == id {
			return x
		}
	}
	return nil
}

// listed is the list, in the order of ids, with the license in it or without it.
func listed(list []*License, l *License, on bool) []*License {
	i, found := slices.BinarySearchFunc(list, l.ID, func(a *License, id LicenseID) int { return strings.Compare(string(a.ID), string(id)) })
	switch {
	case on && found:
		list[i] = l
	case on:
		list = slices.Insert(list, i, l)
	case found:
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// country is the one copy of a country's name that all its users share: there are
// many users, and few countries.
func (s *State) country(name string) string {
	if known, ok := s.countries[name]; ok {
		return known
	}
	if len(s.countries) < maxCountries {
		s.countries[name] = name
	}
	return name
}
