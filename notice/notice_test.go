package notice

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sitegate/license"
)

var (
	ws101 = license.Machine{ID: "m-101", Name: "WS-101"}
	ws202 = license.Machine{ID: "m-202", Name: "WS-202"}
)

func id(b byte) license.ID { return license.ID{15: b} }

// site is a state with one user who has one capped product, and its hub.
func site(t *testing.T) (*license.State, *license.Time) {
	t.Helper()
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ada", Country: "DE"}},
		{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}},
		{License: &license.License{ID: "l-1", Product: "road", Assignee: "ada"}},
	}})
	return s, &now
}

func apply(t *testing.T, s *license.State, at license.Time, c license.Command) []license.Event {
	t.Helper()
	out, events := license.Apply(s, license.Entry{At: at, Command: c})
	if out.Denial != nil {
		t.Fatalf("%T was refused: %+v", c, *out.Denial)
	}
	return events
}

// told are the notices of events, but for their places and times.
func told(events []license.Event) (all []Notice) {
	for _, e := range events {
		for _, n := range From(e) {
			n.Seq, n.At = 0, 0
			all = append(all, n)
		}
	}
	return all
}

// The day of a user with two machines, as the rules decide it, and what the
// machines are told.
func TestFromTellsTheDayOfAUser(t *testing.T) {
	s, now := site(t)
	steps := []struct {
		command license.Command
		want    []Notice
	}{
		{license.Start{ID: id(1), User: "ada", Product: "road", Machine: ws101, Agreed: true},
			[]Notice{{Kind: Granted, ID: id(1), License: "l-1", Machine: ws101, To: ws101}}},
		{license.Refused{User: "ada", Machine: ws202, Denial: license.Denial{Reason: license.MachineActive, Product: "road", License: "l-1", Holding: "l-1", Machine: ws101}},
			[]Notice{{Kind: Attempted, Reason: "machine-active", License: "l-1", Machine: ws202, To: ws101}}},
		{license.Refused{User: "ada", Machine: ws202, Denial: license.Denial{Reason: license.NotAssigned, Product: "road"}}, nil},
		{license.Wait{ID: id(2), User: "ada", Product: "road", Machine: ws202}, nil},
		{license.Stop{ID: id(1), User: "ada", Machine: ws101}, []Notice{
			{Kind: Free, ID: id(1), License: "l-1", Machine: ws101, To: ws101},
			{Kind: Yours, ID: id(2), Machine: ws202, To: ws202, Until: now.Add(license.ReservationTime)}}},
		{license.EndWait{ID: id(2), User: "ada"}, []Notice{{Kind: NotTaken, ID: id(2), Machine: ws202, To: ws202}}},
		{license.CheckOut{ID: id(3), User: "ada", Product: "road", Machine: ws202, Agreed: true, Until: now.Add(72 * time.Hour)},
			[]Notice{{Kind: CheckedOut, ID: id(3), License: "l-1", Machine: ws202, To: ws202, Until: now.Add(72 * time.Hour)}}},
		{license.Start{ID: id(4), User: "ada", Product: "road", Machine: ws202, Agreed: true},
			[]Notice{{Kind: Granted, ID: id(4), License: "l-1", Machine: ws202, To: ws202}}},
		{license.Stop{ID: id(4), User: "ada", Machine: ws202},
			[]Notice{{Kind: Stopped, ID: id(4), License: "l-1", Machine: ws202, To: ws202}}},
		{license.Return{ID: id(3), User: "ada", Machine: ws202},
			[]Notice{{Kind: Returned, ID: id(3), License: "l-1", Machine: ws202, To: ws202}}},
		{license.CheckOut{ID: id(6), User: "ada", Product: "road", Machine: ws202, Agreed: true, Until: now.Add(72 * time.Hour), By: "it", Note: "goes to sea"},
			[]Notice{{Kind: CheckedOut, ID: id(6), License: "l-1", Machine: ws202, To: ws202, Until: now.Add(72 * time.Hour), By: "it", Note: "goes to sea"}}},
		{license.WriteOff{Checkout: id(6), By: "it", Note: "lost"},
			[]Notice{{Kind: WrittenOff, ID: id(6), License: "l-1", Machine: ws202, To: ws202, Until: now.Add(72 * time.Hour), By: "it", Note: "lost"}}},
		{license.CheckInConfirmed{Checkout: id(6)},
			[]Notice{{Kind: Returned, ID: id(6), License: "l-1", Machine: ws202, To: ws202, Reason: ReasonCheckedIn}}},
		{license.Start{ID: id(5), User: "ada", Product: "road", Machine: ws101, Agreed: true},
			[]Notice{{Kind: Granted, ID: id(5), License: "l-1", Machine: ws101, To: ws101}}},
		{license.Release{Session: id(5), By: "it", Note: "please"},
			[]Notice{{Kind: Released, ID: id(5), License: "l-1", Machine: ws101, To: ws101, Reason: license.EndReleased, By: "it", Note: "please", Until: *now}}},
		{license.Expire{ID: id(5), Generation: 1},
			[]Notice{{Kind: Free, ID: id(5), License: "l-1", Machine: ws101, To: ws101, Reason: ReasonExpired}}},
		{license.Mirror{From: "1", Cursor: "2", Changes: []license.Change{{DeleteLicense: "l-1"}}},
			[]Notice{{Kind: Unassigned, License: "l-1"}}},
		{license.Link{Up: true, Contact: *now}, []Notice{{Kind: LinkUp}}},
		{license.Link{Up: false, Contact: *now}, []Notice{{Kind: LinkDown}}},
		{license.Configure{Settings: license.Settings{LeaseTTL: time.Hour}}, []Notice{{Kind: Policy}}},
	}
	for i, step := range steps {
		var got []Notice
		for _, e := range apply(t, s, *now, step.command) {
			got = append(got, From(e)...)
		}
		if len(got) != len(step.want) {
			t.Fatalf("step %d, %T: got %d notices %+v, want %d", i, step.command, len(got), got, len(step.want))
		}
		for j, want := range step.want {
			want.Seq, want.At = got[j].Seq, *now
			if want.Kind != LinkUp && want.Kind != LinkDown && want.Kind != Policy {
				want.User, want.Product = "ada", "road"
			}
			if got[j] != want {
				t.Errorf("step %d, %T:\n got %+v\nwant %+v", i, step.command, got[j], want)
			}
			if got[j].Seq == 0 {
				t.Errorf("step %d: a notice without a seq", i)
			}
		}
	}
}

