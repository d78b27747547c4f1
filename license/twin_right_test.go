package license

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The part of the twin that is about licenses: who may use which, until when, and
// for how long it may be taken along.

const twinHour = Time(time.Hour / time.Millisecond)

type twinRight struct {
	License
	typ      string
	warnings []Warning
}

func (w *twin) mayAsk(user UserID, product ProductID) *Denial {
	u := w.user(user)
	switch {
	case w.product(product) == nil:
		return &Denial{Reason: "unknown-product", Product: product}
	case u == nil:
		return &Denial{Reason: "unknown-user", Product: product}
	case u.Blocked:
		return &Denial{Reason: "user-blocked", Product: product}
	case u.Country == "":
		return &Denial{Reason: "no-country", Product: product}
	}
	return nil
}

func (w *twin) inTerm(l License) bool {
	return l.Starts <= w.now() && (l.Ends == 0 || w.now() < l.Ends)
}

func (w *twin) inCountry(l License, user UserID) bool {
	return len(l.Countries) == 0 ||
		slices.ContainsFunc(l.Countries, func(c string) bool { return strings.EqualFold(c, w.user(user).Country) })
}

// assigned are the user's licenses of a product that are of use for it, by id.
func (w *twin) assigned(user UserID, product ProductID) []License {
	var list []License
	for _, l := range w.licenses {
		if l.Assignee == user && l.Product == product && (l.Kind != Virtuoso || !w.product(product).V8i) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b License) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// best is the license of a kind, in its term and for the user's country, that lasts
// longest.
func (w *twin) best(list []License, kind Kind, user UserID) *License {
	list = slices.Clone(list)
	slices.SortFunc(list, longestFirst)
	return twinFind(list, func(l *License) bool {
		return l.Kind == kind && w.inTerm(*l) && w.inCountry(*l, user)
	})
}

// foreign is the last license by its id that is in its term and not for the
// user's country.
func (w *twin) foreign(list []License, user UserID) (last *License) {
	for i := range list {
		if l := &list[i]; w.inTerm(*l) && !w.inCountry(*l, user) {
			last = l
		}
	}
	return last
}

func (w *twin) noneOf(list []License, product ProductID) *Denial {
	list = slices.Clone(list)
	slices.SortFunc(list, longestFirst)
	switch l := twinFind(list, func(l *License) bool { return !w.inTerm(*l) }); {
	case l == nil:
		return &Denial{Reason: "not-assigned", Product: product}
	case w.now() < l.Starts && (l.Ends == 0 || l.Starts < l.Ends):
		return &Denial{Reason: "license-not-started", Product: product, License: l.ID, Until: l.Starts}
	default:
		return &Denial{Reason: "license-ended", Product: product, License: l.ID, Until: l.Ends}
	}
}

// byName is the Virtuoso license that is the user's: what a checkout needs.
func (w *twin) byName(user UserID, product ProductID) (License, *Denial) {
	if d := w.mayAsk(user, product); d != nil {
		return License{}, d
	}
	mine := slices.DeleteFunc(w.assigned(user, product), func(l License) bool { return l.Kind != Virtuoso })
	if l := w.best(mine, Virtuoso, user); l != nil {
		return *l, nil
	}
	if l := w.foreign(mine, user); l != nil {
		return License{}, &Denial{Reason: "country", Product: product, License: l.ID}
	}
	return License{}, w.noneOf(mine, product)
}

// right is what a start is by: the user's own Virtuoso license, their own
// commercial one, what the account has for all, a trial, or by the site's leave.
func (w *twin) right(c Start) (twinRight, *Denial) {
	if d := w.mayAsk(c.User, c.Product); d != nil {
		return twinRight{}, d
	}
	mine := w.assigned(c.User, c.Product)
	var all []License
	for _, l := range w.licenses {
		if l.Assignee == "" && l.Product == c.Product && l.Kind != Virtuoso && w.inTerm(l) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b License) int { return cmp.Compare(a.ID, b.ID) })
	forAll := func(k Kind) *License {
		return twinFind(all, func(l *License) bool { return l.Kind == k && w.inCountry(*l, c.User) })
	}
	if l := w.best(mine, Virtuoso, c.User); l != nil {
		return w.record(c, *l, forAll(Commercial) != nil)
	}
	for _, try := range []struct {
		l       *License
		typ     string
		warning []Warning
	}{
		{w.best(mine, Commercial, c.User), "Commercial", nil},
		{forAll(Commercial), "Pooled", []Warning{"pooled-may-cost"}},
		{w.best(mine, Trial, c.User), "Trial", []Warning{"trial"}},
		{forAll(Trial), "Trial", []Warning{"trial"}},
	} {
		if try.l != nil {
			return twinRight{*try.l, try.typ, try.warning}, nil
		}
	}
	if w.product(c.Product).V8i && w.head.Settings.PassV8i {
		return twinRight{License{Product: c.Product, Kind: Commercial}, "Commercial", []Warning{"v8i"}}, nil
	}
	if l := w.foreign(mine, c.User); l != nil {
		return twinRight{}, &Denial{Reason: "country", Product: c.Product, License: l.ID}
	}
	if len(all) > 0 {
		return twinRight{}, &Denial{Reason: "country", Product: c.Product}
	}
	return twinRight{}, w.noneOf(mine, c.Product)
}

