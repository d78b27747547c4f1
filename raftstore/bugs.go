package raftstore

import "sitegate/license"

// bug is a mistake that a program built with the tag "faults" makes when it is
// told to: the checks that look for such mistakes are shown to find them.
type bug string

const (
	// bugStaleLeader: a leader believes for another two seconds that it leads, and
	// answers by its own state what a majority did not take from it.
	bugStaleLeader bug = "stale-leader"
	// bugLostSync: what was appended to the log is not synced; a process that is
	// killed loses it as a power cut would.
	bugLostSync bug = "lost-sync"
	// bugAnyGeneration: an expiry ends a session whatever came of it since it was
	// found to have run out.
	bugAnyGeneration bug = "any-generation"
	// bugAppliedTwice: a node that starts applies the last entries of its state again.
	bugAppliedTwice bug = "applied-twice"
)

// guess is bugStaleLeader.
func (s *Store) guess(c license.Command) license.Outcome {
	s.fsm.mu.RLock()
	state := s.fsm.state.Clone()
	s.fsm.mu.RUnlock()
	out, _ := license.Apply(state, license.Entry{At: s.clock.now(), Command: c})
	return out
}

// anyGeneration is bugAnyGeneration.
func (f *fsm) anyGeneration(c license.Command) license.Command {
	if e, ok := c.(license.Expire); ok {
		if x := f.state.Session(e.ID); x != nil {
			e.Generation = x.Generation
			return e
		}
	}
	return c
}
