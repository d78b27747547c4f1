package notice

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sitegate/license"
)

// What IT does and must see to, and who is told of it (R22): administrators, with
// new and changed licenses also the fulfillment contact, and the user who is
// blocked.
func TestFromTellsAdministrators(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ada", Country: "DE"}},
		{User: &license.User{ID: "ida", Country: "DE", Roles: license.RoleAdministrator}},
		{User: &license.User{ID: "fay", Country: "DE", Roles: license.RoleFulfillment}},
		{Product: &license.Product{ID: "road", Capped: license.CappedYes}},
		{License: &license.License{ID: "l-1", Product: "road", Assignee: "ada"}},
	}})
	until := now.Add(24 * time.Hour)
	ends := now.Add(365 * 24 * time.Hour)
	steps := []struct {
		command license.Command
		want    []Notice
	}{
		{license.Mirror{From: "1", Cursor: "2", Changes: []license.Change{{License: &license.License{ID: "l-2", Product: "road", Ends: ends}}}}, []Notice{
			{Kind: LicenseChanged, User: "fay", Reason: ReasonNew, Product: "road", License: "l-2", Until: ends},
			{Kind: LicenseChanged, User: "ida", Reason: ReasonNew, Product: "road", License: "l-2", Until: ends}}},
		{license.Mirror{From: "2", Cursor: "3", Changes: []license.Change{{License: &license.License{ID: "l-2", Product: "road"}}}}, []Notice{
			{Kind: LicenseChanged, User: "fay", Product: "road", License: "l-2"}, {Kind: LicenseChanged, User: "ida", Product: "road", License: "l-2"}}},
		{license.Mirror{From: "3", Cursor: "4", Changes: []license.Change{{DeleteLicense: "l-2"}}}, []Notice{
			{Kind: LicenseChanged, User: "fay", Reason: ReasonGone, Product: "road", License: "l-2"},
			{Kind: LicenseChanged, User: "ida", Reason: ReasonGone, Product: "road", License: "l-2"}}},
		{license.CheckOut{ID: id(1), User: "ada", Product: "road", Machine: ws202, Agreed: true, Until: until},
			[]Notice{{Kind: CheckedOut, User: "ada", ID: id(1), Product: "road", License: "l-1", Machine: ws202, To: ws202, Until: until}}},
		{license.Block{User: "ada", By: "ida", Note: "ask me"}, []Notice{
			{Kind: Blocked, User: "ada", By: "ida", Note: "ask me"},
			{Kind: CheckoutFlagged, User: "ida", About: "ada", Reason: license.EndBlocked, ID: id(1), Product: "road", License: "l-1", Machine: ws202, Until: until}}},
		{license.Unblock{User: "ada", By: "ida"}, []Notice{{Kind: Unblocked, User: "ada", By: "ida"}}},
		{license.Block{Machine: ws101, By: "ida"}, nil},
		{license.Unblock{Machine: ws101, By: "ida"}, nil},
		{license.Mirror{From: "4", Cursor: "5", Changes: []license.Change{{DeleteUser: "ada"}}},
			[]Notice{{Kind: UserNotFound, User: "ida", About: "ada", Product: "road", License: "l-1"}}},
		{license.Mirror{From: "5", Cursor: "6", Last: true}, nil},
		{license.Remind{Counts: license.ReminderCounts{Unassigned: 3}}, []Notice{{Kind: Reminders, User: "ida", Counts: license.ReminderCounts{Unassigned: 3}}}},
		{license.Remind{Counts: license.ReminderCounts{Unassigned: 4}}, nil}, // not before a week has passed
	}
	for i, step := range steps {
		var got []Notice
		for _, e := range apply(t, s, now, step.command) {
			got = append(got, From(e)...)
		}
		for _, n := range got {
			if own := n.User == "ada"; own == n.Kind.ForAdministrators() {
				t.Errorf("step %d: %s of %s is for administrators: %t", i, n.Kind, n.User, !own)
			}
		}
		if len(got) != len(step.want) {
			t.Fatalf("step %d, %T: got %d notices %+v, want %d", i, step.command, len(got), got, len(step.want))
		}
		for j, want := range step.want {
			want.Seq, want.At = got[j].Seq, now
			if got[j] != want {
				t.Errorf("step %d, %T:\n got %+v\nwant %+v", i, step.command, got[j], want)
			}
		}
	}
}

