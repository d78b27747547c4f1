package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/client"
)

// behind is a node that answers reads from before the last change, the first
// times it is asked, and whose notices come up after a wait was taken.
type behind struct {
	http.Handler
	waited chan struct{} // closed at the first wait
	once   sync.Once

	mu    sync.Mutex
	stale int // reads that are answered so
	old   *httptest.ResponseRecorder
}

func (b *behind) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET " + api.PathNotices:
		select {
		case <-b.waited:
		case <-r.Context().Done():
			return
		}
	case "POST " + api.PathWaits:
		b.mu.Lock()
		if b.old == nil {
			b.old = httptest.NewRecorder()
			read := httptest.NewRequest(http.MethodGet, api.PathMe, nil)
			read.Header.Set("Authorization", r.Header.Get("Authorization"))
			b.Handler.ServeHTTP(b.old, read)
		}
		b.mu.Unlock()
		defer b.once.Do(func() { close(b.waited) })
	case "GET " + api.PathMe:
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.stale > 0 {
			b.stale--
			w.Header().Set("Content-Type", "application/json")
			w.Write(b.old.Body.Bytes())
			return
		}
	}
	b.Handler.ServeHTTP(w, r)
}

// A wait that a node does not know of yet goes on, and is not asked for anew under
// another id, which would tell both machines that it has ended.
func TestWaitOutlivesANodeThatIsBehind(t *testing.T) {
	for name, earlier := range map[string]bool{"that knows of no wait": false, "that knows of an earlier wait": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{}
				g := newGateway(t, w)
				there := start(t, desktop(t, w, "WS-101"))
				if earlier {
					if _, err := desktop(t, w, "WS-303").Wait(t.Context(), cad); err != nil {
						t.Fatal(err)
					}
				}
				b := &behind{Handler: g, waited: make(chan struct{}), stale: 1}
				w.serve(t, "127.0.0.1:2", b)
				here := desktop(t, w, "WS-202", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} })
				wait, err := here.Wait(t.Context(), cad)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if isClosed(wait.Done()) {
					t.Fatalf("the wait has ended (%v), want it to go on", wait.Err())
				}
				b.mu.Lock()
				left := b.stale
				b.mu.Unlock()
				if left != 0 {
					t.Fatal("no read was answered from before")
				}
				me, err := here.Me(t.Context())
				if err != nil || len(me.Waiting) != 1 || me.Waiting[0].ID != wait.ID {
					t.Errorf("the gateway has the wait %+v (%v), want %s", me.Waiting, err, wait.ID)
				}
				there.Stop(t.Context())
				<-wait.Done()
				if wait.Err() != nil || wait.Until().IsZero() {
					t.Errorf("told %v, kept until %v; want to start", wait.Err(), wait.Until())
				}
			})
		})
	}
}

// Where another machine's wait is what a node goes on to tell of, this one is over.
func TestWaitReplacedWhileItWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		start(t, desktop(t, w, "WS-101"))
		net := w.other(t)
		first, err := desktop(t, net, "WS-202").Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		net.sever(true)
		second, err := desktop(t, w, "WS-303").Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		g.Forget()
		net.mend()
		select {
		case <-first.Done():
		case <-time.After(2 * time.Minute):
			t.Fatal("not told within two minutes")
		}
		if !errors.Is(first.Err(), client.ErrWaitEnded) || isClosed(second.Done()) {
			t.Errorf("first: %v, second told: %v; want %v and waiting", first.Err(), isClosed(second.Done()), client.ErrWaitEnded)
		}
	})
}

// lost is a site on which each product has a wait of its own, and that has lost one: it
// tells of another product's only.
type lost struct {
	http.Handler
	asked atomic.Int32 // waits that were asked for
}

func (l *lost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "POST " + api.PathWaits:
		l.asked.Add(1)
	case "GET " + api.PathMe:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(api.Me{Waiting: []api.Wait{{ID: "another", Product: "other"}}})
		return
	}
	l.Handler.ServeHTTP(w, r)
}

// A wait that was lost while another product's stands is asked for once more, where each
// product has its own.
func TestWaitIsLostBesideAnotherProducts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		there := start(t, desktop(t, w, "WS-101"))
		l := &lost{Handler: g}
		w.serve(t, "127.0.0.1:2", l)
		wait, err := desktop(t, w, "WS-202", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} }).Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		g.Forget()
		g.Close(0) // it comes back with a gap, and asks
		time.Sleep(time.Minute)
		if isClosed(wait.Done()) || l.asked.Load() < 2 {
			t.Fatalf("the wait has ended: %t (%v), and was asked for %d times; want it to go on, and asked for again", isClosed(wait.Done()), wait.Err(), l.asked.Load())
		}
		there.Stop(t.Context())
		<-wait.Done()
		if wait.Err() != nil {
			t.Errorf("told %v; want to start", wait.Err())
		}
	})
}

func TestWaitFreedWhileItWasNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		active := start(t, desktop(t, w, "WS-101"))
		net := w.other(t)
		wait, err := desktop(t, net, "WS-202").Wait(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		net.sever(true)
		active.Stop(t.Context())
		g.Forget()
		net.mend()
		<-wait.Done()
		if wait.Err() != nil || wait.Until().IsZero() {
			t.Errorf("told %v, kept until %v; want it kept", wait.Err(), wait.Until())
		}
	})
}
