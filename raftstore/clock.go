package raftstore

import (
	"slices"
	"sync"
	"time"

	"sitegate/license"
)

// clock is the cluster's time as this node knows it. The leader stamps entries
// with it: the time of the last entry and what has passed since on a clock that
// nobody sets, following the wall clock while that stays within wallTolerance. A
// wall clock that is further off is not followed until an operator accepts it, and
// one that is off from the median of the nodes' clocks is not: then the median is
// taken for it. Time never runs backwards.
type clock struct {
	wall  func() time.Time
	mono  func() time.Duration // counts while the machine sleeps, never jumps
	alarm func(alarm string, by time.Duration)

	mu     sync.Mutex
	base   license.Time  // cluster time ...
	at     time.Duration // ... at this reading of mono
	anchor bool          // base and at belong together: the time was live when it was read
	held   bool          // the wall clock is not followed
	others map[string]otherWall
}

// otherWall is another node's wall clock: what it showed when mono was zero, if both
// go at the same rate, and when it was heard.
type otherWall struct {
	zero license.Time
	at   time.Duration
}

const (
	// otherLife is how long another node's clock counts after it was heard.
	otherLife = 2 * time.Minute
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
	now := c.mono()
	wall, own, off := c.reference(now)
	if !c.anchor {
		return max(c.base, wall)
	}
	t := c.estimate(now)
	switch far := wall.Sub(t); {
	case far.Abs() > wallTolerance:
		c.hold(alarmHeld, far)
	case own:
		t = wall
		c.hold("", far)
	default:
		t = wall
		c.hold(alarmMedian, off)
	}
	return max(t, c.base)
}

func (c *clock) estimate(now time.Duration) license.Time { return c.base.Add(now - c.at) }

// reference is the wall clock to go by: this node's own, or the median of the
// nodes', where its own is off from that. Of an even number of clocks, both in the
// middle count as the median.
func (c *clock) reference(now time.Duration) (wall license.Time, own bool, off time.Duration) {
	wall = license.TimeOf(c.wall())
	low, high := c.middle(wall, now)
	switch {
	case low.Sub(wall) > wallTolerance:
		return low, false, wall.Sub(low)
	case wall.Sub(high) > wallTolerance:
		return high, false, wall.Sub(high)
	}
	return wall, true, 0
}

// middle are the two in the middle of the nodes' wall clocks, or twice the same.
func (c *clock) middle(own license.Time, now time.Duration) (low, high license.Time) {
	var few [8]license.Time
	walls := append(few[:0], own)
	for _, o := range c.others {
		if now-o.at <= otherLife {
			walls = append(walls, o.zero.Add(now))
		}
	}
	slices.Sort(walls)
	return walls[(len(walls)-1)/2], walls[len(walls)/2]
}

// undecided reports whether an even number of clocks is known, and they disagree:
// which are right, only another can tell.
func (c *clock) undecided() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	low, high := c.middle(license.TimeOf(c.wall()), c.mono())
	return high.Sub(low) > wallTolerance
}

// told takes what another node's wall clock shows just now.
func (c *clock) told(node string, wall license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.others == nil {
		c.others = map[string]otherWall{}
	}
	now := c.mono()
	c.others[node] = otherWall{wall.Add(-now), now}
}

// hold notes that the wall clock is not followed, and why; or that it is.
func (c *clock) hold(why string, off time.Duration) {
	held := why != ""
	if held == c.held {
		return
	}
	c.held = held
	if !held {
		why = alarmFollowed
	}
	c.alarm(why, off)
}

// seen takes the time of an entry that was applied. Old entries, replayed, tell
// only that it is not earlier.
func (c *clock) seen(t license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case t < c.base, t == 0: // no entry has told a time yet; a clock that was never set is near it
	case c.anchor:
		if now := c.mono(); t >= c.estimate(now) {
			c.base, c.at = t, now
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

// lead begins a leadership: state is the time of the last entry.
func (c *clock) lead(state license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.mono()
	start, own, off := c.reference(now)
	if !own {
		c.hold(alarmMedian, off)
	}
	switch known := c.estimate(now); {
	case c.anchor:
		if off := start.Sub(known); off.Abs() > wallTolerance {
			c.hold(alarmHeld, off)
			start = known
		}
	case state != 0:
		switch off := start.Sub(state); {
		case off > restartTolerance || off < -wallTolerance:
			c.hold(alarmHeld, off)
			start = state
		case off > restartNotice:
			c.alarm(alarmRestarted, off)
		}
	}
	c.base, c.at, c.anchor = max(start, state, c.base), now, true
}

// accept takes the wall clock, or the median of the nodes' where it is off from
// that, for the time, if it is not in the past. before is what time it was until
// then.
func (c *clock) accept() (before, now license.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.read()
	at := c.mono()
	wall, own, off := c.reference(at)
	c.base, c.at, c.anchor = max(wall, before), at, true
	if own && wall >= before {
		c.hold("", off)
	}
	return before, c.base
}

// anchored reports whether this node knows the cluster's time by more than wall
// clocks: from a leader, or from an entry that was new when it came.
func (c *clock) anchored() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchor
}

// isHeld reports whether the wall clock is not followed.
func (c *clock) isHeld() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}
