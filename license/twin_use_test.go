package license

import (
	"cmp"
	"slices"
	"time"
)

// What the twin does with sessions, checkouts and waits.

func (w *twin) start(c Start) Outcome {
	if x := w.session(c.ID); x != nil {
		switch {
		case x.User != c.User || x.Product != c.Product || !sameMachine(x.Machine, c.Machine):
			return refuse(IDInUse)
		case w.notHolder(x.User, x.Machine, x.Proof, c.Proof) != nil:
			return Outcome{Denial: w.notHolder(x.User, x.Machine, x.Proof, c.Proof)}
		case x.Notice != nil && x.Notice.Until <= w.now():
			return refuse(AlreadyEnded)
		}
		if w.oneMachine(x) && x.Token <= w.head.Restored.Seq {
			if d := w.waits(x.Product, x.License); d != nil {
				return Outcome{Denial: d}
			}
		}
		x.Generation++
		copied := *x
		return Outcome{Session: &copied, Repeat: true}
	}
	if r := w.fresh(c.ID, c.User, c.Machine, c.NotAfter); r != "" {
		return refuse(r)
	}
	if c.TTL < 0 || c.TTL > time.Hour && !c.Relayed || !twinName(string(c.Product), c.Version, c.Client, c.Email, c.Feature, c.From) {
		return refuse(BadCommand)
	}
	if d := w.keptOut(c.User, c.Machine, c.Product); d != nil {
		return Outcome{Denial: d}
	}
	if !c.Relayed {
		if d := w.keyWrong(c.User, c.Machine, c.Proof, c.Product); d != nil {
			return Outcome{Denial: d}
		}
	}
	r, d := w.right(c)
	if d != nil {
		return Outcome{Denial: d}
	}
	lic := r.License
	about := func(r Reason) Outcome {
		return Outcome{Denial: &Denial{Reason: r, Product: c.Product, License: lic.ID}}
	}
	if w.product(c.Product).NeedsFeature && c.Feature == "" {
		return about("feature-level")
	}
	if d := w.startRefused(c.User, lic, c.Machine, c.Version); d != nil {
		return Outcome{Denial: d}
	}
	running := 0
	for _, x := range w.sessions {
		if x.User == c.User {
			running++
		}
	}
	if running >= 100 {
		return about("too-many-sessions")
	}
	var under *Checkout
	if lic.Kind == Virtuoso {
		under = w.own(c.User, lic.ID, c.Machine, c.Version)
	}
	if w.single(c.Product) && lic.Kind == Virtuoso {
		if d := w.waits(c.Product, lic.ID); d != nil {
			return Outcome{Denial: d}
		}
	}
	if w.head.Backlog.Level == 3 && !c.Relayed {
		return about("usage-full")
	}
	if under == nil && !c.Agreed && !w.alone(w.single(c.Product)) {
		return about("cloud-needed")
	}

	holds := w.single(c.Product) && lic.Kind == Virtuoso
	if c.Agreed && holds {
		w.heard(w.now())
	}
	x := Session{ID: c.ID, User: c.User, Product: c.Product, License: lic.ID, Machine: c.Machine, Version: c.Version, Client: c.Client,
		Since: w.now(), TTL: c.TTL, Generation: 1, Type: r.typ, Warnings: r.warnings, Feature: c.Feature, Fences: c.Fences,
		Pool: lic.ID != "" && lic.Assignee == "", Country: w.user(c.User).Country}
	x.Relayed = c.Relayed
	if c.Relayed {
		x.From = c.From
	} else {
		x.Proof = c.Proof
	}
	if x.TTL == 0 && c.Relayed {
		x.TTL = 2 * time.Hour
	}
	if x.TTL == 0 {
		x.TTL = w.head.Settings.LeaseTTL
	}
	if x.TTL < 3*time.Minute && (c.Relayed || x.TTL == 0) {
		x.TTL = 3 * time.Minute
	}
	if c.Relayed {
		x.TTL = min(x.TTL, w.longest())
	}
	if under != nil {
		x.UnderCheckout = under.ID
	} else if holds {
		x.Holds, x.Provisional = true, !c.Agreed
	}
	wasKept := w.take(c.User, c.Product, c.Machine)
	x.Token = w.head.Seq + 1
	w.used(lic.ID)
	granted := x
	w.tell(Started{Session: &granted})
	if under == nil && !c.Agreed {
		terms, own := w.head.Account.AutonomyUncapped, w.head.Settings.AutonomyUncapped
		if w.single(c.Product) {
			terms, own = w.head.Account.AutonomyCapped, w.head.Settings.AutonomyCapped
		}
		if own != nil {
			terms = min(terms, *own)
		}
		contact := w.head.Link.Contact
		w.tell(GrantedAlone{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Contact: contact, Until: contact + Time(terms/time.Millisecond)})
	}
	w.seeToEnd(&x)
	w.sessions = append(w.sessions, x)
	if wasKept {
		w.offer(c.User)
	}
	return Outcome{Session: &x}
}

