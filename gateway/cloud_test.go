package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// more gives ada a second capped product and an uncapped one.
func (s *site) more(t *testing.T) {
	t.Helper()
	s.books.set(func() {
		s.books.feed = append(s.books.feed,
			license.Change{Product: &license.Product{ID: "rail", Name: "Rail Designer", Capped: license.CappedYes}},
			license.Change{License: &license.License{ID: "L3", Product: "rail", Assignee: "ada"}},
			license.Change{Product: &license.Product{ID: "view", Name: "Viewer", Capped: license.CappedNo}},
			license.Change{License: &license.License{ID: "L4", Product: "view", Assignee: "ada"}})
	})
	time.Sleep(time.Minute)
	synctest.Wait()
}

func (s *site) run(t *testing.T, n byte, user license.UserID, p license.ProductID, m license.Machine) license.Outcome {
	t.Helper()
	a, err := s.Start(context.Background(), license.Start{ID: license.ID{n}, User: user, Product: p, Machine: m})
	if err != nil {
		t.Fatalf("start %d of %s on %s: %v", n, p, m.Name, err)
	}
	return a.Outcome
}

func (s *site) session(n byte) (x license.Session) {
	s.log.View(func(st *license.State) {
		if p := st.Session(license.ID{n}); p != nil {
			x = *p
		}
	})
	return x
}

func TestRightLostToOneLicenseDoesNotEndTheOther(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.more(t)
		wantGranted(t, s.run(t, 1, "ada", "road", ws101), false)
		wantGranted(t, s.run(t, 2, "ada", "rail", ws101), false)
		s.books.set(func() { s.books.gone["L1"] = true })
		time.Sleep(2 * renewEvery)
		synctest.Wait()
		if x := s.session(1); x.Notice == nil || x.Notice.Reason != license.EndUnassigned {
			t.Errorf("got %+v, want the session of L1 on notice", x.Notice)
		}
		if x := s.session(2); x.Notice != nil {
			t.Errorf("got %+v, want the session of L3 to go on", x.Notice)
		}
	})
}

func TestStoppingOneProductLeavesTheOtherInTheCloudsBooks(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.more(t)
		s.books.set(func() { s.books.down = true })
		wantGranted(t, s.run(t, 1, "ada", "road", ws101), true)
		wantGranted(t, s.run(t, 2, "ada", "rail", ws101), true)
		s.books.set(func() { s.books.down = false })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if s.session(1).Provisional || s.session(2).Provisional {
			t.Fatal("not confirmed after the link came back")
		}
		s.stop(t, 1, ws101)
		synctest.Wait()
		if m := s.books.of("ada"); m != ws101 {
			t.Fatalf("the cloud keeps ada for %q, want %s, where a product still runs", m.Name, ws101.Name)
		}
	})
}

func TestReturnUnderARunningSessionIsToldToTheCloudFirst(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		a, err := s.CheckOut(context.Background(), license.CheckOut{ID: license.ID{9}, User: "ada", Product: "road",
			Machine: ws101, Until: s.log.Now().Add(72 * time.Hour)})
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("checkout: %v %+v", err, a.Outcome.Denial)
		}
		wantGranted(t, s.start(t, 1, ws101), false)
		if m := s.books.of("ada"); m != (license.Machine{}) {
			t.Fatalf("the cloud was asked to keep ada for %s, want nothing under a checkout", m.Name)
		}
		if _, err := s.Return(context.Background(), license.Return{ID: license.ID{9}, User: "ada", Machine: ws101}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if x := s.session(1); !x.Holds {
			t.Fatal("the session does not hold after the return")
		}
		if m := s.books.of("ada"); m != ws101 {
			t.Fatalf("the cloud keeps ada for %q, want %s", m.Name, ws101.Name)
		}
	})
}

func TestRefusalStandsThoughTheCloudIsLostAfterIt(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		asked := 0
		s.books.set(func() {
			s.books.other["ada"] = license.Machine{Name: "HQ-7"}
			s.books.asking = func() {
				if asked++; asked == 2 {
					s.books.set(func() { s.books.down = true })
				}
			}
		})
		s.holds.lead() // an earlier leader's: a refusal is asked about again
		wantDenied(t, s.start(t, 1, ws101), license.MachineActive)
		if asked != 2 {
			t.Fatalf("the cloud was asked %d times, want 2", asked)
		}
	})
}

func TestFirstRequestOfALeadershipKnowsTheLink(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		elected := New(Config{Log: s.log, Cloud: s.books, Logger: slog.New(slog.DiscardHandler)})
		a, err := elected.Start(context.Background(), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		if err != nil {
			t.Fatal(err)
		}
		wantGranted(t, a.Outcome, false)
	})
}

