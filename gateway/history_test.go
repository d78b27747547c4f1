package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// days is a site on which ada works from eight to nine for so many days, with ben on every
// third and all day long; the cloud gets what they used, every evening.
func days(t *testing.T, s *site, from, to int) {
	t.Helper()
	n := byte(0)
	for d := from; d < to; d++ {
		until(at(8, 0).Add(time.Duration(d) * 24 * time.Hour))
		wantGranted(t, s.run(t, 1+n, "ada", "road", ws101), false)
		if d%3 == 0 {
			wantGranted(t, s.run(t, 2+n, "ben", "view", ws202), false)
		}
		time.Sleep(time.Hour + 5*time.Minute)
		s.stop(t, 1+n, ws101)
		if d%3 == 0 {
			time.Sleep(9 * time.Hour)
			if a, err := s.Stop(context.Background(), license.Stop{ID: license.ID{2 + n}, User: "ben", Machine: ws202}); err != nil || a.Outcome.Denial != nil {
				t.Fatal(err, a.Outcome.Denial)
			}
		}
		n = (n + 2) % 200
		head := s.head()
		if out, err := s.log.apply(license.UsageSent{Through: head.Seq, After: head.UsageSent, Records: head.UsageMade - head.UsageKept}); err != nil || out.Denial != nil {
			t.Fatal(err, out.Denial)
		}
	}
}

// allPeaks follows the parts to the end.
func allPeaks(t *testing.T, s *site, from, until license.Time, product license.ProductID) (all []license.Peak) {
	t.Helper()
	for parts := 0; from < until; parts++ {
		peaks, to, err := s.Peaks(context.Background(), from, until, product)
		if err != nil || to <= from || parts > 20 {
			t.Fatalf("part %d from %v to %v: %v", parts, from, to, err)
		}
		all, from = append(all, peaks...), to
	}
	return all
}

// Peaks of a hundred days ago are what they were, and an audit finds what it found, though
// the events that they were counted from are there no more.
func TestPeaksAndAuditOutliveTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := alone(t, "road", "view"), context.Background()
		s.history = 90 * 24 * time.Hour
		days(t, s, 0, 101)
		begin, now := at(0, 0), s.Now()
		before := map[license.ProductID][]license.Peak{}
		for _, product := range []license.ProductID{"", "road", "view"} {
			before[product] = allPeaks(t, s, begin, now, product)
		}
		audit, err := s.Audit(ctx)
		if err != nil || !audit.Clean() || audit.From != 1 || audit.Ended != 101+34 {
			t.Fatalf("the audit before: %+v, %v", audit, err)
		}
		if err := s.keepPeaks(ctx); err != nil {
			t.Fatal(err)
		}
		events := len(s.log.journal)
		if more, err := s.forget(ctx); err != nil || more {
			t.Fatal(more, err)
		}
		s.log.forgetful()
		first := s.log.journal[0]
		if old := now.Add(-91 * 24 * time.Hour); first.At < old || len(s.log.journal) > events-30 {
			t.Fatalf("of %d events %d are left, and the first is of %v; want none before %v", events, len(s.log.journal), first.At, old)
		}
		if kept := now.Add(-90 * 24 * time.Hour); first.At >= kept.Add(24*time.Hour) {
			t.Errorf("the first event is of %v; those since %v are to be kept", first.At, kept)
		}
		for product, want := range before {
			if got := allPeaks(t, s, begin, now, product); !reflect.DeepEqual(got, want) {
				t.Errorf("peaks of %q: got\n%v\nwant\n%v", product, got, want)
			}
		}
		again, err := s.Audit(ctx)
		if err != nil || !reflect.DeepEqual(again, audit) {
			t.Errorf("the audit after: %+v, %v; want %+v", again, err, audit)
		}
		// It goes on, one day after the other.
		days(t, s, 101, 104)
		if err := s.keepPeaks(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.forget(ctx); err != nil {
			t.Fatal(err)
		}
		s.log.forgetful()
		if got := s.log.journal[0].At; got <= first.At {
			t.Errorf("three days later the first event is still of %v", got)
		}
		if again, err = s.Audit(ctx); err != nil || !again.Clean() || again.From != 1 || again.Ended != audit.Ended+3+1 {
			t.Errorf("three days later: %+v, %v", again, err)
		}
		if got := allPeaks(t, s, begin, now, "road"); !reflect.DeepEqual(got, before["road"]) {
			t.Errorf("three days later peaks are %v, want %v", got, before["road"])
		}
	})
}

