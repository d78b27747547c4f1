package gateway

import (
	"context"

	"sitegate/license"
)

// GiveCredential makes an API token, a sign-in, or the token for the first account.
func (g *Gateway) GiveCredential(ctx context.Context, c license.GiveCredential) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{GiveCredential: &c})
}

// UseCredential notes that a credential is in use.
func (g *Gateway) UseCredential(ctx context.Context, c license.UseCredential) (Answer, error) {
	return g.ask(ctx, request{UseCredential: &c})
}

// EndCredential takes credentials back.
func (g *Gateway) EndCredential(ctx context.Context, c license.EndCredential) (Answer, error) {
	return g.ask(ctx, request{EndCredential: &c})
}

// SetLocalAccount makes a local account, or gives it another password.
func (g *Gateway) SetLocalAccount(ctx context.Context, c license.SetLocalAccount) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{SetLocalAccount: &c})
}

// RemoveLocalAccount takes a local account away.
func (g *Gateway) RemoveLocalAccount(ctx context.Context, c license.RemoveLocalAccount) (Answer, error) {
	return g.ask(ctx, request{RemoveLocalAccount: &c})
}

// takenBack reports whether a denial says no more than that what was to be taken back is
// not there: after an answer was lost, that is what was asked for.
func (r *request) takenBack(d *license.Denial) bool {
	return d != nil && d.Reason == license.UnknownCredential && (r.EndCredential != nil || r.RemoveLocalAccount != nil)
}
