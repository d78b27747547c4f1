package gateway

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/license"
)

// mover are books that take moves.
type mover struct {
	*books
	moved  []license.Move
	denial *license.Denial
	lost   bool               // its answers are
	feed   func(license.Move) // what has heard of the move before who asked for it
}

func (m *mover) Move(_ context.Context, c license.Move) (*license.Denial, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errCut
	}
	m.moved = append(m.moved, c)
	if m.feed != nil {
		m.feed(c)
	}
	if m.lost {
		return nil, errCut
	}
	return m.denial, nil
}

// moving is a node beside the site's, upon the same log, whose cloud takes moves.
func moving(s *site) (*Gateway, *mover) {
	m := &mover{books: s.books}
	return New(Config{Log: s.log, Cloud: m, Logger: slog.New(slog.DiscardHandler)}), m
}

func move(t *testing.T, g *Gateway, lic license.LicenseID, to license.UserID) license.Outcome {
	t.Helper()
	a, err := g.Move(context.Background(), license.Move{License: lic, To: to, By: "ida", Note: "a new project"})
	if err != nil {
		t.Fatal(err)
	}
	return a.Outcome
}

func TestWithoutACloudThatTakesMovesItIsSaidSo(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		wantDenied(t, move(t, s.Gateway, "L1", "ben"), license.CloudCannot)
		wantDenied(t, move(t, s.Gateway, "L1", "zoe"), license.UnknownUser)
		wantGranted(t, s.start(t, 1, ws101), false)
	})
}

func TestAMoveIsTheCloudsThenTheSites(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		g, cloud := moving(s)
		wantGranted(t, s.start(t, 1, ws101), false)
		out := move(t, g, "L1", "ben")
		if out.Denial != nil || out.License == nil || out.License.Assignee != "ben" || out.License.AssignedAt == 0 {
			t.Fatalf("got %+v, want the license assigned to ben", out)
		}
		if len(cloud.moved) != 1 || cloud.moved[0].By != "ida" || cloud.moved[0].Note != "a new project" {
			t.Errorf("the cloud was asked %+v, want one move by ida, with her note", cloud.moved)
		}
		if again := move(t, g, "L1", "ben"); !again.Repeat || len(cloud.moved) != 1 {
			t.Errorf("again: %+v, the cloud asked %d times; want nothing new", again, len(cloud.moved))
		}
		leases, err := g.Renew(context.Background(), []license.Renewal{{Session: license.ID{1}, User: "ada", Machine: ws101}})
		if err != nil || leases[0].Notice == nil || leases[0].Notice.Reason != license.EndUnassigned {
			t.Errorf("the loser's lease is %+v, %v; want it on notice", leases, err)
		}
		if n := s.facts(func(f license.Fact) bool { m, ok := f.(license.Moved); return ok && m.By == "ida" && m.From == "ada" }); n != 1 {
			t.Errorf("%d moves are journalled, want 1", n)
		}
	})
}

// The cloud tells of a move as it does of any change, and may be faster than its answer:
// who has moved the license, from whom and why is journalled all the same, once.
func TestAMoveOfWhichTheFeedToldFirstIsJournalled(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		g, cloud := moving(s)
		cloud.feed = func(c license.Move) {
			var l license.License
			s.log.View(func(st *license.State) { l = *st.License(c.License) })
			l.Assignee, l.AssignedAt = c.To, s.log.Now()
			m := license.Mirror{From: s.head().Cursor, Cursor: "moved", Changes: []license.Change{{License: &l}}}
			if out, err := s.log.Propose(context.Background(), m); err != nil || out.Denial != nil {
				t.Errorf("the feed: %+v, %v", out, err)
			}
		}
		for range 2 {
			if out := move(t, g, "L1", "ben"); out.Denial != nil || out.License == nil || out.License.Assignee != "ben" {
				t.Errorf("got %+v, want it with ben", out)
			}
		}
		if n := s.facts(func(f license.Fact) bool {
			m, ok := f.(license.Moved)
			return ok && m.By == "ida" && m.From == "ada" && m.To == "ben" && m.Note == "a new project"
		}); n != 1 || len(cloud.moved) != 1 {
			t.Errorf("%d moves are journalled and %d were asked for, want one", n, len(cloud.moved))
		}
	})
}

