package license

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// FuzzApply makes entries of its bytes and holds the rules to what must always
// be so; see witness.
func FuzzApply(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomScript(seed, 300))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1000 { // what opens more and more takes longer and longer to look at
			script = script[:1000]
		}
		witnessScript(t, script)
	})
}

// TestApplyAlwaysHolds does the same for many random sequences, so that every
// test run does some of the fuzzer's work.
func TestApplyAlwaysHolds(t *testing.T) {
	sequences := uint64(150)
	if testing.Short() {
		sequences = 30
	}
	for seed := range sequences {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			witnessScript(t, randomScript(seed, 600))
		})
	}
}

func randomScript(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 2025))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func witnessScript(t *testing.T, bytes []byte) {
	w := newWitness(t)
	script := &script{bytes: bytes}
	w.found(script)
	for !script.done() {
		w.see(script.entry(w.state))
	}
}

// script turns bytes into choices; when they are used up, every choice is the
// first.
type script struct {
	bytes []byte
	at    Time
	noted Time // an alert was, last
	page  int
	ids   int
	terms bool // licenses begin, too
	staff bool // nothing but who administers
	crowd int  // users of whom nothing is known but that they have a license

	// The world of one script: the smaller, the more happens at one place.
	users    []UserID
	machines []Machine
	products []ProductID
}

func (s *script) done() bool { return len(s.bytes) == 0 }

func (s *script) pick(n int) int {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b) % n
}

func oneOf[T any](s *script, choices ...T) T { return choices[s.pick(len(choices))] }

func (s *script) user() UserID       { return oneOf(s, s.users...) }
func (s *script) product() ProductID { return oneOf(s, s.products...) }
func (s *script) machine() Machine   { return oneOf(s, s.machines...) }

// world chooses what the script is about.
func (s *script) world() {
	s.users = oneOf(s, []UserID{"ann"}, []UserID{"ann", "ann", "ann", "bob", "bob", "eve"},
		[]UserID{"ann", "eve", "eve", "eve"}) // eve has nothing of her own
	s.products = oneOf(s, []ProductID{"micro", "stad"}, []ProductID{"micro", "stad", "view"},
		[]ProductID{"micro", "micro", "stad", "stad", "view", "odd", "none"})
	s.crowd = oneOf(s, 0, 0, 0, 0, 0, 40)
	s.machines = oneOf(s,
		[]Machine{{ID: "1", Name: "WS-1"}, {ID: "2", Name: "LT-7"}, {ID: "3", Name: "WS-3"}},
		[]Machine{{Name: "WS-1"}, {Name: "ws-1.corp.example"}, {Name: "10.0.0.5"}, {Name: "10.0.0.6"}},
		// Two ids with one name, that name alone: which is which is not clear then.
		[]Machine{{ID: "1", Name: "WS-1"}, {ID: "2", Name: `CORP\ws-1`}, {Name: "ws-1"}, {ID: "2"}},
		[]Machine{{ID: "1", Name: "WS-1"}, {ID: "2", Name: "LT-7"}, {Name: "lt-7"}, {Name: "WS-1"}, {ID: "4", Name: "WS-1"}, {}})
}

// id is mostly a new one.
func (s *script) id() ID {
	if s.pick(4) == 0 {
		return ID{byte(s.pick(8)), byte(s.ids >> 8), 7}
	}
	s.ids++
	return ID{byte(s.ids), byte(s.ids >> 8), 7}
}

func (s *script) running(state *State) ID {
	var ids []ID
	state.EachActive(func(a *Active) bool {
		for i := range a.Sessions {
			ids = append(ids, a.Sessions[i].ID)
		}
		return true
	})
	if len(ids) == 0 || s.pick(8) == 0 {
		return s.id()
	}
	return oneOf(s, ids...)
}

func (s *script) checkedOut(state *State) ID {
	var ids []ID
	state.EachActive(func(a *Active) bool {
		for i := range a.Checkouts {
			ids = append(ids, a.Checkouts[i].ID)
		}
		return true
	})
	if len(ids) == 0 || s.pick(8) == 0 {
		return s.id()
	}
	return oneOf(s, ids...)
}

