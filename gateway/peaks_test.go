package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// at is a time of the second day of a bubble, which begins at midnight.
func at(hour, minute int) license.Time {
	return license.TimeOf(time.Date(2000, 1, 2, hour, minute, 0, 0, time.UTC))
}

func until(t license.Time) { time.Sleep(time.Until(t.Std())) }

// alone is a site without a cloud whose errands do not run, so that days pass at once:
// ada and ben may use any of the products, which are not capped.
func alone(t *testing.T, products ...license.ProductID) *site {
	t.Helper()
	s := &site{log: newSoloLog()}
	s.Gateway = New(Config{Log: s.log, Logger: slog.New(slog.DiscardHandler)})
	m := license.Mirror{Cursor: "1", Full: true, Last: true, Changes: []license.Change{
		{Account: &license.Account{ID: "firm", AutonomyUncapped: 1000 * time.Hour}},
		{User: &license.User{ID: "ada", Country: "DE"}}, {User: &license.User{ID: "ben", Country: "DE"}}}}
	for _, p := range products {
		m.Changes = append(m.Changes, license.Change{Product: &license.Product{ID: p, Capped: license.CappedNo}},
			license.Change{License: &license.License{ID: license.LicenseID("L-" + p), Product: p, Assignee: "ada"}},
			license.Change{License: &license.License{ID: license.LicenseID("M-" + p), Product: p, Assignee: "ben"}})
	}
	if out, err := s.log.apply(m); err != nil || out.Denial != nil {
		t.Fatal(err, out.Denial)
	}
	return s
}

func TestPeaksAreCountedFromTheJournalAndWhatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := alone(t, "road", "view")
		until(at(8, 0))
		wantGranted(t, s.run(t, 1, "ada", "road", ws101), false)
		wantGranted(t, s.run(t, 2, "ben", "road", ws202), false)
		until(at(9, 5))
		s.stop(t, 1, ws101)
		until(at(10, 0))
		wantGranted(t, s.run(t, 3, "ada", "view", ws101), false)
		until(at(12, 0)) // 2 and 3 still run
		day := at(0, 0)
		count := func(from, until license.Time, product license.ProductID) []license.Peak {
			t.Helper()
			peaks, to, err := s.Peaks(context.Background(), from, until, product)
			if err != nil || to != until {
				t.Fatalf("to %v, %v; want all of it", to, err)
			}
			return peaks
		}
		got := fmt.Sprint(count(day, at(12, 0), ""))
		want := fmt.Sprint([]license.Peak{{Day: day, Product: "road", Machines: 2, At: at(8, 0)}, {Day: day, Product: "view", Machines: 1, At: at(10, 0)}})
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		got = fmt.Sprint(count(at(9, 10), at(12, 0), "road"))
		if want := fmt.Sprint([]license.Peak{{Day: day, Product: "road", Machines: 1, At: at(9, 10)}}); got != want {
			t.Errorf("of road from 9:10: got %s, want %s", got, want)
		}
		if got := count(at(6, 0), at(8, 0), ""); len(got) != 0 {
			t.Errorf("before anybody came: %v", got)
		}
		if got := count(day.Add(-24*time.Hour), at(12, 0), "road"); len(got) != 1 {
			t.Errorf("from the first day: %v", got)
		}
	})
}

// manyProducts are so many that a day at once is enough.
func manyProducts(t *testing.T, s *site) {
	t.Helper()
	for i := 0; i < maxPeaks/2; i += 500 {
		m := license.Mirror{From: s.head().Cursor, Cursor: fmt.Sprint("p", i)}
		for n := range 500 {
			m.Changes = append(m.Changes, license.Change{Product: &license.Product{ID: license.ProductID(fmt.Sprint("p", i+n))}})
		}
		if out, err := s.log.apply(m); err != nil || out.Denial != nil {
			t.Fatal(err, out.Denial)
		}
	}
}

// A long time is counted in parts, which are the whole.
func TestPeaksOfALongTimeComeInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := alone(t, "road")
		manyProducts(t, s)
		for day := range 3 {
			until(at(8, 0).Add(time.Duration(day) * 24 * time.Hour))
			wantGranted(t, s.start(t, byte(1+day), ws101), false)
			time.Sleep(time.Hour)
			s.stop(t, byte(1+day), ws101)
		}
		var days []license.Peak
		parts, end := 0, at(0, 0).Add(3*24*time.Hour)
		for from := at(0, 0); from < end; parts++ {
			peaks, to, err := s.Peaks(context.Background(), from, end, "")
			if err != nil || to <= from || parts > 10 {
				t.Fatalf("part %d from %v to %v: %v", parts, from, to, err)
			}
			days, from = append(days, peaks...), to
		}
		if parts != 3 || len(days) != 3 {
			t.Errorf("%d parts with %v, want three with a day each", parts, days)
		}
		for i, p := range days {
			if p.Day != at(0, 0).Add(time.Duration(i)*24*time.Hour) || p.Machines != 1 || p.At != p.Day.Add(8*time.Hour) {
				t.Errorf("day %d: %+v", i, p)
			}
		}
	})
}

// A journal that does not come up with the state is no reason to say too little.
func TestPeaksWaitForTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		time.Sleep(time.Second)
		wantGranted(t, s.start(t, 1, ws101), false)
		time.Sleep(time.Hour)
		s.stop(t, 1, ws101)
		behind := New(Config{Log: lateJournal{s.log, time.Now().Add(time.Second)}, Logger: s.logger})
		from := license.TimeOf(time.Now()).Add(-2 * time.Hour)
		peaks, _, err := behind.Peaks(context.Background(), from, behind.Now(), "")
		if err != nil || len(peaks) != 1 {
			t.Errorf("a journal that is a second behind: %v, %v; want the peak", peaks, err)
		}
		behind = New(Config{Log: lateJournal{s.log, time.Now().Add(time.Hour)}, Logger: s.logger})
		if peaks, _, err := behind.Peaks(context.Background(), from, behind.Now(), ""); !errors.Is(err, ErrUnknown) {
			t.Errorf("a journal that stays behind: %v, %v; want %v", peaks, err, ErrUnknown)
		}
	})
}

// lateJournal knows only of its first event until a time.
type lateJournal struct {
	Log
	until time.Time
}

func (l lateJournal) Journal(ctx context.Context, after uint64, limit int) ([]license.Event, error) {
	events, err := l.Log.Journal(ctx, after, limit)
	if time.Now().Before(l.until) {
		events = slices.DeleteFunc(events, func(e license.Event) bool { return e.Seq > 1 })
	}
	return events, err
}