// A mirror that is held back is told to the administrators, and that it is not any
// more; who accepted it knows that.
func TestFromTellsOfAMirrorThatIsHeldBack(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	fill := license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ida", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "fay", Roles: license.RoleFulfillment}}}}
	gone := license.Mirror{From: "1", Cursor: "2", Last: true}
	for i := range 2 * license.MinShrink {
		user := license.UserID(fmt.Sprint("u", i))
		fill.Changes = append(fill.Changes, license.Change{User: &license.User{ID: user}})
		gone.Changes = append(gone.Changes, license.Change{DeleteUser: user})
	}
	apply(t, s, now, fill)
	for i, step := range []struct {
		command license.Command
		want    []Notice
	}{
		{license.HoldBack{Losing: license.Sizes{Users: 40}}, []Notice{{Kind: MirrorHeld, User: "ida"}}},
		{license.HoldBack{Losing: license.Sizes{Users: 39}}, nil},
		{license.Mirror{From: "1", Cursor: "1", Last: true}, []Notice{{Kind: MirrorResumed, User: "ida"}}},
		{license.HoldBack{Losing: license.Sizes{Users: 40}}, []Notice{{Kind: MirrorHeld, User: "ida"}}},
		{license.AcceptShrink{By: "root"}, nil},
		{gone, []Notice{{Kind: MirrorResumed, User: "ida", By: "root", Reason: ReasonAccepted}}},
	} {
		got := told(apply(t, s, now, step.command))
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d, %T:\n got %+v\nwant %+v", i, step.command, got, step.want)
		}
	}
}

// Administrators are told once that the cluster has left older programs behind.
func TestFromTellsOfALevelThatIsRaised(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ida", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "ada"}}}})
	for i, want := range [][]license.UserID{{"ida"}, nil} {
		var told []license.UserID
		for _, e := range apply(t, s, now, license.RaiseLevel{Level: license.Level, Program: "v2"}) {
			for _, n := range From(e) {
				if n.Kind != LevelRaised {
					t.Errorf("%d: got a notice %s, want %s", i, n.Kind, LevelRaised)
				}
				told = append(told, n.User)
			}
		}
		if !slices.Equal(told, want) {
			t.Errorf("%d: told %v, want %v", i, told, want)
		}
	}
}

// A session that a block ends is told so, with who and why.
func TestABlockEndsSessionsWithItsReason(t *testing.T) {
	s, now := site(t)
	apply(t, s, *now, license.Start{ID: id(1), User: "ada", Product: "road", Machine: ws101, Agreed: true})
	var got []Notice
	for _, e := range apply(t, s, *now, license.Block{Machine: ws101, By: "ida", Note: "a virus"}) {
		got = append(got, From(e)...)
	}
	want := Notice{Kind: Released, User: "ada", ID: id(1), Product: "road", License: "l-1", Machine: ws101, To: ws101,
		Reason: license.EndBlocked, By: "ida", Note: "a virus", Until: *now, At: *now}
	if len(got) != 1 {
		t.Fatalf("got %+v, want one notice", got)
	}
	want.Seq = got[0].Seq
	if got[0] != want {
		t.Errorf("\n got %+v\nwant %+v", got[0], want)
	}
}

// That a proxy rejects a node's secret is told to administrators, once, and that it is over.
func TestFromTellsOfSecretsThatAreNotSent(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ida", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "ann"}}}})
	until := now.Add(10 * time.Minute)
	for i, step := range []struct {
		command license.Command
		want    []Notice
	}{
		{license.NoteLockout{Node: "gw2", Proxy: "north", Until: until}, []Notice{{Kind: SecretStopped, User: "ida", Node: "gw2", Proxy: "north", Until: until}}},
		{license.NoteLockout{Node: "gw2", Proxy: "north", Until: until.Add(time.Hour)}, nil},
		{license.NoteLockout{Node: "gw2", Proxy: "north"}, []Notice{{Kind: SecretResumed, User: "ida", Node: "gw2", Proxy: "north"}}},
		{license.NoteLockout{Node: "gw2", Proxy: "north"}, nil},
	} {
		got := told(apply(t, s, now, step.command))
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d, %+v:\n got %+v\nwant %+v", i, step.command, got, step.want)
		}
	}
}

