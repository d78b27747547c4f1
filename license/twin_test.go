package license

import (
	"reflect"
	"slices"
	"time"
)

// twin is the rules a second time, as naive as can be: everything is in slices in
// the order it came, and whatever is asked is looked for from the beginning. It
// shares the types of Apply and none of its code, and is fed what Apply is fed.
//
// A new command is a case of command and a method; a new record is a slice here
// and a line in differs.
type twin struct {
	head      Head
	users     []User
	products  []Product
	licenses  []License
	sessions  []Session
	checkouts []Checkout
	waiters   []Waiter
	kept      []twinKept
	bars      []Bar
	ended     []Tombstone
	nodes     []Node
	tokens    []JoinToken

	credentials []Credential
	accounts    []LocalAccount

	aside   []SetAside
	exports []Export
	learned []Learned
	revoked []Revocation
	odd     []Quarantined
	keys    []twinKey
	veils   []Veil
	events  []Event

	pooled []twinUse // each day of pooled use, once

	covers []ProductID // whose cover the command has changed
	abroad []UserID    // who has another country by it
}

type twinUse struct {
	user    UserID
	product ProductID
	day     Time // its number
}

type twinKept struct {
	user UserID
	Reservation
}

func (w *twin) now() Time { return w.head.Now }

func (w *twin) apply(e Entry) (Outcome, []Event) {
	w.events = nil
	if e.At > w.head.Now {
		w.head.Now = e.At
	}
	w.ended = slices.DeleteFunc(w.ended, func(t Tombstone) bool { return t.Until <= w.now() })
	out := w.command(e.Command)
	return out, w.events
}

// command settles what is due for the user it concerns, and does it.
func (w *twin) command(c Command) Outcome {
	switch c := c.(type) {
	case Start:
		w.settle(c.User)
		return w.start(c)
	case Stop:
		w.settle(c.User)
		return w.stop(c)
	case Expire:
		w.settle(w.runner(c.ID))
		return w.expire(c)
	case CheckOut:
		w.settle(c.User)
		return w.checkOut(c)
	case Return:
		w.settle(c.User)
		return w.giveBack(c)
	case EndCheckout:
		w.settle(w.borrower(c.ID))
		return Outcome{Repeat: true}
	case RemindCheckout:
		w.settle(w.borrower(c.ID))
		return Outcome{Repeat: true}
	case WriteOff:
		w.settle(w.borrower(c.Checkout))
		return w.writeOff(c)
	case CheckInConfirmed:
		w.settle(w.borrower(c.Checkout))
		return w.checkedIn(c)
	case Book:
		w.settle(w.borrower(c.Checkout))
		return w.booked(c)
	case Remind:
		return w.remind(c)
	case RemindTerm:
		return w.remindTerm(c)
	case Wait:
		w.settle(c.User)
		return w.wait(c)
	case EndWait:
		w.settle(c.User)
		return w.endWait(c)
	case EndReservation:
		w.settle(c.User)
		return Outcome{Repeat: true}
	case Request:
		w.settle(c.User)
		return w.request(c)
	case LetGo:
		w.settle(c.User)
		return w.givesUp(c)
	case Decline:
		w.settle(c.User)
		return w.decline(c)
	case Offer:
		w.settle(c.User)
		return Outcome{Repeat: true}
	case WarnEnding:
		w.settle(w.runner(c.Session))
		return Outcome{Repeat: true}
	case WouldRefuse:
		return w.wouldRefuse(c)
	case Release:
		w.settle(w.runner(c.Session))
		return w.release(c)
	case Confirm:
		w.settle(w.runner(c.Session))
		return w.confirm(c)
	case Conflict:
		w.settle(w.runner(c.Session))
		return w.conflict(c)
	case Mirror:
		return w.mirror(c)
	case Import:
		return w.imports(c)
	case Link:
		return w.link(c)
	case Configure:
		return w.configure(c)
	case Found:
		return w.found(c)
	case IssueToken:
		return w.issueToken(c)
	case GiveCredential:
		return w.giveCredential(c)
	case UseCredential:
		return w.useCredential(c)
	case EndCredential:
		return w.endCredential(c)
	case SetLocalAccount:
		return w.setLocalAccount(c)
	case RemoveLocalAccount:
		return w.removeLocalAccount(c)
	case Join:
		return w.join(c)
	case Enroll:
		return w.enroll(c)
	case RemoveNode:
		return w.removeNode(c)
	case Rekey:
		return w.rekey(c)
	case EndRekey:
		return w.endRekey(c)
	case Refused:
		return w.refused(c)
	case UsageSent:
		return w.usageSent(c)
	case atRest:
		return w.restore(c)
	case Resume:
		return w.resume(c)
	case Reread:
		return w.reread(c)
	case AcceptRestore:
		return w.acceptRestore(c)
	case Block:
		w.settle(c.User)
		return w.block(c)
	case Unblock:
		w.settle(c.User)
		return w.unblock(c)
	case ReleaseUser:
		w.settle(c.User)
		return w.releaseUser(c)
	case SignOut:
		w.settle(c.User)
		return w.signOut(c)
	case Move:
		if l := w.license(c.License); l != nil {
			w.settle(l.Assignee)
		} else {
			w.settle("")
		}
		return w.move(c)
	case HoldBack:
		return w.holdBack(c)
	case AcceptShrink:
		return w.acceptShrink(c)
	case AcceptTime:
		return w.acceptTime(c)
	case Maintain:
		return w.maintain(c.Maintenance)
	case LetPass:
		return w.letPass(c)
	case EndBypass:
		return Outcome{Repeat: !w.bypassOver()}
	case RaiseLevel:
		return w.raiseLevel(c)
	case SettleUsage:
		return w.settleUsage(c)
	case NoteAlert:
		return w.noteAlert(c)
	case AlertTold:
		return w.alertTold(c)
	case NoteReport:
		return w.noteReport(c)
	case NoteLockout:
		return w.noteLockout(c)
	case NoteKeys:
		return w.noteKeys(c)
	case AcceptKeys:
		return w.acceptKeys(c)
	case NoteBacklog:
		return w.noteBacklog(c)
	case ExportUsage:
		return w.exportUsage(c)
	case ReceiveUsage:
		return w.receiveUsage(c)
	case NoteCloud:
		return w.noteCloud(c)
	case Learn:
		return w.learn(c)
	case NoteRevoked:
		return w.noteRevoked(c)
	case Report:
		w.settle(c.User)
		return w.report(c)
	case KeepPosting:
		return w.keepPosting(c)
	case BarKey:
		w.settle(c.User)
		return w.barKey(c)
	case SeeKey:
		w.settle(c.User)
		return w.seeKey(c)
	case BindKey:
		w.settle(c.User)
		return w.bindKey(c)
	case ForgetKey:
		w.settle(c.User)
		return w.forgetKey(c)
	case NoteAct:
		return w.noteAct(c)
	case EraseNames:
		return w.eraseNames(c)
	case ExportAudit:
		return w.exportAudit(c)
	case TrimAudit:
		return w.trimAudit(c)
	}
	panic("the twin does not know this command yet")
}

