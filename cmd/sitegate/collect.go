package main

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	collectEvery = 2 * time.Second
	mostGarbage  = 256 << 20 // bytes before it is collected, or half of what stays

	// While a mirror is filled for the first time.
	fillingEvery = 250 * time.Millisecond
	fillingRoom  = 600 << 20 // bytes that a small site's fill may take without ado
	fillingMore  = 32 << 20  // bytes beyond what stays and an eighth of it
)

// collect has garbage collected half as often as usual while little stays: under load a
// node makes much of it. As its site grows it may take up mostGarbage and no more, or
// half of what stays where that is more. While the site's mirror is filled for the first
// time, which makes more garbage than anything else and keeps nobody waiting, it may take
// much less. GOGC or GOMEMLIMIT in the environment goes first.
func collect(ctx context.Context, filling func() bool) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	percent, limited := 0, false
	for ctx.Err() == nil {
		live, every := liveHeap(), collectEvery
		if p := garbagePercent(live); p != percent {
			debug.SetGCPercent(p)
			percent = p
		}
		switch now := filling(); {
		case now:
			debug.SetMemoryLimit(fillingLimit(live))
			limited, every = true, fillingEvery
		case limited:
			debug.SetMemoryLimit(math.MaxInt64)
			limited = false
			debug.FreeOSMemory() // what the fill took
		}
		t := time.NewTimer(every)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// garbagePercent is what GOGC should be with so many bytes that stay.
func garbagePercent(live uint64) int {
	percent := min(mostGarbage*100/max(live, 1), 200)
	return int(max(50, percent/25*25))
}

// fillingLimit is how much memory a node may take while its mirror is filled for the
// first time, with so many bytes that stay.
func fillingLimit(live uint64) int64 { return int64(max(fillingRoom, live+live/8+fillingMore)) }

// liveHeap is what the last collection has left, in bytes.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