func (w *twin) stop(c Stop) Outcome {
	x := w.session(c.ID)
	switch {
	case x == nil && c.User != "" && w.wasOf(c.ID) == c.User:
		return Outcome{Repeat: true}
	case x == nil:
		return refuse(UnknownSession)
	case x.User != c.User || !sameMachine(x.Machine, c.Machine):
		return refuse(NotYours)
	}
	if d := w.notHolder(x.User, x.Machine, x.Proof, c.Proof); d != nil {
		return Outcome{Denial: d}
	}
	over, free := w.over(*x)
	w.tell(Stopped{Session: &over, Freed: free})
	w.offer(over.User)
	return Outcome{Session: &over}
}

func (w *twin) expire(c Expire) Outcome {
	x := w.session(c.ID)
	if x == nil || x.Generation != c.Generation {
		return refuse(UnknownSession)
	}
	over, free := w.over(*x)
	w.tell(Expired{Session: &over, Freed: free})
	w.offer(over.User)
	return Outcome{Session: &over}
}

// over takes a session out; free: it was the last of its user's with a hold.
func (w *twin) over(x Session) (Session, bool) {
	w.sessions = slices.DeleteFunc(w.sessions, func(y Session) bool { return y.ID == x.ID })
	w.bury(x.ID, x.User)
	w.countDays(x)
	other := twinFind(w.sessions, func(y *Session) bool { return y.User == x.User && y.Holds })
	return x, x.Holds && other == nil
}

func (w *twin) release(c Release) Outcome {
	if c.By == "" || !twinName(c.By, c.Note) {
		return refuse(BadCommand)
	}
	x := w.session(c.Session)
	if x == nil {
		return refuse(UnknownSession)
	}
	released := x.Notice != nil && x.Notice.Reason == "released"
	if !released {
		w.ends(x, Ending{Reason: "released", By: c.By, Note: c.Note, Until: w.now()})
		w.tell(Released{Session: *x})
	}
	copied := *x
	return Outcome{Session: &copied, Repeat: released}
}

func (w *twin) confirm(c Confirm) Outcome {
	x := w.session(c.Session)
	if x == nil {
		return refuse(UnknownSession)
	}
	w.heard(w.now())
	if !x.Provisional {
		return Outcome{Repeat: true}
	}
	x.Provisional = false
	copied := *x
	w.tell(Confirmed{Session: copied})
	return Outcome{Session: &copied}
}

func (w *twin) conflict(c Conflict) Outcome {
	if !twinName(c.Machine.ID, c.Machine.Name) {
		return refuse(BadCommand)
	}
	x := w.session(c.Session)
	if x == nil {
		return refuse(UnknownSession)
	}
	if (c.Machine == Machine{}) && w.head.Held.Since != 0 {
		return refuse(MirrorShrunk)
	}
	repeat := !w.yields(x)
	if !repeat {
		why := "conflict"
		if c.Machine.ID == "" && c.Machine.Name == "" {
			why = "unassigned"
		}
		w.ends(x, Ending{Reason: why, Machine: c.Machine, Until: w.byThen(x, w.now()+w.grace())})
		w.tell(Conflicted{Session: *x})
	}
	copied := *x
	return Outcome{Session: &copied, Repeat: repeat}
}

// grace is the time to save.
func (w *twin) grace() Time {
	if g := w.head.Settings.SaveGrace; g != 0 {
		return Time(g / time.Millisecond)
	}
	return 15 * 60_000
}

// Checkouts.

