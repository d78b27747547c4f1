package client_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
)

// keyed is a gateway where machines go by keys: it judges what they sign, and hands what it
// takes to a gateway that knows access tokens alone.
type keyed struct {
	*clienttest.Gateway
	access string // the user's token; guarded by mu, as all below
	mu     sync.Mutex
	key    ed25519.PublicKey // that the machine goes by
	refuse string            // why no key is bound
	fails  int               // so many times more no key can be bound
	needs  bool              // whoever shows an access token is asked for the key
	asked  int               // how many were
	ahead  time.Duration     // of the site's time
	shown  []string          // with each request: "access", "session"
}

// parts are the claims of a token that its own key has signed.
func signed(token string) (claims map[string]any, key ed25519.PublicKey, typ string) {
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || t.Headers[0].JSONWebKey == nil {
		return nil, nil, ""
	}
	key, _ = t.Headers[0].JSONWebKey.Key.(ed25519.PublicKey)
	typ, _ = t.Headers[0].ExtraHeaders[jose.HeaderType].(string)
	if t.Claims(key, &claims) != nil {
		return nil, nil, ""
	}
	return claims, key, typ
}

func (k *keyed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	k.mu.Lock()
	claims, key, typ := signed(token)
	now := time.Now().Add(k.ahead).Unix()
	if k.ahead != 0 {
		w.Header().Set("Date", time.Now().Add(k.ahead).UTC().Format(http.TimeFormat))
	}
	number := func(name string) int64 { f, _ := claims[name].(float64); return int64(f) }
	switch {
	case typ == api.SessionTokenType && key.Equal(k.key) && claims["sub"] == "u-ann" && claims["aud"] == "site" && claims["mid"] == "m-1" &&
		number("iat")-60 <= now && now <= number("exp")+60 && claims["jti"] != "":
		k.shown = append(k.shown, "session")
		r.Header.Set("Authorization", "Bearer "+k.access)
	case token == k.access:
		k.shown = append(k.shown, "access")
	}
	good, refuse := token == k.access, k.refuse
	binds := r.URL.Path == api.PathMachineKey
	if binds && k.fails > 0 {
		k.fails, refuse = k.fails-1, api.CodeNoQuorum
	}
	needs := k.needs && good && !binds
	if needs {
		k.asked++
	}
	k.mu.Unlock()
	if needs {
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(api.Problem{Code: string(client.ErrKeyNeeded), Status: http.StatusForbidden})
		return
	}
	if !binds || !good {
		k.Gateway.ServeHTTP(w, r)
		return
	}
	var in api.KeyRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		panic(err)
	}
	claims, key, typ = signed(in.Proof)
	digest := sha256.Sum256([]byte(token))
	if typ != api.KeyProofType || claims["mid"] != in.Machine.ID || claims["ath"] != base64.RawURLEncoding.EncodeToString(digest[:]) {
		refuse = api.CodeUnauthorized
	}
	if refuse != "" {
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusConflict)
		json.NewEncoder(w).Encode(api.Problem{Code: refuse, Status: http.StatusConflict, Detail: refuse})
		return
	}
	k.mu.Lock()
	k.key = key
	k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(api.MachineKey{User: "u-ann", Cluster: "site", Until: time.Now().Add(24 * time.Hour), Time: time.Now()})
}

func (k *keyed) set(f func()) { k.mu.Lock(); defer k.mu.Unlock(); f() }

func (k *keyed) took() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := strings.Join(k.shown, " ")
	k.shown = nil
	return s
}

// accessToken is a JWT that says whose it is.
func accessToken(user, id string) string {
	payload, _ := json.Marshal(map[string]string{"sub": user, "jti": id})
	return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
}

// source gives access tokens, until it has none.
type source struct {
	mu    sync.Mutex
	token string
	err   error
	asked int
}

func (s *source) Token(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.token, s.err
}

func (s *source) set(token string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.err = token, err
}

