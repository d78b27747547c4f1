package attack

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
)

// asked asks the cloud's stand-in itself.
func asked(t *testing.T, s *integration.Site, r *http.Request) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	s.Cloud.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("the cloud answered %d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// siteToken is an access token of the site's own, which is no user's.
func siteToken(t *testing.T, s *integration.Site) string {
	t.Helper()
	r := httptest.NewRequest("POST", integration.Issuer+"/connect/token", strings.NewReader(url.Values{"grant_type": {"client_credentials"},
		"client_id": {"site-7"}, "client_secret": {"the site's secret"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var got struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(asked(t, s, r), &got); err != nil || got.Token == "" {
		t.Fatalf("no token for the site: %v", err)
	}
	return got.Token
}

// jwksPath is where the stand-in publishes its keys.
func jwksPath(t *testing.T, s *integration.Site) string {
	t.Helper()
	var d struct {
		Keys string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(asked(t, s, httptest.NewRequest("GET", integration.Issuer+"/.well-known/openid-configuration", nil)), &d); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(d.Keys)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

// forgery is one thing that is wrong with a token, and the word by which it is refused; right
// is the nearest thing to it that is taken, or, where that is nil, the same token without it.
type forgery struct {
	why          string
	wrong, right func(*minted)
}

// TestForgedTokensAreNotTaken: by whatever way a token came about that its issuer did not
// make for this user, this gateway and this hour, it starts nothing. Each is wrong in one
// thing, and is refused for that, by its name: where it is not the signature, it is signed
// with the issuer's own key, and without that thing it is taken.
func TestForgedTokensAreNotTaken(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, victim := s.Nodes[0], user(t, s)
	good := s.Token(t, victim)
	mint := mintOf(t, good, byIssuer(s))
	kid := mint.head["kid"].(string)
	now := func(after time.Duration) int64 { return time.Now().Add(after).Unix() }
	at := func(name string, after time.Duration) func(*minted) {
		return func(m *minted) { m.claims[name] = now(after) }
	}
	own := ownKey(t)
	stranger := signedBy(byKey(t, own))
	public := jose.JSONWebKey{Key: own.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}
	certificate := base64.StdEncoding.EncodeToString(selfSigned(t, own))
	keys := asked(t, s, httptest.NewRequest("GET", integration.Issuer+jwksPath(t, s), nil))
	siteClaims := mintOf(t, siteToken(t, s), unsigned).claims

	same := func(f func(*minted)) forgery { return forgery{wrong: both(f, stranger), right: f, why: "signature"} }
	of := func(why string, wrong func(*minted), right ...func(*minted)) forgery {
		f := forgery{why: why, wrong: wrong}
		if len(right) > 0 {
			f.right = right[0]
		}
		return f
	}
	cases := map[string]forgery{
		// whose signature it is
		"of another key under the known key's id": same(func(*minted) {}),
		"of another key under an id of its own":   of("key", both(head("kid", "attacker"), stranger)),
		"with the attacker's key in it":           same(head("jwk", public)),
		"with an address to fetch a key from":     same(head("jku", "https://127.0.0.1:1/keys")),
		"with an address of a certificate":        same(head("x5u", "https://127.0.0.1:1/cert.pem")),
		"with the attacker's certificate":         same(head("x5c", []string{certificate})),
		"without a signature":                     of("malformed", both(head("alg", "none"), signedBy(unsigned))),
		"that says none and is signed":            of("malformed", head("alg", "none")),
		"that says None":                          of("malformed", both(head("alg", "None"), signedBy(unsigned))),
		"of no algorithm":                         of("malformed", head("alg", nil)),
		"of an algorithm in lower case":           of("malformed", head("alg", "es256")),
		"of an algorithm that is not on the list": of("malformed", head("alg", "ES384")),
		"of another algorithm of the list":        of("signature", head("alg", "PS256")),
		"with the signature cut off":              of("signature", signedBy(unsigned)),
		"with a signature of zeros":               of("signature", signedBy(func(string) string { return base64.RawURLEncoding.EncodeToString(make([]byte, 64)) })),
		"with a signature in ASN.1":               of("signature", signedBy(inASN1(s))),
		"of other claims than were signed":        of("signature", both(claim("name", "Somebody Else"), signedBy(func(string) string { return good[strings.LastIndexByte(good, '.')+1:] })), claim("name", "Somebody Else")),
		"signed with the public keys as a secret": of("malformed", both(head("alg", "HS256"), signedBy(bySecret(keys)))),
		"signed with the public key in PEM":       of("malformed", both(head("alg", "HS256"), signedBy(bySecret(inPEM(t, keys))))),
		"signed with the key's id as a secret":    of("malformed", both(head("alg", "HS256"), signedBy(bySecret([]byte(kid))))),

		// the key's id
		"of no key id":                   of("malformed", head("kid", nil)),
		"of an empty key id":             of("malformed", head("kid", "")),
		"with a key id of a path":        of("key", head("kid", "../../"+kid)),
		"with a key id and more":         of("key", head("kid", kid+"\x00")),
		"with a key id of 8 kB":          of("malformed", head("kid", strings.Repeat("k", 8<<10))),
		"with a key id that is a number": of("malformed", head("kid", 1)),
		"with two key ids":               of("malformed", firstInHead(`"kid":"attacker"`), firstInHead(`"KID":"attacker"`)),

		// what the header says of the rest
		"with a critical header nobody knows": of("signature", both(head("exp", 1), head("crit", []string{"exp"})), head("exp", 1)),
		"that is not encoded as the rest":     of("signature", both(head("b64", false), head("crit", []string{"b64"})), both(head("b64", true), head("crit", []string{"b64"}))),
		"that is an ID token":                 of("malformed", head("typ", "id+jwt"), head("typ", "application/at+jwt")),
		"that is a machine's proof":           of("malformed", head("typ", api.KeyProofType), head("typ", "JWT")),
		"that is a session token":             of("malformed", head("typ", api.SessionTokenType)),
		"of no type":                          of("malformed", head("typ", nil), head("typ", "AT+JWT")),
		"with two algorithms":                 of("malformed", firstInHead(`"alg":"none"`), firstInHead(`"ALG":"none"`)),
		"with another token in it":            of("malformed", both(head("cty", "JWT"), claimsWritten(func(string) string { return good })), head("cty", "JWT")),
		"whose header is a list":              of("malformed", func(m *minted) { m.written = func(h, c string) (string, string) { return "[" + h + "]", c } }),

		// who has made it, and for whom
		"of another issuer":                of("issuer", claim("iss", "https://sign-in.attacker.example")),
		"of the issuer with a slash":       of("issuer", claim("iss", integration.Issuer+"/")),
		"of the issuer in upper case":      of("issuer", claim("iss", strings.ToUpper(integration.Issuer))),
		"of the issuer and another's host": of("issuer", claim("iss", integration.Issuer+"@attacker.example")),
		"of no issuer":                     of("issuer", claim("iss", nil)),
		"of several issuers":               of("malformed", claim("iss", []string{integration.Issuer})),
		"with two issuers":                 of("malformed", firstInClaims(`"iss":"https://sign-in.attacker.example"`), firstInClaims(`"ISS":"https://sign-in.attacker.example"`)),
		"for another audience":             of("audience", claim("aud", emulator.SiteAudience), claim("aud", []string{emulator.SiteAudience, emulator.UserAudience})),
		"for administrators":               of("audience", claim("aud", emulator.AdminAudience)),
		"for the audience and more":        of("audience", claim("aud", emulator.UserAudience+"-x")),
		"for the audience in upper case":   of("audience", claim("aud", strings.ToUpper(emulator.UserAudience))),
		"for nobody":                       of("audience", claim("aud", nil)),
		"for an empty list":                of("audience", claim("aud", []string{})),
		"with two audiences":               of("malformed", firstInClaims(`"aud":"site-api"`), firstInClaims(`"AUD":"site-api"`)),
		"that is the site's own":           of("audience", func(m *minted) { m.claims = siteClaims }),

		// for how long
		"that has expired":                of("expired", at("exp", -time.Hour), at("exp", -time.Second)),
		"that has expired a while ago":    of("expired", at("exp", -2*time.Minute), at("exp", -time.Second)),
		"that does not expire":            of("malformed", claim("exp", nil)),
		"that expires in words":           of("malformed", claim("exp", "never"), claim("exp", now(time.Hour))),
		"that expires beyond all numbers": of("malformed", claimsWritten(func(c string) string { return strings.Replace(c, `"exp":`, `"exp":1e999,"was":`, 1) })),
		"with two ends":                   of("malformed", firstInClaims(`"exp":1`), firstInClaims(`"EXP":1`)),
		"that is not good yet":            of("early", at("nbf", time.Hour), at("nbf", 20*time.Second)),
		"that is made tomorrow":           of("early", at("iat", 24*time.Hour), at("iat", 20*time.Second)),

		// whose it is
		"of nobody":                 of("malformed", claim("sub", nil)),
		"of an empty name":          of("malformed", claim("sub", "")),
		"of a number":               of("malformed", claim("sub", 7)),
		"of several":                of("malformed", claim("sub", []string{victim})),
		"of a name of two lines":    of("malformed", claim("sub", victim+"\n"+emulator.UserA)),
		"with two names":            of("malformed", firstInClaims(`"sub":"`+emulator.UserA+`"`), firstInClaims(`"SUB":"`+emulator.UserA+`"`)),
		"of an e-mail of two lines": of("malformed", claim("email", "a@b.example\r\nX-Roles: admin"), claim("email", nil)),

		// how it is written
		"whose claims are a list":  of("malformed", claimsWritten(func(c string) string { return "[" + c + "]" })),
		"whose claims are nothing": of("malformed", claimsWritten(func(string) string { return "" })),
		"whose claims are null":    of("issuer", claimsWritten(func(string) string { return "null" })),
		"whose claims are two":     of("malformed", claimsWritten(func(c string) string { return c + c }), claimsWritten(func(c string) string { return c + " " })),
		"that is too long":         of("malformed", claim("x", strings.Repeat("x", 12<<10)), claim("x", strings.Repeat("x", 11<<10))),
		"twice":                    of("malformed", whole(func(token string) string { return token + "." + token })),
		"and one part more":        of("malformed", whole(func(token string) string { return token + ".AAAA" })),
		"of five parts":            of("malformed", whole(func(token string) string { return token + "..AAAA" })),
		"in JSON":                  of("malformed", whole(inJSON)),
		"without its claims":       of("malformed", whole(func(token string) string { p := strings.Split(token, "."); return p[0] + ".." + p[2] })),
		"with padding":             of("malformed", whole(func(token string) string { return token + "==" })),
		"with a space in it":       of("malformed", whole(func(token string) string { return strings.Replace(token, ".", ". ", 1) })),
	}
	for name, f := range cases {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			m := *mint
			m.t = t
			from := addressOf(t.Name())
			forged := m.but(f.wrong)
			a := dialFrom(t, s, n, from).send(startOf(forged, "m-forger")).answer()
			a.problem(t, http.StatusUnauthorized, api.CodeUnauthorized)
			a.discreet(t, forged, victim)
			if got, want := a.header.Get("WWW-Authenticate"), `Bearer realm="sitegate", error="invalid_token", error_description="`+f.why+`"`; got != want {
				t.Errorf("got WWW-Authenticate %s, want %s", got, want)
			}
			isTaken(t, s, n, func() string { return m.but(f.right) }, victim)
		})
	}
	for name, shown := range map[string]string{"nothing": "", "no-token": "let-me-in", "a-user's-name": victim} {
		t.Run(name, func(t *testing.T) {
			a := dialFrom(t, s, n, addressOf(t.Name())).send(startOf(shown, "m-forger")).answer()
			a.problem(t, http.StatusUnauthorized, api.CodeUnauthorized)
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="sitegate"`) {
				t.Errorf("got WWW-Authenticate %q, want how to sign in", got)
			}
		})
	}
	t.Run("and-the-true-one-is", func(t *testing.T) {
		a := sparing(t, func() answer { return dial(t, s, n).send(startOf(good, "m-own")).answer() })
		if a.status != http.StatusCreated && a.status != http.StatusOK {
			t.Errorf("got %d %s, want the session", a.status, a.body)
		}
	})
}

// sparing asks until the user has a request left.
func sparing(t *testing.T, ask func() answer) (a answer) {
	t.Helper()
	integration.Eventually(t, patience, "the user has a request left", func() error {
		if a = ask(); a.status == http.StatusTooManyRequests {
			return fmt.Errorf("got %d %s", a.status, a.body)
		}
		return nil
	})
	return a
}

// isTaken holds that a token is taken, for the user whose it is. It is made when it is shown.
func isTaken(t *testing.T, s *integration.Site, n *integration.Node, token func() string, whose string) {
	t.Helper()
	a := sparing(t, func() answer {
		return dialFrom(t, s, n, addressOf(t.Name())).send(request("GET "+api.PathMe+" HTTP/1.1", "Authorization: Bearer "+token())).answer()
	})
	var me api.Me
	if err := json.Unmarshal([]byte(a.body), &me); err != nil || a.status != http.StatusOK || me.ID != whose {
		t.Errorf("without that one thing: got %d %s of %.300s; want it taken, for %s", a.status, a.header.Get("WWW-Authenticate"), a.body, whose)
	}
}

// inJSON is a token in the other form that signatures have (RFC 7515, 7.2.2).
func inJSON(token string) string {
	p := strings.Split(token, ".")
	return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
}

// inASN1 is the issuer's true signature in the form that certificates have theirs in.
func inASN1(s *integration.Site) signature {
	return func(written string) string {
		b, err := base64.RawURLEncoding.DecodeString(s.Cloud.Sign(written))
		if err != nil {
			panic(err)
		}
		out, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(b[:32]), new(big.Int).SetBytes(b[32:])})
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(out)
	}
}

// inPEM is the first of a set of public keys as files have it.
func inPEM(t *testing.T, set []byte) []byte {
	t.Helper()
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil || len(keys.Keys) == 0 {
		t.Fatalf("the issuer's keys: %v, %s", err, set)
	}
	der, err := x509.MarshalPKIXPublicKey(keys.Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// selfSigned is a certificate that a key has made for itself.
func selfSigned(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: integration.LoginHost}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
