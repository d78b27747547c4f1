package license

import (
	"net/netip"
	"slices"
	"time"
)

// The part of the twin that is about asking and taking over, and about what is
// only observed.

const twinMinute = Time(time.Minute / time.Millisecond)

// wants: by which license, what is in the way, or why not at all.
func (w *twin) wants(user UserID, product ProductID, m Machine) (lic License, blocked, d *Denial) {
	if d := w.keptOut(user, m, product); d != nil {
		return License{}, nil, d
	}
	r, d := w.right(Start{User: user, Product: product})
	if d != nil {
		return License{}, nil, d
	}
	return r.License, w.startRefused(user, r.License, m, ""), nil
}

// looks: something is due for a machine that waits.
func (w *twin) looks(user UserID) bool {
	return slices.ContainsFunc(w.waiting(user), func(x Waiter) bool {
		_, blocked, d := w.wants(user, x.Product, x.Machine)
		return !w.isKept(user, x.Product) && (blocked == nil || d != nil)
	})
}

// unwait ends the wait, and lets go on what was to end for it.
func (w *twin) unwait(user UserID, id ID) {
	w.waiters = slices.DeleteFunc(w.waiters, func(y Waiter) bool { return y.User == user && y.ID == id })
	w.goOn(user)
}

// goOn: nobody asks for it any more.
func (w *twin) goOn(user UserID) {
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.User != user || x.Notice == nil || x.Notice.Reason != "takeover" || x.Notice.Until <= w.now() {
			continue
		}
		asks := func(y Waiter) bool { return y.Asks == TakeoverGrace && w.one(y.Product, x.Product) }
		if slices.ContainsFunc(w.waiting(user), asks) {
			continue
		}
		x.Notice, x.Warned = nil, 0
		w.tell(TakeoverLifted{Session: *x})
		w.seeToEnd(x)
	}
}

// byThen: a session that is taken over ends no later for another reason.
func (w *twin) byThen(x *Session, until Time) Time {
	if x.Notice != nil && x.Notice.Reason == "takeover" {
		return min(until, x.Notice.Until)
	}
	return until
}

// inTheWay are the sessions of other machines that keep a start by the license
// out.
func (w *twin) inTheWay(user UserID, lic License, m Machine) []*Session {
	under := lic.Kind == Virtuoso && w.own(user, lic.ID, m, "") != nil
	var list []*Session
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.User != user || sameMachine(x.Machine, m) {
			continue
		}
		byTheLicense := x.License == lic.ID && (x.Holds || x.UnderCheckout != ID{})
		if byTheLicense || x.Holds && w.sessionsHoldUser() && !under {
			list = append(list, x)
		}
	}
	return list
}

func (w *twin) borrowedInTheWay(user UserID, lic License, m Machine) *Checkout {
	under := lic.Kind == Virtuoso && w.own(user, lic.ID, m, "") != nil
	return twinFind(w.checkouts, func(x *Checkout) bool {
		return x.User == user && x.Until > w.now() && !sameMachine(x.Machine, m) && (x.License == lic.ID || w.checkoutsHoldUser() && !under)
	})
}

// takenFrom refuses what is being freed for another machine.
func (w *twin) takenFrom(user UserID, product ProductID, lic LicenseID, m Machine, everything bool) *Denial {
	for _, x := range w.waiting(user) {
		if x.Asks != TakeoverGrace || sameMachine(x.Machine, m) || !everything && x.Product != product || w.now() >= x.Until+twinHour {
			continue
		}
		return &Denial{Reason: "takeover-under-way", Product: product, License: lic, Machine: x.Machine, Until: x.Until}
	}
	return nil
}