func (w *twin) tell(f Fact) {
	w.head.Seq++
	switch f := f.(type) {
	case Stopped:
		w.made(!f.Session.Relayed)
	case Expired:
		w.made(!f.Session.Relayed)
	case Returned:
		w.made(!f.Checkout.Relayed)
	case CheckoutEnded:
		w.made(!f.Checkout.Relayed)
	case CheckedIn:
		w.made(!f.Checkout.Relayed)
	case PostingKept:
		w.made(true)
	}
	w.events = append(w.events, Event{Seq: w.head.Seq, At: w.now(), Fact: f})
	w.wasDone(w.head.Seq, f)
}

func (w *twin) made(record bool) {
	if record {
		w.head.UsageMade++
	}
}

func refuse(r Reason) Outcome { return Outcome{Denial: &Denial{Reason: r}} }

// What is there.

// single: one machine at a time, unless it is known to be uncapped.
func (w *twin) single(id ProductID) bool {
	p := w.product(id)
	return p == nil || p.Capped != CappedNo
}

// Time.

func (w *twin) settle(user UserID) {
	something := false
	for {
		var first *Checkout
		for i := range w.checkouts {
			x := &w.checkouts[i]
			if x.User == user && x.Until <= w.now() && (first == nil || x.Until < first.Until) {
				first = x
			}
		}
		if first == nil {
			break
		}
		x := *first
		w.dropCheckout(x)
		w.tell(CheckoutEnded{Checkout: x})
		w.uncover(x)
		something = true
	}
	for i := range w.checkouts {
		if x := &w.checkouts[i]; x.User == user && x.Remind != 0 && x.Remind <= w.now() {
			x.Remind = w.nextReminder(x.Until)
			w.tell(CheckoutEnding{Checkout: *x})
		}
	}
	for _, r := range w.keptFor(user) {
		if r.Until <= w.now() {
			w.keepNoMore(user, r)
			something = true
		}
	}
	w.warn(user)
	if something || w.looks(user) {
		w.offer(user)
	}
}