func (s *script) notAfter() Time {
	return oneOf(s, 0, 0, s.at.Add(30*time.Second), s.at.Add(-time.Second))
}

func (s *script) entry(state *State) Entry {
	s.at = s.at.Add(oneOf(s, 0, 0, 0, 0, 0, 0, time.Millisecond, time.Second, time.Second, 10*time.Second, 29*time.Second, 30*time.Second,
		60*time.Second, 10*time.Minute, oneOf(s, 24*time.Hour, 24*time.Hour, 24*time.Hour, 35*24*time.Hour), -10*time.Second))
	return Entry{At: s.at, Command: s.command(state)}
}

func (s *script) command(state *State) Command {
	if s.staff {
		return s.aboutAdministrators(state)
	}
	if s.crowd > 0 && s.pick(3) == 0 {
		return s.shrink(state)
	}
	switch s.pick(54) {
	case 46:
		if s.pick(2) == 0 {
			return s.aboutAdministrators(state)
		}
		return s.aboutNodes()
	case 47, 48:
		return s.restored(state)
	case 33, 34, 35, 36:
		return s.admin(state)
	case 37:
		if s.pick(3) == 0 {
			return oneOf[Command](s, CheckInConfirmed{Checkout: s.checkedOut(state)}, Book{Checkout: s.checkedOut(state)})
		}
		return WriteOff{Checkout: s.checkedOut(state), By: oneOf(s, "ida", "ida", ""), Note: "lost"}
	case 38, 39:
		// Renewed, shortened, of another version, to no date in particular.
		c := CheckOut{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Agreed: true}
		if x := state.Checkout(s.checkedOut(state)); x != nil && s.pick(4) > 0 {
			c.User, c.Product, c.Machine, c.Version = x.User, x.Product, x.Machine, x.Version
		}
		if s.pick(4) == 0 {
			c.Version = oneOf(s, "10.00.18", "10.0.18.0", "23.0")
		}
		if s.pick(4) > 0 {
			c.Until = s.at.Add(oneOf(s, time.Minute, 25*time.Hour, 49*time.Hour, 4*24*time.Hour, -time.Second))
		}
		return c
	case 40, 41, 42:
		// Someone asks what runs to let go, where the site lets them.
		if settings := state.Head().Settings; settings.Takeover == TakeoverRefuse && s.pick(3) > 0 {
			settings.Takeover = oneOf(s, TakeoverAsk, TakeoverGrace, TakeoverGrace)
			return Configure{Settings: settings}
		}
		if x := state.Session(s.running(state)); x != nil {
			return Request{ID: s.id(), User: x.User, Product: oneOf(s, x.Product, x.Product, s.product()), Machine: s.machine()}
		}
		return Request{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), NotAfter: s.notAfter()}
	case 43:
		x := state.Session(s.running(state))
		if x == nil {
			return WarnEnding{Session: s.id()}
		}
		c := Decline{ID: s.id(), User: x.User, Machine: x.Machine}
		if a := state.Active(x.User); len(a.Waiters) > 0 {
			c.ID = a.Waiters[s.pick(len(a.Waiters))].ID
		}
		return oneOf[Command](s, c, c, LetGo{Session: x.ID, User: x.User, Machine: x.Machine}, WarnEnding{Session: x.ID},
			LetGo{Session: x.ID, User: s.user(), Machine: s.machine()}, Offer{User: x.User})
	case 44:
		return Configure{Settings: Settings{Takeover: TakeoverPolicy(s.pick(4)), SessionScope: Scope(s.pick(3)),
			TakeoverGrace: oneOf(s, 0, time.Minute, 10*time.Minute, time.Second)}}
	case 49:
		// A run of a product is heard of, or its end.
		x := state.Session(s.running(state))
		if x == nil {
			return Report{Session: s.id(), User: s.user(), Machine: s.machine(), Run: "r-1"}
		}
		return Report{Session: x.ID, User: x.User, Machine: oneOf(s, x.Machine, x.Machine, s.machine()), Run: oneOf(s, "r-1", "r-2", "r-3", ""), Ends: s.pick(2) == 1, From: oneOf(s, x.From, x.From, x.From, "10.0.0.9")}
	case 50:
		return KeepPosting{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Body: oneOf(s, []byte("{}"), []byte("[]"), nil), Listed: s.pick(2) == 1, NotAfter: s.notAfter()}
	case 52, 53:
		return s.aboutKeys(state)
	case 51:
		var c Learn
		for range s.pick(3) {
			c.Seen = append(c.Seen, Learned{User: s.user(), Product: s.product(), Email: oneOf(s, "", "ann@acme.example"), Name: oneOf(s, "", "\xff"), Country: oneOf(s, "", "", "DE")})
		}
		if len(c.Seen) == 2 && s.pick(2) == 1 {
			return NoteRevoked{Users: []Revocation{{s.user(), state.head.Now - Time(s.pick(4))*1000}, {s.user(), state.head.Now.Add(time.Duration(s.pick(3)) * 20 * time.Hour)}}}
		}
		return c
	case 45:
		return WouldRefuse{User: s.user(), Machine: s.machine(), Denial: Denial{Reason: MachineActive}, Address: oneOf(s, "10.1.2.3", "", "nowhere")}
	case 31, 32:
		// Something runs under a checkout.
		if x := state.Checkout(s.checkedOut(state)); x != nil {
			return Start{ID: s.id(), User: x.User, Product: x.Product, Machine: x.Machine, Version: oneOf(s, "", "10.0.18", "23.0.0.0")}
		}
		return CheckOut{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Agreed: true, Until: s.at.Add(time.Minute)}
	case 29, 30:
		// Someone waits for what is kept, what runs, or what is checked out.
		user := s.user()
		if a := state.Active(user); a != nil && len(a.Reservations) > 0 {
			return Wait{ID: s.id(), User: user, Product: oneOf(s, a.Reservations[0].Product, s.product()), Machine: s.machine()}
		}
		if x := state.Session(s.running(state)); x != nil && s.pick(2) > 0 {
			return Wait{ID: s.id(), User: x.User, Product: x.Product, Machine: s.machine()}
		}
		if x := state.Checkout(s.checkedOut(state)); x != nil {
			return Wait{ID: s.id(), User: x.User, Product: x.Product, Machine: s.machine()}
		}
		return Wait{ID: s.id(), User: user, Product: s.product(), Machine: s.machine(), NotAfter: s.notAfter()}
	case 28:
		// What was kept is taken.
		user := s.user()
		if a := state.Active(user); a != nil && len(a.Reservations) > 0 {
			r := a.Reservations[s.pick(len(a.Reservations))]
			return Start{ID: s.id(), User: user, Product: r.Product, Machine: r.Machine, Agreed: true}
		}
		return CheckOut{ID: s.id(), User: user, Product: s.product(), Machine: s.machine(), Agreed: true, Until: s.at.Add(time.Hour)}
	case 0, 1, 2, 3, 4, 5:
		return Start{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Agreed: s.pick(3) > 0, NotAfter: s.notAfter(),
			Email: oneOf(s, "", "", "Ann@Acme.example", "ann@home.example"), Client: oneOf(s, "", "", "23.0.1.25", "10.0.17.9"),
			Feature: oneOf(s, "", "full"), Fences: s.pick(4) > 0, Relayed: s.pick(5) == 4, TTL: oneOf(s, 0, 0, 0, time.Second, 3*time.Hour, 9*time.Hour), From: oneOf(s, "", "10.0.0.7")}
	case 6, 7, 8, 9, 18, 19:
		if x := state.Session(s.running(state)); x != nil && s.pick(8) > 0 {
			return Stop{ID: x.ID, User: x.User, Machine: x.Machine}
		}
		return Stop{ID: s.id(), User: s.user(), Machine: s.machine()}
	case 10, 11:
		c := Expire{ID: s.running(state), Generation: 1}
		if x := state.Session(c.ID); x != nil && s.pick(4) > 0 {
			c.Generation = x.Generation
		}
		return c
	case 12, 13, 14:
		return CheckOut{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Agreed: s.pick(5) > 0, Imported: s.pick(6) == 5, NotAfter: s.notAfter(),
			Until: s.at.Add(oneOf(s, time.Second, 30*time.Second, time.Minute, time.Hour, 24*time.Hour, 0, 24*365*time.Hour))}
	case 15, 16:
		if x := state.Checkout(s.checkedOut(state)); x != nil && s.pick(8) > 0 {
			return Return{ID: x.ID, User: x.User, Machine: x.Machine}
		}
		return Return{ID: s.id(), User: s.user(), Machine: s.machine()}
	case 17:
		return Wait{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), NotAfter: s.notAfter()}
	case 20:
		user := s.user()
		if a := state.Active(user); a != nil && s.pick(4) > 0 {
			if len(a.Reservations) > 0 {
				return EndWait{ID: a.Reservations[0].Wait, User: user}
			} else if len(a.Waiters) > 0 {
				return EndWait{ID: a.Waiters[s.pick(len(a.Waiters))].ID, User: user}
			}
		}
		return EndWait{ID: s.id(), User: user}
	case 21:
		return oneOf[Command](s, EndCheckout{ID: s.checkedOut(state)}, RemindCheckout{ID: s.checkedOut(state)}, EndReservation{User: s.user()},
			RemindTerm{License: s.license()}, Remind{Counts: oneOf(s, CountReminders(state, s.at), ReminderCounts{})})
	case 22:
		if s.pick(3) == 2 {
			return s.auditing(state)
		}
		return Release{Session: s.running(state), By: oneOf(s, "root", "")}
	case 23:
		return Conflict{Session: s.running(state), Machine: s.machine()}
	case 24:
		return oneOf[Command](s, Confirm{Session: s.running(state)}, s.usage(state),
			Refused{User: s.user(), Machine: s.machine(), Denial: Denial{Reason: MachineActive}, Relayed: s.pick(2) == 1}, Found{Cluster: oneOf(s, "here", "there"), Level: oneOf[uint32](s, Level, 0, Level+1)})
	case 25:
		up := s.pick(2) > 0
		if s.pick(4) == 0 {
			offer := func() Offered { return Offered(s.pick(4)) }
			return NoteCloud{Feed: offer(), Holds: offer(), Moves: oneOf(s, OfferUnknown, OfferNo), Books: OfferYes, Usage: UsageWay(s.pick(5))}
		}
		return Link{Up: up, Slow: s.pick(4) == 0, Contact: s.at, Read: s.at.Add(oneOf(s, 0, -time.Minute, time.Minute))}
	case 26:
		return s.mirror(state)
	default:
		if s.pick(4) > 0 {
			return s.mirror(state)
		}
		return s.configure()
	}
}

