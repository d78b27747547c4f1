package license

import (
	"maps"
	"slices"
)

// Waiter is a machine that asked to be told when its user's license is free.
// There is one for a hold (see sameHold) and the last wins: they are all the same
// person's machines.
type Waiter struct {
	ID      ID        `cbor:"1,keyasint"`
	User    UserID    `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint"`
	Machine Machine   `cbor:"4,keyasint"`
	Since   Time      `cbor:"5,keyasint,omitempty"`

	// Asks is how the active machine was asked to let go; TakeoverRefuse: it was
	// not, the machine only waits. Declined: it was asked and does not. Until is when
	// its sessions end for this machine.
	Asks     TakeoverPolicy `cbor:"50,keyasint,omitempty"`
	Declined bool           `cbor:"51,keyasint,omitempty"`
	Until    Time           `cbor:"52,keyasint,omitempty"`
	// Proof is the key that its machine has shown for it; zero: none. See holder.
	Proof Proof `cbor:"430,keyasint,omitzero"`
}

// Reservation keeps what became free for the machine that waited.
type Reservation struct {
	Wait    ID        `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint"`
	Machine Machine   `cbor:"3,keyasint"`
	Until   Time      `cbor:"4,keyasint"`
	Proof   Proof     `cbor:"430,keyasint,omitzero"` // of the wait
}

// Wait asks to be told when the product can be started on this machine.
type Wait struct {
	ID       ID        `cbor:"1,keyasint"`
	User     UserID    `cbor:"2,keyasint"`
	Product  ProductID `cbor:"3,keyasint"`
	Machine  Machine   `cbor:"4,keyasint"`
	NotAfter Time      `cbor:"5,keyasint,omitempty"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"430,keyasint,omitzero"`
}

// WaitBegan: the machine waits.
type WaitBegan struct {
	Waiter Waiter `cbor:"1,keyasint"`
}

// EndWait gives a wait, and what it led to, up.
type EndWait struct {
	ID   ID     `cbor:"1,keyasint"`
	User UserID `cbor:"2,keyasint"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"430,keyasint,omitzero"`
}

// WaitEnded: the wait is over.
type WaitEnded struct {
	Waiter  Waiter `cbor:"1,keyasint"`
	Granted bool   `cbor:"2,keyasint,omitempty"` // it led to a start or a checkout
	// Reason is why the user may not start the product any more, where that ended it.
	Reason Reason `cbor:"50,keyasint,omitempty"`
}

// Reserved: free, and kept for the machine that waited until then.
type Reserved struct {
	Waiter Waiter `cbor:"1,keyasint"`
	Until  Time   `cbor:"2,keyasint"`
}

// EndReservation ends a reservation that nobody took. Due lists it.
type EndReservation struct {
	User UserID `cbor:"1,keyasint"`
}

// ReservationEnded: nobody took what was kept; it is free for all the user's
// machines.
type ReservationEnded struct {
	User        UserID      `cbor:"1,keyasint"`
	Reservation Reservation `cbor:"2,keyasint"`
}

// Offer sees to the machines that wait where something other than a command of its
// user has changed what stands in the way: the mirror, the settings, a license's
// term. Due lists it.
type Offer struct {
	User UserID `cbor:"1,keyasint"`
}

// sameHold reports whether what two products need is one hold of their user: any
// two where sessions hold the user, else each product has its own.
func (s *State) sameHold(p, q ProductID) bool {
	return p == q || s.head.Settings.sessionScope() == ScopeUser
}

// waiter is the user's machine that waits by this id, or nil.
func (s *State) waiter(user UserID, id ID) *Waiter {
	a := s.Active(user)
	if a == nil {
		return nil
	}
	for i := range a.Waiters {
		if a.Waiters[i].ID == id {
			return &a.Waiters[i]
		}
	}
	return nil
}

// keptUntil is the index of what has been kept long enough, or -1.
func (a *Active) keptUntil(at Time) int {
	return slices.IndexFunc(a.Reservations, func(r Reservation) bool { return r.Until <= at })
}

func (c Wait) subject(*State) UserID { return c.User }

