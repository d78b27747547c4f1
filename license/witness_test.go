package license

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
)

// witness sees entries applied and says when something is not as it must always
// be:
//
//   - one machine (I1): ledger, which knows the rule and not its code;
//   - same log, same state (I6): a twin that is fed the same and read back from
//     its records now and then is equal record by record;
//   - what TakeChanged names is all that changed;
//   - the indexes are what the records say;
//   - Clone copies, and shares nothing that changes;
//   - the audit trail is a chain, which ends as the state says;
//   - a denial leaves only what was due;
//   - what Check refuses, Apply refuses for the same reason;
//   - Due proposes what Apply accepts, and nothing after that;
//   - events are numbered without a gap, and time does not run backwards;
//   - who waits is offered what is free, and waits for nothing else: at once where
//     a command of the user's has freed it, and when what is due is done otherwise;
//   - who or what is kept out is granted nothing, is kept nothing and renews
//     nothing;
//   - a license that was assigned more than a day and less than 31 days ago is not
//     moved.
type witness struct {
	t      *testing.T
	state  *State
	twin   *State
	stored map[Key]string // by TakeChanged alone
	trail  AuditChain     // likewise
	ledger ledger
	count  int
	diary  []happening
}

type happening struct {
	Entry   Entry
	Outcome Outcome
	Events  []Event
}

func newWitness(t *testing.T) *witness {
	w := &witness{t: t, state: NewState(), twin: NewState(), stored: map[Key]string{}}
	w.ledger = ledger{witness: w, ended: map[ID]Time{}, waiting: map[wanted]Waiter{}, kept: map[wanted]Waiter{}, told: map[ID]Time{}}
	return w
}

func (w *witness) fail(format string, args ...any) {
	w.t.Helper()
	for _, h := range w.diary[max(0, len(w.diary)-25):] {
		w.t.Logf("%v %T%s\n -> %s %s", h.Entry.At, h.Entry.Command, text(h.Entry.Command), text(h.Outcome), text(h.Events))
	}
	w.t.Fatalf(format, args...)
}

func (w *witness) see(e Entry) {
	w.t.Helper()
	w.count++
	s := w.state
	before, now, seq := s.Clone(), s.head.Now, s.head.Seq
	user := UserID("")
	if c, ok := e.Command.(settler); ok {
		user = c.subject(s)
	}
	starved := w.starved(user)

	checked := Check(s, e.At, e.Command)
	w.dueIsAccepted(max(e.At, now))
	w.sameState("Check and Due, which only read", s, before)

	out, events := Apply(s, e)
	w.diary = append(w.diary, happening{e, out, events})
	if s.head.Now != max(now, e.At) {
		w.fail("time is %v after an entry at %v upon %v", s.head.Now, e.At, now)
	}
	for i, ev := range events {
		if ev.Seq != seq+uint64(i)+1 || ev.At != s.head.Now {
			w.fail("event %d has seq %d at %v, want %d at %v", i, ev.Seq, ev.At, seq+uint64(i)+1, s.head.Now)
		}
	}
	if s.head.Seq != seq+uint64(len(events)) {
		w.fail("seq went from %d to %d with %d events", seq, s.head.Seq, len(events))
	}
	if checked != nil && (out.Denial == nil || out.Denial.Reason != checked.Reason) {
		w.fail("Check refuses with %v, Apply gives %v", text(checked), text(out.Denial))
	}
	if out.Denial != nil {
		// EndReservation does nothing but what is due.
		_, settled := Apply(before, Entry{e.At, EndReservation{User: user}})
		w.sameState("a denial", s, before)
		w.equal("the events of a denial", events, settled)
	}

	twinOut, twinEvents := Apply(w.twin, e)
	w.equal("the twin's outcome", twinOut, out)
	w.equal("the twin's events", twinEvents, events)
	w.sameState("the twin", w.twin, s)

	s.TakeChanged(func(k Key, r any) {
		if x, is := r.(*Audited); is {
			if err := w.trail.Next(x); err != nil {
				w.fail("%v", err)
			}
			return
		}
		if w.equal("a changed record", text(r), text(s.Record(k))); r != nil {
			w.stored[k] = text(r)
		} else {
			delete(w.stored, k)
		}
	})
	if err := w.trail.Ends(s.head.Audit.Number, s.head.Audit.Hash); err != nil {
		w.fail("%v", err)
	}
	w.indexes()
	if w.count%20 == 0 {
		w.same("what a store has that keeps what TakeChanged names", w.stored, records(s))
		w.twin = w.readBack(w.stored)
	}
	w.ledger.note(e.Command, events)
	w.keptOut()
	w.moves(before, events)

	switch e.Command.(type) {
	case Mirror, Configure: // wide as they are, they offer nothing
	default:
		if !starved && w.starved(user) {
			w.fail("%s waits for what is free", user)
		}
	}
}