// That an issuer lists other keys only is told to administrators, once for each set, and that
// it is over.
func TestFromTellsOfKeysThatAreHeldBack(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ida", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "ann"}}}})
	known, other := []license.Digest{{1}}, []license.Digest{{2}}
	for i, step := range []struct {
		command license.Command
		want    []Notice
	}{
		{license.NoteKeys{Issuer: "https://one", Node: "gw1", Taken: known}, nil},
		{license.NoteKeys{Issuer: "https://one", Node: "gw2", Taken: known, Held: other}, []Notice{{Kind: KeysHeld, User: "ida", Issuer: "https://one", Node: "gw2"}}},
		{license.NoteKeys{Issuer: "https://one", Node: "gw1", Taken: known, Held: other}, nil},
		{license.AcceptKeys{Issuer: "https://one", Set: license.SetDigest(other), By: "root"}, nil},
		{license.NoteKeys{Issuer: "https://one", Node: "gw1", Taken: other}, nil},
		{license.NoteKeys{Issuer: "https://one", Node: "gw2", Taken: other}, []Notice{{Kind: KeysResumed, User: "ida", Issuer: "https://one"}}},
	} {
		got := told(apply(t, s, now, step.command))
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d, %+v:\n got %+v\nwant %+v", i, step.command, got, step.want)
		}
	}
}

// A bypass is told to administrators when it begins and when it is over, by somebody or
// because its time is up.
func TestFromTellsOfABypass(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ida", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "ann"}}}})
	begun := Notice{Kind: Bypass, User: "ida", By: "root", Note: "no starts", Until: now.Add(license.BypassTime)}
	later := begun
	later.Until = now.Add(time.Minute + license.BypassTime)
	for i, step := range []struct {
		after   time.Duration
		command license.Command
		want    []Notice
	}{
		{0, license.LetPass{By: "root", Note: "no starts"}, []Notice{begun}},
		{0, license.LetPass{Over: true, By: "ida", Note: "mended"}, []Notice{{Kind: Bypass, User: "ida", Reason: ReasonOver, By: "ida", Note: "mended"}}},
		{time.Minute, license.LetPass{By: "root", Note: "no starts"}, []Notice{later}},
		{time.Minute, license.EndBypass{}, nil},
		{time.Minute + license.BypassTime, license.EndBypass{}, []Notice{{Kind: Bypass, User: "ida", Reason: ReasonOver}}},
	} {
		got := told(apply(t, s, now.Add(step.after), step.command))
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d, %+v:\n got %+v\nwant %+v", i, step.command, got, step.want)
		}
	}
}

// What becomes of usage is told to administrators: that the cloud refuses some of it,
// and how full its room is.
func TestFromTellsOfUsageThatDoesNotArrive(t *testing.T) {
	s, now := license.NewState(), license.TimeOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	apply(t, s, now, license.Mirror{Full: true, Last: true, Cursor: "1", Changes: []license.Change{
		{User: &license.User{ID: "ida", Roles: license.RoleAdministrator}}, {User: &license.User{ID: "fay", Roles: license.RoleFulfillment}}}})
	through := s.Head().Seq
	aside := []license.SetAside{{Usage: license.Usage{Seq: through, Record: "r", User: "ada", Product: "road", Machine: ws101}, Why: "no"}}
	for i, step := range []struct {
		command license.Command
		want    []Notice
	}{
		{license.UsageSent{Through: through, SetAside: aside}, []Notice{{Kind: UsageRefused, User: "ida"}}},
		{license.SettleUsage{Records: []string{"r"}}, nil},
		{license.NoteBacklog{Bytes: 10, Most: 100}, nil},
		{license.NoteBacklog{Bytes: 50, Most: 100}, []Notice{{Kind: UsageBacklog, User: "ida", Reason: "half"}}},
		{license.NoteBacklog{Bytes: 60, Most: 100}, nil},
		{license.NoteBacklog{Bytes: 80, Most: 100}, []Notice{{Kind: UsageBacklog, User: "ida", Reason: "high"}}},
		{license.NoteBacklog{Bytes: 100, Most: 100}, []Notice{{Kind: UsageBacklog, User: "ida", Reason: "full"}}},
		{license.NoteBacklog{Bytes: 10, Most: 100}, []Notice{{Kind: UsageBacklog, User: "ida", Reason: "ok"}}},
	} {
		got := told(apply(t, s, now, step.command))
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d, %T:\n got %+v\nwant %+v", i, step.command, got, step.want)
		}
	}
}
