package endpoint

import (
	"slices"
	"strings"

	"sitegate/gateway"
	"sitegate/license"
)

// known finds the vendor's id of the user in an issuer's token, where that is not its sub,
// and notes for whose users the issuer vouches.
func (is *issuer) known(c *Caller, claims map[string]any) error {
	c.domains = is.cfg.Domains
	if is.cfg.UserClaim == "" || is.cfg.UserClaim == "sub" {
		return nil
	}
	ids := textsOf(claims, is.cfg.UserClaim)
	if len(ids) != 1 || ids[0] == "" || !plain(ids[0]) {
		return &authError{tokenNobody}
	}
	c.User = license.UserID(ids[0])
	return nil
}

// vouched reports whether the issuer of an access token vouches for its user: the vendor's
// own list says by the user's e-mail whose that is, so that no issuer can speak for another
// one's users, whatever it writes into a token.
func (c *Caller) vouched(s *license.State) error {
	if c.domains == nil {
		return nil
	}
	u := s.User(c.User)
	switch {
	case u != nil && slices.Contains(c.domains, domainOf(u.Email)):
		return nil
	case u != nil:
		return &authError{tokenDomain}
	case !s.Head().Filled:
		return gateway.ErrNotReady
	case slices.Contains(c.domains, domainOf(c.Email)): // the account may name them by it
		return nil
	}
	return denied{license.Denial{Reason: license.UnknownUser}}
}

// domainOf is what an e-mail is addressed to, in lower case; empty: it is no e-mail.
func domainOf(email string) string {
	_, domain, _ := strings.Cut(email, "@")
	return strings.ToLower(domain)
}
