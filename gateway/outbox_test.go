package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// others gives the site as many more users, each with a license of road.
func (s *site) others(t *testing.T, n int) {
	t.Helper()
	s.books.set(func() {
		for i := range n {
			user := license.UserID(fmt.Sprintf("u%03d", i))
			s.books.feed = append(s.books.feed, license.Change{User: &license.User{ID: user, Country: "DE"}},
				license.Change{License: &license.License{ID: license.LicenseID("L-" + user), Product: "road", Assignee: user}})
		}
	})
	s.wait(time.Minute)
}

// used has user n of those start and stop.
func (s *site) used(t *testing.T, n int, id byte) {
	t.Helper()
	user := license.UserID(fmt.Sprintf("u%03d", n))
	m := license.Machine{ID: "m-" + string(user), Name: "WS-" + string(user)}
	x := license.ID{1, id, byte(n), byte(n >> 8)}
	a, err := s.Start(context.Background(), license.Start{ID: x, User: user, Product: "road", Machine: m})
	if err == nil && a.Outcome.Denial == nil {
		a, err = s.Stop(context.Background(), license.Stop{ID: x, User: user, Machine: m})
	}
	if err != nil || a.Outcome.Denial != nil {
		t.Fatalf("%s: %v, %+v", user, err, a.Outcome.Denial)
	}
}

// outboxState is how much usage is where.
func (s *site) outboxState() (made, kept, waiting uint64, aside []license.SetAside) {
	s.log.View(func(st *license.State) {
		h := st.Head()
		made, kept, waiting, aside = h.UsageMade, h.UsageKept, st.UsageWaiting(), license.AllSetAside(st)
	})
	return
}

// What the cloud refuses for good does not keep back what is behind it: it is set
// aside, and sent when the cloud takes it, by an administrator or by and by.
func TestUsageThatIsRefusedForGoodIsSetAside(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 150)
		s.books.set(func() {
			s.books.down = true
			for n := range 150 {
				if n%10 != 3 { // 135: more than one command sets aside
					s.books.never[license.UserID(fmt.Sprintf("u%03d", n))] = true
				}
			}
		})
		s.wait(time.Minute)
		for n := range 150 {
			s.used(t, n, 1)
		}
		s.books.set(func() { s.books.down = false })
		s.wait(2 * time.Minute)
		made, kept, waiting, aside := s.outboxState()
		if made != 150 || kept != 15 || waiting != 0 || len(aside) != 135 || len(s.books.usage) != 15 {
			t.Fatalf("of %d made %d are with the cloud (it has %d), %d wait, %d are set aside; want 150, 15, 15, 0, 135", made, kept, len(s.books.usage), waiting, len(aside))
		}
		if x := aside[0]; x.Why != "no such user" || x.At == 0 || x.Usage.User != "u000" {
			t.Errorf("the first that is set aside is %+v", x)
		}
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.UsageSetAside); return ok }); n != 2 {
			t.Errorf("told %d times, want 2", n)
		}

		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		if _, err := s.ResendUsage(context.Background(), "ida"); !errors.Is(err, ErrCloud) {
			t.Errorf("sent again without a link: %v, want %v", err, ErrCloud)
		}
		s.books.set(func() { s.books.down, s.books.never = false, map[license.UserID]bool{"u000": true} })
		s.wait(time.Minute)
		if _, err := s.ResendUsage(context.Background(), "ida"); err != nil {
			t.Fatal(err)
		}
		if _, kept, _, aside = s.outboxState(); kept != 149 || len(aside) != 1 || aside[0].Usage.User != "u000" {
			t.Errorf("after it was sent again %d are with the cloud, and set aside are %+v; want 149, and u000's", kept, aside)
		}
		s.books.set(func() { s.books.never = nil })
		s.wait(asideEvery + time.Minute)
		if _, kept, _, aside = s.outboxState(); kept != 150 || len(aside) != 0 || len(s.books.usage) != 150 {
			t.Errorf("an hour later %d are with the cloud, %d set aside; it has %d, want 150, 0, 150", kept, len(aside), len(s.books.usage))
		}
		for record, n := range s.books.usage {
			if n != 1 {
				t.Errorf("%s was taken %d times", record, n)
			}
		}
	})
}

// A cloud that refuses everything is not taken at its word: delivery waits, and
// nothing is lost.
func TestACloudThatRefusesEverythingIsWaitedFor(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 100)
		s.books.set(func() {
			for n := range 100 {
				s.books.never[license.UserID(fmt.Sprintf("u%03d", n))] = true
			}
		})
		const times = license.MaxSetAside/100 + 2
		for id := range byte(times) {
			for n := range 100 {
				s.used(t, n, id+1)
			}
			s.wait(time.Minute)
		}
		made, kept, waiting, aside := s.outboxState()
		if made != 100*times || kept != 0 || len(aside) > license.MaxSetAside || waiting != made-uint64(len(aside)) || waiting < 200 {
			t.Fatalf("of %d made %d are with the cloud, %d wait, %d are set aside", made, kept, waiting, len(aside))
		}
		s.books.set(func() { s.books.never = nil })
		s.wait(asideEvery + time.Minute)
		synctest.Wait()
		if _, kept, waiting, aside = s.outboxState(); kept != made || waiting != 0 || len(aside) != 0 || len(s.books.usage) != int(made) {
			t.Errorf("once it takes them, %d of %d are with the cloud, %d wait, %d are set aside", kept, made, waiting, len(aside))
		}
	})
}

