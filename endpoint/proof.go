package endpoint

import (
	"context"
	"errors"
	"strings"

	"sitegate/gateway"
	"sitegate/license"
)

// withProof notes what a caller has shown, which the leader wants to see, too.
func (c *call) withProof(ctx context.Context, of who) context.Context {
	if of == anyone {
		return ctx
	}
	if c.administrator.Way == BySocket {
		return gateway.WithSocket(ctx)
	}
	if shown, err := bearer(c.r); err == nil {
		return gateway.WithProof(ctx, shown)
	}
	if of == byRole {
		if shown, ok := shownCookie(c.r); ok {
			return gateway.WithProof(ctx, shown)
		}
	}
	return ctx
}

// accountProof begins what proves a sign-in by a local account: then come its name, a space
// and the password, by which the leader judges for itself.
const accountProof = "account "

// withPassword notes by what somebody signs in.
func withPassword(ctx context.Context, name, password string) context.Context {
	return gateway.WithProof(ctx, accountProof+name+" "+password)
}

// Administers finds out whose an administrator's credential is that was shown to another
// node, as the gateway wants to know it.
func (e *Endpoint) Administers(ctx context.Context, shown string) (gateway.Administrator, error) {
	who, err := e.credited(ctx, shown)
	var t *trouble
	switch {
	case errors.As(err, &t):
		return gateway.Administrator{}, gateway.ErrNotReady
	case err != nil:
		return gateway.Administrator{}, notTaken(err)
	}
	return who, nil
}

func (e *Endpoint) credited(ctx context.Context, shown string) (gateway.Administrator, error) {
	if account, ok := strings.CutPrefix(shown, accountProof); ok {
		return e.byPassword(ctx, account)
	}
	if tokens, ok := strings.CutPrefix(shown, codeProof); ok {
		return e.door.code.proven(ctx, tokens)
	}
	if digest, ok := secretDigest(prefixFirst, shown); ok {
		return gateway.Administrator{Secret: digest}, nil // the rules know whether there is one
	}
	digest, isCookie := secretDigest(prefixSignIn, shown)
	if isCookie {
		a, err := e.byCookie(shown, false) // noted where they came in
		return gateway.Administrator{Name: a.Name, Role: a.Role, Secret: digest}, err
	}
	a, err := e.byBearer(ctx, shown, func() error { return nil })
	who := gateway.Administrator{Name: a.Name, Role: a.Role, Scopes: a.Scopes}
	if a.Way == ByOIDC {
		who.Begins = license.SignedIn
	}
	return who, err
}

// byPassword finds out whose a local account's name and password are.
func (e *Endpoint) byPassword(ctx context.Context, shown string) (gateway.Administrator, error) {
	name, password, _ := strings.Cut(shown, " ")
	var account license.LocalAccount
	e.gw.View(func(s *license.State) { account, _ = license.LocalAccountOf(s, name) })
	leave, err := e.passwords.known.enter(ctx) // the node that asks has found it right
	if err != nil {
		return gateway.Administrator{}, err
	}
	defer leave()
	right, err := e.passwords.check(password, account.Hash)
	switch {
	case err != nil:
		return gateway.Administrator{}, err
	case !right:
		return gateway.Administrator{}, &authError{tokenUnknown}
	}
	return gateway.Administrator{Name: account.Name, Role: account.Role, Begins: license.SignedInHere}, nil
}