func TestMineIsWhomItIsSaidTo(t *testing.T) {
	n := Notice{Kind: Attempted, Machine: ws202, To: ws101}
	if !n.Mine(ws101) || n.Mine(ws202) {
		t.Errorf("mine for WS-101 is %t, for WS-202 %t; want true, false", n.Mine(ws101), n.Mine(ws202))
	}
}

// Three days and one day before its end a checkout's machine is told, once each.
func TestFromTellsOfTheEndOfACheckout(t *testing.T) {
	s, now := site(t)
	end := now.Add(5 * 24 * time.Hour)
	apply(t, s, *now, license.CheckOut{ID: id(1), User: "ada", Product: "road", Machine: ws202, Agreed: true, Until: end})
	var told []license.Time
	for at := *now; at < end; at = at.Add(time.Hour) {
		for _, c := range license.Due(s, at) {
			for _, e := range apply(t, s, at, c) {
				for _, n := range From(e) {
					want := Notice{Seq: n.Seq, At: at, Kind: OutEnding, User: "ada", ID: id(1), Product: "road", License: "l-1", Machine: ws202, To: ws202, Until: end}
					if n != want {
						t.Errorf("got %+v\nwant %+v", n, want)
					}
					told = append(told, at)
				}
			}
		}
	}
	if want := []license.Time{end.Add(-72 * time.Hour), end.Add(-24 * time.Hour)}; !slices.Equal(told, want) {
		t.Errorf("told at %v, want %v", told, want)
	}
}

// The end of a license is told to its user and, in words of their own, to the
// administrators; a session in its last hour is told until when.
func TestTheEndOfALicenseIsToldToItsUserAndTheAdministrators(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	ends := now.Add(30 * 24 * time.Hour)
	page := func(ends license.Time) license.Change {
		return license.Change{License: &license.License{ID: "l-1", Product: "road", Assignee: "ada", Ends: ends}}
	}
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ada", Country: "DE", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "ida", Country: "DE", Roles: license.RoleAdministrator}},
		{Product: &license.Product{ID: "road", Capped: license.CappedYes}}, page(ends)}})
	equal := func(what string, got, want []Notice) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
		}
	}
	equal("30 days before", told(apply(t, s, now, license.RemindTerm{License: "l-1"})), []Notice{
		{Kind: EndsSoon, User: "ada", Product: "road", License: "l-1", Until: ends},
		{Kind: SiteEnds, User: "ida", About: "ada", Product: "road", License: "l-1", Until: ends}})

	now = ends.Add(-30 * time.Minute)
	events := apply(t, s, now, license.Start{ID: id(1), User: "ada", Product: "road", Machine: ws101, Agreed: true})
	equal("a start in the last hour", told(events), []Notice{
		{Kind: Granted, User: "ada", ID: id(1), Product: "road", License: "l-1", Machine: ws101, To: ws101},
		{Kind: Ending, User: "ada", ID: id(1), Product: "road", License: "l-1", Machine: ws101, To: ws101, Reason: license.EndLicenseEnded, Until: ends}})

	events = apply(t, s, now, license.Mirror{From: "1", Cursor: "2", Full: true, Changes: []license.Change{page(ends.Add(365 * 24 * time.Hour))}})
	equal("renewed", told(events), []Notice{
		{Kind: Extended, User: "ada", ID: id(1), Product: "road", License: "l-1", Machine: ws101, To: ws101}})
}

