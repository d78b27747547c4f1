// Package notice says who is told what, and brings it to them.
//
// From derives notices from events and is pure. A Hub keeps what was said lately
// and gives it to those who listen, in the order of the log. Every node derives
// the same notices from the same events, so a token (epoch, seq) is good on every
// node and a client that comes back, wherever it comes back, either gets all it
// missed or is told that there is a gap and to read its state anew. Nothing is
// dropped silently: a listener that cannot keep up is cut off with a reason and
// comes back with its token.
//
// The package leaves to others: the sentences (phrase), the sockets (endpoint) and
// what has happened at all (license).
package notice

import "sitegate/license"

// Kind says what a notice tells; the words are those of the API.
type Kind string

// The kinds.
const (
	Granted     Kind = "granted"      // a session started
	Stopped     Kind = "stopped"      // a session ended; its machine is not let go of by it
	Attempted   Kind = "attempted"    // another machine tried and was refused
	Free        Kind = "free"         // a machine let go
	Yours       Kind = "yours"        // kept for the machine that waited
	NotTaken    Kind = "not-taken"    // what was kept is free for all again
	WaitEnded   Kind = "wait-ended"   // this machine waits no more
	Released    Kind = "released"     // ended by an administrator
	Ending      Kind = "ending"       // lost its right; renewed until then
	Confirmed   Kind = "confirmed"    // the cloud agreed to a provisional start
	CheckedOut  Kind = "checked-out"  // a checkout was made
	Returned    Kind = "returned"     // a checkout was given back or has ended
	EndsSoon    Kind = "license-ends" // the license's term is over soon
	Extended    Kind = "extended"     // the license goes on after all; the session may too
	Assigned    Kind = "assigned"     // a license was assigned to the user
	Unassigned  Kind = "unassigned"   // a license was taken from the user
	Blocked     Kind = "blocked"      // IT keeps the user out of the site
	Unblocked   Kind = "unblocked"    // and does so no more
	Requested   Kind = "requested"    // another machine asks the active one to let go
	Declined    Kind = "declined"     // the active machine does not let go
	LinkUp      Kind = "link-up"      // the cloud answers again
	LinkDown    Kind = "link-down"    // the cloud does not answer
	Policy      Kind = "policy"       // other rules hold: clients refresh now
	Maintenance Kind = "maintenance"  // work on the gateway is announced, or (over) is not to be any more

	// To who administers the account (R22).
	CheckoutFlagged Kind = "checkout-flagged"  // the right to a checkout is gone
	UserNotFound    Kind = "user-not-found"    // a user is gone though a license is assigned
	LicenseChanged  Kind = "license-changed"   // to fulfillment contacts, too
	SiteEnds        Kind = "site-license-ends" // a license of the account ends soon
	Reminders       Kind = "reminders"         // once a week: how much there is to see to
	MirrorHeld      Kind = "mirror-held"       // the cloud's list has shrunk by more than half; nothing is taken away
	MirrorResumed   Kind = "mirror-resumed"    // the site follows the cloud's list again
	Quarantined     Kind = "mirror-malformed"  // some of the cloud's records cannot be understood
	LinkSlow        Kind = "link-slow"         // the cloud answers slowly, or (over) does so no more
	LinkStale       Kind = "link-stale"        // there was no contact with the cloud for two hours
	LevelRaised     Kind = "level-raised"      // the cluster works at a higher level: older programs are of no use
	UsageRefused    Kind = "usage-refused"     // the cloud refuses usage records for good; they are kept apart
	UsageBacklog    Kind = "usage-backlog"     // usage waits for the cloud; the reason is how full its room is

	MachineClone   Kind = "machine-clone"   // another computer went by the id of a machine in use, and was refused; or a machine is in two places
	MachineRekeyed Kind = "machine-rekeyed" // a machine shows another key than before, or one more

	SecretStopped Kind = "proxy-secret-stopped" // a proxy rejects a node's secret, which is not sent for a while
	SecretResumed Kind = "proxy-secret-resumed" // the proxy takes one again, or is not used any more

	KeysHeld    Kind = "issuer-keys-held"    // an issuer of sign-ins lists other keys only; they are not believed
	KeysResumed Kind = "issuer-keys-resumed" // they were accepted, or it lists what it did before

	Bypass Kind = "bypass" // nothing that is relayed is withheld, or (over) something is again

	// Of a checkout.
	OutEnding  Kind = "checkout-ending" // it ends in three days, or in one
	WrittenOff Kind = "written-off"     // it was given up for lost, and still blocks
)

