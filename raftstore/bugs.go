package raftstore

import (
	"context"

	"sitegate/license"
)

// bug is a mistake that a program built with the tag "faults" makes when it is
// told to: the checks that look for such mistakes are shown to find them.
type bug string

const (
	// bugEarlyAnswer: a leader answers by its own state what it has proposed, before
	// a majority has it, and believes without asking that it leads.
	bugEarlyAnswer bug = "early-answer"
	// bugLostSync: what was appended to the log is not synced; a process that is
	// killed loses it as a power cut would.
	bugLostSync bug = "lost-sync"
	// bugAnyGeneration: an expiry ends a session whatever came of it since it was
	// found to have run out.
	bugAnyGeneration bug = "any-generation"
	// bugAppliedTwice: a node that starts applies the last entries of its state again.
	bugAppliedTwice bug = "applied-twice"
)

// answerEarly is bugEarlyAnswer.
func (s *Store) answerEarly(ctx context.Context, c license.Command) license.Outcome {
	s.fsm.mu.RLock()
	guess := s.fsm.state.Clone()
	s.fsm.mu.RUnlock()
	out, _ := license.Apply(guess, license.Entry{At: s.clock.now(), Command: c})
	s.spawn(func() { s.batcher.do(context.WithoutCancel(ctx), c) })
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
