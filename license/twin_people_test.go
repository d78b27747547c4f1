package license

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The part of the twin that is about what IT does, and is told.

const (
	twinLookAfter = RoleAdministrator | RoleCoAdministrator | RoleLicenseAdministrator
	twinDay       = Time(24 * time.Hour / time.Millisecond)
)

// with are the users with one of the roles, by it or by their e-mail's being named in
// the account, and then the e-mails named there that are no user's; twenty at most.
func (w *twin) with(roles Roles) []UserID {
	var to, mails []UserID
	named := func(email string) (r Roles) {
		for _, a := range w.head.Account.Administrators {
			if a.Email != "" && strings.EqualFold(a.Email, email) {
				r |= RoleAdministrator
			}
		}
		if c := w.head.Account.FulfillmentContact; c.Email != "" && strings.EqualFold(c.Email, email) {
			r |= RoleFulfillment
		}
		return r
	}
	for _, u := range w.users {
		if (u.Roles|named(u.Email))&roles != 0 && !u.Blocked {
			to = append(to, u.ID)
		}
	}
	slices.Sort(to)
	for _, a := range append(slices.Clone(w.head.Account.Administrators), w.head.Account.FulfillmentContact) {
		if named(a.Email)&roles != 0 && twinFind(w.users, func(u *User) bool { return strings.EqualFold(u.Email, a.Email) }) == nil {
			mails = append(mails, UserID("mailto:"+strings.ToLower(a.Email)))
		}
	}
	slices.Sort(mails)
	to = append(to, slices.Compact(mails)...)
	if len(to) > 20 {
		to = to[:20]
	}
	return to
}

func (w *twin) used(id LicenseID) {
	if l := w.license(id); l != nil && (l.LastUsed == 0 || l.LastUsed+twinDay <= w.now()) {
		l.LastUsed = w.now()
	}
}

// countDays notes each day on which a session that is over was pooled.
func (w *twin) countDays(x Session) {
	if !x.Pool || x.Type != "Pooled" || w.user(x.User) == nil {
		return
	}
	for day := x.Since / twinDay; day <= w.now()/twinDay; day++ {
		if u := (twinUse{x.User, x.Product, day}); !slices.Contains(w.pooled, u) {
			w.pooled = append(w.pooled, u)
		}
	}
}

// usedDays are those of the last 60 days, in order.
func (w *twin) usedDays() []twinUse {
	var list []twinUse
	for _, u := range w.pooled {
		if u.day > w.now()/twinDay-60 {
			list = append(list, u)
		}
	}
	return sortedUses(list)
}

// usedDays is what a state remembers, written out.
func usedDays(s *State) []twinUse {
	var list []twinUse
	for user, p := range s.poolUse {
		for _, of := range p.Of {
			for back := range Time(64) {
				if day := Time(of.Last) - back; of.Days>>back&1 > 0 && day > s.head.Now/twinDay-60 {
					list = append(list, twinUse{user, of.Product, day})
				}
			}
		}
	}
	return sortedUses(list)
}

func sortedUses(list []twinUse) []twinUse {
	slices.SortFunc(list, func(a, b twinUse) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.product, b.product), cmp.Compare(a.day, b.day))
	})
	return list
}

// remind tells the administrators once a week, of something.
func (w *twin) remind(c Remind) Outcome {
	if !w.head.Filled || w.head.Reminded != 0 && w.now() < w.head.Reminded+7*twinDay {
		return Outcome{Repeat: true}
	}
	w.head.Reminded = w.now()
	if to := w.with(twinLookAfter); c.Counts != (ReminderCounts{}) && len(to) > 0 {
		w.tell(Reminded{Counts: c.Counts, To: to})
	}
	return Outcome{}
}

// flag tells IT, once, of checkouts whose right is gone.
func (w *twin) flag(meant func(*Checkout) bool, reason string) {
	for i := range w.checkouts {
		x := &w.checkouts[i]
		if meant(x) && x.Flagged == 0 && w.now() < x.Until {
			x.Flagged = w.now()
			w.tell(CheckoutFlagged{Checkout: *x, Reason: reason, To: w.with(twinLookAfter)})
		}
	}
}