// Kinds lists every kind there is, in a fixed order.
func Kinds() []Kind {
	return []Kind{Granted, Stopped, Attempted, Free, Yours, NotTaken, WaitEnded, Released, Ending, Confirmed,
		CheckedOut, Returned, EndsSoon, Extended, Assigned, Unassigned, Blocked, Unblocked, Requested, Declined, LinkUp, LinkDown, Policy, Maintenance,
		CheckoutFlagged, UserNotFound, LicenseChanged, SiteEnds, Reminders, MirrorHeld, MirrorResumed, Quarantined, LinkSlow, LinkStale, LevelRaised, UsageRefused, UsageBacklog, MachineClone, MachineRekeyed, SecretStopped, SecretResumed, KeysHeld, KeysResumed, Bypass, OutEnding, WrittenOff}
}

// ForAdministrators reports whether notices of this kind are for those who administer the
// account: they are told to each of these, and User is only who reads it.
func (k Kind) ForAdministrators() bool {
	switch k {
	case CheckoutFlagged, UserNotFound, LicenseChanged, SiteEnds, Reminders, MirrorHeld, MirrorResumed, Quarantined,
		LinkSlow, LinkStale, LevelRaised, UsageRefused, UsageBacklog, MachineClone, MachineRekeyed, SecretStopped, SecretResumed, KeysHeld, KeysResumed, Bypass:
		return true
	}
	return false
}

// The reasons of a Free, Stopped or Returned notice whose end was no person's.
const (
	ReasonExpired = "expired" // no heartbeat came in time
	ReasonOver    = "over"    // the checkout's date has come; the link is slow no more; there is no maintenance, or no bypass
	// ReasonCheckedIn: the cloud has confirmed the check-in of what was written off.
	ReasonCheckedIn = "checked-in"
	// ReasonTwoPlaces: of a clone, that one key is shown in two networks by turns.
	ReasonTwoPlaces = "two-places"
)

// The reasons of a LicenseChanged notice; none: it has another product or term.
const (
	ReasonNew  = "new"
	ReasonGone = "gone"
)

// ReasonAccepted is the reason of a MirrorResumed notice where an administrator has
// accepted what was held back.
const ReasonAccepted = "accepted"

// Notice is one thing to tell. Its token is (Epoch, Seq).
type Notice struct {
	Epoch uint64
	Seq   uint64 // of the event; an event makes at most one notice for a user
	At    license.Time
	Kind  Kind
	User  license.UserID // empty: everyone

	ID      license.ID // of the session, checkout or wait
	Reason  string     // of a denial, of an ending, or one of the Reason… constants
	Product license.ProductID
	License license.LicenseID
	// Machine is the one it is about: which started, stopped, tried, waited. To is
	// the one it is said to above all: the active one where another tried, else the
	// same.
	Machine license.Machine
	To      license.Machine
	By      string                 // the administrator
	Note    string                 // what they said
	From    license.Time           // of Maintenance: when it begins
	Until   license.Time           // kept, renewed or checked out until then; of LinkStale, the last contact
	About   license.UserID         // whom administrators are told of
	Counts  license.ReminderCounts // of Reminders
	Node    string                 // of SecretStopped and SecretResumed, with Proxy, and of KeysHeld
	Issuer  string                 // of KeysHeld and KeysResumed
	Proxy   string                 // as the node's configuration calls it
	// Provisional: the site granted it alone.
	Provisional bool
}

// Mine reports whether the notice concerns this very machine.
func (n *Notice) Mine(m license.Machine) bool { return n.To.Is(m) }