// record is what a start by the user's own license is recorded as: pooled, where
// the e-mail is not the assigned one or the client too old.
func (w *twin) record(c Start, l License, covered bool) (twinRight, *Denial) {
	r, email := twinRight{License: l}, w.user(c.User).Email
	if c.Email != "" && email != "" && !strings.EqualFold(c.Email, email) {
		if !covered {
			return r, &Denial{Reason: "not-assigned", Product: c.Product, License: l.ID, Email: email}
		}
		r.typ, r.warnings = "Pooled", append(r.warnings, "other-email")
	}
	if v := twinVersion(c.Client); v != "" && v < twinVersion("10.0.18.0") {
		r.typ, r.warnings = "Pooled", append(r.warnings, "client-outdated")
	}
	return r, nil
}

// twinVersion is a version as a text that can be compared: four parts of ten
// digits, "" for what is not one.
func twinVersion(s string) string {
	if s == "" {
		return ""
	}
	whole := ""
	parts := strings.Split(s, ".")
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	for _, p := range parts {
		whole += strings.Repeat("0", max(0, 10-len(p))) + p
	}
	return whole
}

// The end of a term.

func (w *twin) yields(x *Session) bool {
	return x.Notice == nil || x.Notice.Reason == "license-ended" && w.now()+w.grace() < x.Notice.Until || x.Notice.Reason == "takeover"
}

// leans: it needs the account to cover the product.
func twinLeans(x *Session) bool {
	return x.Pool || slices.Contains(x.Warnings, "other-email")
}

// rightEnds is the end of the session's license, or of the account's cover of its
// product where it needs that, whichever comes first; zero: none.
func (w *twin) rightEnds(x *Session) (Time, string) {
	until := Time(0)
	if !x.Pool {
		l := w.license(x.License)
		if l == nil || l.Assignee != x.User {
			return 0, ""
		}
		until = l.Ends
	}
	if w.user(x.User) == nil || !twinLeans(x) {
		return until, "license-ended"
	}
	kind := Commercial
	if x.Pool && x.Type == "Trial" {
		kind = Trial
	}
	var all []License
	for _, l := range w.licenses {
		if l.Product == x.Product && l.Assignee == "" && l.Kind == kind && w.inCountry(l, x.User) {
			all = append(all, l)
		}
	}
	ends := w.now()
	for range all { // each begins before the ones before it are over
		for _, l := range all {
			switch {
			case l.Starts <= ends && l.Ends == 0:
				return until, "license-ended"
			case l.Starts <= ends:
				ends = max(ends, l.Ends)
			}
		}
	}
	if ends == w.now() {
		return ends, "not-covered"
	}
	if until == 0 || ends < until {
		until = ends
	}
	return until, "license-ended"
}

// seeToEnd tells of an end that is near, or that there is none any more.
func (w *twin) seeToEnd(x *Session) {
	ends, why := w.rightEnds(x)
	ofTerm := x.Notice != nil && (x.Notice.Reason == "license-ended" || x.Notice.Reason == "not-covered") && w.now() < x.Notice.Until
	taken := x.Notice != nil && x.Notice.Reason == "takeover" && why == "not-covered"
	if x.Notice != nil && !ofTerm && !taken {
		return
	}
	if ends == 0 || w.now() < ends-twinHour {
		if x.Notice != nil {
			x.Notice, x.Warned = nil, 0
			w.tell(TermExtended{Session: *x})
		}
		return
	}
	if ends <= w.now() {
		ends = w.now() + w.grace()
		if ofTerm && x.Notice.Until <= ends {
			return
		}
	} else if ofTerm && x.Notice.Until == ends {
		return
	}
	w.ends(x, Ending{Reason: why, Until: w.byThen(x, ends)})
	w.tell(Conflicted{Session: *x})
}

