package attack

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"sitegate/integration"
)

// minted is a token while it is made: what it says, and who signs it. A case of a test changes
// one thing of it.
type minted struct {
	t            *testing.T
	head, claims map[string]any
	// written changes the texts of both before they are signed, and whole the token afterwards;
	// nil: neither does.
	written func(head, claims string) (string, string)
	whole   func(token string) string
	sign    signature
}

// signature is the last part of a token.
type signature func(written string) string

// mintOf takes a token apart, to be signed by somebody again.
func mintOf(t *testing.T, token string, sign signature) *minted {
	t.Helper()
	m := &minted{t: t, sign: sign}
	parts := strings.Split(token, ".")
	for i, into := range []*map[string]any{&m.head, &m.claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// but is the token that it makes with changes, which the next does not have.
func (m *minted) but(changes ...func(*minted)) string {
	m.t.Helper()
	own := *m
	own.head, own.claims = maps.Clone(m.head), maps.Clone(m.claims)
	for _, change := range changes {
		if change != nil {
			change(&own)
		}
	}
	texts := [2]string{}
	for i, from := range []map[string]any{own.head, own.claims} {
		b, err := json.Marshal(from)
		if err != nil {
			m.t.Fatal(err)
		}
		texts[i] = string(b)
	}
	if own.written != nil {
		texts[0], texts[1] = own.written(texts[0], texts[1])
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(texts[0])) + "." + base64.RawURLEncoding.EncodeToString([]byte(texts[1]))
	token += "." + own.sign(token)
	if own.whole != nil {
		token = own.whole(token)
	}
	return token
}

// The changes: a header's or a claim's value, nil for none; who signs; texts that are
// written before the first member of the header or the claims.

func head(name string, value any) func(*minted) {
	return func(m *minted) { put(m.head, name, value) }
}

func claim(name string, value any) func(*minted) {
	return func(m *minted) { put(m.claims, name, value) }
}

func put(into map[string]any, name string, value any) {
	if value == nil {
		delete(into, name)
		return
	}
	into[name] = value
}

func signedBy(s signature) func(*minted) { return func(m *minted) { m.sign = s } }

func whole(f func(token string) string) func(*minted) { return func(m *minted) { m.whole = f } }

func firstInHead(text string) func(*minted) {
	return func(m *minted) {
		m.written = func(h, c string) (string, string) { return "{" + text + "," + h[1:], c }
	}
}

func firstInClaims(text string) func(*minted) {
	return func(m *minted) {
		m.written = func(h, c string) (string, string) { return h, "{" + text + "," + c[1:] }
	}
}

func claimsWritten(f func(claims string) string) func(*minted) {
	return func(m *minted) { m.written = func(h, c string) (string, string) { return h, f(c) } }
}

// both is one change after another.
func both(changes ...func(*minted)) func(*minted) {
	return func(m *minted) {
		for _, change := range changes {
			change(m)
		}
	}
}

func unsigned(string) string { return "" }

// byIssuer signs as the site's issuer does.
func byIssuer(s *integration.Site) signature { return s.Cloud.Sign }

// byKey signs with a key of one's own: ES256 or EdDSA, as the key is.
func byKey(t *testing.T, key crypto.Signer) signature {
	return func(written string) string {
		var b []byte
		switch k := key.(type) {
		case ed25519.PrivateKey:
			b = ed25519.Sign(k, []byte(written))
		case *ecdsa.PrivateKey:
			sum := sha256.Sum256([]byte(written))
			r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			b = make([]byte, 64)
			r.FillBytes(b[:32])
			s.FillBytes(b[32:])
		default:
			t.Fatalf("nobody here signs with a %T", key)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
}

// ownKey is a key that the attacker has made.
func ownKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// bySecret signs with what everybody can read, as a server that takes the public key for a
// secret would expect (HS256).
func bySecret(secret []byte) signature {
	return func(written string) string {
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(written))
		return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
}
