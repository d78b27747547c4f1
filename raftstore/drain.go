package raftstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// MayDrain refuses what Drain would refuse at once: where nobody else votes, and where the
// others that vote are drained, so that each would hand on what it is handed.
func (s *Store) MayDrain(ctx context.Context) error {
	if s.lastVoter() {
		return refusef("%s is the only voting node: there is none to take over from it. To stop it, just stop it.", s.cfg.Node)
	}
	if !s.anotherCouldLead(ctx) {
		return refusef("No other voting node could lead: the others are drained already, or do not answer. Start one of them again first.")
	}
	return nil
}

// anotherCouldLead reports whether another voter is not drained. One that does not say so at
// once is taken at its last word, if that is recent.
func (s *Store) anotherCouldLead(ctx context.Context) bool {
	heirs, _ := s.successors(ctx) // an error is that none answers
	return slices.ContainsFunc(s.others(), func(m member) bool {
		if i := slices.IndexFunc(heirs, func(h heir) bool { return h.name == m.name }); i >= 0 {
			return !heirs[i].drained
		}
		x, _ := s.sightingOf(m.name)
		return m.voter && s.well(m.name) && !x.Drained
	})
}

// Drain has this node lead no more, where another one could: what it leads it hands over, now
// and whenever it is elected. It goes on voting and keeping the log until it is closed. One
// call at a time; what is refused leaves it as it was.
func (s *Store) Drain(ctx context.Context) error {
	// Said before the others are asked: of those that are drained at once, the last sees that it is.
	was := s.roster.drained.Swap(true)
	err := s.MayDrain(ctx)
	if err == nil && s.raft.State() == raft.Leader {
		if err = s.StepDown(ctx); errors.Is(err, ErrNotLeader) {
			err = nil
		}
	}
	if err != nil {
		s.roster.drained.Store(was)
	}
	return err
}

// handOn gives up the lead of a drained node to one that is not, if one answers; among drained
// ones it would only go round.
func (s *Store) handOn(ctx context.Context) bool {
	heirs, _ := s.successors(ctx)
	heirs = slices.DeleteFunc(heirs, func(h heir) bool { return h.drained })
	if len(heirs) == 0 {
		return false
	}
	if err := s.handTo(ctx, heirs); err != nil {
		s.log.Warn("this node is drained and leads all the same", "err", err)
	}
	return true
}

// drainWish asks another node to be drained.
type drainWish struct {
	Over time.Duration `cbor:"476,keyasint,omitempty"` // that its clients have for going elsewhere
}

// maxDrain bounds what another node may ask for.
const maxDrain = 10 * time.Minute

// DrainOther has another member drained, by its Config.Drain. *Refused: why it is not.
func (s *Store) DrainOther(ctx context.Context, node string, over time.Duration) error {
	for _, m := range s.others() {
		if strings.EqualFold(m.name, node) {
			return notDrained(m.name, s.peer(m.name, m.address).wish(ctx, methodDrain, drainWish{over}))
		}
	}
	return refusef("There is no other node %s.", node)
}

// notDrained is why another node is not, for IT. What it knows how to do it answers by a verdict.
func notDrained(node string, err error) error {
	var unknown *remoteError
	switch {
	case errors.As(err, &unknown):
		return refusef("%s is of an earlier version: drain it on its own machine.", node)
	case neverSent(err):
		return refusef("%s does not answer, so it cannot be told: %v.", node, err)
	}
	return err
}

// drainFor drains this node as another one was asked to. *Refused: why it is not.
func (s *Store) drainFor(ctx context.Context, from string, over time.Duration) error {
	if s.cfg.Drain == nil {
		return refusef("%s cannot be drained from another node.", s.cfg.Node)
	}
	if over < 0 || over > maxDrain {
		return refusef("%v is no time to drain a node over.", over)
	}
	s.log.Info("this node is drained, as another was asked to", "peer", from)
	err := s.cfg.Drain(ctx, over)
	if err != nil && !errors.As(err, new(*Refused)) {
		err = refusef("%s could not be drained: %v.", s.cfg.Node, err)
	}
	return err
}
