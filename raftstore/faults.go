//go:build faults

package raftstore

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"sitegate/raftstore/wal"
)

// faults are what a test wants of this program, in the file that SITEGATE_FAULTS
// names. It is read anew whenever it has changed, and may be missing.
type faults struct {
	ClockMS   int64 `json:"clock_ms"`   // how far the wall clock is ahead
	LeasePart int64 `json:"lease_part"` // leases run out after this part of their time to live
	DiskMS    int64 `json:"disk_ms"`    // how long an append waits before it is written
	DiskFull  bool  `json:"disk_full"`  // an append fails
	ExpireMS  int64 `json:"expire_ms"`  // how long an expiry is under way before it is proposed
	Bugs      []bug `json:"bugs"`
}

var control struct {
	sync.Mutex
	looked, written time.Time
	faults          faults
}

// wanted looks at the file, at most every 20 ms.
func wanted() faults {
	control.Lock()
	defer control.Unlock()
	if now := time.Now(); now.Sub(control.looked) > 20*time.Millisecond {
		control.looked = now
		path := os.Getenv("SITEGATE_FAULTS")
		if info, err := os.Stat(path); err == nil && !info.ModTime().Equal(control.written) {
			var f faults
			b, err := os.ReadFile(path)
			if err == nil && json.Unmarshal(b, &f) == nil {
				control.faults, control.written = f, info.ModTime()
			}
		}
	}
	return control.faults
}

func wallClock() time.Time {
	return time.Now().Add(time.Duration(wanted().ClockMS) * time.Millisecond)
}

func leaseOf(ttl time.Duration) time.Duration {
	return ttl / time.Duration(max(wanted().LeasePart, 1))
}

func beforeAppend() error {
	f := wanted()
	time.Sleep(time.Duration(f.DiskMS) * time.Millisecond)
	if f.DiskFull {
		return fmt.Errorf("no space left on device: %w", wal.ErrFull)
	}
	return nil
}

func beforeExpire() { time.Sleep(time.Duration(wanted().ExpireMS) * time.Millisecond) }

func planted(b bug) bool { return slices.Contains(wanted().Bugs, b) }
