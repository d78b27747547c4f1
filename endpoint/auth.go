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

	"sitegate/api"
	"sitegate/license"
)

// Caller is who a request comes from, as their access token says.
type Caller struct {
	User  license.UserID // the token's sub, or what the issuer has instead
	Email string         // may be empty
	// Unverified: the e-mail may be somebody else's, for all that the issuer says.
	Unverified bool
	Issuer     string
	Expires    time.Time
	key        *keyMark // that the token is signed with; nil: not known
	claimed    []string // what it says under auth's claim
	domains    []string // of the users its issuer vouches for; nil: of all
	// Machine is the id of the machine that a session token is of, and Proof its key; both
	// are zero of an access token.
	Machine string
	Proof   license.Proof

	kept *Caller // as auth remembers it, for who lives long: nobody changes that; nil: it does not
}

// lasting is the caller to be kept for long.
func (c *Caller) lasting() *Caller {
	if c.kept != nil {
		return c.kept
	}
	own := *c
	return &own
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
	tokenUser      = "user"    // somebody else's, on a connection
	tokenNobody    = "nobody"  // its issuer does not say whose it is
	tokenDomain    = "domain"  // of a user whom another issuer vouches for
	tokenUnbound   = "unbound" // of a machine that does not go by the key
	tokenUnknown   = "unknown" // an API token that was never made, or was taken back
	tokenOver      = "over"    // an API token whose time is over
)

func (e *authError) Error() string { return "the access token was not taken: " + e.why }

// isTokenWord reports whether a word is one of those.
func isTokenWord(word string) bool {
	switch word {
	case tokenMissing, tokenMalformed, tokenExpired, tokenEarly, tokenIssuer, tokenAudience, tokenKey, tokenSignature, tokenUser, tokenNobody,
		tokenDomain, tokenUnbound, tokenUnknown, tokenOver:
		return true
	}
	return false
}

// challenge is the WWW-Authenticate of RFC 6750.
func (e *authError) challenge() string {
	if e.why == tokenMissing {
		return `Bearer realm="sitegate"`
	}
	return fmt.Sprintf(`Bearer realm="sitegate", error="invalid_token", error_description="%s"`, e.why)
}

// auth checks access tokens, JWTs of the configured issuers (RFC 9068), and the session
// tokens of machines, offline.
type auth struct {
	issuers map[string]*issuer
	// audiences are taken besides the issuer's own; others are those who take others, and
	// forget with it.
	audiences []string
	others    []*auth

	mu     sync.Mutex
	cached map[[sha256.Size]byte]*Caller // verified tokens, by their digest
	forgot uint64                        // how often they were dropped

	claim string // is kept of tokens, besides who calls; empty: nothing
	// view reads the state, and clock is the site's time, for session tokens: machines are
	// told that time, and one node's own may be wrong. Nil: none are taken.
	view  func(func(*license.State))
	clock func() license.Time
	// spent reports whether a user of this site has no request left for now, so that another token
	// of theirs is not looked at; nil: nobody counts.
	spent func(issuer string, user license.UserID) bool

	withdrawn chan struct{} // holds one when a key was withdrawn since it was last taken
}

func newAuth(issuers []Issuer, dir string, log *slog.Logger, m *metrics) (*auth, error) {
	a := &auth{issuers: map[string]*issuer{}, cached: map[[sha256.Size]byte]*Caller{}, withdrawn: make(chan struct{}, 1)}
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
	token, err := bearer(r)
	if err != nil {
		return Caller{}, err
	}
	return a.check(ctx, token, before)
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
	known := a.cached[digest]
	forgot := a.forgot
	a.mu.Unlock()
	if known != nil && a.left(known, now) > 0 {
		return *known, nil
	}
	if err := before(); err != nil {
		return Caller{}, err
	}
	caller, err := a.verify(ctx, token, now)
	if err == nil && a.left(&caller, now) > 0 {
		a.keep(digest, &caller, now, forgot)
	}
	return caller, err
}

// left is how long a token is still good for.
func (a *auth) left(c *Caller, now time.Time) time.Duration {
	if c.byKey() && a.clock != nil {
		return c.left(now, a.clock().Std())
	}
	return c.left(now, now)
}

// left is how long a token is still good for, by the clock that its maker goes by: an issuer's
// own, or the site's.
func (c *Caller) left(now, site time.Time) time.Duration {
	if c.byKey() {
		now = site
	}
	return c.Expires.Sub(now)
}

// verify checks everything about a token.
func (a *auth) verify(ctx context.Context, token string, now time.Time) (Caller, error) {
	t, err := jwt.ParseSigned(token, algorithms())
	if err != nil || len(t.Headers) != 1 {
		return Caller{}, &authError{tokenMalformed}
	}
	h := t.Headers[0]
	switch typ := typeOf(h); strings.ToLower(typ) {
	case api.SessionTokenType:
		return a.verifySession(ctx, t)
	case "at+jwt", "application/at+jwt", "jwt":
	default:
		return Caller{}, &authError{tokenMalformed}
	}
	if !keyed(h) {
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
	var claims personClaims
	var all map[string]any
	into := []any{&claims}
	if a.claim != "" || is.cfg.UserClaim != "" {
		into = append(into, &all)
	}
	mark, err := is.open(ctx, t, into...)
	if err != nil {
		return Caller{}, err
	}
	if err := claims.check(is.cfg.URL, append(jwt.Audience{is.cfg.Audience}, a.audiences...), now); err != nil {
		return Caller{}, err
	}
	c := claims.caller(&is.cfg, mark, nil)
	if a.claim != "" {
		c.claimed = textsOf(all, a.claim)
	}
	return c, is.known(&c, all)
}

// keep remembers a verified token, unless a key was withdrawn since its
// verification began: it may have been that one.
func (a *auth) keep(digest [sha256.Size]byte, c *Caller, now time.Time, forgot uint64) {
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
	kept := *c
	kept.kept = &kept
	a.cached[digest], c.kept = &kept, &kept
}

// forOthers checks tokens of the same issuers that are made out to others, too. It is
// made before any key is read.
func (a *auth) forOthers(audiences []string) *auth {
	other := &auth{issuers: a.issuers, audiences: audiences, cached: map[[sha256.Size]byte]*Caller{}, withdrawn: make(chan struct{}, 1)}
	a.others = append(a.others, other)
	return other
}

// forget drops all verified tokens: an issuer has withdrawn a key.
func (a *auth) forget() {
	for _, other := range a.others {
		other.forget()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.cached)
	a.forgot++
	select {
	case a.withdrawn <- struct{}{}:
	default:
	}
}
