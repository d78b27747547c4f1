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

const crowdSize = 300 // more than what one entry of the log takes

// crowdOf are users with a license each.
func crowdOf(n int) []license.Change {
	var all []license.Change
	for i := range n {
		id := fmt.Sprintf("u%03d", i)
		all = append(all, license.Change{User: &license.User{ID: license.UserID(id), Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(id), Product: "road", Assignee: license.UserID(id)}})
	}
	return all
}

// crowded is a story of a site with a crowd, where ada has a session.
func crowded(t *testing.T, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSiteOf(t, func(b *books) { b.feed = append(b.feed, crowdOf(crowdSize)...) })
		s.wait(time.Second)
		s.want(t, crowdSize+2, crowdSize+2)
		wantGranted(t, s.start(t, 1, ws101), false)
		f(t, s)
	})
}

func (s *site) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// want says how many users and licenses there should be.
func (s *site) want(t *testing.T, users, licenses int) {
	t.Helper()
	var c license.Counts
	s.log.View(func(st *license.State) { c = st.Counts() })
	if c.Users != users || c.Licenses != licenses {
		t.Fatalf("there are %d users and %d licenses, want %d and %d", c.Users, c.Licenses, users, licenses)
	}
}

// vanish makes the cloud's list all but empty, and its cursor unknown: only the first
// n things of the feed are left, and what is not there nobody may hold. It returns how
// the list was.
func (s *site) vanish(n int) (all []license.Change) {
	s.books.set(func() {
		all = s.books.feed
		s.books.feed, s.books.reset = all[:n:n], true
		for _, c := range all[n:] {
			if c.License != nil {
				s.books.gone[c.License.ID] = true
			}
		}
	})
	return all
}

func (s *site) wantHeld(t *testing.T, losing license.Sizes) {
	t.Helper()
	if h := s.head().Held; h.Since == 0 || h.Losing != losing {
		t.Fatalf("held: %+v, want %+v", h, losing)
	}
}

func (s *site) wantFollowing(t *testing.T) {
	t.Helper()
	if h := s.head(); h.Held.Since != 0 || h.Refilling {
		t.Fatalf("held %+v, refilling %t; want the mirror to follow the cloud", h.Held, h.Refilling)
	}
}

func (s *site) accept(t *testing.T) {
	t.Helper()
	a, err := s.AcceptShrink(context.Background(), license.AcceptShrink{By: "ida", Note: "plant sold"})
	if err != nil || a.Outcome.Denial != nil {
		t.Fatalf("accepting: %v, %+v", err, a.Outcome.Denial)
	}
}

func told[F license.Fact](s *site) int {
	return s.facts(func(f license.Fact) bool { _, ok := f.(F); return ok })
}

// pages is how many entries of the mirror the log has.
func (s *site) pages() (n int) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, c := range s.log.asked {
		if _, ok := c.(license.Mirror); ok {
			n++
		}
	}
	return n
}

var everyone = license.Sizes{Users: crowdSize + 2, Licenses: crowdSize + 2, Assignments: crowdSize + 2}

func TestAnAlmostEmptyListTakesNothingAway(t *testing.T) {
	crowded(t, func(t *testing.T, s *site) {
		before := s.pages()
		s.vanish(1) // the account is all that is left
		s.wait(5 * time.Hour)
		s.want(t, crowdSize+2, crowdSize+2)
		s.wantHeld(t, everyone)
		if x := s.session(1); x.User != "ada" || x.Notice != nil {
			t.Errorf("got %+v, want the session to go on, whatever the cloud says of its license", x)
		}
		if n := told[license.MirrorHeld](s); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		if n := s.pages() - before; n > 20 {
			t.Errorf("%d pages in five hours", n)
		}
		s.log.View(func(st *license.State) {
			if st.Product("road") == nil {
				t.Error("the product is gone with the rest")
			}
		})
	})
}

