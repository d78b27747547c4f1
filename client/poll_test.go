package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/client"
)

// inspector is a middlebox that knows HTTP, and lets no websocket through while it is
// on.
type inspector struct {
	http.Handler
	on     atomic.Bool
	seen   atomic.Int32 // websockets that were tried while it was on
	strips bool         // it passes them on as what is none
}

func (i *inspector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) && i.on.Load() {
		i.seen.Add(1)
		if i.strips {
			r.Header.Del("Upgrade")
			r.Header.Del("Connection")
			i.Handler.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>We protect you.</html>")
		return
	}
	i.Handler.ServeHTTP(w, r)
}

// TestPollsWhereNoWebsocketGetsThrough: after two that died young the client polls, loses
// nothing, keeps its session, and tries a websocket again after ten minutes.
func TestPollsWhereNoWebsocketGetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		box := &inspector{Handler: g}
		box.on.Store(true)
		w.serve(t, "127.0.0.1:2", box)
		c := desktop(t, w, "WS-101", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} })
		watcher := c.Watch(t.Context())
		began := time.Now()
		<-watcher.Ready()
		if took := time.Since(began); took > 5*time.Second || box.seen.Load() != 2 {
			t.Errorf("ready after %v and %d websockets, want two and then a poll, within seconds", took, box.seen.Load())
		}
		if me, _, ok := watcher.State(); !ok || me.Email != ann {
			t.Errorf("State = %+v, %v; want that of %s", me, ok, ann)
		}
		s := start(t, c)
		next(t, watcher)
		for i := range 20 {
			g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: fmt.Sprint(i)})
			if i%5 == 0 {
				time.Sleep(20 * time.Second)
			}
		}
		for i := range 20 {
			if n := next(t, watcher); n.Text != fmt.Sprint(i) {
				t.Fatalf("notice %+v, want number %d", n, i)
			}
		}
		time.Sleep(5 * time.Minute)
		if n := box.seen.Load(); n != 2 || s.Err() != nil {
			t.Errorf("%d websockets tried in six minutes, session %v; want two, and a session that lives", n, s.Err())
		}
		box.on.Store(false)
		time.Sleep(6 * time.Minute)
		if n := g.Connected(); n != 1 {
			t.Errorf("%d websockets are up after ten minutes, want one", n)
		}
		g.Say(ann, api.Notice{Kind: api.KindLinkDown, Text: "over it"})
		if n := next(t, watcher); n.Text != "over it" {
			t.Errorf("notice %+v, want the one told on the websocket", n)
		}
	})
}

// TestPollsWhereTheUpgradeIsLostOnTheWay: the gateway itself answers then, that this is no
// websocket, and that is no word of its about the client.
func TestPollsWhereTheUpgradeIsLostOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		box := &inspector{Handler: newGateway(t, w), strips: true}
		box.on.Store(true)
		w.serve(t, "127.0.0.1:2", box)
		c := desktop(t, w, "WS-101", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} })
		watcher := c.Watch(t.Context())
		select {
		case <-watcher.Ready():
		case <-time.After(time.Minute):
			t.Fatalf("no notices within a minute, after %d websockets", box.seen.Load())
		}
		if !watcher.Polls() || box.seen.Load() != 2 {
			t.Errorf("it polls: %t, after %d websockets; want it to, after two", watcher.Polls(), box.seen.Load())
		}
	})
}

// TestAWebsocketThatDiesYoungAgainIsLeftForTenMinutes: one more try is enough to know.
func TestAWebsocketThatDiesYoungAgainIsLeftForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		box := &inspector{Handler: newGateway(t, w)}
		box.on.Store(true)
		w.serve(t, "127.0.0.1:2", box)
		c := desktop(t, w, "WS-101", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} })
		<-c.Watch(t.Context()).Ready()
		time.Sleep(45 * time.Minute)
		if n := box.seen.Load(); n < 5 || n > 7 {
			t.Errorf("%d websockets in 45 minutes, want two and then one every ten minutes or so", n)
		}
	})
}

// TestPollsGetThroughNoBetter: a network that is gone for a while is no reason to poll.
func TestPollsGetThroughNoBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		<-c.Watch(t.Context()).Ready()
		for range 3 {
			w.sever(false)
			time.Sleep(2 * time.Second) // back, and dead again
		}
		w.sever(true)
		time.Sleep(5 * time.Minute)
		w.mend()
		time.Sleep(2 * time.Minute)
		if n := g.Connected(); n != 1 {
			t.Errorf("%d websockets are up two minutes after the network is back, want one", n)
		}
	})
}

