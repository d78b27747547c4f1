package twosides_test

import (
	"slices"
	"sync"
	"time"

	"sitegate/license"
)

var tallied sync.Mutex

// site is one gateway, without its processes: the rules, the client of the cloud, and between them what package gateway does, in its order and one
// thing at a time.
type site struct {
	w     *world
	name  string
	cloud *upstreamClient
	rules *license.State
	order uint64
	link  bool // up
	stale bool // the cloud has changed something that was not read yet
	// returned: the cloud has checked something in that was not asked about yet.
	returned bool
}

func (s *site) at() license.Time { return license.TimeOf(s.w.now) }

func (s *site) fence() license.Fence {
	s.order++
	return license.Fence{Epoch: 1, Term: 1, Order: s.order}
}

// apply decides a command, and gives back to the cloud what that has freed.
func (s *site) apply(c license.Command) license.Outcome {
	out, events := license.Apply(s.rules, license.Entry{At: s.at(), Command: c})
	for _, e := range events {
		switch f := e.Fact.(type) {
		case license.Stopped:
			s.freeSession(*f.Session)
		case license.Expired:
			s.freeSession(*f.Session)
		case license.Returned:
			s.freeCheckout(f.Checkout)
		case license.CheckoutEnded:
			s.freeCheckout(f.Checkout)
		case license.CheckedIn:
			s.w.did("checkout checked in")
			s.freeCheckout(f.Checkout)
		case license.Conflicted:
			s.w.did("session put on notice")
		}
	}
	return out
}

func (s *site) freeSession(x license.Session) {
	if x.Holds {
		s.giveBack(sessionHold(&x))
	}
}

// freeCheckout asks for what runs on before it gives the checkout back.
func (s *site) freeCheckout(x license.Checkout) {
	hold := license.CloudHold{Key: license.HoldKey(license.HoldCheckout, x.User, x.License), Kind: license.HoldCheckout,
		Ref: x.ID, User: x.User, Product: x.Product, License: x.License, Machine: x.Machine, Until: x.Until}
	refused := false
	for _, runs := range s.sessions() {
		if s.link && runs.Holds && runs.User == x.User && runs.License == x.License && runs.Machine.Is(x.Machine) {
			s.w.did("session outlives its checkout")
			refused = s.ask(sessionHold(&runs)) != nil || refused
		}
	}
	s.giveBack(hold)
	if refused {
		s.renew()
	}
}

func sessionHold(x *license.Session) license.CloudHold {
	return license.CloudHold{Key: license.HoldKey(license.HoldSession, x.User, x.License), Kind: license.HoldSession,
		Ref: x.ID, User: x.User, Product: x.Product, License: x.License, Machine: x.Machine, Feature: x.Feature}
}

func (s *site) giveBack(h license.CloudHold) {
	if !s.link {
		return // the full list does it when the link is up again
	}
	if err := s.cloud.Release(s.w.t.Context(), s.fence(), h); err != nil {
		s.w.fail("%s: giving %s back: %v", s.name, h.Key, err)
	}
}

// ask asks the cloud for a hold.
func (s *site) ask(h license.CloudHold) *license.Denial {
	d, err := s.cloud.Hold(s.w.t.Context(), s.fence(), h)
	if err != nil {
		s.w.fail("%s: asking for %+v: %v", s.name, h, err)
	}
	return d
}

// sync reads the change feed to its end.
func (s *site) sync() {
	for more := true; more; {
		from := s.rules.Head().Cursor
		page, err := s.cloud.Changes(s.w.t.Context(), from, 0)
		if err != nil {
			s.w.fail("%s: reading changes: %v", s.name, err)
		}
		out := s.apply(license.Mirror{From: from, Cursor: page.Cursor, Changes: page.Changes, Full: from == "", Last: !page.More})
		if out.Denial != nil {
			s.w.fail("%s: the rules refuse a page of the cloud's: %+v; %+v", s.name, out.Denial, page)
		}
		more = page.More
	}
	s.stale = false
}

