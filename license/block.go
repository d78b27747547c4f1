package license

import (
	"cmp"
	"slices"
	"strings"
)

// MaxBars is how many blocks a site may have.
const MaxBars = 10_000

// Bar keeps a user or a machine out of this site until IT lifts it. It is the
// site's own: what the cloud says of a user does not change it.
type Bar struct {
	User    UserID  `cbor:"1,keyasint,omitempty"` // or
	Machine Machine `cbor:"2,keyasint,omitempty"`
	By      string  `cbor:"3,keyasint,omitempty"`
	Note    string  `cbor:"4,keyasint,omitempty"`
	Since   Time    `cbor:"5,keyasint,omitempty"`
	// Keys are what the machine has shown as its own until it was blocked, and since
	// then; in order, MaxBarKeys at most. Whatever shows one is that machine, however
	// it is called. They are nobody's to change.
	Keys []Digest `cbor:"461,keyasint,omitempty"`
}

// Block keeps a user or a machine out: nothing can be started or checked out, and
// what runs is released. A machine is kept out by the keys it has shown, too.
type Block struct {
	User    UserID  `cbor:"1,keyasint,omitempty"` // or
	Machine Machine `cbor:"2,keyasint,omitempty"`
	By      string  `cbor:"3,keyasint,omitempty"` // who
	Note    string  `cbor:"4,keyasint,omitempty"` // why; users are shown it
}

// Blocked: a user or a machine is kept out.
type Blocked struct {
	Bar Bar `cbor:"1,keyasint"`
}

// Unblock lets a user or a machine in again.
type Unblock struct {
	User    UserID  `cbor:"1,keyasint,omitempty"` // or
	Machine Machine `cbor:"2,keyasint,omitempty"`
	By      string  `cbor:"3,keyasint,omitempty"`
	Note    string  `cbor:"4,keyasint,omitempty"`
}

// Unblocked: a user or a machine may come in again.
type Unblocked struct {
	Bar  Bar    `cbor:"1,keyasint"` // that was lifted
	By   string `cbor:"2,keyasint,omitempty"`
	Note string `cbor:"3,keyasint,omitempty"`
}

// validBar reports whether exactly one of a user and a machine is meant, and who
// says so.
func validBar(user UserID, m Machine, by, note string) bool {
	one := user != "" && validName(string(user)) && m == Machine{} || user == "" && m.valid()
	return one && by != "" && validName(by) && validName(note)
}

func (c Block) subject(*State) UserID { return c.User }

func (c Block) decide(s *State, _ Time) *Denial {
	if !validBar(c.User, c.Machine, c.By, c.Note) {
		return deny(BadCommand)
	}
	if _, there := s.bars[barKey(c.User, c.Machine)]; there {
		return nil
	}
	if c.User != "" && s.User(c.User) == nil && s.Active(c.User) == nil {
		return &Denial{Reason: UnknownUser, Person: c.User}
	}
	if len(s.bars) >= MaxBars {
		return deny(TooManyBlocks)
	}
	return nil
}

func (c Block) do(s *State, at Time) Outcome {
	if _, there := s.bars[barKey(c.User, c.Machine)]; there {
		return Outcome{Repeat: true}
	}
	b := Bar{User: c.User, Machine: c.Machine, By: c.By, Note: c.Note, Since: at}
	if c.User == "" {
		b.Keys = s.keysSeen(c.Machine)
	}
	s.setBar(b, true)
	s.emit(Blocked{Bar: b})
	if c.User != "" {
		s.shutOut(c.User, func(Machine) bool { return true }, b)
		return Outcome{}
	}
	s.shutOutMachine(b)
	return Outcome{}
}

func (c Unblock) subject(*State) UserID { return c.User }

func (c Unblock) decide(*State, Time) *Denial {
	if !validBar(c.User, c.Machine, c.By, c.Note) {
		return deny(BadCommand)
	}
	return nil
}

// do lifts every bar that keeps the user or the machine out: a machine can have
// been blocked by its id and by its name.
func (c Unblock) do(s *State, _ Time) Outcome {
	done := Outcome{Repeat: true}
	for b := s.bar(c.User, c.Machine); b != nil; b = s.bar(c.User, c.Machine) {
		s.setBar(*b, false)
		s.emit(Unblocked{Bar: *b, By: c.By, Note: c.Note})
		done.Repeat = false
	}
	return done
}

