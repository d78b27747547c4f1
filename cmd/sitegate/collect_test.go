package main

import "testing"

func TestGarbageIsBoundedAsTheSiteGrows(t *testing.T) {
	for live, want := range map[uint64]int{0: 200, 20 << 20: 200, 128 << 20: 200, 129 << 20: 175, 256 << 20: 100, 512 << 20: 50, 4 << 30: 50} {
		if got := garbagePercent(live); got != want {
			t.Errorf("%d MB stay: got %d, want %d", live>>20, got, want)
		}
	}
}
