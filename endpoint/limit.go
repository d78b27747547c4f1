package endpoint

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The bounds of limits.
const (
	limitShards  = 64
	limitPerPart = 4096             // identities a shard remembers
	limitIdle    = 10 * time.Minute // after which one is forgotten
)

// limits is a rate limit for each of many identities, or networks.
type limits[K comparable] struct {
	seed   maphash.Seed
	rate   Rate
	shards [limitShards]limitShard[K]
}

type limitShard[K comparable] struct {
	mu    sync.Mutex
	known map[K]*limited
	swept time.Time
}

type limited struct {
	bucket *rate.Limiter
	used   time.Time
}

func newLimits[K comparable](r Rate) *limits[K] {
	l := &limits[K]{seed: maphash.MakeSeed(), rate: r}
	for i := range l.shards {
		l.shards[i].known = map[K]*limited{}
	}
	return l
}

// take uses up one request of an identity. False: there is none, and how long
// until there is.
func (l *limits[K]) take(who K) (wait time.Duration, ok bool) { return l.look(who, 1) }

// peek is take without using anything up.
func (l *limits[K]) peek(who K) (wait time.Duration, ok bool) { return l.look(who, 0) }

// pay uses up to n requests of an identity, as many as there are.
func (l *limits[K]) pay(who K, n int) {
	now := time.Now()
	s := l.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(l.rate, who, now)
	b.used = now
	b.bucket.AllowN(now, min(n, int(b.bucket.TokensAt(now))))
}

// owe uses n requests of an identity, in advance if there are not so many, and is in how
// long there would have been; nobody owes more than for most.
func (l *limits[K]) owe(who K, n int, most time.Duration) (wait time.Duration) {
	now := time.Now()
	s := l.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(l.rate, who, now)
	b.used = now
	r := b.bucket.ReserveN(now, n)
	if !r.OK() {
		return most
	}
	if wait = r.DelayFrom(now); wait > most {
		r.CancelAt(now)
		return most
	}
	return wait
}

func (l *limits[K]) shard(who K) *limitShard[K] {
	return &l.shards[maphash.Comparable(l.seed, who)%limitShards]
}

func (l *limits[K]) look(who K, n int) (time.Duration, bool) {
	now := time.Now()
	s := l.shard(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 && s.known[who] == nil {
		return 0, true
	}
	b := s.bucket(l.rate, who, now)
	b.used = now
	if n > 0 && b.bucket.AllowN(now, n) {
		return 0, true
	}
	have := b.bucket.TokensAt(now)
	if have < 1 {
		return max(time.Duration((1-have)/l.rate.PerSecond*float64(time.Second)), time.Millisecond), false
	}
	return 0, n == 0
}

// bucket is that of an identity, a new one if there is none. The lock is held.
func (s *limitShard[K]) bucket(r Rate, who K, now time.Time) *limited {
	b := s.known[who]
	if b == nil {
		s.evict(now)
		b = &limited{bucket: rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)}
		s.known[who] = b
	}
	return b
}

// evict forgets, now and then, who was idle for long; where there is no room all
// the same, those whose bucket is the fullest lose the least by it: anyone of a
// few.
func (s *limitShard[K]) evict(now time.Time) {
	if now.Sub(s.swept) > limitIdle/2 {
		s.swept = now
		for who, b := range s.known {
			if now.Sub(b.used) > limitIdle {
				delete(s.known, who)
			}
		}
	}
	if len(s.known) < limitPerPart {
		return
	}
	var victim K
	most, looked := -1.0, 0
	for who, b := range s.known {
		if have := b.bucket.TokensAt(now); have > most {
			victim, most = who, have
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(s.known, victim)
}
