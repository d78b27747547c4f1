package twosides_test

import (
	"slices"
	"time"

	"sitegate/license"
	"sitegate/upstream"
	"sitegate/upstream/cloudapi"
)

type upstreamClient = upstream.Client

// start asks both sides for a session.
func (w *world) start(s *site) {
	c := license.Start{ID: w.id(), User: license.UserID(w.user().ID), Product: w.product(), Machine: oneOf(w, machines), Version: oneOf(w, versions),
		Client: "23.0.1.25", Feature: oneOf(w, []string{"", "Advanced", "Advanced"}), Agreed: true}
	hold, needed := license.WouldHold(s.rules, s.at(), c)
	d := license.Check(s.rules, s.at(), c)
	w.say("%s: start %s %s on %s: the site says %s", s.name, c.User, c.Product, c.Machine.Name, words(d))
	agreed := func(yes bool) license.Command { c.Agreed = yes; return c }
	if !s.link {
		w.alone(s, agreed(false))
		return
	}
	if d != nil {
		w.refused(s, d, license.CloudHold{Key: license.HoldKey(license.HoldSession, c.User, d.License), Kind: license.HoldSession, Ref: c.ID,
			User: c.User, Product: c.Product, License: d.License, Machine: c.Machine, Feature: c.Feature})
		return
	}
	if needed {
		w.agree(s, hold, agreed)
		return
	}
	out := s.apply(agreed(true))
	if out.Denial != nil {
		w.fail("%s: Check lets pass what Apply refuses: %+v", s.name, out.Denial)
	}
	w.did("start without a hold")
	x := out.Session
	if !x.UnderCheckout.IsZero() || s.stale || x.License == "" {
		return
	}
	probe := sessionHold(x)
	if d := s.ask(probe); d != nil {
		w.fail("%s: the site grants %s of %s on %s without asking, and the cloud would refuse it: %s", s.name, x.License, x.User, x.Machine.Name, words(d))
	}
	s.giveBack(probe)
}

// checkOut asks both sides for a checkout, new or in place of one that is out.
func (w *world) checkOut(s *site) {
	days := oneOf(w, []int{0, 1, 2, 5, 10, 30, 60, 200})
	c := license.CheckOut{ID: w.id(), User: license.UserID(w.user().ID), Product: w.product(), Machine: oneOf(w, machines), Version: oneOf(w, versions),
		Agreed: true}
	if days > 0 {
		c.Until = s.at().Add(time.Duration(days)*day + 7*time.Minute)
	}
	if open := s.checkouts(); len(open) > 0 && w.dice.IntN(3) == 0 {
		x := oneOf(w, open)
		c.User, c.Product, c.Machine, c.Version = x.User, x.Product, x.Machine, x.Version
	}
	if c.Until == 0 { // what is asked of the cloud is what is granted
		c.Until = license.CheckoutEnd(s.rules, s.at(), c)
	}
	hold, needed := license.WouldHold(s.rules, s.at(), c)
	d := license.Check(s.rules, s.at(), c)
	w.say("%s: check out %s %s on %s for %d days: the site says %s", s.name, c.User, c.Product, c.Machine.Name, days, words(d))
	agreed := func(yes bool) license.Command { c.Agreed = yes; return c }
	switch {
	case !s.link:
		w.alone(s, agreed(false))
	case d != nil && c.Until == 0:
		w.did("site refuses, " + string(d.Reason)) // there is nothing to ask for
	case d != nil:
		w.refused(s, d, license.CloudHold{Key: license.HoldKey(license.HoldCheckout, c.User, d.License), Kind: license.HoldCheckout, Ref: c.ID,
			User: c.User, Product: c.Product, License: d.License, Machine: c.Machine, Until: c.Until})
	case !needed:
		w.fail("%s: a checkout that needs no hold: %+v", s.name, c)
	default:
		w.agree(s, hold, agreed)
	}
}

// move asks both sides to assign a license to someone else.
func (w *world) move(s *site) {
	l := w.license()
	c := license.Move{License: license.LicenseID(l.ID), To: license.UserID(w.user().ID), By: "it@weir.example", Agreed: true}
	if w.dice.IntN(10) == 0 {
		c.To = "u-nobody"
	}
	d := license.Check(s.rules, s.at(), c)
	w.say("%s: move %s from %s to %s: the site says %s", s.name, c.License, l.AssignedTo, c.To, words(d))
	if !s.link {
		return
	}
	cloud, err := s.cloud.Move(w.t.Context(), c)
	switch {
	case err != nil:
		w.fail("%s: moving %s to %s: %v", s.name, c.License, c.To, err)
	case cloud == nil:
		w.did("agreed move")
		w.changed()
		if d != nil && !s.stale {
			w.fail("%s: the site refuses to move %s to %s with %s, and the cloud does it", s.name, c.License, c.To, words(d))
		}
		if out := s.apply(c); d == nil && out.Denial != nil {
			w.fail("%s: Check lets pass and the cloud does what Apply refuses: %+v", s.name, out.Denial)
		}
	default:
		w.did("cloud refuses move, " + string(cloud.Reason))
		c.Agreed = false
		if out := s.apply(c); out.Denial == nil && !out.Repeat {
			w.fail("%s: the cloud refuses to move %s to %s with %s, and the rules do it", s.name, c.License, c.To, words(cloud))
		}
		if s.stale {
			return
		}
		if d == nil {
			w.fail("%s: the site would move %s to %s, and the cloud refuses it to a site that knows all it knows: %s", s.name, c.License, c.To, words(cloud))
		}
		if d.Reason != cloud.Reason || d.Person != cloud.Person || d.Until != cloud.Until {
			w.fail("%s: of the move of %s to %s the site says %+v, the cloud %+v", s.name, c.License, c.To, d, cloud)
		}
	}
}

