package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/license"
)

// answers is an issuer that says what it was told to, of a status, to each request in its turn.
type answers struct {
	status int
	bodies [][]byte
	asked  []*http.Request
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r)
	if len(a.bodies) == 0 {
		return nil, errors.New("there is nobody any more")
	}
	body := a.bodies[0]
	a.bodies = a.bodies[1:]
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// fuzzed is an issuer at https://sign-in.test that answers so.
func fuzzed(t *testing.T, status int, bodies ...[]byte) (*issuer, *answers) {
	t.Helper()
	a := &answers{status: status, bodies: bodies}
	is, err := newIssuer(Issuer{URL: "https://sign-in.test", Audience: "site-gateway", Client: &http.Client{Transport: a}}, t.TempDir(), slog.New(slog.DiscardHandler), testMetrics(t), func() {})
	if err != nil {
		t.Fatal(err)
	}
	return is, a
}

// onlyKey is what such an issuer publishes; nobody here has its private key.
const onlyKey = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"oct","k":"AAAA","kid":"b"}]}`

// Whatever an issuer publishes about itself and as its keys, keys are taken only of a document that
// is of this issuer, from where it says that they are, over TLS, and public ones only; what is
// kept of them on disk is read again as the same.
func FuzzIssuerAnswers(f *testing.F) {
	const keys = onlyKey
	for _, about := range []string{`{"issuer":"https://sign-in.test","jwks_uri":"https://sign-in.test/jwks","authorization_endpoint":"https://sign-in.test/a","token_endpoint":"https://sign-in.test/t"}`,
		`{"issuer":"https://sign-in.test","jwks_uri":"http://sign-in.test/jwks"}`, `{"issuer":"https://sign-in.test","jwks_uri":"https://a:b@sign-in.test/jwks"}`,
		`{"issuer":"https://sign-in.test/","jwks_uri":"https://sign-in.test/jwks"}`, `{"issuer":"https://sign-in.test","jwks_uri":"file:///etc/passwd"}`,
		`{"issuer":"https://sign-in.test","issuer":"https://x.test","jwks_uri":"//x.test"}`, `{"ISSUER":"https://sign-in.test","jwks_uri":"https:///jwks"}`,
		`{"issuer":["https://sign-in.test"]}`, `null`, `[]`, `{`, "\xff", ``, `{"issuer":"https://sign-in.test","jwks_uri":"https://sign-in.test:99999/\u0000"}`} {
		f.Add(200, []byte(about), []byte(keys))
	}
	f.Add(302, []byte(`{}`), []byte(keys))
	f.Add(200, []byte(`{"issuer":"https://sign-in.test","jwks_uri":"https://keys.test/"}`), []byte(`{"keys":[{"kid":"a"}]}`))
	f.Fuzz(func(t *testing.T, status int, about, keys []byte) {
		if status < 200 || status > 599 {
			status = 200
		}
		is, a := fuzzed(t, status, about, keys)
		got, taken, set, err := is.fetch(t.Context())
		for i, r := range a.asked {
			if r.URL.Scheme != "https" || r.URL.Host == "" || r.URL.User != nil || r.Header.Get("Authorization") != "" {
				t.Fatalf("request %d goes to %s: %v", i, r.URL, r.Header)
			}
		}
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) || len(err.Error()) > 4<<10 {
				t.Fatalf("an error of %d bytes, perhaps of several lines: %.300q", len(err.Error()), err)
			}
			return
		}
		if status != 200 || got.Issuer != "https://sign-in.test" || len(a.asked) != 2 || len(taken) == 0 || len(taken) != len(set.Keys) {
			t.Fatalf("of status %d, %q, %q there were taken %v, %v after %d requests", status, about, keys, got, taken, len(a.asked))
		}
		if u, err := url.Parse(got.Keys); err != nil || u.String() != a.asked[1].URL.String() {
			t.Fatalf("keys are at %q, and were read from %s", got.Keys, a.asked[1].URL)
		}
		for id, k := range taken {
			if id == "" || k.KeyID != id || !k.IsPublic() || !k.Valid() {
				t.Fatalf("%q: %v is taken for the key %q", keys, k, id)
			}
		}
		is.keys, is.fetched = taken, time.Now()
		if err := is.save(kept{is.cfg.URL, is.fetched.UTC(), set}); err != nil {
			t.Fatalf("%q cannot be kept: %v", keys, err)
		}
		again, err := newIssuer(is.cfg, filepath.Dir(is.file), slog.New(slog.DiscardHandler), is.metrics, func() {})
		if err != nil {
			t.Fatal(err)
		}
		if was, now := thumbprints(taken), thumbprints(again.keys); license.SetDigest(was) != license.SetDigest(now) || len(again.keys) != len(taken) {
			t.Fatalf("%q: %d keys were kept, and %d are read", keys, len(taken), len(again.keys))
		}
	})
}

// Whatever an issuer's token endpoint answers to a code, it is tokens, an error that the issuer
// names, or none of both; nobody is signed in by what no key has signed; and what is logged of
// it is short and of one line.
func FuzzTokenAnswers(f *testing.F) {
	for _, s := range []string{`{"access_token":"a","id_token":"b","token_type":"Bearer"}`, `{"error":"invalid_grant","error_description":"x"}`, `{"error":"a\nb\u0000","id_token":"x"}`,
		`{"id_token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiJpZGEifQ.","access_token":""}`, `{"id_token":{"a":1}}`, `{"id_token":"a","id_token":"b"}`, `null`, `[]`, `{`, ``, "\xff",
		`{"id_token":"eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL3NpZ24taW4udGVzdCIsInN1YiI6ImlkYSJ9.AAAA"}`} {
		for _, status := range []int{200, 400, 302, 500} {
			f.Add(status, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			status = 200
		}
		is, a := fuzzed(t, status, body)
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(onlyKey), &set); err != nil {
			t.Fatal(err)
		}
		is.keys, _ = usable(set)
		is.fetched, is.tried = time.Now(), time.Now()
		flow := &codeFlow{is: is, cfg: CodeFlow{ClientID: "console", Secret: func() (string, error) { return "the client's secret", nil }}}
		got, err := flow.ask(t.Context(), aboutIssuer{Token: "https://sign-in.test/t"}, url.Values{"code": {"x"}})
		if len(a.asked) != 1 || a.asked[0].URL.String() != "https://sign-in.test/t" {
			t.Fatalf("asked %d times: a redirect is not gone to with a secret", len(a.asked))
		}
		if err != nil {
			if got != (codeTokens{}) {
				t.Fatalf("%d %q: tokens %v in spite of %v", status, body, got, err)
			}
			if text := err.Error(); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(text) > 300 || strings.Contains(text, "the client's secret") {
				t.Fatalf("%q: the error is %.400q", body, text)
			}
			return
		}
		if status != 200 || got.Error != "" || !json.Valid(body) {
			t.Fatalf("%d %q is taken for tokens", status, body)
		}
		if who, err := flow.person(t.Context(), got.ID, "nonce", time.Now()); err == nil {
			t.Fatalf("%q signs in %v", body, who)
		}
	})
}