func (w *twin) dropCheckout(x Checkout) {
	w.checkouts = slices.DeleteFunc(w.checkouts, func(y Checkout) bool { return y.ID == x.ID })
	w.bury(x.ID, x.User)
}

func (w *twin) keepNoMore(user UserID, r Reservation) {
	w.kept = slices.DeleteFunc(w.kept, func(k twinKept) bool { return k.user == user && k.Reservation == r })
	w.tell(ReservationEnded{User: user, Reservation: r})
}

// uncover: what ran under a checkout takes up a hold of its own, if it needs one,
// or is renewed no more where another machine is in its way.
func (w *twin) uncover(over Checkout) {
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.User != over.User || x.UnderCheckout != over.ID {
			continue
		}
		if !w.single(x.Product) {
			x.UnderCheckout = ID{}
			continue
		}
		if own := w.own(x.User, x.License, x.Machine, x.Version); own != nil {
			x.UnderCheckout = own.ID
			continue
		}
		other := w.holder(x.User, x.Product, x.License, x.Machine, w.sessionsHoldUser())
		switch {
		case other == nil:
			x.UnderCheckout = ID{}
			x.Holds = true
		case x.Notice == nil || w.now() < x.Notice.Until:
			w.ends(x, Ending{Reason: "checkout-over", Machine: other.Machine, Until: w.byThen(x, w.now())})
			w.tell(Conflicted{Session: *x})
		}
	}
	w.comeAlong(over.User)
}

// offer keeps what is free for the machines that wait for it: the first of them,
// and what is left for the others.
func (w *twin) offer(user UserID) {
	for _, x := range w.waiting(user) {
		if w.isKept(user, x.Product) {
			continue
		}
		_, blocked, d := w.wants(user, x.Product, x.Machine)
		if blocked != nil {
			continue
		}
		if d != nil {
			w.tell(WaitEnded{Waiter: x, Reason: d.Reason})
		} else {
			until := w.now() + 30_000
			w.kept = append(w.kept, twinKept{user, Reservation{Wait: x.ID, Product: x.Product, Machine: x.Machine, Until: until, Proof: x.Proof}})
			w.tell(Reserved{Waiter: x, Until: until})
		}
		w.unwait(user, x.ID)
		w.offer(user)
		return
	}
}

// isKept: something is kept of the hold the product needs.
func (w *twin) isKept(user UserID, p ProductID) bool {
	return slices.ContainsFunc(w.keptFor(user), func(r Reservation) bool { return r.Until > w.now() && w.one(r.Product, p) })
}

// fresh: what every first command of an id must be.
func (w *twin) fresh(id ID, user UserID, m Machine, notAfter Time) Reason {
	switch {
	case id == ID{} || user == "" || !twinName(string(user)) || !twinMachine(m):
		return BadCommand
	case notAfter != 0 && notAfter < w.now():
		return TooLate
	case w.wasOf(id) != "":
		return AlreadyEnded
	case w.session(id) != nil || w.checkout(id) != nil:
		return IDInUse
	}
	return ""
}

// alone reports whether the site may grant this without the cloud now.
func (w *twin) alone(capped bool) bool {
	terms, own := w.head.Account.AutonomyUncapped, w.head.Settings.AutonomyUncapped
	if capped {
		terms, own = w.head.Account.AutonomyCapped, w.head.Settings.AutonomyCapped
	}
	if own != nil {
		terms = min(terms, *own)
	}
	contact := w.head.Link.Contact
	return contact != 0 && terms > 0 && w.now() < contact+Time(terms/time.Millisecond)
}

func (w *twin) heard(at Time) { w.head.Link.Contact = max(w.head.Link.Contact, at) }

// take ends the wait of this machine for the product, and what was kept for it.
func (w *twin) take(user UserID, product ProductID, m Machine) (wasKept bool) {
	for _, x := range w.waiting(user) {
		if x.Product == product && sameMachine(x.Machine, m) {
			w.tell(WaitEnded{Waiter: x, Granted: true})
			w.unwait(user, x.ID)
		}
	}
	before := len(w.kept)
	w.kept = slices.DeleteFunc(w.kept, func(k twinKept) bool { return k.user == user && k.Product == product && sameMachine(k.Machine, m) })
	return len(w.kept) != before
}