// alone is what the site decides while it cannot ask.
func (w *world) alone(s *site, c license.Command) {
	out := s.apply(c)
	if out.Checkout != nil && !out.Repeat {
		w.fail("%s: a checkout without the cloud: %+v", s.name, out.Checkout)
	}
	if x := out.Session; x != nil {
		w.did("start alone")
		if x.Holds && !x.Provisional {
			w.fail("%s: a session granted alone that is not provisional: %+v", s.name, x)
		}
	}
}

// agree asks the cloud for what the site would grant.
func (w *world) agree(s *site, hold license.CloudHold, command func(agreed bool) license.Command) {
	d := s.ask(hold)
	if d == nil {
		out := s.apply(command(true))
		if out.Denial != nil {
			w.fail("%s: Check lets pass and the cloud agrees to what Apply refuses: %+v", s.name, out.Denial)
		}
		w.did("agreed " + hold.Kind.String())
		return
	}
	w.did("cloud alone refuses, " + string(d.Reason))
	if !s.stale && !(d.Reason == license.MachineActive && w.heldOutside(s, hold)) {
		w.fail("%s: the site would grant %+v, and the cloud refuses it to a site that knows all it knows: %s", s.name, hold, words(d))
	}
	if s.rules.Autonomy(true) > 0 && hold.Kind == license.HoldSession {
		return // the gateway has its answer, and proposes nothing
	}
	if out := s.apply(command(false)); out.Denial == nil {
		w.fail("%s: the cloud refuses %+v with %s, and the rules grant it", s.name, hold, words(d))
	}
}

// refused asks the cloud for what the site refuses: there has to be a reason of the site's own if the cloud would grant it.
func (w *world) refused(s *site, d *license.Denial, hold license.CloudHold) {
	w.did("site refuses, " + string(d.Reason))
	if s.stale || s.returned || s.onNotice(hold.User) || slices.Contains(ownReasons, d.Reason) {
		return
	}
	licenses := []license.LicenseID{hold.License}
	if hold.License == "" {
		licenses = licenses[:0] // every one; but a site checks out by name only
		for _, l := range w.cloud.Licenses() {
			if license.ProductID(l.ProductID) == hold.Product && (l.Kind == cloudapi.LicenseVirtuoso || hold.Kind == license.HoldSession) {
				licenses = append(licenses, license.LicenseID(l.ID))
			}
		}
	}
	for _, l := range licenses {
		hold.License, hold.Key = l, license.HoldKey(hold.Kind, hold.User, l)
		cloud := s.ask(hold)
		if cloud == nil {
			w.fail("%s: the site refuses with %s, and the cloud would grant %+v", s.name, words(d), hold)
		}
		if d.License == l && !sameReason(d.Reason, cloud.Reason) {
			w.fail("%s: the site refuses %+v with %s, the cloud with %s", s.name, hold, words(d), words(cloud))
		}
	}
}

// single reports whether the product's Virtuoso licenses are for one machine at a time.
func single(p license.ProductID) bool { return p != "open" && p != "v8i" }

// heldOutside reports whether the cloud knows of a hold of the user's that is not this site's.
func (w *world) heldOutside(s *site, h license.CloudHold) bool {
	for _, other := range []string{"", "north", "south"} {
		for _, o := range w.cloud.Holds(other) {
			if other != s.name && o.UserID == string(h.User) {
				return true
			}
		}
	}
	return false
}

// sameReason compares what the two say of the same thing: the cloud has fewer words for some of it.
func sameReason(site, cloud license.Reason) bool {
	switch site {
	case license.LicenseNotStarted:
		return cloud == license.LicenseEnded
	case license.UnknownUser, license.UnknownProduct:
		return cloud == license.NotAssigned
	}
	return site == cloud
}

func words(d *license.Denial) string {
	if d == nil {
		return "yes"
	}
	if d.Machine.Name != "" {
		return string(d.Reason) + " because of " + d.Machine.Name
	}
	return string(d.Reason)
}
