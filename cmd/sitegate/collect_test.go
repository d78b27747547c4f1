package main

import (
	"math"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
)

func TestGarbageIsBoundedAsTheSiteGrows(t *testing.T) {
	for live, want := range map[uint64]int{0: 200, 20 << 20: 200, 128 << 20: 200, 129 << 20: 175, 256 << 20: 100, 512 << 20: 50, 4 << 30: 50} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d MB stay: got %d, want %d", live>>20, got, want)
		}
	}
	for live, want := range map[uint64]int64{0: fillingRoom, 400 << 20: fillingRoom, 800 << 20: 932 << 20, 8 << 30: 9<<30 + 32<<20} {
		if got := fillingLimit(live); got != want {
			t.Errorf("%d MB stay while the mirror is filled: got a limit of %d MB, want %d", live>>20, got>>20, want>>20)
		}
	}
}

// Memory is short only while the mirror is filled.
func TestMemoryIsBoundedWhileTheMirrorIsFilled(t *testing.T) {
	t.Setenv("GOGC", "") // as in a service's environment
	t.Setenv("GOMEMLIMIT", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	var filling atomic.Bool
	filling.Store(true)
	ended := make(chan struct{})
	go func() { defer close(ended); collect(t.Context(), filling.Load) }()
	await := func(what string, is func(limit int64) bool) {
		t.Helper()
		tick, tooLong := time.NewTicker(time.Millisecond), time.After(time.Minute)
		defer tick.Stop()
		for !is(debug.SetMemoryLimit(-1)) {
			select {
			case <-tick.C:
			case <-tooLong:
				t.Fatalf("%s: the limit is %d", what, debug.SetMemoryLimit(-1))
			}
		}
	}
	await("while it is filled", func(limit int64) bool { return limit >= fillingRoom && limit < math.MaxInt64 })
	filling.Store(false)
	await("when it is filled", func(limit int64) bool { return limit == math.MaxInt64 })
	t.Cleanup(func() { <-ended })
}