// termChanged sees to what its user has by a license that ends at another time now.
func (w *twin) termChanged(l License) {
	for i := range w.sessions {
		if x := &w.sessions[i]; x.User == l.Assignee && x.License == l.ID {
			w.seeToEnd(x)
		}
	}
	w.flag(func(x *Checkout) bool {
		return x.User == l.Assignee && x.License == l.ID && l.Ends != 0 && l.Ends < x.Until
	}, "license-ended")
}

// covered notes whose cover a license has been, or is, where something is other
// than it was.
func (w *twin) covered(known bool, before License, l *License) {
	pool := func(l License) bool { return l.Assignee == "" && l.Kind != Virtuoso && l.Kind <= Trial }
	if known && l != nil {
		was, is := before, *l
		for _, x := range []*License{&was, &is} { // what does not count
			x.ID, x.AssignedAt, x.LastUsed, x.Told = "", 0, 0, 0
		}
		if text(was) == text(is) {
			return
		}
	}
	if known && pool(before) {
		w.covers = append(w.covers, before.Product)
	}
	if l != nil && pool(*l) {
		w.covers = append(w.covers, l.Product)
	}
}

// seeToCover sees to what runs by a cover that the command has changed.
func (w *twin) seeToCover() {
	slices.Sort(w.covers)
	for _, product := range slices.Compact(w.covers) {
		w.seeToPool(product)
	}
	slices.Sort(w.abroad)
	for _, user := range slices.Compact(w.abroad) {
		for i := range w.sessions {
			if x := &w.sessions[i]; x.User == user && twinLeans(x) {
				w.seeToEnd(x)
			}
		}
	}
	w.covers, w.abroad = nil, nil
}

// seeToPool sees to what runs by the cover of a product, user by user.
func (w *twin) seeToPool(product ProductID) {
	var users []UserID
	for _, x := range w.sessions {
		users = append(users, x.User)
	}
	slices.Sort(users)
	for _, user := range slices.Compact(users) {
		for i := range w.sessions {
			if x := &w.sessions[i]; x.User == user && x.Product == product && twinLeans(x) {
				w.seeToEnd(x)
			}
		}
	}
}

func (w *twin) remindTerm(c RemindTerm) Outcome {
	l := w.license(c.License)
	if l == nil || l.Ends == 0 {
		return Outcome{Repeat: true}
	}
	days := []int{60, 30, 7, 1}
	told := uint8(0)
	for _, d := range days {
		if l.Ends-Time(d)*twinDay <= w.now() {
			told++
		}
	}
	if told == 4 && l.Ends-twinHour <= w.now() {
		told = 5
	}
	if told <= l.Told {
		return Outcome{Repeat: true}
	}
	before := l.Told
	l.Told = told
	if last := min(told, 4); before < last && w.now() < l.Ends {
		to := slices.DeleteFunc(w.with(twinLookAfter), func(id UserID) bool { return id == l.Assignee })
		w.tell(LicenseEnds{License: l.ID, Product: l.Product, User: l.Assignee, Ends: l.Ends, Days: days[last-1], To: to})
	}
	if told < 5 {
		return Outcome{}
	}
	if l.Assignee == "" && l.Kind != Virtuoso {
		w.seeToPool(l.Product)
		return Outcome{}
	}
	for i := range w.sessions {
		if x := &w.sessions[i]; x.User == l.Assignee && x.License == l.ID {
			w.seeToEnd(x)
		}
	}
	return Outcome{}
}

// What may be taken along.

func (w *twin) policy(user UserID) CountryPolicy {
	if u := w.user(user); u != nil && u.Country != "" {
		for _, p := range w.head.Account.CountryPolicies {
			if strings.EqualFold(p.Country, u.Country) {
				return p
			}
		}
	}
	return CountryPolicy{}
}

// latest is the latest end that a checkout of the license may have; zero: any.
func (w *twin) latest(user UserID, l License) Time {
	latest := l.Ends
	for _, longest := range []time.Duration{w.head.Account.CheckoutMax, w.policy(user).CheckoutMax, w.head.Settings.CheckoutMax} {
		if until := w.now() + Time(longest/time.Millisecond); longest != 0 && (latest == 0 || until < latest) {
			latest = until
		}
	}
	return latest
}

