package gateway

import (
	"context"
	"time"

	"sitegate/license"
)

// reach asks how far the site is. Its zero value is all there is to say.
type reach struct{}

// catchUpLook is how often a node looks whether it has come so far.
const catchUpLook = 20 * time.Millisecond

// CatchUp returns once this node knows everything that its site knew when it was called: that
// takes a leader. A node that plays its log again, or has just joined, knows its site by name
// long before.
func (g *Gateway) CatchUp(ctx context.Context) error {
	a, err := g.ask(ctx, request{Reach: &reach{}})
	if err != nil {
		return err
	}
	for {
		var there bool
		g.log.View(func(s *license.State) {
			h := s.Head()
			there = h.Epoch > a.Epoch || h.Epoch == a.Epoch && h.Seq >= a.Seq
		})
		if there {
			return nil
		}
		if !pause(ctx, catchUpLook) {
			return context.Cause(ctx)
		}
	}
}