func TestWhatAddsComesInWhileTheRestIsHeldBack(t *testing.T) {
	crowded(t, func(t *testing.T, s *site) {
		s.vanish(1)
		s.wait(time.Minute)
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{User: &license.User{ID: "eve", Country: "FR"}},
				license.Change{License: &license.License{ID: "L9", Product: "road", Assignee: "eve"}})
		})
		s.wait(time.Minute)
		s.want(t, crowdSize+3, crowdSize+3)
		s.wantHeld(t, everyone)
		wantGranted(t, s.run(t, 2, "eve", "road", ws202), false)
		if told[license.Assigned](s) != 1 {
			t.Error("eve was not told of her license")
		}
	})
}

func TestAcceptedItComesInAtOnce(t *testing.T) {
	crowded(t, func(t *testing.T, s *site) {
		s.vanish(1)
		s.wait(30 * time.Minute)
		s.accept(t)
		s.wait(time.Second)
		s.want(t, 0, 0)
		s.wantFollowing(t)
		if x := s.session(1); x.Notice == nil || x.Notice.Reason != license.EndUnassigned {
			t.Errorf("got %+v, want the session on notice", x.Notice)
		}
		if told[license.MirrorResumed](s) != 1 {
			t.Error("it was not told that the mirror goes on")
		}
		// It was accepted once.
		s.books.set(func() { s.books.feed = append(s.books.feed, crowdOf(50)...) })
		s.wait(time.Minute)
		s.want(t, 50, 50)
		s.vanish(1)
		s.wait(time.Minute)
		s.want(t, 50, 50)
		s.wantHeld(t, license.Sizes{Users: 50, Licenses: 50, Assignments: 50})
	})
}

func TestACloudThatFindsItsDataAgainIsFollowed(t *testing.T) {
	t.Run("without saying so", func(t *testing.T) {
		crowded(t, func(t *testing.T, s *site) {
			all := s.vanish(1)
			s.wait(time.Minute)
			// Its feed does not name again what it has always had: everything is read anew
			// now and then.
			s.books.set(func() {
				s.books.pages = func(cursor string) (license.Page, error) {
					if cursor == "" {
						return license.Page{Cursor: "again", Changes: all[:len(all)-2]}, nil
					}
					time.Sleep(feedWait)
					return license.Page{Cursor: cursor}, nil
				}
			})
			s.wait(heldAnew + time.Minute)
			s.wantFollowing(t)
			s.want(t, crowdSize+1, crowdSize+1)
		})
	})
	t.Run("in its feed", func(t *testing.T) {
		crowded(t, func(t *testing.T, s *site) {
			all := s.vanish(1)
			s.wait(time.Minute)
			s.books.set(func() {
				s.books.feed = append(s.books.feed, all[1:len(all)-2]...)
				clear(s.books.gone)
			})
			s.wait(time.Minute)
			s.wantFollowing(t)
			s.want(t, crowdSize+1, crowdSize+1)
			if x := s.session(1); x.Notice != nil {
				t.Errorf("got %+v, want the session to go on", x.Notice)
			}
		})
	})
}

// deletions are of all of the crowd, in an order that would leave nothing whole.
func deletions() (all []license.Change) {
	for _, c := range crowdOf(crowdSize) {
		switch {
		case c.User != nil:
			all = append(all, license.Change{DeleteUser: c.User.ID})
		case c.License != nil:
			all = append(all, license.Change{DeleteLicense: c.License.ID})
		}
	}
	return all
}

// cut makes the cloud answer in pages of a size.
func (s *site) cut(size int) {
	s.books.set(func() { s.books.page = size })
}

func TestDeletionsInPagesAreAllOrNothing(t *testing.T) {
	crowded(t, func(t *testing.T, s *site) {
		s.cut(100)
		cursor := s.head().Cursor
		s.books.set(func() {
			s.books.feed = append(append(s.books.feed, deletions()...), license.Change{User: &license.User{ID: "eve"}})
		})
		s.wait(time.Minute)
		s.want(t, crowdSize+3, crowdSize+2) // eve has come
		s.wantHeld(t, license.Sizes{Users: crowdSize, Licenses: crowdSize, Assignments: crowdSize})
		if got := s.head().Cursor; got != cursor {
			t.Errorf("the cursor has gone on from %s to %s: another leader would not read again what is not in", cursor, got)
		}
		s.elect(t)
		s.wait(time.Minute)
		s.wantHeld(t, license.Sizes{Users: crowdSize, Licenses: crowdSize, Assignments: crowdSize})
		if n := told[license.MirrorHeld](s); n != 1 {
			t.Errorf("told %d times, want once, whoever leads", n)
		}
		s.accept(t)
		s.elect(t) // who had been asked to bring it in leads no more
		s.wait(time.Minute)
		s.want(t, 3, 2)
		s.wantFollowing(t)
	})
}

