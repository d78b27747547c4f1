package client

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"sitegate/api"
)

const (
	recheck = 30 * time.Second // how often a wait asks how things are while it cannot be told
	settle  = time.Second      // after which a node that was behind the others is asked again
)

// Wait is a machine that waits for a product.
type Wait struct {
	ID      string
	Product string

	c        *Client
	base     string // path of the API: waits or requests
	asks     api.Wait
	cancel   context.CancelFunc
	done     chan struct{}
	declined chan struct{}

	mu    sync.Mutex
	until time.Time
	err   error
}

// Wait asks to be told when the product can be started here. What becomes free
// is kept for the machine for a short while (Until); one machine of a user waits
// for a hold at a time (for the user's licenses, or for each of them, as the site
// has it), and the last wins. ctx is for asking; the wait itself lives until it is
// told, cancelled, or the client is closed.
func (c *Client) Wait(ctx context.Context, product string) (*Wait, error) {
	return c.await(ctx, api.PathWaits, product)
}

func (c *Client) await(ctx context.Context, base, product string) (*Wait, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	w := &Wait{ID: id, Product: product, c: c, base: base, done: make(chan struct{}), declined: make(chan struct{})}
	life, cancel := context.WithCancel(c.ctx)
	w.cancel = cancel
	notices := c.Watch(life) // before asking, so that nothing falls in between
	greeting := notices.Ready()
	select {
	case <-greeting:
		greeting = nil
	default: // what happens until then is not told: ask
	}
	got, err := w.ask(ctx)
	if err != nil {
		cancel()
		notices.Close()
		return nil, err
	}
	w.asks = got
	if got.Free {
		w.end(nil)
		notices.Close()
		return w, nil
	}
	if !c.spawn(func() { w.run(life, notices, greeting) }) {
		w.end(ErrClosed)
		notices.Close()
	}
	return w, nil
}

func (w *Wait) ask(ctx context.Context) (api.Wait, error) {
	var got api.Wait
	_, err := w.c.obtain(ctx, w.base, w.path(), w.request(), &got)
	return got, err
}

func (w *Wait) request() api.WaitRequest {
	return api.WaitRequest{ID: w.ID, Product: w.Product, Machine: w.c.cfg.Machine}
}

func (w *Wait) path() string { return w.base + "/" + url.PathEscape(w.ID) }

// Done closes when the machine need not wait any more: start now, if Err is nil.
func (w *Wait) Done() <-chan struct{} { return w.done }

// Err is nil while waiting and after it was told to start; otherwise why it will
// not be: ErrWaitEnded where another machine of the user waits instead.
func (w *Wait) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Until is how long what is free is kept for this machine; zero: not kept.
func (w *Wait) Until() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until
}

// Left is how long what is free is still kept for this machine, by the gateway's clock;
// zero: not kept.
func (w *Wait) Left() time.Duration {
	until := w.Until()
	if until.IsZero() {
		return 0
	}
	return max(0, w.c.until(until))
}

// Cancel gives the wait up, and what was kept for it.
func (w *Wait) Cancel(ctx context.Context) error {
	w.end(context.Canceled)
	_, err := w.c.call(ctx, http.MethodDelete, w.path(), nil, nil)
	return err
}

// kept is the end of a wait: what is free is kept for this machine.
func (w *Wait) kept(until time.Time) {
	w.mu.Lock()
	w.until = until
	w.mu.Unlock()
	w.end(nil)
}

// end is the end of waiting; the first one counts.
func (w *Wait) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel()
	select {
	case <-w.done:
	default:
		w.err = err
		close(w.done)
	}
}

// run waits for the notice. It asks how things are after a gap, after a greeting
// that came later than the wait began, and now and then while there is no
// connection on which to be told.
func (w *Wait) run(ctx context.Context, notices *Watcher, greeting <-chan struct{}) {
	defer notices.Close()
	look := time.NewTicker(recheck)
	defer look.Stop()
	var soon <-chan time.Time
	var rival string // the wait that stood in the place of this one
	told := notices.Notices()
	for {
		again := false
		select {
		case <-ctx.Done():
			w.end(ErrClosed) // unless it was cancelled, which came first
			return
		case <-greeting:
			greeting, again = nil, true
		case n, ok := <-told:
			switch {
			case !ok:
				told = nil // asking is all that is left
			case n.Kind == api.KindYours && n.ID == w.ID:
				w.kept(n.Until)
				return
			case n.Kind == api.KindWaitEnded && n.ID == w.ID:
				w.end(w.c.lang.waitEnded())
				return
			case n.Kind == api.KindDeclined && n.ID == w.ID:
				w.heardNo()
			case n.Kind == KindGap:
				again = true
			}
		case <-look.C:
			again = told == nil || !notices.l.up()
		case <-soon:
			again = true
		}
		if !again {
			continue
		}
		soon = nil
		me, err := w.c.Me(ctx)
		if err != nil {
			continue
		}
		switch now, other := w.among(me); {
		case now == nil && other == "":
			if w.renew(ctx) {
				return
			}
		case now == nil && other == rival:
			w.end(w.c.lang.waitEnded())
			return
		case now == nil:
			// It waits instead, or it waited before and this node does not know
			// better yet. Asking for this one would take its place.
			rival, soon = other, time.After(settle)
		case now.Free:
			w.kept(now.Until)
			return
		default:
			rival = ""
			if now.Declined {
				w.heardNo()
			}
		}
	}
}

// among finds this wait among those of its user, or else the one that may stand in
// its place: of the same product, or of any where the site's sessions hold the user.
func (w *Wait) among(me *api.Me) (this *api.Wait, other string) {
	for i := range me.Waiting {
		switch x := &me.Waiting[i]; {
		case x.ID == w.ID:
			return x, ""
		case x.Product == w.Product, me.OneWait && other == "":
			other = x.ID
		}
	}
	return nil, other
}

// renew asks for the wait once more, under its own id, where a node does not have
// it: that node may be behind the others, and only the answer to a request is as
// fresh as the site. Where nothing is in the way any more, or the rules say no, the
// wait is over, and starting tells the rest.
func (w *Wait) renew(ctx context.Context) (over bool) {
	var got api.Wait
	_, err := w.c.call(ctx, http.MethodPost, w.base, w.request(), &got)
	if err != nil && !Denied(err) || err == nil && !got.Free {
		return false
	}
	w.end(nil)
	return true
}

// up reports whether there is a connection, or polls that get through.
func (l *link) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil || l.polling
}
