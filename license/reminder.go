package license

import "time"

// reminders are how long before its end a checkout's user is told of it, the
// longest first.
var reminders = [...]time.Duration{3 * 24 * time.Hour, 24 * time.Hour}

// RemindCheckout tells a user that a checkout will end. Due lists it.
type RemindCheckout struct {
	ID ID `cbor:"1,keyasint"`
}

// CheckoutEnding: the checkout will end; its user is told, once for each of the
// moments before it.
type CheckoutEnding struct {
	Checkout Checkout `cbor:"1,keyasint"`
}

func (c RemindCheckout) subject(s *State) UserID { return s.borrower(c.ID) }

// decide always lets RemindCheckout pass: what is due was settled before, and what
// is not due stays.
func (c RemindCheckout) decide(*State, Time) *Denial { return nil }

func (c RemindCheckout) do(*State, Time) Outcome { return Outcome{Repeat: true} }

// nextReminder is the first reminder of an end that comes after at, or zero.
func nextReminder(until, at Time) Time {
	for _, before := range reminders {
		if t := until.Add(-before); t > at {
			return t
		}
	}
	return 0
}

func (x *Checkout) reminds(at Time) bool { return x.Remind != 0 && x.Remind <= at }

// remind tells of what will end. Where several moments have passed unnoticed it is
// told once.
func (s *State) remind(a *Active) {
	for i := range a.Checkouts {
		x := &a.Checkouts[i]
		if !x.reminds(s.head.Now) {
			continue
		}
		s.touch(Key{KeyActive, string(a.User)})
		if x.Remind = nextReminder(x.Until, s.head.Now); x.Remind != 0 {
			s.plan(x.Remind, x.User)
		}
		s.emit(CheckoutEnding{Checkout: *x})
	}
}

// planCheckout plans what time will make of a checkout.
func (s *State) planCheckout(x *Checkout) {
	s.plan(x.Until, x.User)
	if x.Remind != 0 {
		s.plan(x.Remind, x.User)
	}
}
