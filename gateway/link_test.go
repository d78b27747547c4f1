package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

func (s *site) wantLink(t *testing.T, want string) {
	t.Helper()
	if l := s.head().Link; l.Condition() != want {
		t.Fatalf("the link is %s (%+v), want %s", l.Condition(), l, want)
	}
}

// crowd gives a site many users with a license each.
func (s *site) crowd(t *testing.T, n int) {
	t.Helper()
	s.books.set(func() { s.books.feed = append(s.books.feed, crowdOf(n)...) })
	s.wait(time.Minute)
	s.want(t, n+2, n+2)
}

func (s *site) startOf(t *testing.T, i int) (license.Outcome, time.Duration) {
	t.Helper()
	begun := time.Now()
	a, err := s.Start(context.Background(), license.Start{ID: license.ID{7, byte(i), byte(i >> 8)}, User: license.UserID(fmt.Sprintf("u%03d", i)), Product: "road", Machine: ws101})
	if err != nil {
		t.Fatal(err)
	}
	return a.Outcome, time.Since(begun)
}

func TestTheLinkIsUpSlowDownAndStale(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.crowd(t, 40)
		s.wantLink(t, license.LinkUp)
		s.books.set(func() { s.books.asking = func() { time.Sleep(2 * time.Second) } })
		for i := range 10 {
			s.startOf(t, i)
		}
		synctest.Wait()
		s.wantLink(t, license.LinkSlow)
		s.books.set(func() { s.books.asking = nil })
		for i := range 10 {
			s.startOf(t, 20+i)
		}
		synctest.Wait()
		s.wantLink(t, license.LinkUp)
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		s.wantLink(t, license.LinkDown)
		s.wait(license.StaleAfter - 2*time.Minute)
		s.wantLink(t, license.LinkDown)
		s.wait(2 * time.Minute)
		s.wantLink(t, license.LinkStale)
		s.elect(t) // who leads next knows it, and tells nobody again
		s.wait(time.Hour)
		s.wantLink(t, license.LinkStale)
		s.books.set(func() { s.books.down = false })
		s.wait(time.Minute)
		s.wantLink(t, license.LinkUp)
		if n, m := told[license.LinkStaled](s), told[license.LinkSlowed](s); n != 1 || m != 2 {
			t.Errorf("told %d times that it is stale, want once; %d times that it is slow, or so no more, want twice", n, m)
		}
	})
}

// A cloud that asks to be left alone for a while is no cloud that does not answer: nobody
// is told that the link is down, and it is found to be down when it is.
func TestABusyCloudIsNotDown(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.busy = true })
		wantGranted(t, s.start(t, 1, ws101), true)
		s.wait(5 * time.Minute)
		s.wantLink(t, license.LinkUp)
		if n := s.facts(func(f license.Fact) bool { l, ok := f.(license.LinkChanged); return ok && !l.Up }); n != 0 {
			t.Errorf("told %d times that the link is down", n)
		}
		s.books.set(func() { s.books.busy = false })
		s.wait(2 * time.Minute)
		s.log.View(func(st *license.State) {
			if x := st.Session(license.ID{1}); x == nil || x.Provisional {
				t.Errorf("got %+v, want it confirmed once the cloud takes questions again", x)
			}
		})
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		s.wantLink(t, license.LinkDown)
	})
}

// viewers gives n users a license each of a product that is not capped.
func (s *site) viewers(t *testing.T, n int) {
	t.Helper()
	s.books.set(func() {
		s.books.feed = append(s.books.feed, license.Change{Product: &license.Product{ID: "view", Name: "Viewer", Capped: license.CappedNo}})
		for i := range n {
			u := license.UserID(fmt.Sprintf("v%03d", i))
			s.books.feed = append(s.books.feed, license.Change{User: &license.User{ID: u, Country: "DE"}},
				license.Change{License: &license.License{ID: license.LicenseID("V-" + u), Product: "view", Assignee: u}})
		}
	})
	s.wait(time.Minute)
}

func (s *site) view(t *testing.T, i int) license.Outcome {
	t.Helper()
	return s.run(t, byte(i+1), license.UserID(fmt.Sprintf("v%03d", i)), "view", ws101)
}

