package endpoint

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// What a machine signs itself. The state knows which key a user's machine goes by, so
// that every node can judge such a token alone, and a key that is taken from a machine is
// good for nothing at once, on all of them.

// machineClaims are those of a machine's tokens.
type machineClaims struct {
	jwt.Claims
	Machine string `json:"mid"`
	Host    string `json:"host"`
	Access  string `json:"ath"` // of a key's proof: the access token that it goes with
}

func (c *machineClaims) plain() bool {
	return c.Machine != "" && plain(c.Machine) && plain(c.Host) && plain(c.Subject) && plain(c.ID)
}

// machineAlgorithms are those that a machine may sign with: what keystores have.
func machineAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256}
}

// machineKey is the key in a token's own header, and its thumbprint. By itself it proves
// nothing: the thumbprint must be the one that the state has, or be shown with an access token.
func machineKey(h jose.Header) (*jose.JSONWebKey, license.Digest, error) {
	var thumb license.Digest
	k := h.JSONWebKey
	if k == nil || !k.Valid() {
		return nil, thumb, &authError{tokenMalformed}
	}
	switch pub := k.Key.(type) {
	case ed25519.PublicKey:
		if h.Algorithm != string(jose.EdDSA) {
			return nil, thumb, &authError{tokenMalformed}
		}
	case *ecdsa.PublicKey:
		if h.Algorithm != string(jose.ES256) || pub.Curve != elliptic.P256() {
			return nil, thumb, &authError{tokenMalformed}
		}
	default:
		return nil, thumb, &authError{tokenMalformed}
	}
	b, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, thumb, &authError{tokenMalformed}
	}
	copy(thumb[:], b)
	return k, thumb, nil
}

// typeOf is the kind of a token, as it says itself.
func typeOf(h jose.Header) string {
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	return typ
}

// verifySession checks everything about a session token but what changes from one moment
// to the next, which stands does. What the state has of the machine is looked at before
// the signature: that costs less.
func (a *auth) verifySession(ctx context.Context, t *jwt.JSONWebToken) (Caller, error) {
	if a.view == nil || a.clock == nil { // not for what is relayed
		return Caller{}, &authError{tokenMalformed}
	}
	key, thumb, err := machineKey(t.Headers[0])
	if err != nil {
		return Caller{}, err
	}
	var claims machineClaims
	if t.UnsafeClaimsWithoutVerification(&claims) != nil || !claims.plain() || claims.Subject == "" || claims.Expiry == nil || claims.IssuedAt == nil ||
		claims.ID == "" || claims.Expiry.Time().Sub(claims.IssuedAt.Time()) > api.SessionTokenLife {
		return Caller{}, &authError{tokenMalformed}
	}
	c := Caller{User: license.UserID(claims.Subject), Unverified: true, Issuer: issuedByMachine, Expires: claims.Expiry.Time(),
		Machine: claims.Machine, Proof: license.Proof{Key: thumb, Host: claims.Host}}
	bound, site := false, ""
	a.view(func(s *license.State) {
		site = s.Head().Cluster
		if k := license.KeyOf(s, c.User, c.Machine, c.Proof.Host); k != nil && k.Proof == c.Proof {
			bound, c.Email = true, k.Email
		}
	})
	if !bound {
		return Caller{}, &authError{tokenUnbound}
	}
	if a.spent != nil && ctx.Value(countedKey{}) == nil && a.spent(issuedByMachine, c.User) {
		return Caller{}, &trouble{code: api.CodeTooMany, after: time.Second}
	}
	if t.Claims(key.Key, &machineClaims{}) != nil {
		return Caller{}, &authError{tokenSignature}
	}
	err = claims.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{site}, Time: a.clock().Std()}, leeway)
	switch {
	case site == "" || errors.Is(err, jwt.ErrInvalidAudience):
		return Caller{}, &authError{tokenAudience}
	case errors.Is(err, jwt.ErrExpired):
		return Caller{}, &authError{tokenExpired}
	case err != nil:
		return Caller{}, &authError{tokenEarly}
	}
	return c, nil
}

