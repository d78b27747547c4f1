package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/client"
)

// deaf carries requests out and breaks the connection instead of answering, while
// it is on.
type deaf struct {
	http.Handler
	on atomic.Bool
}

func (d *deaf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.on.Load() && r.Method == http.MethodPost {
		d.Handler.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	d.Handler.ServeHTTP(w, r)
}

// TestWhatNobodyWasToldOfIsGivenBack: where all answers were lost, the caller has
// an error and the gateway has nothing left, even if the client is closed at once.
func TestWhatNobodyWasToldOfIsGivenBack(t *testing.T) {
	asks := map[string]func(context.Context, *client.Client) error{
		"start": func(ctx context.Context, c *client.Client) error { _, err := c.Start(ctx, cad); return err },
		"checkout": func(ctx context.Context, c *client.Client) error {
			_, err := c.CheckOut(ctx, cad, time.Now().Add(48*time.Hour))
			return err
		},
		"wait": func(ctx context.Context, c *client.Client) error { _, err := c.Wait(ctx, cad); return err },
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{}
				g := newGateway(t, w)
				d := &deaf{Handler: g}
				w.serve(t, "127.0.0.1:2", d)
				other := desktop(t, w, "WS-202")
				if name == "wait" { // there must be something to wait for
					start(t, other)
				}
				before := len(g.Running())
				c := desktop(t, w, "WS-101", func(c *client.Config) { c.Nodes = []string{"http://127.0.0.1:2"} })
				d.on.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := ask(ctx, c); !errors.Is(err, client.ErrUnreachable) {
					t.Fatalf("got %v, want %v", err, client.ErrUnreachable)
				}
				c.Close()
				me, err := other.Me(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(g.Running()) != before || len(me.Checkouts) != 0 || len(me.Waiting) != 0 {
					t.Errorf("the gateway still has %d sessions, checkouts %v and the wait %v", len(g.Running())-before, me.Checkouts, me.Waiting)
				}
			})
		})
	}
}

// TestNothingIsGivenBackThatNeverLeft: without a connection there is nothing to
// undo, and closing does not wait.
func TestNothingIsGivenBackThatNeverLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		g := newGateway(t, w)
		w.sever(true)
		c := desktop(t, w, "WS-101")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Start(ctx, cad); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "no route") {
			t.Fatalf("got %v, want %v for want of a route", err, client.ErrUnreachable)
		}
		began := time.Now()
		c.Close()
		if d := time.Since(began); d != 0 {
			t.Errorf("Close took %v, want no time", d)
		}
		w.mend()
		if n := g.Asked("DELETE"); n != 0 {
			t.Errorf("%d things were given back, want none", n)
		}
	})
}