// renew sends the full list, confirms what the cloud agrees to and puts on notice what it does not.
func (s *site) renew() {
	s.checkIn()
	fence, list := s.fence(), license.CloudHolds(s.rules)
	conflicts, err := s.cloud.RenewHolds(s.w.t.Context(), fence, list)
	if err != nil {
		s.w.fail("%s: renewing %+v: %v", s.name, list, err)
	}
	for _, h := range list {
		i := slices.IndexFunc(conflicts, func(c license.HoldConflict) bool { return c.Ref == h.Ref })
		switch {
		case h.Kind == license.HoldCheckout:
			if i >= 0 {
				s.w.did("checkout in conflict")
			}
		case i >= 0:
			s.w.say("%s: conflict about %v of %s on %s with %q", s.name, h.License, h.User, h.Machine.Name, conflicts[i].Machine.Name)
			s.apply(license.Conflict{Session: h.Ref, Machine: conflicts[i].Machine})
		case h.Provisional:
			s.w.did("provisional session confirmed")
			s.apply(license.Confirm{Session: h.Ref})
		}
	}
}

// checkIn confirms what was written off and is not in the cloud's books any more.
func (s *site) checkIn() {
	s.returned = false
	held, err := s.cloud.HeldCheckouts(s.w.t.Context())
	if err != nil {
		s.w.fail("%s: asking what it holds: %v", s.name, err)
	}
	for _, x := range s.checkouts() {
		if x.WrittenOff != nil && !slices.ContainsFunc(held, func(y license.Checkout) bool { return y.ID == x.ID }) {
			s.w.say("%s: the checkout of %s on %s is checked in", s.name, x.User, x.Machine.Name)
			if out := s.apply(license.CheckInConfirmed{Checkout: x.ID}); out.Denial != nil {
				s.w.fail("%s: the rules refuse the check-in of %+v: %+v", s.name, x, out.Denial)
			}
		}
	}
}

// due does what time has brought, after d has passed.
func (s *site) due() {
	for commands := license.Due(s.rules, s.at()); len(commands) > 0; commands = license.Due(s.rules, s.at()) {
		for _, c := range commands {
			if out := s.apply(c); out.Denial != nil {
				s.w.fail("%s: Due proposes %+v, which Apply refuses: %+v", s.name, c, out.Denial)
			}
		}
	}
	for _, x := range s.sessions() {
		if !x.Renewable(s.at()) {
			s.w.say("%s: session of %s on %s expires", s.name, x.User, x.Machine.Name)
			s.apply(license.Expire{ID: x.ID, Generation: x.Generation})
		}
	}
}

func (s *site) sessions() (list []license.Session) {
	s.rules.EachActive(func(a *license.Active) bool { list = append(list, a.Sessions...); return true })
	return list
}

func (s *site) checkouts() (list []license.Checkout) {
	s.rules.EachActive(func(a *license.Active) bool {
		for _, x := range a.Checkouts {
			if x.Until > s.at() {
				list = append(list, x)
			}
		}
		return true
	})
	return list
}

// onNotice reports whether the site keeps something of the user's that is running out, which the cloud may have given up already.
func (s *site) onNotice(user license.UserID) bool {
	return slices.ContainsFunc(s.sessions(), func(x license.Session) bool { return x.User == user && x.Notice != nil })
}

// setLink cuts the link, or mends it: then the feed is read and the full list sent, before anything is asked.
func (s *site) setLink(up bool) {
	if s.link == up {
		return
	}
	s.w.say("%s: link up %v", s.name, up)
	s.link = up
	s.apply(license.Link{Up: up, Contact: s.at()})
	if up {
		s.sync()
		s.renew()
	}
}

func jumps() []time.Duration {
	return []time.Duration{time.Second, time.Second, 10 * time.Second, time.Minute, 2 * time.Minute, 10 * time.Minute, time.Hour, 9 * time.Hour, day, 3 * day, 15 * day}
}
