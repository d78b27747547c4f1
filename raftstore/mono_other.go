//go:build !linux

package raftstore

import "time"

// monotonic reads a clock that nobody sets.
func monotonic() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
