package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"sitegate/license"
)

// Answer is what became of a request, and the token of the state it was decided
// on.
type Answer struct {
	Outcome license.Outcome
	Epoch   uint64
	Seq     uint64
	// Pending: it is not done yet, and goes on.
	Pending bool `json:",omitempty"`
	// Took is of starts and checkouts.
	Took Stages `json:",omitzero"`
}

// The times of a request.
const (
	// Life is how long a request may be under way before the rules refuse it.
	Life = 30 * time.Second
	// Patience is how long a node looks for a leader on behalf of a request.
	Patience = 8 * time.Second

	defaultAskTimeout = 5 * time.Second
)

// Start asks for a product on a machine. The same ID again is the same request.
func (g *Gateway) Start(ctx context.Context, c license.Start) (Answer, error) {
	c.Agreed, c.Relayed, c.NotAfter = false, false, g.log.Now().Add(Life)
	return g.ask(ctx, request{Start: &c})
}

// Stop ends a session at its client's word.
func (g *Gateway) Stop(ctx context.Context, c license.Stop) (Answer, error) {
	return g.ask(ctx, request{Stop: &c})
}

// CheckOut asks for a checkout; the cloud must agree. Without an Until it is as
// long as the site's default, or as is allowed.
func (g *Gateway) CheckOut(ctx context.Context, c license.CheckOut) (Answer, error) {
	c.Agreed, c.Imported, c.NotAfter = false, false, g.log.Now().Add(Life)
	return g.ask(ctx, request{CheckOut: &c})
}

// Return gives a checkout back.
func (g *Gateway) Return(ctx context.Context, c license.Return) (Answer, error) {
	return g.ask(ctx, request{Return: &c})
}

// WriteOff gives a checkout up for lost, by an administrator. It frees nothing
// until its machine returns it, the cloud confirms the check-in, or it ends.
func (g *Gateway) WriteOff(ctx context.Context, c license.WriteOff) (Answer, error) {
	return g.ask(ctx, request{WriteOff: &c})
}

// Wait asks to be told when a product can be started.
func (g *Gateway) Wait(ctx context.Context, c license.Wait) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{Wait: &c})
}

// EndWait gives a wait up.
func (g *Gateway) EndWait(ctx context.Context, c license.EndWait) (Answer, error) {
	return g.ask(ctx, request{EndWait: &c})
}

// Release ends a session by an administrator.
func (g *Gateway) Release(ctx context.Context, c license.Release) (Answer, error) {
	return g.ask(ctx, request{Release: &c})
}

// Renew counts heartbeats; see Log.Renew.
func (g *Gateway) Renew(ctx context.Context, r []license.Renewal) ([]license.Lease, error) {
	return g.log.Renew(ctx, r)
}

// View reads this node's state, which may be a few milliseconds behind the
// leader's. f must not keep or change anything of it.
func (g *Gateway) View(f func(*license.State)) { g.log.View(f) }

// CatchUp returns once this node knows everything that its site knew when it was called: that
// takes a leader. A node that plays its log again, or has just joined, knows its site by name
// long before.
func (g *Gateway) CatchUp(ctx context.Context) error { return g.log.CatchUp(ctx) }

// Now is the cluster's time, on this node's clock since the last entry it knows.
func (g *Gateway) Now() license.Time { return g.log.Now() }

// Cluster tells of the members.
func (g *Gateway) Cluster() Cluster { return g.log.Cluster() }

// ask decides a request here if this node leads, else at the leader. Every
// request is idempotent by its id, so a leader lost on the way is no reason to
// trouble the client: the next one is asked the same.
func (g *Gateway) ask(ctx context.Context, r request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	lost := false // an answer was: it may have been done
	for try := 0; ; try++ {
		answer, err := g.decide(ctx, r)
		if errors.Is(err, ErrNotLeader) {
			answer, err = g.forward(ctx, r)
		}
		if err == nil && lost && r.takenBack(answer.Outcome.Denial) {
			answer.Outcome = license.Outcome{Repeat: true}
		}
		if err == nil || !retryable(err) {
			return answer, err
		}
		if lost = lost || errors.Is(err, ErrUnknown); lost {
			err = ErrUnknown // that no leader is there by now does not say what became of it
		}
		pause := time.Duration(10+rand.IntN(20<<min(try, 3))) * time.Millisecond
		select {
		case <-ctx.Done():
			return Answer{}, err
		case <-time.After(pause):
		}
	}
}