func (w *twin) request(c Request) Outcome {
	if x := w.waiter(c.User, c.ID); x != nil {
		if x.Asks == 0 || x.Product != c.Product || !sameMachine(x.Machine, c.Machine) {
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
	lic, blocked, d := w.wants(c.User, c.Product, c.Machine)
	switch {
	case d != nil:
		return Outcome{Denial: d}
	case blocked == nil:
		return Outcome{}
	case blocked.Reason != "machine-active":
		return Outcome{Denial: blocked}
	}
	policy := w.head.Settings.Takeover
	if policy == TakeoverRefuse {
		blocked.Reason = "takeover-refused"
		return Outcome{Denial: blocked}
	}
	if x := w.borrowedInTheWay(c.User, lic, c.Machine); x != nil {
		return Outcome{Denial: &Denial{Reason: "takeover-checkout", Product: c.Product, License: lic.ID, Machine: x.Machine, Since: x.Since,
			Holding: x.License, By: HoldCheckout, Until: x.Until}}
	}
	way := w.inTheWay(c.User, lic, c.Machine)
	for _, x := range way {
		if x.Notice == nil && !x.Fences {
			return Outcome{Denial: &Denial{Reason: "takeover-not-possible", Product: lic.Product, License: lic.ID, Machine: x.Machine,
				Since: x.Since, Holding: x.License, By: HoldSession}}
		}
	}
	x := Waiter{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Since: w.now(), Asks: policy, Proof: c.Proof}
	if policy == TakeoverGrace {
		grace := w.head.Settings.TakeoverGrace
		if grace == 0 {
			grace = 10 * time.Minute
		}
		x.Until = w.now() + Time(grace/time.Millisecond)
		for _, y := range way {
			if y.Notice != nil && y.Notice.Reason == "takeover" && w.now() < y.Notice.Until {
				x.Until = min(x.Until, y.Notice.Until)
			}
		}
	}
	w.waitsNow(x)
	if policy == TakeoverGrace {
		for _, y := range way {
			w.takeOver(y, x, x.Until)
		}
		return Outcome{Waiter: &x}
	}
	var asked []Machine
	for _, y := range way {
		if y.Notice != nil && y.Notice.Until <= w.now() {
			continue
		}
		if !slices.ContainsFunc(asked, func(m Machine) bool { return sameMachine(m, y.Machine) }) {
			asked = append(asked, y.Machine)
			w.tell(Requested{Waiter: x, Session: *y})
		}
	}
	return Outcome{Waiter: &x}
}

// waitsNow: the last one wins.
func (w *twin) waitsNow(x Waiter) {
	var kept []Waiter
	for _, old := range w.waiters {
		if old.User == x.User && w.one(old.Product, x.Product) {
			w.tell(WaitEnded{Waiter: old})
		} else {
			kept = append(kept, old)
		}
	}
	replaced := len(kept) < len(w.waiters)
	w.waiters = append(kept, x)
	if replaced {
		w.goOn(x.User)
	}
	w.tell(WaitBegan{Waiter: x})
}

func (w *twin) takeOver(x *Session, by Waiter, until Time) {
	if ends, _ := w.rightEnds(x); w.now() < ends {
		until = min(until, ends)
	}
	switch n := x.Notice; {
	case n != nil && n.Reason == "takeover":
		if w.now() < n.Until {
			x.Notice = &Ending{Reason: "takeover", By: n.By, Note: n.Note, Machine: by.Machine, Until: n.Until}
		}
		return
	case n != nil && (n.Reason != "license-ended" || n.Until <= until):
		return
	}
	w.ends(x, Ending{Reason: "takeover", By: string(x.User), Machine: by.Machine, Until: until})
	w.tell(TakeoverBegan{Session: *x})
}

// ends puts a session on notice, which is a warning itself.
func (w *twin) ends(x *Session, e Ending) {
	x.Notice, x.Warned = &e, w.warnedBy(e.Until)
}

// warnedBy is how many of the warnings of an end are past.
func (w *twin) warnedBy(until Time) (n uint8) {
	for _, before := range []Time{5 * twinMinute, twinMinute, 0} {
		if until-before <= w.now() {
			n++
		}
	}
	return n
}

func (w *twin) warn(user UserID) {
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.User != user || x.Notice == nil {
			continue
		}
		if n := w.warnedBy(x.Notice.Until); n > x.Warned {
			x.Warned = n
			left := time.Duration(max(0, x.Notice.Until-w.now())) * time.Millisecond
			w.tell(EndingWarned{Session: *x, Left: left})
		}
	}
}

// comeAlong: what took up a hold meanwhile ends, too.
func (w *twin) comeAlong(user UserID) {
	for _, by := range w.waiting(user) {
		lic, _, d := w.wants(user, by.Product, by.Machine)
		if d != nil || by.Asks != TakeoverGrace {
			continue
		}
		for _, x := range w.inTheWay(user, lic, by.Machine) {
			if x.Notice == nil && x.Fences {
				w.takeOver(x, by, max(by.Until, w.now()+twinMinute))
			}
		}
	}
}

func (w *twin) givesUp(c LetGo) Outcome {
	x := w.session(c.Session)
	switch {
	case x == nil && c.User != "" && w.wasOf(c.Session) == c.User:
		return Outcome{Repeat: true}
	case x == nil:
		return refuse(UnknownSession)
	case x.User != c.User || !sameMachine(x.Machine, c.Machine):
		return refuse(NotYours)
	}
	if d := w.notHolder(x.User, x.Machine, x.Proof, c.Proof); d != nil {
		return Outcome{Denial: d}
	}
	over := x.Notice != nil && x.Notice.Until <= w.now()
	if !over {
		w.ends(x, Ending{Reason: "let-go", By: string(c.User), Until: w.byThen(x, w.now())})
		w.tell(GivenUp{Session: *x})
	}
	copied := *x
	return Outcome{Session: &copied, Repeat: over}
}

func (w *twin) decline(c Decline) Outcome {
	x := w.waiter(c.User, c.ID)
	if x == nil || x.Asks == 0 {
		return refuse("unknown-request")
	}
	lic, _, d := w.wants(c.User, x.Product, x.Machine)
	if d != nil {
		return refuse("unknown-request")
	}
	var here []*Denial // by what each of the sessions there may not be spoken for
	for _, y := range w.inTheWay(c.User, lic, x.Machine) {
		if twinMachine(c.Machine) && sameMachine(y.Machine, c.Machine) {
			here = append(here, w.notHolder(y.User, y.Machine, y.Proof, c.Proof))
		}
	}
	switch {
	case len(here) == 0:
		return refuse(NotYours)
	case !slices.Contains(here, nil):
		return Outcome{Denial: here[len(here)-1]}
	}
	if x.Asks == TakeoverGrace {
		return Outcome{Denial: &Denial{Reason: "takeover-under-way", Product: x.Product, License: lic.ID, Machine: x.Machine, Until: x.Until}}
	}
	repeat := x.Declined
	if !repeat {
		x.Declined = true
		w.tell(Declined{Waiter: *x, Machine: c.Machine})
	}
	copied := *x
	return Outcome{Waiter: &copied, Repeat: repeat}
}

func (w *twin) wouldRefuse(c WouldRefuse) Outcome {
	if c.User == "" || c.Denial.Reason == "" || !twinMachine(c.Machine) || !twinName(string(c.User), string(c.Denial.Reason), c.Client) {
		return refuse(BadCommand)
	}
	if a, err := netip.ParseAddr(c.Address); c.Address != "" && (err != nil || a.String() != c.Address) {
		return refuse(BadCommand)
	}
	w.tell(WouldHaveRefused(c))
	return Outcome{}
}

// twinModes: each is for something of its own, and for a network as it is written.
func twinModes(modes []Mode) bool {
	for i, m := range modes {
		for _, n := range modes[:i] {
			if n.Product == m.Product && n.Network == m.Network {
				return false
			}
		}
		p, err := netip.ParsePrefix(m.Network)
		if !twinName(string(m.Product)) || m.Network != "" && (err != nil || p.Masked().String() != m.Network || p.Addr().Is4In6()) {
			return false
		}
	}
	return len(modes) <= 64
}
