package endpoint

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
)

// What was open at each mark is counted, from however little of the day there is.
func TestWhatWasOpenAtEachMarkIsCounted(t *testing.T) {
	const every = license.Time(10 * 60 * 1000)
	d := &dayOfUse{first: 1000}
	at := func(mark int64) license.Time { return license.Time(1000+mark) * every }
	for _, u := range []struct {
		kind            license.UsageKind
		started, before license.Time
	}{
		{license.UsageSession, at(0), at(1)},                       // at its very beginning, and not at its end
		{license.UsageSession, at(-500), at(2) + 1},                // since before the day
		{license.UsageSession, at(1) + 1, at(2)},                   // between two marks
		{license.UsageSession, at(3) - 1, at(4)},                   // over one
		{license.UsageCheckout, at(2), at(trendMarks - 1)},         // to the last
		{license.UsageCheckout, at(2), at(trendMarks-1) + 1},       // and at it
		{license.UsageSession, at(-9), at(-8)},                     // all before
		{license.UsageSession, at(trendMarks), at(trendMarks + 5)}, // or after
	} {
		d.add(license.Usage{Kind: u.kind, Started: u.started}, u.before)
	}
	marks := d.marks(0)
	var got []string
	for _, m := range append(marks[:5:5], marks[trendMarks-2:]...) {
		got = append(got, fmt.Sprintf("%d:%d,%d", m.number()-1000, m.sessions, m.checkouts))
	}
	want := []string{"0:2,0", "1:1,0", "2:1,2", "3:1,2", "4:0,2", "142:0,2", "143:0,1"}
	if !slices.Equal(got, want) || int64(len(marks)) != trendMarks {
		t.Errorf("%d marks, of which %v; want %d, %v", len(marks), got, trendMarks, want)
	}
	if rest := d.marks(at(140)); len(rest) != 4 || rest[0].at != at(140) {
		t.Errorf("since mark 140 there are %+v; want 4", rest)
	}
}

// A node keeps a day of marks, one of each.
func TestATrendKeepsADay(t *testing.T) {
	var x trend
	for i := range int64(200) {
		for _, late := range []license.Time{0, 5} { // the clock may show a mark twice
			x.add(mark{at: license.Time(i*600_000) + late, sessions: int(i)})
		}
	}
	if n := int64(len(x.marks)); n != trendMarks || x.marks[0].sessions != 56 || x.marks[n-1].sessions != 199 || x.marks[n-1].at != 199*600_000+5 {
		t.Errorf("%d marks are kept, %+v to %+v; want %d from 56 to 199", n, x.marks[0], x.marks[n-1], trendMarks)
	}
}

// A node that has just begun finds the last day in the journal, and in what is open.
func TestTheLastDayIsReadFromTheJournal(t *testing.T) {
	node := &oneNode{state: license.NewState(), hub: notice.New(0, 0), agree: true, onTime: true}
	now := license.TimeOf(time.Now())
	day := 24 * time.Hour
	at := func(ago time.Duration, c license.Command) {
		t.Helper()
		out, events := license.Apply(node.state, license.Entry{At: now.Add(-ago), Command: c})
		if out.Denial != nil {
			t.Fatalf("%T: %+v", c, out.Denial)
		}
		for _, e := range events {
			node.facts, node.events = append(node.facts, e.Fact), append(node.events, e)
		}
	}
	m := func(n byte) license.Machine {
		return license.Machine{ID: fmt.Sprint("m-", n), Name: fmt.Sprint("WS-", n)}
	}
	changes := []license.Change{{Product: &license.Product{ID: "road", Capped: license.CappedYes}}}
	for n := range byte(4) {
		user := license.UserID(fmt.Sprint("u", n))
		changes = append(changes, license.Change{User: &license.User{ID: user, Country: "DE"}}, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprint("l-", n)), Product: "road", Assignee: user}})
	}
	at(3*day, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	at(3*day, license.Mirror{Full: true, Last: true, Cursor: "c1", Changes: changes})
	start := func(n byte) license.Start {
		return license.Start{ID: license.ID{n + 1}, User: license.UserID(fmt.Sprint("u", n)), Product: "road", Machine: m(n), Agreed: true}
	}
	stop := func(n byte) license.Stop {
		return license.Stop{ID: license.ID{n + 1}, User: license.UserID(fmt.Sprint("u", n)), Machine: m(n)}
	}
	at(2*day, start(0)) // and runs still
	at(30*time.Hour, start(1))
	at(26*time.Hour, stop(1)) // before the day
	at(25*time.Hour, start(2))
	at(12*time.Hour, stop(2)) // in it
	at(6*time.Hour, license.CheckOut{ID: license.ID{9}, User: "u3", Product: "road", Machine: m(3), Agreed: true, Until: now.Add(48 * time.Hour)})
	r := newRig(t, node)
	marks, err := r.e.lastDay(t.Context())
	if err != nil || int64(len(marks)) != trendMarks {
		t.Fatalf("%d marks, %v; want %d", len(marks), err, trendMarks)
	}
	for _, x := range marks {
		ago := now.Sub(x.at)
		want := mark{x.at, 1, 0}
		if ago > 12*time.Hour {
			want.sessions++
		}
		if ago <= 6*time.Hour {
			want.checkouts++
		}
		if x != want {
			t.Errorf("%v ago there were %+v; want %+v", ago.Round(time.Minute), x, want)
		}
	}
	if first, last := now.Sub(marks[0].at), now.Sub(marks[len(marks)-1].at); first < day-time.Hour || first >= day || last < -time.Hour || last >= 10*time.Minute { // a mark may pass meanwhile
		t.Errorf("the marks are from %v ago to %v ago", first, last)
	}

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.e.followTrend(ctx) }()
	defer func() { cancel(); <-done }()
	eventually(t, "the marks are shown", func() bool {
		var l api.List[api.TrendMark]
		r.look(t, 200, api.PathTrend, &l)
		return int64(len(l.Items)) == trendMarks && l.Items[0].Sessions == 2 && l.Items[trendMarks-1].Checkouts == 1
	})
}
