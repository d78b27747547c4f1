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
	page  int
	ids   int
	terms bool // licenses begin, too
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
	if s.crowd > 0 && s.pick(3) == 0 {
		return s.shrink(state)
	}
	switch s.pick(49) {
	case 46:
		return s.aboutNodes()
	case 47, 48:
		return s.restored(state)
	case 33, 34, 35, 36:
		return s.admin(state)
	case 37:
		if s.pick(3) == 0 {
			return CheckInConfirmed{Checkout: s.checkedOut(state)}
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
			Feature: oneOf(s, "", "full"), Fences: s.pick(4) > 0}
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
		return CheckOut{ID: s.id(), User: s.user(), Product: s.product(), Machine: s.machine(), Agreed: s.pick(5) > 0, NotAfter: s.notAfter(),
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
		return Release{Session: s.running(state), By: oneOf(s, "root", "")}
	case 23:
		return Conflict{Session: s.running(state), Machine: s.machine()}
	case 24:
		return oneOf[Command](s, Confirm{Session: s.running(state)}, s.usage(state),
			Refused{User: s.user(), Machine: s.machine(), Denial: Denial{Reason: MachineActive}}, Found{Cluster: oneOf(s, "here", "there"), Level: oneOf[uint32](s, Level, 0, Level+1)})
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
		return Move{License: s.license(), To: s.user(), By: by, Agreed: s.pick(4) > 0, Cannot: s.pick(8) == 0, NotAfter: s.notAfter()}
	}
}

// aboutNodes is what concerns the machines that carry the site.
func (s *script) aboutNodes() Command {
	secret := Digest{byte(1 + s.pick(24)), byte(s.page % 4)} // more than may be open, or are kept
	name := oneOf(s, "gw1", "gw2", "GW1", "gw3", "")
	folder := oneOf(s, "f1", "f2", "f3", "")
	switch s.pick(11) {
	case 0, 1:
		return IssueToken{Secret: secret, By: oneOf(s, "root", "root", ""), NotAfter: s.notAfter(),
			Until: s.at.Add(oneOf(s, time.Minute, time.Hour, 5*24*time.Hour, 8*24*time.Hour, -time.Second))}
	case 2, 3, 4:
		return Join{Secret: secret, Node: name, Instance: folder, Key: Digest{byte(s.pick(3))}}
	case 5, 6:
		return Enroll{Node: name, Instance: folder, Generation: uint64(s.pick(2))}
	case 7:
		return RaiseLevel{Level: oneOf[uint32](s, Level, Level, 0, Level+1), Program: oneOf(s, "v2", "v3")}
	case 8, 9:
		return NoteLockout{Node: name, Proxy: oneOf(s, "north", "north", "south", "\xff", ""), Until: oneOf(s, 0, s.at.Add(10*time.Minute))}
	default:
		return RemoveNode{Node: name, By: oneOf(s, "root", ""), Note: "lost"}
	}
}

func (s *script) configure() Command {
	day := 24 * time.Hour
	return Configure{Settings: Settings{SessionScope: Scope(s.pick(4)), CheckoutScope: Scope(s.pick(4)),
		CheckoutMax: oneOf(s, 0, day, time.Minute), CheckoutDefault: oneOf(s, 0, 4*day, 2*time.Minute), AutonomyCapped: oneOf(s, nil, &day, new(time.Duration)),
		SaveGrace: oneOf(s, 0, time.Minute), PassV8i: s.pick(3) == 2, NoCheckouts: s.pick(8) == 7, Takeover: TakeoverPolicy(s.pick(3)),
		Modes: oneOf(s, nil, []Mode{}, []Mode{{Product: s.product(), Observe: true}})}}
}

func (s *script) mirror(state *State) Command {
	s.page++
	c := Mirror{From: state.Head().Cursor, Cursor: fmt.Sprint("page-", s.page), Full: s.pick(6) == 0}
	if s.pick(8) == 0 {
		c.From = oneOf(s, "", "elsewhere")
	}
	for range s.pick(3) {
		if s.pick(3) == 0 {
			c.Changes = append(c.Changes, s.newEnd(state))
		} else {
			c.Changes = append(c.Changes, s.change())
		}
	}
	if s.crowd > 0 {
		c.Last = s.pick(3) == 0
	}
	if s.pick(16) == 15 {
		return Import{By: oneOf(s, "ida", "ida", ""), Changes: c.Changes, Last: s.pick(2) == 0}
	}
	return c
}

