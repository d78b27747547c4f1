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
			r.note(refusal{user: user, machine: ws202}, &d, func() license.Command { return license.Refused{User: user, Machine: ws202, Denial: d} })
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

// What counts as delivered is each record once, though it was sent twice, with
// another that had come by then, and while more were made.
func TestRecordsSentAgainAreCountedOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		use := func(n byte) {
			wantGranted(t, s.start(t, n, ws101), false)
			s.stop(t, n, ws101)
		}
		lost, posts := 0, 0
		s.log.mu.Lock()
		s.log.lostOf = func(c license.Command) bool {
			_, sent := c.(license.UsageSent)
			if sent {
				lost++
			}
			return sent && lost == 1
		}
		s.log.mu.Unlock()
		s.books.set(func() {
			s.books.posting = func() {
				switch posts++; posts {
				case 2: // made after the second delivery was read
					use(3)
					use(4)
				case 3: // and not taken
					s.books.set(func() { s.books.invalid = true })
				}
			}
		})
		use(1)
		time.Sleep(outboxEvery + 100*time.Millisecond) // it is there, and nobody knows
		use(2)
		time.Sleep(time.Minute)
		synctest.Wait()
		h := s.head()
		var there int
		s.books.set(func() { there = len(s.books.usage) })
		if posts < 2 || h.UsageMade != 4 || int(h.UsageKept) != there {
			t.Errorf("of %d records made %d count as delivered, and the cloud has %d; %d deliveries", h.UsageMade, h.UsageKept, there, posts)
		}
	})
}

// A journal without usage is not gone through again by each leader, nor kept for the
// usage that it might have.
func TestAJournalWithoutUsageIsNotedNowAndThen(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		for range outboxNote + 2*outboxRead {
			if _, err := s.log.apply(license.Refused{User: "ada", Machine: ws202, Denial: license.Denial{Reason: license.MachineActive}}); err != nil {
				t.Fatal(err)
			}
		}
		contact := s.head().Link.Contact
		s.wait(2 * outboxEvery)
		if h := s.head(); h.UsageSent < outboxNote {
			t.Errorf("noted up to %d of %d", h.UsageSent, h.Seq)
		} else if h.Link.Contact != contact {
			t.Errorf("the last contact moved from %v to %v: nobody has asked the cloud", contact, h.Link.Contact)
		}
		use := s.start(t, 1, ws101)
		wantGranted(t, use, false)
		s.stop(t, 1, ws101)
		s.wait(2 * outboxEvery)
		if h := s.head(); h.UsageKept != 1 || h.UsageMade != 1 {
			t.Errorf("of %d records %d count as delivered, want 1 of 1", h.UsageMade, h.UsageKept)
		}
	})
}