// From says who is told what of an event. Most events are for all machines of
// one user, some for those who administer the account, the link's for everyone;
// bookkeeping is for nobody.
func From(e license.Event) []Notice {
	n := Notice{Seq: e.Seq, At: e.At}
	switch f := e.Fact.(type) {
	case license.Started:
		n.session(Granted, f.Session)
		n.Provisional = f.Session.Provisional
	case license.Stopped:
		n.session(ended(f.Freed), f.Session)
	case license.Expired:
		n.session(ended(f.Freed), f.Session)
		n.Reason = ReasonExpired
	case license.Released:
		n.session(Released, &f.Session)
	case license.Conflicted:
		n.session(Ending, &f.Session)
		n.other(f.Session.Notice)
	case license.Confirmed:
		n.session(Confirmed, &f.Session)
	case license.LicenseEnds:
		n.Kind, n.User, n.Product, n.License, n.Until = EndsSoon, f.User, f.Product, f.License, f.Ends
		var all []Notice
		if f.User != "" {
			all = append(all, n)
		}
		n.Kind, n.About = SiteEnds, f.User
		return append(all, n.each(f.To)...)
	case license.TermExtended:
		n.session(Extended, &f.Session)
	case license.CheckedOut:
		n.checkout(CheckedOut, &f.Checkout)
	case license.CheckoutFound:
		n.checkout(CheckedOut, &f.Checkout)
	case license.Returned:
		n.checkout(Returned, &f.Checkout)
	case license.CheckoutEnded:
		n.checkout(Returned, &f.Checkout)
		n.Reason = ReasonOver
	case license.CheckedIn:
		n.checkout(Returned, &f.Checkout)
		n.Reason = ReasonCheckedIn
	case license.CheckoutEnding:
		n.checkout(OutEnding, &f.Checkout)
	case license.WrittenOff:
		n.checkout(WrittenOff, &f.Checkout)
	case license.Reserved:
		n.waiter(Yours, &f.Waiter)
		n.Until = f.Until
	case license.WaitEnded:
		if f.Granted {
			return nil // the start says it
		}
		n.waiter(WaitEnded, &f.Waiter)
		n.Reason = string(f.Reason)
	case license.Requested:
		n.waiter(Requested, &f.Waiter)
		n.To = f.Session.Machine
	case license.Declined:
		n.waiter(Declined, &f.Waiter)
		n.Machine = f.Machine
	case license.TakeoverBegan:
		n.takeover(&f.Session)
	case license.EndingWarned:
		n.session(Ending, &f.Session)
		n.other(f.Session.Notice)
	case license.TakeoverLifted:
		n.session(Extended, &f.Session)
		n.Reason = license.EndTakeover
	case license.GivenUp:
		n.session(Ending, &f.Session)
	case license.ReservationEnded:
		n.Kind, n.User, n.ID = NotTaken, f.User, f.Reservation.Wait
		n.Product, n.Machine, n.To = f.Reservation.Product, f.Reservation.Machine, f.Reservation.Machine
	case license.Attempted:
		d := &f.Denial
		if d.Reason == license.MachineClone {
			n.Kind, n.User, n.Reason, n.Product, n.Machine, n.To = Attempted, f.User, string(d.Reason), d.Product, f.Machine, f.Machine
			break
		}
		if d.Reason != license.MachineActive && d.Reason != license.KeptForWaiter {
			return nil // nobody else's machine has to do with it
		}
		n.Kind, n.User, n.Reason, n.Product, n.License = Attempted, f.User, string(d.Reason), d.Product, d.License
		n.Machine, n.To = f.Machine, d.Machine
	case license.Assigned:
		n.Kind, n.User, n.Product, n.License = Assigned, f.User, f.Product, f.License
	case license.Unassigned:
		n.Kind, n.User, n.Product, n.License = Unassigned, f.User, f.Product, f.License
	case license.Blocked:
		n.Kind, n.User, n.By, n.Note = Blocked, f.Bar.User, f.Bar.By, f.Bar.Note
		if n.User == "" {
			return nil // who runs something there is told that it was released
		}
	case license.Unblocked:
		n.Kind, n.User, n.By, n.Note = Unblocked, f.Bar.User, f.By, f.Note
		if n.User == "" {
			return nil
		}
	case license.CheckoutFlagged:
		x := &f.Checkout
		n.Kind, n.Reason, n.About, n.ID, n.Until = CheckoutFlagged, f.Reason, x.User, x.ID, x.Until
		n.Product, n.License, n.Machine = x.Product, x.License, x.Machine
		return n.each(f.To)
	case license.UserMissing:
		n.Kind, n.About, n.Product, n.License = UserNotFound, f.User, f.Product, f.License
		return n.each(f.To)
	case license.LicenseChanged:
		n.Kind, n.Product, n.License, n.Until = LicenseChanged, f.Product, f.License, f.Ends
		switch {
		case f.New:
			n.Reason = ReasonNew
		case f.Gone:
			n.Reason = ReasonGone
		}
		return n.each(f.To)
	case license.Reminded:
		n.Kind, n.Counts = Reminders, f.Counts
		return n.each(f.To)
	case license.MirrorHeld:
		n.Kind = MirrorHeld
		return n.each(f.To)
	case license.MirrorResumed:
		n.Kind, n.By = MirrorResumed, f.By
		if f.Accepted {
			n.Reason = ReasonAccepted
		}
		return n.each(f.To)
	case license.LevelRaised:
		n.Kind = LevelRaised
		return n.each(f.To)
	case license.UsageSetAside:
		n.Kind = UsageRefused
		return n.each(f.To)
	case license.BacklogChanged:
		n.Kind, n.Reason = UsageBacklog, f.Level.String()
		return n.each(f.To)
	case license.CloneSeen:
		n.Kind, n.About, n.Machine, n.To = MachineClone, f.User, f.Machine, f.Machine
		if len(f.Places) > 0 {
			n.Reason = ReasonTwoPlaces
		}
		return n.each(f.To)
	case license.KeyBound: // beside another one, or in the place of one, if anybody is told
		n.Kind, n.About, n.Machine, n.To = MachineRekeyed, f.User, f.Key.Machine, f.Key.Machine
		if f.Dropped != nil {
			n.Reason = string(license.TooManyKeys)
		}
		return n.each(f.To)
	case license.KeyReplaced:
		n.Kind, n.About, n.Machine, n.To = MachineRekeyed, f.User, f.Key.Machine, f.Key.Machine
		return n.each(f.To)
	case license.SecretStopped:
		n.Kind, n.Node, n.Proxy, n.Until = SecretStopped, f.Lockout.Node, f.Lockout.Proxy, f.Lockout.Until
		return n.each(f.To)
	case license.SecretResumed:
		n.Kind, n.Node, n.Proxy = SecretResumed, f.Lockout.Node, f.Lockout.Proxy
		return n.each(f.To)
	case license.KeysHeld:
		n.Kind, n.Issuer, n.Node = KeysHeld, f.Issuer, f.Node
		return n.each(f.To)
	case license.KeysResumed:
		n.Kind, n.Issuer = KeysResumed, f.Issuer
		return n.each(f.To)
	case license.BypassTold:
		n.Kind, n.Until, n.By, n.Note = Bypass, f.Bypass.Until, f.Bypass.By, f.Bypass.Note
		if f.Over {
			n.Reason, n.Until, n.By, n.Note = ReasonOver, 0, f.By, f.Note
		}
		return n.each(f.To)
	case license.MirrorQuarantined:
		n.Kind = Quarantined
		return n.each(f.To)
	case license.LinkSlowed:
		n.Kind = LinkSlow
		if !f.Slow {
			n.Reason = ReasonOver
		}
		return n.each(f.To)
	case license.LinkStaled:
		n.Kind, n.Until = LinkStale, f.Contact
		return n.each(f.To)
	case license.MaintenanceTold:
		m := f.Maintenance
		n.Kind, n.From, n.Until, n.By, n.Note = Maintenance, m.From, m.Until, m.By, m.Note
		if f.Over {
			n.Reason, n.From, n.Until = ReasonOver, 0, 0
		}
	case license.LinkChanged:
		n.Kind = LinkDown
		if f.Up {
			n.Kind = LinkUp
		}
	case license.Configured:
		n.Kind = Policy
	case license.Mirrored:
		if !f.Policy {
			return nil
		}
		n.Kind = Policy
	default:
		return nil
	}
	return []Notice{n}
}

