package license

import (
	"slices"
	"time"
)

// TakeoverPolicy is what a site lets a refused machine do about its user's active
// one. It is the same person who asks, from another machine.
type TakeoverPolicy uint8

// The policies.
const (
	TakeoverRefuse TakeoverPolicy = iota // nothing (R7: refused is refused); the zero value
	TakeoverAsk                          // the active machine is asked, and its user decides there
	TakeoverGrace                        // the active machine's sessions end after a grace
)

// The bounds of Settings.TakeoverGrace.
const (
	MinTakeoverGrace     = time.Minute
	DefaultTakeoverGrace = 10 * time.Minute
	MaxTakeoverGrace     = time.Hour
)

// EndTakeover and EndLetGo are reasons of an Ending.
const (
	EndTakeover = "takeover" // the user asked for it from another machine
	EndLetGo    = "let-go"   // the user gave it up on the session's own machine
)

// Request asks the user's active machine to let go of what keeps the product from
// starting on this one. The asking machine waits; whatever the policy, nothing is
// granted to it before the active machine's sessions have stopped or expired.
type Request struct {
	ID       ID        `cbor:"1,keyasint"`
	User     UserID    `cbor:"2,keyasint"`
	Product  ProductID `cbor:"3,keyasint"`
	Machine  Machine   `cbor:"4,keyasint"` // that asks
	NotAfter Time      `cbor:"5,keyasint,omitempty"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"430,keyasint,omitzero"`
}

// Requested: the machine of the session is asked to let go. There is one for each
// machine that is asked.
type Requested struct {
	Waiter  Waiter  `cbor:"1,keyasint"`
	Session Session `cbor:"2,keyasint"`
}

// TakeoverBegan: the session ends for another machine of its user, by its notice's
// time.
type TakeoverBegan struct {
	Session Session `cbor:"1,keyasint"`
}

// TakeoverLifted: the request was given up in time, and the session goes on.
type TakeoverLifted struct {
	Session Session `cbor:"1,keyasint"`
}

// LetGo gives a session up on its own machine. Its client is to stop; what it held
// is free when it has, or when its lease is over.
type LetGo struct {
	Session ID      `cbor:"1,keyasint"`
	User    UserID  `cbor:"2,keyasint"`
	Machine Machine `cbor:"3,keyasint"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"346,keyasint,omitzero"`
}

// GivenUp: the session was given up on its own machine.
type GivenUp struct {
	Session Session `cbor:"1,keyasint"`
}

// Decline says, on a machine that was asked, that it does not let go. The asking
// machine goes on waiting, and is told.
type Decline struct {
	ID      ID      `cbor:"1,keyasint"` // of the request
	User    UserID  `cbor:"2,keyasint"`
	Machine Machine `cbor:"3,keyasint"`
	// Proof is what the caller has shown of the machine.
	Proof Proof `cbor:"430,keyasint,omitzero"`
}

// Declined: the active machine does not let go.
type Declined struct {
	Waiter  Waiter  `cbor:"1,keyasint"`
	Machine Machine `cbor:"2,keyasint"` // that declined
}

func (c Request) subject(*State) UserID { return c.User }

func (c Request) decide(s *State, at Time) *Denial {
	if w := s.waiter(c.User, c.ID); w != nil {
		if w.Product != c.Product || !w.Machine.Is(c.Machine) || w.Asks == TakeoverRefuse {
			return deny(IDInUse)
		}
		return s.holder(w.User, w.Machine, w.Proof, c.Proof)
	}
	if d := s.fresh(c.ID, c.User, c.Machine, at, c.NotAfter); d != nil {
		return d
	}
	if d := s.mayWait(c.User, c.Machine, c.Proof, c.Product, at); d != nil {
		return d
	}
	lic, blocked, d := s.wants(c.User, c.Product, c.Machine, at)
	switch {
	case d != nil:
		return d
	case blocked == nil:
		return nil
	case blocked.Reason != MachineActive:
		return blocked
	}
	refuse := func(r Reason) *Denial {
		no := *blocked
		no.Reason = r
		return &no
	}
	if s.head.Settings.Takeover == TakeoverRefuse {
		return refuse(TakeoverRefused)
	}
	a := s.Active(c.User)
	if x := s.checkoutInTheWay(a, lic, c.Machine, at); x != nil {
		return &Denial{Reason: TakeoverCheckout, Product: c.Product, License: lic.ID, Machine: x.Machine,
			Since: x.Since, Holding: x.License, By: HoldCheckout, Until: x.Until}
	}
	for _, i := range s.sessionsInTheWay(a, lic, c.Machine, at) {
		if x := &a.Sessions[i]; !x.Fences && x.Notice == nil {
			no := *x.inTheWay(lic)
			no.Reason = TakeoverNotPossible
			return &no
		}
	}
	return nil
}

