package raftstore

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// What raft will not answer any more ends with it: the kind of future that raft
// gives for an entry can still be told.
func TestWhatSimulatedRaftLeavesUnansweredEndsWithIt(t *testing.T) {
	simulated(t, func(t *testing.T, s *sim) {
		leader := s.leader()
		for _, name := range s.names {
			if n := s.nodes[name]; n != leader {
				crash(t, s.take(name)) // the leader has no majority: it answers nothing until it steps down
			}
		}
		down := make(chan struct{})
		time.AfterFunc(time.Millisecond, func() { close(down) })
		for what, future := range map[string]raft.Future{"an entry": leader.raft.Apply(nil, enqueueWithin), "a barrier": leader.raft.Barrier(enqueueWithin)} {
			if !endsWith(future, down) {
				t.Fatalf("%s cannot be told that raft has ended", what)
			}
			if err := future.Error(); !errors.Is(err, raft.ErrRaftShutdown) {
				t.Errorf("%s ends with %v, want %v", what, err, raft.ErrRaftShutdown)
			}
		}
		closeStore(t, s.take(leader.cfg.Node))
		s.disks.end()
	})
}