// people are some of the crowd, each with a license.
func (s *script) people(from, n int) []Change {
	var changes []Change
	for i := from; i < from+n && i < s.crowd; i++ {
		user := UserID(fmt.Sprint("u", i))
		changes = append(changes, Change{User: &User{ID: user, Country: "FR"}},
			Change{License: &License{ID: LicenseID(fmt.Sprint("M", i)), Product: "stad", Assignee: user}})
	}
	return changes
}

// shrink takes some of the crowd away, or brings it back, and is what is done about
// it.
func (s *script) shrink(state *State) Command {
	s.page++
	c := Mirror{From: state.Head().Cursor, Cursor: fmt.Sprint("page-", s.page), Full: s.pick(4) == 0, Last: s.pick(2) == 0}
	n := oneOf(s, 3, 10, 19, 25, 40)
	if s.pick(4) == 0 {
		c.Losing = Sizes{Users: s.pick(50), Licenses: s.pick(50), Assignments: s.pick(50) - 1}
	}
	from, what := s.pick(40), s.pick(10)
	switch h := state.Head().Held; {
	case h.Since == 0 || s.pick(2) == 0:
	case h.Accepted == 0:
		what = 7
	default:
		n, from, what = 40, 0, 2+what%3
	}
	switch what {
	case 0, 1:
		c.Changes = s.people(0, s.crowd)
	case 2, 3, 4:
		for _, change := range s.people(from, n) {
			switch {
			case what == 2 && change.User != nil:
				change = Change{DeleteUser: change.User.ID}
			case what == 3 && change.License != nil:
				change = Change{DeleteLicense: change.License.ID}
			case what == 4 && change.License != nil:
				change.License.Assignee = oneOf[UserID](s, "", "ann")
			}
			c.Changes = append(c.Changes, change)
		}
	case 5, 6:
		return HoldBack{Losing: Sizes{Users: n, Licenses: s.pick(50), Assignments: s.pick(50) - 1}}
	case 7:
		return AcceptShrink{By: oneOf(s, "root", "root", ""), Note: "meant"}
	case 8:
		if s.pick(3) == 0 {
			return Maintain{Maintenance{From: oneOf(s, 0, s.at, s.at+Time(n)), Until: oneOf(s, 0, s.at+Time(n), s.at+Time(n)*1000), By: oneOf(s, "root", "root", ""), Note: "work"}}
		}
		return AcceptTime{From: Time(n), By: oneOf(s, "root", "root", ""), Note: "meant"}
	default:
		c.Last = true
	}
	return c
}

// newEnd is a change of a license by which something runs: it ends at another time.
func (s *script) newEnd(state *State) Change {
	x := state.Session(s.running(state))
	if x == nil || state.License(x.License) == nil {
		return s.change()
	}
	l := *state.License(x.License)
	l.Ends = oneOf(s, 0, 0, s.at.Add(-time.Minute), s.at.Add(time.Minute), s.at.Add(40*time.Minute), s.at.Add(40*time.Minute), s.at.Add(48*time.Hour))
	return Change{License: &l}
}