// The leader changes after each entry of what was accepted, and in the middle of what
// was not.
func TestAShrinkHoldsAcrossLeaders(t *testing.T) {
	for _, refill := range []bool{false, true} {
		t.Run(fmt.Sprint("refill=", refill), func(t *testing.T) {
			crowded(t, func(t *testing.T, s *site) {
				s.cut(100)
				if refill {
					s.vanish(6) // ada and ben are left
				} else {
					s.books.set(func() { s.books.feed = append(s.books.feed, deletions()...) })
				}
				for range 5 { // one leader after the other does not get far
					s.wait(time.Millisecond)
					s.elect(t)
				}
				s.want(t, crowdSize+2, crowdSize+2)
				s.wait(time.Minute)
				s.wantHeld(t, license.Sizes{Users: crowdSize, Licenses: crowdSize, Assignments: crowdSize})
				s.accept(t)
				for range 20 {
					seen := 0
					s.log.mu.Lock()
					s.log.lose = func(c license.Command) bool {
						m, ok := c.(license.Mirror)
						if ok && m.Losing != (license.Sizes{}) {
							seen++
						}
						return seen > 1
					}
					s.log.mu.Unlock()
					s.elect(t)
					s.wait(100 * time.Millisecond)
				}
				s.want(t, 2, 2)
				s.wantFollowing(t)
				if x := s.session(1); x.Notice != nil {
					t.Errorf("got %+v, want the session to go on: its license was not among them", x.Notice)
				}
				if n := told[license.MirrorHeld](s); n != 1 {
					t.Errorf("told %d times, want once", n)
				}
			})
		})
	}
}

// Without a hold a small list changes as it always did.
func TestAUserWhoComesBackOnTheNextPageHasNotBeenGone(t *testing.T) {
	crowded(t, func(t *testing.T, s *site) {
		s.cut(1)
		s.books.set(func() {
			s.books.feed = append(s.books.feed, license.Change{License: &license.License{ID: "L1", Product: "road"}},
				license.Change{License: &license.License{ID: "L1", Product: "road", Assignee: "ada"}})
		})
		s.wait(time.Minute)
		if x := s.session(1); x.User != "ada" || x.Notice != nil {
			t.Errorf("got %+v, want the session to go on", x)
		}
	})
}

// What is held back may be most of a large mirror: that it still is costs nothing,
// and the state is never looked at for long.
func BenchmarkAPageWhileMuchIsHeldBack(b *testing.B) {
	log := newSoloLog()
	g := New(Config{Log: log, Cloud: newBooks(), Logger: slog.New(slog.DiscardHandler)})
	everything := append(crowdOf(100_000), license.Change{Product: &license.Product{ID: "road"}})
	r := readOn(license.Head{})
	if !g.bringPage(b.Context(), r, license.Page{Cursor: "1", Changes: everything}) {
		b.Fatal("the fill was not brought in")
	}
	if !g.bringPage(b.Context(), r, license.Page{Cursor: "2", Reset: true}) || g.head().Held.Since == 0 {
		b.Fatal("an empty list is not held back")
	}
	watch := &longestView{Log: log}
	g.log = watch
	if !g.bringPage(b.Context(), r, license.Page{Cursor: "2"}) { // finds out that it is noted
		b.Fatal("a page was not brought in")
	}
	b.ResetTimer()
	for b.Loop() {
		if !g.bringPage(b.Context(), r, license.Page{Cursor: "2"}) {
			b.Fatal("a page was not brought in")
		}
	}
	b.ReportMetric(float64(watch.longest.Microseconds()), "µs/longest-view")
}

// longestView measures how long the state is looked at.
type longestView struct {
	Log
	longest time.Duration
}

func (l *longestView) View(f func(*license.State)) {
	begun := time.Now()
	l.Log.View(f)
	l.longest = max(l.longest, time.Since(begun))
}
