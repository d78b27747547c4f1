package endpoint

import (
	"context"
	"errors"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/license"
)

// personClaims are what an issuer's tokens say of a person.
type personClaims struct {
	jwt.Claims
	Email         string `json:"email"`
	EmailVerified any    `json:"email_verified"` // some issuers send a text
}

// keyed reports whether a token names the key that it is signed with.
func keyed(h jose.Header) bool { return h.KeyID != "" && len(h.KeyID) <= maxKeyID }

// open verifies by the issuer's keys who has signed a token that is keyed, and reads its
// claims, which are still to be checked.
func (is *issuer) open(ctx context.Context, t *jwt.JSONWebToken, into ...any) (*keyMark, error) {
	h := t.Headers[0]
	key, mark, err := is.key(ctx, h.KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != h.Algorithm || t.Claims(key.Key, into...) != nil {
		return nil, &authError{tokenSignature}
	}
	return mark, nil
}

// check reports whether the claims are an issuer's, of somebody, for one of the audiences,
// and good at a time.
func (c *personClaims) check(issuer string, audiences jwt.Audience, now time.Time) error {
	if c.Expiry == nil || c.Subject == "" || !plain(c.Subject) || !plain(c.Email) {
		return &authError{tokenMalformed}
	}
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: audiences, Time: now}, leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return &authError{tokenExpired}
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return &authError{tokenEarly}
	case errors.Is(err, jwt.ErrInvalidAudience):
		return &authError{tokenAudience}
	case err != nil:
		return &authError{tokenIssuer}
	}
	return nil
}

// caller is who the claims are of, once they were checked. Their e-mail is theirs where the
// issuer says so of it, or where the site knows so of the issuer's and it does not say
// otherwise.
func (c *personClaims) caller(is *Issuer, key *keyMark, claimed []string) Caller {
	says := c.EmailVerified
	verified := says == true || says == "true" || says == nil && is.EmailsVerified
	return Caller{User: license.UserID(c.Subject), Email: c.Email, Issuer: is.URL, Expires: c.Expiry.Time(), key: key, claimed: claimed,
		Unverified: !verified}
}