// A front door that answers for a cloud that has an outage asks to come back later, too.
// Nothing is agreed to by that: the account's terms decide, until they end, and who
// administers it hears of it as of any cloud that does not answer.
func TestACloudThatIsOnlyBusyAgreesToNothing(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.viewers(t, 10)
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{Account: &license.Account{ID: "firm", AutonomyUncapped: 5 * time.Minute}})
		})
		s.wait(time.Minute)
		wantGranted(t, s.view(t, 0), false)
		s.books.set(func() { s.books.busy = true })
		s.wait(3 * time.Minute)
		s.wantLink(t, license.LinkUp)
		wantGranted(t, s.view(t, 1), false)
		if n := told[license.GrantedAlone](s); n != 1 {
			t.Errorf("%d grants without the cloud are in the journal as such, want that of the one who started meanwhile", n)
		}
		s.wait(4 * time.Minute)
		s.wantLink(t, license.LinkUp)
		wantDenied(t, s.view(t, 2), license.CloudNeeded)
		s.elect(t) // who leads next has not heard it either
		wantDenied(t, s.view(t, 3), license.CloudNeeded)
		s.wait(time.Minute)
		s.wantLink(t, license.LinkUp)
		s.wait(3 * time.Minute)
		s.wantLink(t, license.LinkDown)
		wantDenied(t, s.view(t, 4), license.CloudNeeded)
		s.wait(license.StaleAfter)
		s.wantLink(t, license.LinkStale)
		s.books.set(func() { s.books.busy = false })
		s.wait(time.Minute)
		s.wantLink(t, license.LinkUp)
		wantGranted(t, s.view(t, 5), false)
		downs := s.facts(func(f license.Fact) bool { l, ok := f.(license.LinkChanged); return ok && !l.Up })
		if n := told[license.LinkStaled](s); downs != 1 || n != 1 {
			t.Errorf("told %d times that it is down and %d times that it is stale, want once each", downs, n)
		}
	})
}

// Who starts does not ask a busy cloud one after the other whether it is there.
func TestABusyCloudKeepsNobodyWaitingInLine(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		const many = 100
		s.viewers(t, many)
		s.books.set(func() { s.books.busy, s.books.pinging = true, func() { time.Sleep(time.Second) } })
		s.wait(2 * time.Minute)
		pings := 0
		s.books.set(func() { pings = s.books.pings })
		begun := time.Now()
		for i := range many {
			wantGranted(t, s.view(t, i), false)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%d starts took %v, one after the other", many, took)
		}
		s.books.set(func() {
			if n := s.books.pings - pings; n > 5 {
				t.Errorf("the cloud was asked %d times whether it is there", n)
			}
		})
		if n := told[license.GrantedAlone](s); n != many {
			t.Errorf("%d of %d grants without the cloud are in the journal as such", n, many)
		}
	})
}

// Who has gone waits for no probe of another's.
func TestAProbeIsNotWaitedForByWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBooks()
		l := newLink(New(Config{Log: newSoloLog(), Cloud: b, Logger: slog.New(slog.DiscardHandler)}))
		l.heard()
		l.suspect()
		b.pinging = func() { time.Sleep(2 * time.Second) }
		first := make(chan bool)
		go func() { first <- l.sure(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if l.sure(ctx) || time.Since(begun) > time.Second {
			t.Errorf("got an answer after %v, want none after %v", time.Since(begun), 100*time.Millisecond)
		}
		if !<-first {
			t.Error("the cloud has answered, and is not known to")
		}
	})
}

// A slow answer long ago says nothing of now.
func TestASlowLinkThatIsNotAskedIsSlowForAWhileOnly(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.crowd(t, 10)
		s.books.set(func() { s.books.asking = func() { time.Sleep(2 * time.Second) } })
		for i := range 10 {
			s.startOf(t, i)
		}
		synctest.Wait()
		s.wantLink(t, license.LinkSlow)
		s.wait(slowWithin + time.Minute)
		s.wantLink(t, license.LinkUp)
	})
}

// Everything of the cloud answers but its holds. A few wait for them; then nobody does,
// starts are decided by the account's terms, and they are confirmed when it answers.
func TestHoldsThatAreNotAnsweredKeepNobodyWaitingForLong(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.crowd(t, 60)
		s.books.set(func() { s.books.hangs = true })
		waited := 0
		for i := range 40 {
			out, took := s.startOf(t, i)
			wantGranted(t, out, true)
			if took >= defaultAskTimeout {
				waited++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if waited < breakAfter || waited > breakAfter+3 {
			t.Errorf("%d of 40 have waited for the cloud, want %d and the few that try it again", waited, breakAfter)
		}
		s.wantLink(t, license.LinkSlow)
		if n := told[license.GrantedAlone](s); n != 40 {
			t.Errorf("%d of 40 grants without the cloud are in the journal as such", n)
		}
		s.books.set(func() { s.books.hangs = false })
		for i := range 20 { // whoever starts finds out that it answers again
			s.startOf(t, 40+i)
			time.Sleep(3 * time.Second)
		}
		s.wait(time.Minute)
		s.log.View(func(st *license.State) {
			if n := st.Counts().Provisional; n != 0 {
				t.Errorf("%d sessions are still provisional", n)
			}
		})
		s.wantLink(t, license.LinkUp)
	})
}

