package raftstore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStepDownFailsNothing(t *testing.T) {
	c := newCluster(t, func(c *Config) { c.Tempo, c.finish = WAN, patience }) // however busy this machine is
	c.do(fill(9))
	c.linked()
	old := c.leader()
	ctx, cancel := context.WithCancel(limited(t))
	defer cancel()
	var group sync.WaitGroup
	running := make(chan struct{}, 100)
	for w := range 8 {
		group.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := 1000*(w+1) + i
				_, err := old.Propose(ctx, start(n, w+1, "WS-1"))
				if i == 20 || err != nil {
					running <- struct{}{}
				}
				if errors.Is(err, ErrUnknown) && ctx.Err() == nil {
					t.Errorf("what was under way was cut short: %v", err)
				}
				if err != nil {
					return
				}
			}
		})
	}
	for range 8 {
		receive(t, running)
	}
	began := time.Now()
	if err := old.StepDown(limited(t)); err != nil {
		t.Fatal(err)
	}
	next := c.leader()
	t.Logf("%s led %v after %s was asked to step down", next.cfg.Node, time.Since(began), old.cfg.Node)
	if next == old {
		t.Errorf("%s leads still", old.cfg.Node)
	}
	group.Wait()
	if err := old.StepDown(limited(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("stepping down again: got %v, want %v", err, ErrNotLeader)
	}
	c.do(start(1, 0, "WS-1"))
	c.alike()
}

func TestStepDownChoosesWhoAnswersAndHasMost(t *testing.T) {
	c := newCluster(t, nil)
	c.do(fill(1))
	c.linked()
	leader := c.leader()
	for name := range c.nodes {
		if name != leader.cfg.Node {
			c.crash(name) // and the other of the two must take over
			break
		}
	}
	c.do(start(1, 0, "WS-1"))
	heirs, err := leader.successors(limited(t))
	if err != nil || len(heirs) != 1 {
		t.Fatalf("successors with one node down: got %v, %v; want the one that is left", heirs, err)
	}
	if err := leader.StepDown(limited(t)); err != nil {
		t.Fatal(err)
	}
	if got := c.leader().cfg.Node; got != heirs[0].name {
		t.Errorf("%s leads, want %s", got, heirs[0].name)
	}
	for name := range c.nodes {
		if name != heirs[0].name {
			c.crash(name)
		}
	}
	alone := c.nodes[heirs[0].name]
	if err := alone.StepDown(limited(t)); err == nil || (!errors.Is(err, ErrNotLeader) && !strings.Contains(err.Error(), "no other voting node answers")) {
		t.Errorf("without anyone to take over: got %v", err)
	}
	one := single(t, t.TempDir())
	if err := one.StepDown(limited(t)); err == nil || !strings.Contains(err.Error(), "the only one") {
		t.Errorf("alone: got %v, want that it is the only one", err)
	}
	do(t, one, fill(1))
}

// What is under way may need longer than a hand-over waits: for a majority that is cut off.
// Nothing else of the node waits for that, and nothing new begins until it is given up.
func TestASimulatedHandOverGivesUpOnWhatIsUnderWay(t *testing.T) {
	simulated(t, func(t *testing.T, s *sim) {
		leader := s.leader()
		do(t, leader, fill(3))
		s.settled()
		cutOff := func(blocked bool) {
			for _, name := range s.names {
				if name != leader.cfg.Node {
					s.net.block(name, leader.cfg.Node, blocked)
					s.net.block(leader.cfg.Node, name, blocked)
				}
			}
		}
		propose := func(n int) chan error {
			ended := make(chan error, 1)
			go func() { _, err := leader.Propose(limited(t), start(n, n, "WS-1")); ended <- err }()
			time.Sleep(time.Second)
			return ended
		}
		cutOff(true)
		underWay := propose(1)
		before := leader.raft.LastIndex()
		began := time.Now()
		release := leader.batcher.hold(t.Context(), 5*time.Second)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("holding took %v; want it to be given up after 5 s", took)
		}
		held := propose(2)
		if at := leader.raft.LastIndex(); at != before {
			t.Errorf("the log has grown from %d to %d while entries are held", before, at)
		}
		release()
		cutOff(false)
		for _, ended := range []chan error{underWay, held} {
			if err := <-ended; err != nil {
				t.Errorf("proposing: %v", err)
			}
		}
		for _, name := range s.names {
			closeStore(t, s.take(name))
		}
		s.disks.end()
	})
}
