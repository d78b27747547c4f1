package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	collectEvery = 2 * time.Second
	mostGarbage  = 256 << 20 // bytes before it is collected, or half of what stays
)

// collect has garbage collected half as often as usual while little stays: under load a
// node makes much of it. As its site grows it may take up mostGarbage and no more, or
// half of what stays where that is more. GOGC in the environment goes first.
func collect(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for now := 0; ctx.Err() == nil; {
		if percent := garbagePercent(liveHeap()); percent != now {
			debug.SetGCPercent(percent)
			now = percent
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// garbagePercent is what GOGC should be with so many bytes that stay. It moves in
// steps, since setting it takes a collection.
func garbagePercent(live uint64) int {
	percent := min(mostGarbage*100/max(live, 1), 200)
	return int(max(50, percent/25*25))
}

// liveHeap is what the last collection has left, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
