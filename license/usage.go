package license

import "strconv"

// UsageKind is what a usage record tells of.
type UsageKind uint8

// A session or a checkout was used.
const (
	UsageSession UsageKind = iota
	UsageCheckout
	// UsagePosted is a posting of the vendor's own client that the site has taken over.
	UsagePosted
)

// Usage is one record for the cloud's books, derived from an event: what ended
// is metered with its beginning and its end (R5, 1.5 of the vendor's rules).
type Usage struct {
	Seq         uint64    `cbor:"1,keyasint"`           // of the event
	Record      string    `cbor:"2,keyasint"`           // id and fencing token: the record's id in the cloud's books, the same after a restore
	Country     string    `cbor:"3,keyasint,omitempty"` // the user's entitlement country when it began
	Kind        UsageKind `cbor:"4,keyasint,omitempty"`
	ID          ID        `cbor:"5,keyasint"` // of the session or checkout
	User        UserID    `cbor:"6,keyasint"`
	Product     ProductID `cbor:"7,keyasint"`
	License     LicenseID `cbor:"8,keyasint,omitempty"`
	Machine     Machine   `cbor:"9,keyasint"`
	Version     string    `cbor:"10,keyasint,omitempty"`
	Started     Time      `cbor:"11,keyasint"`
	Ended       Time      `cbor:"12,keyasint"`
	Provisional bool      `cbor:"13,keyasint,omitempty"`
	LicenseType string    `cbor:"14,keyasint,omitempty"` // as its user was shown it: Practitioner, Commercial, Pooled, Trial
	Token       uint64    `cbor:"15,keyasint,omitempty"` // the seq of its beginning
	// Posted is the posting of UsagePosted, byte for byte; Listed says that it is a list, of
	// the use of features. Its times are those it was taken over.
	Posted []byte `cbor:"226,keyasint,omitempty"`
	Listed bool   `cbor:"227,keyasint,omitempty"`
}

func recordID(id ID, token uint64) string {
	return id.String() + "-" + strconv.FormatUint(token, 10)
}

// UsageOf derives the usage record of an event, if it has one. Use by clients that meter
// themselves has none.
func UsageOf(e Event) (Usage, bool) {
	if f, posted := e.Fact.(PostingKept); posted {
		return f.usage(e), true
	}
	if !metered(e.Fact) {
		return Usage{}, false
	}
	return UseOf(e)
}

// metered reports whether a fact has a usage record of this site's.
func metered(f Fact) bool {
	switch f := f.(type) {
	case Stopped:
		return !f.Session.Relayed
	case Expired:
		return !f.Session.Relayed
	case Returned:
		return !f.Checkout.Relayed
	case CheckoutEnded:
		return !f.Checkout.Relayed
	case CheckedIn:
		return !f.Checkout.Relayed
	case PostingKept:
		return true
	}
	return false
}