func (w *twin) userIsGone(user UserID) {
	var lost []License
	for _, l := range w.licenses {
		if l.Assignee == user && (l.Ends == 0 || w.now() < l.Ends) {
			lost = append(lost, l)
		}
	}
	slices.SortFunc(lost, func(a, b License) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, l := range lost {
		w.tell(UserMissing{User: user, License: l.ID, Product: l.Product, To: w.with(twinLookAfter)})
	}
}

// tellKeepers tells who looks after licenses of one that is new, gone or changed.
func (w *twin) tellKeepers(id LicenseID, known bool, before License, l *License) {
	f := LicenseChanged{License: id, New: !known, Gone: l == nil, Product: before.Product, Ends: before.Ends}
	if l != nil {
		f.Product, f.Ends = l.Product, l.Ends
	}
	news := l == nil && known || l != nil && !known ||
		l != nil && (l.Product != before.Product || l.Starts != before.Starts || l.Ends != before.Ends || l.Kind != before.Kind ||
			!slices.Equal(l.Countries, before.Countries))
	if f.To = w.with(twinLookAfter | RoleFulfillment); news && len(f.To) > 0 {
		w.tell(f)
	}
}

// Blocks.

// keptOut says which block keeps the user, or else the machine, out.
func (w *twin) keptOut(user UserID, m Machine, product ProductID) *Denial {
	if b := w.barOf(user, Machine{}); b != nil {
		return &Denial{Reason: "user-blocked-here", Product: product, Who: b.By, Note: b.Note, Since: b.Since}
	}
	if b := w.barOn(user, m); b != nil {
		return w.outBy(b, m, product)
	}
	return nil
}

// outBy names the machine as it was blocked, where it goes by another name.
func (w *twin) outBy(b *Bar, m Machine, product ProductID) *Denial {
	if !sameMachine(b.Machine, m) {
		m = b.Machine
	}
	return &Denial{Reason: "machine-blocked", Product: product, Machine: m, Who: b.By, Note: b.Note, Since: b.Since}
}

// barOn is the block of a user's machine, or else of a key that it goes by.
func (w *twin) barOn(user UserID, m Machine) *Bar {
	if b := w.barOf("", m); b != nil {
		return b
	}
	var keys []twinKey
	for _, k := range w.keys {
		if k.user == user && k.Machine.ID == m.ID {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b twinKey) int { return cmp.Compare(a.Proof.Host, b.Proof.Host) })
	for _, k := range keys {
		if b := w.barOfKey(k.Proof.Key); b != nil {
			return b
		}
	}
	return nil
}

// barOfKey is, of the blocks that hold a key, the first in order.
func (w *twin) barOfKey(key Digest) (first *Bar) {
	for i := range w.bars {
		if b := &w.bars[i]; slices.Contains(b.Keys, key) && (first == nil || b.Key() < first.Key()) {
			first = b
		}
	}
	return first
}

// barKey adds a key to a block, unless it is in one.
func (w *twin) barKey(c BarKey) Outcome {
	if c.User == "" || !twinName(string(c.User)) || !twinMachine(c.Machine) || c.Key == (Digest{}) {
		return refuse(BadCommand)
	}
	b := w.barOn(c.User, c.Machine)
	if b == nil || w.barOfKey(c.Key) != nil || len(b.Keys) >= 64 {
		return Outcome{Repeat: true}
	}
	b.Keys = append(slices.Clone(b.Keys), c.Key)
	slices.SortFunc(b.Keys, func(a, b Digest) int { return cmp.Compare(string(a[:]), string(b[:])) })
	w.tell(KeyBarred{Bar: *b, User: c.User, Key: c.Key})
	w.clear(*b)
	return Outcome{}
}

// barOf is the block of the user, or of the machine: the one of its id before one
// of its name, and of those the first in the order of what they block.
func (w *twin) barOf(user UserID, m Machine) *Bar {
	if user != "" {
		return twinFind(w.bars, func(b *Bar) bool { return b.User == user })
	}
	if b := twinFind(w.bars, func(b *Bar) bool { return m.ID != "" && b.Machine.ID == m.ID }); b != nil {
		return b
	}
	var first *Bar
	for i := range w.bars {
		b := &w.bars[i]
		if b.User != "" || !sameMachine(b.Machine, m) {
			continue
		}
		if first == nil || first.Machine.ID == "" || b.Machine.ID != "" && b.Machine.ID < first.Machine.ID {
			first = b
		}
	}
	return first
}

func twinBar(user UserID, m Machine, by, note string) bool {
	named := by != "" && twinName(by, note)
	if user != "" {
		return named && twinName(string(user)) && m.ID == "" && m.Name == ""
	}
	return named && twinMachine(m)
}

// thereIs is the very block of a user, an id, or a name without an id.
func (w *twin) thereIs(user UserID, m Machine) bool {
	return nil != twinFind(w.bars, func(b *Bar) bool {
		if user != "" || b.User != "" {
			return b.User == user
		}
		return b.Machine.ID == m.ID && (m.ID != "" || sameMachine(b.Machine, m))
	})
}

func (w *twin) somethingOpen(user UserID) bool {
	return len(w.waiting(user)) > 0 || len(w.keptFor(user)) > 0 ||
		nil != twinFind(w.sessions, func(x *Session) bool { return x.User == user }) ||
		nil != twinFind(w.checkouts, func(x *Checkout) bool { return x.User == user })
}

func (w *twin) block(c Block) Outcome {
	switch {
	case !twinBar(c.User, c.Machine, c.By, c.Note):
		return refuse(BadCommand)
	case w.thereIs(c.User, c.Machine):
		return Outcome{Repeat: true}
	case c.User != "" && w.user(c.User) == nil && !w.somethingOpen(c.User):
		return Outcome{Denial: &Denial{Reason: "unknown-user", Person: c.User}}
	case len(w.bars) >= 10_000:
		return refuse("too-many-blocks")
	}
	b := Bar{User: c.User, Machine: c.Machine, By: c.By, Note: c.Note, Since: w.now()}
	if c.User == "" {
		newest := slices.Clone(w.keys)
		slices.SortFunc(newest, func(a, b twinKey) int {
			return cmp.Or(cmp.Compare(b.Verified, a.Verified), cmp.Compare(string(a.Proof.Key[:]), string(b.Proof.Key[:])))
		})
		for _, k := range newest {
			if k.Proof.Host == "" && sameMachine(k.Machine, c.Machine) && !slices.Contains(b.Keys, k.Proof.Key) && len(b.Keys) < 64 {
				b.Keys = append(b.Keys, k.Proof.Key)
			}
		}
		slices.SortFunc(b.Keys, func(a, b Digest) int { return cmp.Compare(string(a[:]), string(b[:])) })
	}
	w.bars = append(w.bars, b)
	w.tell(Blocked{Bar: b})
	if c.User != "" {
		w.shutOut(c.User, func(Machine) bool { return true }, b)
		return Outcome{}
	}
	w.clear(b)
	return Outcome{}
}

// clear releases what is open on a blocked machine, by whichever name it goes.
func (w *twin) clear(b Bar) {
	here := func(user UserID, m Machine) bool {
		return sameMachine(m, b.Machine) || nil != twinFind(w.keys, func(k *twinKey) bool {
			return k.user == user && k.Machine.ID == m.ID && slices.Contains(b.Keys, k.Proof.Key)
		})
	}
	var users []UserID
	for _, x := range w.sessions {
		if here(x.User, x.Machine) {
			users = append(users, x.User)
		}
	}
	for _, x := range w.checkouts {
		if here(x.User, x.Machine) {
			users = append(users, x.User)
		}
	}
	for _, x := range w.waiters {
		if here(x.User, x.Machine) {
			users = append(users, x.User)
		}
	}
	for _, x := range w.kept {
		if here(x.user, x.Machine) {
			users = append(users, x.user)
		}
	}
	slices.Sort(users)
	for _, user := range slices.Compact(users) {
		w.settle(user)
		w.shutOut(user, func(m Machine) bool { return here(user, m) }, b)
	}
}

func (w *twin) shutOut(user UserID, meant func(Machine) bool, b Bar) {
	if !w.somethingOpen(user) {
		return
	}
	w.letGo(func(x *Session) bool { return x.User == user && meant(x.Machine) }, Ending{Reason: "blocked", By: b.By, Note: b.Note, Until: w.now()})
	w.flag(func(x *Checkout) bool { return x.User == user && meant(x.Machine) }, "blocked")
	w.waitsNoMore(user, meant)
	w.offer(user)
}

// letGo releases sessions that IT has not released before, and counts them.
func (w *twin) letGo(meant func(*Session) bool, e Ending) (n int) {
	for i := range w.sessions {
		x := &w.sessions[i]
		if !meant(x) || x.Notice != nil && (x.Notice.Reason == "released" || x.Notice.Reason == "blocked") {
			continue
		}
		notice := e
		notice.Until = w.byThen(x, e.Until)
		w.ends(x, notice)
		w.tell(Released{Session: *x})
		n++
	}
	return n
}

func (w *twin) waitsNoMore(user UserID, meant func(Machine) bool) (ended bool) {
	for _, x := range w.waiting(user) {
		if meant(x.Machine) {
			w.tell(WaitEnded{Waiter: x})
			w.unwait(user, x.ID)
			ended = true
		}
	}
	for _, r := range w.keptFor(user) {
		if meant(r.Machine) {
			w.keepNoMore(user, r)
			ended = true
		}
	}
	return ended
}

func (w *twin) unblock(c Unblock) Outcome {
	if !twinBar(c.User, c.Machine, c.By, c.Note) {
		return refuse(BadCommand)
	}
	repeat := true
	for b := w.barOf(c.User, c.Machine); b != nil; b = w.barOf(c.User, c.Machine) {
		lifted := *b
		w.bars = slices.DeleteFunc(w.bars, func(x Bar) bool { return x.Key() == lifted.Key() })
		w.tell(Unblocked{Bar: lifted, By: c.By, Note: c.Note})
		repeat = false
	}
	return Outcome{Repeat: repeat}
}

func (w *twin) releaseUser(c ReleaseUser) Outcome {
	switch {
	case c.User == "" || c.By == "" || !twinName(string(c.User), c.By, c.Note):
		return refuse(BadCommand)
	case c.NotAfter != 0 && c.NotAfter < w.now():
		return refuse(TooLate)
	case w.user(c.User) == nil && !w.somethingOpen(c.User):
		return Outcome{Denial: &Denial{Reason: "unknown-user", Person: c.User}}
	}
	n := w.letGo(func(x *Session) bool { return x.User == c.User }, Ending{Reason: "released", By: c.By, Note: c.Note, Until: w.now()})
	if n == 0 {
		return Outcome{Repeat: true}
	}
	w.tell(UserReleased{User: c.User, By: c.By, Note: c.Note, Sessions: n})
	return Outcome{}
}

func (w *twin) signOut(c SignOut) Outcome {
	switch {
	case c.User == "" || !twinName(string(c.User)) || !twinMachine(c.Machine):
		return refuse(BadCommand)
	case c.NotAfter != 0 && c.NotAfter < w.now():
		return refuse(TooLate)
	}
	here := func(m Machine) bool { return sameMachine(m, c.Machine) }
	var stopped []Session
	var no []*Denial
	for _, x := range w.sessions {
		if x.User != c.User || !here(x.Machine) {
			continue
		}
		if d := w.notHolder(x.User, x.Machine, x.Proof, c.Proof); d != nil {
			no = append(no, d)
		} else {
			stopped = append(stopped, x)
		}
	}
	if len(stopped) == 0 && len(no) > 0 {
		return Outcome{Denial: no[0]}
	}
	ended := w.waitsNoMore(c.User, here)
	if len(stopped) == 0 && !ended {
		return Outcome{Repeat: true}
	}
	for _, x := range stopped {
		over, free := w.over(x)
		w.tell(Stopped{Session: &over, Freed: free})
	}
	w.tell(SignedOut{User: c.User, Machine: c.Machine, Sessions: len(stopped)})
	w.offer(c.User)
	return Outcome{}
}

func (w *twin) move(c Move) Outcome {
	if c.License == "" || c.To == "" || c.By == "" || !twinName(string(c.License), string(c.To), c.By, c.Note, string(c.From)) {
		return refuse(BadCommand)
	}
	l := w.license(c.License)
	if l == nil {
		return Outcome{Denial: &Denial{Reason: "unknown-license", License: c.License}}
	}
	no := func(r Reason, about UserID, until Time) Outcome {
		return Outcome{Denial: &Denial{Reason: r, Product: l.Product, License: l.ID, Person: about, Until: until}}
	}
	lost := l.Assignee != "" && w.user(l.Assignee) == nil
	free, locked := l.AssignedAt+twinDay, l.AssignedAt+31*twinDay
	to := w.user(c.To)
	switch {
	case l.Assignee == c.To && !lost:
		copied := *l
		if c.Agreed && c.From != l.Assignee { // the feed was faster
			w.tell(Moved{License: l.ID, Product: l.Product, From: c.From, To: l.Assignee, By: c.By, Note: c.Note})
		}
		return Outcome{License: &copied, Repeat: true}
	case c.NotAfter != 0 && c.NotAfter < w.now():
		return refuse(TooLate)
	case l.Ends != 0 && l.Ends <= w.now():
		return no("license-ended", "", l.Ends)
	case lost:
		return no("user-not-found", l.Assignee, 0)
	case to == nil:
		return no("unknown-user", c.To, 0)
	case to.Blocked:
		return no("user-blocked", c.To, 0)
	case to.OtherAccount:
		return no("other-account", c.To, 0)
	case to.Country == "":
		return no("no-country", c.To, 0)
	case l.Assignee != "" && l.AssignedAt != 0 && free <= w.now() && w.now() < locked:
		return no("move-locked", l.Assignee, locked)
	case c.Cannot:
		return no("cloud-cannot", "", 0)
	case !c.Agreed:
		return no("cloud-needed", "", 0)
	}
	w.heard(w.now())
	w.tell(Moved{License: l.ID, Product: l.Product, From: l.Assignee, To: c.To, By: c.By, Note: c.Note})
	loser, next := l.Assignee, *l
	next.Assignee, next.AssignedAt = c.To, w.now()
	w.moved(c.License, &next, false)
	w.seeToCover()
	w.offer(loser)
	copied := *w.license(c.License)
	return Outcome{License: &copied}
}
