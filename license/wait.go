package license

// Waiter is the machine that asked to be told when the user's license is free.
// There is one per user and the last wins: they are all the same person's
// machines.
type Waiter struct {
	ID      ID        `cbor:"1,keyasint"`
	User    UserID    `cbor:"2,keyasint"`
	Product ProductID `cbor:"3,keyasint"`
	Machine Machine   `cbor:"4,keyasint"`
	Since   Time      `cbor:"5,keyasint,omitempty"`
}

// Reservation keeps what became free for the machine that waited.
type Reservation struct {
	Wait    ID        `cbor:"1,keyasint"`
	Product ProductID `cbor:"2,keyasint"`
	Machine Machine   `cbor:"3,keyasint"`
	Until   Time      `cbor:"4,keyasint"`
}

// Wait asks to be told when the product can be started on this machine.
type Wait struct {
	ID       ID        `cbor:"1,keyasint"`
	User     UserID    `cbor:"2,keyasint"`
	Product  ProductID `cbor:"3,keyasint"`
	Machine  Machine   `cbor:"4,keyasint"`
	NotAfter Time      `cbor:"5,keyasint,omitempty"`
}

// WaitBegan: the machine waits.
type WaitBegan struct {
	Waiter Waiter `cbor:"1,keyasint"`
}

// EndWait gives a wait, and what it led to, up.
type EndWait struct {
	ID   ID     `cbor:"1,keyasint"`
	User UserID `cbor:"2,keyasint"`
}

// WaitEnded: the wait is over.
type WaitEnded struct {
	Waiter  Waiter `cbor:"1,keyasint"`
	Granted bool   `cbor:"2,keyasint,omitempty"` // it led to a start or a checkout
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

func (c Wait) subject(*State) UserID { return c.User }

func (c Wait) decide(s *State, at Time) *Denial {
	if a := s.active[c.User]; a != nil && a.Waiter != nil && a.Waiter.ID == c.ID {
		if a.Waiter.Product != c.Product || !a.Waiter.Machine.Is(c.Machine) {
			return deny(IDInUse)
		}
		return nil
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if d := s.barred(c.User, c.Machine, c.Product); d != nil {
		return d
	}
	_, d := s.right(&Start{User: c.User, Product: c.Product}, at)
	return d
}

// do notes the waiter where something stands in the way. Where nothing does,
// the outcome has no Waiter: start.
func (c Wait) do(s *State, at Time) Outcome {
	if a := s.active[c.User]; a != nil && a.Waiter != nil && a.Waiter.ID == c.ID {
		w := *a.Waiter
		return Outcome{Waiter: &w, Repeat: true}
	}
	r, _ := s.right(&Start{User: c.User, Product: c.Product}, at)
	if s.startBlocked(c.User, r.product, r.license, c.Machine, "", at) == nil {
		return Outcome{}
	}
	w := Waiter{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Since: at}
	a := s.open(c.User)
	if a.Waiter != nil {
		s.emit(WaitEnded{Waiter: *a.Waiter})
	}
	a.Waiter = &w
	s.emit(WaitBegan{Waiter: w})
	copied := w
	return Outcome{Waiter: &copied}
}

func (c EndWait) subject(*State) UserID { return c.User }

func (c EndWait) decide(*State, Time) *Denial {
	if !validName(string(c.User)) {
		return deny(BadCommand)
	}
	return nil
}

func (c EndWait) do(s *State, _ Time) Outcome {
	a := s.active[c.User]
	if a == nil {
		return Outcome{Repeat: true}
	}
	switch {
	case a.Waiter != nil && a.Waiter.ID == c.ID:
		s.open(c.User)
		w := *a.Waiter
		a.Waiter = nil
		s.emit(WaitEnded{Waiter: w})
	case a.Reservation != nil && a.Reservation.Wait == c.ID:
		s.endReservation(a)
		s.offer(c.User)
	default:
		return Outcome{Repeat: true}
	}
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
func (s *State) endReservation(a *Active) {
	r := *a.Reservation
	a.Reservation = nil
	s.emit(ReservationEnded{User: a.User, Reservation: r})
	s.close(a)
}

// offer keeps what has just become free for the machine that waits, if nothing
// else is in its way. One thing is kept at a time: who comes to wait meanwhile is
// offered the license when that is over.
func (s *State) offer(user UserID) {
	a := s.active[user]
	if a == nil || a.Waiter == nil {
		return
	}
	if a.Reservation != nil && a.Reservation.Until > s.head.Now {
		return
	}
	w := *a.Waiter
	r, d := s.right(&Start{User: user, Product: w.Product}, s.head.Now)
	if d != nil || s.startBlocked(user, r.product, r.license, w.Machine, "", s.head.Now) != nil {
		return
	}
	s.open(user)
	a.Waiter = nil
	until := s.head.Now.Add(ReservationTime)
	a.Reservation = &Reservation{Wait: w.ID, Product: w.Product, Machine: w.Machine, Until: until}
	s.plan(until, user)
	s.emit(Reserved{Waiter: w, Until: until})
}
