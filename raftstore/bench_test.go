package raftstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// BenchmarkPropose starts and stops sessions from many callers at once.
func BenchmarkPropose(b *testing.B) {
	run := func(b *testing.B, s *Store, propose func(n, user int)) {
		propose(-1, 0)
		var next atomic.Int64
		b.SetParallelism(128)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				n := int(next.Add(1))
				propose(n, n%400)
			}
		})
		b.ReportMetric(float64(2*b.N)/b.Elapsed().Seconds(), "commands/s")
	}
	proposer := func(b *testing.B, s *Store) func(n, user int) {
		return func(n, user int) {
			ctx := context.Background()
			if n < 0 {
				if _, err := s.Propose(ctx, fill(400)); err != nil {
					b.Error(err)
				}
				return
			}
			if _, err := s.Propose(ctx, start(n, user, "WS-1")); err != nil {
				b.Error(err)
			}
			if _, err := s.Propose(ctx, stop(n, user, "WS-1")); err != nil {
				b.Error(err)
			}
		}
	}
	for _, nodes := range []int{1, 3} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			var s *Store
			if nodes == 1 {
				s = single(b, b.TempDir())
			} else {
				s = newCluster(b, nil).leader()
			}
			run(b, s, proposer(b, s))
		})
	}
}