// dueIsAccepted: what Due proposes is done by Apply, all of it, for good.
func (w *witness) dueIsAccepted(at Time) {
	w.t.Helper()
	c := w.state.Clone()
	due := Due(w.state, at)
	for _, command := range due {
		if out, _ := Apply(c, Entry{at, command}); out.Denial != nil {
			w.fail("due %T is refused: %s", command, text(out))
		}
	}
	if again := Due(c, at); len(again) > 0 {
		w.fail("still due after all of it was done: %s, first %s", text(again), text(due))
	}
	c.machineKeys, c.head.Settings.MachineKeys = nil, false // who waits has shown nothing, and is told all the same
	c.EachActive(func(a *Active) bool {
		if a.overdue(at) >= 0 || slices.ContainsFunc(a.Reservations, func(r Reservation) bool { return r.Until <= at }) {
			w.fail("Due does not name all that is due at %v: left is %s", at, text(a))
		}
		for i := range a.Sessions {
			if n := a.Sessions[i].Notice; n != nil && n.Until <= at && int(a.Sessions[i].Warned) < len(endWarnings) {
				w.fail("Due does not warn at %v of %s", at, text(a.Sessions[i]))
			}
		}
		for _, x := range a.Waiters {
			if keptOf(c, a, x.Product, at) {
				continue
			}
			d := Check(c, at, Start{ID: ID{255}, User: a.User, Product: x.Product, Machine: x.Machine, Agreed: true, Feature: "full"})
			if d == nil || d.Reason != MachineActive && d.Reason != TooManySessions && !crossed(a, d) {
				w.fail("%v waits at %v for what is free, or not to be had: %s, %s", x.ID, at, text(a), text(d))
			}
		}
		return true
	})
}

// keptOut: nothing is open to those who are barred but what they had before, and
// that is renewed no more.
func (w *witness) keptOut() {
	w.t.Helper()
	for _, b := range w.state.bars {
		out := func(user UserID, m Machine) bool {
			return b.User != "" && b.User == user || b.User == "" && (sameMachine(b.Machine, m) || slices.ContainsFunc(KeysOf(w.state, user), func(k MachineKey) bool {
				return k.Machine.ID == m.ID && slices.Contains(b.Keys, k.Proof.Key)
			}))
		}
		w.state.EachActive(func(a *Active) bool {
			for i := range a.Sessions {
				if x := &a.Sessions[i]; out(x.User, x.Machine) && x.Renewable(w.state.head.Now) {
					w.fail("%+v is kept out, and renews %+v", b, *x)
				}
			}
			for i := range a.Checkouts {
				if x := &a.Checkouts[i]; out(x.User, x.Machine) && x.Since > b.Since {
					w.fail("%+v is kept out, and has checked out %+v", b, *x)
				}
			}
			for _, x := range a.Waiters {
				if out(a.User, x.Machine) {
					w.fail("%+v is kept out, and waits: %s", b, text(a))
				}
			}
			for _, r := range a.Reservations {
				if out(a.User, r.Machine) {
					w.fail("%+v is kept out, and something is kept for it: %s", b, text(a))
				}
			}
			return true
		})
	}
}

// moves: what was moved could be.
func (w *witness) moves(before *State, events []Event) {
	w.t.Helper()
	for _, e := range events {
		f, ok := e.Fact.(Moved)
		if !ok {
			continue
		}
		l, to, age := before.licenses[f.License], before.User(f.To), time.Duration(0)
		if l.AssignedAt != 0 {
			age = e.At.Sub(l.AssignedAt)
		}
		if l.Assignee != "" && age >= 24*time.Hour && age < 31*24*time.Hour || to == nil || to.OtherAccount || to.Blocked ||
			l.Assignee != "" && before.User(l.Assignee) == nil {
			w.fail("%s was moved: %s to %s", text(f), text(l), text(to))
		}
	}
}