// usage is what becomes of usage at the cloud.
func (s *script) usage(state *State) Command {
	if len(state.setAside) > 0 && s.pick(2) == 0 {
		all := AllSetAside(state)
		return SettleUsage{Records: []string{all[s.pick(len(all))].Usage.Record, oneOf(s, all[0].Usage.Record, "of nobody's", "")}, By: oneOf(s, "root", "")}
	}
	switch n := s.pick(8); {
	case n == 0:
		return NoteBacklog{Bytes: uint64(s.pick(25)), Most: uint64(oneOf(s, 0, 20, 20, 20, 20))}
	case n == 1:
		return NoteBacklog{Bytes: uint64(s.pick(10)), Most: 20}
	case n == 2:
		c := ExportUsage{Records: uint64(s.pick(3)), Sum: Digest{byte(s.pick(2))}, By: oneOf(s, "root", "root", "root", "")}
		c.Number, c.After = state.NextExport()
		c.Through = c.After + uint64(s.pick(4))
		if s.pick(4) == 0 {
			c.Number, c.After = c.Number+uint64(s.pick(2)), uint64(s.pick(60))
		}
		return c
	case n < 5 && len(state.exports) > 0:
		all := Exports(state)
		x := all[s.pick(len(all))]
		c := ReceiveUsage{Number: oneOf(s, x.Number, x.Number, x.Number, x.Number+1), Sum: oneOf(s, x.Sum, x.Sum, x.Sum, Digest{9}), By: "root"}
		if x.Records > 0 && s.pick(2) == 0 {
			c.Refused = []SetAside{{Why: "400", Usage: Usage{Seq: x.Through, Record: string(s.user()), Machine: s.machine()}}}
		}
		return c
	}
	c := UsageSent{Through: uint64(s.pick(60)), Records: uint64(s.pick(3)), After: oneOf(s, state.head.UsageSent, state.head.UsageSent, uint64(s.pick(60))), Way: UsageWay(s.pick(5))}
	if s.pick(3) == 0 {
		c.Through = state.head.UsageSent + uint64(s.pick(4))
	}
	for seq := c.After + 1; seq <= c.Through && s.pick(2) == 0; seq++ {
		user := s.user()
		c.SetAside = append(c.SetAside, SetAside{Why: "400", Usage: Usage{Seq: oneOf(s, seq, seq, seq, 3), Record: oneOf(s, string(user), "x"), User: user, Machine: s.machine()}})
	}
	return c
}

