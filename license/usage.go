package license

import "strconv"

// UsageKind is what a usage record tells of.
type UsageKind uint8

// A session or a checkout was used.
const (
	UsageSession UsageKind = iota
	UsageCheckout
)

// Usage is one record for the cloud's books, derived from an event: what ended
// is metered with its beginning and its end (R5, 1.5 of the vendor's rules).
type Usage struct {
	Seq         uint64 // of the event
	Record      string // id and fencing token: the record's id in the cloud's books, the same after a restore
	Country     string // the user's entitlement country when it began
	Kind        UsageKind
	ID          ID // of the session or checkout
	User        UserID
	Product     ProductID
	License     LicenseID
	Machine     Machine
	Version     string
	Started     Time
	Ended       Time
	Provisional bool
	LicenseType string // as its user was shown it: Practitioner, Commercial, Pooled, Trial
}

func recordID(id ID, token uint64) string {
	return id.String() + "-" + strconv.FormatUint(token, 10)
}

// UsageOf derives the usage record of an event, if it has one.
func UsageOf(e Event) (Usage, bool) {
	session := func(x *Session) (Usage, bool) {
		return Usage{Seq: e.Seq, Record: recordID(x.ID, x.Token), Kind: UsageSession, ID: x.ID, User: x.User, Product: x.Product, License: x.License,
			Machine: x.Machine, Version: x.Version, Started: x.Since, Ended: e.At, Provisional: x.Provisional, LicenseType: x.LicenseType(), Country: x.Country}, true
	}
	checkout := func(x *Checkout) (Usage, bool) {
		return Usage{Seq: e.Seq, Record: recordID(x.ID, x.Token), Kind: UsageCheckout, ID: x.ID, User: x.User, Product: x.Product, License: x.License,
			Machine: x.Machine, Version: x.Version, Started: x.Since, Ended: e.At, LicenseType: Practitioner, Country: x.Country}, true
	}
	switch f := e.Fact.(type) {
	case Stopped:
		return session(f.Session)
	case Expired:
		return session(f.Session)
	case Returned:
		return checkout(&f.Checkout)
	case CheckedIn:
		return checkout(&f.Checkout)
	case CheckoutEnded:
		// It was over at its date, however late that was noted.
		u, ok := checkout(&f.Checkout)
		u.Ended = min(u.Ended, f.Checkout.Until)
		return u, ok
	}
	return Usage{}, false
}

// OpenUsage is the usage so far of what a user has open: records as there will be when
// it ends.
func OpenUsage(a *Active, now Time) []Usage {
	var usage []Usage
	for i := range a.Sessions {
		if u, ok := UsageOf(Event{At: now, Fact: Stopped{Session: &a.Sessions[i]}}); ok {
			usage = append(usage, u)
		}
	}
	for i := range a.Checkouts {
		if u, ok := UsageOf(Event{At: now, Fact: CheckoutEnded{Checkout: a.Checkouts[i]}}); ok {
			usage = append(usage, u)
		}
	}
	return usage
}

// UsageSent says that the cloud has acknowledged the usage up to a seq, or that there
// was none.
type UsageSent struct {
	Through uint64 `cbor:"1,keyasint"`
	Records uint64 `cbor:"2,keyasint,omitempty"` // how many those were, from After on
	// After is the seq up to which it was known to be there when these were looked for:
	// so that none counts twice that was sent twice.
	After uint64 `cbor:"80,keyasint,omitempty"`
}

// UsageAcknowledged: usage up to a seq is with the cloud.
type UsageAcknowledged struct {
	Through uint64 `cbor:"1,keyasint"`
	Records uint64 `cbor:"2,keyasint,omitempty"`
}

func (c UsageSent) decide(s *State, _ Time) *Denial {
	switch {
	case c.Through > s.head.Seq || c.After > c.Through:
		return deny(BadCommand)
	case c.Through > s.head.UsageSent && c.After != s.head.UsageSent:
		return deny(TooLate) // some of these are there and have been counted
	}
	return nil
}

func (c UsageSent) do(s *State, at Time) Outcome {
	if c.Records > 0 { // else the cloud was not asked
		s.contact(at)
	}
	if c.Through <= s.head.UsageSent {
		return Outcome{Repeat: true}
	}
	s.head.UsageSent = c.Through
	s.head.UsageKept = min(s.head.UsageKept+c.Records, s.head.UsageMade)
	s.emit(UsageAcknowledged{Through: c.Through, Records: c.Records})
	return Outcome{}
}