// keyedSite is a client with a key, and its gateway.
func keyedSite(t *testing.T, change func(*client.Config)) (*client.Client, *keyed, *source) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := accessToken("u-ann", "1")
	g := &keyed{Gateway: &clienttest.Gateway{Users: map[string]string{first: ann}, Products: []string{cad}}, access: first}
	var w wire
	w.serve(t, "127.0.0.1:1", g)
	s := &source{token: first}
	cfg := client.Config{Nodes: []string{"http://127.0.0.1:1"}, Token: s.Token, Machine: api.Machine{ID: "m-1", Name: "WS-1"}, Dial: w.dial, Key: key}
	if change != nil {
		change(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, g, s
}

// The sign-in is shown once with the key; from then on the machine goes by what it signs.
// While there is no access token it goes on, and says so; with the next one it shows that.
func TestAMachineGoesByItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []client.Bound
		c, g, s := keyedSite(t, func(cfg *client.Config) { cfg.OnBound = func(b client.Bound) { told = append(told, b) } })
		me := func() {
			t.Helper()
			if _, err := c.Me(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		me()
		me()
		if got := g.took(); got != "access session session" {
			t.Errorf("shown %q, want the access token once, and then the key", got)
		}
		if len(told) != 1 || told[0].User != "u-ann" || told[0].Cluster != "site" || c.SignIn().ByKey {
			t.Errorf("told %+v, going by %+v", told, c.SignIn())
		}
		time.Sleep(61 * time.Minute)
		me()
		if got := g.took(); got != "access session" {
			t.Errorf("an hour later %q was shown, want the sign-in again", got)
		}

		s.set("", errors.New("the issuer is away"))
		for range 3 {
			time.Sleep(9 * time.Minute) // session tokens are made anew
			me()
		}
		if got := g.took(); got != "session session session" {
			t.Errorf("without an access token %q was shown", got)
		}
		if got := c.SignIn(); !got.ByKey || got.Until.IsZero() || got.Err == nil {
			t.Errorf("it goes by %+v; want the key alone, until when, and why", got)
		}
		next := accessToken("u-ann", "2")
		g.set(func() { g.access = next; g.Users[next] = ann })
		s.set(next, nil)
		time.Sleep(time.Minute)
		me()
		if got := g.took(); got != "access session" || c.SignIn().ByKey {
			t.Errorf("with the next access token %q was shown, and it goes by %+v", got, c.SignIn())
		}
	})
}

// Another program of the machine, started while the sign-in is out of reach, goes by what
// the first was told.
func TestWhatWasBoundIsEnoughToBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept client.Bound
		var key client.Config
		c, g, s := keyedSite(t, func(cfg *client.Config) { cfg.OnBound = func(b client.Bound) { kept = b }; key = *cfg })
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.set("", errors.New("the issuer is away"))
		key.Bound, key.OnBound = &kept, nil
		again, err := client.New(key)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		g.took()
		session, err := again.Start(t.Context(), cad)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.took(); strings.Contains(got, "access") || !again.SignIn().ByKey {
			t.Errorf("shown %q, going by %+v", got, again.SignIn())
		}
		// Without it, there is nothing to go by.
		key.Bound = nil
		bare, err := client.New(key)
		if err != nil {
			t.Fatal(err)
		}
		defer bare.Close()
		if _, err := bare.Me(t.Context()); !errors.Is(err, client.ErrUnauthorized) {
			t.Errorf("got %v, want %v", err, client.ErrUnauthorized)
		}
	})
}

// Where the gateway does not know the key any more, it is shown again with the sign-in.
func TestAKeyThatIsNotTakenIsShownAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, _ := keyedSite(t, nil)
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.set(func() { g.key = nil })
		g.took()
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.took(); got != "access session" {
			t.Errorf("shown %q, want the sign-in, and the key", got)
		}
		// Another computer has taken the machine's place meanwhile.
		g.set(func() { g.key, g.refuse = nil, string(client.ErrMachineClone) })
		if _, err := c.Start(t.Context(), cad); !errors.Is(err, client.ErrMachineClone) {
			t.Errorf("got %v, want %v", err, client.ErrMachineClone)
		}
	})
}

// That the key could not be shown once is no refusal: it is shown again, and what was asked
// for is asked again with it.
func TestAKeyThatCouldNotBeShownIsShownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, _ := keyedSite(t, nil)
		g.set(func() { g.needs, g.fails = true, 3 })
		session, err := c.Start(t.Context(), cad)
		if err != nil {
			t.Fatalf("got %v, want a session by the key", err)
		}
		if got := g.took(); !strings.HasSuffix(got, "session") || g.asked != 3 {
			t.Errorf("shown %q, and asked for the key %d times, want 3 and the key in the end", got, g.asked)
		}
		if err := session.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// While it cannot be shown at all the answer is that, and not that the machine may not; what
