package raftstore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// Who comes while a check is under way waits for the next one, which begins after the call; and
// there is no pause for nobody, which the next caller would have to wait for.
func TestOneWhoWaitsIsOnePause(t *testing.T) {
	first, second := make(chan error, 1), make(chan error, 1)
	f := freshness{waiting: []chan error{first}, running: true}
	pauses, checks := 0, 0
	over := errors.New("the second check")
	f.run(func(int) { pauses++ }, func() error {
		checks++
		if checks == 1 {
			f.waiting = append(f.waiting, second)
			return nil
		}
		return over
	})
	if pauses != 2 || checks != 2 || f.running {
		t.Errorf("%d pauses, %d checks, running: %t; want 2, 2 and false", pauses, checks, f.running)
	}
	if err := receive(t, first); err != nil {
		t.Errorf("who came first got %v, want what the first check said", err)
	}
	if err := receive(t, second); err != over {
		t.Errorf("who came meanwhile got %v, want what the check after it said", err)
	}
}

// A lone voter asks nobody, so that its checks need not wait for each other.
func TestALoneVoterChecksWithoutAPace(t *testing.T) {
	s := single(t, t.TempDir())
	s.fresh.pace.SetLimit(rate.Every(time.Hour))
	for i := range 3 * checksAtOnce {
		if err := s.Fresh(limited(t)); err != nil {
			t.Fatalf("check %d: %v, want all of them", i+1, err)
		}
	}
	if c := newCluster(t, nil); c.leader().alone() {
		t.Error("one of three voters takes itself for the only one")
	}
}

// Where many wait for each check, checks become fewer; who asks alone waits for no others.
func TestCheckCountsByWhoWaits(t *testing.T) {
	for callers, want := range map[int]int{1: 1, 3: 1, 4: 2, 6: 3, 8: 4, 10_000: 4} {
		if got := countsFor(callers); got != want {
			t.Errorf("%d wait for one check: it counts for %d, want %d", callers, got, want)
		}
	}
	if countsFor(10_000) > checksAtOnce {
		t.Error("a check counts for more than there may be at once: it would never be made")
	}
	f := freshness{waiting: []chan error{make(chan error, 1), make(chan error, 1), make(chan error, 1)}, running: true}
	var paused []int
	f.run(func(callers int) {
		paused = append(paused, callers)
		f.waiting = append(f.waiting, make(chan error, 1)) // who comes in the pause is in time for the check
	}, func() error { return nil })
	if !slices.Equal(paused, []int{3}) || len(f.waiting) != 0 {
		t.Errorf("pauses for %d callers, and %d wait; want one for 3, and nobody", paused, len(f.waiting))
	}
}
