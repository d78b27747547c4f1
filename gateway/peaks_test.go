package gateway

import (
	"context"
	"errors"
	"fmt"
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

func TestPeaksAreCountedFromTheJournalAndWhatStillRuns(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.more(t) // ada has rail, and view, which is not capped
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

// A long time is counted in parts, which are the whole.
func TestPeaksOfALongTimeComeInParts(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() {
			for i := range 1500 { // of which a day at once is enough
				s.books.feed = append(s.books.feed, license.Change{Product: &license.Product{ID: license.ProductID(fmt.Sprint("p", i))}})
			}
		})
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