func TestRequestGivenUpWhileTheCloudAgreesIsGivenBack(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx, cancel := context.WithCancel(context.Background())
		s.books.set(func() { s.books.asking = cancel })
		if a, err := s.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101}); err == nil {
			t.Fatalf("got %+v, want the caller's own error", a.Outcome)
		}
		synctest.Wait()
		if x := s.session(1); x.User != "" {
			t.Fatalf("got %+v, want no session for a caller who has gone", x)
		}
		s.books.set(func() { s.books.asking = nil })
		wantGranted(t, s.start(t, 2, ws202), false)
	})
}

func TestRepeatGivenUpLeavesTheRunningSessionHeld(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		ctx, cancel := context.WithCancel(context.Background())
		s.books.set(func() { s.books.asking = cancel })
		s.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		synctest.Wait()
		if m := s.books.of("ada"); m != ws101 {
			t.Fatalf("the cloud keeps ada for %q, want %s, where the session runs", m.Name, ws101.Name)
		}
	})
}

func TestStartTheCloudDidNotHearIsConfirmedSoon(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.deaf = true }) // to one question; the link is as it was
		wantGranted(t, s.start(t, 1, ws101), true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s.session(1).Provisional {
			t.Fatal("still provisional after ten seconds with the link up")
		}
	})
}

func TestFullListNamesWhatIsStillBeingDecided(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		slow := make(chan struct{})
		s.log.mu.Lock()
		s.log.slow = slow
		s.log.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		go s.Start(ctx, license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		time.Sleep(2 * time.Second) // the caller has gone; the entry is on its way
		s.holds.renew(context.Background())
		if m := s.books.of("ada"); m != ws101 {
			t.Errorf("the cloud keeps ada for %q while the log decides, want %s", m.Name, ws101.Name)
		}
		s.log.mu.Lock()
		s.log.slow = nil
		s.log.mu.Unlock()
		close(slow)
		synctest.Wait()
		if x := s.session(1); x.Machine != ws101 {
			t.Fatalf("got %+v, want the session", x)
		}
	})
}

func TestListOvertakenByAReleaseIsNotInTheWay(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		reached, on := make(chan struct{}), make(chan struct{})
		s.books.set(func() {
			s.books.listing = func() { close(reached); <-on }
		})
		<-reached // a full list with the session in it is on its way
		s.books.set(func() { s.books.listing = nil })
		s.stop(t, 1, ws101)
		unlock, err := s.users.lock(context.Background(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		s.holds.giveBack(context.Background(), "ada") // overtakes the list
		unlock()
		close(on)
		synctest.Wait()
		wantGranted(t, s.start(t, 2, ws202), false)
	})
}

func TestRefusalOfTheCloudIsNotToldByWhoLeadsNoMore(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() {
			s.books.other["ada"] = ws202
			s.books.asking = func() { s.log.lead(false) }
		})
		a, err := s.decide(context.Background(), request{Start: &license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101}})
		if !errors.Is(err, ErrNotLeader) {
			t.Fatalf("got %+v, %v; want that the next leader is asked", a.Outcome.Denial, err)
		}
	})
}

func TestListOnItsWayIsAwaitedBeforeARefusalIsBelieved(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		held := sessionHold(new(s.session(1)))
		s.stop(t, 1, ws101)
		synctest.Wait()
		reached, on := make(chan struct{}), make(chan struct{})
		s.books.set(func() {
			s.books.holds[held.Ref] = held // an earlier leader did not come to give it back
			s.books.listing = sync.OnceFunc(func() { close(reached); <-on })
		})
		s.holds.catchUp()
		<-reached // a full list without it is on its way
		answered := make(chan license.Outcome, 1)
		go func() { answered <- s.start(t, 2, ws202) }()
		synctest.Wait()
		close(on)
		wantGranted(t, <-answered, false)
	})
}

func TestOwnCheckoutIsNoContactWithTheCloud(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		a, err := s.CheckOut(context.Background(), license.CheckOut{ID: license.ID{9}, User: "ada", Product: "road",
			Machine: ws101, Until: s.log.Now().Add(72 * time.Hour)})
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("checkout: %v %+v", err, a.Outcome.Denial)
		}
		contact := func() (at license.Time) {
			s.log.View(func(st *license.State) { at = st.Head().Link.Contact })
			return at
		}
		s.books.set(func() { s.books.down = true })
		time.Sleep(5 * time.Second) // the cut is not noticed yet
		before := contact()
		wantGranted(t, s.start(t, 1, ws101), false)
		if got := contact(); got != before {
			t.Fatalf("last contact moved to %v, want %v: the cloud was not asked", got, before)
		}
	})
}