// Who reads while the site forgets finds what there was, or what is left; never that something
// is missing.
func TestWhatIsForgottenMeanwhileIsNotMissed(t *testing.T) {
	for n := 1; n <= 3; n++ { // within which call to read the journal
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, ctx := alone(t, "road", "view"), context.Background()
				s.history = 5 * 24 * time.Hour
				days(t, s, 0, 12)
				if err := s.keepPeaks(ctx); err != nil {
					t.Fatal(err)
				}
				begin, now := at(0, 0), s.Now()
				audit, err := s.Audit(ctx)
				if err != nil || !audit.Clean() || audit.Ended != 12+4 {
					t.Fatalf("the audit before: %+v, %v", audit, err)
				}
				peaks := allPeaks(t, s, begin, now, "")
				forget := func(calls int) {
					s.log.reading = func() {
						if calls--; calls > 0 {
							return
						}
						s.log.reading = nil
						through := s.head().Forgotten.Sums.Through
						if _, err := s.forget(ctx); err != nil || s.head().Forgotten.Sums.Through == through {
							t.Errorf("nothing was forgotten meanwhile: this test cannot tell (%v)", err)
						}
						s.log.forgetful()
					}
				}
				forget(1) // it reads once
				if again, err := s.Audit(ctx); err != nil || !reflect.DeepEqual(again, audit) {
					t.Errorf("the audit is %+v, %v; want %+v", again, err, audit)
				}
				s.history = 3 * 24 * time.Hour
				forget(n)
				if again := allPeaks(t, s, begin, now, ""); !reflect.DeepEqual(again, peaks) || s.log.reading != nil {
					t.Errorf("peaks are\n%v\nwant\n%v", again, peaks)
				}
			})
		})
	}
}

// Usage that the cloud does not have, and whatever came after it, is kept however old it is;
// so is all where nothing is said of how long.
func TestWhatTheCloudLacksIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := alone(t, "road", "view"), context.Background()
		s.history = 24 * time.Hour
		days(t, s, 0, 2)
		sent := s.head().UsageSent
		until(at(8, 0).Add(2 * 24 * time.Hour))
		wantGranted(t, s.run(t, 100, "ada", "road", ws101), false)
		s.stop(t, 100, ws101)
		time.Sleep(50 * 24 * time.Hour)
		if err := s.keepPeaks(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.forget(ctx); err != nil {
			t.Fatal(err)
		}
		waits := slices.IndexFunc(s.log.journal, func(e license.Event) bool { _, is := license.UsageOf(e); return is && e.Seq > sent })
		if got, want := s.head().Forgotten.Sums.Through, s.log.journal[waits].Seq-1; got != want || want <= sent {
			t.Errorf("events are forgotten up to %d, want those up to %d, before the usage that the cloud does not have", got, want)
		}
		s.log.forgetful()
		if a, err := s.Audit(ctx); err != nil || !a.Clean() || a.Waiting != 1 {
			t.Errorf("the audit: %+v, %v; want one to wait, and nothing found", a, err)
		}
	})
}

// Where no cloud takes usage, and none waits, events are forgotten all the same: as far as
// there is no usage among them.
func TestWithoutUsageAllIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := alone(t, "road"), context.Background()
		s.history = 24 * time.Hour
		quiet := s.head().Seq
		forget := func() uint64 {
			t.Helper()
			if err := s.keepPeaks(ctx); err != nil {
				t.Fatal(err)
			}
			if more, err := s.forget(ctx); err != nil || more {
				t.Fatal(more, err)
			}
			s.log.forgetful()
			return s.head().Forgotten.Sums.Through
		}
		time.Sleep(36 * time.Hour)
		wantGranted(t, s.run(t, 1, "ada", "road", ws101), false)
		s.stop(t, 1, ws101)
		if got := forget(); got != 0 {
			t.Fatalf("events up to %d are forgotten within a day of the site's", got)
		}
		time.Sleep(24 * time.Hour)
		if got := forget(); got != quiet {
			t.Errorf("events up to %d are forgotten, want those up to %d, of the first day", got, quiet)
		}
		time.Sleep(24 * time.Hour)
		began := quiet + 1
		if got := forget(); got < began || got >= s.head().Seq {
			t.Errorf("events up to %d are forgotten, want those before the usage that waits", got)
		}
		if a, err := s.Audit(ctx); err != nil || !a.Clean() || a.Waiting != 1 {
			t.Errorf("the audit: %+v, %v; want one to wait, and nothing found", a, err)
		}
	})
}

// A session that runs for longer than events are kept ends as ever, and counts on each day.
func TestWhatStillRunsOutlivesItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := alone(t, "road", "view"), context.Background()
		s.history = 24 * time.Hour
		until(at(8, 0))
		wantGranted(t, s.run(t, 200, "ben", "view", ws202), false)
		days(t, s, 1, 10)
		if err := s.keepPeaks(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.forget(ctx); err != nil {
			t.Fatal(err)
		}
		s.log.forgetful()
		if first := s.log.journal[0]; first.At < at(0, 0).Add(7*24*time.Hour) {
			t.Fatalf("the first event is of %v", first.At)
		}
		a, err := s.Audit(ctx)
		if err != nil || !a.Clean() || a.Open != 1 {
			t.Errorf("while it runs: %+v, %v", a, err)
		}
		if out, err := s.Stop(ctx, license.Stop{ID: license.ID{200}, User: "ben", Machine: ws202}); err != nil || out.Outcome.Denial != nil {
			t.Fatal(err, out.Outcome.Denial)
		}
		if a, err = s.Audit(ctx); err != nil || !a.Clean() || a.Open != 0 || a.Before != 0 {
			t.Errorf("when it has ended: %+v, %v", a, err)
		}
		peaks := allPeaks(t, s, at(0, 0), at(0, 0).Add(9*24*time.Hour), "view")
		if got := fmt.Sprint(len(peaks), peaks[0].Machines, peaks[8].Machines); got != "9 1 1" {
			t.Errorf("it counts on %v; want each of nine days", peaks)
		}
	})
}