// keptOf reports whether something is kept of the hold that the product needs.
func keptOf(s *State, a *Active, p ProductID, at Time) bool {
	return slices.ContainsFunc(a.Reservations, func(r Reservation) bool {
		return r.Until > at && (r.Product == p || s.head.Settings.SessionScope != ScopeLicense)
	})
}

// crossed: of two that waited by license when the site began to hold by user, one
// may be in the other's way.
func crossed(a *Active, d *Denial) bool { return d.Reason == TakeoverUnderWay && len(a.Waiters) > 1 }

// starved reports whether a waiting machine of the user could start.
func (w *witness) starved(user UserID) bool {
	a, now := w.state.Active(user), w.state.head.Now
	if a == nil || a.overdue(now) >= 0 {
		return false
	}
	return slices.ContainsFunc(a.Waiters, func(x Waiter) bool {
		return !keptOf(w.state, a, x.Product, now) && Check(w.state, now, Start{ID: ID{255}, User: user, Product: x.Product, Machine: x.Machine, Agreed: true}) == nil
	})
}

// indexes: the state is what its records say and nothing more.
func (w *witness) indexes() {
	w.t.Helper()
	s, fresh := w.state, w.state.Clone()
	w.sameState("the clone", fresh, s)
	w.equal("whose ids they are", owners(s), owners(fresh))
	w.equal("the index of assignments", assignments(s), assignments(fresh))
	w.equal("how much is mirrored and open", s.Counts(), fresh.Counts())
	w.equal("the index of staff", s.staff, fresh.staff)
	w.equal("the index of whom the account names", s.byMail, fresh.byMail)
	w.equal("the index of bars", s.barNames, fresh.barNames)
	w.equal("the index of bars' keys", s.barKeys, fresh.barKeys)
	w.equal("the index of what covers a product", s.pools, fresh.pools)
	w.equal("the index of who leans on a cover", s.leaning, fresh.leaning)
	for _, g := range s.graves {
		if u := s.ids[g.id]; u.of != g.of || u.until != g.until {
			w.fail("%v is to be forgotten at %v, and has ended until %v", g.id, g.until, u.until)
		}
	}
	w.equal("how many ids have ended", len(s.graves), len(fresh.graves))
	if !slices.IsSortedFunc(s.graves, func(a, b grave) int { return cmp.Compare(a.until, b.until) }) {
		w.fail("the graves are not in the order of their time")
	}
	for i := range s.due {
		if i > 0 && s.due.Less(i, (i-1)/2) {
			w.fail("the heap of what is due is not a heap at %d", i)
		}
	}
	for _, x := range fresh.due {
		// What is due by now may be planned for any time that has passed.
		if now := s.head.Now; !slices.Contains(s.due, x) &&
			(x.at > now || !slices.ContainsFunc(s.due, func(y dueAt) bool { return y.user == x.user && y.at <= now })) {
			w.fail("nothing is planned for %s at %v", x.user, x.at)
		}
	}
	for i := range s.terms {
		if i > 0 && s.terms.Less(i, (i-1)/2) {
			w.fail("the heap of terms is not a heap at %d", i)
		}
	}
	for _, x := range fresh.terms {
		if !slices.Contains(s.terms, x) {
			w.fail("nothing is planned for %s at %v", x.id, x.at)
		}
	}
	for i := range s.useEnds {
		if i > 0 && s.useEnds.Less(i, (i-1)/2) {
			w.fail("the heap of what is forgotten is not a heap at %d", i)
		}
	}
	for user, p := range s.poolUse {
		if !slices.Contains(s.useEnds, dueAt{p.expires(), user}) || p.expires() <= s.head.Now || len(p.Of) == 0 {
			w.fail("what is remembered of %s will not be forgotten at %v, or should have been: %s", user, p.expires(), text(p))
		}
	}
	var open tally
	for _, p := range s.busy {
		t := p.tally()
		open = tally{open.sessions + t.sessions, open.checkouts + t.checkouts, open.provisional + t.provisional}
	}
	if n := s.Counts(); n.Sessions != int(open.sessions) || n.Checkouts != int(open.checkouts) || n.Provisional != int(open.provisional) {
		w.fail("%+v are counted; open are %+v", n, open)
	}
	for id, p := range s.people {
		if p.user.ID != id || !p.mirrored && p.active == nil && len(p.assigned()) == 0 {
			w.fail("the user %q is kept as %s, or for nothing", id, text(p.user))
		}
		if a := p.active; a != nil && (a.empty() || a.User != id || s.busy[p.place] != p) {
			w.fail("the user %q has an empty Active, or another's, or is not at %d: %s", id, p.place, text(a))
		}
		for _, l := range p.assigned() {
			if s.licenses[l.ID] != l {
				w.fail("the user %q is assigned what is no license any more: %s", id, text(l))
			}
		}
	}
}

