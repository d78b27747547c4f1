package raftstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sitegate/license"
)

func compareOften(c *Config) { c.compare = 20 * time.Millisecond }

// alter has a node decide something that the others did not, as a fault in its
// memory would.
func alter(t *testing.T, s *Store, user int) {
	t.Helper()
	s.fsm.mu.Lock()
	defer s.fsm.mu.Unlock()
	out, events := license.Apply(s.fsm.state, license.Entry{At: s.fsm.state.Head().Now, Command: start(1000+user, user, "WS-ODD")})
	if out.Denial != nil {
		t.Fatalf("got %v, want a start", out.Denial.Reason)
	}
	s.fsm.pending = append(s.fsm.pending, events...)
	s.fsm.dirty += 100
}

func TestANodeThatDecidesOtherwiseThanTheMajorityHalts(t *testing.T) {
	c := newCluster(t, compareOften)
	leader := c.leader()
	do(t, leader, fill(10))
	odd := c.follower()
	c.alike()
	alter(t, odd, 5)
	do(t, leader, start(1, 1, "WS-101"))
	receive(t, odd.Done())
	if err := odd.Err(); !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "join anew") {
		t.Errorf("got %v, want that its state is not that of the others, and what to do", err)
	}
	delete(c.nodes, odd.cfg.Node)
	do(t, leader, start(2, 2, "WS-102"))
	for name, s := range c.nodes {
		if s.Err() != nil || s.Diverged() {
			t.Errorf("%s: got %v, diverged %v; want nothing of it", name, s.Err(), s.Diverged())
		}
	}
	c.alike()
}

func TestWithoutAMajorityForAnyStateNobodyIsBelieved(t *testing.T) {
	c := newCluster(t, compareOften)
	leader := c.leader()
	do(t, leader, fill(10))
	c.alike()
	c.stop(c.follower().cfg.Node)
	leader = c.leader()
	odd := c.follower()
	alter(t, odd, 5)
	do(t, leader, start(1, 1, "WS-101"))
	for name, s := range c.nodes {
		eventually(t, func() error {
			if !s.Diverged() {
				return fmt.Errorf("%s does not see that the nodes differ", name)
			}
			return nil
		})
		if s.Err() != nil {
			t.Errorf("%s has stopped: %v; want it to go on with what runs", name, s.Err())
		}
	}
}

func TestDigestGoesOnAfterARestartAndASnapshot(t *testing.T) {
	c := newCluster(t, func(cfg *Config) {
		compareOften(cfg)
		cfg.SnapshotEvery, cfg.SnapshotEntries, cfg.TrailingEntries = 20*time.Millisecond, 8, 4
	})
	c.do(fill(40))
	away := c.follower().cfg.Node
	c.stop(away)
	for i := range 30 {
		c.do(start(i+1, i+1, "WS-101"))
	}
	back := c.restart(away)
	c.alike()
	c.do(stop(1, 1, "WS-101"))
	want := c.leader()
	eventually(t, func() error {
		seq := want.fsm.lastSeq()
		a, ok := want.disk.digest.at(seq)
		b, too := back.disk.digest.at(seq)
		if !ok || !too || a != b {
			return fmt.Errorf("at %d: %016x %v on the leader, %016x %v on the node that was away", seq, a, ok, b, too)
		}
		return nil
	})
	for name, s := range c.nodes {
		if s.Err() != nil || s.Diverged() {
			t.Errorf("%s: got %v, diverged %v; want nothing of it", name, s.Err(), s.Diverged())
		}
	}
}
