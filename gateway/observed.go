package gateway

import (
	"context"

	"sitegate/license"
)

// WouldRefuse takes down, on whichever node, what relayed traffic was spared because its
// mode only observes. It never blocks, and is coalesced like a refusal: on this node,
// and once more on the leader for the whole site.
func (g *Gateway) WouldRefuse(c license.WouldRefuse) {
	g.observed.note(refusal{user: c.User, machine: c.Machine}, &c.Denial, func() license.Command { return c })
}

// Withheld takes down, on whichever node, that relayed traffic was refused what the vendor
// allows, where no start was asked for. It never blocks, and is coalesced as WouldRefuse is.
func (g *Gateway) Withheld(c license.Refused) {
	c.Relayed = true
	g.withheld.note(refusal{user: c.User, machine: c.Machine, offline: c.Offline}, &c.Denial, func() license.Command { return c })
}

// tellWithheld passes it on to the leader.
func (g *Gateway) tellWithheld(ctx context.Context, c license.Command) error {
	refused := c.(license.Refused)
	_, err := g.ask(ctx, request{Refused: &refused})
	return err
}

// noteWithheld has the leader journal it with what it has refused itself.
func (g *Gateway) noteWithheld(c license.Refused) {
	g.refusals.note(refusal{user: c.User, machine: c.Machine, offline: c.Offline}, &c.Denial, func() license.Command { return c })
}

// tellObserved passes it on to the leader.
func (g *Gateway) tellObserved(ctx context.Context, c license.Command) error {
	would := c.(license.WouldRefuse)
	_, err := g.ask(ctx, request{WouldRefuse: &would})
	return err
}

// journalSpared journals it on the leader, if no other node has told the same lately.
func (g *Gateway) journalSpared(ctx context.Context, c license.WouldRefuse) (license.Outcome, error) {
	if first, _ := g.spared.first(refusal{user: c.User, machine: c.Machine, reason: c.Denial.Reason}); !first {
		return license.Outcome{Repeat: true}, nil
	}
	return g.log.Propose(ctx, c)
}
