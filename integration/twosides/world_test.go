package twosides_test

import (
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// mustHappen is what the days have to be full of to show anything.
var mustHappen = []string{"agreed session", "agreed checkout", "start without a hold", "start alone", "cloud alone refuses, machine-active",
	"site refuses, machine-active", "site refuses, not-assigned", "site refuses, license-ended", "site refuses, user-blocked", "site refuses, unknown-user",
	"site refuses, checkout-too-long", "session put on notice", "provisional session confirmed", "session outlives its checkout", "checkout in conflict", "checkout checked in",
	"site refuses, checkout-off", "site refuses, feature-level", "site refuses, checkout-written-off",
	"agreed move", "cloud refuses move, move-locked", "cloud refuses move, user-not-found", "cloud refuses move, unknown-user",
	"cloud refuses move, other-account", "cloud refuses move, license-ended", "cloud refuses move, user-blocked"}

// ownReasons are refusals that are the site's own business.
var ownReasons = []license.Reason{license.TooManySessions, license.CloudNeeded, license.KeptForWaiter,
	license.CheckoutWrittenOff, license.TooManyCheckouts}

// step is one thing that happens.
func (w *world) step() {
	s := oneOf(w, w.sites)
	switch n := w.dice.IntN(100); {
	case n < 34:
		w.start(s)
	case n < 46:
		w.checkOut(s)
	case n < 58:
		if open := s.sessions(); len(open) > 0 {
			x := oneOf(w, open)
			w.say("%s: stop %s %s on %s", s.name, x.User, x.Product, x.Machine.Name)
			s.apply(license.Stop{ID: x.ID, User: x.User, Machine: x.Machine})
		}
	case n < 61:
		if open := s.checkouts(); len(open) > 0 {
			x := oneOf(w, open)
			w.say("%s: return %s %s on %s", s.name, x.User, x.Product, x.Machine.Name)
			s.apply(license.Return{ID: x.ID, User: x.User, Machine: x.Machine})
		}
	case n < 63:
		if open := s.checkouts(); len(open) > 0 {
			x := oneOf(w, open)
			w.say("%s: write off %s %s on %s", s.name, x.User, x.Product, x.Machine.Name)
			s.apply(license.WriteOff{Checkout: x.ID, By: "it", Note: "left on a train"})
			w.lost = append(w.lost, x.ID.String())
		}
	case n < 65:
		if open := s.sessions(); len(open) > 0 {
			x := oneOf(w, open)
			w.say("%s: a crash ends %s %s on %s", s.name, x.User, x.Product, x.Machine.Name)
			s.apply(license.Expire{ID: x.ID, Generation: x.Generation})
		}
	case n < 68:
		s.setLink(!s.link)
	case n < 82:
		w.pass(oneOf(w, jumps()))
	case n < 88:
		w.move(s)
		w.news()
	default:
		w.change()
		w.changed()
		w.news()
	}
}

// changed: there is something in the cloud that no site has read.
func (w *world) changed() {
	for _, s := range w.sites {
		s.stale = true
	}
}

// news reaches most sites at once.
func (w *world) news() {
	for _, s := range w.sites {
		if s.link && w.dice.IntN(5) > 0 {
			s.sync()
		}
	}
}

// pass lets time go by, through which clients and sites go on renewing.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.say("%v later", d)
	for range 2 {
		for _, s := range w.sites {
			if s.link {
				s.sync()
				s.renew()
			}
		}
		for _, s := range w.sites {
			s.due()
		}
	}
}

