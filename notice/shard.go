package notice

import (
	"slices"
	"sync"

	"sitegate/license"
)

// shard is a part of the users: what was said to them lately, and who listens.
type shard struct {
	mu    sync.Mutex
	floor Token // notices up to here may have been forgotten, for anyone
	swept license.Time
	users map[license.UserID]*user
	all   ring // what everyone was told
}

// user is one who listens or was told something lately.
type user struct {
	ring ring
	subs []*Subscription
}

// ring keeps the latest notices, oldest first, and the seq of the newest that
// has fallen out.
type ring struct {
	kept []*Notice
	lost uint64
}

func (r *ring) add(n *Notice) {
	if len(r.kept) == Kept {
		r.lost = r.kept[0].Seq
		r.kept = append(r.kept[:0], r.kept[1:]...)
	}
	r.kept = append(r.kept, n)
}

// after returns what came after a seq, and whether that is all of it.
func (r *ring) after(seq uint64) ([]*Notice, bool) {
	if seq < r.lost {
		return nil, false
	}
	i := 0
	for i < len(r.kept) && r.kept[i].Seq <= seq {
		i++
	}
	return r.kept[i:], true
}

// age drops what is older than a time and returns the seq of the newest dropped.
func (r *ring) age(before license.Time) uint64 {
	i := 0
	for i < len(r.kept) && r.kept[i].At < before {
		i++
	}
	if i > 0 {
		r.lost = r.kept[i-1].Seq
		r.kept = slices.Clone(r.kept[i:])
	}
	return r.lost
}

func (s *shard) start(at Token) {
	s.floor, s.users, s.all = at, map[license.UserID]*user{}, ring{}
}

// reset forgets everything, sends everyone away to come back, and returns how
// many they were.
func (s *shard) reset(at Token) int {
	s.mu.Lock()
	var wake []*Subscription
	for _, u := range s.users {
		for _, sub := range u.subs {
			sub.end(Gap)
			wake = append(wake, sub)
		}
	}
	s.start(at)
	s.mu.Unlock()
	for _, sub := range wake {
		sub.wake()
	}
	return len(wake)
}

func (s *shard) tell(n *Notice) {
	s.mu.Lock()
	s.sweep(n.At)
	var wake []*Subscription
	if n.User == "" {
		s.all.add(n)
		wake = make([]*Subscription, 0, len(s.users))
		for _, u := range s.users {
			wake = u.push(n, wake)
		}
	} else {
		u := s.user(n.User)
		u.ring.add(n)
		wake = u.push(n, wake)
	}
	s.mu.Unlock()
	for _, sub := range wake {
		sub.wake()
	}
}

func (u *user) push(n *Notice, wake []*Subscription) []*Subscription {
	for _, sub := range u.subs {
		if sub.push(n) {
			wake = append(wake, sub)
		}
	}
	return wake
}

func (s *shard) user(id license.UserID) *user {
	u := s.users[id]
	if u == nil {
		u = &user{}
		s.users[id] = u
	}
	return u
}

// sweep forgets what is older than KeptFor, a few times in that time. A user who
// has nothing left and does not listen is forgotten with it, and raises the floor
// for all of the shard: a token that old is answered with a gap.
func (s *shard) sweep(now license.Time) {
	if now < s.swept.Add(KeptFor/8) {
		return
	}
	s.swept = now
	before := now.Add(-KeptFor)
	s.all.age(before)
	for id, u := range s.users {
		lost := u.ring.age(before)
		if len(u.ring.kept) == 0 && len(u.subs) == 0 {
			s.floor.Seq = max(s.floor.Seq, lost)
			delete(s.users, id)
		}
	}
}

// missed returns what a user was told after a token, in order, and whether that
// is known to be all.
func (s *shard) missed(u *user, since Token) ([]*Notice, bool) {
	if since.Epoch != s.floor.Epoch || since.Seq < s.floor.Seq {
		return nil, false
	}
	own, ok := u.ring.after(since.Seq)
	if !ok {
		return nil, false
	}
	all, ok := s.all.after(since.Seq)
	if !ok {
		return nil, false
	}
	both := slices.Concat(own, all)
	slices.SortStableFunc(both, func(a, b *Notice) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	return both, true
}
