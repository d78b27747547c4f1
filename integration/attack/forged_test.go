package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
)

// signature is the last part of a forged token.
type signature func(t *testing.T, head map[string]any, signed string) string

// forge is a token with its header and claims changed, signed anew.
func forge(t *testing.T, token string, change func(head, claims map[string]any), sign signature) string {
	t.Helper()
	parts := strings.Split(token, ".")
	var both [2]map[string]any
	for i := range both {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &both[i]); err != nil {
			t.Fatal(err)
		}
	}
	change(both[0], both[1])
	for i := range both {
		b, err := json.Marshal(both[i])
		if err != nil {
			t.Fatal(err)
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(b)
	}
	return parts[0] + "." + parts[1] + "." + sign(t, both[0], parts[0]+"."+parts[1])
}

func unsigned(*testing.T, map[string]any, string) string { return "" }

// kept is the signature that the token had before.
func kept(token string) signature {
	return func(*testing.T, map[string]any, string) string { return token[strings.LastIndexByte(token, '.')+1:] }
}

// byOwnKey signs with the attacker's key.
func byOwnKey(t *testing.T, _ map[string]any, signed string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return base64.RawURLEncoding.EncodeToString(out)
}

// bySecret signs with what everybody can read, as a server that takes the public key for a
// secret would expect (HS256).
func bySecret(secret []byte) signature {
	return func(_ *testing.T, _ map[string]any, signed string) string {
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(signed))
		return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
}

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

// startOf is a request for a session of the capped product, by whoever shows a token.
func startOf(token, machine string) string {
	body := `{"id":"` + uuid.Must(uuid.NewV7()).String() + `","product":"` + emulator.ProductCapped + `","machine":{"id":"` + machine + `","name":"` + machine + `"}}`
	return post(api.PathSessions, token, body)
}

// post is a request with a JSON body.
func post(path, token, body string, headers ...string) string {
	return request("POST "+path+" HTTP/1.1", append([]string{"Authorization: Bearer " + token, "Content-Type: application/json",
		"Content-Length: " + strconv.Itoa(len(body))}, headers...)...) + body
}

