package raftstore

import (
	"errors"
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
	f.run(func() { pauses++ }, func() error {
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
