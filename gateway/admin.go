package gateway

import (
	"context"

	"sitegate/license"
)

// Mover is a Cloud that lets a site assign licenses. Not every cloud does: where
// it does not, moves are refused with license.CloudCannot.
type Mover interface {
	// Move asks the cloud to assign a license to another user; asking again is
	// harmless. Nil, nil: it has done so. A denial is its answer; an error says that it
	// could not be asked.
	Move(ctx context.Context, m license.Move) (*license.Denial, error)
}

// Move assigns a license to another user; the cloud must agree.
func (g *Gateway) Move(ctx context.Context, c license.Move) (Answer, error) {
	c.Agreed, c.Cannot, c.NotAfter = false, false, g.log.Now().Add(Life)
	return g.ask(ctx, request{Move: &c})
}

// Block keeps a user or a machine out of the site.
func (g *Gateway) Block(ctx context.Context, c license.Block) (Answer, error) {
	return g.ask(ctx, request{Block: &c})
}

// Unblock lets a user or a machine in again.
func (g *Gateway) Unblock(ctx context.Context, c license.Unblock) (Answer, error) {
	return g.ask(ctx, request{Unblock: &c})
}

// ReleaseUser ends all sessions of a user by an administrator.
func (g *Gateway) ReleaseUser(ctx context.Context, c license.ReleaseUser) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{ReleaseUser: &c})
}

// AcceptShrink lets the mirror that is held back come in. It does so soon after.
func (g *Gateway) AcceptShrink(ctx context.Context, c license.AcceptShrink) (Answer, error) {
	return g.ask(ctx, request{AcceptShrink: &c})
}

// Import brings a part of an administrator's file into the mirror.
func (g *Gateway) Import(ctx context.Context, c license.Import) (Answer, error) {
	return g.ask(ctx, request{Import: &c})
}

// Maintain announces maintenance, or takes it back.
func (g *Gateway) Maintain(ctx context.Context, c license.Maintain) (Answer, error) {
	return g.ask(ctx, request{Maintain: &c})
}

// LetPass begins a bypass, or ends the one that lasts.
func (g *Gateway) LetPass(ctx context.Context, c license.LetPass) (Answer, error) {
	return g.ask(ctx, request{LetPass: &c})
}

// AcceptTime takes the time of the nodes' clocks for the site's.
func (g *Gateway) AcceptTime(ctx context.Context, c license.AcceptTime) (Answer, error) {
	return g.ask(ctx, request{AcceptTime: &c})
}

// acceptTime sets the clock of this node, the leader, and notes it in the log.
func (g *Gateway) acceptTime(ctx context.Context, c license.AcceptTime) (license.Outcome, error) {
	err := g.log.Fresh(ctx)
	if err != nil {
		return license.Outcome{}, err
	}
	var d *license.Denial
	g.log.View(func(s *license.State) { d = license.Check(s, g.log.Now(), c) })
	if d != nil {
		return license.Outcome{Denial: d}, nil
	}
	if c.From, _, err = g.log.AcceptTime(ctx); err != nil {
		return license.Outcome{}, err
	}
	return g.log.Propose(ctx, c)
}

// SignOut ends a user's sessions on one machine.
func (g *Gateway) SignOut(ctx context.Context, c license.SignOut) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{SignOut: &c})
}

// move refuses what this site's state refuses, asks the cloud, and proposes. One
// move of a license is under way at a time.
func (g *Gateway) move(ctx context.Context, c license.Move) (license.Outcome, error) {
	unlock, err := g.users.lock(ctx, "license "+string(c.License))
	if err != nil {
		return license.Outcome{}, err
	}
	defer unlock()

	mover, can := g.cloud.(Mover)
	probe := c
	probe.Agreed = true
	if d, err := g.refuse(ctx, probe); d != nil || err != nil {
		return license.Outcome{Denial: d}, err
	}
	c.Cannot = !can
	g.log.View(func(s *license.State) {
		if l := s.License(c.License); l != nil {
			c.From = l.Assignee
		}
	})
	if can && c.From != c.To && g.link.sure(ctx) {
		ask, cancel := context.WithTimeout(ctx, g.askTimeout)
		defer cancel()
		d, err := mover.Move(ask, c)
		if d == nil || d.Reason != license.CloudCannot {
			g.offers.heard(ofMoves, err)
		} else {
			g.offers.heard(ofMoves, errNotOffered{})
		}
		switch {
		case err != nil:
			g.logger.Warn("the cloud was not heard on a move", "id", requestOf(ctx), "license", string(c.License), "err", err)
			g.link.suspect()
		case d != nil:
			d.License = c.License
			return license.Outcome{Denial: d}, nil
		}
		c.Agreed = err == nil
	}
	out, err := g.log.Propose(ctx, c)
	if err == nil && out.Denial == nil && c.From == c.To {
		// It was made before, maybe for this same wish, whose answer was lost: then nobody
		// has noted whose it was.
		_, err = g.log.Propose(ctx, license.NoteAct{What: "license-moved-already", By: c.By, User: c.To, About: string(c.License), Note: c.Note})
	}
	return out, err
}
