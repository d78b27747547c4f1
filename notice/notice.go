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
	Granted    Kind = "granted"     // a session started
	Stopped    Kind = "stopped"     // a session ended; its machine is not let go of by it
	Attempted  Kind = "attempted"   // another machine tried and was refused
	Free       Kind = "free"        // a machine let go
	Yours      Kind = "yours"       // kept for the machine that waited
	NotTaken   Kind = "not-taken"   // what was kept is free for all again
	WaitEnded  Kind = "wait-ended"  // this machine waits no more
	Released   Kind = "released"    // ended by an administrator
	Ending     Kind = "ending"      // lost its right; renewed until then
	Confirmed  Kind = "confirmed"   // the cloud agreed to a provisional start
	CheckedOut Kind = "checked-out" // a checkout was made
	Returned   Kind = "returned"    // a checkout was given back or has ended
	Assigned   Kind = "assigned"    // a license was assigned to the user
	Unassigned Kind = "unassigned"  // a license was taken from the user
	LinkUp     Kind = "link-up"     // the cloud answers again
	LinkDown   Kind = "link-down"   // the cloud does not answer
)

// Kinds lists every kind there is, in a fixed order.
func Kinds() []Kind {
	return []Kind{Granted, Stopped, Attempted, Free, Yours, NotTaken, WaitEnded, Released, Ending, Confirmed,
		CheckedOut, Returned, Assigned, Unassigned, LinkUp, LinkDown}
}

// The reasons of a Free, Stopped or Returned notice whose end was no person's.
const (
	ReasonExpired = "expired" // no heartbeat came in time
	ReasonOver    = "over"    // the checkout's date has come
)

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
	By      string       // the administrator
	Note    string       // what they said
	Until   license.Time // kept, renewed or checked out until then
}

// Mine reports whether the notice concerns this very machine.
func (n *Notice) Mine(m license.Machine) bool { return n.To.Is(m) }

// From says who is told what of an event. Most events are for all machines of
// one user, the link's for everyone; bookkeeping is for nobody.
func From(e license.Event) []Notice {
	n := Notice{Seq: e.Seq, At: e.At}
	switch f := e.Fact.(type) {
	case license.Started:
		n.session(Granted, &f.Session)
	case license.Stopped:
		n.session(ended(f.Freed), &f.Session)
	case license.Expired:
		n.session(ended(f.Freed), &f.Session)
		n.Reason = ReasonExpired
	case license.Released:
		n.session(Released, &f.Session)
	case license.Conflicted:
		n.session(Ending, &f.Session)
	case license.Confirmed:
		n.session(Confirmed, &f.Session)
	case license.CheckedOut:
		n.checkout(CheckedOut, &f.Checkout)
	case license.Returned:
		n.checkout(Returned, &f.Checkout)
	case license.CheckoutEnded:
		n.checkout(Returned, &f.Checkout)
		n.Reason = ReasonOver
	case license.Reserved:
		n.waiter(Yours, &f.Waiter)
		n.Until = f.Until
	case license.WaitEnded:
		if f.Granted {
			return nil // the start says it
		}
		n.waiter(WaitEnded, &f.Waiter)
	case license.ReservationEnded:
		n.Kind, n.User, n.ID = NotTaken, f.User, f.Reservation.Wait
		n.Product, n.Machine, n.To = f.Reservation.Product, f.Reservation.Machine, f.Reservation.Machine
	case license.Attempted:
		d := &f.Denial
		if d.Reason != license.MachineActive && d.Reason != license.KeptForWaiter {
			return nil // nobody else's machine has to do with it
		}
		n.Kind, n.User, n.Reason, n.Product, n.License = Attempted, f.User, string(d.Reason), d.Product, d.License
		n.Machine, n.To = f.Machine, d.Machine
	case license.Assigned:
		n.Kind, n.User, n.Product, n.License = Assigned, f.User, f.Product, f.License
	case license.Unassigned:
		n.Kind, n.User, n.Product, n.License = Unassigned, f.User, f.Product, f.License
	case license.LinkChanged:
		n.Kind = LinkDown
		if f.Up {
			n.Kind = LinkUp
		}
	default:
		return nil
	}
	return []Notice{n}
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

func (n *Notice) checkout(k Kind, x *license.Checkout) {
	n.Kind, n.User, n.ID, n.Product, n.License, n.Machine, n.To = k, x.User, x.ID, x.Product, x.License, x.Machine, x.Machine
	if k == CheckedOut {
		n.Until = x.Until
	}
}

func (n *Notice) waiter(k Kind, w *license.Waiter) {
	n.Kind, n.User, n.ID, n.Product, n.Machine, n.To = k, w.User, w.ID, w.Product, w.Machine, w.Machine
}