// Sessions.

// differs says where the state is not what the twin has, or "".
func (w *twin) differs(s *State) string {
	if !reflect.DeepEqual(s.head, w.head) {
		return "head: " + text(s.head) + "\nthe twin has " + text(w.head)
	}
	sizes := Counts{Users: len(w.users), Products: len(w.products), Licenses: len(w.licenses), Sessions: len(w.sessions), Checkouts: len(w.checkouts), Learned: len(w.learned)}
	got := s.Counts()
	if got.Assigned, got.Provisional = 0, 0; got != sizes || len(s.graves) != len(w.ended) {
		return "sizes: " + text(got) + "\nthe twin has " + text(sizes)
	}
	if s.QuarantinedCount() != len(w.odd) {
		return "quarantined: " + text(s.Quarantined()) + "\nthe twin has " + text(w.odd)
	}
	other := ""
	same := func(what string, got, want any) {
		if other == "" && !reflect.DeepEqual(got, want) {
			other = what + ": " + text(got) + "\nthe twin has " + text(want)
		}
	}
	for _, q := range w.odd {
		same("quarantined", slices.Contains(s.Quarantined(), q), true)
	}
	for i := range w.users {
		same("a user", s.User(w.users[i].ID), &w.users[i])
	}
	for i := range w.products {
		same("a product", s.products[w.products[i].ID], &w.products[i])
	}
	for i := range w.licenses {
		same("a license", s.licenses[w.licenses[i].ID], &w.licenses[i])
	}
	for _, t := range w.ended {
		same("what has ended", s.Record(Key{KeyTombstone, string(t.ID[:])}), &t)
	}
	for _, b := range w.bars {
		same("a block", s.bars[b.Key()], b)
	}
	same("how many blocks", len(s.bars), len(w.bars))
	for _, n := range w.nodes {
		same("a node", slices.Contains(Nodes(s), n), true)
	}
	for _, t := range w.tokens {
		same("a token", s.tokens[t.Secret], t)
	}
	same("how many nodes and tokens", []int{len(s.nodes), len(s.tokens)}, []int{len(w.nodes), len(w.tokens)})
	w.sameCredentials(s, same)
	same("the days of pooled use", usedDays(s), w.usedDays())
	same("how much is set aside", len(s.setAside), len(w.aside))
	for _, x := range w.aside {
		same("what is set aside", s.setAside[x.Usage.Record], x)
	}
	same("how much is exported", len(s.exports), len(w.exports))
	for _, x := range w.exports {
		same("a file of usage", s.exports[x.Number], x)
	}
	same("how much is revoked", len(s.revoked), len(w.revoked))
	for _, x := range w.revoked {
		same("what is revoked", RevokedAt(s, x.User), x.At)
	}
	same("how much is learned", len(s.learned), len(w.learned))
	for _, x := range w.learned {
		same("what is learned", slices.Contains(AllLearned(s), x), true)
	}
	same("the machines' keys", keysByUser(s), w.keysByUser())
	same("who is called what in the audit trail", w.otherVeils(s), false)
	sessions, checkouts, waiters, kept := 0, 0, 0, 0
	for _, p := range s.busy {
		user, a := p.user.ID, p.active
		var open Active
		for _, x := range w.sessions {
			if x.User == user {
				open.Sessions = append(open.Sessions, x)
			}
		}
		for _, x := range w.checkouts {
			if x.User == user {
				open.Checkouts = append(open.Checkouts, x)
			}
		}
		same("sessions", append([]Session(nil), a.Sessions...), open.Sessions)
		same("checkouts", append([]Checkout(nil), a.Checkouts...), open.Checkouts)
		same("who waits", append([]Waiter(nil), a.Waiters...), w.waiting(user))
		same("what is kept", append([]Reservation(nil), a.Reservations...), w.keptFor(user))
		sessions, checkouts = sessions+len(a.Sessions), checkouts+len(a.Checkouts)
		waiters, kept = waiters+len(a.Waiters), kept+len(a.Reservations)
	}
	same("how much is open", []int{sessions, checkouts, waiters, kept}, []int{len(w.sessions), len(w.checkouts), len(w.waiters), len(w.kept)})
	return other
}
