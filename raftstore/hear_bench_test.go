package raftstore

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sitegate/license"
)

// BenchmarkFollowersHear commits now and then, while nothing else happens, and takes the
// time from when the leader has answered until each follower has told its clients: with the
// CommitTimeout that stores have, and with raft's own. A follower learns that an
// entry is committed with the leader's next message.
func BenchmarkFollowersHear(b *testing.B) {
	for _, of := range []struct {
		name   string
		commit time.Duration
	}{{"ours=5ms", 5 * time.Millisecond}, {"raft=50ms", 50 * time.Millisecond}} {
		b.Run(of.name, func(b *testing.B) {
			var mu sync.Mutex
			heard := map[string]map[license.ID]time.Time{}
			c := newCluster(b, func(cfg *Config) {
				node := cfg.Node
				cfg.commit = of.commit
				cfg.OnEvents = func(_ uint64, events []license.Event) {
					at := time.Now()
					mu.Lock()
					defer mu.Unlock()
					for _, e := range events {
						if s, ok := e.Fact.(license.Started); ok {
							if heard[node] == nil {
								heard[node] = map[license.ID]time.Time{}
							}
							heard[node][s.Session.ID] = at
						}
					}
				}
			})
			c.do(fill(1))
			leader := c.leader()
			var took []time.Duration
			for n := range b.N {
				if _, err := leader.Propose(b.Context(), start(n, 0, "WS-1")); err != nil { // another one leads now
					leader = c.leader()
					continue
				}
				answered := time.Now()
				eventually(b, func() error {
					mu.Lock()
					defer mu.Unlock()
					for _, p := range c.peers {
						if heard[p.Name][testID(n)].IsZero() {
							return errors.New(p.Name + " has not heard of it")
						}
					}
					return nil
				})
				mu.Lock()
				for node, at := range heard {
					if node != leader.cfg.Node {
						took = append(took, max(0, at[testID(n)].Sub(answered)))
					}
				}
				mu.Unlock()
				c.do(stop(n, 0, "WS-1"))
				time.Sleep(110*time.Millisecond + rand.N(40*time.Millisecond)) // nothing happens
			}
			if len(took) == 0 {
				b.Fatal("nothing was measured")
			}
			slices.Sort(took)
			for name, q := range map[string]float64{"p50-ms": .5, "p99-ms": .99} {
				b.ReportMetric(float64(took[int(q*float64(len(took)-1))])/float64(time.Millisecond), name)
			}
			b.ReportMetric(0, "ns/op") // the pauses
		})
	}
}
