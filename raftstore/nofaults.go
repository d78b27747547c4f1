//go:build !faults

package raftstore

import "time"

// A program built with the tag "faults" does on demand what disks, clocks and
// careless programmers do; see faults.go. This one does not.

func wallClock() time.Time                    { return time.Now() }
func leaseOf(ttl time.Duration) time.Duration { return ttl }
func beforeAppend() error                     { return nil }
func beforeExpire()                           {}
func planted(bug) bool                        { return false }