// owner is whose id it is, and until when it is kept if it has ended.
type owner struct {
	user  UserID
	until Time
}

func owners(s *State) map[ID]owner {
	m := map[ID]owner{}
	for id, u := range s.ids {
		m[id] = owner{u.of.user.ID, u.until}
	}
	return m
}

func assignments(s *State) map[UserID][]LicenseID {
	m := map[UserID][]LicenseID{}
	for id, p := range s.people {
		for _, l := range p.assigned() {
			m[id] = append(m[id], l.ID)
		}
	}
	return m
}

func samePeople(got, want *State) bool {
	within := func(a, b *State) bool {
		for id, p := range a.people {
			q := b.people[id]
			if q == nil {
				q = &person{user: User{ID: id}} // nothing is known of them
			}
			if p.user != q.user || p.mirrored != q.mirrored || !reflect.DeepEqual(p.active, q.active) {
				return false
			}
		}
		return true
	}
	return within(got, want) && within(want, got)
}

// records are a state's records as text.
func records(s *State) map[Key]string {
	m := map[Key]string{}
	for _, k := range s.Keys() {
		m[k] = text(s.Record(k))
	}
	return m
}

// readBack makes a state from records, as a store does at its start; what it
// reads comes in no particular order of value.
func (w *witness) readBack(held map[Key]string) *State {
	w.t.Helper()
	s := NewState()
	for _, k := range slices.SortedFunc(maps.Keys(held), Key.compare) {
		r, err := NewRecord(k.Kind)
		if err == nil {
			err = json.Unmarshal([]byte(held[k]), r)
		}
		if err == nil {
			err = s.Put(r)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	s.Loaded()
	return s
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (w *witness) equal(what string, got, want any) {
	w.t.Helper()
	if !reflect.DeepEqual(got, want) {
		w.fail("%s: got\n%s\nwant\n%s", what, text(got), text(want))
	}
}

// sameState compares all that Put takes.
func (w *witness) sameState(what string, got, want *State) {
	w.t.Helper()
	if reflect.DeepEqual(got.head, want.head) {
		if samePeople(got, want) && maps.Equal(owners(got), owners(want)) && samePointed(got.products, want.products) &&
			reflect.DeepEqual(got.licenses, want.licenses) && reflect.DeepEqual(got.bars, want.bars) &&
			samePointed(got.nodes, want.nodes) && maps.Equal(got.tokens, want.tokens) && maps.Equal(got.credentials, want.credentials) && maps.Equal(got.accounts, want.accounts) &&
			reflect.DeepEqual(got.poolUse, want.poolUse) {
			return
		}
	}
	w.same(what, records(got), records(want))
	w.fail("%s differs", what)
}

func samePointed[K, V comparable](a, b map[K]*V) bool {
	return maps.EqualFunc(a, b, func(x, y *V) bool { return *x == *y })
}

func (w *witness) same(what string, got, want map[Key]string) {
	w.t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for k, v := range want {
		if got[k] != v {
			w.fail("%s: record %d %q is\n%s\nwant\n%s", what, k.Kind, k.ID, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			w.fail("%s: has the record %d %q:\n%s", what, k.Kind, k.ID, v)
		}
	}
}
