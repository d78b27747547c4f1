package license

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// The half of the twin that is about the site as a whole.

func (w *twin) mirror(c Mirror) Outcome {
	if len(c.Changes) > 1000 || !twinSizes(c.Losing) {
		return refuse(BadCommand)
	}
	for _, change := range c.Changes {
		if !twinChange(change) {
			return refuse(BadCommand)
		}
	}
	anew := c.Full && c.From == ""
	if c.From != w.head.Cursor && !anew {
		return refuse(TooLate)
	}
	gone := w.wouldGo(c.Changes)
	if w.tooMuch(max(gone.Users, c.Losing.Users), max(gone.Licenses, c.Losing.Licenses), max(gone.Assignments, c.Losing.Assignments)) {
		return refuse(MirrorShrunk)
	}
	w.heard(w.now())
	if w.head.Filled {
		w.newDay()
		t := &w.head.Shrinkage.Taken
		t.Users, t.Licenses, t.Assignments = t.Users+gone.Users, t.Licenses+gone.Licenses, t.Assignments+gone.Assignments
	}
	none, odd, policy := len(w.odd) == 0, 0, false
	for _, change := range c.Changes {
		terms := w.terms()
		w.change(change, c.Full)
		policy = policy || w.head.Filled && !reflect.DeepEqual(terms, w.terms())
		if w.strange(change) {
			odd++
		}
	}
	w.seeToCover()
	began := anew && (w.head.Filled || w.head.Cursor != "")
	w.head.Cursor = c.Cursor
	if len(c.Changes) > 0 {
		w.tell(Mirrored{Cursor: c.Cursor, Changes: len(c.Changes), Full: c.Full, Last: c.Last, Policy: policy})
	}
	if odd > 0 && none {
		w.tell(MirrorQuarantined{Records: odd, To: w.with(twinLookAfter)})
	} else if odd > 0 {
		w.tell(MirrorQuarantined{Records: odd})
	}
	if c.Last {
		w.wholeAgain()
		w.head.Filled, w.head.Refilling = true, false
	} else if began {
		w.head.Refilling = true
	}
	return Outcome{}
}

// terms are what clients go by: of the account, and of each product.
func (w *twin) terms() any {
	a := w.head.Account
	products := map[ProductID]Product{}
	for _, p := range w.products {
		p.Name, p.Source = "", 0
		products[p.ID] = p
	}
	return []any{a.AutonomyCapped, a.AutonomyUncapped, a.CheckoutMax, append([]CountryPolicy{}, a.CountryPolicies...), products}
}

// twinChange: one thing is said, of something that has an id.
func twinChange(c Change) bool {
	said, fine := 0, true
	say := func(id string, rest ...string) {
		said++
		fine = fine && id != "" && twinName(id) && twinName(rest...)
	}
	if c.User != nil {
		say(string(c.User.ID), c.User.Email, c.User.Name, c.User.Country)
	}
	if c.Product != nil {
		say(string(c.Product.ID), c.Product.Name)
	}
	if c.License != nil {
		say(string(c.License.ID), string(c.License.Product), string(c.License.Assignee))
		fine = fine && twinName(c.License.Countries...) && len(c.License.Countries) <= 300
	}
	if a := c.Account; a != nil {
		say(a.ID, a.Name, a.FulfillmentContact.Name, a.FulfillmentContact.Email)
		for _, p := range a.Administrators {
			fine = fine && twinName(p.Name, p.Email)
		}
		fine = fine && len(a.Administrators) <= 100 && len(a.CountryPolicies) <= 300 && a.AutonomyCapped >= 0 && a.AutonomyUncapped >= 0 && a.CheckoutMax >= 0
	}
	for _, id := range []string{string(c.DeleteUser), string(c.DeleteProduct), string(c.DeleteLicense)} {
		if id != "" {
			say(id)
		}
	}
	return said == 1 && fine && twinName(c.Malformed)
}

// strange keeps the list of what could not be understood, and reports what is new in it.
func (w *twin) strange(c Change) bool {
	about := Quarantined{Kind: KeyHead, Why: c.Malformed, Since: w.now()}
	for kind, ids := range map[KeyKind][]string{KeyUser: {string(c.DeleteUser)}, KeyProduct: {string(c.DeleteProduct)}, KeyLicense: {string(c.DeleteLicense)}} {
		if c.User != nil && kind == KeyUser {
			ids = append(ids, string(c.User.ID))
		}
		if c.Product != nil && kind == KeyProduct {
			ids = append(ids, string(c.Product.ID))
		}
		if c.License != nil && kind == KeyLicense {
			ids = append(ids, string(c.License.ID))
		}
		for _, id := range ids {
			if id != "" {
				about.Kind, about.ID = kind, id
			}
		}
	}
	for i, q := range w.odd {
		switch {
		case q.Kind != about.Kind || q.ID != about.ID:
		case c.Malformed == "":
			w.odd = slices.Delete(w.odd, i, i+1)
			return false
		default:
			w.odd[i].Why = c.Malformed
			return false
		}
	}
	if c.Malformed == "" || len(w.odd) == 1000 {
		return false
	}
	w.odd = append(w.odd, about)
	return true
}