// TestAPollWhosePlaceIsTakenEnds: whoever has the same instance has its notices, and the
// two do not push each other out for ever.
func TestAPollWhosePlaceIsTakenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		box := &inspector{Handler: newGateway(t, w)}
		box.on.Store(true)
		var taken atomic.Bool
		var after atomic.Int32
		w.serve(t, "127.0.0.1:2", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == api.PathNotices+"/poll" && taken.Load() {
				after.Add(1)
				rw.Header().Set("Content-Type", api.ProblemType)
				rw.WriteHeader(http.StatusConflict)
				fmt.Fprintf(rw, `{"code":%q,"status":409,"detail":"taken"}`, api.CodeReplaced)
				return
			}
			box.ServeHTTP(rw, r)
		}))
		c := desktop(t, w, "WS-101", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} })
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		taken.Store(true)
		for range watcher.Notices() {
			t.Error("a notice came, want none")
		}
		if err := watcher.Err(); !errors.Is(err, client.ErrReplaced) || client.Denied(err) {
			t.Errorf("the watcher ended with %v, want %v, which is no refusal", err, client.ErrReplaced)
		}
		time.Sleep(10 * time.Minute)
		if n := after.Load(); n != 1 {
			t.Errorf("it has come back %d times after it was told, want none", n-1)
		}
	})
}

// TestAccessTokenIsRenewedOnTheConnection: a source that gives a new token a minute
// before the end of the last keeps one websocket up.
func TestAccessTokenIsRenewedOnTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		g.Expires = 10 * time.Minute
		tokens := []string{"ann-0", "ann-1", "ann-2", "ann-3"}
		for _, tok := range tokens {
			g.Users[tok] = ann
		}
		began := time.Now()
		source := func(context.Context) (string, error) {
			n := int((time.Since(began) + time.Minute) / (10 * time.Minute))
			return tokens[min(n, len(tokens)-1)], nil
		}
		c := desktop(t, w, "WS-101", func(c *client.Config) { c.Token = source })
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		time.Sleep(30 * time.Minute)
		if got := strings.Join(g.Renewed(), " "); got != "ann-1 ann-2 ann-3" {
			t.Errorf("brought %q, want each token once", got)
		}
		if n := g.Asked("GET " + api.PathNotices); n != 1 {
			t.Errorf("%d websockets, want the one", n)
		}
	})
}

func TestATokenTooLargeForAFrameIsBroughtByConnectingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		g.Expires = 10 * time.Minute
		large := strings.Repeat("x", api.MaxFrame)
		g.Users[large] = ann
		began := time.Now()
		c := desktop(t, w, "WS-101", func(c *client.Config) {
			c.Token = func(context.Context) (string, error) {
				if time.Since(began) > 9*time.Minute {
					return large, nil
				}
				return "ann-token", nil
			}
		})
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		time.Sleep(10 * time.Minute)
		if n := g.Asked("GET " + api.PathNotices); n != 2 || g.Connected() != 1 {
			t.Errorf("%d websockets, %d up; want two, one of them up", n, g.Connected())
		}
		g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: "still there"})
		if n := next(t, watcher); n.Text != "still there" {
			t.Errorf("notice %+v, want what is told next, without a gap", n)
		}
	})
}

// TestANodeThatGoesIsLeftWithinItsWindow: at a moment of the client's own, for a node
// that it names, and nothing is lost.
func TestANodeThatGoesIsLeftWithinItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		w.serve(t, "127.0.0.1:2", g)
		c := desktop(t, w, "WS-101")
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		const window = 20 * time.Second
		g.Leave(window, "http://127.0.0.1:2")
		for i := range 30 {
			g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: fmt.Sprint(i)})
			time.Sleep(time.Second)
		}
		for i := range 30 {
			if n := next(t, watcher); n.Text != fmt.Sprint(i) {
				t.Fatalf("notice %+v, want number %d", n, i)
			}
		}
		if n := w.dialled("127.0.0.1:2"); n != 1 || g.Connected() != 1 {
			t.Errorf("the other node was dialled %d times, %d websockets are up; want one", n, g.Connected())
		}
	})
}

// TestTheOnlyNodeIsNotLeftBeforeItGoes: there is nowhere to go.
func TestTheOnlyNodeIsNotLeftBeforeItGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		<-c.Watch(t.Context()).Ready()
		g.Leave(time.Second)
		time.Sleep(time.Minute)
		if n := g.Asked("GET " + api.PathNotices); n != 1 {
			t.Errorf("%d websockets, want the one", n)
		}
	})
}

// TestGatewaysClockCountsForItsTimes: a countdown to a time that the gateway has told
// does not go by a wrong clock (R20).
func TestGatewaysClockCountsForItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		k := &clock{}
		k.jump(-40 * time.Minute)
		c := desktop(t, w, "WS-101", with(k))
		if _, told := c.Skew(); told {
			t.Error("a skew before anything was told")
		}
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		if ahead, told := c.Skew(); !told || ahead != 40*time.Minute {
			t.Errorf("Skew = %v, %v; want 40 minutes", ahead, told)
		}
		s := start(t, c)
		g.Release(ann, "Ada Admin", "", 10*time.Minute)
		time.Sleep(time.Second)
		if got, want := s.EndsIn(), 10*time.Minute-margin-time.Second; got != want {
			t.Errorf("EndsIn = %v, want %v", got, want)
		}
		other := desktop(t, w, "WS-202", with(k))
		wait, err := other.Wait(t.Context(), cad)
		if err != nil || wait.Left() != 0 {
			t.Fatalf("Wait: %v, %v left; want nothing kept yet", err, wait.Left())
		}
		s.Stop(t.Context())
		<-wait.Done()
		if got := wait.Left(); got != 30*time.Second {
			t.Errorf("it is kept for %v, want 30 s", got)
		}
	})
}
