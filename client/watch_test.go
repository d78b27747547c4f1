package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/client"
)

func TestAnotherMachineHearsOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		here := desktop(t, w, "WS-101")
		watcher := here.Watch(t.Context())
		<-watcher.Ready()
		start(t, here)
		desktop(t, w, "WS-202").Start(t.Context(), cad)
		n := next(t, watcher, api.KindGranted)
		if n.Kind != api.KindAttempted || n.Machine != "WS-202" || !n.Mine {
			t.Errorf("notice %+v, want the attempt of WS-202, told to this machine", n)
		}
	})
}

func TestNothingIsLostAcrossReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		first, second := c.Watch(t.Context()), c.Watch(t.Context())
		<-first.Ready()
		if me, _, ok := first.State(); !ok || me.Email != ann {
			t.Errorf("State = %+v, %v; want that of %s", me, ok, ann)
		}
		const many = 100
		for i := range many {
			if i%10 == 5 {
				w.sever(i%20 == 5)
				g.Close(0)
			}
			g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: fmt.Sprint(i)})
			if i%10 == 8 {
				w.mend()
				time.Sleep(30 * time.Second)
			}
		}
		time.Sleep(time.Minute)
		for _, watcher := range []*client.Watcher{first, second} {
			for i := range many {
				if n := next(t, watcher); n.Text != fmt.Sprint(i) {
					t.Fatalf("notice %+v, want number %d", n, i)
				}
			}
		}
		if n := g.Asked("GET " + api.PathNotices); n < 5 {
			t.Errorf("%d connections, want the test to have cut some", n)
		}
	})
}

func TestGapIsMarkedWithTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		watcher := c.Watch(t.Context())
		<-watcher.Ready()
		g.Say(ann, api.Notice{Kind: api.KindLinkDown})
		if n := next(t, watcher); n.Kind != api.KindLinkDown {
			t.Errorf("notice %+v, want %s", n, api.KindLinkDown)
		}
		w.sever(true)
		start(t, desktop(t, w.other(t), "WS-202"))
		g.Forget()
		w.mend()
		n := next(t, watcher)
		if n.Kind != client.KindGap || n.Reason != client.ReasonResumed {
			t.Fatalf("notice %+v, want a gap", n)
		}
		me, at, ok := watcher.State()
		if !ok || len(me.Sessions) != 1 || me.Sessions[0].Machine.Name != "WS-202" || at.Seq != n.Seq {
			t.Errorf("State = %+v at %+v, want the session of WS-202 at %d", me, at, n.Seq)
		}
		g.Say(ann, api.Notice{Kind: api.KindLinkUp})
		if n := next(t, watcher); n.Kind != api.KindLinkUp {
			t.Errorf("notice %+v after the gap, want %s", n, api.KindLinkUp)
		}
	})
}

func TestSlowReaderIsToldOfItsGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		watcher := desktop(t, w, "WS-101").Watch(t.Context())
		<-watcher.Ready()
		const many = 1000
		for i := range many {
			g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: fmt.Sprint(i)})
		}
		synctest.Wait()
		for i := 0; ; i++ {
			n := next(t, watcher)
			if n.Kind == client.KindGap {
				if i < 200 || n.Reason != client.ReasonSlow {
					t.Errorf("a gap (%s) after %d notices, want %s after 200 or more", n.Reason, i, client.ReasonSlow)
				}
				break
			}
			if n.Text != fmt.Sprint(i) {
				t.Fatalf("notice %+v, want number %d or a gap", n, i)
			}
		}
		g.Say(ann, api.Notice{Kind: api.KindLinkUp, Text: "after"})
		if n := next(t, watcher); n.Text != "after" {
			t.Errorf("notice %+v, want the one after the gap", n)
		}
	})
}

func TestCloseCodesDecideWhetherToComeBack(t *testing.T) {
	for _, c := range []struct {
		code int
		err  error // nil: comes back
	}{
		{api.CloseSlow, nil},
		{api.CloseUnauthorized, nil},
		{api.CloseBudget, nil},
		{4123, nil},
		{1012, nil},
		{1001, nil},
		{api.CloseBlocked, client.ErrUserBlocked},
		{api.CloseReplaced, client.ErrReplaced},
		{4999, client.Reason("closed-4999")},
	} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{}
				g := newGateway(t, w)
				watcher := desktop(t, w, "WS-101").Watch(t.Context())
				<-watcher.Ready()
				g.Close(c.code)
				time.Sleep(time.Minute)
				if c.err == nil {
					g.Say(ann, api.Notice{Kind: api.KindLinkUp})
					if n := next(t, watcher); n.Kind != api.KindLinkUp {
						t.Errorf("notice %+v, want it to have come back", n)
					}
					return
				}
				if _, ok := <-watcher.Notices(); ok || !errors.Is(watcher.Err(), c.err) {
					t.Errorf("Err = %v (open %v), want it to have ended with %v", watcher.Err(), ok, c.err)
				}
				if n := g.Asked("GET " + api.PathNotices); n != 1 {
					t.Errorf("%d connections, want no other", n)
				}
			})
		})
	}
}