// change is something the vendor, an administrator or the world outside does in the cloud.
func (w *world) change() {
	u, l := w.user(), w.license()
	switch w.dice.IntN(19) {
	case 16, 17, 18:
		if n := len(w.lost); n > 0 {
			w.say("cloud: check in %s: %v", w.lost[n-1], w.cloud.CheckIn(w.lost[n-1]))
			w.lost = w.lost[:n-1]
			for _, s := range w.sites {
				s.returned = true
			}
		}
	case 0, 1, 2:
		to := w.user().ID
		_, err := w.cloud.Move(l.ID, to, "it@weir.example", "")
		w.say("cloud: move %s from %s to %s: %v", l.ID, l.AssignedTo, to, err)
	case 3:
		w.say("cloud: assign %s from %s to %s: %v", l.ID, l.AssignedTo, u.ID, w.cloud.Assign(l.ID, u.ID))
	case 4:
		w.say("cloud: assign %s from %s to nobody: %v", l.ID, l.AssignedTo, w.cloud.Assign(l.ID, ""))
	case 5:
		w.say("cloud: delete %s", u.ID)
		w.cloud.DeleteUser(u.ID)
		w.newUser()
	case 6, 7:
		u.Country = oneOf(w, countries)
		w.say("cloud: %s is in %q", u.ID, u.Country)
		w.cloud.PutUser(u)
	case 8:
		u.Blocked = !u.Blocked
		w.say("cloud: %s is blocked: %v", u.ID, u.Blocked)
		w.cloud.PutUser(u)
	case 9:
		l.EndsAt = w.now.Add(oneOf(w, []time.Duration{-time.Minute, 5 * time.Minute, time.Hour, 3 * day, 200 * day}))
		if l.EndsAt.After(l.StartsAt) {
			w.say("cloud: %s of %s ends at %s", l.ID, l.AssignedTo, l.EndsAt)
			w.cloud.PutLicense(l)
		}
	case 10:
		w.say("cloud: %s is active at HOME: %v", u.ID, w.cloud.HoldElsewhere(u.ID, "HOME"))
	case 11, 12:
		w.say("cloud: %s is no more active at HOME", u.ID)
		w.cloud.ReleaseElsewhere(u.ID)
	case 13:
		w.say("cloud: %s has another address: %v", u.ID, w.cloud.ChangeEmail(u.ID, oneOf(w, []string{"a", "b", "c"})+"."+u.ID+"@weir.example"))
	case 14:
		w.buy(oneOf(w, []string{"cap", "cap2"}), oneOf(w, []string{cloudapi.LicenseVirtuoso, cloudapi.LicenseVirtuoso, cloudapi.LicenseCommercial}),
			oneOf(w, []string{u.ID, u.ID, ""}))
		w.say("cloud: a new license")
	default:
		u.OtherAccount = !u.OtherAccount
		w.say("cloud: %s belongs to another account: %v", u.ID, u.OtherAccount)
		w.cloud.PutUser(u)
	}
}

// grant is what one machine has, in anyone's books.
type grant struct {
	where    string
	user     string
	license  string
	machine  license.Machine
	checkout bool
}

// check holds the books of all against each other.
func (w *world) check() {
	virtuoso := map[string]bool{}
	for _, l := range w.cloud.Licenses() {
		virtuoso[l.ID] = l.Kind == cloudapi.LicenseVirtuoso
	}
	var inCloud, atSites []grant
	for _, name := range []string{"", "north", "south"} {
		for _, h := range w.cloud.Holds(name) {
			if h.LicenseID == "" || virtuoso[h.LicenseID] && single(license.ProductID(h.ProductID)) {
				inCloud = append(inCloud, grant{"cloud, for " + name, h.UserID, h.LicenseID, license.Machine{ID: h.MachineID, Name: h.MachineName}, h.Kind == cloudapi.HoldCheckout})
			}
		}
	}
	for _, s := range w.sites {
		books := map[string]bool{}
		for _, h := range w.cloud.Holds(s.name) {
			books[h.Ref] = true
		}
		for _, x := range s.sessions() {
			if !x.Holds || x.Provisional || x.Notice != nil || !s.link {
				continue
			}
			if !books[x.ID.String()] {
				w.fail("%s: a session that was agreed to is not in the cloud's books: %+v", s.name, x)
			}
			atSites = append(atSites, grant{s.name, string(x.User), string(x.License), x.Machine, false})
		}
		for _, x := range s.checkouts() {
			if !books[x.ID.String()] && x.WrittenOff == nil {
				w.fail("%s: a checkout is not in the cloud's books: %+v", s.name, x)
			}
			if single(x.Product) && books[x.ID.String()] { // else it was written off and checked in
				atSites = append(atSites, grant{s.name, string(x.User), string(x.License), x.Machine, true})
			}
		}
	}
	for _, list := range [][]grant{inCloud, atSites} {
		for i, a := range list {
			for _, b := range list[:i] {
				if a.user == b.user && !a.machine.Is(b.machine) && (a.license == b.license || !a.checkout && !b.checkout) {
					w.fail("two machines: %+v and %+v", a, b)
				}
			}
		}
	}
}
