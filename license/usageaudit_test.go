package license

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// audited is a site with use, of which the cloud has some, and its journal.
func audited(t *testing.T) (*State, []Event) {
	t.Helper()
	s := NewState()
	at := Time(1_000_000)
	var journal []Event
	do := func(c Command) {
		t.Helper()
		at += 1000
		out, events := Apply(s, Entry{At: at, Command: c})
		if out.Denial != nil {
			t.Fatalf("%+v is refused: %s", c, out.Denial.Reason)
		}
		journal = append(journal, events...)
	}
	m := Mirror{Cursor: "1", Full: true, Last: true, Changes: []Change{{Product: &Product{ID: "view", Capped: CappedNo}},
		{License: &License{ID: "all", Product: "view", Kind: Commercial}}, {Account: &Account{ID: "a", AutonomyUncapped: 1 << 50}}}}
	for i := range 20 {
		m.Changes = append(m.Changes, Change{User: &User{ID: UserID(fmt.Sprint("u", i)), Country: "DE"}})
	}
	do(m)
	use := func(n int) (start Start, stop Stop) {
		start = Start{ID: ID{1, byte(n)}, User: UserID(fmt.Sprint("u", n%20)), Product: "view", Machine: Machine{Name: fmt.Sprint("WS-", n)}, Agreed: true}
		return start, Stop{ID: start.ID, User: start.User, Machine: start.Machine}
	}
	for n := range 12 {
		start, stop := use(n)
		do(start)
		if n < 10 {
			do(stop)
		}
		if n == 4 {
			do(UsageSent{Through: s.head.Seq, Records: 5})
		}
		if n == 7 {
			var aside []SetAside
			for _, e := range journal {
				if u, ok := UsageOf(e); ok && u.User == "u6" {
					aside = append(aside, SetAside{Usage: u, Why: "never"})
				}
			}
			do(UsageSent{Through: s.head.Seq, After: s.head.UsageSent, Records: 2, SetAside: aside, Way: WayRealtime})
		}
	}
	return s, journal
}

func audit(s *State, after uint64, journal []Event) Audit {
	c := NewAudit(after)
	for _, e := range journal {
		if e.Seq > after {
			c.Add(e)
		}
	}
	return c.Result(BooksOf(s))
}

func TestAnAuditOfWhatIsRightFindsNothing(t *testing.T) {
	s, journal := audited(t)
	a := audit(s, 0, journal)
	if !a.Clean() {
		t.Errorf("found %+v", a.Findings)
	}
	got := []uint64{a.Began, a.Ended, a.Open, a.Acknowledged, a.Waiting, a.SetAside, a.ByWay[WaySite], a.ByWay[WayRealtime]}
	if want := []uint64{12, 10, 2, 7, 2, 1, 5, 2}; !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	// The beginning of the journal is not kept for ever.
	for after := range uint64(s.head.UsageSent) {
		if a := audit(s, after, journal); !a.Clean() {
			t.Errorf("of the journal after %d: found %+v", after, a.Findings)
		}
	}
}

// Whatever is lost or comes twice is found.
func TestAnAuditFindsWhatIsLost(t *testing.T) {
	s, journal := audited(t)
	for i := range journal {
		without := slices.Delete(slices.Clone(journal), i, i+1)
		if a := audit(s, 0, without); a.Clean() {
			t.Errorf("without event %d, %T, nothing is found", journal[i].Seq, journal[i].Fact)
		}
		// Though nobody looks at the numbers.
		closed := slices.Clone(without)
		for j := range closed {
			closed[j].Seq = uint64(j + 1)
		}
		a := audit(s, 0, closed)
		switch journal[i].Fact.(type) {
		case Started, Stopped, UsageAcknowledged:
			if !slices.ContainsFunc(a.Findings, func(f Finding) bool {
				return f.Kind != FoundMissing || f.Record != "" || strings.Contains(f.Detail, "usage records")
			}) {
				t.Errorf("without event %d, %T, and the others numbered anew: found %+v", journal[i].Seq, journal[i].Fact, a.Findings)
			}
		}
	}
}

func TestAnAuditFindsWhatIsTwiceOrMiscounted(t *testing.T) {
	s, journal := audited(t)
	kinds := func(a Audit) (kinds []FindingKind) {
		for _, f := range a.Findings {
			kinds = append(kinds, f.Kind)
		}
		return kinds
	}
	for i, e := range journal {
		switch f := e.Fact.(type) {
		case UsageAcknowledged:
			changed := slices.Clone(journal)
			f.Records++
			changed[i].Fact = f
			if got := kinds(audit(s, 0, changed)); !slices.Contains(got, FoundMiscounted) {
				t.Errorf("with one more acknowledged: found %v, want %s", got, FoundMiscounted)
			}
		case Stopped:
			changed := slices.Clone(journal)
			other := *f.Session
			other.ID, other.Token = ID{9}, e.Seq
			changed[i].Fact = Stopped{Session: &other}
			if got := kinds(audit(s, 0, changed)); !slices.Contains(got, FoundUnmatched) || !slices.Contains(got, FoundNoEnd) {
				t.Errorf("with a record of another session: found %v", got)
			}
		}
	}
	many := NewAudit(0)
	for seq := range uint64(MaxFindings + 5) {
		many.Add(Event{Seq: 2*seq + 2, Fact: LinkChanged{}})
	}
	if a := many.Result(Books{Seq: 2*MaxFindings + 10}); len(a.Findings) != MaxFindings || a.More != 5 {
		t.Errorf("%d findings and %d more are told, want %d and 5", len(a.Findings), a.More, MaxFindings)
	}
}

// What the vendor's own client posts and has taken over is a record like any other; what that client
// meters itself is none.
func TestAnAuditKnowsWhoMeters(t *testing.T) {
	s, journal := audited(t)
	at := s.head.Now
	do := func(c Command) {
		t.Helper()
		at += 1000
		out, events := Apply(s, Entry{At: at, Command: c})
		if out.Denial != nil {
			t.Fatalf("%+v is refused: %s", c, out.Denial.Reason)
		}
		journal = append(journal, events...)
	}
	before := audit(s, 0, journal)
	m := Machine{Name: "WS-1"}
	do(Mirror{From: "1", Cursor: "2", Last: true, Changes: []Change{{Product: &Product{ID: "micro", Capped: CappedYes}}, {License: &License{ID: "L", Product: "micro", Assignee: "u1"}}}})
	do(CheckOut{ID: ID{9}, User: "u1", Product: "micro", Machine: m, Until: at.Add(1 << 40), Agreed: true, Imported: true})
	do(Start{ID: ID{8}, User: "u2", Product: "view", Machine: m, Agreed: true, Relayed: true})
	do(KeepPosting{ID: ID{7}, User: "u2", Product: "view", Machine: m, Body: []byte("{}")})
	during := audit(s, 0, journal)
	do(Stop{ID: ID{8}, User: "u2", Machine: m})
	do(Return{ID: ID{9}, User: "u1", Machine: m})
	after := audit(s, 0, journal)
	for _, a := range []Audit{during, after} {
		if !a.Clean() {
			t.Errorf("found %+v", a.Findings)
		}
		if a.Began != before.Began+1 || a.Ended != before.Ended+1 || a.Waiting != before.Waiting+1 || a.Open != before.Open {
			t.Errorf("counted %d begun, %d ended, %d waiting, %d open; before %d, %d, %d, %d; want one more of the first three",
				a.Began, a.Ended, a.Waiting, a.Open, before.Began, before.Ended, before.Waiting, before.Open)
		}
	}
}
