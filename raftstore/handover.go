package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// askSuccessors is how long the other voters have to say how far they are.
	askSuccessors = 100 * time.Millisecond
	// finishLimit is how long what is under way has to finish before the leadership
	// is handed over. What has not finished by then may be answered with ErrUnknown, which
	// on a machine that is only busy costs more than to lead for a moment longer.
	finishLimit = time.Second
)

// StepDown hands the leadership to the voter that has most of the log, to one whose
// disk is low only where there is no other, and to a drained one last of all. What is under way finishes first;
// what is proposed from then on is refused with ErrNotLeader, for its caller to ask
// the successor. ErrNotLeader: this node does not lead. Any other error: it still
// leads, and goes on.
func (s *Store) StepDown(ctx context.Context) error {
	if s.raft.State() != raft.Leader {
		return ErrNotLeader
	}
	heirs, err := s.successors(ctx)
	if err != nil {
		return err
	}
	return s.handTo(ctx, heirs)
}

// handTo hands the leadership to the first of the heirs that takes it.
func (s *Store) handTo(ctx context.Context, heirs []heir) (err error) {
	term := s.raft.CurrentTerm()
	release := s.batcher.hold(ctx, s.cfg.finish)
	defer release()
	for _, m := range heirs {
		err = s.transfer(ctx, m.member)
		if s.raft.State() != raft.Leader || s.raft.CurrentTerm() != term {
			s.log.Info("the leadership was handed over", "term", term, "to", m.name)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.log.Warn("the leadership could not be handed to a node", "to", m.name, "err", err)
	}
	return fmt.Errorf("handing over the leadership: %w", err)
}

// heir is a voter that may lead next.
type heir struct {
	member
	last    uint64 // of its log
	low     bool   // so is its disk
	drained bool   // it would hand it on
	err     error
}

// successors are the other voters that answer, those with most of the log first,
// behind them those whose disk is low, and then those that are drained.
func (s *Store) successors(ctx context.Context) ([]heir, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.askHeirs)
	defer cancel()
	var voters []member
	for _, m := range s.others() {
		if m.voter {
			voters = append(voters, m)
		}
	}
	answers := make(chan heir, len(voters))
	for _, m := range voters {
		if !s.spawn(func() {
			t, err := s.peer(m.name, m.address).term(ctx)
			answers <- heir{m, t.Last, t.Disk == DiskLow, t.Drained, err}
		}) {
			return nil, ErrClosed
		}
	}
	var heirs []heir
	var failed error
	for range voters {
		if h := <-answers; h.err == nil {
			heirs = append(heirs, h)
		} else {
			failed = errors.Join(failed, fmt.Errorf("node %s: %w", h.name, h.err))
		}
	}
	if len(heirs) == 0 {
		return nil, fmt.Errorf("no other voting node answers that could lead: %w", cmp.Or(failed, errors.New("this is the only one")))
	}
	slices.SortFunc(heirs, func(a, b heir) int {
		return cmp.Or(cmp.Compare(a.behind(), b.behind()), cmp.Compare(b.last, a.last), cmp.Compare(a.name, b.name))
	})
	return heirs, nil
}

// behind orders heirs: the larger, the less fit.
func (h heir) behind() int {
	switch {
	case h.drained:
		return 2
	case h.low:
		return 1
	}
	return 0
}

func (s *Store) transfer(ctx context.Context, m member) error {
	done := make(chan error, 1)
	future := s.raft.LeadershipTransferToServer(raft.ServerID(m.name), raft.ServerAddress(m.address))
	go func() { done <- future.Error() }() // raft bounds it by its election timeout
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
