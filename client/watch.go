package client

import (
	"context"
	"slices"

	"sitegate/api"
)

// KindGap marks, among the notices of a Watcher, a place where some are missing.
// State is then how things are, where Reason is ReasonResumed; where it is
// ReasonSlow this watcher has not read, and Me tells.
const KindGap = "gap"

// The reasons of a gap.
const (
	ReasonResumed = "resumed" // away for longer than the gateway remembers
	ReasonSlow    = "slow"    // notices came faster than they were read
)

// backlog is how many notices a watcher may leave unread before it has a gap.
const backlog = 256

// Watcher hears of everything that concerns the user, in order, from when it was
// made. Connections are resumed where they broke; nothing is lost without a
// KindGap in its place.
type Watcher struct {
	l       *link
	ch      chan api.Notice
	unhook  func() bool
	slow    bool  // the last of ch is a gap; guarded by the link's lock
	closed  bool  // likewise
	err     error // likewise
	greeted chan struct{}
}

// Watch listens until ctx ends or Close. All watchers share one connection,
// which is made when the first needs it and kept up until the client is closed.
func (c *Client) Watch(ctx context.Context) *Watcher {
	l := c.notices()
	w := &Watcher{l: l, ch: make(chan api.Notice, backlog+1), greeted: l.greeted}
	l.mu.Lock()
	l.watchers = append(l.watchers, w)
	if l.err != nil {
		l.drop(w, l.err)
	}
	l.mu.Unlock()
	unhook := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(w, ctx.Err())
	})
	l.mu.Lock()
	w.unhook = unhook
	l.mu.Unlock()
	return w
}

// Notices gives the notices. It is closed when the watcher ends; Err tells why.
func (w *Watcher) Notices() <-chan api.Notice { return w.ch }

// Ready is closed once the connection was greeted: from then on nothing that
// happens is missed.
func (w *Watcher) Ready() <-chan struct{} { return w.greeted }

// State is what the gateway last told of how things are, and the token of that
// moment: at the first connection, and after a gap. Notices with a later token
// came after. False: it has not told yet.
func (w *Watcher) State() (api.Me, api.Token, bool) {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	if w.l.state == nil {
		return api.Me{}, api.Token{}, false
	}
	return *w.l.state, w.l.stateAt, true
}

// Polls reports whether notices come by long poll now, since something in between lets
// no websocket live.
func (w *Watcher) Polls() bool {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	return w.l.polling
}

// Trouble is why the last connection has ended or did not come about, an *Error where
// something answered; nil: there was none, or Ready is closed since.
func (w *Watcher) Trouble() error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	return w.l.trouble
}

// Err is why the watcher ended: its context's error, ErrClosed, ErrReplaced or
// ErrUserBlocked; nil while it has not.
func (w *Watcher) Err() error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	return w.err
}

// Close ends the watcher. The connection stays for others.
func (w *Watcher) Close() {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.drop(w, ErrClosed)
}

// drop ends a watcher. The caller holds the lock.
func (l *link) drop(w *Watcher, err error) {
	if w.closed {
		return
	}
	w.closed, w.err = true, err
	close(w.ch)
	if w.unhook != nil {
		w.unhook()
	}
	l.watchers = slices.DeleteFunc(l.watchers, func(x *Watcher) bool { return x == w })
}

// push never blocks: a watcher whose backlog is full gets a gap in its last
// place, and nothing more until it has read. The caller holds the link's lock, so
// that nobody else fills the channel.
func (w *Watcher) push(n api.Notice) {
	switch {
	case w.closed:
	case len(w.ch) < backlog:
		w.ch <- n
		w.slow = false
	case !w.slow:
		w.slow = true
		gap := w.l.c.lang.gapAt(api.Token{Epoch: n.Epoch, Seq: n.Seq})
		gap.Reason = ReasonSlow
		w.ch <- gap
	}
}

func (w lang) gapAt(t api.Token) api.Notice {
	return api.Notice{Kind: KindGap, Reason: ReasonResumed, Epoch: t.Epoch, Seq: t.Seq, Text: w.say("Some notices were missed.")}
}