// admin is what IT does, and a user who signs out.
func (s *script) admin(state *State) Command {
	by := oneOf(s, "root", "root", "root", "")
	user := UserID("")
	machine := Machine{}
	if s.pick(2) == 0 {
		user = s.user()
	} else if machine = s.machine(); s.pick(8) == 0 {
		user = s.user()
	}
	switch s.pick(7) {
	case 0:
		return Block{User: user, Machine: machine, By: by}
	case 1, 2, 3:
		return Unblock{User: user, Machine: machine, By: by} // more often, or all stands still
	case 4:
		return ReleaseUser{User: s.user(), By: by, NotAfter: s.notAfter()}
	case 5:
		if x := state.Session(s.running(state)); x != nil {
			return SignOut{User: x.User, Machine: x.Machine}
		}
		return SignOut{User: s.user(), Machine: s.machine(), NotAfter: s.notAfter()}
	default:
		return Move{License: s.license(), To: s.user(), From: s.user(), By: by, Agreed: s.pick(4) > 0, Cannot: s.pick(8) == 0, NotAfter: s.notAfter()}
	}
}

// aboutNodes is what concerns the machines that carry the site.
func (s *script) aboutNodes() Command {
	secret := Digest{byte(1 + s.pick(24)), byte(s.page % 4)} // more than may be open, or are kept
	name := oneOf(s, "gw1", "gw2", "GW1", "gw3", "")
	folder := oneOf(s, "f1", "f2", "f3", "")
	issuer := oneOf(s, "https://one", "https://one", "https://two", "")
	switch s.pick(23) {
	case 20, 21:
		roots := [][]byte{[]byte("r1"), []byte("r2"), []byte("r3"), nil}
		c := Rekey{Root: oneOf(s, roots...), Before: oneOf(s, roots...), Voucher: []byte("v"), By: oneOf(s, "root", "root", ""), Note: oneOf(s, "leaked", "leaked", ""),
			Until: s.at.Add(oneOf(s, time.Minute, 30*24*time.Hour, 500*24*time.Hour, -time.Second))}
		if s.pick(3) == 0 {
			c.Instead = RootDigest(oneOf(s, roots...))
		}
		return c
	case 22:
		return EndRekey{Root: RootDigest(oneOf(s, []byte("r1"), []byte("r2"), []byte("r3"))), Left: oneOf(s, nil, nil, []string{"gw2"}, []string{"gw3", "gw2"}, []string{""})}
	case 15, 16, 17:
		return NoteKeys{Issuer: issuer, Node: name, Taken: oneOf(s, fuzzKeys(1), fuzzKeys(1, 2), fuzzKeys(7, 8), fuzzKeys(9), nil), Held: oneOf(s, nil, nil, fuzzKeys(7, 8), fuzzKeys(9), []Digest{{2}, {1}})}
	case 18:
		return AcceptKeys{Issuer: issuer, Set: SetDigest(oneOf(s, fuzzKeys(7, 8), fuzzKeys(9))), By: oneOf(s, "root", "root", ""), Note: "meant"}
	case 0, 1:
		return IssueToken{Secret: secret, By: oneOf(s, "root", "root", ""), NotAfter: s.notAfter(),
			Until: s.at.Add(oneOf(s, time.Minute, time.Hour, 5*24*time.Hour, 8*24*time.Hour, -time.Second))}
	case 2, 3, 4:
		return Join{Secret: secret, Node: name, Instance: folder, Key: Digest{byte(s.pick(3))}}
	case 5, 6:
		return Enroll{Node: name, Instance: folder, Generation: uint64(s.pick(2)), Key: oneOf(s, Digest{}, Digest{1}, Digest{2})}
	case 7:
		return RaiseLevel{Level: oneOf[uint32](s, Level, Level, 0, Level+1), Program: oneOf(s, "v2", "v3")}
	case 8, 9:
		return NoteLockout{Node: name, Proxy: oneOf(s, "north", "north", "south", "\xff", ""), Until: oneOf(s, 0, s.at.Add(10*time.Minute))}
	case 11, 12:
		s.noted = s.at
		return NoteAlert{Kind: oneOf(s, "disk", "disk", "link", "\xff", ""), Subject: oneOf(s, name, ""), Detail: oneOf(s, "full", "nearly full"), Over: s.pick(2) == 0}
	case 13, 14:
		return AlertTold{Kind: oneOf(s, "disk", "disk", "link", ""), Subject: oneOf(s, name, ""), Since: oneOf(s, s.at, s.noted), Way: oneOf(s, "mail", "hook", "\xff", ""), Over: s.pick(2) == 0, Done: s.pick(4) == 0}
	case 19:
		return NoteReport{Name: oneOf(s, "day", "week", "month", "\xff", ""), Way: oneOf(s, "mail", "hook", ""), Through: oneOf(s, 0, s.at, s.at, s.noted)}
	default:
		return RemoveNode{Node: name, By: oneOf(s, "root", ""), Note: "lost", Signer: s.pick(2) == 0}
	}
}

