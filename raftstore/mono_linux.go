package raftstore

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic reads a clock that nobody sets and that goes on while the machine
// sleeps.
func monotonic() func() time.Duration {
	start := time.Now()
	return func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			return time.Since(start)
		}
		return time.Duration(ts.Nano())
	}
}
