package gateway

import (
	"context"
	"fmt"
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
