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

// limits is a rate limit for each of many identities.
type limits struct {
	seed   maphash.Seed
	rate   Rate
	shards [limitShards]limitShard
}

type limitShard struct {
	mu    sync.Mutex
	known map[string]*limited
	swept time.Time
}

type limited struct {
	bucket *rate.Limiter
	used   time.Time
}

func newLimits(r Rate) *limits {
	l := &limits{seed: maphash.MakeSeed(), rate: r}
	for i := range l.shards {
		l.shards[i].known = map[string]*limited{}
	}
	return l
}

// take uses up one request of an identity. False: there is none, and how long
// until there is.
func (l *limits) take(who string) (wait time.Duration, ok bool) { return l.look(who, 1) }

// peek is take without using anything up.
func (l *limits) peek(who string) (wait time.Duration, ok bool) { return l.look(who, 0) }

func (l *limits) look(who string, n int) (time.Duration, bool) {
	now := time.Now()
	s := &l.shards[maphash.String(l.seed, who)%limitShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.known[who]
	if b == nil {
		if n == 0 {
			return 0, true
		}
		s.evict(now)
		b = &limited{bucket: rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)}
		s.known[who] = b
	}
	b.used = now
	have := b.bucket.TokensAt(now)
	if have < 1 {
		return max(time.Duration((1-have)/l.rate.PerSecond*float64(time.Second)), time.Millisecond), false
	}
	return 0, n == 0 || b.bucket.AllowN(now, n)
}

// evict forgets, now and then, who was idle for long; where there is no room all
// the same, those whose bucket is the fullest lose the least by it: anyone of a
// few.
func (s *limitShard) evict(now time.Time) {
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
	victim, most, looked := "", -1.0, 0
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