// Sessions outlive the end of notices: their heartbeats are requests then.
func TestSessionGoesOnWithoutNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		c := desktop(t, w, "WS-101")
		<-c.Watch(t.Context()).Ready()
		s := start(t, c)
		g.Close(4999)
		time.Sleep(10 * time.Minute)
		if isClosed(s.Lost()) || len(g.Running()) != 1 {
			t.Errorf("lost %v, running %v; want it to go on", s.Err(), g.Running())
		}
	})
}

func TestSilentConnectionIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		var hung bool
		g.Before = func(r *http.Request) *api.Problem {
			if r.URL.Path == api.PathNotices && !hung {
				hung = true
				<-r.Context().Done()
			}
			return nil
		}
		watcher := desktop(t, w, "WS-101").Watch(t.Context())
		select {
		case <-watcher.Ready():
		case <-time.After(time.Minute):
			t.Error("a node that never answers was not left within a minute")
		}
	})
}

func TestWatcherEndsWithItsContextOrClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		c := desktop(t, w, "WS-101")
		one, two := c.Watch(t.Context()), c.Watch(t.Context())
		<-one.Ready()
		one.Close()
		if _, ok := <-one.Notices(); ok || !errors.Is(one.Err(), client.ErrClosed) {
			t.Errorf("after its Close: open %v, %v", ok, one.Err())
		}
		c.Close()
		if _, ok := <-two.Notices(); ok || !errors.Is(two.Err(), client.ErrClosed) {
			t.Errorf("after the client's Close: open %v, %v", ok, two.Err())
		}
		if _, ok := <-c.Watch(t.Context()).Notices(); ok {
			t.Error("a closed client has made a watcher that waits")
		}
	})
}

func TestWaitIsToldWhenTheOtherMachineLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		there, here := start(t, desktop(t, w, "WS-101")), desktop(t, w, "WS-202")
		wait, err := here.Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if isClosed(wait.Done()) {
			t.Fatalf("told to start while WS-101 is active (%v)", wait.Err())
		}
		stopped := time.Now()
		there.Stop(t.Context())
		<-wait.Done()
		if wait.Err() != nil || wait.Until().IsZero() || time.Since(stopped) > time.Second {
			t.Errorf("told %v after the stop, %v, kept until %v; want at once", time.Since(stopped), wait.Err(), wait.Until())
		}
		start(t, here)
	})
}

func TestWaitIsToldAfterAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		there, here := start(t, desktop(t, w, "WS-101")), desktop(t, w, "WS-202")
		wait, err := here.Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		w.sever(false)
		there.Stop(t.Context())
		g.Forget()
		select {
		case <-wait.Done():
			if wait.Err() != nil {
				t.Error(wait.Err())
			}
		case <-time.After(2 * time.Minute):
			t.Error("not told within two minutes")
		}
	})
}

func TestWaitThatNeedNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		wait, err := desktop(t, w, "WS-101").Wait(t.Context(), cad)
		if err != nil || !isClosed(wait.Done()) || wait.Err() != nil {
			t.Errorf("Wait = %v, %v; want it told at once", wait, err)
		}
	})
}

func TestLaterWaitEndsTheEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		start(t, desktop(t, w, "WS-101"))
		first, err := desktop(t, w, "WS-202").Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		second, err := desktop(t, w, "WS-303").Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		<-first.Done()
		if !errors.Is(first.Err(), client.ErrWaitEnded) || isClosed(second.Done()) {
			t.Errorf("first: %v, second told %v; want %v and waiting", first.Err(), isClosed(second.Done()), client.ErrWaitEnded)
		}
		if err := second.Cancel(t.Context()); err != nil || !isClosed(second.Done()) || second.Err() == nil {
			t.Errorf("Cancel: %v, told %v, %v; want it ended", err, isClosed(second.Done()), second.Err())
		}
	})
}

func TestCheckoutAndReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		newGateway(t, w)
		laptop, here := desktop(t, w, "LT-7"), desktop(t, w, "WS-101")
		until := time.Now().Add(72 * time.Hour)
		out, err := laptop.CheckOut(t.Context(), cad, until)
		if err != nil || !out.Until.Equal(until) || out.License == "" {
			t.Fatalf("CheckOut = %+v, %v", out, err)
		}
		_, err = here.Start(t.Context(), cad)
		if e, ok := errors.AsType[*client.Error](err); !ok || !errors.Is(err, client.ErrActiveElsewhere) || e.Machine != "LT-7" || e.By != "checkout" {
			t.Errorf("Start elsewhere = %v, want a refusal that names the checkout of LT-7", err)
		}
		if err := laptop.Return(t.Context(), out.ID); err != nil {
			t.Error(err)
		}
		start(t, here)
		if err := laptop.Return(t.Context(), out.ID); !errors.Is(err, client.ErrUnknownCheckout) {
			t.Errorf("second Return = %v, want %v", err, client.ErrUnknownCheckout)
		}
	})
}
