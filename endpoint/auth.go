package endpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/license"
)

// Caller is who a request comes from, as their access token says.
type Caller struct {
	User  license.UserID // the token's sub
	Email string         // may be empty
	// Unverified: the issuer says itself that the e-mail may be somebody else's.
	Unverified bool
	Issuer     string
	Expires    time.Time
	key        *keyMark // that the token is signed with; nil: not known
}

// The bounds of a token.
const (
	maxToken  = 16 << 10 // bytes
	maxKeyID  = 128
	leeway    = 60 * time.Second // of clocks
	maxCached = 100_000
)

// algorithms are those a token may be signed with; in particular not "none", nor
// a symmetric one.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA}
}

// authError says why a token was not taken; why is one of the words below, which
// are stable.
type authError struct{ why string }

const (
	tokenMissing   = "missing"
	tokenMalformed = "malformed"
	tokenExpired   = "expired"
	tokenEarly     = "early" // not yet valid
	tokenIssuer    = "issuer"
	tokenAudience  = "audience"
	tokenKey       = "key"
	tokenSignature = "signature"
	tokenUser      = "user" // somebody else's, on a connection
)

func (e *authError) Error() string { return "the access token was not taken: " + e.why }

// challenge is the WWW-Authenticate of RFC 6750.
func (e *authError) challenge() string {
	if e.why == tokenMissing {
		return `Bearer realm="sitegate"`
	}
	return fmt.Sprintf(`Bearer realm="sitegate", error="invalid_token", error_description="%s"`, e.why)
}

// auth checks access tokens: JWTs of the configured issuers (RFC 9068), offline.
type auth struct {
	issuers map[string]*issuer

	mu     sync.Mutex
	cached map[[sha256.Size]byte]Caller // verified tokens, by their digest
	forgot uint64                       // how often they were dropped

	withdrawn chan struct{} // holds one when a key was withdrawn since it was last taken
}

func newAuth(issuers []Issuer, dir string, log *slog.Logger, m *metrics) (*auth, error) {
	a := &auth{issuers: map[string]*issuer{}, cached: map[[sha256.Size]byte]Caller{}, withdrawn: make(chan struct{}, 1)}
	if len(issuers) > 0 {
		if dir == "" {
			return nil, errors.New("endpoint: KeysDir must be set: the issuers' keys are kept there")
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the folder for the issuers' keys: %w", err)
		}
	}
	for _, cfg := range issuers {
		if a.issuers[cfg.URL] != nil {
			return nil, fmt.Errorf("endpoint: the issuer %s is there twice", cfg.URL)
		}
		is, err := newIssuer(cfg, dir, log, m, a.forget)
		if err != nil {
			return nil, err
		}
		a.issuers[cfg.URL] = is
	}
	return a, nil
}

// identify finds out who calls. before is asked once it is clear that a token
// must be verified, which costs; known tokens pass without.
func (a *auth) identify(ctx context.Context, r *http.Request, before func() error) (Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Caller{}, &authError{tokenMissing}
	}
	return a.check(ctx, strings.TrimSpace(token), before)
}

// check is identify for a token by itself.
func (a *auth) check(ctx context.Context, token string, before func() error) (Caller, error) {
	if token == "" {
		return Caller{}, &authError{tokenMissing}
	}
	if len(token) > maxToken {
		return Caller{}, &authError{tokenMalformed}
	}
	digest := sha256.Sum256([]byte(token))
	now := time.Now()
	a.mu.Lock()
	caller, ok := a.cached[digest]
	forgot := a.forgot
	a.mu.Unlock()
	if ok && now.Before(caller.Expires) {
		return caller, nil
	}
	if err := before(); err != nil {
		return Caller{}, err
	}
	caller, err := a.verify(ctx, token, now)
	if err == nil && now.Before(caller.Expires) {
		a.keep(digest, caller, now, forgot)
	}
	return caller, err
}

// verify checks everything about a token.
func (a *auth) verify(ctx context.Context, token string, now time.Time) (Caller, error) {
	t, err := jwt.ParseSigned(token, algorithms())
	if err != nil || len(t.Headers) != 1 {
		return Caller{}, &authError{tokenMalformed}
	}
	h := t.Headers[0]
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	switch strings.ToLower(typ) {
	case "at+jwt", "application/at+jwt", "jwt":
	default:
		return Caller{}, &authError{tokenMalformed}
	}
	if h.KeyID == "" || len(h.KeyID) > maxKeyID {
		return Caller{}, &authError{tokenMalformed}
	}
	// Whose it says it is decides only which keys are tried; a key or an address in
	// the token's own header (jwk, jku, x5u) is never looked at.
	var claimed jwt.Claims
	if t.UnsafeClaimsWithoutVerification(&claimed) != nil {
		return Caller{}, &authError{tokenMalformed}
	}
	is := a.issuers[claimed.Issuer]
	if is == nil {
		return Caller{}, &authError{tokenIssuer}
	}
	if claimed.Expiry != nil && now.Add(-leeway).After(claimed.Expiry.Time()) {
		return Caller{}, &authError{tokenExpired} // before a key is fetched for it
	}
	key, mark, err := is.key(ctx, h.KeyID)
	if err != nil {
		return Caller{}, err
	}
	if key.Algorithm != "" && key.Algorithm != h.Algorithm {
		return Caller{}, &authError{tokenSignature}
	}
	var claims struct {
		jwt.Claims
		Email         string `json:"email"`
		EmailVerified any    `json:"email_verified"` // some issuers send a text
	}
	if t.Claims(key.Key, &claims) != nil {
		return Caller{}, &authError{tokenSignature}
	}
	if claims.Expiry == nil || claims.Subject == "" || !plain(claims.Subject) || !plain(claims.Email) {
		return Caller{}, &authError{tokenMalformed}
	}
	err = claims.ValidateWithLeeway(jwt.Expected{Issuer: is.cfg.URL, AnyAudience: jwt.Audience{is.cfg.Audience}, Time: now}, leeway)
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return Caller{}, &authError{tokenExpired}
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return Caller{}, &authError{tokenEarly}
	case errors.Is(err, jwt.ErrInvalidAudience):
		return Caller{}, &authError{tokenAudience}
	case err != nil:
		return Caller{}, &authError{tokenIssuer}
	}
	return Caller{User: license.UserID(claims.Subject), Email: claims.Email, Issuer: is.cfg.URL, Expires: claims.Expiry.Time(), key: mark,
		Unverified: claims.EmailVerified == false || claims.EmailVerified == "false"}, nil
}

// keep remembers a verified token, unless a key was withdrawn since its
// verification began: it may have been that one.
func (a *auth) keep(digest [sha256.Size]byte, c Caller, now time.Time, forgot uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forgot != forgot {
		return
	}
	if len(a.cached) >= maxCached {
		looked := 0
		for d, other := range a.cached { // any one, and those of a few that have expired
			if looked == 0 || now.After(other.Expires) {
				delete(a.cached, d)
			}
			if looked++; looked == 64 {
				break
			}
		}
	}
	a.cached[digest] = c
}

// forget drops all verified tokens: an issuer has withdrawn a key.
func (a *auth) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.cached)
	a.forgot++
	select {
	case a.withdrawn <- struct{}{}:
	default:
	}
}
