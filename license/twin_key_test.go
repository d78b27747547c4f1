package license

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// twinKey is the key of one machine, in a list of all of the site, in no order.
type twinKey struct {
	user UserID
	MachineKey
}

func (w *twin) key(user UserID, m Machine, host string) *twinKey {
	return twinFind(w.keys, func(k *twinKey) bool { return k.user == user && k.Machine.ID == m.ID && k.Proof.Host == host })
}

func (w *twin) listed(host string) bool {
	for _, h := range w.head.Settings.Hosts {
		if h == host {
			return h != ""
		}
	}
	return false
}

// rivals are the keys that cannot be there beside one of this host: the same host's, and
// where it is not listed, all of the machine that are not.
func (w *twin) rivals(user UserID, m Machine, host string) []twinKey {
	var list []twinKey
	for _, k := range w.keys {
		if k.user == user && k.Machine.ID == m.ID && (k.Proof.Host == host || !w.listed(host) && !w.listed(k.Proof.Host)) {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b twinKey) int { return cmp.Compare(a.Proof.Host, b.Proof.Host) })
	return list
}

func (w *twin) busyOn(user UserID, m Machine) bool {
	for _, x := range w.sessions {
		if x.User == user && x.Machine.ID == m.ID {
			return true
		}
	}
	for _, x := range w.checkouts {
		if x.User == user && x.Machine.ID == m.ID {
			return true
		}
	}
	return false
}

func (w *twin) bindKey(c BindKey) Outcome {
	if c.User == "" || c.Machine.ID == "" || c.Proof.Key == (Digest{}) || !twinName(string(c.User), c.Machine.ID, c.Machine.Name, c.Proof.Host, c.Email) {
		return refuse(BadCommand)
	}
	if c.NotAfter != 0 && c.NotAfter < w.now() {
		return refuse(TooLate)
	}
	if d := w.keptOut(c.User, c.Machine, ""); d != nil {
		return Outcome{Denial: d}
	}
	if b := w.barOfKey(c.Proof.Key); b != nil {
		return Outcome{Denial: w.outBy(b, c.Machine, "")}
	}
	u := w.user(c.User)
	if u == nil {
		return refuse(UnknownUser)
	}
	if u.Blocked {
		return refuse(UserBlocked)
	}
	fresh := twinKey{c.User, MachineKey{Machine: c.Machine, Proof: c.Proof, Since: w.now(), Verified: w.now(), Email: c.Email}}
	rivals := w.rivals(c.User, c.Machine, c.Proof.Host)
	take := func() {
		w.keys = slices.DeleteFunc(w.keys, func(k twinKey) bool { return slices.Contains(rivals, k) })
		w.keys = append(w.keys, fresh)
	}
	if len(rivals) == 0 {
		dropped, full := w.tooManyKeys(c.User)
		if full {
			return Outcome{Denial: &Denial{Reason: "too-many-keys", Machine: c.Machine}}
		}
		var to []UserID
		if dropped != nil {
			to = w.with(twinLookAfter)
		}
		for _, k := range w.keys {
			if k.user == c.User && k.Machine.ID == c.Machine.ID {
				to = w.with(twinLookAfter)
			}
		}
		take()
		if dropped != nil {
			w.keys = slices.DeleteFunc(w.keys, func(k twinKey) bool { return k.user == c.User && k.MachineKey == *dropped })
		}
		w.tell(KeyBound{User: c.User, Key: fresh.MachineKey, To: to, Dropped: dropped})
		return Outcome{Key: &fresh.MachineKey}
	}
	old := rivals[0]
	switch {
	case old.Proof == c.Proof && old.Machine == c.Machine && old.Email == c.Email && w.now() < old.Verified+60_000:
		known := old.MachineKey
		return Outcome{Key: &known, Repeat: true}
	case old.Proof == c.Proof:
		fresh.Since, fresh.Seen = old.Since, old.Seen
		take()
	case w.busyOn(c.User, c.Machine):
		return Outcome{Denial: &Denial{Reason: "machine-clone", Machine: old.Machine, Since: old.Since}}
	default:
		take()
		w.tell(KeyReplaced{User: c.User, Key: fresh.MachineKey, Was: old.Proof.Key, To: w.with(twinLookAfter)})
	}
	return Outcome{Key: &fresh.MachineKey}
}