// A leader that was lost in the middle of a day's peaks is followed by one that begins that
// day anew.
func TestPeaksOfADayAreWholeOrNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := alone(t, "road", "view"), context.Background()
		days(t, s, 0, 4)
		s.log.lose = func(c license.Command) bool { _, is := c.(license.KeepPeaks); return is }
		if err := s.keepPeaks(ctx); err == nil || s.head().PeaksUntil != 0 {
			t.Fatalf("nothing is lost: %v, until %v", err, s.head().PeaksUntil)
		}
		s.log.lose = nil
		if err := s.keepPeaks(ctx); err != nil || s.head().PeaksUntil != dayOf(s.Now()) {
			t.Errorf("%v, until %v", err, s.head().PeaksUntil)
		}
		if err := s.keepPeaks(ctx); err != nil {
			t.Errorf("where there is nothing to do: %v", err)
		}
	})
}

// kept are the days up to which peaks were noted, one for each time the journal was counted.
func (s *site) kept() (until []license.Time) {
	for _, c := range s.log.asked {
		if k, is := c.(license.KeepPeaks); is && k.Until != 0 {
			until = append(until, k.Until)
		}
	}
	return until
}

// The journal is read once for many days, however many products there are.
func TestManyDaysAreCountedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := alone(t, "road", "view"), context.Background()
		manyProducts(t, s)
		days(t, s, 0, 12)
		want := allPeaks(t, s, at(0, 0), dayOf(s.Now()), "")
		if err := s.keepPeaks(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.kept(); len(got) != 1 || got[0] != dayOf(s.Now()) {
			t.Errorf("noted until %v; want all twelve days at once", got)
		}
		if got, _, err := s.log.Peaks(ctx, 0, s.Now(), "", 1000); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("noted are\n%v, %v\nwant\n%v", got, err, want)
		}
	})
}

// Of a day on which there are too many machines as many products are counted at once as there
// is room for.
func TestADayWithTooManyMachinesIsCountedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		products := []license.ProductID{"a", "b", "c", "d", "e", "f", "g", "h"}
		s, ctx := alone(t, products...), context.Background()
		until(at(8, 0))
		for n, p := range products {
			wantGranted(t, s.run(t, byte(1+n), "ada", p, ws101), false)
		}
		time.Sleep(time.Hour)
		for n := range products {
			s.stop(t, byte(1+n), ws101)
		}
		time.Sleep(24 * time.Hour)
		want := allPeaks(t, s, at(0, 0), dayOf(s.Now()), "")
		s.peakMemory = 3 * 324 // and a name: of two products
		if _, _, err := s.countPeaks(ctx, at(0, 0), dayOf(s.Now()), keepAtOnce, nil); !errors.Is(err, ErrTooMuch) {
			t.Fatalf("counting all at once: %v; this test cannot tell", err)
		}
		if err := s.keepPeaks(ctx); err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.log.Peaks(ctx, 0, s.Now(), "", 1000); err != nil || len(got) != 8 || !reflect.DeepEqual(got, want) {
			t.Errorf("noted are\n%v, %v\nwant\n%v", got, err, want)
		}
		reads := func() (n int) {
			s.log.reading = func() { n++ }
			if _, err := s.peaksOfEach(ctx, at(0, 0), at(24, 0)); err != nil {
				t.Fatal(err)
			}
			return n
		}
		little := reads()
		s.peakMemory = peakMemory
		if much := reads(); much >= little {
			t.Errorf("the journal is read %d times where there is room for half of the products at once, %d where there is for two", much, little)
		}
	})
}

// A day of which some was deleted from the journal before is not noted as if that were all.
func TestADayThatIsNotWholeIsNotNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := alone(t, "road", "view")
		days(t, s, 0, 4)
		cut := slices.IndexFunc(s.log.journal, func(e license.Event) bool { return e.At >= at(8, 30) })
		s.log.journal = s.log.journal[cut:]
		if err := s.keepPeaks(context.Background()); err != nil {
			t.Fatal(err)
		}
		peaks, _, err := s.log.Peaks(context.Background(), 0, s.Now(), "", 1000)
		if err != nil || len(peaks) == 0 || peaks[0].Day != at(0, 0).Add(24*time.Hour) {
			t.Errorf("noted are %v, %v; want none of the first day", peaks, err)
		}
	})
}