// UseOf is what was used by an event, whoever meters it.
func UseOf(e Event) (Usage, bool) {
	session := func(x *Session) (Usage, bool) {
		return Usage{Seq: e.Seq, Record: recordID(x.ID, x.Token), Kind: UsageSession, ID: x.ID, User: x.User, Product: x.Product, License: x.License,
			Machine: x.Machine, Version: x.Version, Started: x.Since, Ended: e.At, Provisional: x.Provisional, LicenseType: x.LicenseType(), Country: x.Country, Token: x.Token}, true
	}
	checkout := func(x *Checkout) (Usage, bool) {
		return Usage{Seq: e.Seq, Record: recordID(x.ID, x.Token), Kind: UsageCheckout, ID: x.ID, User: x.User, Product: x.Product, License: x.License,
			Machine: x.Machine, Version: x.Version, Started: x.Since, Ended: e.At, LicenseType: Practitioner, Country: x.Country, Token: x.Token}, true
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

// OpenUsage is the use so far of what a user has open, whoever meters it: as it will be
// when it ends.
func OpenUsage(a *Active, now Time) []Usage {
	var usage []Usage
	for i := range a.Sessions {
		if u, ok := UseOf(Event{At: now, Fact: Stopped{Session: &a.Sessions[i]}}); ok {
			usage = append(usage, u)
		}
	}
	for i := range a.Checkouts {
		if u, ok := UseOf(Event{At: now, Fact: CheckoutEnded{Checkout: a.Checkouts[i]}}); ok {
			usage = append(usage, u)
		}
	}
	return usage
}

// UsageWay is how usage gets to the cloud. The numbers are in logs.
type UsageWay uint8

// The ways.
const (
	// WaySite is the site API: with receipts, and each record counts once.
	WaySite UsageWay = 0
	// WayRealtime is the vendor's real-time JSON, and WayFile its CSV to a place that it
	// names. Neither knows a record again that comes twice: after a lost answer there may
	// be two of it, with the same ids.
	WayRealtime UsageWay = 1
	WayFile     UsageWay = 2
	// WayCarried is files that somebody carries, and receipts that come back so.
	WayCarried UsageWay = 3
)

// Once reports whether what goes this way counts once, however often it is sent.
func (w UsageWay) Once() bool { return w == WaySite || w == WayCarried }

// String is the word for it: site, realtime, csv or carried.
func (w UsageWay) String() string {
	return [...]string{"site", "realtime", "csv", "carried"}[min(w, WayCarried)]
}

// UsageSent says that the cloud has acknowledged the usage up to a seq, or that there
// was none.
type UsageSent struct {
	Through uint64 `cbor:"1,keyasint"`
	Records uint64 `cbor:"2,keyasint,omitempty"` // how many it has taken, from After on
	// After is the seq up to which it was known to be there when these were looked for:
	// so that none counts twice that was sent twice.
	After uint64 `cbor:"80,keyasint,omitempty"`
	// SetAside are those it has refused for good, in the order of their events.
	SetAside []SetAside `cbor:"140,keyasint,omitempty"`
	Way      UsageWay   `cbor:"141,keyasint,omitempty"`
}

// UsageAcknowledged: usage up to a seq is with the cloud, but for what was set aside.
type UsageAcknowledged struct {
	Through  uint64   `cbor:"1,keyasint"`
	Records  uint64   `cbor:"2,keyasint,omitempty"`
	SetAside uint64   `cbor:"140,keyasint,omitempty"` // how many were
	Way      UsageWay `cbor:"141,keyasint,omitempty"`
	After    uint64   `cbor:"142,keyasint,omitempty"` // what was acknowledged before
}

func (c UsageSent) decide(s *State, _ Time) *Denial {
	switch {
	case c.Through > s.head.Seq || c.After > c.Through || c.Way > WayCarried:
		return deny(BadCommand)
	case c.Through > s.head.UsageSent && c.After != s.head.UsageSent:
		return deny(TooLate) // some of these are there and have been counted
	case c.Through <= s.head.UsageSent:
		return nil // it does nothing
	}
	return s.checkSetAside(c.SetAside, c.After, c.Through)
}

func (c UsageSent) do(s *State, at Time) Outcome {
	if c.Records > 0 { // else the cloud was not asked
		s.contact(at)
	}
	if c.Through <= s.head.UsageSent {
		return Outcome{Repeat: true}
	}
	s.acknowledge(c, at)
	return Outcome{}
}

// acknowledge notes what the cloud says of the usage that comes next.
func (s *State) acknowledge(c UsageSent, at Time) {
	f := UsageAcknowledged{Through: c.Through, Records: c.Records, SetAside: uint64(len(c.SetAside)), Way: c.Way, After: s.head.UsageSent}
	s.head.UsageSent = c.Through
	s.head.UsageKept = min(s.head.UsageKept+c.Records, s.head.UsageMade)
	s.emit(f)
	s.putAside(c.SetAside, at)
}
