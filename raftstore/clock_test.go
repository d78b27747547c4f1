package raftstore

import (
	"testing"
	"time"

	"sitegate/license"
)

// turnedClock is a clock with a wall and a monotonic side that a test turns.
type turnedClock struct {
	*clock
	wallAt time.Time
	monoAt time.Duration
	alarms []string
}

func newTurnedClock() *turnedClock {
	c := &turnedClock{wallAt: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	c.clock = &clock{wall: func() time.Time { return c.wallAt }, mono: func() time.Duration { return c.monoAt },
		alarm: func(a string, _ time.Duration) { c.alarms = append(c.alarms, a) }}
	return c
}

func (c *turnedClock) pass(d time.Duration) { c.wallAt, c.monoAt = c.wallAt.Add(d), c.monoAt+d }

func (c *turnedClock) want(t *testing.T, what string, at time.Time, alarms ...string) {
	t.Helper()
	if got := c.stamp(); got != license.TimeOf(at) {
		t.Errorf("%s: stamped %s, want %s", what, got, license.TimeOf(at))
	}
	if len(c.alarms) != len(alarms) {
		t.Errorf("%s: alarms %q, want %q", what, c.alarms, alarms)
	}
	for i := range min(len(alarms), len(c.alarms)) {
		if c.alarms[i] != alarms[i] {
			t.Errorf("%s: alarm %q, want %q", what, c.alarms[i], alarms[i])
		}
	}
	c.alarms = nil
}

func TestTimeFollowsTheWallClockWithinAMinute(t *testing.T) {
	c := newTurnedClock()
	t0 := c.wallAt
	c.lead(0, license.TimeOf(t0))
	c.want(t, "a new site", t0)
	c.pass(10 * time.Minute)
	c.want(t, "ten minutes on", t0.Add(10*time.Minute))
	c.wallAt = c.wallAt.Add(30 * time.Second)
	c.want(t, "corrected by half a minute", t0.Add(10*time.Minute+30*time.Second))
	c.wallAt = c.wallAt.Add(-30 * time.Second)
	c.want(t, "and back: it stands", t0.Add(10*time.Minute+30*time.Second))
	c.pass(time.Minute)
	c.want(t, "and goes on", t0.Add(11*time.Minute))
}

func TestTimeDoesNotJump(t *testing.T) {
	for _, jump := range []time.Duration{2 * time.Hour, -2 * time.Hour, 400 * 24 * time.Hour} {
		c := newTurnedClock()
		t0 := c.wallAt
		c.lead(0, license.TimeOf(t0))
		c.want(t, "a new site", t0)
		c.pass(time.Second)
		c.wallAt = c.wallAt.Add(jump)
		c.want(t, "the wall clock jumped", t0.Add(time.Second), alarmHeld)
		c.pass(time.Minute)
		c.want(t, "a minute later", t0.Add(61*time.Second))
		if !c.isHeld() {
			t.Error("the wall clock is not held")
		}
		if jump > 0 {
			c.accept(license.TimeOf(c.wallAt))
			c.want(t, "accepted", c.wallAt, alarmFollowed)
			continue
		}
		c.wallAt = c.wallAt.Add(-jump)
		c.want(t, "set right", t0.Add(61*time.Second), alarmFollowed)
	}
}

func TestTimeOfANewLeader(t *testing.T) {
	day := 24 * time.Hour
	for name, x := range map[string]struct {
		last   time.Duration // of the last entry, by the wall clock of this node
		median time.Duration // of the nodes' clocks, likewise
		want   time.Duration
		alarms []string
	}{
		"a short stop":              {-time.Minute, 0, 0, nil},
		"off for a weekend":         {-3 * day, 0, 0, []string{alarmRestarted}},
		"off for a month":           {-30 * day, 0, -30 * day, []string{alarmHeld}},
		"behind the log":            {time.Hour, 0, time.Hour, []string{alarmHeld}},
		"a little behind the log":   {30 * time.Second, 0, 30 * time.Second, nil},
		"off from the other nodes'": {-time.Minute, 5 * time.Minute, 5 * time.Minute, []string{alarmMedian, alarmHeld}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTurnedClock()
			c.lead(license.TimeOf(c.wallAt.Add(x.last)), license.TimeOf(c.wallAt.Add(x.median)))
			c.want(t, name, c.wallAt.Add(x.want), x.alarms...)
		})
	}
}

func TestFollowerKnowsTheTime(t *testing.T) {
	c := newTurnedClock()
	t0 := c.wallAt
	c.seen(license.TimeOf(t0.Add(-time.Hour))) // replayed: old, and no reason to be an hour late
	if got, want := c.now(), license.TimeOf(t0); got != want {
		t.Errorf("after a replay: got %s, want %s", got, want)
	}
	c.wallAt = t0.Add(2 * time.Hour) // its wall clock is wrong
	c.heard(license.TimeOf(t0))
	c.monoAt += time.Minute
	if got, want := c.now(), license.TimeOf(t0.Add(time.Minute)); got != want {
		t.Errorf("a minute after hearing from the leader: got %s, want %s", got, want)
	}
	c.alarms = nil
	c.lead(license.TimeOf(t0), license.TimeOf(c.wallAt))
	c.want(t, "made the leader", t0.Add(time.Minute))
}
