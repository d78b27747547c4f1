package notice

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/license"
)

// The bounds of a Hub.
const (
	Kept          = 64               // notices kept per user
	KeptFor       = 10 * time.Minute // and for how long after the newest of their shard
	MaxQueue      = 256              // notices one subscription may be behind
	MaxPerMachine = 8                // subscriptions of one user and machine
	MaxPerUser    = 64               // subscriptions of one user
	MaxLag        = 500 * time.Millisecond
	shards        = 64
)

// Token is a place in the site's log: the larger came later.
type Token struct {
	Epoch, Seq uint64
}

// Before reports whether t came before u.
func (t Token) Before(u Token) bool {
	return t.Epoch < u.Epoch || t.Epoch == u.Epoch && t.Seq < u.Seq
}

// Hub brings notices to this node's subscriptions and keeps the latest for those
// who come back. New makes one. Its methods may be called at once, but Publish
// and Reset by one goroutine only: the one that applies the log.
//
// A user's notices and subscriptions live in one shard, under its lock, so that
// what was missed and what comes next meet without a hole. A shard keeps a floor:
// the seq up to which something may have been forgotten. Locks are held for
// copies only, never over anything that waits.
type Hub struct {
	seed   maphash.Seed
	shards [shards]shard
	site   everyone
	// mirrored holds one where the mirror has changed since it was last taken.
	mirrored chan struct{}

	mu      sync.Mutex // guards pos and waiting
	pos     Token      // everything up to here has been published
	waiting []waiting

	subs atomic.Int64
}

type waiting struct {
	token Token
	done  chan struct{}
}

// New makes the hub of a node whose state, when it was loaded, stood at (epoch,
// seq): what happened before is not known here.
func New(epoch, seq uint64) *Hub {
	h := &Hub{seed: maphash.MakeSeed(), pos: Token{epoch, seq}, mirrored: make(chan struct{}, 1)}
	h.site.start(Token{epoch, seq})
	for i := range h.shards {
		h.shards[i].start(Token{epoch, seq})
	}
	return h
}

// Publish tells what the events mean to those who listen. It never waits for
// them. Events must come in order and complete: one that was seen is left out, a
// hole makes everyone re-read, and so does another epoch.
func (h *Hub) Publish(epoch uint64, events []license.Event) {
	if len(events) == 0 {
		return
	}
	pos := h.Position()
	for i := range events {
		e := &events[i]
		switch {
		case epoch != pos.Epoch || e.Seq > pos.Seq+1:
			h.Reset(epoch, e.Seq-1)
		case e.Seq <= pos.Seq:
			continue
		}
		pos = Token{epoch, e.Seq}
		ns := From(*e)
		for i := range ns {
			ns[i].Epoch = epoch
			h.tell(&ns[i])
		}
		if len(ns) > 0 {
			h.site.tell(ns)
		}
		switch e.Fact.(type) {
		case license.Mirrored, license.Blocked, license.KeyBarred, license.KeyBound, license.KeyReplaced, license.KeyForgotten:
			h.ring()
		}
	}
	h.advance(pos)
}

// Reset tells that the state has jumped to (epoch, seq) without its events, as
// when a snapshot was installed: nobody's gap can be filled from before.
func (h *Hub) Reset(epoch, seq uint64) {
	for i := range h.shards {
		h.subs.Add(-int64(h.shards[i].reset(Token{epoch, seq})))
	}
	h.site.reset(Token{epoch, seq})
	h.ring()
	h.advance(Token{epoch, seq})
}

// Mirrored gives one value when the mirror, who is kept out or a machine's key has changed
// since the last: whoever may be here may not be any more. It is for one reader.
func (h *Hub) Mirrored() <-chan struct{} { return h.mirrored }

func (h *Hub) ring() {
	select {
	case h.mirrored <- struct{}{}:
	default:
	}
}

// Position is how far this node has published.
func (h *Hub) Position() Token {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pos
}

// Len is how many subscriptions there are.
func (h *Hub) Len() int { return int(h.subs.Load()) }

// Await returns true once this node has published everything up to t, and false
// after MaxLag or when ctx ends: a client that saw t elsewhere knows more than
// this node does.
func (h *Hub) Await(ctx context.Context, t Token) bool {
	h.mu.Lock()
	if !h.pos.Before(t) {
		h.mu.Unlock()
		return true
	}
	w := waiting{t, make(chan struct{})}
	h.waiting = append(h.waiting, w)
	h.mu.Unlock()

	timer := time.NewTimer(MaxLag)
	defer timer.Stop()
	select {
	case <-w.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(o waiting) bool { return o.done == w.done })
	return !h.pos.Before(t)
}

func (h *Hub) advance(to Token) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pos = to
	h.waiting = slices.DeleteFunc(h.waiting, func(w waiting) bool {
		if to.Before(w.token) {
			return false
		}
		close(w.done)
		return true
	})
}

func (h *Hub) shard(user license.UserID) *shard {
	return &h.shards[maphash.String(h.seed, string(user))%shards]
}

func (h *Hub) tell(n *Notice) {
	if n.User != "" {
		h.shard(n.User).tell(n)
		return
	}
	for i := range h.shards {
		h.shards[i].tell(n)
	}
}