// do notes the asking machine as the one that waits and asks the active one, or
// puts its sessions on notice. Where nothing stands in the way, the outcome has no
// Waiter: start.
func (c Request) do(s *State, at Time) Outcome {
	if w := s.waiter(c.User, c.ID); w != nil {
		copied := *w
		return Outcome{Waiter: &copied, Repeat: true}
	}
	lic, blocked, _ := s.wants(c.User, c.Product, c.Machine, at)
	if blocked == nil {
		return Outcome{}
	}
	settings := &s.head.Settings
	w := Waiter{ID: c.ID, User: c.User, Product: c.Product, Machine: c.Machine, Since: at, Asks: settings.Takeover, Proof: c.Proof}
	a := s.open(c.User)
	way := s.sessionsInTheWay(a, lic, c.Machine, at)
	if w.Asks == TakeoverGrace {
		w.Until = at.Add(settings.takeoverGrace())
		for _, i := range way { // another machine may have asked before
			if n := a.Sessions[i].Notice; n != nil && n.Reason == EndTakeover && n.Until > at {
				w.Until = min(w.Until, n.Until)
			}
		}
	}
	s.await(a, w)
	switch w.Asks {
	case TakeoverAsk:
		var asked []Machine
		for _, i := range way {
			x := a.Sessions[i]
			if x.Renewable(at) && !slices.ContainsFunc(asked, x.Machine.Is) {
				asked = append(asked, x.Machine)
				s.emit(Requested{Waiter: w, Session: x})
			}
		}
	case TakeoverGrace:
		for _, i := range way {
			s.takeOver(&a.Sessions[i], w, w.Until)
		}
	}
	return Outcome{Waiter: &w}
}

// wants says by which license a product would be started on a machine and what
// stands in the way of it, or why it may not be started at all.
func (s *State) wants(user UserID, product ProductID, m Machine, at Time) (lic *License, blocked, d *Denial) {
	if d := s.barred(user, m, product); d != nil {
		return nil, nil, d
	}
	r, d := s.right(&Start{User: user, Product: product}, at)
	if d != nil {
		return nil, nil, d
	}
	return r.license, s.startBlocked(user, r.product, r.license, m, "", at), nil
}

// sessionsInTheWay are the indexes of the sessions of other machines that keep a
// start by the license out; see held and runs.
func (s *State) sessionsInTheWay(a *Active, lic *License, m Machine, at Time) []int {
	own := s.startsUnder(a.User, lic, m, "", at) != nil
	byUser := s.head.Settings.sessionScope() == ScopeUser && !own
	var list []int
	for i := range a.Sessions {
		x := &a.Sessions[i]
		same := x.License == lic.ID && (x.Holds || !x.UnderCheckout.IsZero())
		if !x.Machine.Is(m) && (same || x.Holds && byUser) {
			list = append(list, i)
		}
	}
	return list
}

// checkoutInTheWay is another machine's checkout that keeps a start by the license
// out, or nil.
func (s *State) checkoutInTheWay(a *Active, lic *License, m Machine, at Time) *Checkout {
	scope := s.head.Settings.checkoutScope()
	if s.startsUnder(a.User, lic, m, "", at) != nil {
		scope = ScopeLicense
	}
	return a.checkedOut(lic, m, at, scope)
}

// takeOver puts a session on notice for the machine that asks, but for one that
// ends as early already. It never outlasts its license (R1).
func (s *State) takeOver(x *Session, w Waiter, until Time) {
	now := s.head.Now
	if ends, _ := s.rightEnds(x); ends > now {
		until = min(until, ends)
	}
	if n := x.Notice; n != nil {
		switch {
		case n.Reason == EndTakeover:
			if n.Until > now && n.Machine != w.Machine { // another machine has asked before, and the last wins
				changed := *n
				changed.Machine = w.Machine
				s.touch(Key{KeyActive, string(x.User)})
				x.Notice = &changed
			}
			return
		case !x.yields(until):
			return
		}
	}
	s.touch(Key{KeyActive, string(x.User)})
	x.Notice = &Ending{Reason: EndTakeover, By: string(w.User), Machine: w.Machine, Until: until}
	s.planWarnings(x)
	s.emit(TakeoverBegan{Session: *x})
}

