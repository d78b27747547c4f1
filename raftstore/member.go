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
	// TimeHeld: this node's wall clock is off, and is not followed.
	TimeHeld bool
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
}

type member struct {
	name, address string
	voter         bool
}

// members are those of the latest configuration in the log, at the addresses where
// they say that they are.
func (s *Store) members() []member {
	all := s.configured()
	for i, m := range all {
		if m.name != s.cfg.Node {
			all[i].address = s.mux.movedTo(m.name, m.address)
		}
	}
	return all
}

// configured are the members as the latest configuration in the log has them.
func (s *Store) configured() []member {
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

// Cluster tells of the members.
func (s *Store) Cluster() Cluster {
	_, leader := s.raft.LeaderWithID()
	c := Cluster{ID: s.identity.Cluster, Node: s.cfg.Node, Leader: string(leader), Term: s.raft.CurrentTerm(), Index: s.fsm.applied.get(), TimeHeld: s.clock.isHeld()}
	for _, m := range s.members() {
		x := Member{Name: m.name, Address: m.address, Voter: m.voter}
		if m.name != s.cfg.Node {
			x.Reached = s.mux.lastHeard(m.name)
		}
		c.Members = append(c.Members, x)
	}
	return c
}

// Status tells of this node's store.
func (s *Store) Status() (Status, error) {
	st := Status{Cluster: s.Cluster(), Leases: s.leases.size(), Now: s.clock.now()}
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
	s.askWalls(ctx)
	before, now = s.clock.accept()
	s.log.Warn("the time of the nodes' clocks was accepted", "before", before.String(), "now", now.String())
	return before, now, nil
}
