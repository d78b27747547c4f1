package client_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
)

const (
	ttl    = 180 * time.Second // of the gateway in these tests
	margin = 15 * time.Second
)

// lostAfter is how long after since the session is lost.
func lostAfter(t *testing.T, s *client.Session, since time.Time) time.Duration {
	t.Helper()
	select {
	case <-s.Lost():
		return time.Since(since)
	case <-time.After(time.Hour):
		t.Fatal("the session was not lost within an hour")
		return 0
	}
}

func TestLostBeforeTheLeaseCouldBeGivenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		began := time.Now()
		s := start(t, desktop(t, w, "WS-101"))
		w.sever(true)

		warning := <-s.Warnings()
		if got, want := time.Since(began), ttl/3; got != want {
			t.Errorf("warned after %v, want %v: a third of the lease", got, want)
		}
		if got, want := warning.Left, ttl-margin-ttl/3; got != want || warning.Ending != nil {
			t.Errorf("the warning leaves %v (ending %v), want %v and no ending", got, warning.Ending, want)
		}
		if got, want := lostAfter(t, s, began), ttl-margin; got != want {
			t.Errorf("lost after %v, want %v", got, want)
		}
		if !errors.Is(s.Err(), client.ErrLeaseLost) || s.Left() != 0 {
			t.Errorf("Err = %v, Left = %v; want %v and none", s.Err(), s.Left(), client.ErrLeaseLost)
		}
	})
}

func TestLeaseCountsFromSendingTheHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 7 * time.Second // between a heartbeat and its acknowledgement
		var sent atomic.Int64
		w := &wire{}
		g := newGateway(t, w)
		g.Before = func(r *http.Request) *api.Problem {
			switch {
			case r.URL.Path == api.PathNotices: // no websocket: heartbeats are requests
				return &api.Problem{Code: api.CodeInternal, Status: http.StatusInternalServerError}
			case strings.HasSuffix(r.URL.Path, "/heartbeat"):
				sent.Store(time.Now().UnixNano())
				time.Sleep(slow)
			}
			return nil
		}
		s := start(t, desktop(t, w, "WS-101"))
		time.Sleep(10 * time.Minute)
		if isClosed(s.Lost()) {
			t.Fatalf("lost while heartbeats were acknowledged: %v", s.Err())
		}
		if n := g.Asked("POST " + api.PathSessions + "/"); n < 10 || n > 15 {
			t.Errorf("%d heartbeats in ten minutes, want one every 45 to 53 s and no more", n)
		}
		for time.Since(time.Unix(0, sent.Load())) <= slow {
			time.Sleep(time.Second) // one is under way
		}
		w.sever(true)
		last := time.Unix(0, sent.Load())
		if got, want := lostAfter(t, s, last), ttl-margin; got != want {
			t.Errorf("lost %v after the last acknowledged heartbeat was sent, want %v", got, want)
		}
	})
}

func TestHeartbeatsTravelOnTheWebsocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		w := &wire{}
		g := &clienttest.Gateway{Users: map[string]string{"ann-token": ann}, Products: []string{cad}, Mute: mute.Load}
		w.serve(t, "127.0.0.1:1", g)
		s := start(t, desktop(t, w, "WS-101"))
		time.Sleep(10 * time.Minute)
		if n := g.Asked("POST " + api.PathSessions + "/"); n != 0 {
			t.Errorf("%d heartbeats were requests while the websocket was up, want none", n)
		}
		mute.Store(true)
		time.Sleep(10 * time.Minute)
		if n := g.Asked("POST " + api.PathSessions + "/"); n < 5 {
			t.Errorf("%d heartbeats were requests while the websocket did not answer, want more", n)
		}
		if isClosed(s.Lost()) || len(g.Running()) != 1 {
			t.Errorf("the session is lost (%v) or not at the gateway (%v)", s.Err(), g.Running())
		}
	})
}

// A node that answers pings but cannot renew keeps no session alive.
func TestPingProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := &clienttest.Gateway{Users: map[string]string{"ann-token": ann}, Products: []string{cad}, Mute: func() bool { return true }}
		g.Before = func(r *http.Request) *api.Problem {
			if strings.HasSuffix(r.URL.Path, "/heartbeat") {
				return &api.Problem{Code: api.CodeNoQuorum, Status: http.StatusServiceUnavailable, RetryAfterMS: 1000}
			}
			return nil
		}
		w.serve(t, "127.0.0.1:1", g)
		began := time.Now()
		s := start(t, desktop(t, w, "WS-101"))
		if got, want := lostAfter(t, s, began), ttl-margin; got != want {
			t.Errorf("lost after %v, want %v", got, want)
		}
		if n := g.Asked("GET " + api.PathNotices); n < 2 {
			t.Errorf("%d connections to a node that does not answer heartbeats, want it left and tried again", n)
		}
	})
}

func TestSleepIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name  string
		slept time.Duration
		lost  bool
	}{
		{"a nap", 100 * time.Second, false},
		{"past the lease", ttl - margin, true},
		{"a night", 10 * time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &clock{}
				w := &wire{}
				newGateway(t, w)
				s := start(t, desktop(t, w, "LT-7", with(k)))
				time.Sleep(time.Second)
				k.jump(c.slept) // the monotonic clock stood still meanwhile
				if got := s.Left() == 0; got != c.lost {
					t.Errorf("Left on waking = %v, want lost %v", s.Left(), c.lost)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := isClosed(s.Lost()); got != c.lost {
					t.Errorf("lost a second after waking: %v (%v), want %v", got, s.Err(), c.lost)
				}
				if !c.lost && s.Left() < ttl-margin-2*time.Second {
					t.Errorf("Left = %v, want a heartbeat sent at once on waking", s.Left())
				}
			})
		})
	}
}

func TestClockSetBackGainsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &clock{}
		w := &wire{}
		newGateway(t, w)
		began := time.Now()
		s := start(t, desktop(t, w, "WS-101", with(k)))
		w.sever(true)
		k.jump(-time.Hour)
		if got, want := lostAfter(t, s, began), ttl-margin; got != want {
			t.Errorf("lost after %v, want %v", got, want)
		}
	})
}

func TestReleaseIsToldAtOnceAndEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		s := start(t, c)
		<-c.Watch(t.Context()).Ready()
		released := time.Now()
		g.Release(ann, "Ada Admin", "needed in the yard", 5*time.Minute)
		warning := <-s.Warnings()
		if e := warning.Ending; time.Since(released) > time.Second || e == nil || e.By != "Ada Admin" || e.Note != "needed in the yard" {
			t.Errorf("after %v the warning says %+v, want the administrator's note at once", time.Since(released), e)
		}
		if got, want := lostAfter(t, s, released), 5*time.Minute; got > want-margin || got < want-margin-time.Second {
			t.Errorf("lost %v after the release, want %v before the end of its grace of %v", got, margin, want)
		}
		if e, ok := errors.AsType[*client.Error](s.Err()); !ok || !errors.Is(e, client.ErrAlreadyEnded) || e.Ending == nil || e.Ending.Reason != "released" {
			t.Errorf("Err = %v, want it to tell of the release", s.Err())
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("Stop of a lost session: %v", err)
		}
	})
}

// TestReleasedAndThenTheGatewayIsGone: the lease ends long before the grace does, and
// that is what is counted down to, and why.
func TestReleasedAndThenTheGatewayIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		s := start(t, c)
		<-c.Watch(t.Context()).Ready()
		g.Release(ann, "Ada Admin", "", 10*time.Minute)
		<-s.Warnings()
		if in := s.EndsIn(); in < 9*time.Minute {
			t.Errorf("EndsIn = %v with ten minutes of grace and a gateway that answers, want nearly all of them", in)
		}
		w.sever(true)
		for !s.Overdue() {
			time.Sleep(time.Second)
		}
		if in, left := s.EndsIn(), s.Left(); in != left || in == 0 {
			t.Errorf("EndsIn = %v with no gateway, want %v: what is left of the lease", in, left)
		}
		<-s.Lost()
		if !errors.Is(s.Err(), client.ErrLeaseLost) {
			t.Errorf("Err = %v, want %v: the grace was not over", s.Err(), client.ErrLeaseLost)
		}
	})
}

func TestRefusedHeartbeatLosesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		s := start(t, desktop(t, w, "WS-101"))
		time.Sleep(time.Second)
		released := time.Now()
		g.Release(ann, "Ada Admin", "", 0)
		if got := lostAfter(t, s, released); got > time.Second {
			t.Errorf("lost after %v, want at once", got)
		}
		if !errors.Is(s.Err(), client.ErrAlreadyEnded) || !client.Denied(s.Err()) {
			t.Errorf("Err = %v, want %v", s.Err(), client.ErrAlreadyEnded)
		}
	})
}

func TestCloseLosesWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		c := desktop(t, w, "WS-101")
		s := start(t, c)
		c.Close()
		if !isClosed(s.Lost()) || !errors.Is(s.Err(), client.ErrClosed) {
			t.Errorf("after Close: lost %v, %v; want %v", isClosed(s.Lost()), s.Err(), client.ErrClosed)
		}
		if _, err := c.Start(t.Context(), cad); !errors.Is(err, client.ErrClosed) {
			t.Errorf("Start after Close: %v, want %v", err, client.ErrClosed)
		}
	})
}

func TestStopGivesBackAndIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		s := start(t, desktop(t, w, "WS-101"))
		for range 2 { // the second time it is over already
			if err := s.Stop(t.Context()); err != nil {
				t.Fatalf("Stop: %v", err)
			}
			if left := s.Left(); left != 0 {
				t.Errorf("after Stop: %v left, want nothing", left)
			}
		}
		time.Sleep(time.Hour)
		if len(g.Running()) != 0 || isClosed(s.Lost()) || s.Err() != nil {
			t.Errorf("running %v, lost %v (%v); want stopped and not lost", g.Running(), isClosed(s.Lost()), s.Err())
		}
	})
}

// TestOverdueUntilAHeartbeatIsAcknowledged: a third of the lease without one is a
// warning, and it is over with the next.
func TestOverdueUntilAHeartbeatIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		s := start(t, desktop(t, w, "WS-101"))
		if s.Overdue() {
			t.Error("Overdue at the start")
		}
		w.sever(true)
		time.Sleep(ttl/3 + 2*time.Second)
		if !s.Overdue() || s.Err() != nil || s.EndsIn() != s.Left() {
			t.Errorf("Overdue = %v, Err = %v, EndsIn = %v of %v; want it overdue, alive, and as long as it has left", s.Overdue(), s.Err(), s.EndsIn(), s.Left())
		}
		w.mend()
		time.Sleep(40 * time.Second)
		if s.Overdue() || s.Err() != nil {
			t.Errorf("Overdue = %v, Err = %v after the gateway is back; want neither", s.Overdue(), s.Err())
		}
		w.sever(true)
		<-s.Lost()
		if s.Overdue() {
			t.Error("Overdue though it is lost")
		}
	})
}