// tooManyKeys is which of a user's keys goes for one more, if any has to; full: none may.
func (w *twin) tooManyKeys(user UserID) (_ *MachineKey, full bool) {
	var all, idle []twinKey
	for _, k := range w.keys {
		if k.user != user {
			continue
		}
		all = append(all, k)
		if k.Verified+7*24*3600_000 <= w.now() && !w.busyOn(user, k.Machine) {
			idle = append(idle, k)
		}
	}
	if len(all) < 16 {
		return nil, false
	}
	if len(idle) == 0 {
		return nil, true
	}
	slices.SortFunc(idle, func(a, b twinKey) int {
		return cmp.Or(cmp.Compare(a.Verified, b.Verified), cmp.Compare(a.Machine.ID, b.Machine.ID), cmp.Compare(a.Proof.Host, b.Proof.Host))
	})
	return &idle[0].MachineKey, false
}

func (w *twin) seeKey(c SeeKey) Outcome {
	p, err := netip.ParsePrefix(c.Place)
	if err != nil || p.Masked().String() != c.Place || c.User == "" || c.Machine == "" || c.Proof.Key == (Digest{}) || !twinName(string(c.User), c.Machine, c.Proof.Host) {
		return refuse(BadCommand)
	}
	k := w.key(c.User, Machine{ID: c.Machine}, c.Proof.Host)
	if k == nil || k.Proof != c.Proof {
		return Outcome{Repeat: true}
	}
	old, quiet := k.Seen, w.now()-k.Seen.Since
	next := Whereabouts{Place: c.Place, Since: w.now(), Told: old.Told}
	switch other := strings.Contains(old.Place, ":") != strings.Contains(c.Place, ":"); {
	case old.Place == "":
	case old.Place == c.Place, quiet < 60_000, other && quiet < 600_000:
		return Outcome{Repeat: true}
	case other:
	case quiet >= 600_000:
		next.Before = old.Place
	default:
		next.Before, next.Returns = old.Place, old.Returns
		if c.Place == old.Before {
			next.Returns++
		}
	}
	lately := &w.head.CopiesTold
	over := lately.Number == 0 || w.now()-lately.Since >= 3600_000
	if next.Returns > 2 && (old.Told == 0 || w.now()-old.Told >= 24*3600_000) && (over || lately.Number < 10) {
		if over {
			lately.Since, lately.Number = w.now(), 0
		}
		lately.Number++
		next.Told = w.now()
		w.tell(CloneSeen{User: c.User, Machine: k.Machine, To: w.with(twinLookAfter), Places: []string{old.Place, c.Place}})
	}
	k.Seen = next
	return Outcome{}
}

func (w *twin) forgetKey(c ForgetKey) Outcome {
	if c.User == "" || !twinMachine(c.Machine) || c.By == "" || !twinName(string(c.User), c.By, c.Note) {
		return refuse(BadCommand)
	}
	before := len(w.keys)
	w.keys = slices.DeleteFunc(w.keys, func(k twinKey) bool { return k.user == c.User && sameMachine(k.Machine, c.Machine) })
	if len(w.keys) == before {
		return Outcome{Repeat: true}
	}
	w.tell(KeyForgotten(c))
	return Outcome{}
}

