package endpoint

import (
	"context"
	"time"

	"sitegate/license"
)

// firstLife is how long a token for the first local account is good. The leader's clock, which
// it is held against, may be behind this node's.
const firstLife = license.MaxFirstLife - time.Minute

// NewFirstToken makes what OfferFirstAccount makes a token of.
func NewFirstToken() string { return newSecret(prefixFirst) }

// FirstAccount reports whether the site has no local account yet, how long a token is still
// good that the first one is made with, and how long one is that another node has; zero: it
// is not. What this node has offered and has not any more counts for nothing.
func (e *Endpoint) FirstAccount(node, token string) (needed bool, mine, others time.Duration) {
	digest, _ := secretDigest(prefixFirst, token)
	now := e.gw.Now()
	e.gw.View(func(s *license.State) {
		needed = len(license.LocalAccounts(s)) == 0
		for _, x := range license.Credentials(s, license.FirstAccount, now) {
			switch {
			case x.Secret == digest:
				mine = x.Until.Sub(now)
			case x.By != node:
				others = x.Until.Sub(now)
			}
		}
	})
	return needed, mine, others
}

// OfferFirstAccount has the first local account be made with a token, and with no other, until
// a time; zero: there is an account already. It is for the node that leads.
func (e *Endpoint) OfferFirstAccount(ctx context.Context, node, token string) (until time.Time, err error) {
	digest, _ := secretDigest(prefixFirst, token)
	end := e.gw.Now().Add(firstLife)
	a, err := e.gw.GiveCredential(ctx, license.GiveCredential{Secret: digest, Kind: license.FirstAccount, Name: "first account", Role: license.Admin, By: node, Until: end})
	if d := a.Outcome.Denial; err == nil && d != nil && d.Reason == license.UnknownCredential {
		return time.Time{}, nil
	}
	if _, err = decided(a, err); err != nil {
		return time.Time{}, err
	}
	return end.Std(), nil
}
