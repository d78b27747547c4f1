package raftstore

import (
	"sync"
	"time"
)

// elections follows who leads, for the metrics: how many terms have begun, how often
// another node leads than before, and how long this node knew of none.
type elections struct {
	metrics *metrics
	mono    func() time.Duration

	mu     sync.Mutex // guards what follows
	term   uint64
	leader string        // the last one known
	none   bool          // no leader is known ...
	since  time.Duration // ... since then, by mono
	sum    time.Duration // of earlier such times
}

// begin begins to count, in a term, without a leader.
func (e *elections) begin(term uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.term, e.none, e.since = term, true, e.mono()
}

// see takes what raft says now; an empty leader is none.
func (e *elections) see(term uint64, leader string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if term > e.term {
		e.metrics.terms.Add(float64(term - e.term))
		e.term = term
	}
	switch now := e.mono(); {
	case leader == "" && !e.none:
		e.none, e.since = true, now
	case leader != "" && e.none:
		e.none = false
		e.sum += now - e.since
	}
	if leader == "" || leader == e.leader {
		return
	}
	if e.leader != "" {
		e.metrics.leaders.Inc()
	}
	e.leader = leader
}

// without is how long this node has known of no leader, in seconds.
func (e *elections) without() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.sum
	if e.none {
		d += e.mono() - e.since
	}
	return d.Seconds()
}

// seeLeader has the metrics follow who leads.
func (s *Store) seeLeader() {
	_, leader := s.raft.LeaderWithID()
	s.elections.see(s.raft.CurrentTerm(), string(leader))
}
