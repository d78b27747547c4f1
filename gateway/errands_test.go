package gateway

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func TestCursorLostInTheFirstFillLeavesNothingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := false
		page := func(cursor string) (license.Page, error) {
			l := func(id license.LicenseID) license.Change {
				return license.Change{License: &license.License{ID: id, Product: "road", Assignee: "ada"}}
			}
			switch {
			case cursor == "":
				return license.Page{Cursor: "p1", More: true, Changes: []license.Change{l("L1"), l("L2")}}, nil
			case !second: // p1 is not known any more, and L1 is gone
				second = true
				return license.Page{Cursor: "q1", More: true, Reset: true, Changes: []license.Change{l("L2")}}, nil
			case cursor == "q1":
				return license.Page{Cursor: "q2", Changes: []license.Change{{User: &license.User{ID: "ada"}}}}, nil
			}
			time.Sleep(time.Minute)
			return license.Page{Cursor: cursor}, nil
		}
		s := newSiteOf(t, func(b *books) { b.pages = page })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.log.View(func(st *license.State) {
			if !st.Head().Filled || st.License("L1") != nil || st.License("L2") == nil {
				t.Errorf("filled %t, L1 %v, L2 %v; want it filled without L1", st.Head().Filled, st.License("L1"), st.License("L2"))
			}
		})
	})
}

func TestFeedThatDoesNotWaitIsNotAskedWithoutEnd(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		polls := 0
		s.books.set(func() {
			s.books.pages = func(cursor string) (license.Page, error) {
				if polls++; polls > 1000 {
					time.Sleep(time.Hour)
				}
				return license.Page{Cursor: cursor}, nil
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if polls == 0 || polls > 70 {
			t.Fatalf("asked %d times in a minute, want about one a second", polls)
		}
	})
}

func TestUsageThatIsRefusedIsTriedAgainMoreAndMoreSeldom(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		s.books.set(func() { s.books.invalid = true })
		s.stop(t, 1, ws101)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := s.books.posts; n < 10 || n > 40 {
			t.Fatalf("tried %d times in ten minutes, want 10 to 40", n)
		}
		s.books.set(func() { s.books.invalid = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.books.usage) != 1 {
			t.Fatalf("the cloud has %d records, want 1", len(s.books.usage))
		}
	})
}

func TestOldRefusalIsNotToldByALaterLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newSoloLog()
		r := newRefusals(slog.New(slog.DiscardHandler))
		note := func(user license.UserID) {
			d := license.Denial{Reason: license.MachineActive, Machine: ws101}
			r.note(user, ws202, &d, func() license.Command { return license.Refused{User: user, Machine: ws202, Denial: d} })
		}
		note("ada") // and then the leadership is lost
		time.Sleep(time.Hour)
		note("ben")
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go r.run(ctx, func(ctx context.Context, c license.Command) error {
			_, err := log.Propose(ctx, c)
			return err
		})
		synctest.Wait()
		events, _ := log.Journal(context.Background(), 0, 10)
		if len(events) != 1 || events[0].Fact.(license.Attempted).User != "ben" {
			t.Fatalf("got %+v, want only the attempt of just now", events)
		}
	})
}