// Who has much sent again hears soon that it goes on, and it does, by and by; usage that
// was never refused does not wait for it.
func TestMuchThatWasRefusedIsSentAgainWithoutAnybodyWaiting(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 101)
		s.books.set(func() {
			for n := range 100 {
				s.books.never[license.UserID(fmt.Sprintf("u%03d", n))] = true
			}
		})
		for id := range byte(license.MaxSetAside / 100) {
			for n := range 100 {
				s.used(t, n, id+1)
			}
			s.wait(time.Minute)
		}
		if _, _, waiting, aside := s.outboxState(); len(aside) != license.MaxSetAside || waiting != 0 {
			t.Fatalf("%d are set aside and %d wait, want %d and none", len(aside), waiting, license.MaxSetAside)
		}
		s.books.set(func() {
			delete(s.books.never, "u007")
			s.books.posting = func() { time.Sleep(20 * time.Second) } // a hundred refusals take the cloud as long
		})
		begun := time.Now()
		a, err := s.ResendUsage(context.Background(), "ida")
		if took := time.Since(begun); err != nil || !a.Pending || took > Patience {
			t.Fatalf("got %+v, %v after %v, want to hear within %v that it goes on", a, err, took, Patience)
		}
		s.used(t, 100, 1)
		s.wait(time.Minute)
		if _, _, waiting, _ := s.outboxState(); waiting != 0 {
			t.Errorf("a minute later %d records wait that nobody has refused", waiting)
		}
		s.wait(10 * time.Minute)
		if _, _, _, aside := s.outboxState(); len(aside) != license.MaxSetAside-license.MaxSetAside/100 {
			t.Errorf("in the end %d are set aside, want %d", len(aside), license.MaxSetAside-license.MaxSetAside/100)
		}
		if n := s.facts(func(f license.Fact) bool { x, ok := f.(license.UsageSettled); return ok && x.By == "ida" }); n == 0 {
			t.Error("it is not known who had them sent")
		}
	})
}

// Whoever was told that it goes on need not ask again when another node leads.
func TestWhatGoesOnIsTakenUpByWhoLeadsNext(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.others(t, 1)
		s.books.set(func() { s.books.never["u000"] = true })
		s.used(t, 0, 1)
		s.wait(time.Minute)
		s.books.set(func() {
			s.books.never, s.books.posting = nil, func() { time.Sleep(20 * time.Second) }
		})
		a, err := s.ResendUsage(context.Background(), "ida")
		if err != nil || !a.Pending {
			t.Fatalf("got %+v, %v; want to hear that it goes on", a, err)
		}
		s.books.set(func() { s.books.posting = nil })
		s.log.lead(false)
		s.wait(time.Minute)
		if _, _, _, aside := s.outboxState(); len(aside) != 1 {
			t.Fatalf("%d are set aside, want the one, of which the log was not told", len(aside))
		}
		s.elect(t)
		s.wait(2 * time.Minute)
		if _, kept, _, aside := s.outboxState(); len(aside) != 0 || kept != 1 {
			t.Errorf("two minutes later %d are set aside and %d are with the cloud, want none and 1", len(aside), kept)
		}
	})
}

// Who leads no more says of nothing that it goes on.
func TestNothingGoesOnWhereNobodyLeads(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		idle := New(Config{Log: s.log, Cloud: s.books, Logger: slog.New(slog.DiscardHandler)}) // its errand is over
		time.AfterFunc(asidePatience/2, func() { s.log.lead(false) })
		a, err := idle.decide(context.Background(), request{ResendUsage: &resendUsage{By: "ida"}})
		if !errors.Is(err, ErrNotLeader) {
			t.Errorf("got %+v, %v; want that the next leader is asked", a, err)
		}
	})
}

// A round is for those who asked before it began, and no others.
func TestARoundIsForWhoAskedBeforeIt(t *testing.T) {
	a := newAside()
	a.ask("ida")
	if asking, by := a.take(); len(asking) != 1 || by != "ida" {
		t.Errorf("got %d who ask, for %q; want 1, for ida", len(asking), by)
	}
	a.ask("bo")
	if asking, by := a.take(); len(asking) != 1 || by != "bo" {
		t.Errorf("got %d who ask, for %q; want 1, for bo", len(asking), by)
	}
	if asking, by := a.take(); len(asking) != 0 || by != "" {
		t.Errorf("got %d who ask, for %q; want nobody", len(asking), by)
	}
}
