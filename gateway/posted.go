package gateway

import (
	"context"
	"slices"

	"sitegate/license"
)

// Report tells of a run of a product that the vendor's own client has posted, or of its
// end. The same again does nothing.
//
// A report without a session is of the one that its user has on its machine for the product,
// as the leader knows it: a node that has just passed on the policy, or what was posted
// before, may not have heard yet of what became of it.
func (g *Gateway) Report(ctx context.Context, c license.Report, product license.ProductID) (Answer, error) {
	return g.ask(ctx, request{Report: &c, Product: product})
}

func (g *Gateway) report(ctx context.Context, c license.Report, product license.ProductID) (license.Outcome, error) {
	known := false
	var d *license.Denial
	g.log.View(func(s *license.State) {
		x := s.Session(c.Session)
		if x == nil {
			x = license.RelayedSession(s, c.User, c.Machine, product)
		}
		if x != nil {
			c.Session, known = x.ID, slices.Contains(x.Runs, c.Run) || !c.Ends && x.KeptBy(c.Run)
			if c.Ends && x.From != "" && c.From != x.From {
				known = false // it ends nothing
			}
			d = license.Check(s, g.log.Now(), c)
		}
	})
	switch {
	case c.Session.IsZero():
		return license.Outcome{Denial: &license.Denial{Reason: license.UnknownSession, Product: product}}, nil
	case d != nil:
		return license.Outcome{Denial: d}, nil
	case known != c.Ends:
		return license.Outcome{Repeat: true}, nil // there is nothing to change
	}
	return g.log.Propose(ctx, c)
}

// KeepPosting takes over what the vendor's own client has posted, while the link is down:
// once it has answered, it is on the disks of a majority, and the outbox delivers it.
// ErrCloud: the link is up, or there is none, so that the client keeps what it has.
func (g *Gateway) KeepPosting(ctx context.Context, c license.KeepPosting) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{KeepPosting: &c})
}

func (g *Gateway) keepPosting(ctx context.Context, c license.KeepPosting) (license.Outcome, error) {
	taken := false
	g.log.View(func(s *license.State) { taken = c.Taken(s, g.log.Now()) })
	if taken { // who led before took it, and could not say so
		return license.Outcome{Repeat: true}, nil
	}
	if g.cloud == nil || g.head().Link.Up {
		return license.Outcome{}, ErrCloud
	}
	if err := g.unfit(); err != nil {
		return license.Outcome{}, err
	}
	return g.log.Propose(ctx, c)
}
