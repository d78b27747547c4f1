package report

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/phrase"
)

// node is a state with its events.
type node struct {
	t      *testing.T
	state  *license.State
	now    time.Time
	events []license.Event
}

func (n *node) View(f func(*license.State)) { f(n.state) }
func (n *node) Now() license.Time           { return license.TimeOf(n.now) }

// Peaks counts a day at a time, as a node does that has much to count.
func (n *node) Peaks(_ context.Context, from, until license.Time, _ license.ProductID) ([]license.Peak, license.Time, error) {
	until = min(until, license.TimeOf(from.Std().Truncate(24*time.Hour).Add(24*time.Hour)))
	c := license.NewPeakCount(from, until, 1<<20)
	for _, e := range n.events {
		if u, used := license.UseOf(e); used {
			c.Add(&u)
		}
	}
	return c.Peaks(), until, nil
}

func (n *node) Recall(_ context.Context, _ uint64, _, _ int, match func(license.Event) bool) ([]license.Event, uint64, error) {
	for _, e := range slices.Backward(n.events) {
		if match(e) {
			break
		}
	}
	return nil, 0, nil
}

func (n *node) at(text string, commands ...license.Command) {
	n.t.Helper()
	var err error
	if n.now, err = time.Parse("2006-01-02 15:04", "2026-"+text); err != nil {
		n.t.Fatal(err)
	}
	for _, c := range commands {
		out, events := license.Apply(n.state, license.Entry{At: license.TimeOf(n.now), Command: c})
		if out.Denial != nil {
			n.t.Fatalf("%s %T: %+v", text, c, out.Denial)
		}
		n.events = append(n.events, events...)
	}
}

func machine(i int) license.Machine {
	return license.Machine{ID: fmt.Sprint("m-", i), Name: fmt.Sprint("WS-", i)}
}

// week is a site with a week behind it.
func week(t *testing.T) *node {
	n := &node{t: t, state: license.NewState()}
	change := func(l license.License) license.Change { l.AssignedAt = n.Now(); return license.Change{License: &l} }
	n.at("10-01 08:00", license.Found{Cluster: "site-7", Level: license.Level}, license.Link{Up: true, Contact: license.TimeOf(time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC))})
	day := 24 * time.Hour
	n.at("10-01 08:01", license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{
		{Account: &license.Account{ID: "acme", CheckoutMax: 30 * day}},
		{User: &license.User{ID: "ada", Name: "Ada Byron", Email: "ada@site.test", Country: "DE"}}, {User: &license.User{ID: "ben", Name: "Ben Ek", Country: "FR"}},
		{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}}, {Product: &license.Product{ID: "flow", Name: "=Flow", Capped: license.CappedNo}},
		change(license.License{ID: "l-1", Product: "road", Assignee: "ada"}), change(license.License{ID: "l-2", Product: "road", Assignee: "ben", Ends: n.Now().Add(80 * day)}),
		change(license.License{ID: "l-3", Product: "road"}), change(license.License{ID: "l-4", Product: "flow", Assignee: "ben"}),
	}})
	// The week from 2026-11-16: ada works on two days, is refused twice elsewhere; the link
	// is down from the week before until Monday, and for an hour on Friday.
	n.at("11-15 22:00", license.Link{})
	n.at("11-16 02:00", license.Link{Up: true, Contact: license.TimeOf(n.now)})
	n.at("11-16 08:00", license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: machine(1), Agreed: true})
	n.at("11-16 09:00", license.Refused{User: "ada", Machine: machine(2), Denial: license.Denial{Reason: license.MachineActive, Product: "road", Machine: machine(1)}})
	n.at("11-16 10:00", license.Refused{User: "ada", Machine: machine(2), Denial: license.Denial{Reason: license.MachineActive, Product: "road", Machine: machine(1)}},
		license.Refused{User: "ben", Machine: machine(3), Denial: license.Denial{Reason: license.NotAssigned, Product: "road"}})
	n.at("11-16 12:00", license.Stop{ID: license.ID{1}, User: "ada", Machine: machine(1)})
	n.at("11-18 08:00", license.Start{ID: license.ID{2}, User: "ada", Product: "road", Machine: machine(1), Agreed: true}, license.NoteAlert{Kind: "disk", Subject: "gw1", Detail: "full"})
	n.at("11-18 09:00", license.Stop{ID: license.ID{2}, User: "ada", Machine: machine(1)}, license.NoteAlert{Kind: "disk", Subject: "gw1", Over: true})
	n.at("11-20 10:00", license.Link{}, license.NoteAlert{Kind: "unassigned", Detail: "1"})
	n.at("11-20 11:00", license.Link{Up: true, Contact: license.TimeOf(n.now)})
	// And what is not of it.
	n.at("11-23 01:00", license.Refused{User: "ada", Machine: machine(2), Denial: license.Denial{Reason: license.UserBlocked, Product: "road"}})
	n.at("11-23 02:00", license.Link{}, license.CheckOut{ID: license.ID{3}, User: "ben", Product: "flow", Machine: machine(3), Until: n.Now().Add(6 * day), Agreed: true})
	n.at("11-23 06:00")
	return n
}