func (w *twin) checkOut(c CheckOut) Outcome {
	if x := w.checkout(c.ID); x != nil && x.Until > w.now() {
		if x.User != c.User || x.Product != c.Product || !sameMachine(x.Machine, c.Machine) {
			return refuse(IDInUse)
		}
		if d := w.notHolder(x.User, x.Machine, x.Proof, c.Proof); d != nil && c.By == "" && !c.Imported {
			return Outcome{Denial: d}
		}
		if w.single(x.Product) && x.Token <= w.head.Restored.Seq {
			if d := w.waits(x.Product, x.License); d != nil {
				return Outcome{Denial: d}
			}
		}
		copied := *x
		return Outcome{Checkout: &copied, Repeat: true}
	}
	if r := w.fresh(c.ID, c.User, c.Machine, c.NotAfter); r != "" {
		return refuse(r)
	}
	if !twinName(string(c.Product), c.Version, c.By, c.Note) || c.Imported && c.Until == 0 {
		return refuse(BadCommand)
	}
	for _, x := range w.sessions {
		if x.User == c.User && x.UnderCheckout == c.ID {
			return refuse(IDInUse)
		}
	}
	if d := w.keptOut(c.User, c.Machine, c.Product); d != nil {
		return Outcome{Denial: d}
	}
	if c.By == "" && !c.Imported {
		if d := w.keyWrong(c.User, c.Machine, c.Proof, c.Product); d != nil {
			return Outcome{Denial: d}
		}
	}
	for _, x := range w.checkouts {
		if d := w.keptOut(c.User, x.Machine, c.Product); d != nil && x.User == c.User && sameMachine(x.Machine, c.Machine) {
			return Outcome{Denial: d}
		}
	}
	lic, d := w.byName(c.User, c.Product)
	if d != nil {
		return Outcome{Denial: d}
	}
	if old := w.renewed(c, lic); old != nil && !c.Imported && c.By == "" {
		if d := w.notHolder(old.User, old.Machine, old.Proof, c.Proof); d != nil {
			return Outcome{Denial: d}
		}
	}
	if d := w.checkoutTerms(c, lic); d != nil {
		return Outcome{Denial: d}
	}
	machine := c.Machine
	for _, x := range w.checkouts {
		if x.User == c.User && x.License == lic.ID && sameMachine(x.Machine, machine) {
			machine.ID, machine.Name = cmp.Or(machine.ID, x.Machine.ID), cmp.Or(machine.Name, x.Machine.Name)
		}
	}
	if w.single(c.Product) {
		if d := w.holder(c.User, c.Product, lic.ID, machine, w.checkoutsHoldUser()); d != nil {
			return Outcome{Denial: d}
		}
		if d := w.takenFrom(c.User, c.Product, lic.ID, machine, w.checkoutsHoldUser()); d != nil {
			return Outcome{Denial: d}
		}
		if d := w.keptFromThis(c.User, c.Product, lic.ID, machine, w.checkoutsHoldUser()); d != nil {
			return Outcome{Denial: d}
		}
	}
	if w.single(c.Product) {
		if d := w.waits(c.Product, lic.ID); d != nil {
			return Outcome{Denial: d}
		}
	}
	if w.head.Backlog.Level == 3 && !c.Imported {
		return Outcome{Denial: &Denial{Reason: "usage-full", Product: c.Product, License: lic.ID}}
	}
	if !c.Agreed {
		return Outcome{Denial: &Denial{Reason: "cloud-needed", Product: c.Product, License: lic.ID}}
	}

	until := w.checkoutEnd(c, lic)
	w.heard(w.now())
	wasKept := w.take(c.User, c.Product, machine)
	x := Checkout{ID: c.ID, User: c.User, Product: c.Product, License: lic.ID, Machine: c.Machine, Version: c.Version, Since: w.now(),
		Until: until, By: c.By, Note: c.Note, Remind: w.nextReminder(until), Country: w.user(c.User).Country, Relayed: c.Imported, Unbooked: c.Imported}
	if c.By == "" && !c.Imported {
		x.Proof = c.Proof
	}
	var before *Checkout
	if old := w.renewed(c, lic); old != nil {
		copied := *old
		before = &copied
		if x.Proof == (Proof{}) {
			x.Proof = copied.Proof
		}
		w.dropCheckout(copied)
		w.tell(Returned{Checkout: copied})
		x.Machine.ID, x.Machine.Name = cmp.Or(x.Machine.ID, before.Machine.ID), cmp.Or(x.Machine.Name, before.Machine.Name)
	}
	w.acquaint(&x)
	for i := range w.sessions {
		y := &w.sessions[i]
		if before != nil && y.User == c.User && y.UnderCheckout == before.ID && sameMachine(y.Machine, x.Machine) {
			y.UnderCheckout = x.ID
		}
	}
	x.Token = w.head.Seq + 1
	w.checkouts = append(w.checkouts, x)
	w.used(lic.ID)
	w.tell(CheckedOut{Checkout: x})
	if before != nil {
		w.uncover(*before)
	}
	if wasKept {
		w.offer(c.User)
	}
	return Outcome{Checkout: &x}
}