// After a restore the cloud tells of a checkout of the time that is lost: its user's
// machines read of it as of any other.
func TestFromTellsOfACheckoutThatWasFound(t *testing.T) {
	s, now := site(t)
	s.Restore(license.Beginning{Epoch: 9, Cluster: s.Head().Cluster, At: *now, Node: "gw1", Instance: "new"})
	apply(t, s, *now, license.Resume{Epoch: 9})
	found := license.Checkout{ID: id(7), User: "ada", Product: "road", License: "l-1", Machine: ws202, Until: now.Add(time.Hour)}
	events := apply(t, s, *now, license.Reread{Epoch: 9, Found: []license.Checkout{found}, Last: true})
	got := From(events[0])
	if len(events) != 2 || len(got) != 1 || got[0].Kind != CheckedOut || got[0].ID != id(7) || got[0].Until != now.Add(time.Hour) {
		t.Errorf("%d events, of the first %+v; want two, the first a %s until %v", len(events), got, CheckedOut, now.Add(time.Hour))
	}
	if got := From(events[1]); got != nil {
		t.Errorf("that the books were read is told: %+v", got)
	}
}

// A start that the site grants alone is told so, and then that the cloud agrees, or
// that it knows another machine, which one, and until when there is time to save.
func TestFromTellsWhatBecomesOfAProvisionalStart(t *testing.T) {
	s, now := site(t)
	home := license.Machine{ID: "m-home", Name: "HOME-1"}
	alone := 24 * time.Hour
	apply(t, s, *now, license.Mirror{From: "1", Cursor: "2", Changes: []license.Change{{Account: &license.Account{ID: "a", AutonomyCapped: alone}}}})
	apply(t, s, *now, license.Link{Up: true, Contact: *now})
	apply(t, s, *now, license.Link{Contact: *now})
	told := func(c license.Command) Notice {
		t.Helper()
		for _, e := range apply(t, s, *now, c) {
			for _, n := range From(e) {
				if n.Kind != LinkUp {
					return n
				}
			}
		}
		t.Fatalf("%T is told to nobody", c)
		return Notice{}
	}
	if n := told(license.Start{ID: id(1), User: "ada", Product: "road", Machine: ws101}); n.Kind != Granted || !n.Provisional {
		t.Errorf("the start is told as %+v; want it granted, and provisional", n)
	}
	if n := told(license.Confirm{Session: id(1)}); n.Kind != Confirmed || n.Provisional || !n.Mine(ws101) {
		t.Errorf("that the cloud agrees is told as %+v", n)
	}
	n := told(license.Conflict{Session: id(1), Machine: home})
	if n.Kind != Ending || n.Reason != license.EndConflict || n.Machine != home || !n.Mine(ws101) || n.Until != now.Add(license.DefaultSaveGrace) {
		t.Errorf("that the cloud knows another machine is told as %+v; want its name, and until when to save", n)
	}
	// 5 min and 1 min before, and at the end, it is said again, whether or not anybody does
	// anything.
	var left []time.Duration
	for at, end := *now, n.Until.Add(time.Minute); at <= end; at = at.Add(30 * time.Second) {
		for _, c := range license.Due(s, at) {
			for _, e := range apply(t, s, at, c) {
				for _, w := range From(e) {
					if w.Kind != Ending || w.Reason != license.EndConflict || w.Machine != home || w.Until != n.Until {
						t.Errorf("warned of %+v; want what was said first", w)
					}
					left = append(left, w.Until.Sub(w.At))
				}
			}
		}
	}
	if want := []time.Duration{5 * time.Minute, time.Minute, 0}; !slices.Equal(left, want) {
		t.Errorf("warned %v before the end; want %v", left, want)
	}
}

// Other terms of the account and another kind of product are told to everyone, so that
// clients read anew at once; who is who is not.
func TestFromTellsOfOtherTerms(t *testing.T) {
	s, now := site(t)
	for i, step := range []struct {
		change license.Change
		told   bool
	}{
		{license.Change{Account: &license.Account{ID: "a", CheckoutMax: time.Hour}}, true},
		{license.Change{Account: &license.Account{ID: "a", CheckoutMax: time.Hour, Name: "Example"}}, false},
		{license.Change{Product: &license.Product{ID: "road", Name: "Road", Capped: license.CappedYes}}, false},
		{license.Change{Product: &license.Product{ID: "road", Capped: license.CappedNo}}, true},
		{license.Change{User: &license.User{ID: "ben"}}, false},
	} {
		var got []Notice
		for _, e := range apply(t, s, *now, license.Mirror{From: fmt.Sprint(i + 1), Cursor: fmt.Sprint(i + 2), Changes: []license.Change{step.change}}) {
			got = append(got, From(e)...)
		}
		if told := len(got) == 1 && got[0].Kind == Policy && got[0].User == ""; told != step.told || len(got) > 1 {
			t.Errorf("%d: told %+v; want it told: %t", i, got, step.told)
		}
	}
}