// a gateway will not have of the key is the answer itself.
func TestAKeyThatCannotBeShownIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for refuse, want := range map[string]client.Reason{api.CodeNoQuorum: client.ErrNoQuorum, api.CodeMalformed: client.ErrKeyNeeded,
			"too-many-keys": client.ErrTooManyKeys, "user-blocked": client.ErrUserBlocked} {
			c, g, _ := keyedSite(t, nil)
			g.set(func() { g.needs, g.refuse = true, refuse })
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			_, err := c.Start(ctx, cad)
			cancel()
			if !errors.Is(err, want) || client.Denied(err) != (refuse != api.CodeNoQuorum) {
				t.Errorf("where binding is answered with %s: got %v, want %v", refuse, err, want)
			}
		}
	})
}

// A key that the rules will not have is not shown again with each request.
func TestARefusedKeyIsNotShownWithEachRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, _ := keyedSite(t, nil)
		g.set(func() { g.refuse = "too-many-keys" })
		for range 3 {
			if _, err := c.Me(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if got := g.took(); got != "access access access access" {
			t.Errorf("shown %q, want the access token with the key once, and with each request", got)
		}
	})
}

// The key is shown to the next node where one does not answer.
func TestTheKeyIsShownToTheNextNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, _ := keyedSite(t, func(cfg *client.Config) {
			cfg.Nodes = []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}
		})
		g.set(func() { g.needs = true })
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.took(); got != "access session" || g.asked != 0 {
			t.Errorf("shown %q with two nodes of three away, and asked for the key %d times", got, g.asked)
		}
	})
}

// Somebody else's sign-in is not mistaken for that of whose the key was.
func TestAnotherUsersSignInIsTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, s := keyedSite(t, nil)
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := accessToken("u-ben", "1")
		g.set(func() { g.access, g.refuse = other, api.CodeNoQuorum; g.Users[other] = "ben@site.example" })
		s.set(other, nil)
		g.took()
		me, err := c.Me(t.Context())
		if err != nil || me.SignedIn != "ben@site.example" {
			t.Errorf("told %+v (%v), want Ben", me, err)
		}
		if got := g.took(); strings.Contains(got, "session") {
			t.Errorf("shown %q", got)
		}
	})
}

// moody is a key that a platform keeps, and does not always sign with.
type moody struct {
	crypto.Signer
	why atomic.Pointer[error]
}

func (m *moody) fail(err error) { m.why.Store(&err) }

func (m *moody) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if why := m.why.Load(); why != nil && *why != nil {
		return nil, *why
	}
	return m.Signer.Sign(r, digest, opts)
}

// A key that does not sign is told as that, with what its keystore says: nothing else stands
// in for it. What it has signed is shown for as long as it is good.
func TestAKeyThatDoesNotSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var key moody
		cleared := errors.New("the TPM was cleared")
		key.fail(cleared)
		c, g, _ := keyedSite(t, func(cfg *client.Config) {
			key.Signer = cfg.Key
			cfg.Key = &key
		})
		unusable := func(when string) {
			t.Helper()
			_, err := c.Me(t.Context())
			if !errors.Is(err, client.ErrKeyUnusable) || !errors.Is(err, cleared) || client.Denied(err) {
				t.Errorf("%s: %v, want %v with why", when, err, client.ErrKeyUnusable)
			}
			if got := g.took(); got != "" {
				t.Errorf("%s: %q was shown in its place", when, got)
			}
		}
		unusable("before it has signed anything")
		key.fail(nil)
		if _, err := c.Me(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.took()
		key.fail(cleared)
		time.Sleep(9 * time.Minute)
		if _, err := c.Me(t.Context()); err != nil || g.took() != "session" {
			t.Errorf("with a token that is good for a minute: %v", err)
		}
		time.Sleep(time.Minute)
		unusable("when that is over")
		key.fail(nil)
		if _, err := c.Me(t.Context()); err != nil || g.took() != "session" {
			t.Errorf("when it signs again: %v", err)
		}
		time.Sleep(time.Hour)
		key.fail(cleared)
		unusable("when the sign-in is to be shown anew")
	})
}
