package gateway

import (
	"context"

	"sitegate/license"
)

// WouldRefuse takes down, on whichever node, what relayed traffic was spared because its
// mode only observes. It never blocks, and is coalesced like a refusal: on this node,
// and once more on the leader for the whole site.
func (g *Gateway) WouldRefuse(c license.WouldRefuse) {
	g.observed.note(c.User, c.Machine, &c.Denial, func() license.Command { return c })
}

// tellObserved passes it on to the leader.
func (g *Gateway) tellObserved(ctx context.Context, c license.Command) error {
	would := c.(license.WouldRefuse)
	_, err := g.ask(ctx, request{WouldRefuse: &would})
	return err
}

// journalSpared journals it on the leader, if no other node has told the same lately.
func (g *Gateway) journalSpared(ctx context.Context, c license.WouldRefuse) (license.Outcome, error) {
	if first, _ := g.spared.first(refusal{c.User, c.Machine, c.Denial.Reason}); !first {
		return license.Outcome{Repeat: true}, nil
	}
	return g.log.Propose(ctx, c)
}
