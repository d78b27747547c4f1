package emulator

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/upstream/cloudapi"
)

// What the issuer knows by name.
const (
	DesktopClient = "desktop"                     // the public client that desktops sign in with
	ConsoleClient = "site-gateway-console"        // the client of gateways' consoles
	UserAudience  = "site-gateway"                // aud of users' access tokens
	AdminAudience = "site-gateway-administration" // aud of access tokens that the console gets
	SiteAudience  = "site-api"                    // aud of sites' access tokens

	pathDiscovery = "/.well-known/openid-configuration"
	pathKeys      = "/jwks"
	pathAuthorize = "/connect/authorize"
	pathToken     = "/connect/token"
)

// issuer is the sign-in's state.
type issuer struct {
	mu       sync.Mutex
	keys     []jose.JSONWebKey // private; the first one signs
	logins   map[string]login  // transaction → what was asked for, until the form comes back
	codes    map[string]login  // authorization codes not yet used
	refreshs map[string]login  // refresh tokens
	devices  map[string]*device
}

// claims of an access token (RFC 9068).
type claims struct {
	jwt.Claims
	ClientID string   `json:"client_id,omitempty"`
	Scope    string   `json:"scope,omitempty"`
	Email    string   `json:"email,omitempty"`
	Verified bool     `json:"email_verified,omitempty"`
	Name     string   `json:"name,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Nonce    string   `json:"nonce,omitempty"`
}

func (e *Emulator) issuerRoutes(m *http.ServeMux) {
	m.HandleFunc("GET "+pathDiscovery, e.discovery)
	m.HandleFunc("GET "+pathKeys, e.jwks)
	m.HandleFunc("GET "+pathAuthorize, e.authorize)
	m.HandleFunc("POST "+pathAuthorize, e.login)
	m.HandleFunc("POST "+pathToken, e.token)
	m.HandleFunc("POST "+pathDevice, e.deviceStart)
	m.HandleFunc("GET "+pathDevicePage, e.deviceForm)
	m.HandleFunc("POST "+pathDevicePage, e.deviceAnswer)
	m.HandleFunc("POST "+pathRevoke, e.revoke)
}

// base is the issuer's address, as r has it.
func (e *Emulator) base(r *http.Request) string {
	return strings.TrimSuffix(cmp.Or(e.Issuer, "https://"+r.Host), "/")
}

func (e *Emulator) discovery(w http.ResponseWriter, r *http.Request) {
	b := e.base(r)
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                         b,
		"authorization_endpoint":                         b + pathAuthorize,
		"token_endpoint":                                 b + pathToken,
		"device_authorization_endpoint":                  b + pathDevice,
		"revocation_endpoint":                            b + pathRevoke,
		"jwks_uri":                                       b + pathKeys,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token", "client_credentials", GrantDevice},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none", "client_secret_basic", "client_secret_post"},
		"scopes_supported":                               []string{"openid", "email", "profile", "offline_access", cloudapi.Scope},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (e *Emulator) jwks(w http.ResponseWriter, _ *http.Request) {
	e.issuer.mu.Lock()
	defer e.issuer.mu.Unlock()
	e.issuer.key()
	var set jose.JSONWebKeySet
	for _, k := range e.issuer.keys {
		set.Keys = append(set.Keys, k.Public())
	}
	answer(w, http.StatusOK, set)
}

// key is the one that signs. The caller holds the issuer's lock.
func (s *issuer) key() jose.JSONWebKey {
	if len(s.keys) == 0 {
		s.rotate()
	}
	return s.keys[0]
}

func (s *issuer) rotate() {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	s.keys = slices.Insert(s.keys, 0, jose.JSONWebKey{Key: k, KeyID: rand.Text(), Algorithm: string(jose.ES256), Use: "sig"})
}

// RotateKeys makes the issuer sign with a new key. Older keys stay published, so that their tokens stay good, until DropOldKeys.
func (e *Emulator) RotateKeys() {
	e.issuer.mu.Lock()
	defer e.issuer.mu.Unlock()
	e.issuer.key()
	e.issuer.rotate()
}

// DropOldKeys withdraws all keys but the one that signs.
func (e *Emulator) DropOldKeys() {
	e.issuer.mu.Lock()
	defer e.issuer.mu.Unlock()
	e.issuer.key()
	e.issuer.keys = e.issuer.keys[:1]
}

// sign makes a token of typ ("at+jwt", "JWT").
func (e *Emulator) sign(typ string, c claims) (string, error) {
	e.issuer.mu.Lock()
	k := e.issuer.key()
	e.issuer.mu.Unlock()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	return jwt.Signed(s).Claims(c).Serialize()
}

func (e *Emulator) ttl() time.Duration { return cmp.Or(e.TokenTTL, time.Hour) }

// claimsFor are the claims of a token that is valid from now on.
func (e *Emulator) claimsFor(iss, aud, sub, client string, ttl time.Duration) claims {
	now := e.now()
	return claims{ClientID: client, Claims: jwt.Claims{
		Issuer: iss, Subject: sub, Audience: jwt.Audience{aud}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(ttl)),
	}}
}

// UserToken is an access token of a user, as if the user had just signed in at the issuer iss. A negative ttl makes one that has ended.
func (e *Emulator) UserToken(iss, userID string, ttl time.Duration) (string, error) {
	u, there := e.User(userID)
	if !there {
		return "", errors.New("no such user: " + userID)
	}
	c := e.claimsFor(iss, UserAudience, u.ID, DesktopClient, ttl)
	c.Email, c.Name, c.Roles, c.Scope = u.Email, u.Name, u.Roles, "openid email profile"
	return e.sign("at+jwt", c)
}

// Sign is the issuer's signature (ES256, base64url) of a token's header and claims as they are written, joined by a dot, whatever they say:
// with it a test makes tokens that are wrong in one thing alone. No issuer gives such a thing away.
func (e *Emulator) Sign(written string) string {
	e.issuer.mu.Lock()
	k := e.issuer.key().Key.(*ecdsa.PrivateKey)
	e.issuer.mu.Unlock()
	sum := sha256.Sum256([]byte(written))
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	both := make([]byte, 64)
	return base64.RawURLEncoding.EncodeToString(append(r.FillBytes(both[:32:32]), s.FillBytes(both[32:])...))
}

// published is the key with an id that tokens may be signed with; nil: there is none.
func (s *issuer) published(id string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.keys, func(k jose.JSONWebKey) bool { return k.KeyID == id }); i >= 0 {
		return s.keys[i].Public().Key
	}
	return nil
}

// siteOf checks a site's access token.
func (e *Emulator) siteOf(r *http.Request) (string, error) {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", errors.New("no bearer token")
	}
	tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", errors.New("not a token")
	}
	var c claims
	if key := e.issuer.published(tok.Headers[0].KeyID); key == nil || tok.Claims(key, &c) != nil {
		return "", errors.New("not signed by this cloud")
	}
	want := jwt.Expected{AnyAudience: jwt.Audience{SiteAudience}, Time: e.now(), Issuer: e.Issuer}
	if err := c.ValidateWithLeeway(want, 0); err != nil {
		return "", err
	}
	if _, known := e.Sites[c.ClientID]; !known || c.Scope != cloudapi.Scope {
		return "", errors.New("not a site's token")
	}
	return c.ClientID, nil
}
