package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sitegate/license"
)

// The level of a cluster. Every program can do the levels up to license.Level; the
// cluster works at one of them, which is in the state and goes up by an entry of the
// log. The leader proposes it when every member, those without a vote too, answers and
// can do a higher one, and none holds it back. What is stored at a higher level begins
// with it (see position), and so does what a newcomer says of itself: a program that
// cannot do it reads no further.

// NewerLevel says that what was found is of a later version than this program.
type NewerLevel struct {
	Level   uint32 // at which the cluster works
	Program string // a version that can do it; empty: not known
}

// Error says which version is needed.
func (n *NewerLevel) Error() string {
	version := n.Program
	if version == "" {
		version = "a later version"
	} else {
		version = "version " + version + ", or a later one,"
	}
	return fmt.Sprintf("the cluster works at level %d, which a later program has raised it to, and this program can do level %d: install %s on this node",
		n.Level, license.Level, version)
}

// within refuses an entry that raises the cluster to a level beyond this program's:
// from there on it would decide otherwise than the others.
func within(commands []license.Command) error {
	for _, c := range commands {
		switch c := c.(type) {
		case license.Found:
			if c.Level > license.Level {
				return &NewerLevel{Level: c.Level}
			}
		case license.RaiseLevel:
			if c.Level > license.Level {
				return &NewerLevel{Level: c.Level, Program: c.Program}
			}
		}
	}
	return nil
}

// levelReport is what a node says of its program.
type levelReport struct {
	Level uint32 `cbor:"1,keyasint"`           // the highest that it can do
	Holds bool   `cbor:"2,keyasint,omitempty"` // its operator wants the cluster to stay where it is
}

func (s *Store) ownLevel() levelReport { return levelReport{license.Level, s.cfg.HoldLevel} }

// level asks a peer for its level. A program that does not know the question is of
// before there was a second level.
func (p *peer) level(ctx context.Context) (levelReport, error) {
	var l levelReport
	err := p.ask(ctx, methodLevel, struct{}{}, &l)
	var unknown *remoteError
	if errors.As(err, &unknown) {
		return levelReport{Level: 1}, nil
	}
	return l, err
}

// raisable is the level that a cluster can go up to, by what all of its members say;
// the one that it is at where it cannot.
func raisable(at uint32, said []levelReport) uint32 {
	to := uint32(license.Level)
	for _, l := range said {
		if l.Holds {
			return at
		}
		to = min(to, l.Level)
	}
	return max(at, to)
}

// raise has the cluster work at a higher level once every member can. They are asked
// anew, at once: one that answered a moment ago may have been stopped since, and be on
// its way back to an earlier version.
func (s *Store) raise(ctx context.Context, members []member) {
	at := s.levelNow()
	if at == 0 || at >= license.Level {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	said := make([]levelReport, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		if m.name == s.cfg.Node {
			said[i] = s.ownLevel()
			continue
		}
		address := s.mux.movedTo(m.name, m.address)
		group.Go(func() {
			l, err := s.peer(m.name, address).level(ctx)
			if err == nil {
				said[i] = l // else zero: no level at all
			}
		})
	}
	group.Wait()
	to := raisable(at, said)
	if to == at {
		return
	}
	out, err := s.Propose(ctx, license.RaiseLevel{Level: to, Program: s.cfg.Version})
	if err != nil || out.Denial != nil {
		s.log.Warn("the cluster's level could not be raised", "level", to, "denial", reasonOf(out.Denial), "err", err)
		return
	}
	s.log.Info("every member can do it, and the cluster works at a higher level from here on", "level", to, "was", at, "version", s.cfg.Version)
}

// levelNow is the level at which the cluster works; zero: it was not founded yet.
func (s *Store) levelNow() (level uint32) {
	s.View(func(st *license.State) { level = st.Head().Level })
	return level
}

// checkLevel refuses a newcomer whose program cannot do what the cluster works at.
func (s *Store) checkLevel(r joinRequest) error {
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	can := max(r.Level, 1)
	if can >= head.Level {
		return nil
	}
	version := head.Program
	if version == "" {
		version = s.cfg.Version
	}
	return refusef("This cluster works at level %d, and the newcomer's program, version %s, can do level %d: install version %s of sitegate on it, or a later one.",
		head.Level, r.Version, can, version)
}