func (w *twin) giveBack(c Return) Outcome {
	x := w.checkout(c.ID)
	switch {
	case x == nil && c.User != "" && w.wasOf(c.ID) == c.User:
		return Outcome{Repeat: true}
	case x == nil || x.Until <= w.now():
		return refuse(UnknownCheckout)
	case x.User != c.User || !sameMachine(x.Machine, c.Machine):
		return refuse(NotYours)
	}
	if d := w.notHolder(x.User, x.Machine, x.Proof, c.Proof); d != nil {
		return Outcome{Denial: d}
	}
	back := *x
	w.dropCheckout(back)
	w.tell(Returned{Checkout: back})
	w.uncover(back)
	w.offer(c.User)
	return Outcome{Checkout: &back}
}

// Waiting.

func (w *twin) wait(c Wait) Outcome {
	if x := w.waiter(c.User, c.ID); x != nil {
		if x.Product != c.Product || !sameMachine(x.Machine, c.Machine) {
			return refuse(IDInUse)
		}
		if d := w.notHolder(x.User, x.Machine, x.Proof, c.Proof); d != nil {
			return Outcome{Denial: d}
		}
		copied := *x
		return Outcome{Waiter: &copied, Repeat: true}
	}
	if r := w.fresh(c.ID, c.User, c.Machine, c.NotAfter); r != "" {
		return refuse(r)
	}
	if d := w.noWait(c.User, c.Machine, c.Proof, c.Product); d != nil {
		return Outcome{Denial: d}
	}
	_, blocked, d := w.wants(c.User, c.Product, c.Machine)
	switch {
	case d != nil:
		return Outcome{Denial: d}
	case blocked == nil:
		return Outcome{}
	case blocked.Reason == "takeover-under-way":
		return Outcome{Denial: blocked}
	}
	x := Waiter{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Since: w.now(), Proof: c.Proof}
	w.waitsNow(x)
	return Outcome{Waiter: &x}
}

// noWait: this machine could not start it, whatever is in its way.
func (w *twin) noWait(user UserID, m Machine, p Proof, product ProductID) *Denial {
	if d := w.keptOut(user, m, product); d != nil {
		return d
	}
	return w.keyWrong(user, m, p, product)
}

func (w *twin) endWait(c EndWait) Outcome {
	if !twinName(string(c.User)) {
		return refuse(BadCommand)
	}
	if x := w.waiter(c.User, c.ID); x != nil {
		if d := w.notHolder(c.User, x.Machine, x.Proof, c.Proof); d != nil {
			return Outcome{Denial: d}
		}
		w.tell(WaitEnded{Waiter: *x})
		w.unwait(c.User, c.ID)
		return Outcome{}
	}
	for _, r := range w.keptFor(c.User) {
		if r.Wait == c.ID {
			if d := w.notHolder(c.User, r.Machine, r.Proof, c.Proof); d != nil {
				return Outcome{Denial: d}
			}
			w.keepNoMore(c.User, r)
			w.offer(c.User)
			return Outcome{}
		}
	}
	return Outcome{Repeat: true}
}

func (w *twin) report(c Report) Outcome {
	if !twinName(c.Run, c.From) || c.Run == "" || c.User == "" || !twinMachine(c.Machine) {
		return refuse(BadCommand)
	}
	x := w.session(c.Session)
	if x == nil {
		return refuse(UnknownSession)
	}
	if !x.Relayed || x.User != c.User || !sameMachine(x.Machine, c.Machine) {
		return refuse(NotYours)
	}
	if !c.Ends {
		for _, y := range w.sessions {
			if y.User == c.User && !sameMachine(y.Machine, x.Machine) && slices.Contains(y.Runs, c.Run) {
				return refuse(NotYours)
			}
		}
	}
	var others []string
	for _, r := range x.Runs {
		if r != c.Run {
			others = append(others, r)
		}
	}
	there := len(others) < len(x.Runs)
	here := x.From == "" || c.From == x.From
	switch {
	case there != c.Ends, there && !here:
		return Outcome{Repeat: true}
	case c.Ends && len(others) == 0:
		return w.stop(Stop{ID: c.Session, User: c.User, Machine: c.Machine})
	case !c.Ends && slices.Contains(x.Runs, ""):
		return Outcome{Repeat: true}
	case !c.Ends && (len(others) == 16 || !here):
		others = append(others, "")
	case !c.Ends:
		others = append(others, c.Run)
	}
	x.Runs = others
	return Outcome{}
}