// endTakeover lets go on what was to end for a machine that does not ask any more,
// and for no other of the same hold. What is renewed no more already stays so.
func (s *State) endTakeover(a *Active) {
	for i := range a.Sessions {
		x := &a.Sessions[i]
		if x.Notice == nil || x.Notice.Reason != EndTakeover || x.Notice.Until <= s.head.Now {
			continue
		}
		if slices.ContainsFunc(a.Waiters, func(w Waiter) bool { return w.Asks == TakeoverGrace && s.sameHold(w.Product, x.Product) }) {
			continue
		}
		s.touch(Key{KeyActive, string(a.User)})
		x.Notice, x.Warned = nil, 0
		s.emit(TakeoverLifted{Session: *x})
		s.seeToEnd(x)
	}
}

// keepsOn puts what has come into the way of a takeover meanwhile on notice too:
// a session that took up a hold when its checkout was over.
func (s *State) keepsOn(a *Active) {
	for _, w := range a.Waiters {
		if w.Asks != TakeoverGrace {
			continue
		}
		lic, _, d := s.wants(a.User, w.Product, w.Machine, s.head.Now)
		if d != nil {
			continue
		}
		until := max(w.Until, s.head.Now.Add(MinTakeoverGrace))
		for _, i := range s.sessionsInTheWay(a, lic, w.Machine, s.head.Now) {
			if x := &a.Sessions[i]; x.Fences && x.Notice == nil {
				s.takeOver(x, w, until)
			}
		}
	}
}

// takenFor says for which other machine the user's hold is being freed that m
// would take again. If it is not free by when every lease is over, something else
// stands in the way, and others are let in again.
func (a *Active) takenFor(lic *License, m Machine, at Time, scope Scope) *Denial {
	for i := range a.Waiters {
		w := &a.Waiters[i]
		if w.Asks == TakeoverGrace && at < w.Until.Add(MaxLeaseTTL) && !w.Machine.Is(m) && (scope == ScopeUser || w.Product == lic.Product) {
			return &Denial{Reason: TakeoverUnderWay, Product: lic.Product, License: lic.ID, Machine: w.Machine, Until: w.Until}
		}
	}
	return nil
}

func (c LetGo) subject(*State) UserID { return c.User }

func (c LetGo) decide(s *State, at Time) *Denial {
	return Stop{ID: c.Session, User: c.User, Machine: c.Machine, Proof: c.Proof}.decide(s, at)
}

func (c LetGo) do(s *State, at Time) Outcome {
	x := s.Session(c.Session)
	if x == nil {
		return Outcome{Repeat: true}
	}
	if !x.Renewable(at) {
		copied := *x
		return Outcome{Session: &copied, Repeat: true}
	}
	copied := s.putOnNotice(x, Ending{Reason: EndLetGo, By: string(c.User), Until: at})
	s.emit(GivenUp{Session: copied})
	return Outcome{Session: &copied}
}

func (c Decline) subject(*State) UserID { return c.User }

func (c Decline) decide(s *State, at Time) *Denial {
	a, w := s.Active(c.User), s.waiter(c.User, c.ID)
	if w == nil || w.Asks == TakeoverRefuse {
		return deny(UnknownRequest)
	}
	lic, _, d := s.wants(c.User, w.Product, w.Machine, at)
	if d != nil {
		return deny(UnknownRequest) // it ends as soon as anything is done for the user
	}
	if d := s.asked(c, s.sessionsInTheWay(a, lic, w.Machine, at)); d != nil {
		return d
	}
	if w.Asks == TakeoverGrace {
		return &Denial{Reason: TakeoverUnderWay, Product: w.Product, License: lic.ID, Machine: w.Machine, Until: w.Until}
	}
	return nil
}

// asked says why a machine does not speak for any of its user's sessions that are in the
// way.
func (s *State) asked(c Decline, way []int) *Denial {
	d := deny(NotYours)
	if !c.Machine.valid() {
		return d
	}
	for _, i := range way {
		x := &s.Active(c.User).Sessions[i]
		if !x.Machine.Is(c.Machine) {
			continue
		}
		if d = s.holder(x.User, x.Machine, x.Proof, c.Proof); d == nil {
			return nil
		}
	}
	return d
}

func (c Decline) do(s *State, _ Time) Outcome {
	w := s.waiter(c.User, c.ID)
	if w.Declined {
		copied := *w
		return Outcome{Waiter: &copied, Repeat: true}
	}
	s.open(c.User)
	w.Declined = true
	s.emit(Declined{Waiter: *w, Machine: c.Machine})
	copied := *w
	return Outcome{Waiter: &copied}
}