// usersOn are the users with something open on the machines that are meant, sorted.
func (s *State) usersOn(meant func(UserID, Machine) bool) []UserID {
	var users []UserID
	for _, p := range s.busy {
		id, a := p.user.ID, p.active
		if slices.ContainsFunc(a.Sessions, func(x Session) bool { return meant(id, x.Machine) }) ||
			slices.ContainsFunc(a.Checkouts, func(x Checkout) bool { return meant(id, x.Machine) }) ||
			slices.ContainsFunc(a.Waiters, func(w Waiter) bool { return meant(id, w.Machine) }) ||
			slices.ContainsFunc(a.Reservations, func(r Reservation) bool { return meant(id, r.Machine) }) {
			users = append(users, id)
		}
	}
	slices.Sort(users)
	return users
}

// shutOut releases what a user has open on the machines that are meant, and flags
// what cannot be called back.
func (s *State) shutOut(user UserID, meant func(Machine) bool, b Bar) {
	a := s.Active(user)
	if a == nil {
		return
	}
	for i := range a.Sessions {
		if x := &a.Sessions[i]; meant(x.Machine) {
			s.letGo(x, Ending{Reason: EndBlocked, By: b.By, Note: b.Note, Until: s.head.Now})
		}
	}
	for i := range a.Checkouts {
		if x := &a.Checkouts[i]; meant(x.Machine) {
			s.flag(x, EndBlocked)
		}
	}
	s.waitsNoMore(a, meant)
	s.offer(user)
}

// letGo releases a session, unless an administrator has done so before.
func (s *State) letGo(x *Session, e Ending) bool {
	if x.Notice != nil && (x.Notice.Reason == EndReleased || x.Notice.Reason == EndBlocked) {
		return false
	}
	s.emit(Released{Session: s.putOnNotice(x, e)})
	return true
}

// waitsNoMore ends the waits of machines that are meant, and what is kept for them.
// What that frees is for the caller to offer.
func (s *State) waitsNoMore(a *Active, meant func(Machine) bool) (ended bool) {
	for i := 0; i < len(a.Waiters); {
		w := a.Waiters[i]
		if !meant(w.Machine) {
			i++
			continue
		}
		s.emit(WaitEnded{Waiter: w})
		s.unwait(a, w.ID)
		ended = true
	}
	for i := 0; i < len(a.Reservations); {
		if !meant(a.Reservations[i].Machine) {
			i++
			continue
		}
		s.endReservation(a, i)
		ended = true
	}
	s.close(a)
	return ended
}

// barred says whether IT keeps the user or the machine out.
func (s *State) barred(user UserID, m Machine, p ProductID) *Denial {
	if len(s.bars) == 0 {
		return nil
	}
	if b := s.bar(user, Machine{}); b != nil {
		return &Denial{Reason: UserBlockedHere, Product: p, Who: b.By, Note: b.Note, Since: b.Since}
	}
	if b := s.barOn(user, m); b != nil {
		return b.machineDenial(m, p)
	}
	return nil
}

// machineDenial refuses a machine that the bar keeps out. One that goes by another name now is
// told as the machine that was blocked: that is the one to be unblocked.
func (b *Bar) machineDenial(m Machine, p ProductID) *Denial {
	if !b.Machine.Is(m) {
		m = b.Machine
	}
	return &Denial{Reason: MachineBlocked, Product: p, Machine: m, Who: b.By, Note: b.Note, Since: b.Since}
}

// KeptOut says whether IT keeps a user or a machine out, whatever the product. No user: only
// the machine's id and name are looked at. nil: neither is kept out.
func KeptOut(s *State, user UserID, m Machine, p ProductID) *Denial {
	return s.barred(user, m, p)
}

// bar is what keeps a user, or else a machine, out; nil: nothing.
func (s *State) bar(user UserID, m Machine) *Bar {
	if user != "" || m.ID != "" {
		if b, ok := s.bars[barKey(user, m)]; ok {
			return &b
		}
	}
	if user == "" {
		for _, key := range s.barNames[bareName(m.Name)] {
			if b := s.bars[key]; b.Machine.Is(m) {
				return &b
			}
		}
	}
	return nil
}

// Bars lists who and what is kept out, in a fixed order.
func Bars(s *State) []Bar {
	bars := make([]Bar, 0, len(s.bars))
	for _, b := range s.bars {
		bars = append(bars, b)
	}
	slices.SortFunc(bars, func(a, b Bar) int {
		return strings.Compare(a.Key(), b.Key())
	})
	return bars
}

// Key orders bars, and names the record of this one.
func (b Bar) Key() string { return barKey(b.User, b.Machine) }

// barKey is the key of a bar's record: there is one per user, per machine id, and
// per name without an id.
func barKey(user UserID, m Machine) string {
	switch {
	case user != "":
		return "user " + string(user)
	case m.ID != "":
		return "id " + m.ID
	}
	return "name " + bareName(m.Name)
}