func (s *script) configure() Command {
	day := 24 * time.Hour
	return Configure{Settings: Settings{SessionScope: Scope(s.pick(4)), CheckoutScope: Scope(s.pick(4)),
		CheckoutMax: oneOf(s, 0, day, time.Minute), CheckoutDefault: oneOf(s, 0, 4*day, 2*time.Minute), AutonomyCapped: oneOf(s, nil, &day, new(time.Duration)),
		Relay: s.pick(3) == 2, SaveGrace: oneOf(s, 0, time.Minute), PassV8i: s.pick(3) == 2, NoCheckouts: s.pick(8) == 7, Takeover: TakeoverPolicy(s.pick(3)),
		Modes: oneOf(s, nil, []Mode{}, []Mode{{Product: s.product(), Observe: true}})}}
}

// found founds a site.
func (w *witness) found(s *script) {
	s.world()
	for _, e := range s.founding() {
		w.see(e)
	}
}

// founding is how the site of every script begins.
func (s *script) founding() []Entry {
	s.at = TimeOf(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC))
	return []Entry{
		{s.at, Found{Cluster: "here", Level: Level, Seed: Digest{7}}},
		{s.at, Configure{Settings: Settings{SessionScope: Scope(s.pick(3)), CheckoutScope: Scope(s.pick(3)), Takeover: TakeoverPolicy(s.pick(3))}}},
		{s.at, Mirror{Cursor: "first", Changes: append(siteRecords(), s.people(0, s.crowd)...), Full: true, Last: true}},
		{s.at, Link{Up: true, Contact: s.at}},
	}
}

// fuzzKeys are thumbprints that begin with these bytes.
func fuzzKeys(first ...byte) []Digest {
	keys := make([]Digest, len(first))
	for i, b := range first {
		keys[i] = Digest{b}
	}
	return keys
}
