package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// story runs f in a bubble of its own time, once the mirror is in and the link
// is known to be up.
func story(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		time.Sleep(time.Second)
		synctest.Wait()
		f(t, s)
	})
}

func wantDenied(t *testing.T, out license.Outcome, reason license.Reason) {
	t.Helper()
	if out.Denial == nil || out.Denial.Reason != reason {
		t.Fatalf("got %+v, want a denial %q", out, reason)
	}
}

func wantGranted(t *testing.T, out license.Outcome, provisional bool) {
	t.Helper()
	if out.Denial != nil {
		t.Fatalf("got denial %+v, want a grant", out.Denial)
	}
	if out.Session.Provisional != provisional {
		t.Fatalf("got provisional %t, want %t", out.Session.Provisional, provisional)
	}
}

func TestStartIsConfirmedByTheCloud(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantGranted(t, s.start(t, 1, ws101), false)
		if h := s.books.of("ada"); h != ws101 {
			t.Fatalf("the cloud's books have %+v, want %s", h, ws101.Name)
		}
		s.stop(t, 1, ws101)
		synctest.Wait()
		if n := len(s.books.holds); n != 0 {
			t.Fatalf("the cloud still has %d holds after the stop", n)
		}
	})
}

func TestSecondMachineIsRefusedWithoutAskingTheCloud(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		asked := s.books.asked
		for range 3 {
			out := s.start(t, 2, ws202)
			wantDenied(t, out, license.MachineActive)
			if out.Denial.Machine != ws101 {
				t.Fatalf("got %+v, want %s", out.Denial.Machine, ws101.Name)
			}
		}
		if s.books.asked != asked {
			t.Fatalf("the cloud was asked %d times for what the site knew", s.books.asked-asked)
		}
		synctest.Wait()
		attempts := func() int {
			return s.facts(func(f license.Fact) bool { _, ok := f.(license.Attempted); return ok })
		}
		if got := attempts(); got != 1 {
			t.Fatalf("journalled %d refusals for three tries within a minute, want 1", got)
		}
		time.Sleep(refusalPeriod)
		s.start(t, 3, ws202)
		synctest.Wait()
		if got := attempts(); got != 2 {
			t.Fatalf("journalled %d refusals after another try a minute later, want 2", got)
		}
	})
}

func TestWhatALostCursorDoesNotNameAgainIsGone(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		s.books.set(func() { // the license of ada is gone, and so is the cursor
			s.books.feed = append(s.books.feed[:4:4], s.books.feed[5])
			s.books.reset = true
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		s.log.View(func(st *license.State) {
			if st.License("L1") != nil || st.License("L2") == nil || st.User("ada") == nil {
				t.Errorf("got L1 %v, L2 %v, ada %v; want only L1 gone", st.License("L1"), st.License("L2"), st.User("ada"))
			}
			if x := st.Session(license.ID{1}); x == nil || x.Notice == nil || x.Notice.Reason != license.EndUnassigned {
				t.Errorf("got %+v, want the session on notice", x)
			}
			if st.Head().Refilling {
				t.Error("still refilling")
			}
		})
		wantDenied(t, s.start(t, 2, ws101), license.NotAssigned)
	})
}

func TestMachineThatLetGoIsNotInTheWayOfTheNext(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.slow = 100 * time.Millisecond })
		s.start(t, 1, ws101)
		s.stop(t, 1, ws101)
		wantGranted(t, s.start(t, 2, ws202), false)
	})
}

func TestWhatAnEarlierLeaderFreedIsNotInTheWay(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.holds[license.ID{99}] = license.CloudHold{Key: "ada", Machine: ws101} })
		s.holds.lead() // this leader knows nothing of it
		wantGranted(t, s.start(t, 1, ws202), false)
	})
}

func TestMachineAtAnotherSiteIsNamed(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.other["ada"] = license.Machine{Name: "HQ-7"} })
		out := s.start(t, 1, ws101)
		wantDenied(t, out, license.MachineActive)
		if !out.Denial.Elsewhere || out.Denial.Machine.Name != "HQ-7" || out.Denial.Holding != out.Denial.License {
			t.Fatalf("got %+v, want HQ-7, elsewhere, with the same license", out.Denial)
		}
	})
}

func TestLinkDownIsDecidedByTheTermsAndConfirmedLater(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.down = true })
		wantGranted(t, s.start(t, 1, ws101), true)
		wantDenied(t, s.start(t, 2, ws202), license.MachineActive)
		synctest.Wait()
		if s.facts(func(f license.Fact) bool { l, ok := f.(license.LinkChanged); return ok && !l.Up }) != 1 {
			t.Fatal("the log was not told once that the link is down")
		}
		a, err := s.CheckOut(context.Background(), license.CheckOut{ID: license.ID{9}, User: "ada", Product: "road",
			Machine: ws101, Until: s.log.Now().Add(72 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		wantDenied(t, a.Outcome, license.CloudNeeded)

		s.books.set(func() { s.books.down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		s.log.View(func(st *license.State) {
			if x := st.Session(license.ID{1}); x == nil || x.Provisional {
				t.Fatalf("after the link came back the session is %+v, want it confirmed", x)
			}
		})
		if h := s.books.of("ada"); h != ws101 {
			t.Fatalf("the cloud's books have %+v, want %s", h, ws101.Name)
		}
	})
}

func TestLinkDownLongerThanTheTermsRefuses(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.down = true })
		time.Sleep(3 * time.Hour)
		wantDenied(t, s.start(t, 1, ws101), license.CloudNeeded)
	})
}