func (s *script) change() Change {
	if s.pick(2) > 0 {
		return oneOf(s, siteRecords()...)
	}
	switch s.pick(11) {
	case 8, 9:
		// What the account has for all comes, goes, and ends at another time.
		return Change{License: &License{ID: oneOf[LicenseID](s, "P1", "P2"), Product: s.product(), Kind: oneOf(s, Commercial, Commercial, Trial),
			Countries: oneOf(s, nil, nil, []string{"FR"}), Ends: oneOf(s, 0, s.at, s.at.Add(time.Minute), s.at.Add(2*time.Hour), s.at.Add(48*time.Hour))}}
	case 10:
		return oneOf(s, Change{User: &User{ID: s.user(), Country: oneOf(s, "DE", "FR")}}, Change{DeleteLicense: "P1"}, Change{DeleteLicense: "P2"})
	case 0:
		return Change{User: &User{ID: s.user(), Blocked: s.pick(3) == 0, Country: oneOf(s, "DE", "FR", "fr", ""),
			Email: oneOf(s, "", "ann@acme.example", "bob@acme.example", "Desk@acme.example"), Roles: Roles(s.pick(16)),
			OtherAccount: s.pick(4) == 0}}
	case 1:
		return Change{Product: &Product{ID: s.product(), Capped: Capped(s.pick(3)), V8i: s.pick(5) == 4, NeedsFeature: s.pick(5) == 4}}
	case 2:
		return Change{DeleteUser: s.user(), Malformed: oneOf(s, "", "", "odd")}
	case 3:
		return Change{DeleteProduct: s.product(), Malformed: oneOf(s, "", "", "odd", "odder")}
	case 4:
		return Change{DeleteLicense: s.license(), Malformed: oneOf(s, "", "odd")}
	case 5:
		return Change{Account: &Account{ID: "acme", AutonomyCapped: oneOf(s, 0, time.Hour), AutonomyUncapped: time.Hour,
			Administrators:     oneOf(s, nil, []Administrator{{Email: "Ann@acme.example"}, {Name: "Help"}}, []Administrator{{Email: "desk@acme.example"}}),
			FulfillmentContact: oneOf(s, Administrator{}, Administrator{Email: "desk@ACME.example"}, Administrator{Email: "bob@acme.example"}),
			CountryPolicies:    oneOf(s, nil, []CountryPolicy{{Country: "FR", NoCheckouts: s.pick(2) > 0, CheckoutMax: 26 * time.Hour}})}}
	default:
		l := License{ID: s.license(), Product: s.product(), Assignee: oneOf[UserID](s, "ann", "bob", ""),
			Kind: oneOf(s, Virtuoso, Virtuoso, Virtuoso, Commercial, Trial), Countries: oneOf(s, nil, nil, nil, []string{"FR"}),
			Ends:       oneOf(s, 0, 0, 0, s.at, s.at.Add(10*time.Minute), s.at.Add(3*time.Hour), s.at.Add(40*24*time.Hour)),
			AssignedAt: oneOf(s, 0, s.at, s.at.Add(-25*time.Hour), s.at.Add(-32*24*time.Hour))}
		if s.terms {
			l.Starts = oneOf(s, 0, 0, s.at.Add(-time.Hour), s.at.Add(time.Minute))
		}
		return Change{License: &l}
	}
}

func (s *script) license() LicenseID {
	return oneOf[LicenseID](s, "L1", "L2", "L3", "L4", "L5", "L6", "L7")
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
		{s.at, Found{Cluster: "here", Level: Level}},
		{s.at, Configure{Settings: Settings{SessionScope: Scope(s.pick(3)), CheckoutScope: Scope(s.pick(3)), Takeover: TakeoverPolicy(s.pick(3))}}},
		{s.at, Mirror{Cursor: "first", Changes: append(siteRecords(), s.people(0, s.crowd)...), Full: true, Last: true}},
		{s.at, Link{Up: true, Contact: s.at}},
	}
}

// siteRecords are three users, four products and their licenses, and what covers one
// of them for all.
func siteRecords() []Change {
	return []Change{
		{Account: &Account{ID: "acme", AutonomyCapped: 72 * time.Hour, AutonomyUncapped: 7 * 24 * time.Hour}},
		{User: &User{ID: "ann", Email: "ann@acme.example", Country: "FR"}}, {User: &User{ID: "bob", Country: "FR"}}, {User: &User{ID: "eve", Country: "FR"}},
		{Product: &Product{ID: "micro", Capped: CappedYes}}, {Product: &Product{ID: "stad", Capped: CappedYes}},
		{Product: &Product{ID: "view", Capped: CappedNo}}, {Product: &Product{ID: "odd"}},
		{License: &License{ID: "L1", Product: "micro", Assignee: "ann"}}, {License: &License{ID: "L2", Product: "stad", Assignee: "ann"}},
		{License: &License{ID: "L3", Product: "view", Assignee: "ann"}}, {License: &License{ID: "L4", Product: "odd", Assignee: "ann"}},
		{License: &License{ID: "L5", Product: "micro", Assignee: "bob"}}, {License: &License{ID: "L6", Product: "stad", Assignee: "bob"}},
		{License: &License{ID: "L7", Product: "micro", Assignee: "ann"}},
		{License: &License{ID: "P1", Product: "micro", Kind: Commercial}},
	}
}