// issuedByMachine is the Issuer of a caller with a session token.
const issuedByMachine = "machine"

// stands says whether a session token is good at this moment, in the words of a denial or
// of a token that is not taken: whoever is kept out has none, nor has a machine whose key
// is another by now. Access tokens stand by themselves, for whom their issuer vouches for.
func stands(s *license.State, c *Caller) error {
	if !c.byKey() {
		return c.vouched(s)
	}
	k := license.KeyOf(s, c.User, c.Machine, c.Proof.Host)
	if k == nil || k.Proof != c.Proof {
		return &authError{tokenUnbound}
	}
	if d := license.KeptOut(s, c.User, k.Machine, ""); d != nil {
		return denied{*d}
	}
	return nil
}

// byKey reports whether a caller has shown a machine's key.
func (c *Caller) byKey() bool { return c.Proof != license.Proof{} }

// proveKey checks that whoever has shown the access token has the private key, too.
func proveKey(proof, access string, m license.Machine, host string) (license.Proof, error) {
	machine, p, err := provenBy(proof, access)
	if err == nil && (machine != m.ID || p.Host != host) {
		err = &authError{tokenKey}
	}
	return p, err
}

// provenBy is whose key it is that a proof, shown with an access token, is of.
func provenBy(proof, access string) (machine string, _ license.Proof, _ error) {
	var none license.Proof
	if len(proof) > maxToken {
		return "", none, &authError{tokenMalformed}
	}
	t, err := jwt.ParseSigned(proof, machineAlgorithms())
	if err != nil || len(t.Headers) != 1 || typeOf(t.Headers[0]) != api.KeyProofType {
		return "", none, &authError{tokenMalformed}
	}
	key, thumb, err := machineKey(t.Headers[0])
	if err != nil {
		return "", none, err
	}
	var claims machineClaims
	if t.Claims(key.Key, &claims) != nil {
		return "", none, &authError{tokenSignature}
	}
	digest := sha256.Sum256([]byte(access))
	if !claims.plain() || claims.Access != base64.RawURLEncoding.EncodeToString(digest[:]) {
		return "", none, &authError{tokenKey}
	}
	return claims.Machine, license.Proof{Key: thumb, Host: claims.Host}, nil
}

// notTaken is why a caller is not believed, for the node that has asked.
func notTaken(err error) error {
	if a, ok := errors.AsType[*authError](err); ok {
		return &gateway.CallerError{Word: a.why}
	}
	return fmt.Errorf("%w: %w", gateway.ErrCaller, err)
}

// countedKey marks what another node has asked for a caller, whose request it has counted itself.
type countedKey struct{}

// Who finds out for whom speaks what a caller has shown to another node, as the gateway
// wants to know it. How many requests they have left is that node's to say: it tells them so,
// where this one could only have it answer that it cannot tell who they are.
func (e *Endpoint) Who(ctx context.Context, shown string) (gateway.Who, error) {
	access, proof, binds := strings.Cut(shown, " ")
	c, err := e.auth.check(context.WithValue(ctx, countedKey{}, true), access, func() error { return nil })
	if err == nil && binds && c.byKey() { // a key alone proves nothing anew
		err = &authError{tokenMissing}
	}
	if err == nil {
		e.gw.View(func(s *license.State) { err = stands(s, &c) })
	}
	who := gateway.Who{User: c.User, Email: c.Email, Machine: c.Machine, Proof: c.Proof}
	if err == nil && binds {
		who.Machine, who.Proof, err = provenBy(proof, access)
	}
	var t *trouble
	switch {
	case errors.As(err, &t), errors.Is(err, gateway.ErrNotReady):
		return gateway.Who{}, gateway.ErrNotReady
	case err != nil:
		return gateway.Who{}, notTaken(err)
	}
	return who, nil
}
