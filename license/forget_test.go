package license

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// goOn audits the journal with a stop at each of these events, at which only sums are left.
func goOn(s *State, journal []Event, stops ...uint64) Audit {
	var sums AuditSums
	for _, stop := range append(stops, s.head.Seq) {
		c := ResumeAudit(sums)
		for _, e := range journal {
			if e.Seq > sums.Through && e.Seq <= stop {
				c.Add(e)
			}
		}
		if stop == s.head.Seq {
			return c.Result(BooksOf(s))
		}
		sums = c.Sums()
	}
	panic("not reached")
}

// An audit that goes on from sums finds what one finds that looks at everything, wherever the
// events before were forgotten.
func TestAnAuditGoesOnFromSums(t *testing.T) {
	s, journal := audited(t)
	want := audit(s, 0, journal)
	for first := range s.head.Seq {
		for second := first; second < s.head.Seq; second++ {
			if got := goOn(s, journal, first, second); !reflect.DeepEqual(got, want) {
				t.Fatalf("with stops at %d and %d: got %+v, want %+v", first, second, got, want)
			}
		}
	}
}

// What is lost or told wrongly on either side of a stop is found, though nobody looks at the
// numbers of events; and what was found before the stop is found for ever, of nobody.
func TestAnAuditThatGoesOnFindsWhatIsLost(t *testing.T) {
	s, journal := audited(t)
	for i := range journal {
		without := slices.Delete(slices.Clone(journal), i, i+1)
		for j := range without {
			without[j].Seq = uint64(j + 1)
		}
		more := slices.Clone(journal)
		switch f := journal[i].Fact.(type) {
		case UsageAcknowledged:
			f.Records++
			more[i].Fact = f
		case Started, Stopped:
			more = nil
		default:
			continue
		}
		for stop := range s.head.UsageSent {
			if a := goOn(s, without, stop); a.Clean() {
				t.Errorf("without event %d, %T, and a stop at %d nothing is found", journal[i].Seq, journal[i].Fact, stop)
			}
			if more == nil {
				continue
			}
			a := goOn(s, more, stop)
			if a.Clean() {
				t.Errorf("with one more acknowledged at %d, and a stop at %d, nothing is found", journal[i].Seq, stop)
			}
		}
	}
	broken := slices.Delete(slices.Clone(journal), 3, 4)
	a := goOn(s, broken, 8)
	for _, f := range a.Findings {
		if f.Seq <= 8 && f.User != "" {
			t.Errorf("a finding of what was forgotten names %s", f.User)
		}
	}
}

// Of findings the sums keep some, and how many there were.
func TestSumsKeepSomeFindings(t *testing.T) {
	c := NewAudit(0)
	for seq := range uint64(30) {
		c.Add(Event{Seq: 2*seq + 2, Fact: LinkChanged{}})
	}
	for range 2 { // and once more
		c = ResumeAudit(c.Sums())
	}
	a := c.Result(Books{Seq: 60})
	if len(a.Findings) != maxSumFindings || a.More != 20 || a.Clean() {
		t.Errorf("%d findings and %d more, want %d and 20", len(a.Findings), a.More, maxSumFindings)
	}
	if s := c.Sums(); !s.valid() {
		t.Errorf("the rules would refuse %+v", s)
	}
}

func TestPeaksAreKeptAndThenEventsForgotten(t *testing.T) {
	s, _ := audited(t)
	now := TimeOf(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC))
	today := now - now%day
	peak := func(d Time) Peak {
		return Peak{Day: d, Product: "view", Machines: 3, At: d.Add(8 * time.Hour), Pooled: 1, PooledAt: d}
	}
	apply := func(c Command) Reason {
		t.Helper()
		out, events := Apply(s, Entry{At: now, Command: c})
		if len(events) > 0 {
			t.Errorf("%+v leads to %+v; nobody is to be told", c, events)
		}
		if out.Denial != nil {
			return out.Denial.Reason
		}
		return ""
	}
	Apply(s, Entry{At: now, Command: Link{Contact: now}})
	sums := func(through uint64) AuditSums { return AuditSums{Through: through} }
	for _, c := range []struct {
		command Command
		want    Reason
	}{
		{KeepPeaks{Peaks: []Peak{peak(today)}}, BadCommand}, // it is not over
		{KeepPeaks{Until: today + day}, BadCommand},
		{KeepPeaks{Until: today - 1}, BadCommand},
		{KeepPeaks{Peaks: []Peak{{Day: today - day, Machines: 1}}}, BadCommand},
		{KeepPeaks{Peaks: []Peak{{Day: today - day - 1, Product: "view", Machines: 1}}}, BadCommand},
		{KeepPeaks{Peaks: make([]Peak, MaxKeepPeaks+1)}, BadCommand},
		{Forget{Sums: sums(3), Before: today - day}, BadCommand}, // no peaks were kept
		{KeepPeaks{Peaks: []Peak{peak(today - 2*day)}}, ""},
		{Forget{Sums: sums(3), Before: today - day}, BadCommand}, // not all of them
		{KeepPeaks{Peaks: []Peak{peak(today - day)}, Until: today}, ""},
		{KeepPeaks{Peaks: []Peak{peak(today - day)}, Until: today}, TooLate},
		{Forget{Sums: sums(s.head.UsageSent + 1), Before: today}, BadCommand}, // the cloud lacks some
		{Forget{Sums: sums(0), Before: today}, BadCommand},
		{Forget{Sums: sums(3), Before: today + day}, BadCommand},
		{Forget{Sums: AuditSums{Through: 3, Findings: make([]SumFinding, maxSumFindings+1)}, Before: today}, BadCommand},
		{Forget{Sums: sums(3), Before: today}, ""},
		{Forget{Sums: sums(4), Before: today}, TooLate},
		{Forget{After: 3, Sums: sums(4), Before: today}, ""},
	} {
		if got := apply(c.command); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.command, got, c.want)
		}
	}
	if f := s.head.Forgotten; f.Sums.Through != 4 || f.Before != today || s.head.PeaksUntil != today {
		t.Errorf("the state has forgotten %+v, and has peaks until %v", f, s.head.PeaksUntil)
	}
	var kept []Peak
	s.TakeChanged(func(k Key, r any) {
		if k.Kind == KeyPeak {
			kept = append(kept, *r.(*Peak))
		}
	})
	if got, want := fmt.Sprint(kept), fmt.Sprint([]Peak{peak(today - 2*day), peak(today - day)}); got != want {
		t.Errorf("a store is given %s, want %s", got, want)
	}
}