func (w *twin) checkoutEnd(c CheckOut, l License) Time {
	if c.Until != 0 {
		return c.Until
	}
	end := w.now() + 14*twinDay
	if d := w.head.Settings.CheckoutDefault; d != 0 {
		end = w.now() + Time(d/time.Millisecond)
	}
	if latest := w.latest(c.User, l); latest != 0 && latest < end {
		end = latest
	}
	return end
}

// renewed is the checkout that this one takes the place of.
func (w *twin) renewed(c CheckOut, l License) *Checkout {
	return twinFind(w.checkouts, func(x *Checkout) bool {
		return x.User == c.User && x.License == l.ID && sameMachine(x.Machine, c.Machine) &&
			twinVersion(x.Version) == twinVersion(c.Version)
	})
}

func (w *twin) checkoutTerms(c CheckOut, l License) *Denial {
	no := func(r Reason, until Time) *Denial {
		return &Denial{Reason: r, Product: c.Product, License: l.ID, Until: until}
	}
	end := w.checkoutEnd(c, l)
	if end <= w.now() {
		return no("checkout-in-past", 0)
	}
	open := 0
	for _, x := range w.checkouts {
		if x.User != c.User {
			continue
		}
		open++
		if x.License == l.ID && x.WrittenOff != nil && sameMachine(x.Machine, c.Machine) && x.Until > w.now() {
			return no("checkout-written-off", x.Until)
		}
	}
	old := w.renewed(c, l)
	switch latest := w.latest(c.User, l); {
	case old != nil && end <= old.Until:
		return nil
	case old == nil && open >= 100:
		return no("too-many-checkouts", 0)
	case c.Imported:
		return nil
	case w.head.Settings.NoCheckouts:
		return &Denial{Reason: "checkout-off", Product: c.Product, License: l.ID, Here: true}
	case w.policy(c.User).NoCheckouts:
		return no("checkout-off", 0)
	case latest != 0 && end > latest:
		return no("checkout-too-long", latest)
	}
	return nil
}

// acquaint lets the checkouts of one license on one machine know its id and name.
func (w *twin) acquaint(x *Checkout) {
	same := func(y *Checkout) bool {
		return y.User == x.User && y.License == x.License && sameMachine(y.Machine, x.Machine)
	}
	for i := range w.checkouts {
		if y := &w.checkouts[i]; same(y) {
			x.Machine.ID, x.Machine.Name = cmp.Or(x.Machine.ID, y.Machine.ID), cmp.Or(x.Machine.Name, y.Machine.Name)
		}
	}
	for i := range w.checkouts {
		if y := &w.checkouts[i]; same(y) {
			y.Machine.ID, y.Machine.Name = cmp.Or(y.Machine.ID, x.Machine.ID), cmp.Or(y.Machine.Name, x.Machine.Name)
		}
	}
}

// nextReminder is three days before the end, or one, whichever is still to come.
func (w *twin) nextReminder(until Time) Time {
	for _, days := range []Time{3, 1} {
		if at := until - days*twinDay; at > w.now() {
			return at
		}
	}
	return 0
}

func (w *twin) writeOff(c WriteOff) Outcome {
	if c.By == "" || c.Note == "" || !twinName(c.By, c.Note) {
		return refuse(BadCommand)
	}
	x := w.checkout(c.Checkout)
	if x == nil || x.Until <= w.now() {
		return refuse(UnknownCheckout)
	}
	repeat := x.WrittenOff != nil
	if !repeat {
		x.WrittenOff, x.Remind = &Loss{By: c.By, Note: c.Note, At: w.now()}, 0
		w.tell(WrittenOff{Checkout: *x})
	}
	copied := *x
	return Outcome{Checkout: &copied, Repeat: repeat}
}

func (w *twin) booked(c Book) Outcome {
	x := w.checkout(c.Checkout)
	if x == nil || x.Until <= w.now() {
		return refuse(UnknownCheckout)
	}
	w.heard(w.now())
	if !x.Unbooked {
		return Outcome{Repeat: true}
	}
	x.Unbooked = false
	copied := *x
	return Outcome{Checkout: &copied}
}

func (w *twin) checkedIn(c CheckInConfirmed) Outcome {
	x := w.checkout(c.Checkout)
	if x == nil || x.Until <= w.now() || x.WrittenOff == nil || x.Unbooked {
		return refuse(UnknownCheckout)
	}
	w.heard(w.now())
	back := *x
	w.dropCheckout(back)
	w.tell(CheckedIn{Checkout: back})
	w.uncover(back)
	w.offer(back.User)
	return Outcome{Checkout: &back}
}