// A cloud that keeps no holds is not asked for them at each start, and is not taken for
// one that does not answer. The account's terms decide.
func TestACloudWithoutHolds(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.books.set(func() { s.books.noHolds = true })
		wantGranted(t, s.start(t, 1, ws101), true)
		asked := 0
		s.books.set(func() { asked = s.books.asked })
		wantDenied(t, s.start(t, 2, ws202), license.MachineActive)
		s.stop(t, 1, ws101)
		wantGranted(t, s.start(t, 3, ws202), true)
		s.wait(5 * time.Minute)
		s.wantLink(t, license.LinkUp)
		s.books.set(func() {
			if s.books.asked != asked {
				t.Errorf("asked %d times, want %d: it keeps none", s.books.asked, asked)
			}
		})
		none := s.head().Cloud
		if none.Holds.Offered != license.OfferNo || none.Feed.Offered != license.OfferYes || none.Moves.Offered != license.OfferUnknown || none.Holds.Since == 0 {
			t.Errorf("what the cloud offers is known as %+v, want a feed, no holds, and nothing of moves, which nobody has asked for", none)
		}
		// It says so again, without terms: a capped start needs the cloud (R6).
		s.books.set(func() { s.books.feed = append(s.books.feed, license.Change{Account: &license.Account{ID: "firm"}}) })
		s.stop(t, 3, ws202)
		s.wait(time.Minute)
		wantDenied(t, s.start(t, 4, ws101), license.CloudNeeded)
		// And then it does keep them.
		s.books.set(func() { s.books.noHolds = false })
		s.wait(2 * holdsAnew)
		wantGranted(t, s.start(t, 5, ws101), false)
		synctest.Wait()
		if c := s.head().Cloud; c.Holds.Offered != license.OfferYes || c.Holds.Since <= none.Holds.Since || c.Feed != none.Feed {
			t.Errorf("what the cloud offers is known as %+v, want holds since now", c)
		}
	})
}

// A cloud without a feed: what an administrator imports is what the site knows, until
// there is a feed after all.
func TestACloudWithoutAFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSiteOf(t, func(b *books) { b.noFeed = true })
		s.wait(time.Hour)
		if h := s.head(); h.Filled || h.Link.Condition() != license.LinkUp {
			t.Fatalf("filled %t, link %s; want nothing yet of a cloud that answers", h.Filled, h.Link.Condition())
		}
		if c := s.head().Cloud; c.Feed.Offered != license.OfferNo || c.UsageHow == 0 || c.Usage != license.WaySite {
			t.Errorf("what the cloud offers is known as %+v, want no feed", c)
		}
		s.books.set(func() {
			if s.books.polls > 20 {
				t.Errorf("asked for its feed %d times in an hour", s.books.polls)
			}
		})
		a, err := s.Import(context.Background(), license.Import{By: "ida", Last: true, Changes: []license.Change{
			{User: &license.User{ID: "ada", Country: "FR"}}, {Product: &license.Product{ID: "road"}}, {License: &license.License{ID: "L1", Product: "road", Assignee: "ada"}}}})
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("import: %v, %+v", err, a.Outcome.Denial)
		}
		wantGranted(t, s.start(t, 1, ws101), false)
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		s.stop(t, 1, ws101)
		wantDenied(t, s.start(t, 2, ws101), license.CloudNeeded)
		s.books.set(func() { s.books.down, s.books.noFeed = false, false })
		s.wait(2 * noFeed)
		s.want(t, 2, 2)
		s.log.View(func(st *license.State) {
			if u := st.User("ada"); u.Source != license.FromFeed || u.Email == "" {
				t.Errorf("got %+v, want what the feed says", u)
			}
		})
		a, err = s.Import(context.Background(), license.Import{By: "ida", Last: true})
		if err != nil {
			t.Fatal(err)
		}
		wantDenied(t, a.Outcome, license.MirrorFollows)
	})
}