func retryable(err error) bool {
	return errors.Is(err, ErrNotLeader) || errors.Is(err, ErrNoLeader) || errors.Is(err, ErrUnknown)
}

// decide carries a request out on the leader.
func (g *Gateway) decide(ctx context.Context, r request) (Answer, error) {
	if !g.begin() {
		return Answer{}, ErrNotLeader
	}
	var out license.Outcome
	var pending bool
	took := timing{last: time.Now()}
	var err error
	switch {
	case r.Start != nil:
		out, err = g.start(ctx, *r.Start, &took)
	case r.StartRelayed != nil:
		out, err = g.startRelayed(ctx, *r.StartRelayed, &took)
	case r.CheckOut != nil:
		out, err = g.checkOut(ctx, *r.CheckOut, &took)
	case r.Stop != nil:
		out, err = g.log.Propose(ctx, *r.Stop)
	case r.Return != nil:
		out, err = g.log.Propose(ctx, *r.Return)
	case r.WriteOff != nil:
		out, err = g.log.Propose(ctx, *r.WriteOff)
	case r.Wait != nil:
		out, err = g.wait(ctx, *r.Wait)
	case r.takeover() != nil:
		out, err = g.wait(ctx, r.takeover())
	case r.EndWait != nil:
		out, err = g.log.Propose(ctx, *r.EndWait)
	case r.Release != nil:
		out, err = g.log.Propose(ctx, *r.Release)
	case r.Move != nil:
		out, err = g.move(ctx, *r.Move)
	case r.Block != nil:
		out, err = g.log.Propose(ctx, *r.Block)
	case r.Unblock != nil:
		out, err = g.log.Propose(ctx, *r.Unblock)
	case r.GiveCredential != nil:
		out, err = g.log.Propose(ctx, *r.GiveCredential)
	case r.UseCredential != nil:
		out, err = g.log.Propose(ctx, *r.UseCredential)
	case r.EndCredential != nil:
		out, err = g.log.Propose(ctx, *r.EndCredential)
	case r.SetLocalAccount != nil:
		out, err = g.log.Propose(ctx, *r.SetLocalAccount)
	case r.RemoveLocalAccount != nil:
		out, err = g.log.Propose(ctx, *r.RemoveLocalAccount)
	case r.ReleaseUser != nil:
		out, err = g.log.Propose(ctx, *r.ReleaseUser)
	case r.Refresh != nil:
		err = g.refresh(ctx)
	case r.SignOut != nil:
		out, err = g.log.Propose(ctx, *r.SignOut)
	case r.WouldRefuse != nil:
		out, err = g.journalSpared(ctx, *r.WouldRefuse)
	case r.Observe != nil:
		out, err = g.seeObserved(ctx, *r.Observe)
	case r.Refused != nil:
		g.noteWithheld(*r.Refused)
	case r.AcceptRestore != nil:
		out, err = g.log.Propose(ctx, *r.AcceptRestore)
	case r.AcceptTime != nil:
		out, err = g.acceptTime(ctx, *r.AcceptTime)
	case r.ExportUsage != nil:
		out, err = g.log.Propose(ctx, *r.ExportUsage)
	case r.ReceiveUsage != nil:
		out, err = g.log.Propose(ctx, *r.ReceiveUsage)
	case r.NoteAlert != nil:
		out, err = g.log.Propose(ctx, *r.NoteAlert)
	case r.NoteLockout != nil:
		out, err = g.log.Propose(ctx, *r.NoteLockout)
	case r.NoteKeys != nil:
		out, err = g.log.Propose(ctx, *r.NoteKeys)
	case r.AcceptKeys != nil:
		out, err = g.log.Propose(ctx, *r.AcceptKeys)
	case r.ResendUsage != nil:
		pending, err = g.resendNow(ctx, *r.ResendUsage)
	case r.BindKey != nil:
		out, err = g.bindKey(ctx, *r.BindKey)
	case r.SeeKey != nil:
		out, err = g.log.Propose(ctx, *r.SeeKey)
	case r.ForgetKey != nil:
		out, err = g.log.Propose(ctx, *r.ForgetKey)
	case r.NoteRevoked != nil:
		out, err = g.log.Propose(ctx, *r.NoteRevoked)
	case r.trail() != nil:
		out, err = g.log.Propose(ctx, r.trail())
	case r.Learn != nil:
		out, err = g.log.Propose(ctx, *r.Learn)
	case r.Maintain != nil:
		out, err = g.log.Propose(ctx, *r.Maintain)
	case r.LetPass != nil:
		out, err = g.log.Propose(ctx, *r.LetPass)
	case r.Report != nil:
		out, err = g.report(ctx, *r.Report, r.Product)
	case r.ImportCheckout != nil:
		out, err = g.importCheckout(ctx, *r.ImportCheckout, &took)
	case r.KeepPosting != nil:
		out, err = g.keepPosting(ctx, *r.KeepPosting)
	case r.Import != nil:
		out, err = g.log.Propose(ctx, *r.Import)
	case r.AcceptShrink != nil:
		out, err = g.log.Propose(ctx, *r.AcceptShrink)
		if g.cloud != nil {
			g.reread.ask() // so that it comes in now
		}
	default:
		return Answer{}, fmt.Errorf("the request says nothing this node knows: is it from a newer version?")
	}
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Outcome: out, Pending: pending, Took: took.Stages}
	g.log.View(func(s *license.State) { a.Epoch, a.Seq = s.Head().Epoch, s.Head().Seq })
	return a, nil
}

