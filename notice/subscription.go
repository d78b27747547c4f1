package notice

import (
	"errors"
	"slices"

	"sitegate/license"
)

// End is why a subscription is over.
type End string

// The reasons. All but Replaced are cured by coming back with the last token.
const (
	Open     End = ""
	Slow     End = "slow"     // it fell MaxQueue notices behind
	Replaced End = "replaced" // the same instance subscribed again
	Gap      End = "gap"      // this node's state has jumped
	Closed   End = "closed"   // by its owner
)

// ErrTooMany: the user or the machine has as many subscriptions as are allowed.
var ErrTooMany = errors.New("too many connections of this user or machine: close some of them")

// Subscriber says who subscribes.
type Subscriber struct {
	User    license.UserID
	Machine license.Machine
	// Instance is random per process of the client: the same one again takes the
	// place of the one before.
	Instance string
	// Wake is called, without any lock of the hub, when Take has something new to
	// give. It must not wait.
	Wake func()
}

// Subscription is one listener. Take what there is, be woken for more, Close at
// the end.
type Subscription struct {
	// Recovered: the queue begins with everything after the token. Otherwise
	// there is a gap: read the state after subscribing, then follow.
	Recovered bool
	// From is where the queue begins: everything of this user up to it is known to
	// the subscriber, or, with a gap, older than the queue.
	From Token

	who   Subscriber
	shard *shard
	hub   *Hub

	// Guarded by the shard's lock.
	queue []*Notice
	over  End
}

// Subscribe begins to listen: what was missed after since, if this node still
// knows all of it, and what comes. A zero since, one of another epoch or one that
// is too old gives a gap.
func (h *Hub) Subscribe(who Subscriber, since Token) (*Subscription, error) {
	s := h.shard(who.User)
	sub := &Subscription{who: who, shard: s, hub: h}
	pos := h.Position() // before the lock: it may be behind the shard, which is safe

	s.mu.Lock()
	u := s.user(who.User)
	var old *Subscription
	machine := 0
	for _, o := range u.subs {
		switch {
		case !o.who.Machine.Is(who.Machine):
		case o.who.Instance == who.Instance:
			old = o
		default:
			machine++
		}
	}
	if old != nil {
		old.end(Replaced)
		u.drop(old)
		h.subs.Add(-1)
	} else if machine >= MaxPerMachine || len(u.subs) >= MaxPerUser {
		s.mu.Unlock()
		return nil, ErrTooMany
	}
	missed, whole := s.missed(u, since)
	sub.Recovered = whole && since != Token{} && !pos.Before(since)
	sub.From = pos
	if sub.Recovered && len(missed) > 0 {
		sub.queue, sub.From = missed, since
	}
	u.subs = append(u.subs, sub)
	h.subs.Add(1)
	s.mu.Unlock()

	if old != nil {
		old.wake()
	}
	return sub, nil
}

// Who is the subscriber.
func (s *Subscription) Who() Subscriber { return s.who }

// Take returns what has come since the last call, in order, and whether it is
// over: with a reason, after the notices, nothing more will come.
func (s *Subscription) Take() ([]*Notice, End) {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	q := s.queue
	s.queue = nil
	return q, s.over
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	u := s.shard.users[s.who.User]
	if u != nil && u.drop(s) {
		s.hub.subs.Add(-1)
	}
	s.end(Closed)
}

func (s *Subscription) wake() {
	if s.who.Wake != nil {
		s.who.Wake()
	}
}

// end marks the subscription as over; the first reason stands. The shard's lock
// is held.
func (s *Subscription) end(why End) {
	if s.over == Open {
		s.over = why
		if why != Closed {
			s.queue = nil // it comes back for them
		}
	}
}

// push queues a notice and reports whether the subscriber is to be woken. The
// shard's lock is held.
func (s *Subscription) push(n *Notice) bool {
	switch {
	case s.over != Open:
		return false
	case len(s.queue) >= MaxQueue:
		s.end(Slow)
		return true
	}
	s.queue = append(s.queue, n)
	return true
}

// drop takes a subscription out of the user's and reports whether it was there.
func (u *user) drop(s *Subscription) bool {
	i := slices.Index(u.subs, s)
	if i >= 0 {
		u.subs = slices.Delete(u.subs, i, i+1)
	}
	return i >= 0
}