func (c Wait) decide(s *State, at Time) *Denial {
	if w := s.waiter(c.User, c.ID); w != nil {
		if w.Product != c.Product || !w.Machine.Is(c.Machine) {
			return deny(IDInUse)
		}
		return s.holder(w.User, w.Machine, w.Proof, c.Proof)
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if d := s.mayWait(c.User, c.Machine, c.Proof, c.Product, at); d != nil {
		return d
	}
	_, blocked, d := s.wants(c.User, c.Product, c.Machine, at)
	if d == nil && blocked != nil && blocked.Reason == TakeoverUnderWay {
		return blocked // it stands in its own way
	}
	return d
}

// do notes the waiter where something stands in the way. Where nothing does,
// the outcome has no Waiter: start.
func (c Wait) do(s *State, at Time) Outcome {
	if w := s.waiter(c.User, c.ID); w != nil {
		copied := *w
		return Outcome{Waiter: &copied, Repeat: true}
	}
	if _, blocked, _ := s.wants(c.User, c.Product, c.Machine, at); blocked == nil {
		return Outcome{}
	}
	w := Waiter{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Since: at, Proof: c.Proof}
	s.await(s.open(c.User), w)
	return Outcome{Waiter: &w}
}

// mayWait says why a machine may not wait for a product, whatever is in its way: it could
// not start it.
func (s *State) mayWait(user UserID, m Machine, p Proof, product ProductID, at Time) *Denial {
	if d := s.barred(user, m, product); d != nil {
		return d
	}
	return s.keyed(user, m, p, product, s.single(product), at)
}

// await notes the machine that waits from now on: the last one for a hold wins.
func (s *State) await(a *Active, w Waiter) {
	had := len(a.Waiters)
	a.Waiters = slices.DeleteFunc(a.Waiters, func(old Waiter) bool {
		if !s.sameHold(old.Product, w.Product) {
			return false
		}
		s.emit(WaitEnded{Waiter: old})
		return true
	})
	replaced := len(a.Waiters) < had
	a.Waiters = append(a.Waiters, w)
	if replaced {
		s.endTakeover(a)
	}
	s.waiting[a.User] = struct{}{}
	s.planWaiter(a, s.head.Now)
	s.emit(WaitBegan{Waiter: w})
}

// unwait ends a wait without a word, and what was to end for it.
func (s *State) unwait(a *Active, id ID) {
	a.Waiters = slices.DeleteFunc(a.Waiters, func(w Waiter) bool { return w.ID == id })
	if len(a.Waiters) == 0 {
		a.Waiters = nil
		delete(s.waiting, a.User)
	}
	s.endTakeover(a)
}

func (c EndWait) subject(*State) UserID { return c.User }

func (c EndWait) decide(s *State, _ Time) *Denial {
	if !validName(string(c.User)) {
		return deny(BadCommand)
	}
	if w := s.waiter(c.User, c.ID); w != nil {
		return s.holder(w.User, w.Machine, w.Proof, c.Proof)
	}
	if r := s.keptFor(c.User, c.ID); r != nil {
		return s.holder(c.User, r.Machine, r.Proof, c.Proof)
	}
	return nil
}

// keptFor is what is kept for a user's machine that waited by this id, or nil.
func (s *State) keptFor(user UserID, wait ID) *Reservation {
	a := s.Active(user)
	if a == nil {
		return nil
	}
	i := slices.IndexFunc(a.Reservations, func(r Reservation) bool { return r.Wait == wait })
	if i < 0 {
		return nil
	}
	return &a.Reservations[i]
}

func (c EndWait) do(s *State, _ Time) Outcome {
	a := s.Active(c.User)
	if a == nil {
		return Outcome{Repeat: true}
	}
	if w := s.waiter(c.User, c.ID); w != nil {
		s.open(c.User)
		s.emit(WaitEnded{Waiter: *w})
		s.unwait(a, c.ID)
		s.close(a)
		return Outcome{}
	}
	i := slices.IndexFunc(a.Reservations, func(r Reservation) bool { return r.Wait == c.ID })
	if i < 0 {
		return Outcome{Repeat: true}
	}
	s.endReservation(a, i)
	s.offer(c.User)
	s.close(a)
	return Outcome{}
}

func (c EndReservation) subject(*State) UserID { return c.User }

// decide always lets EndReservation pass: what is due was settled before, and
// what is not due stays.
func (c EndReservation) decide(*State, Time) *Denial { return nil }

func (c EndReservation) do(*State, Time) Outcome { return Outcome{Repeat: true} }

// endReservation gives up what was kept. What that frees is for the caller to
// offer.
func (s *State) endReservation(a *Active, i int) {
	r := a.Reservations[i]
	a.Reservations = slices.Delete(a.Reservations, i, i+1)
	s.emit(ReservationEnded{User: a.User, Reservation: r})
	s.close(a)
}

func (c Offer) subject(*State) UserID { return c.User }

// decide always lets Offer pass: what is due was settled before.
func (c Offer) decide(*State, Time) *Denial { return nil }

func (c Offer) do(*State, Time) Outcome { return Outcome{Repeat: true} }

// offers reports whether there is something to do for the user's waiting machines.
func (s *State) offers(a *Active, at Time) bool {
	for i := range a.Waiters {
		if free, d := s.offered(a, &a.Waiters[i], at); free || d != nil {
			return true
		}
	}
	return false
}

// offered reports whether nothing stands in a waiting machine's way any more, or
// why its user may not start the product at all. While something is kept of the
// hold it waits for, the wait goes on.
func (s *State) offered(a *Active, w *Waiter, at Time) (free bool, d *Denial) {
	for i := range a.Reservations {
		if r := &a.Reservations[i]; r.Until > at && s.sameHold(r.Product, w.Product) {
			return false, nil
		}
	}
	_, blocked, d := s.wants(a.User, w.Product, w.Machine, at)
	return d == nil && blocked == nil, d
}

// offer keeps what has just become free for the machines that wait, where nothing
// else is in their way, and ends the waits of a user who may not start the product
// any more. One thing is kept of a hold at a time: who comes to wait meanwhile is
// offered it when that is over.
func (s *State) offer(user UserID) {
	a := s.Active(user)
	if a == nil {
		return
	}
	for again := true; again; {
		again = false
		for i := range a.Waiters {
			w := a.Waiters[i]
			free, d := s.offered(a, &w, s.head.Now)
			switch {
			case d != nil:
				s.open(user)
				s.emit(WaitEnded{Waiter: w, Reason: d.Reason})
			case free:
				s.open(user)
				until := s.head.Now.Add(ReservationTime)
				a.Reservations = append(a.Reservations, Reservation{Wait: w.ID, Product: w.Product, Machine: w.Machine, Until: until, Proof: w.Proof})
				s.plan(until, user)
				s.emit(Reserved{Waiter: w, Until: until})
			default:
				continue
			}
			s.unwait(a, w.ID)
			s.close(a)
			again = true // what was to end for it may go on, and it is out of the list
			break
		}
	}
}

// planWaiter plans for the moments at which the terms of the user's licenses
// change what the waiting machines wait for.
func (s *State) planWaiter(a *Active, after Time) {
	for _, at := range s.waiterTimes(a, after) {
		s.plan(at, a.User)
	}
}

func (s *State) waiterTimes(a *Active, after Time) []Time {
	if len(a.Waiters) == 0 {
		return nil
	}
	var times []Time
	for _, l := range s.Assigned(a.User) {
		if !slices.ContainsFunc(a.Waiters, func(w Waiter) bool { return w.Product == l.Product }) {
			continue
		}
		for _, at := range [...]Time{l.Starts, l.Ends} {
			if at > after {
				times = append(times, at)
			}
		}
	}
	return times
}

// look plans to see to the user's waiting machines now, and as its licenses are
// now.
func (s *State) look(user UserID) {
	if _, waits := s.waiting[user]; !waits {
		return
	}
	s.plan(s.head.Now, user)
	s.planWaiter(s.Active(user), s.head.Now)
}

// lookAtAll is look for every machine that waits.
func (s *State) lookAtAll() {
	for _, user := range slices.Sorted(maps.Keys(s.waiting)) {
		s.look(user)
	}
}