func TestUncappedStartAfterALongStopIsByTheTerms(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.more(t)
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{Account: &license.Account{ID: "firm", AutonomyUncapped: time.Hour}})
		})
		time.Sleep(time.Minute)
		s.books.set(func() { s.books.down = true })
		s.log.lead(false) // the whole site is off for longer than the terms
		time.Sleep(2 * time.Hour)
		s.log.lead(true)
		back := New(Config{Log: s.log, Cloud: s.books, Logger: slog.New(slog.DiscardHandler)})
		a, err := back.Start(context.Background(), license.Start{ID: license.ID{1}, User: "ada", Product: "view", Machine: ws101})
		if err != nil {
			t.Fatal(err)
		}
		wantDenied(t, a.Outcome, license.CloudNeeded)
	})
}

func TestConfirmationThatIsLostIsTriedAgainSoon(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.down = true })
		wantGranted(t, s.run(t, 1, "ada", "road", ws101), true)
		wantGranted(t, s.run(t, 2, "ben", "road", ws202), true)
		synctest.Wait()
		s.books.set(func() {
			s.books.down = false
			s.books.listing = func() {
				s.books.set(func() { s.books.listing = nil })
				s.log.mu.Lock()
				s.log.lost = true
				s.log.mu.Unlock()
			}
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s.session(1).Provisional || s.session(2).Provisional {
			t.Fatal("still provisional ten seconds after the link came back")
		}
	})
}

func TestManyStopsAtOnceAreOneFullList(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.slow = time.Second })
		wantGranted(t, s.start(t, 1, ws101), false)
		lists := 0
		s.books.set(func() { s.books.listing = func() { lists++ } })
		for i := range 1000 {
			s.holds.free(license.CloudHold{Key: fmt.Sprint(i), Ref: license.ID{1, byte(i), byte(i >> 8)}, User: license.UserID(fmt.Sprint(i))})
		}
		time.Sleep(license.DefaultLeaseTTL)
		synctest.Wait()
		if lists < 3 {
			t.Fatalf("renewed %d times in %v, want every %v: the cloud's leases run out", lists, license.DefaultLeaseTTL, renewEvery)
		}
	})
}

func TestContactIsWhenTheCloudWasHeard(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.log.lead(false) // its errands do nothing
		l := newLink(s.Gateway)
		l.heard()
		heard := s.log.Now()
		s.log.lead(true)
		time.Sleep(8 * time.Second)
		s.log.View(func(st *license.State) {
			if st.Head().Link.Contact > heard {
				t.Fatal("the errands have heard the cloud since")
			}
		})
		l.tell(context.Background(), true, false)
		s.log.View(func(st *license.State) {
			if got := st.Head().Link.Contact; got != heard {
				t.Errorf("got %v, want %v", got, heard)
			}
		})
	})
}

func TestWaitBeforeTheFirstFillIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiteOf(t, func(b *books) { b.down = true })
		a, err := s.Wait(context.Background(), license.Wait{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		if !errors.Is(err, ErrNotReady) {
			t.Fatalf("got %+v, %v; want ErrNotReady", a.Outcome, err)
		}
	})
}

func TestManyConfirmationsDoNotDelayTheNextRenewal(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		const many = 300
		s.books.set(func() {
			for i := range many {
				u := license.UserID(fmt.Sprintf("u%d", i))
				s.books.feed = append(s.books.feed, license.Change{User: &license.User{ID: u, Country: "DE"}},
					license.Change{License: &license.License{ID: license.LicenseID("L-" + u), Product: "road", Assignee: u}})
			}
		})
		time.Sleep(time.Minute)
		s.books.set(func() { s.books.down = true })
		for i := range many {
			a, err := s.Start(context.Background(), license.Start{ID: license.ID{2, byte(i), byte(i >> 8)},
				User: license.UserID(fmt.Sprintf("u%d", i)), Product: "road", Machine: ws101})
			if err != nil {
				t.Fatal(err)
			}
			wantGranted(t, a.Outcome, true)
		}
		s.log.mu.Lock()
		s.log.takes = time.Second
		s.log.mu.Unlock()
		lists := 0
		s.books.set(func() { s.books.down, s.books.listing = false, func() { lists++ } })
		time.Sleep(license.DefaultLeaseTTL)
		synctest.Wait()
		if lists < 3 {
			t.Errorf("renewed %d times in %v, want every %v: the cloud's leases run out", lists, license.DefaultLeaseTTL, renewEvery)
		}
		s.log.View(func(st *license.State) {
			if n := st.Counts().Provisional; n != 0 {
				t.Errorf("%d sessions are still provisional", n)
			}
		})
	})
}

func TestARefusedRepetitionLeavesNothingInTheCloudsBooks(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		// The cloud agrees, the outcome is lost and nothing was applied; when the node
		// asks again, another site has the user.
		s.log.mu.Lock()
		s.log.drop = func() { s.books.set(func() { s.books.other["ada"] = license.Machine{Name: "HQ-7"} }) }
		s.log.mu.Unlock()
		wantDenied(t, s.start(t, 1, ws101), license.MachineActive)
		s.books.set(func() { delete(s.books.other, "ada") })
		wantGranted(t, s.start(t, 2, ws202), false)
	})
}
