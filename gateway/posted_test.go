package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"sitegate/license"
)

// What a client of the vendor's posts is taken over while the link is down only, and is
// with the cloud once it is up again.
func TestPostingsAreTakenOverWhileTheLinkIsDown(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		c := license.KeepPosting{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Body: []byte(`{"corID":"r-1"}`)}
		if a, err := s.KeepPosting(ctx, c); !errors.Is(err, ErrCloud) {
			t.Errorf("with a link: got %+v, %v, want %v", a, err, ErrCloud)
		}
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		if a, err := s.KeepPosting(ctx, c); err != nil || a.Outcome.Denial != nil {
			t.Fatalf("without a link: got %+v, %v, want it taken", a.Outcome.Denial, err)
		}
		if made, kept, waiting, _ := s.outboxState(); made != 1 || kept != 0 || waiting != 1 {
			t.Errorf("got %d made, %d with the cloud, %d waiting; want 1, 0, 1", made, kept, waiting)
		}
		s.books.set(func() { s.books.down = false })
		s.wait(time.Minute)
		if _, kept, waiting, _ := s.outboxState(); kept != 1 || waiting != 0 || len(s.books.usage) != 1 {
			t.Errorf("with the link again: got %d with the cloud, which has %d, and %d waiting; want 1, 1, 0", kept, len(s.books.usage), waiting)
		}
	})
}

// Who takes a posting over and is lost before it can say so has taken it once: the same is
// asked for again, though the link be up by then.
func TestAPostingIsTakenOverOnce(t *testing.T) {
	for what, meanwhile := range map[string]func(*soloLog){
		"the link is down": func(*soloLog) {},
		"the link is up again": func(l *soloLog) {
			license.Apply(l.state, license.Entry{At: license.TimeOf(time.Now()), Command: license.Link{Up: true}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			story(t, func(t *testing.T, s *site) {
				s.books.set(func() { s.books.down = true })
				s.wait(time.Minute)
				once := true
				s.log.lostOf = func(c license.Command) bool {
					_, keeps := c.(license.KeepPosting)
					if !keeps || !once {
						return false
					}
					once = false
					meanwhile(s.log)
					return true
				}
				c := license.KeepPosting{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Body: []byte(`{"corID":"r-1"}`)}
				if a, err := s.KeepPosting(context.Background(), c); err != nil || a.Outcome.Denial != nil || !a.Outcome.Repeat || once {
					t.Fatalf("got %+v, %v; want it taken over, by the first of two tries", a.Outcome, err)
				}
				if made, _, _, _ := s.outboxState(); made != 1 {
					t.Errorf("%d are to be metered, want 1", made)
				}
			})
		})
	}
}

// A run keeps its session, and the last one's end stops it, whichever node hears of it.
func TestARunsEndStopsItsSession(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		start := license.Start{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Relayed: true}
		a, err := s.StartRelayed(ctx, start)
		if err != nil || a.Outcome.Denial != nil {
			t.Fatalf("got %+v, %v", a.Outcome.Denial, err)
		}
		session := start.ID
		report := func(m license.Machine, run string, ends bool) *license.Denial {
			t.Helper()
			a, err := s.Report(ctx, license.Report{Session: session, User: "ada", Machine: m, Run: run, Ends: ends}, "road")
			if err != nil {
				t.Fatal(err)
			}
			return a.Outcome.Denial
		}
		if d := report(ws101, "r-1", false); d != nil {
			t.Errorf("a run: refused, %s", d.Reason)
		}
		if d := report(ws202, "r-1", true); d == nil || d.Reason != license.NotYours {
			t.Errorf("another machine's word: got %+v, want %s", d, license.NotYours)
		}
		// The node that hears of the end has not heard yet of the session.
		session = license.ID{}
		if d := report(ws202, "r-1", true); d == nil || d.Reason != license.UnknownSession {
			t.Errorf("another machine's word of no session: got %+v, want %s", d, license.UnknownSession)
		}
		if d := report(ws101, "r-2", true); d != nil {
			t.Errorf("the end of what nobody knows: refused, %s", d.Reason)
		}
		if d := report(ws101, "r-1", true); d != nil {
			t.Errorf("its end: refused, %s", d.Reason)
		}
		s.View(func(st *license.State) {
			if x := st.Session(start.ID); x != nil {
				t.Errorf("it is there still: %+v", x)
			}
		})
	})
}

// A checkout that the vendor has made is entered without asking it again, and the cloud hears of
// it with the site's other holds.
func TestACheckoutOfTheVendorsIsEntered(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		s.books.set(func() { s.books.down = true })
		s.wait(time.Minute)
		c := license.CheckOut{ID: license.ID{1}, User: "ada", Product: "road", Machine: ws101, Until: s.Now().Add(48 * time.Hour), By: "ida", Imported: true}
		if a, err := s.CheckOut(ctx, c); err != nil || a.Outcome.Denial == nil || a.Outcome.Denial.Reason != license.CloudNeeded {
			t.Errorf("asked for as one's own: got %+v, %v, want %s", a.Outcome.Denial, err, license.CloudNeeded)
		}
		if a, err := s.ImportCheckout(ctx, c); err != nil || a.Outcome.Denial != nil || !a.Outcome.Checkout.Relayed {
			t.Fatalf("got %+v, %v, want it entered", a.Outcome, err)
		}
		other := license.Start{ID: license.ID{2}, User: "ada", Product: "road", Machine: ws202}
		if a, err := s.StartRelayed(ctx, other); err != nil || a.Outcome.Denial == nil || a.Outcome.Denial.Reason != license.MachineActive {
			t.Errorf("another machine: got %+v, %v, want %s", a.Outcome.Denial, err, license.MachineActive)
		}
		s.books.set(func() { s.books.down = false })
		s.wait(2 * time.Minute)
		held := false
		s.books.set(func() { _, held = s.books.holds[c.ID] })
		if !held {
			t.Error("the cloud has not heard of it")
		}
	})
}
