package gateway

import (
	"context"

	"sitegate/license"
)

// StartRelayed makes a session of what the vendor has signed that the vendor's own client
// may use. The cloud has agreed by that and is not asked again; what another machine of the
// site holds, it may not know of. A session of the user, machine and product that is
// there already is the answer, and nothing is logged for it.
func (g *Gateway) StartRelayed(ctx context.Context, c license.Start) (Answer, error) {
	c.Relayed, c.Agreed, c.NotAfter = true, true, g.log.Now().Add(Life)
	return g.ask(ctx, request{StartRelayed: &c})
}

// StartKept makes a session of what the vendor signed before that its own client may use,
// while it cannot be asked. It is the site alone that grants it, as far as the account's
// terms go.
func (g *Gateway) StartKept(ctx context.Context, c license.Start) (Answer, error) {
	c.Relayed, c.Agreed, c.NotAfter = true, false, g.log.Now().Add(Life)
	return g.ask(ctx, request{StartRelayed: &c})
}

func (g *Gateway) startRelayed(ctx context.Context, c license.Start, took *timing) (license.Outcome, error) {
	unlock, err := g.users.lock(ctx, string(c.User))
	if err != nil {
		return license.Outcome{}, err
	}
	defer unlock()

	var there *license.Session
	now := g.log.Now()
	g.log.View(func(s *license.State) {
		if x := license.RelayedSession(s, c.User, c.Machine, c.Product); x != nil && x.ID != c.ID && x.Renewable(now) {
			copied := *x
			there = &copied
		}
	})
	if there != nil {
		return license.Outcome{Session: there, Repeat: true}, nil
	}
	out, err := g.proposeAgreed(ctx, c, took)
	if err != nil {
		return license.Outcome{}, err
	}
	g.refusals.note(refusal{user: c.User, machine: c.Machine, offline: c.Offline}, out.Denial, func() license.Command {
		return license.Refused{User: c.User, Machine: c.Machine, Denial: *out.Denial, Client: c.Client, Relayed: true, Offline: c.Offline}
	})
	if out.Denial != nil && out.Denial.Reason == license.MachineActive {
		g.holds.catchUp() // the cloud allowed what the site holds: it is told anew who holds what
	}
	return out, nil
}

// proposeAgreed is grant for what the vendor has agreed to by its signature. The caller has
// the user's lock.
func (g *Gateway) proposeAgreed(ctx context.Context, c license.Command, took *timing) (license.Outcome, error) {
	d, err := g.refuse(ctx, c)
	took.end(&took.Check)
	switch {
	case err != nil:
		return license.Outcome{}, err
	case d != nil:
		return license.Outcome{Denial: d}, nil
	}
	if err := g.unfit(); err != nil && g.opens(c) {
		return license.Outcome{}, err
	}
	if err := ctx.Err(); err != nil {
		return license.Outcome{}, err // who asked has gone
	}
	out, err := g.log.Propose(ctx, c)
	took.end(&took.Commit)
	return out, err
}

// ImportCheckout enters a checkout that the vendor has made, by its file, of which the
// caller has checked the signature.
func (g *Gateway) ImportCheckout(ctx context.Context, c license.CheckOut) (Answer, error) {
	c.Agreed, c.Imported, c.NotAfter = true, true, g.log.Now().Add(Life)
	return g.ask(ctx, request{ImportCheckout: &c})
}

func (g *Gateway) importCheckout(ctx context.Context, c license.CheckOut, took *timing) (license.Outcome, error) {
	unlock, err := g.users.lock(ctx, string(c.User))
	if err != nil {
		return license.Outcome{}, err
	}
	defer unlock()
	out, err := g.proposeAgreed(ctx, c, took)
	if err != nil {
		return license.Outcome{}, err
	}
	g.refusals.note(refusal{user: c.User, machine: c.Machine}, out.Denial, func() license.Command {
		return license.Refused{User: c.User, Machine: c.Machine, Denial: *out.Denial}
	})
	g.holds.catchUp() // the cloud is told of it with the rest
	return out, nil
}
