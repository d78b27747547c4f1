package license

import "slices"

// Loss is a checkout's write-off: who gave it up, why and when.
type Loss struct {
	By   string `cbor:"1,keyasint"`
	Note string `cbor:"2,keyasint"`
	At   Time   `cbor:"3,keyasint"`
}

// WriteOff gives a checkout up whose machine is lost or cannot be asked: all that
// an administrator can do from afar, because nothing recalls it. It frees nothing.
// The license is free when the machine returns it after all, when the cloud
// confirms the check-in of what it has had, or when the checkout ends.
type WriteOff struct {
	Checkout ID     `cbor:"1,keyasint"`
	By       string `cbor:"2,keyasint"`
	Note     string `cbor:"3,keyasint"` // why; not empty, the user is shown it
}

// WrittenOff: the checkout was given up for lost. It still blocks.
type WrittenOff struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

// CheckInConfirmed says that the cloud has checked a written-off checkout in: it
// has it no more.
type CheckInConfirmed struct {
	Checkout ID `cbor:"1,keyasint"`
}

// Book says that the cloud has taken a checkout into its books that was imported: from then
// on it is written off there, too, and may be checked in.
type Book struct {
	Checkout ID `cbor:"1,keyasint"`
}

// CheckedIn: the cloud has confirmed the check-in of a written-off checkout; the
// license is free.
type CheckedIn struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

func (c WriteOff) subject(s *State) UserID { return s.borrower(c.Checkout) }

func (c WriteOff) decide(s *State, at Time) *Denial {
	if c.By == "" || c.Note == "" || !validName(c.By) || !validName(c.Note) {
		return deny(BadCommand)
	}
	if x := s.Checkout(c.Checkout); x == nil || x.Until <= at {
		return deny(UnknownCheckout)
	}
	return nil
}

func (c WriteOff) do(s *State, at Time) Outcome {
	x := s.Checkout(c.Checkout)
	if x.WrittenOff != nil {
		copied := *x
		return Outcome{Checkout: &copied, Repeat: true}
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.WrittenOff = &Loss{By: c.By, Note: c.Note, At: at}
	x.Remind = 0 // nobody can act on it any more
	copied := *x
	s.emit(WrittenOff{Checkout: copied})
	return Outcome{Checkout: &copied}
}

func (c CheckInConfirmed) subject(s *State) UserID { return s.borrower(c.Checkout) }

func (c CheckInConfirmed) decide(s *State, at Time) *Denial {
	if x := s.Checkout(c.Checkout); x == nil || x.Until <= at || x.WrittenOff == nil || x.Unbooked {
		return deny(UnknownCheckout)
	}
	return nil
}

func (c CheckInConfirmed) do(s *State, at Time) Outcome {
	s.contact(at)
	a := s.open(s.borrower(c.Checkout))
	x := s.take(a, slices.IndexFunc(a.Checkouts, func(y Checkout) bool { return y.ID == c.Checkout }))
	s.emit(CheckedIn{Checkout: x})
	s.uncover(a, x.ID)
	s.close(a)
	s.offer(x.User)
	return Outcome{Checkout: &x}
}

func (c Book) subject(s *State) UserID { return s.borrower(c.Checkout) }

func (c Book) decide(s *State, at Time) *Denial {
	if x := s.Checkout(c.Checkout); x == nil || x.Until <= at {
		return deny(UnknownCheckout)
	}
	return nil
}

func (c Book) do(s *State, at Time) Outcome {
	s.contact(at)
	x := s.Checkout(c.Checkout)
	if !x.Unbooked {
		return Outcome{Repeat: true}
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.Unbooked = false
	copied := *x
	return Outcome{Checkout: &copied}
}