func (w *twin) change(c Change, quiet bool) {
	switch {
	case c.User != nil:
		if old := w.user(c.User.ID); old != nil && !strings.EqualFold(old.Country, c.User.Country) {
			w.abroad = append(w.abroad, old.ID)
		}
		w.users = slices.DeleteFunc(w.users, func(u User) bool { return u.ID == c.User.ID })
		w.users = append(w.users, *c.User)
		if c.User.Blocked {
			w.rightIsGone(c.User.ID, "")
		}
	case c.DeleteUser != "":
		known := w.user(c.DeleteUser) != nil
		if known {
			w.keys = slices.DeleteFunc(w.keys, func(k twinKey) bool { return k.user == c.DeleteUser })
		}
		w.users = slices.DeleteFunc(w.users, func(u User) bool { return u.ID == c.DeleteUser })
		w.pooled = slices.DeleteFunc(w.pooled, func(u twinUse) bool { return u.user == c.DeleteUser })
		w.rightIsGone(c.DeleteUser, "")
		if known {
			w.userIsGone(c.DeleteUser)
		}
	case c.Product != nil:
		w.products = slices.DeleteFunc(w.products, func(p Product) bool { return p.ID == c.Product.ID })
		w.products = append(w.products, *c.Product)
	case c.DeleteProduct != "":
		w.products = slices.DeleteFunc(w.products, func(p Product) bool { return p.ID == c.DeleteProduct })
	case c.License != nil:
		w.moved(c.License.ID, c.License, quiet)
	case c.DeleteLicense != "":
		w.moved(c.DeleteLicense, nil, quiet)
	case c.Account != nil:
		w.head.Account = *c.Account
	}
}

// moved replaces a license, or removes it, and tells who lost and who got it.
func (w *twin) moved(id LicenseID, l *License, quiet bool) {
	var before, after License
	if old := twinFind(w.licenses, func(l *License) bool { return l.ID == id }); old != nil {
		before = *old
	}
	after.Product = before.Product
	known := w.license(id) != nil
	w.covered(known, before, l)
	if !quiet {
		w.tellKeepers(id, known, before, l)
	}
	w.licenses = slices.DeleteFunc(w.licenses, func(l License) bool { return l.ID == id })
	if l != nil {
		after = *l
		after.LastUsed = 0
		if known && before.Assignee == after.Assignee {
			after.LastUsed = before.LastUsed
		}
		after.Told = 0
		if known && before.Ends == after.Ends && before.Assignee == after.Assignee {
			after.Told = before.Told
		} else if after.Ends != 0 && after.Ends <= w.now() {
			after.Told = 5
		}
		w.licenses = append(w.licenses, after)
	}
	if before.Assignee == after.Assignee {
		if known && l != nil && before.Product != after.Product {
			w.rightIsGone(before.Assignee, id)
		} else if known && l != nil && before.Ends != after.Ends && after.Assignee != "" {
			w.termChanged(after)
		}
		return
	}
	if before.Assignee != "" {
		w.tell(Unassigned{User: before.Assignee, License: id, Product: after.Product})
		w.rightIsGone(before.Assignee, id)
	}
	if after.Assignee != "" && !quiet {
		w.tell(Assigned{User: after.Assignee, License: id, Product: after.Product})
	}
}

// rightIsGone gives the user's sessions, of one license or all, time to save.
func (w *twin) rightIsGone(user UserID, lic LicenseID) {
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.User == user && w.yields(x) && (lic == "" || lic == x.License) {
			w.ends(x, Ending{Reason: "unassigned", Until: w.byThen(x, w.now()+w.grace())})
			w.tell(Conflicted{Session: *x})
		}
	}
	w.flag(func(x *Checkout) bool { return x.User == user && (lic == "" || lic == x.License) }, "unassigned")
}

func (w *twin) link(c Link) Outcome {
	w.heard(min(c.Contact, w.now()))
	if read := min(c.Read, w.now()); read > w.head.Link.Read {
		w.head.Link.Read = read
	}
	was, is := w.head.Link, w.head.Link
	is.Up, is.Slow, is.Stale = c.Up, c.Up && c.Slow, !c.Up && is.Contact > 0 && w.now()-is.Contact >= 2*60*60*1000
	if was.Since != 0 && is == was {
		return Outcome{Repeat: true}
	}
	is.Since = w.now()
	w.head.Link = is
	if was.Since == 0 || is.Up != was.Up {
		w.tell(LinkChanged{Up: c.Up, Contact: is.Contact})
	}
	if is.Up && is.Slow != was.Slow {
		w.tell(LinkSlowed{Slow: is.Slow, To: w.with(twinLookAfter)})
	}
	if is.Stale && !was.Stale {
		w.tell(LinkStaled{Contact: is.Contact, To: w.with(twinLookAfter)})
	}
	return Outcome{}
}

