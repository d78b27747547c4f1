package gateway

import (
	"context"
	"errors"
	"fmt"

	"sitegate/license"
)

// ErrCaller: what a caller has shown was not taken by the leader, or speaks for somebody
// else. A node that a client has asked has looked at it before, so that this is rare.
var ErrCaller = errors.New("the leader does not take what the caller has shown")

// CallerError is an ErrCaller that says why, in the word of whoever looked: it is the same
// for the caller, whichever node they have asked.
type CallerError struct {
	Word string // stable, such as expired
}

func (e *CallerError) Error() string { return ErrCaller.Error() + ": " + e.Word }

// Is reports whether it is an ErrCaller.
func (e *CallerError) Is(target error) bool { return target == ErrCaller }

// Who is for whom a proof speaks, as this node has verified it.
type Who struct {
	User    license.UserID
	Email   string
	Machine string        // the id of the machine that Proof is of; empty: any machine of the user's
	Proof   license.Proof // zero: none was shown
}

type proofKey struct{}

// WithProof notes what a request's caller has shown. The leader verifies it again: a node
// passes on what it was asked, and is not believed who has asked.
func WithProof(ctx context.Context, shown string) context.Context {
	return context.WithValue(ctx, proofKey{}, shown)
}

func proofOf(ctx context.Context) string {
	shown, _ := ctx.Value(proofKey{}).(string)
	return shown
}

// vouched reports whether a request that another node has passed on is its caller's: a
// user's own, by what they have shown; an administrator's, by their credential or, for a
// few, by that node's socket; or a word of the node itself. Whatever is none of them is not
// decided. From is empty where this node has passed it on to itself.
func (g *Gateway) vouched(ctx context.Context, from string, r *request) error {
	if g.verify == nil || from == "" {
		return nil
	}
	if n := r.commands(); n != 1 {
		return fmt.Errorf("a forwarded request asks for one thing, and not for %d that this node knows: is it from a newer version?", n)
	}
	r.stripped()
	if a := r.act(); a != nil {
		return g.vouchedAct(ctx, from, r, a)
	}
	if r.word(from) {
		return nil
	}
	s, asks := r.speaker()
	if !asks {
		return fmt.Errorf("%w: nobody speaks for it", ErrCaller)
	}
	if r.Proof == "" && g.relayed(*r) {
		return nil
	}
	if r.Proof == "" {
		return fmt.Errorf("%w: nothing was passed on", ErrCaller)
	}
	who, err := g.verify(ctx, r.Proof)
	if err != nil {
		return err
	}
	switch {
	case s.user != who.User,
		s.machine != "" && who.Machine != "" && s.machine != who.Machine,
		s.proof != nil && *s.proof != who.Proof,
		s.email != nil && *s.email != who.Email:
		return fmt.Errorf("%w: it does not speak for %s on %q", ErrCaller, s.user, s.machine)
	}
	return nil
}

// relayed reports whether a request ends what was relayed, and so what the vendor's own
// client has asked for, whose token the vendor alone can judge.
func (g *Gateway) relayed(r request) (is bool) {
	g.log.View(func(s *license.State) {
		switch {
		case r.Stop != nil:
			x := s.Session(r.Stop.ID)
			is = x == nil || x.Relayed // none: there is nothing to end
		case r.Return != nil:
			x := s.Checkout(r.Return.ID)
			is = x == nil || x.Relayed
		}
	})
	return is
}

// speaker is for whom a request says that it speaks.
type speaker struct {
	user    license.UserID
	machine string         // its id; empty: the request names none
	proof   *license.Proof // what it says was shown; nil: nothing
	email   *string        // that it says the user is signed in with; nil: nothing
}

// speaker finds out for whom a request is; false: for nobody in particular.
func (r *request) speaker() (speaker, bool) {
	switch {
	case r.Start != nil:
		return speaker{r.Start.User, r.Start.Machine.ID, &r.Start.Proof, &r.Start.Email}, true
	case r.BindKey != nil:
		return speaker{r.BindKey.User, r.BindKey.Machine.ID, &r.BindKey.Proof, &r.BindKey.Email}, true
	case r.CheckOut != nil && r.CheckOut.By == "":
		return speaker{r.CheckOut.User, r.CheckOut.Machine.ID, &r.CheckOut.Proof, nil}, true
	case r.Stop != nil:
		return speaker{r.Stop.User, r.Stop.Machine.ID, &r.Stop.Proof, nil}, true
	case r.Return != nil:
		return speaker{r.Return.User, r.Return.Machine.ID, &r.Return.Proof, nil}, true
	case r.Wait != nil:
		return speaker{r.Wait.User, r.Wait.Machine.ID, &r.Wait.Proof, nil}, true
	case r.EndWait != nil:
		return speaker{r.EndWait.User, "", &r.EndWait.Proof, nil}, true
	case r.Request != nil:
		return speaker{r.Request.User, r.Request.Machine.ID, &r.Request.Proof, nil}, true
	case r.LetGo != nil:
		return speaker{r.LetGo.User, r.LetGo.Machine.ID, &r.LetGo.Proof, nil}, true
	case r.Decline != nil:
		return speaker{r.Decline.User, r.Decline.Machine.ID, &r.Decline.Proof, nil}, true
	case r.SignOut != nil:
		return speaker{r.SignOut.User, r.SignOut.Machine.ID, &r.SignOut.Proof, nil}, true
	}
	return speaker{}, false
}

// BindKey has a machine go by a key from now on.
func (g *Gateway) BindKey(ctx context.Context, c license.BindKey) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{BindKey: &c})
}

// bindKey proposes it. Somebody else than who has asked should hear of a clone; and what a
// blocked machine shows as its own is blocked with it.
func (g *Gateway) bindKey(ctx context.Context, c license.BindKey) (license.Outcome, error) {
	out, err := g.wait(ctx, c)
	if err == nil {
		if d := out.Denial; d != nil && d.Reason == license.MachineBlocked && c.Proof.Host == "" {
			g.barKey(ctx, license.BarKey{User: c.User, Machine: c.Machine, Key: c.Proof.Key})
		}
		g.refusals.note(refusal{user: c.User, machine: c.Machine}, out.Denial, func() license.Command {
			return license.Refused{User: c.User, Machine: c.Machine, Denial: *out.Denial}
		})
	}
	return out, err
}

// barKey adds a key to the block of its machine, where that lacks it. The caller is refused
// whether that succeeds or not, and shows the key again with the next try.
func (g *Gateway) barKey(ctx context.Context, c license.BarKey) {
	var lacks bool
	g.log.View(func(s *license.State) { lacks = license.KeyUnbarred(s, c) })
	if !lacks {
		return
	}
	if _, err := g.log.Propose(ctx, c); err != nil && ctx.Err() == nil {
		g.logger.Warn("the key of a blocked machine could not be blocked with it", "user", c.User, "machine", c.Machine.Name, "err", err)
	}
}

// SeeKey notes in which network a machine's key was shown.
func (g *Gateway) SeeKey(ctx context.Context, c license.SeeKey) (Answer, error) {
	return g.ask(ctx, request{SeeKey: &c})
}

// ForgetKey takes a machine's keys from it, by an administrator.
func (g *Gateway) ForgetKey(ctx context.Context, c license.ForgetKey) (Answer, error) {
	return g.ask(ctx, request{ForgetKey: &c})
}