func (g *Gateway) start(ctx context.Context, c license.Start, took *timing) (license.Outcome, error) {
	return g.grant(ctx, c.User, c.Machine, c.Client, took, func(agreed bool) license.Command {
		c.Agreed = agreed
		return c
	})
}

func (g *Gateway) checkOut(ctx context.Context, c license.CheckOut, took *timing) (license.Outcome, error) {
	return g.grant(ctx, c.User, c.Machine, "", took, func(agreed bool) license.Command {
		if c.Until == 0 { // what the cloud agrees to is what is granted, to the millisecond
			now := g.log.Now()
			g.log.View(func(s *license.State) { c.Until = license.CheckoutEnd(s, now, c) })
		}
		c.Agreed = agreed
		return c
	})
}

// opens reports whether a command would grant something anew, and is not one that
// was carried out before.
func (g *Gateway) opens(c license.Command) (opens bool) {
	g.log.View(func(s *license.State) {
		switch c := c.(type) {
		case license.Start:
			opens = s.Session(c.ID) == nil
		case license.CheckOut:
			opens = s.Checkout(c.ID) == nil
		}
	})
	return opens
}

// unfit is why nothing new is granted while this node leads; nil: it is fit.
func (g *Gateway) unfit() error {
	switch {
	case g.Disk().Low:
		return ErrDiskLow
	case g.Diverged():
		return ErrDiverged
	}
	return nil
}

// Diverged reports whether the nodes were found to have different states, with no
// majority for any of them.
func (g *Gateway) Diverged() bool { return g.diverged != nil && g.diverged() }

// Disk is the room on this node's disk.
func (g *Gateway) Disk() Disk {
	if g.disk == nil {
		return Disk{}
	}
	return g.disk()
}

// wait proposes what needs a mirror that has been read.
func (g *Gateway) wait(ctx context.Context, c license.Command) (license.Outcome, error) {
	var filled bool
	g.log.View(func(s *license.State) { filled = s.Head().Filled })
	if !filled {
		return license.Outcome{}, ErrNotReady
	}
	return g.log.Propose(ctx, c)
}

// grant is the order of a start or a checkout: refuse from this site's state, ask
// the cloud, propose. One per user is under way at a time.
func (g *Gateway) grant(ctx context.Context, user license.UserID, m license.Machine, client string, took *timing, command func(agreed bool) license.Command) (license.Outcome, error) {
	unlock, err := g.users.lock(ctx, string(user))
	if err != nil {
		return license.Outcome{}, err
	}
	defer unlock()

	d, err := g.refuse(ctx, command(true))
	if err != nil {
		return license.Outcome{}, err
	}
	took.end(&took.Check)
	if err := g.unfit(); err != nil && d == nil && g.opens(command(true)) {
		return license.Outcome{}, err
	}
	var out license.Outcome
	if out.Denial = d; d == nil {
		out, err = g.agreeAndPropose(ctx, took, command)
	}
	g.refusals.note(refusal{user: user, machine: m}, out.Denial, func() license.Command {
		return license.Refused{User: user, Machine: m, Denial: *out.Denial, Client: client}
	})
	return out, err
}

