package endpoint

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
)

func TestTokensThatDoNotHold(t *testing.T) {
	r := newRig(t, filled(t))
	foreign := newRealIssuer(t)
	type change = func(*claims, *jose.SignerOptions, *jose.SigningKey)
	signed := func(f change) string { return r.issuer.token(t, "ada", f) }
	in := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(d)) }
	good := r.issuer.token(t, "ada")
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"k1"}`))
	tests := []struct{ name, header, why string }{
		{"none", "", "missing"},
		{"another scheme", "Basic YWRhOmFkYQ==", "missing"},
		{"nonsense", "Bearer nonsense", "malformed"},
		{"too long", "Bearer " + strings.Repeat("x", maxToken+1), "malformed"},
		{"alg none", "Bearer " + none + "." + parts[1] + ".", "malformed"},
		{"a symmetric alg", "Bearer " + signed(func(_ *claims, _ *jose.SignerOptions, k *jose.SigningKey) {
			*k = jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: []byte(strings.Repeat("k", 32)), KeyID: "k1"}}
		}), "malformed"},
		{"an id token's kind", "Bearer " + signed(func(_ *claims, o *jose.SignerOptions, _ *jose.SigningKey) { o.WithType("dpop+jwt") }), "malformed"},
		{"no sub", "Bearer " + signed(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Subject = "" }), "malformed"},
		{"no exp", "Bearer " + signed(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Expiry = nil }), "malformed"},
		{"expired", "Bearer " + signed(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Expiry = in(-2 * time.Minute) }), "expired"},
		{"not yet", "Bearer " + signed(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Before = in(2 * time.Minute) }), "early"},
		{"foreign", "Bearer " + foreign.token(t, "ada"), "issuer"},
		{"foreign, with our issuer's name", "Bearer " + foreign.token(t, "ada", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Issuer = r.issuer.URL }), "signature"},
		{"for something else", "Bearer " + signed(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = "site-api" }), "audience"},
		{"changed", "Bearer " + parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), "signature"},
		{"a key nobody published", "Bearer " + signed(func(_ *claims, _ *jose.SignerOptions, k *jose.SigningKey) {
			own := k.Key.(jose.JSONWebKey)
			own.KeyID = "k9"
			k.Key = own
		}), "key"},
		{"a key id too long", "Bearer " + signed(func(_ *claims, _ *jose.SignerOptions, k *jose.SigningKey) {
			own := k.Key.(jose.JSONWebKey)
			own.KeyID = strings.Repeat("k", maxKeyID+1)
			k.Key = own
		}), "malformed"},
		{"its own key inside", "Bearer " + foreign.token(t, "ada", func(c *claims, o *jose.SignerOptions, k *jose.SigningKey) {
			c.Issuer = r.issuer.URL
			o.EmbedJWK = true
			o.WithHeader("jku", foreign.URL+"/keys")
			o.WithHeader("kid", "k1")
		}), "signature"},
	}
	r.want(t, 200, "ada", "GET", "/v1/me", nil) // the keys are there
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var h header
			if test.header != "" {
				h = header{"Authorization": test.header}
			}
			a := r.want(t, 401, "", "GET", "/v1/me", nil, h)
			p := a.problem(t)
			challenge := a.Header.Get("WWW-Authenticate")
			want := `error_description="` + test.why + `"`
			if test.why == "missing" {
				want = `Bearer realm="sitegate"`
			}
			if p.Code != "unauthorized" || !strings.Contains(challenge, want) || len(p.Next) == 0 {
				t.Errorf("got %s, %+v; want %s", challenge, p, want)
			}
		})
	}
	for i, part := range append(parts[1:], strings.Split(tests[9].header, ".")[2]) {
		if strings.Contains(r.log.String(), part) {
			t.Errorf("the log has part %d of a token", i)
		}
	}
	if foreign.reads != 0 {
		t.Errorf("the keys of a foreign issuer were read %d times", foreign.reads)
	}
}

func TestClocksMayDifferByAMinute(t *testing.T) {
	r := newRig(t, filled(t))
	late := r.issuer.token(t, "ada", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
		c.Expiry = jwt.NewNumericDate(time.Now().Add(-20 * time.Second))
	})
	r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer " + late})
	early := r.issuer.token(t, "ada", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
		c.Before = jwt.NewNumericDate(time.Now().Add(20 * time.Second))
	})
	r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": "bearer " + early})
}

// A node that restarts without a link lets people in, by the keys on disk.
func TestKeysOutliveARestartWithoutALink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	node := filled(t)
	r := newRig(t, node, func(c *Config) { c.KeysDir = dir })
	r.want(t, 200, "ada", "GET", "/v1/me", nil)
	var file string
	eventually(t, "the keys are on disk", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
		if len(files) == 1 {
			file = files[0]
		}
		return file != ""
	})
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the keys' file: %v, %v; want 0600", info.Mode(), err)
	}
	r.stop()
	r.issuer.set(func() { r.issuer.down = true })
	token := r.issuer.token(t, "ada")

	again, err := newAuth([]Issuer{{URL: r.issuer.URL, Audience: "site-gateway", Client: r.issuer.Client()}}, dir, slog.New(slog.DiscardHandler), testMetrics(t))
	if err != nil {
		t.Fatal(err)
	}
	caller, err := again.verify(t.Context(), token, time.Now())
	if err != nil || caller.User != "ada" || caller.Email != "ada@example.org" {
		t.Errorf("after the restart: %+v, %v", caller, err)
	}

	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty, err := newAuth([]Issuer{{URL: r.issuer.URL, Audience: "site-gateway", Client: r.issuer.Client()}}, dir, slog.New(slog.DiscardHandler), testMetrics(t))
	if err != nil {
		t.Fatalf("a broken file of keys kept the node from starting: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := empty.verify(ctx, token, time.Now()); statusOf(codeIn(err)) != http.StatusServiceUnavailable {
		t.Errorf("without any keys: %v; want not-ready, for it is not the caller's fault", err)
	}
}

func codeIn(err error) string {
	if t, ok := err.(*trouble); ok {
		return t.code
	}
	return ""
}

func testMetrics(t *testing.T) *metrics {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry(), func() int { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A new key is fetched when a token with it comes; junk does not make the node
// fetch again and again; a key that is missing in two readings ends its tokens.
func TestKeysFollowTheIssuer(t *testing.T) {
	r := newRig(t, filled(t))
	old := "Bearer " + r.issuer.token(t, "ada")
	r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": old})
	is := r.e.auth.issuers[r.issuer.URL]
	reads := func() (n int) { r.issuer.set(func() { n = r.issuer.reads }); return n }
	before := reads()

	var first jose.JSONWebKey
	r.issuer.set(func() { first = r.issuer.keys[0] })
	r.issuer.rotate(t, "k2")
	r.issuer.set(func() { r.issuer.keys = append(r.issuer.keys, first) })
	r.want(t, 401, "ada", "GET", "/v1/me", nil) // read a moment ago: not again
	if n := reads(); n != before {
		t.Errorf("the keys were read %d times more within the minute", n-before)
	}
	is.mu.Lock()
	is.tried = time.Now().Add(-keysAtMost) // a minute later
	is.mu.Unlock()
	r.want(t, 200, "ada", "GET", "/v1/me", nil)
	if n := reads(); n != before+1 {
		t.Errorf("the keys were read %d times; want once", n-before)
	}
	r.issuer.set(func() { r.issuer.keys = r.issuer.keys[:1] })
	if err := is.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.want(t, 200, "", "GET", "/v1/me", nil, header{"Authorization": old}) // missing once
	if err := is.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := r.want(t, 401, "", "GET", "/v1/me", nil, header{"Authorization": old})
	if got := a.Header.Get("WWW-Authenticate"); !strings.Contains(got, `"key"`) {
		t.Errorf("a token of a withdrawn key: %s", got)
	}
}

// While the issuer cannot be reached, a token with an unknown key waits for a
// moment only, and those with known keys do not wait at all.
func TestADeadIssuerHoldsNobodyUp(t *testing.T) {
	hang := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(dead.Close)
	t.Cleanup(func() { close(hang) })
	a, err := newAuth([]Issuer{{URL: dead.URL, Audience: "site-gateway", Client: dead.Client()}}, t.TempDir(), slog.New(slog.DiscardHandler), testMetrics(t))
	if err != nil {
		t.Fatal(err)
	}
	is := a.issuers[dead.URL]
	known := newRealIssuer(t)
	is.keys, is.fetched = map[string]jose.JSONWebKey{"k1": known.keys[0].Public()}, time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); is.run(ctx) }()
	defer func() { cancel(); <-ran }()

	// Both come back while the issuer hangs.
	if _, _, err := is.key(t.Context(), "k1"); err != nil {
		t.Errorf("a known key: %v", err)
	}
	if _, _, err := is.key(t.Context(), "k7"); err == nil {
		t.Error("an unknown key was found")
	}
}

// patient answers a second after each question with what an issuer says of itself and its keys.
type patient struct{ asked atomic.Int32 }

func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	p.asked.Add(1)
	time.Sleep(time.Second)
	body := onlyKey
	if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
		body = `{"issuer":"https://sign-in.test","jwks_uri":"https://sign-in.test/jwks"}`
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// However many tokens come with a key that is not known, before a reading, during it and at
// the moment when it ends, it is the only one.
func TestManyUnknownKeysAreOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var issuer patient
		is, err := newIssuer(Issuer{URL: "https://sign-in.test", Audience: "site-gateway", Client: &http.Client{Transport: &issuer}}, t.TempDir(), slog.New(slog.DiscardHandler), testMetrics(t), func() {})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { is.run(ctx) })
		for i := range 300 {
			all.Go(func() {
				time.Sleep(time.Duration(i%3) * time.Second)
				if i%2 == 0 {
					is.key(ctx, "z")
				} else {
					is.endpoints(ctx)
				}
			})
		}
		time.Sleep(keysAtMost / 2)
		if n := issuer.asked.Load(); n != 2 {
			t.Errorf("the issuer was asked %d times; want twice, for one reading", n)
		}
		if _, mark, err := is.key(ctx, "a"); mark == nil || err != nil {
			t.Errorf("the key that it lists: %v", err)
		}
		cancel()
		all.Wait()
	})
}

func TestOnlyPublicSigningKeysAreKept(t *testing.T) {
	is := newRealIssuer(t)
	private := is.keys[0]
	public := private.Public()
	named := func(k jose.JSONWebKey, id, use string) jose.JSONWebKey { k.KeyID, k.Use = id, use; return k }
	secret := make([]byte, 32)
	rand.Read(secret)
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{named(private, "private", "sig"), {Key: secret, KeyID: "symmetric"},
		named(public, "", "sig"), named(public, "encrypts", "enc"), named(public, "good", ""), named(public, "good", "sig")}}
	for i := range maxKeys + 10 {
		set.Keys = append(set.Keys, named(public, "more-"+strings.Repeat("x", i), "sig"))
	}
	keys, kept := usable(set)
	if len(keys) != maxKeys || len(kept.Keys) != maxKeys || keys["good"].Use != "" {
		t.Errorf("%d and %d keys were kept; want %d", len(keys), len(kept.Keys), maxKeys)
	}
	for _, id := range []string{"private", "symmetric", "", "encrypts"} {
		if _, ok := keys[id]; ok {
			t.Errorf("the key %q was kept", id)
		}
	}
}

func TestVerifiedTokensAreBounded(t *testing.T) {
	a := &auth{cached: map[[32]byte]*Caller{}}
	now := time.Now()
	var d [32]byte
	for i := range maxCached + 1000 {
		d[0], d[1], d[2] = byte(i), byte(i>>8), byte(i>>16)
		a.keep(d, &Caller{Expires: now.Add(time.Hour)}, now, 0)
	}
	if len(a.cached) != maxCached {
		t.Errorf("%d tokens are kept; want %d", len(a.cached), maxCached)
	}
	if _, ok := a.cached[d]; !ok {
		t.Error("the newest is not among them")
	}
}

// Junk from one address does not shut others out, and is cheap after a while.
func TestJunkTokensAreLimitedByAddress(t *testing.T) {
	r := newRig(t, filled(t))
	r.e.strays = newStrangers(Rate{PerSecond: 0.001, Burst: 2}, anyPace)
	good := header{"Authorization": "Bearer " + r.issuer.token(t, "ada")}
	r.want(t, 200, "", "GET", "/v1/me", nil, good)
	junk := header{"Authorization": "Bearer junk"}
	r.want(t, 401, "", "GET", "/v1/me", nil, junk)
	r.want(t, 401, "", "GET", "/v1/me", nil, junk)
	r.want(t, 429, "", "GET", "/v1/me", nil, junk)
	r.want(t, 200, "", "GET", "/v1/me", nil, good) // known already
}

// A token whose verification began before its key was withdrawn is not remembered
// after it.
func TestWhatWasVerifiedWithAWithdrawnKeyIsNotRemembered(t *testing.T) {
	a, err := newAuth(nil, "", slog.New(slog.DiscardHandler), testMetrics(t))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	digest := sha256.Sum256([]byte("a token"))
	began := a.forgot
	a.forget()
	a.keep(digest, &Caller{User: "ada", Expires: now.Add(time.Hour)}, now, began)
	if _, ok := a.cached[digest]; ok {
		t.Error("the token is remembered")
	}
	a.keep(digest, &Caller{User: "ada", Expires: now.Add(time.Hour)}, now, a.forgot)
	if _, ok := a.cached[digest]; !ok {
		t.Error("a token verified since is not remembered")
	}
}
