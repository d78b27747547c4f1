package raftstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestHeartbeatDoesNotTurnTheTermBack: while a voter writes down the term of a vote, a
// heartbeat of an earlier term comes in that is later than the one it was in.
func TestHeartbeatDoesNotTurnTheTermBack(t *testing.T) {
	var disks slowDisks
	c := newCluster(t, func(cfg *Config) {
		cfg.logFS = disks.fs
		cfg.Stalls = StallLimits{StepDown: time.Minute, Halt: time.Minute}
	})
	c.do(fill(4))
	s, leader := c.follower(), c.leader().cfg.Node
	for name := range c.nodes {
		if name != s.cfg.Node {
			c.stop(name)
		}
	}
	term := s.raft.CurrentTerm()
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(leader), Addr: []byte("127.0.0.1:1")}
	vote, beat := make(chan raft.RPCResponse, 1), make(chan raft.RPCResponse, 1)
	letGo := disks.hold(t, logDir(s))
	s.standing.calls <- raft.RPC{RespChan: vote, Command: &raft.RequestVoteRequest{RPCHeader: header, Term: term + 2, LastLogIndex: 1 << 20, LastLogTerm: term + 1, LeadershipTransfer: true}}
	eventually(t, func() error {
		if !s.wal.changing() {
			return fmt.Errorf("the term is not being written")
		}
		return nil
	})
	go s.standing.beat(raft.RPC{RespChan: beat, Command: &raft.AppendEntriesRequest{RPCHeader: header, Term: term + 1}})
	time.Sleep(20 * time.Millisecond) // it waits, or is on its way to where it should not be
	letGo()
	if a := receive(t, vote).Response.(*raft.RequestVoteResponse); !a.Granted {
		t.Errorf("got %+v, want the vote", a)
	}
	if a := receive(t, beat).Response.(*raft.AppendEntriesResponse); a.Success {
		t.Errorf("got %+v for a heartbeat of an earlier term", a)
	}
	stored, err := s.wal.GetUint64([]byte(raftTerm))
	if got := s.raft.CurrentTerm(); err != nil || got < term+2 || stored < term+2 {
		t.Errorf("the term is %d, on disk %d, %v; want %d", got, stored, err, term+2)
	}
}

// changing reports whether raft's term is being written.
func (l *logStore) changing() bool {
	if !l.termMu.TryLock() {
		return true
	}
	l.termMu.Unlock()
	return false
}