func (g *Gateway) agreeAndPropose(ctx context.Context, took *timing, command func(agreed bool) license.Command) (license.Outcome, error) {
	term, _ := g.log.Leading()
	agreed, hold, d := g.agree(ctx, command(false))
	took.end(&took.Cloud)
	if d != nil {
		if now, leads := g.log.Leading(); !leads || now != term {
			return license.Outcome{}, ErrNotLeader // what the cloud refused for may be given up by the next leader
		}
		return license.Outcome{Denial: d}, nil
	}
	out, err := license.Outcome{}, ctx.Err()
	if err == nil {
		out, err = g.log.Propose(ctx, command(agreed))
		took.end(&took.Commit)
	} // else who asked has gone, and nothing is proposed
	if hold != nil {
		g.holds.decided(*hold, out, err)
	}
	return out, err
}

// refuse says what this site's state alone refuses. A denial is as fresh as a
// write: a majority has confirmed the leader before it is given.
func (g *Gateway) refuse(ctx context.Context, c license.Command) (*license.Denial, error) {
	check := func() (d *license.Denial, filled bool) {
		now := g.log.Now()
		g.log.View(func(s *license.State) { d, filled = license.Check(s, now, c), s.Head().Filled })
		return d, filled
	}
	d, filled := check()
	if d == nil && filled {
		return nil, nil
	}
	if err := g.log.Fresh(ctx); err != nil {
		return nil, err
	}
	if d, filled = check(); !filled {
		return nil, ErrNotReady
	}
	return d, nil
}

// agree asks the cloud to keep the hold that c would open. agreed is false where
// it was not asked or could not be: the rules then say how far the site may go
// alone. hold is what the cloud was asked for, to be decided; nil with a denial.
func (g *Gateway) agree(ctx context.Context, c license.Command) (agreed bool, hold *license.CloudHold, d *license.Denial) {
	var would license.CloudHold
	var needed, uncapped bool
	now := g.log.Now()
	g.log.View(func(s *license.State) {
		would, needed = license.WouldHold(s, now, c)
		if start, ok := c.(license.Start); ok {
			p := s.Product(start.Product)
			uncapped = p != nil && !p.Single()
		}
	})
	switch {
	case g.cloud == nil || !g.link.up():
		return false, nil, nil
	case !needed:
		// An uncapped product needs a cloud that answers. What runs under a checkout
		// needs nothing, and if that ends meanwhile, the cloud was not asked.
		return uncapped && g.link.sure(ctx), nil, nil
	}
	if !g.holds.offered() || !g.asks.allow() {
		return false, nil, nil
	}
	again := g.holds.begin(would)
	ask, cancel := context.WithTimeout(ctx, g.askTimeout)
	defer cancel()
	asked := time.Now()
	d, err := g.holds.ask(ask, would)
	g.offers.heard(ofHolds, err)
	g.heardOfHold(ctx, time.Since(asked), err)
	if isNotOffered(err) {
		g.holds.notOffered()
		g.holds.end(would)
		return false, nil, nil
	}
	if err != nil {
		g.logger.Warn("the cloud was not heard on a hold", "id", requestOf(ctx), "user", would.User, "machine", would.Machine.Name, "product", would.Product, "err", err)
		g.link.suspect()
		return false, &would, nil
	}
	if d != nil {
		if listed := g.holds.end(would); listed || again {
			g.holds.free(would) // the cloud may have it all the same
		}
		d.Product, d.License, d.Elsewhere = would.Product, would.License, true
		if d.Holding == "" && d.Reason == license.MachineActive {
			d.Holding = would.License
		}
		return false, nil, d
	}
	return true, &would, nil
}

// heardOfHold notes how a question about a hold went.
func (g *Gateway) heardOfHold(ctx context.Context, took time.Duration, err error) {
	if err != nil && ctx.Err() != nil {
		g.asks.gone()
		return
	}
	was := g.asks.slow()
	closed := g.asks.done(took, err != nil && !isNotOffered(err))
	if g.asks.slow() != was {
		g.link.poke()
	}
	if closed {
		g.holds.catchUp() // what was granted meanwhile is to be confirmed
	}
}

// fence orders this leader's requests to the cloud.
func (g *Gateway) fence() license.Fence {
	f := license.Fence{Order: g.order.Add(1)}
	f.Term, _ = g.log.Leading()
	g.log.View(func(s *license.State) { f.Epoch = s.Head().Epoch })
	return f
}
