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

// lead begins a leadership while the other nodes' clocks show median.
func (c *turnedClock) lead(state, median license.Time) {
	c.told("b", median)
	c.told("c", median)
	c.clock.lead(state)
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
	for _, jump := range []time.Duration{2 * time.Hour, -2 * time.Hour, 10 * 365 * 24 * time.Hour, -56 * 365 * 24 * time.Hour} {
		c := newTurnedClock()
		t0 := c.wallAt
		c.lead(0, license.TimeOf(t0))
		c.want(t, "a new site", t0)
		c.pass(time.Second)
		c.wallAt = c.wallAt.Add(jump)
		c.want(t, "the wall clock jumped, the others' did not", t0.Add(time.Second), alarmMedian)
		c.pass(otherLife)
		c.want(t, "the others are not heard any more", t0.Add(time.Second+otherLife))
		c.told("b", license.TimeOf(c.wallAt))
		c.told("c", license.TimeOf(c.wallAt))
		c.pass(time.Minute)
		c.want(t, "they jumped, too", t0.Add(61*time.Second+otherLife))
		if !c.isHeld() {
			t.Error("the wall clock is not held")
		}
		before, now := c.accept()
		if want := license.TimeOf(t0.Add(61*time.Second + otherLife)); before != want || now != max(want, license.TimeOf(c.wallAt)) {
			t.Errorf("accepted: got %s and %s, want %s and the wall clock, if that is not earlier", before, now, want)
		}
		if jump > 0 {
			c.want(t, "accepted", c.wallAt, alarmFollowed)
			continue
		}
		c.want(t, "accepted, and in the past", t0.Add(61*time.Second+otherLife))
		c.wallAt = c.wallAt.Add(-jump)
		c.told("b", license.TimeOf(c.wallAt))
		c.told("c", license.TimeOf(c.wallAt))
		c.want(t, "set right", c.wallAt, alarmFollowed)
	}
}

func TestTimeDoesNotFollowOneClock(t *testing.T) {
	for _, rate := range []float64{0.01, -0.01} { // a clock that is a hundredth too fast, or too slow
		c := newTurnedClock()
		t0 := c.wallAt
		truth := t0
		c.lead(0, license.TimeOf(t0))
		for range 24 * 60 {
			truth = truth.Add(time.Minute)
			c.wallAt = c.wallAt.Add(time.Minute + time.Duration(rate*float64(time.Minute)))
			c.monoAt += time.Minute
			c.told("b", license.TimeOf(truth))
			c.told("c", license.TimeOf(truth))
			if off := c.stamp().Sub(license.TimeOf(truth)); off.Abs() > wallTolerance {
				t.Fatalf("%v on: off by %v, want at most %v", truth.Sub(t0), off, wallTolerance)
			}
		}
		if !c.isHeld() {
			t.Errorf("off by %v, the wall clock is still followed", c.wallAt.Sub(truth))
		}
	}
}

func TestMedianOfClocks(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(year int) time.Time { return time.Date(year, 3, 1, 12, 0, 0, 0, time.UTC) }
	for name, x := range map[string]struct {
		own    time.Time
		others []time.Time
		want   time.Time
	}{
		"alone":                            {at(2036), nil, at(2036)},
		"all alike":                        {noon, []time.Time{noon.Add(time.Second), noon.Add(-time.Second)}, noon},
		"this one in 2036, another 1970":   {at(2036), []time.Time{at(1970), noon}, noon},
		"this one in 1970, another 2036":   {at(1970), []time.Time{at(2036), noon}, noon},
		"this one right between the two":   {noon, []time.Time{at(1970), at(2036)}, noon},
		"of two, this one may be right":    {noon, []time.Time{at(1970)}, noon},
		"of two, this one may be the late": {at(1970), []time.Time{noon}, at(1970)},
		"most are in 2036":                 {noon, []time.Time{at(2036), at(2036)}, at(2036)},
		"of four, both middle ones count":  {noon, []time.Time{at(1970), at(2036), noon.Add(time.Hour)}, noon},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTurnedClock()
			c.wallAt = x.own
			for i, o := range x.others {
				c.told(string(rune('b'+i)), license.TimeOf(o))
			}
			got, own, _ := c.reference(c.mono())
			if got != license.TimeOf(x.want) || own != x.want.Equal(x.own) {
				t.Errorf("got %s, its own %t; want %s", got, own, license.TimeOf(x.want))
			}
		})
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
		"off from the other nodes'": {-time.Minute, 5 * time.Minute, 5 * time.Minute, []string{alarmMedian}},
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
