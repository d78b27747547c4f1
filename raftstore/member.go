package raftstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// Cluster is what a node knows of its cluster.
type Cluster struct {
	ID      string // the site's identity
	Node    string // this node's name
	Leader  string // empty: none is known
	Term    uint64
	Index   uint64 // applied here
	Members []Member
}

// Member is one node of the cluster.
type Member struct {
	Name    string
	Address string // of its peer listener
	Voter   bool
	// Reached is when this node last heard of it; zero is never, or itself.
	Reached time.Time
}

// Status is what an operator asks of one node's store.
type Status struct {
	Cluster
	Leading   bool
	DiskIndex uint64 // the state on disk is at this index
	LogFirst  uint64 // the log on disk goes from here
	LogLast   uint64 // to here
	Leases    int    // counted here
	Now       license.Time
	TimeHeld  bool // the wall clock is off and not followed
}

type member struct {
	name, address string
	voter         bool
}

// members are those of the latest configuration in the log.
func (s *Store) members() []member {
	future := s.raft.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	var all []member
	for _, x := range future.Configuration().Servers {
		all = append(all, member{string(x.ID), string(x.Address), x.Suffrage == raft.Voter})
	}
	return all
}

// others are the members but this one.
func (s *Store) others() []member {
	var others []member
	for _, m := range s.members() {
		if m.name != s.cfg.Node {
			others = append(others, m)
		}
	}
	return others
}

func (s *Store) voters() int {
	n := 0
	for _, m := range s.members() {
		if m.voter {
			n++
		}
	}
	return n
}

// majority is how many voters make one.
func (s *Store) majority() int { return s.voters()/2 + 1 }

// nameAt is the member at an address, or empty.
func (s *Store) nameAt(address string) string {
	<-s.up // raft dials as soon as it runs
	if s.raft != nil {
		for _, m := range s.members() {
			if m.address == address {
				return m.name
			}
		}
	}
	return ""
}

// Cluster tells of the members.
func (s *Store) Cluster() Cluster {
	_, leader := s.raft.LeaderWithID()
	c := Cluster{ID: s.identity.Cluster, Node: s.cfg.Node, Leader: string(leader), Term: s.raft.CurrentTerm(), Index: s.fsm.applied.get()}
	for _, m := range s.members() {
		x := Member{Name: m.name, Address: m.address, Voter: m.voter}
		if s.mux != nil && m.name != s.cfg.Node {
			x.Reached = s.mux.lastHeard(m.name)
		}
		c.Members = append(c.Members, x)
	}
	return c
}

// Status tells of this node's store.
func (s *Store) Status() (Status, error) {
	st := Status{Cluster: s.Cluster(), Leases: s.leases.size(), Now: s.clock.now(), TimeHeld: s.clock.isHeld()}
	_, st.Leading = s.Leading()
	pos, _ := s.disk.position()
	st.DiskIndex = pos.Index
	var first, last error
	st.LogFirst, first = s.logs.FirstIndex()
	st.LogLast, last = s.logs.LastIndex()
	return st, errors.Join(first, last)
}

// RestoreWaits refuses to set the time while it counts the wait after a restore.
type RestoreWaits struct{ Until license.Time }

// Error says when it can be set.
func (r *RestoreWaits) Error() string {
	return fmt.Sprintf("the time of this site counts the wait after its restore until %s and cannot be set before", r.Until)
}

// AcceptTime makes the nodes' wall clocks the cluster's time, after an alarm that
// they are off: this node's, or their median where this one is off from it. It
// returns what time it was before, and is now. Only on the leader. Time does not
// run backwards by it: where it was ahead, it stands until it is caught up.
func (s *Store) AcceptTime(ctx context.Context) (before, now license.Time, err error) {
	if err := s.Fresh(ctx); err != nil {
		return 0, 0, err
	}
	var wait license.Restoration
	s.View(func(st *license.State) { wait = st.Head().Restored })
	if !wait.Over(s.clock.now()) && s.clock.now() < wait.Until {
		return 0, 0, &RestoreWaits{Until: wait.Until}
	}
	s.askWalls(ctx, len(s.members()))
	before, now = s.clock.accept()
	s.log.Warn("the time of the nodes' clocks was accepted", "before", before.String(), "now", now.String())
	return before, now, nil
}

// Leave takes this node out of the cluster for good, so that it no longer counts
// for a majority. The last voter cannot leave. The store is to be closed
// afterwards; its data folder is of no use any more.
func (s *Store) Leave(ctx context.Context) error {
	for {
		if s.voters() <= 1 {
			return fmt.Errorf("%s is the last voting node and cannot leave: nothing would be left", s.cfg.Node)
		}
		if s.raft.State() == raft.Leader {
			if err := s.StepDown(ctx); err != nil && !errors.Is(err, ErrNotLeader) {
				return err
			}
		}
		led := false
		err := s.atLeader(ctx, true, func(context.Context) error { led = true; return nil },
			func(ctx context.Context, p *peer) error { return p.ask(ctx, methodLeave, struct{}{}, nil) })
		if err != nil {
			return err
		}
		if !led {
			return s.identity.leave(s.cfg.Dir)
		}
		if ctx.Err() != nil { // it was made the leader again
			return context.Cause(ctx)
		}
	}
}

// handleLeave removes the node that asks.
func (s *Store) handleLeave(ctx context.Context, node string) error {
	if err := s.awaitReign(ctx); err != nil {
		return err
	}
	for _, m := range s.members() {
		if m.name != node {
			continue
		}
		if m.voter && s.voters() <= 1 {
			return fmt.Errorf("%s is the last voting node and cannot leave", node)
		}
		err := proposalError(s.raft.RemoveServer(raft.ServerID(node), 0, enqueueWithin).Error())
		if err == nil {
			s.log.Info("a node has left the cluster", "peer", node)
		}
		return err
	}
	return nil // has left already
}