func TestConflictFoundAfterAnOutagePutsTheSessionOnNotice(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.down = true })
		s.start(t, 1, ws101)
		synctest.Wait()
		s.books.set(func() { s.books.down, s.books.other["ada"] = false, license.Machine{Name: "HQ-7"} })
		time.Sleep(time.Minute)
		synctest.Wait()
		var notice *license.Ending
		s.log.View(func(st *license.State) { notice = st.Session(license.ID{1}).Notice })
		if notice == nil || notice.Reason != license.EndConflict || notice.Machine.Name != "HQ-7" {
			t.Fatalf("got %+v, want a conflict with HQ-7", notice)
		}
		renew := func() license.Lease {
			l, _ := s.Renew(context.Background(), []license.Renewal{{Session: license.ID{1}, User: "ada", Machine: ws101}})
			return l[0]
		}
		if l := renew(); l.Denial != nil {
			t.Fatalf("got %+v within the save grace, want a renewal", l.Denial)
		}
		time.Sleep(license.DefaultSaveGrace)
		if l := renew(); l.Denial == nil {
			t.Fatal("renewed after the save grace")
		}
	})
}

func TestUsageIsDeliveredOnceThoughAnAnswerIsLost(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		s.books.set(func() { s.books.forget = true })
		s.stop(t, 1, ws101)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(s.books.usage) != 1 {
			t.Fatalf("the cloud has %d records, want 1: %v", len(s.books.usage), s.books.usage)
		}
		s.log.View(func(st *license.State) {
			if st.Head().UsageSent == 0 {
				t.Fatal("the log does not know that the usage was delivered")
			}
		})
	})
}

func TestLostOutcomeIsAskedAgainWithTheSameID(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.log.mu.Lock()
		s.log.lost = true
		s.log.mu.Unlock()
		out := s.start(t, 1, ws101)
		wantGranted(t, out, false)
		if !out.Repeat {
			t.Fatal("the second asking was not seen to be the same request")
		}
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.Started); return ok }); n != 1 {
			t.Fatalf("%d sessions were started, want 1", n)
		}
	})
}

func TestNoLeaderIsSaidAfterPatience(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.log.lead(false)
		began := time.Now()
		_, err := s.Start(context.Background(), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		if !errors.Is(err, ErrNoLeader) {
			t.Fatalf("got %v, want ErrNoLeader", err)
		}
		if took := time.Since(began); took > Patience {
			t.Fatalf("took %v, want at most %v", took, Patience)
		}
	})
}

func TestForwardedRequestKeepsItsMeaning(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		follower := &Gateway{log: forwarder{Log: s.log, to: s.Gateway}}
		a, err := follower.Start(context.Background(), license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101})
		if err != nil || a.Outcome.Session == nil || a.Outcome.Session.Machine != ws101 {
			t.Fatalf("got %+v, %v; want a session on %s", a.Outcome, err, ws101.Name)
		}
		a, err = follower.Start(context.Background(), license.Start{ID: license.ID{2}, User: "ada", Product: "road", Machine: ws202})
		if err != nil {
			t.Fatal(err)
		}
		wantDenied(t, a.Outcome, license.MachineActive)
		if a.Seq == 0 || a.Epoch == 0 {
			t.Fatalf("the answer has no token: %+v", a)
		}
	})
}

func TestWaitingMachineGetsTheReservation(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.start(t, 1, ws101)
		a, err := s.Wait(context.Background(), license.Wait{ID: license.ID{7}, User: "ada", Product: "road", Machine: ws202})
		if err != nil || a.Outcome.Waiter == nil {
			t.Fatalf("got %+v, %v; want a waiter", a.Outcome, err)
		}
		s.stop(t, 1, ws101)
		wantDenied(t, s.start(t, 3, ws101), license.KeptForWaiter)
		time.Sleep(license.ReservationTime + 2*time.Second)
		synctest.Wait()
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.ReservationEnded); return ok }); n != 1 {
			t.Fatalf("%d reservations ended by themselves, want 1", n)
		}
		wantGranted(t, s.start(t, 4, ws101), false)
	})
}

// forwarder is a follower's log: it leads nothing and passes requests on.
type forwarder struct {
	Log
	to *Gateway
}

func (f forwarder) Leading() (uint64, bool) { return 1, false }

func (f forwarder) Forward(ctx context.Context, body []byte) ([]byte, error) {
	return f.to.Serve(ctx, "n2", body)
}
