package raftstore

import (
	"container/heap"
	"sync"
	"time"

	"sitegate/license"
)

// leaseTable is the leader's knowledge of who was heard when. It is off on every
// other node. Sessions enter and leave it with the entries that start and end
// them; heartbeats only move a deadline.
type leaseTable struct {
	mono func() time.Duration

	mu     sync.Mutex
	on     bool
	leases map[license.ID]*lease
	order  leaseHeap // by look, which is never after the deadline
}

type lease struct {
	id       license.ID
	ttl      time.Duration
	deadline time.Duration
	look     time.Duration // when to look at the deadline again
	slot     int           // in the heap
	expiring chan struct{} // not nil: an Expire is under way; closed with its outcome
}

func newLeaseTable(mono func() time.Duration) *leaseTable {
	return &leaseTable{mono: mono, leases: map[license.ID]*lease{}}
}

// begin turns the table on with a full lease for every session of the state.
func (t *leaseTable) begin(s *license.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.on = true
	now := t.mono()
	s.EachActive(func(a *license.Active) bool {
		for i := range a.Sessions {
			t.put(a.Sessions[i].ID, a.Sessions[i].TTL, now)
		}
		return true
	})
}

// end turns the table off; who waits for an outcome is let go.
func (t *leaseTable) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	t.on = false
}

func (t *leaseTable) clear() {
	for _, l := range t.leases {
		l.settled()
	}
	clear(t.leases)
	t.order = nil
}

func (l *lease) settled() {
	if l.expiring != nil {
		close(l.expiring)
		l.expiring = nil
	}
}

// follow takes over what a command did. The caller applies it and holds the
// state, so that the table never lags behind what a reader of the state sees.
func (t *leaseTable) follow(c license.Command, out license.Outcome, events []license.Event, now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return
	}
	for i := range events {
		switch f := events[i].Fact.(type) {
		case license.Started:
			t.put(f.Session.ID, f.Session.TTL, now)
		case license.Stopped:
			t.remove(f.Session.ID)
		case license.Expired:
			t.remove(f.Session.ID)
		}
	}
	if _, ok := c.(license.Start); ok && out.Session != nil && out.Repeat {
		t.put(out.Session.ID, out.Session.TTL, now) // asked for again: its client lives
	}
}

func (t *leaseTable) put(id license.ID, ttl, now time.Duration) {
	ttl = leaseOf(ttl)
	l := t.leases[id]
	if l == nil {
		l = &lease{id: id, ttl: ttl, deadline: now + ttl, look: now + ttl}
		t.leases[id] = l
		heap.Push(&t.order, l)
		return
	}
	l.ttl = ttl
	l.deadline = max(l.deadline, now+ttl)
}

func (t *leaseTable) remove(id license.ID) {
	if l := t.leases[id]; l != nil {
		l.settled()
		delete(t.leases, id)
		heap.Remove(&t.order, l.slot)
	}
}

// touch moves a session's deadline. While an Expire is under way it does not,
// and returns what to wait for. off: this node does not lead.
func (t *leaseTable) touch(id license.ID, deadline time.Duration) (wait <-chan struct{}, off bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.on {
		return nil, true
	}
	l := t.leases[id]
	if l == nil {
		return nil, false
	}
	if l.expiring != nil {
		return l.expiring, false
	}
	l.deadline = max(l.deadline, deadline)
	return nil, false
}

// due lists up to limit sessions whose lease has run out.
func (t *leaseTable) due(now time.Duration, limit int) []license.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []license.ID
	for len(t.order) > 0 && t.order[0].look <= now && len(ids) < limit {
		l := t.order[0]
		if l.deadline <= now && l.expiring == nil {
			ids = append(ids, l.id)
		}
		l.look = max(l.deadline, now+lookAgain)
		heap.Fix(&t.order, 0)
	}
	return ids
}

// lookAgain is when a lease that ran out is looked at again, if its session is
// still there.
const lookAgain = time.Second

// expire marks those of ids whose lease is still out: from now on heartbeats of
// theirs wait for the outcome.
func (t *leaseTable) expire(ids []license.ID, now time.Duration) []license.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []license.ID
	for _, id := range ids {
		if l := t.leases[id]; l != nil && l.deadline <= now && l.expiring == nil {
			l.expiring = make(chan struct{})
			out = append(out, id)
		}
	}
	return out
}

// unmark ends the wait for sessions that an Expire has not ended.
func (t *leaseTable) unmark(ids []license.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if l := t.leases[id]; l != nil {
			l.settled()
		}
	}
}

// refresh gives every session a full lease from now: while this node was paused
// it could not hear any.
func (t *leaseTable) refresh(now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.leases {
		l.deadline = max(l.deadline, now+l.ttl)
	}
}

func (t *leaseTable) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.leases)
}

// leaseHeap is a heap of leases by look.
type leaseHeap []*lease

func (h leaseHeap) Len() int           { return len(h) }
func (h leaseHeap) Less(i, j int) bool { return h[i].look < h[j].look }
func (h leaseHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i, j
}

// Push adds x at the end.
func (h *leaseHeap) Push(x any) {
	l := x.(*lease)
	l.slot = len(*h)
	*h = append(*h, l)
}

// Pop takes the last.
func (h *leaseHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	*h = old[:len(old)-1]
	return l
}
