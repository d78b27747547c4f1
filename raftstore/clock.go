package raftstore

import (
	"sync"
	"time"

	"sitegate/license"
)

// clock is the cluster's time as this node knows it. The leader stamps entries
// with it: the time of the last entry and what has passed since on a clock that
// nobody sets, following the wall clock while that stays within wallTolerance.
// A wall clock that is further off is not followed until an operator accepts it.
// It never runs backwards.
type clock struct {
	wall  func() time.Time
	mono  func() time.Duration // counts while the machine sleeps, never jumps
	alarm func(alarm string, by time.Duration)

	mu     sync.Mutex
	base   license.Time  // cluster time ...
	at     time.Duration // ... at this reading of mono
	anchor bool          // base and at belong together: the time was live when it was read
	held   bool          // the wall clock is not followed
}

const (
	// wallTolerance is how far a wall clock may be off and still be followed.
	wallTolerance = 60 * time.Second
	// restartTolerance is how long a site may have been off, by the wall clock, and
	// still take it up again by itself; beyond restartNotice that is told.
	restartTolerance = 7 * 24 * time.Hour
	restartNotice    = time.Hour
)

// The alarms of a clock.
const (
	alarmHeld      = "the wall clock is off and is not followed: set it right, or accept it"
	alarmFollowed  = "the wall clock is followed again"
	alarmMedian    = "this node's wall clock is off from the other nodes' and is not used"
	alarmRestarted = "the site's time has moved on by more than an hour while it was off"
)

func (c *clock) now() license.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

// stamp is now, for an entry: no later stamp will be before it.
func (c *clock) stamp() license.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.read()
	c.base, c.at, c.anchor = t, c.mono(), true
	return t
}

func (c *clock) read() license.Time {
	wall := license.TimeOf(c.wall())
	if !c.anchor {
		return max(c.base, wall)
	}
	t := c.estimate()
	if off := wall.Sub(t); off.Abs() <= wallTolerance {
		t = wall
		c.hold(false, off)
	} else {
		c.hold(true, off)
	}
	return max(t, c.base)
}

func (c *clock) estimate() license.Time { return c.base.Add(c.mono() - c.at) }

func (c *clock) hold(held bool, off time.Duration) {
	if held == c.held {
		return
	}
	c.held = held
	if held {
		c.alarm(alarmHeld, off)
	} else {
		c.alarm(alarmFollowed, off)
	}
}

// seen takes the time of an entry that was applied. Old entries, replayed, tell
// only that it is not earlier.
func (c *clock) seen(t license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case t < c.base:
	case c.anchor:
		if t >= c.estimate() {
			c.base, c.at = t, c.mono()
		}
	default:
		c.base = t
		if license.TimeOf(c.wall()).Sub(t).Abs() <= wallTolerance {
			c.at, c.anchor = c.mono(), true
		}
	}
}

// heard takes the time of the leader, just now.
func (c *clock) heard(t license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.at, c.anchor = max(t, c.base), c.mono(), true
}

// lead begins a leadership: state is the time of the last entry, median that of
// the nodes' wall clocks.
func (c *clock) lead(state, median license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := license.TimeOf(c.wall())
	if off := start.Sub(median); off.Abs() > wallTolerance {
		c.alarm(alarmMedian, off)
		start = median
	}
	switch known := c.estimate(); {
	case c.anchor:
		if off := start.Sub(known); off.Abs() > wallTolerance {
			c.hold(true, off)
			start = known
		}
	case state != 0:
		switch off := start.Sub(state); {
		case off > restartTolerance || off < -wallTolerance:
			c.hold(true, off)
			start = state
		case off > restartNotice:
			c.alarm(alarmRestarted, off)
		}
	}
	c.base, c.at, c.anchor = max(start, state, c.base), c.mono(), true
}

// accept takes the median of the nodes' wall clocks for the time, if it is not
// in the past.
func (c *clock) accept(median license.Time) license.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.at, c.anchor = max(median, c.base), c.mono(), true
	c.hold(false, 0)
	return c.base
}

// isHeld reports whether the wall clock is not followed.
func (c *clock) isHeld() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}