// Where the cloud's answer to a move is lost, the feed tells of it, and nobody says whose it
// was: who asks for it again is in the audit trail.
func TestAMoveWhoseAnswerWasLostIsInTheAuditTrail(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		g, cloud := moving(s)
		cloud.lost = true
		wantDenied(t, move(t, g, "L1", "ben"), license.CloudNeeded)
		var l license.License
		s.log.View(func(st *license.State) { l = *st.License("L1") })
		l.Assignee, l.AssignedAt = "ben", s.log.Now()
		if out, err := s.log.Propose(context.Background(), license.Mirror{From: s.head().Cursor, Cursor: "moved", Changes: []license.Change{{License: &l}}}); err != nil || out.Denial != nil {
			t.Fatalf("the feed: %+v, %v", out, err)
		}
		before := s.head().Audit.Number
		if out := move(t, g, "L1", "ben"); out.Denial != nil || out.License == nil || out.License.Assignee != "ben" || len(cloud.moved) != 1 {
			t.Errorf("again: %+v, the cloud asked %d times; want it with ben, and the cloud asked once", out, len(cloud.moved))
		}
		if n := s.head().Audit.Number - before; n != 1 {
			t.Errorf("%d records of it; want one", n)
		}
		want := license.NoteAct{What: "license-moved-already", By: "ida", User: "ben", About: "L1", Note: "a new project"}
		if got := s.log.asked[len(s.log.asked)-1]; !reflect.DeepEqual(got, want) {
			t.Errorf("the record is %+v, want %+v", got, want)
		}
	})
}

func TestWhatTheCloudSaysOfAMoveCounts(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		g, cloud := moving(s)
		cloud.denial = &license.Denial{Reason: license.MoveLocked, Person: "ada", Until: s.log.Now().Add(time.Hour)}
		out := move(t, g, "L1", "ben")
		wantDenied(t, out, license.MoveLocked)
		if out.Denial.License != "L1" || out.Denial.Person != "ada" || out.Denial.Until == 0 {
			t.Errorf("got %+v, want which license, who has it and until when", out.Denial)
		}
		cloud.set(func() { cloud.down = true })
		wantDenied(t, move(t, g, "L1", "ben"), license.CloudNeeded)
		if n := s.facts(func(f license.Fact) bool { _, ok := f.(license.Moved); return ok }); n != 0 {
			t.Errorf("%d moves without the cloud's agreement", n)
		}
	})
}

// The site's own refusal needs no cloud.
func TestALockedLicenseIsNotAskedFor(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		g, cloud := moving(s)
		move(t, g, "L1", "ben")
		time.Sleep(25 * time.Hour)
		wantDenied(t, move(t, g, "L1", "ada"), license.MoveLocked)
		if len(cloud.moved) != 1 {
			t.Errorf("the cloud was asked %d times, want once", len(cloud.moved))
		}
	})
}

func TestAdministratorsAndSignOutsAreForwarded(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		ctx := context.Background()
		follower := &Gateway{log: forwarder{Log: s.log, to: s.Gateway}}
		done := func(a Answer, err error) license.Outcome {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return a.Outcome
		}
		s.start(t, 1, ws101)
		if out := done(follower.SignOut(ctx, license.SignOut{User: "ada", Machine: ws101})); out.Denial != nil || out.Repeat {
			t.Fatalf("signing out: %+v", out)
		}
		wantGranted(t, s.start(t, 2, ws202), false)
		if out := done(follower.ReleaseUser(ctx, license.ReleaseUser{User: "ada", By: "ida"})); out.Denial != nil || out.Repeat {
			t.Fatalf("releasing: %+v", out)
		}
		s.stop(t, 2, ws202)
		if out := done(follower.Block(ctx, license.Block{Machine: ws101, By: "ida", Note: "a virus"})); out.Denial != nil {
			t.Fatalf("blocking: %+v", out)
		}
		out := s.start(t, 3, ws101)
		wantDenied(t, out, license.MachineBlocked)
		if out.Denial.Who != "ida" || out.Denial.Note != "a virus" {
			t.Errorf("the refusal is %+v, want who blocked and why", out.Denial)
		}
		if out := done(follower.Unblock(ctx, license.Unblock{Machine: ws101, By: "ida"})); out.Denial != nil || out.Repeat {
			t.Fatalf("unblocking: %+v", out)
		}
		wantGranted(t, s.start(t, 4, ws101), false)
		wantDenied(t, done(follower.Move(ctx, license.Move{License: "L1", To: "ben", By: "ida"})), license.CloudCannot)
		synctest.Wait()
		if h := s.books.of("ada"); h != ws101 {
			t.Errorf("the cloud's books have %+v, want %s", h, ws101.Name)
		}
	})
}