// keyWrong: what was shown is not the key of the machine, or too old.
func (w *twin) keyWrong(user UserID, m Machine, p Proof, product ProductID) *Denial {
	needed := &Denial{Reason: "machine-key-needed", Product: product, Machine: m}
	if p == (Proof{}) {
		for _, k := range w.keys {
			if k.user == user && k.Machine.ID == m.ID {
				return needed
			}
		}
		if w.head.Settings.MachineKeys {
			return needed
		}
		return nil
	}
	k := w.key(user, m, p.Host)
	if k == nil {
		return needed
	}
	if first := w.rivals(user, m, p.Host)[0]; first.Proof != p {
		k = &first
	}
	if k.Proof != p {
		return &Denial{Reason: "machine-clone", Product: product, Machine: k.Machine, Since: k.Since}
	}
	terms, own := w.head.Account.AutonomyUncapped, w.head.Settings.AutonomyUncapped
	if w.single(product) {
		terms, own = w.head.Account.AutonomyCapped, w.head.Settings.AutonomyCapped
	}
	if own != nil {
		terms = min(terms, *own)
	}
	until := k.Verified + Time(max(24*time.Hour, terms)/time.Millisecond)
	if w.now() >= until {
		return &Denial{Reason: "sign-in-needed", Product: product, Since: k.Verified, Until: until}
	}
	return nil
}

// notHolder: what was granted to a key is not this caller's to speak for.
func (w *twin) notHolder(user UserID, m Machine, held, shown Proof) *Denial {
	var mine []twinKey
	for _, k := range w.keys {
		if k.user == user && k.Machine.ID == m.ID {
			mine = append(mine, k)
		}
	}
	by := func(p Proof) int { return slices.IndexFunc(mine, func(k twinKey) bool { return k.Proof == p }) }
	none := Proof{}
	switch needed := (&Denial{Reason: "machine-key-needed", Machine: m}); {
	case held == none, held == shown && by(held) >= 0:
		return nil
	case by(held) >= 0 && shown != none:
		k := mine[by(held)]
		return &Denial{Reason: "machine-clone", Machine: k.Machine, Since: k.Since}
	case by(held) >= 0, shown == none && len(mine) > 0, shown != none && by(shown) < 0:
		return needed
	}
	return nil
}

func keysByUser(s *State) map[UserID][]MachineKey {
	all := map[UserID][]MachineKey{}
	for user, r := range s.machineKeys {
		all[user] = r.Keys
	}
	return all
}

func (w *twin) keysByUser() map[UserID][]MachineKey {
	all := map[UserID][]MachineKey{}
	for _, k := range w.keys {
		all[k.user] = append(all[k.user], k.MachineKey)
	}
	for user := range maps.Keys(all) {
		slices.SortFunc(all[user], func(a, b MachineKey) int {
			return cmp.Or(cmp.Compare(a.Machine.ID, b.Machine.ID), cmp.Compare(a.Proof.Host, b.Proof.Host))
		})
	}
	return all
}