// A report counts what was in its time, and tells how things are now; it names nobody.
func TestAReportOfAWeek(t *testing.T) {
	n := week(t)
	from, until := Week.Last(n.now)
	r, err := Make(t.Context(), n, Query{From: from, Until: until})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Products) != 2 {
		t.Fatalf("got %+v, want two products", r.Products)
	}
	road := r.Products[1]
	if want := (api.ReportProduct{Product: "road", Name: "Road Designer", Capped: "yes", Owned: 3, Unassigned: 1, NeverUsed: 1, Ending: 1, Peak: 1,
		PeakAt: time.Date(2026, 11, 16, 8, 0, 0, 0, time.UTC), Refused: 3}); road != want {
		t.Errorf("got %+v\nwant %+v", road, want)
	}
	if len(r.Refusals) != 2 || r.Refusals[0].Reason != "machine-active" || r.Refusals[0].Count != 2 || r.Refusals[0].Title == "" || r.Refusals[1].Reason != "not-assigned" {
		t.Errorf("refusals: %+v, want two of machine-active first, and one of not-assigned", r.Refusals)
	}
	if l := r.Link; l == nil || *l != (api.ReportLink{DownMS: 3 * 3_600_000, Times: 2, LongestMS: 2 * 3_600_000}) {
		t.Errorf("link: %+v, want two hours of Monday and one of Friday", r.Link)
	}
	if len(r.Alerts) != 2 || r.Alerts[0].Kind != "disk" || r.Alerts[0].Over.IsZero() || r.Alerts[1].Kind != "unassigned" || !r.Alerts[1].Over.IsZero() {
		t.Errorf("alerts: %+v, want disk, which is over, and unassigned, which lasts", r.Alerts)
	}
	if want := []api.ReportEnd{{Day: "2026-12-20", Product: "road", Count: 1}}; !slices.Equal(r.LicensesEnd, want) {
		t.Errorf("got %+v, want %+v", r.LicensesEnd, want)
	}
	if want := []api.ReportEnd{{Day: "2026-11-29", Count: 1}}; !slices.Equal(r.CheckoutsEnd, want) {
		t.Errorf("got %+v, want %+v", r.CheckoutsEnd, want)
	}
	for _, lang := range phrase.Langs() {
		var text, table bytes.Buffer
		if err := Text(&text, r, lang); err != nil {
			t.Fatal(err)
		}
		if err := CSV(&table, r); err != nil {
			t.Fatal(err)
		}
		for _, no := range []string{"Ada", "Ben", "ada", "ben ", "WS-", "%!", "m-1"} {
			if strings.Contains(text.String()+table.String(), no) {
				t.Errorf("%v: %q is in it:\n%s%s", lang, no, &text, &table)
			}
		}
		for _, want := range []string{"Road Designer", "2026-11-16 08:00", "3 h 0 min", "2 h 0 min", "2026-12-20", "2026-11-29", "machine-active", "disk"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%v: no %q in\n%s", lang, want, &text)
			}
		}
		rows, err := csv.NewReader(&table).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(rows, func(row []string) bool { return slices.Equal(row, []string{"product", "flow", "'=Flow", "owned", "1"}) }) {
			t.Errorf("no row of flow's in %v, with what is no formula", rows)
		}
	}
}