func (w *twin) noteCloud(c NoteCloud) Outcome {
	k := w.head.Cloud
	if c.Feed > 2 || c.Holds > 2 || c.Moves > 2 || c.Books > 2 || c.Usage > 3 {
		return refuse(BadCommand)
	}
	news := false
	see := func(found Offered, known Capability) Capability {
		if found == 0 || found == known.Offered {
			return known
		}
		news = true
		return Capability{Offered: found, Since: w.now()}
	}
	k.Feed, k.Holds, k.Moves, k.Books = see(c.Feed, k.Feed), see(c.Holds, k.Holds), see(c.Moves, k.Moves), see(c.Books, k.Books)
	if k.UsageHow == 0 || k.Usage != c.Usage {
		k.Usage, k.UsageHow, news = c.Usage, w.now(), true
	}
	w.head.Cloud = k
	return Outcome{Repeat: !news}
}

func (w *twin) configure(c Configure) Outcome {
	x := c.Settings
	bad := x.SessionScope > ScopeLicense || x.CheckoutScope > ScopeLicense ||
		x.LeaseTTL != 0 && (x.LeaseTTL < 3*time.Minute || x.LeaseTTL > time.Hour) || x.CheckoutMax < 0 || x.CheckoutDefault < 0 || x.SaveGrace < 0 ||
		x.AutonomyCapped != nil && *x.AutonomyCapped < 0 || x.AutonomyUncapped != nil && *x.AutonomyUncapped < 0
	if grace := x.TakeoverGrace; bad || x.Takeover > 2 || grace != 0 && (grace < time.Minute || grace > time.Hour) || !twinModes(x.Modes) {
		return refuse(BadCommand)
	}
	if len(x.Hosts) > 256 {
		return refuse(BadCommand)
	}
	for _, h := range x.Hosts {
		if h == "" || !twinName(h) {
			return refuse(BadCommand)
		}
	}
	if len(x.Modes) == 0 {
		x.Modes = nil
	}
	if len(x.Hosts) == 0 {
		x.Hosts = nil
	}
	if text(x) == text(w.head.Settings) {
		return Outcome{Repeat: true}
	}
	w.head.Settings = x
	if r := &w.head.Restored; x.Relay && !r.Pending && r.At != 0 && w.now() < r.Until {
		r.Until = r.At + Time(w.longest()/time.Millisecond)
	}
	w.tell(Configured{Settings: x})
	return Outcome{}
}

func (w *twin) found(c Found) Outcome {
	switch {
	case c.Cluster == "" || !twinName(c.Cluster) || c.Level == 0 || c.Level > Level:
		return refuse(BadCommand)
	case w.head.Cluster == c.Cluster:
		return Outcome{Repeat: true}
	case w.head.Cluster != "":
		return refuse(IDInUse)
	}
	w.head.Cluster, w.head.Epoch, w.head.Level, w.head.UsedFrom = c.Cluster, 1, c.Level, w.now()
	w.head.Audit.Secret = c.Seed
	return Outcome{}
}

func (w *twin) refused(c Refused) Outcome {
	if c.User == "" || c.Denial.Reason == "" || !twinMachine(c.Machine) || !twinName(string(c.User), string(c.Denial.Reason), c.Client) {
		return refuse(BadCommand)
	}
	w.tell(Attempted(c))
	if c.Denial.Reason == "machine-clone" {
		w.tell(CloneSeen{User: c.User, Machine: c.Machine, To: w.with(twinLookAfter)})
	}
	return Outcome{}
}

// imports takes what an administrator's file says.
func (w *twin) imports(c Import) Outcome {
	fine := c.By != "" && twinName(c.By, c.Note) && len(c.Changes) <= 1000
	for _, x := range c.Changes {
		fine = fine && twinChange(x) && x.Account == nil && x.Malformed == ""
		if x.Product != nil && x.Product.Capped == CappedNo {
			fine = false
		}
	}
	if !fine {
		return refuse(BadCommand)
	}
	if w.head.Cursor != "" {
		return refuse(MirrorFollows)
	}
	filled := w.head.Filled
	for _, x := range c.Changes {
		if x.User != nil {
			u := *x.User
			u.Source = FromFile
			x.User = &u
		}
		if x.Product != nil {
			p := *x.Product
			p.Source = FromFile
			x.Product = &p
		}
		if x.License != nil {
			l := *x.License
			l.Source = FromFile
			x.License = &l
		}
		w.change(x, !filled)
	}
	w.seeToCover()
	if c.Last {
		w.head.Filled, w.head.Imported = true, w.now()
		assigned := 0
		for _, l := range w.licenses {
			if l.Assignee != "" {
				assigned++
			}
		}
		w.head.Shrinkage = Shrinkage{Of: Sizes{len(w.users), len(w.licenses), assigned}, Since: w.now()}
	}
	w.tell(Imported{By: c.By, Note: c.Note, Changes: len(c.Changes), Last: c.Last})
	return Outcome{}
}