// TestForgedTokensAreNotTaken: by whatever way a token came about that its issuer did not
// make for this user, this gateway and this hour, it starts nothing, and the answer does not
// tell how near it was.
func TestForgedTokensAreNotTaken(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, victim := s.Nodes[0], user(t, s)
	good := s.Token(t, victim)
	with := func(name string, value any) func(head, claims map[string]any) {
		return func(head, claims map[string]any) {
			if name == "kid" || name == "alg" || name == "jwk" || name == "jku" || name == "typ" || name == "crit" {
				head[name] = value
			} else {
				claims[name] = value
			}
		}
	}
	same := func(_, _ map[string]any) {}
	stranger := &emulator.Emulator{Issuer: integration.Issuer} // another key, the same name
	stranger.Seed(users)
	foreign, err := stranger.UserToken(integration.Issuer, victim, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := s.Cloud.UserToken("https://sign-in.attacker.example", victim, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := s.Cloud.UserToken(integration.Issuer, victim, -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var kid string
	forge(t, good, func(head, _ map[string]any) { kid = head["kid"].(string) }, unsigned)
	keys := asked(t, s, httptest.NewRequest("GET", integration.Issuer+jwksPath(t, s), nil))

	cases := map[string]string{
		"nothing":                               "",
		"no token":                              "let-me-in",
		"of another key with the issuer's name": foreign,
		"of another key under the known key's id": forge(t, good, same, byOwnKey),
		"with the attacker's key in it":           forge(t, good, with("jwk", map[string]any{"kty": "EC"}), byOwnKey),
		"with an address to fetch a key from":     forge(t, good, with("jku", "https://127.0.0.1:1/keys"), byOwnKey),
		"with a critical header nobody knows":     forge(t, good, with("crit", []string{"exp"}), kept(good)),
		"without a signature":                     forge(t, good, with("alg", "none"), unsigned),
		"with the signature cut off":              good[:strings.LastIndexByte(good, '.')+1],
		"signed with the public keys as a secret": forge(t, good, with("alg", "HS256"), bySecret(keys)),
		"signed with the key's id as a secret":    forge(t, good, with("alg", "HS256"), bySecret([]byte(kid))),
		"of another issuer":                       elsewhere,
		"that has expired":                        expired,
		"that was made to last":                   forge(t, expired, with("exp", time.Now().Add(time.Hour).Unix()), kept(expired)),
		"for another user":                        forge(t, good, with("sub", emulator.UserA), kept(good)),
		"for another audience":                    siteToken(t, s),
		"that is an ID token":                     forge(t, good, with("typ", "id+jwt"), kept(good)),
		"with a key id of a path":                 forge(t, good, with("kid", "../../"+kid), kept(good)),
		"with a key id of 64 kB":                  forge(t, good, with("kid", strings.Repeat("k", 8<<10)), kept(good)),
		"twice":                                   good + "." + good,
	}
	for name, token := range cases {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			a := dialFrom(t, s, n, addressOf(t.Name())).send(startOf(token, "m-forger")).answer()
			a.problem(t, http.StatusUnauthorized, api.CodeUnauthorized)
			a.discreet(t, token, victim)
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="sitegate"`) {
				t.Errorf("got WWW-Authenticate %q, want how to sign in", got)
			}
		})
	}
	t.Run("and-the-true-one-is", func(t *testing.T) {
		if a := dial(t, s, n).send(startOf(good, "m-own")).answer(); a.status != http.StatusCreated && a.status != http.StatusOK {
			t.Errorf("got %d %s, want the session", a.status, a.body)
		}
	})
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

// TestTokensAreOnlyTakenInTheHeader: not from a URL, where logs and histories keep it, nor a
// cookie, which a page of somebody else's would send along.
func TestTokensAreOnlyTakenInTheHeader(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, token := s.Nodes[0], s.Token(t, user(t, s))
	for name, head := range map[string]string{
		"in-the-URL":          request("GET " + api.PathMe + "?access_token=" + token + " HTTP/1.1"),
		"in-a-cookie":         request("GET "+api.PathMe+" HTTP/1.1", "Cookie: access_token="+token+"; Authorization="+token),
		"with-an-underscore":  request("GET "+api.PathMe+" HTTP/1.1", "X_Authorization: Bearer "+token, "Proxy-Authorization: Bearer "+token),
		"as-a-subprotocol-of": request("GET "+api.PathMe+" HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: "+api.NoticesProtocol+", "+api.BearerProtocol+base64.RawURLEncoding.EncodeToString([]byte(token))),
		"in-trailers": request("GET "+api.PathMe+" HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: Authorization") +
			"0\r\nAuthorization: Bearer " + token + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := dial(t, s, n).send(head).answer()
			if a.status < 400 || a.status >= 500 {
				t.Errorf("got %d %s, want it refused", a.status, a.body)
			}
			a.discreet(t, token)
		})
	}
}

// TestAnotherUsersSessionIsNothing: who knows a session's id and its machine, and signs in
// as somebody else, does not get to see, renew, end or take it.
func TestAnotherUsersSessionIsNothing(t *testing.T) {
	t.Parallel()
	s := single(t)
	n, owner, thief := s.Nodes[0], s.Token(t, user(t, s)), s.Token(t, user(t, s))
	w := dial(t, s, n)
	started := w.send(startOf(owner, "m-owner")).answer()
	var session api.Session
	if err := json.Unmarshal([]byte(started.body), &session); err != nil || session.ID == "" {
		t.Fatalf("no session to steal: %d %s", started.status, started.body)
	}
	at := api.PathSessions + "/" + session.ID
	machine := `"machine":{"id":"m-owner","name":"m-owner"}`
	bearer := "Authorization: Bearer "
	for name, head := range map[string]string{
		"see":       request("GET "+at+" HTTP/1.1", bearer+thief),
		"renew":     post(at+"/heartbeat", thief, `{`+machine+`}`),
		"end":       request("DELETE "+at+"?machine=m-owner HTTP/1.1", bearer+thief),
		"let go of": post(at+"/let-go", thief, `{`+machine+`}`),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			a := dial(t, s, n).send(head).answer()
			if a.status != http.StatusNotFound && a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
				t.Errorf("got %d %s, want it refused", a.status, a.body)
			}
			a.discreet(t, session.Product)
		})
	}
	again := post(api.PathSessions, thief, `{"id":"`+session.ID+`","product":"`+emulator.ProductCapped+`",`+machine+`}`)
	dial(t, s, n).send(again).answer() // ids are each user's own: whatever is said, the owner's stays
	if a := w.send(request("GET "+at+" HTTP/1.1", bearer+owner)).answer(); a.status != http.StatusOK {
		t.Errorf("the owner's session afterwards: got %d %s, want it there", a.status, a.body)
	}
}