// aboutKeys is a machine that shows a key, and what an administrator does about it.
func (s *script) aboutKeys(state *State) Command {
	m := s.machine()
	if s.pick(4) == 0 {
		m = Machine{ID: string(rune('a' + s.pick(20)))} // many
	}
	if x := state.Session(s.running(state)); x != nil && s.pick(4) == 0 {
		p := oneOf(s, x.Proof, x.Proof, s.proof(), Proof{})
		switch s.pick(8) {
		case 4: // another machine asks, by what it may or may not show
			return Request{ID: s.id(), User: x.User, Product: x.Product, Machine: m, Proof: s.proof()}
		case 5:
			c := Decline{ID: s.id(), User: x.User, Machine: x.Machine, Proof: p}
			if a := state.Active(x.User); len(a.Waiters) > 0 {
				c.ID = a.Waiters[s.pick(len(a.Waiters))].ID
			}
			return c
		case 6:
			return Wait{ID: s.id(), User: x.User, Product: x.Product, Machine: m, Proof: s.proof()}
		case 0:
			return Stop{ID: x.ID, User: x.User, Machine: x.Machine, Proof: p}
		case 1:
			return LetGo{Session: x.ID, User: x.User, Machine: x.Machine, Proof: p}
		case 2:
			return SignOut{User: x.User, Machine: x.Machine, Proof: p}
		}
		return Start{ID: x.ID, User: x.User, Product: x.Product, Machine: x.Machine, Proof: p}
	}
	if c, ok := s.ofWaits(state); ok {
		return c
	}
	if a := state.Active(s.user()); a != nil && len(a.Checkouts) > 0 && s.pick(4) == 0 {
		x := a.Checkouts[s.pick(len(a.Checkouts))]
		p := oneOf(s, x.Proof, s.proof(), Proof{})
		if s.pick(2) == 0 {
			return CheckOut{ID: x.ID, User: x.User, Product: x.Product, Machine: x.Machine, Proof: p, By: oneOf(s, "", "", "ida")}
		}
		return Return{ID: x.ID, User: x.User, Machine: x.Machine, Proof: p}
	}
	if s.pick(6) == 0 {
		switch s.pick(4) {
		case 0:
			return Block{Machine: m, By: "ida"}
		case 1:
			if bars := Bars(state); len(bars) > 0 {
				b := bars[s.pick(len(bars))]
				return Unblock{User: b.User, Machine: b.Machine, By: "ida"}
			}
		}
		return BarKey{User: oneOf(s, s.user(), s.user(), ""), Machine: m, Key: s.proof().Key}
	}
	if keys := KeysOf(state, s.user()); len(keys) > 0 && s.pick(3) == 0 {
		k := keys[s.pick(len(keys))]
		user := s.user()
		return SeeKey{User: user, Machine: k.Machine.ID, Proof: oneOf(s, k.Proof, k.Proof, k.Proof, s.proof()), Place: oneOf(s, "10.0.1.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "2001:db8:1::/48", "10.0.1.7/24", "")}
	}
	switch s.pick(8) {
	case 0:
		return ForgetKey{User: s.user(), Machine: m, By: oneOf(s, "ida", "ida", "")}
	case 1:
		return Refused{User: s.user(), Machine: m, Denial: Denial{Reason: MachineClone}}
	case 2:
		settings := state.Head().Settings
		settings.MachineKeys = !settings.MachineKeys && s.pick(3) == 0
		if settings.Hosts = nil; s.pick(2) == 0 {
			settings.Hosts = oneOf(s, []string{"TS-1"}, []string{"TS-1"}, []string{"TS-2", "TS-1"}, []string{""})
		}
		return Configure{Settings: settings}
	case 3, 4:
		return Start{ID: s.id(), User: s.user(), Product: s.product(), Machine: m, Agreed: true, Proof: s.proof()}
	case 5:
		return CheckOut{ID: s.id(), User: s.user(), Product: s.product(), Machine: m, Agreed: true, Until: s.at.Add(time.Hour), Proof: s.proof(), By: oneOf(s, "", "", "", "ida")}
	}
	return BindKey{User: s.user(), Machine: m, Proof: s.proof(), NotAfter: s.notAfter(), Email: oneOf(s, "", "", "ann@acme.example", "\xff")}
}

// ofWaits asks again for a wait, or gives it up, by its key or by another.
func (s *script) ofWaits(state *State) (Command, bool) {
	user := s.user()
	a := state.Active(user)
	if a == nil || len(a.Waiters)+len(a.Reservations) == 0 || s.pick(3) > 0 {
		return nil, false
	}
	if len(a.Reservations) > 0 && s.pick(2) == 0 {
		r := a.Reservations[s.pick(len(a.Reservations))]
		return EndWait{ID: r.Wait, User: user, Proof: oneOf(s, r.Proof, s.proof(), Proof{})}, true
	}
	if len(a.Waiters) == 0 {
		return nil, false
	}
	w := a.Waiters[s.pick(len(a.Waiters))]
	p := oneOf(s, w.Proof, s.proof(), Proof{})
	switch s.pick(3) {
	case 0:
		return EndWait{ID: w.ID, User: user, Proof: p}, true
	case 1:
		return Wait{ID: w.ID, User: user, Product: w.Product, Machine: w.Machine, Proof: p}, true
	}
	return Request{ID: w.ID, User: user, Product: w.Product, Machine: w.Machine, Proof: p}, true
}

func (s *script) proof() Proof {
	return Proof{Key: Digest{byte(s.pick(5))}, Host: oneOf(s, "", "", "", "TS-1", "TS-2")}
}
