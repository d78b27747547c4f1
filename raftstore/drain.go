package raftstore

import (
	"context"
	"errors"
	"fmt"
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
	heirs, err := s.successors(ctx)
	if err == nil && !slices.ContainsFunc(heirs, func(h heir) bool { return !h.drained }) {
		return refusef("No other voting node could lead: those that answer are drained already. Start one of them again first.")
	}
	return nil
}

// Drain has this node lead no more: what it leads it hands over, now and whenever
// it is elected. It goes on voting and keeping the log until it is closed.
func (s *Store) Drain(ctx context.Context) error {
	if err := s.MayDrain(ctx); err != nil {
		return err
	}
	s.roster.drained.Store(true)
	if s.raft.State() != raft.Leader {
		return nil
	}
	if err := s.StepDown(ctx); err != nil && !errors.Is(err, ErrNotLeader) {
		s.roster.drained.Store(false)
		return err
	}
	return nil
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
			err := s.peer(m.name, s.mux.movedTo(m.name, m.address)).wish(ctx, methodDrain, drainWish{over})
			if neverSent(err) {
				return refusef("%s does not answer, so it cannot be told: %v.", m.name, err)
			}
			return err
		}
	}
	return refusef("There is no other node %s.", node)
}

// drainFor drains this node as another one was asked to.
func (s *Store) drainFor(ctx context.Context, from string, over time.Duration) error {
	if s.cfg.Drain == nil {
		return errors.New("this node cannot be drained from another one")
	}
	if over < 0 || over > maxDrain {
		return fmt.Errorf("%v is no time to drain a node over", over)
	}
	s.log.Info("this node is drained, as another was asked to", "peer", from)
	return s.cfg.Drain(ctx, over)
}