// People are named only where that is asked for, and by what they are called.
func TestAReportNamesWhomItIsAskedFor(t *testing.T) {
	n := week(t)
	from, until := Day.Last(n.now)
	r, err := Make(t.Context(), n, Query{From: from, Until: until, Names: true, Called: func(_ *license.State, kind, name string) string {
		if name == "ben" || kind == "machine" {
			return kind[:1] + "-hidden"
		}
		return name
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.ReportPerson{{Why: "checkout-ends", User: "u-hidden", Name: "u-hidden", Product: "flow", License: "l-4", Machine: "m-hidden", Until: time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC)},
		{Why: "never-used", User: "u-hidden", Name: "u-hidden", Product: "road", License: "l-2"}}
	if !slices.Equal(r.People, want) {
		t.Errorf("got %+v\nwant %+v", r.People, want)
	}
	r, err = Make(t.Context(), n, Query{From: from, Until: until, Names: true})
	if err != nil || len(r.People) != 2 || r.People[1].Name != "Ben Ek" || r.People[1].User != "ben" || r.People[0].Machine != "WS-3" {
		t.Errorf("in the clear: %+v, %v", r.People, err)
	}
	var text bytes.Buffer
	if err := Text(&text, r, phrase.German); err != nil || !strings.Contains(text.String(), "hat nie benutzt") || !strings.Contains(text.String(), "Ben Ek") {
		t.Errorf("%v:\n%s", err, &text)
	}
}

// A site without a cloud has no link to tell of; one that is quiet says so in a few lines.
func TestAReportOfAQuietSite(t *testing.T) {
	n := &node{t: t, state: license.NewState()}
	n.at("11-22 08:00", license.Found{Cluster: "site-7", Level: license.Level})
	r, err := Make(t.Context(), n, Query{From: n.now.Add(-time.Hour), Until: n.now.Add(time.Hour)})
	if err != nil || r.Link != nil || !r.Until.Equal(n.now) {
		t.Errorf("got %+v, %v; want no link, and until now", r, err)
	}
	var text bytes.Buffer
	if err := Text(&text, r, phrase.English); err != nil || strings.Count(text.String(), "nothing") != 5 {
		t.Errorf("%v:\n%s\nwant five times nothing", err, &text)
	}
}

// A site that was founded in the period was not down before.
func TestAReportOfANewSite(t *testing.T) {
	n := &node{t: t, state: license.NewState()}
	n.at("10-05 08:00", license.Found{Cluster: "site-7", Level: license.Level}, license.Link{Up: true, Contact: license.TimeOf(time.Date(2026, 10, 5, 8, 0, 0, 0, time.UTC))})
	n.at("10-05 12:00", license.Link{Up: false})
	n.at("10-05 13:00", license.Link{Up: true, Contact: license.TimeOf(time.Date(2026, 10, 5, 13, 0, 0, 0, time.UTC))})
	n.at("10-06 08:00")
	r, err := Make(t.Context(), n, Query{From: n.now.AddDate(0, 0, -7), Until: n.now})
	if err != nil {
		t.Fatal(err)
	}
	if r.Link == nil || r.Link.Times != 1 || r.Link.DownMS != time.Hour.Milliseconds() {
		t.Errorf("the link was down %+v, want once, for an hour", r.Link)
	}
}

// Every language has every word, with the same numbers in it.
func TestEveryLanguageHasEveryWord(t *testing.T) {
	english := wordsOf(phrase.English)
	for _, lang := range phrase.Langs() {
		for key, want := range english {
			got := wordsOf(lang)[key]
			if got == "" || strings.Count(got, "%") != strings.Count(want, "%") || strings.Count(got, "\t") != strings.Count(want, "\t") {
				t.Errorf("%v %s: %q, want the like of %q", lang, key, got, want)
			}
		}
	}
	if got := Title(Week, "2026-W47", phrase.German); got != "Wochenbericht 2026-W47" {
		t.Errorf("got %q", got)
	}
}

func TestPeriods(t *testing.T) {
	for _, test := range []struct {
		p               Period
		at, from, until string
		name            string
	}{
		{Day, "2026-03-01 00:00", "2026-02-28", "2026-03-01", "2026-02-28"},
		{Week, "2026-11-22 23:59", "2026-11-09", "2026-11-16", "2026-W46"}, // a Sunday
		{Week, "2026-11-23 00:00", "2026-11-16", "2026-11-23", "2026-W47"},
		{Week, "2027-01-05 00:00", "2026-12-28", "2027-01-04", "2026-W53"},
		{Month, "2026-03-31 12:00", "2026-02-01", "2026-03-01", "2026-02"},
		{Month, "2027-01-01 00:00", "2026-12-01", "2027-01-01", "2026-12"},
	} {
		at, err := time.Parse("2006-01-02 15:04", test.at)
		if err != nil {
			t.Fatal(err)
		}
		from, until := test.p.Last(at)
		if from.Format(time.DateOnly) != test.from || until.Format(time.DateOnly) != test.until || test.p.Name(from) != test.name {
			t.Errorf("%s at %s: %v to %v, %s; want %s to %s, %s", test.p, test.at, from, until, test.p.Name(from), test.from, test.until, test.name)
		}
	}
	for ms, want := range map[int64]string{0: "< 1 min", 29_000: "< 1 min", 61_000: "1 min", 3 * 3_600_000: "3 h 0 min", 26*3_600_000 + 60_000: "26 h 1 min"} {
		if got := Lasted(ms); got != want {
			t.Errorf("%d ms: got %s, want %s", ms, got, want)
		}
	}
}

// Of too many alerts the latest are told, and of too many people those whose checkouts end.
func TestAReportOfTooMuchTellsWhatMattersMost(t *testing.T) {
	n := week(t)
	m := &making{q: Query{Names: true}, now: n.Now(), alerts: map[alertKey]api.ReportAlert{}}
	for i := range mostAlerts + 50 {
		began := n.now.Add(time.Duration(i) * time.Minute)
		m.alerts[alertKey{"disk", fmt.Sprint(i), license.TimeOf(began)}] = api.ReportAlert{Kind: "disk", Subject: fmt.Sprint(i), Began: began}
	}
	var changes []license.Change
	for i := range mostPeople + 50 {
		changes = append(changes, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("a-%05d", i)), Product: "road", Assignee: "ben", AssignedAt: license.TimeOf(n.now.Add(-60 * 24 * time.Hour))}})
	}
	cursor := n.state.Head().Cursor
	for page := range slices.Chunk(changes, 200) {
		next := cursor + "+"
		n.at(n.now.Format("01-02 15:04"), license.Mirror{From: cursor, Cursor: next, Changes: page, Last: true})
		cursor = next
	}
	m.people(n.state, license.Survey(n.state, m.now, licensesSoon))
	m.sort()
	if len(m.out.Alerts) != mostAlerts || m.out.Alerts[0].Subject != "50" || m.out.Alerts[mostAlerts-1].Subject != fmt.Sprint(mostAlerts+49) {
		t.Errorf("%d alerts, from %s to %s; want the latest %d", len(m.out.Alerts), m.out.Alerts[0].Subject, m.out.Alerts[len(m.out.Alerts)-1].Subject, mostAlerts)
	}
	if len(m.out.People) != mostPeople || m.out.People[0].Why != "checkout-ends" || m.out.People[1].Why != "never-used" {
		t.Errorf("%d people, the first %+v; want whose checkout ends before all others", len(m.out.People), m.out.People[0])
	}
}
