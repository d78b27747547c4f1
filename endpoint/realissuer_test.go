package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// realIssuer is an OpenID Connect issuer on loopback that signs with ES256.
type realIssuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  []jose.JSONWebKey // private
	reads int               // of its keys
	down  bool
	// tokens answers the token endpoint.
	tokens func(form url.Values) (status int, body any)
}

func newRealIssuer(t testing.TB) *realIssuer {
	t.Helper()
	is := &realIssuer{}
	is.rotate(t, "k1")
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is.mu.Lock()
		defer is.mu.Unlock()
		switch {
		case is.down:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			json.NewEncoder(w).Encode(map[string]string{"issuer": is.URL, "jwks_uri": is.URL + "/keys", "authorization_endpoint": is.URL + "/authorize?tenant=1", "token_endpoint": is.URL + "/token"})
		case r.URL.Path == "/token" && is.tokens != nil && r.ParseForm() == nil:
			status, body := is.tokens(r.PostForm)
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(body)
		default:
			is.reads++
			var set jose.JSONWebKeySet
			for _, k := range is.keys {
				set.Keys = append(set.Keys, k.Public())
			}
			json.NewEncoder(w).Encode(set)
		}
	}))
	t.Cleanup(is.Close)
	return is
}

func (is *realIssuer) rotate(t testing.TB, kid string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = []jose.JSONWebKey{{Key: k, KeyID: kid, Algorithm: "ES256", Use: "sig"}}
}

func (is *realIssuer) set(f func()) {
	is.mu.Lock()
	defer is.mu.Unlock()
	f()
}

// claims are what a test may want to change of a token.
type claims struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub,omitempty"`
	Audience any              `json:"aud"`
	Expiry   *jwt.NumericDate `json:"exp,omitempty"`
	Before   *jwt.NumericDate `json:"nbf,omitempty"`
	Email    string           `json:"email"`
	Verified any              `json:"email_verified,omitempty"`
	Roles    any              `json:"roles,omitempty"`
	Realm    any              `json:"realm_access,omitempty"`
	Nonce    string           `json:"nonce,omitempty"`
	Party    string           `json:"azp,omitempty"`
}

// token signs a token for a user, good for an hour unless changed.
func (is *realIssuer) token(t testing.TB, user string, change ...func(*claims, *jose.SignerOptions, *jose.SigningKey)) string {
	t.Helper()
	is.mu.Lock()
	key := jose.SigningKey{Algorithm: jose.ES256, Key: is.keys[0]}
	is.mu.Unlock()
	opts := (&jose.SignerOptions{}).WithType("at+jwt")
	c := claims{Issuer: is.URL, Subject: user, Audience: "site-gateway", Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)), Email: user + "@example.org", Verified: true}
	for _, f := range change {
		f(&c, opts, &key)
	}
	s, err := jose.NewSigner(key, opts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