// each addresses a notice to several users.
func (n Notice) each(to []license.UserID) []Notice {
	all := make([]Notice, 0, len(to))
	for _, user := range to {
		n.User = user
		all = append(all, n)
	}
	return all
}

func ended(freed bool) Kind {
	if freed {
		return Free
	}
	return Stopped
}

func (n *Notice) session(k Kind, x *license.Session) {
	n.Kind, n.User, n.ID, n.Product, n.License, n.Machine, n.To = k, x.User, x.ID, x.Product, x.License, x.Machine, x.Machine
	if e := x.Notice; e != nil && (k == Released || k == Ending) {
		n.Reason, n.By, n.Note, n.Until = e.Reason, e.By, e.Note, e.Until
	}
}

// other makes a notice of an ending about the machine that is active instead, where
// that is known.
func (n *Notice) other(e *license.Ending) {
	if e != nil && e.Machine != (license.Machine{}) {
		n.Machine = e.Machine
	}
}

// takeover tells the session's machine that it ends for another, which it is about.
func (n *Notice) takeover(x *license.Session) {
	n.session(Ending, x)
	n.Machine = x.Notice.Machine
}

func (n *Notice) checkout(k Kind, x *license.Checkout) {
	n.Kind, n.User, n.ID, n.Product, n.License, n.Machine, n.To = k, x.User, x.ID, x.Product, x.License, x.Machine, x.Machine
	switch k {
	case CheckedOut:
		n.Until, n.By, n.Note = x.Until, x.By, x.Note
	case OutEnding:
		n.Until = x.Until
	case WrittenOff:
		n.Until, n.By, n.Note = x.Until, x.WrittenOff.By, x.WrittenOff.Note
	}
}

func (n *Notice) waiter(k Kind, w *license.Waiter) {
	n.Kind, n.User, n.ID, n.Product, n.Machine, n.To = k, w.User, w.ID, w.Product, w.Machine, w.Machine
}
