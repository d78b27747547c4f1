package gateway

import (
	"context"
	"sync"
	"time"

	"sitegate/license"
)

// learning gathers what this node sees of relayed traffic and the mirror does not have,
// and proposes it now and then: each user's product once a day, so that it costs the
// log next to nothing, and nobody waits for it.
type learning struct {
	mu   sync.Mutex
	seen map[learnt]license.Learned // not proposed yet
	told map[learnt]time.Time       // proposed, or found to be known
}

type learnt struct {
	user    license.UserID
	product license.ProductID
}

const (
	learnEvery  = 10 * time.Second
	learnAgain  = 24 * time.Hour
	maxLearning = license.MaxLearned // of each; what is more is seen again
)

func newLearning() *learning {
	return &learning{seen: map[learnt]license.Learned{}, told: map[learnt]time.Time{}}
}

// Learn notes that the vendor has signed for a use, on whichever node. It never blocks.
func (g *Gateway) Learn(l license.Learned) { g.learning.note(l, time.Now()) }

func (x *learning) note(l license.Learned, now time.Time) {
	k := learnt{l.User, l.Product}
	x.mu.Lock()
	defer x.mu.Unlock()
	if at, told := x.told[k]; told && now.Sub(at) < learnAgain || len(x.seen) >= maxLearning {
		return
	}
	x.seen[k] = l
}

// take returns some of what was gathered, which is told by that.
func (x *learning) take(most int, now time.Time) (list []license.Learned) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.told) >= maxLearning {
		for k, at := range x.told {
			if now.Sub(at) >= learnAgain || len(x.told) >= maxLearning {
				delete(x.told, k)
			}
		}
	}
	for k, l := range x.seen {
		if len(list) == most {
			break
		}
		delete(x.seen, k)
		x.told[k] = now
		list = append(list, l)
	}
	return list
}

// learn proposes what was gathered until ctx ends. What could not be is seen again
// tomorrow.
func (g *Gateway) learn(ctx context.Context) {
	tick := time.NewTicker(learnEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			list := g.learning.take(license.MaxLearnedAtOne, time.Now())
			if len(list) == 0 {
				break
			}
			var c license.Learn
			now := g.log.Now()
			g.log.View(func(s *license.State) {
				for _, l := range list {
					if license.Unlearned(s, l, now) {
						c.Seen = append(c.Seen, l)
					}
				}
			})
			if len(c.Seen) == 0 {
				continue
			}
			if _, err := g.ask(ctx, request{Learn: &c}); err != nil && ctx.Err() == nil {
				g.logger.Warn("what relayed traffic tells of could not be kept", "uses", len(c.Seen), "err", err)
			}
		}
	}
}