// setBar adds, replaces or removes a bar and keeps the indexes of the machines' names and keys.
func (s *State) setBar(b Bar, on bool) {
	key := b.Key()
	s.touch(Key{KeyBar, key})
	if was, there := s.bars[key]; there {
		s.indexBarKeys(was, false)
	}
	if on {
		s.indexBarKeys(b, true)
		s.bars[key] = b
	} else {
		delete(s.bars, key)
	}
	name := bareName(b.Machine.Name)
	if name == "" {
		return
	}
	keys := s.barNames[name]
	i, found := slices.BinarySearch(keys, key)
	switch {
	case on && !found:
		s.barNames[name] = slices.Insert(keys, i, key)
	case !on && found && len(keys) == 1:
		delete(s.barNames, name)
	case !on && found:
		s.barNames[name] = slices.Delete(keys, i, i+1)
	}
}

// ReleaseUser ends all sessions of a user by an administrator, as Release does one.
type ReleaseUser struct {
	User     UserID `cbor:"1,keyasint"`
	By       string `cbor:"2,keyasint,omitempty"` // who
	Note     string `cbor:"3,keyasint,omitempty"` // why; the clients are shown it
	NotAfter Time   `cbor:"4,keyasint,omitempty"`
}

// UserReleased: so many sessions of a user were ended by an administrator.
type UserReleased struct {
	User     UserID `cbor:"1,keyasint"`
	By       string `cbor:"2,keyasint,omitempty"`
	Note     string `cbor:"3,keyasint,omitempty"`
	Sessions int    `cbor:"4,keyasint,omitempty"`
}

func (c ReleaseUser) subject(*State) UserID { return c.User }

func (c ReleaseUser) decide(s *State, at Time) *Denial {
	switch {
	case c.User == "" || !validName(string(c.User)) || c.By == "" || !validName(c.By) || !validName(c.Note):
		return deny(BadCommand)
	case c.NotAfter != 0 && at > c.NotAfter:
		return deny(TooLate)
	case s.User(c.User) == nil && s.Active(c.User) == nil:
		return &Denial{Reason: UnknownUser, Person: c.User}
	}
	return nil
}

func (c ReleaseUser) do(s *State, at Time) Outcome {
	a, n := s.Active(c.User), 0
	if a != nil {
		for i := range a.Sessions {
			if s.letGo(&a.Sessions[i], Ending{Reason: EndReleased, By: c.By, Note: c.Note, Until: at}) {
				n++
			}
		}
	}
	if n == 0 {
		return Outcome{Repeat: true}
	}
	s.emit(UserReleased{User: c.User, By: c.By, Note: c.Note, Sessions: n})
	return Outcome{}
}

// SignOut ends a user's sessions on one machine, at the word of its client (R8).
// A checkout stays: it is returned, not signed out of. So does what another key of the
// machine has started; where there is nothing else, it is refused.
type SignOut struct {
	User     UserID  `cbor:"1,keyasint"`
	Machine  Machine `cbor:"2,keyasint"`
	NotAfter Time    `cbor:"3,keyasint,omitempty"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"346,keyasint,omitzero"`
}

// SignedOut: a user has signed out of a machine, which ended so many sessions.
type SignedOut struct {
	User     UserID  `cbor:"1,keyasint"`
	Machine  Machine `cbor:"2,keyasint"`
	Sessions int     `cbor:"3,keyasint,omitempty"`
}

func (c SignOut) subject(*State) UserID { return c.User }

func (c SignOut) decide(s *State, at Time) *Denial {
	switch {
	case c.User == "" || !validName(string(c.User)) || !c.Machine.valid():
		return deny(BadCommand)
	case c.NotAfter != 0 && at > c.NotAfter:
		return deny(TooLate)
	}
	var no *Denial
	if a := s.Active(c.User); a != nil {
		for i := range a.Sessions {
			x := &a.Sessions[i]
			if !c.Machine.Is(x.Machine) {
				continue
			}
			d := s.holder(x.User, x.Machine, x.Proof, c.Proof)
			if d == nil {
				return nil
			}
			no = cmp.Or(no, d)
		}
	}
	return no
}

func (c SignOut) do(s *State, _ Time) Outcome {
	a := s.Active(c.User)
	if a == nil {
		return Outcome{Repeat: true}
	}
	ended := s.waitsNoMore(a, c.Machine.Is)
	var here []ID
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if c.Machine.Is(x.Machine) && s.holder(x.User, x.Machine, x.Proof, c.Proof) == nil {
			here = append(here, x.ID)
		}
	}
	if len(here) == 0 && !ended {
		return Outcome{Repeat: true}
	}
	for _, id := range here {
		x, freed := s.remove(s.Session(id))
		s.emit(Stopped{Session: x, Freed: freed})
	}
	s.emit(SignedOut{User: c.User, Machine: c.Machine, Sessions: len(here)})
	s.offer(c.User)
	return Outcome{}
}
