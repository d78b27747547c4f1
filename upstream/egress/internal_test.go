package egress

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"
)

func TestParseChallenges(t *testing.T) {
	tests := []struct{ in, want string }{
		{`Basic realm="a, b"`, `[{Basic map[realm:a, b]}]`},
		{`Negotiate, NTLM`, `[{Negotiate map[]} {NTLM map[]}]`},
		{`Negotiate oRUw/6+==, Basic Realm=x, charset="UTF-8"`, `[{Negotiate map[:oRUw/6+==]} {Basic map[charset:UTF-8 realm:x]}]`},
		{`Digest realm="q\"x", qop="auth,auth-int" , Basic`, `[{Digest map[qop:auth,auth-int realm:q"x]} {Basic map[]}]`},
		{`,, Basic realm = "x" ,`, `[{Basic map[realm:x]}]`},
		{`Basic realm="open`, `[{Basic map[realm:open]}]`},
		{`="x"`, `[]`},
		{``, `[]`},
		{"\x00\xff", `[]`},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(parseChallenges([]string{tt.in})); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.in, got, tt.want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Digest realm="q\"x", qop="auth,auth-int" , Basic`)
	f.Add(`Negotiate oRUw/6+==, NTLM`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges([]string{s, s}) {
			if c.scheme == "" || len(c.scheme) > len(s) {
				t.Errorf("%q: got scheme %q", s, c.scheme)
			}
		}
	})
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		at := func(proxy, user, secret string, v verdict) error {
			c, err := b.acquire(t.Context(), proxy, user, secret)
			if err == nil {
				b.settle(c, v)
			}
			return err
		}
		try := func(secret string, v verdict) error { return at("p:1", "svc", secret, v) }
		var locked *lockedError
		for range 2 {
			if err := try("a", rejected); err != nil {
				t.Fatal(err)
			}
		}
		if err := try("a", accepted); !errors.As(err, &locked) {
			t.Fatalf("after two rejections: got %v, want it not to be sent", err)
		}
		for _, user := range []string{`CORP\Svc`, "svc@corp.test"} {
			if err := at("other:1", user, "a", accepted); !errors.As(err, &locked) {
				t.Errorf("the same account as %s at another proxy: got %v, want it not to be sent", user, err)
			}
		}
		if err := at("other:1", "another", "a", accepted); err != nil {
			t.Errorf("another account: got %v, want it to be sent", err)
		}
		if until, is := b.lockedAt("p:1", "svc", time.Now()); !is || time.Until(until) != lockout {
			t.Errorf("got locked %v until %v, want ten minutes", is, until)
		}
		if state, until := b.secretOf("p:1", `CORP\Svc`); state != SecretStopped || time.Until(until) != lockout {
			t.Errorf("got the secret %q until %v, want it stopped for ten minutes", state, until)
		}
		time.Sleep(lockout - time.Second)
		if err := try("a", accepted); !errors.As(err, &locked) {
			t.Fatalf("just before ten minutes: got %v, want it not to be sent", err)
		}
		time.Sleep(2 * time.Second)
		if err := try("a", rejected); err != nil {
			t.Fatalf("after ten minutes: got %v, want one try", err)
		}
		if err := try("a", accepted); !errors.As(err, &locked) {
			t.Fatalf("after that try failed: got %v, want it not to be sent", err)
		}
		// Each try that fails makes the pause twice as long, up to an hour.
		for _, want := range []time.Duration{2 * lockout, 4 * lockout, longLockout, longLockout} {
			until, is := b.lockedAt("p:1", "svc", time.Now())
			if got := time.Until(until); !is || got != want {
				t.Errorf("got it locked %v for %v, want %v", is, got, want)
			}
			time.Sleep(time.Until(until))
			if err := try("a", rejected); err != nil {
				t.Fatalf("after %v: got %v, want one try", want, err)
			}
		}
		time.Sleep(2 * longLockout)
		if state, _ := b.secretOf("p:1", "svc"); state != SecretStopped {
			t.Errorf("long after, with nothing accepted: got the secret %q, want it stopped", state)
		}
		if err := try("b", accepted); err != nil {
			t.Fatalf("another secret: got %v, want it to be sent at once", err)
		}
		if _, is := b.lockedAt("p:1", "svc", time.Now()); is {
			t.Error("got locked after the password was changed")
		}
		if state, _ := b.secretOf("p:1", "svc"); state != SecretTaken || b.stops != 6 {
			t.Errorf("got the secret %q after %d stops, want it taken after 6", state, b.stops)
		}

		// One proxy that takes it and one that does not: the second is spared alone.
		for range 2 {
			if err := at("strict:1", "svc", "b", rejected); err != nil {
				t.Fatal(err)
			}
		}
		if err := at("strict:1", "svc", "b", accepted); !errors.As(err, &locked) {
			t.Errorf("the one that does not take it: got %v, want it not to be sent", err)
		}
		if err := try("b", accepted); err != nil {
			t.Errorf("the one that takes it: got %v, want it to be sent", err)
		}

		// One account at two proxies that have rejected it once each: that one takes it later is enough for both.
		for _, proxy := range []string{"north:1", "south:1"} {
			if err := at(proxy, "two", "a", rejected); err != nil {
				t.Fatal(err)
			}
		}
		if state, until := b.secretOf("south:1", "two"); state != SecretStopped || time.Until(until) != lockout {
			t.Errorf("rejected once by each: got %q for %v, want it stopped for %v", state, time.Until(until), lockout)
		}
		time.Sleep(2 * lockout)
		if err := at("north:1", "two", "a", accepted); err != nil {
			t.Fatal(err)
		}
		for _, proxy := range []string{"north:1", "south:1"} {
			if state, _ := b.secretOf(proxy, "two"); state != SecretTaken {
				t.Errorf("%s, after one has accepted it: got %q, want it taken", proxy, state)
			}
		}
		if state, _ := b.secretOf("strict:1", "svc"); state != SecretStopped {
			t.Errorf("one that has rejected it too often itself: got %q, want it stopped", state)
		}

		// A proxy that was not used yet, for an account that another one takes, rejects, or has not heard of.
		for user, want := range map[string]SecretState{`CORP\Two`: SecretTaken, "nobody": ""} {
			if state, _ := b.secretOf("unused:1", user); state != want {
				t.Errorf("%s at a proxy that was never used: got %q, want %q", user, state, want)
			}
		}
		var anew breaker
		for range 2 {
			c, err := anew.acquire(t.Context(), "north:1", "two", "wrong")
			if err != nil {
				t.Fatal(err)
			}
			anew.settle(c, rejected)
		}
		if state, _ := anew.secretOf("unused:1", "two"); state != "" {
			t.Errorf("at a proxy that was never used, rejected by the other: got %q, want nothing known", state)
		}

		// A proven secret may be sent many times at once, an unproven one only once.
		try("c", accepted)
		c1, _ := b.acquire(t.Context(), "p:1", "svc", "c")
		c2, err := b.acquire(t.Context(), "p:1", "svc", "c")
		if err != nil {
			t.Fatal(err)
		}
		b.settle(c1, rejected)
		b.settle(c2, unsettled)
		probe, _ := b.acquire(t.Context(), "p:1", "svc", "c")
		done := make(chan error, 1)
		go func() { done <- try("c", unsettled) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("a second one went ahead (%v) while the first was out", err)
		default:
		}
		b.settle(probe, accepted)
		if err := <-done; err != nil {
			t.Errorf("got %v, want it to go ahead once the first was accepted", err)
		}
		for i := range 3 * maxAccounts { // passwords come and go
			_ = at("p:1", "svc", fmt.Sprint(i), unsettled)
		}
		if len(b.accounts) > maxAccounts || len(b.last) > maxAccounts+1 {
			t.Errorf("remembers %d and %d, want a bound", len(b.accounts), len(b.last))
		}
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		bad := errors.New("no")
		if !h.admit(time.Now()) || !h.fail(bad) {
			t.Fatal("the first failure is one")
		}
		h.fail(bad) // another that was under way
		for _, rest := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
			rest *= time.Second
			time.Sleep(rest - time.Millisecond)
			if h.admit(time.Now()) {
				t.Fatalf("admitted before %v are over", rest)
			}
			time.Sleep(time.Millisecond)
			if !h.admit(time.Now()) {
				t.Fatalf("not admitted after %v", rest)
			}
			if h.admit(time.Now()) {
				t.Fatal("two were admitted to find out")
			}
			h.leave()
			if !h.due(time.Now(), time.Hour) || !h.admit(time.Now()) {
				t.Fatal("not admitted after the one that found nothing out")
			}
			if h.fail(bad) {
				t.Fatal("fell twice")
			}
		}
		time.Sleep(maxRest)
		if !h.admit(time.Now()) || !h.ok() || !h.admit(time.Now()) || !h.admit(time.Now()) {
			t.Error("after a success it is used by everybody")
		}
		if h.due(time.Now(), time.Second) {
			t.Error("it was used just now, and is due")
		}
		time.Sleep(time.Second)
		if !h.due(time.Now(), time.Second) {
			t.Error("nobody has used it, and it is not due")
		}
	})
}

func TestRoutes(t *testing.T) {
	d, err := New(Config{Proxies: []Proxy{{Name: "a", Address: "a.test:1"}, {Name: "b", Address: "b.test:1"}}, Routes: []Route{
		{Hosts: []string{".corp.test"}, Via: []string{ViaDirect}}, {Hosts: []string{".deep.corp.test", "EXACT.test."}, Via: []string{"b", ViaDirect}},
		{Hosts: []string{"www.corp.test"}, Via: []string{"b"}}, {Hosts: []string{".bad.test", "10.0.0.1"}, Via: []string{ViaDeny}}}})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"cloud.test:443": "[a b]", "corp.test:443": "[a b]", "xcorp.test:443": "[a b]", "x.corp.test:443": "[direct]", "WWW.corp.test.:443": "[b]", "a.b.deep.corp.test:443": "[b direct]",
		"deep.corp.test:443": "[direct]", "exact.test:80": "[b direct]", "sub.exact.test:80": "[a b]", "10.0.0.1:443": "denies it", "a.bad.test:1": "denies it", "bad.test:1": "[a b]",
	} {
		names, err := d.Candidates(t.Context(), addr)
		got := fmt.Sprint(names)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	_, err = d.DialContext(t.Context(), "tcp", "10.0.0.1:443")
	if e := (*Error)(nil); !errors.As(err, &e) || e.Code != HostNotAllowed {
		t.Errorf("got %v, want %s", err, HostNotAllowed)
	}
}

func TestInspectors(t *testing.T) {
	for issuer, want := range map[string]string{
		"CN=Zscaler Intermediate Root CA (zscalertwo.net),O=Zscaler Inc.": "Zscaler",
		"CN=ca.site.goskope.com,O=Site":                                   "Netskope",
		"CN=FGT60F-FortiGate CA,O=Fortinet":                               "Fortinet FortiGate",
		"CN=Palo Alto Decryption":                                         "Palo Alto Networks",
		"CN=R3,O=Let's Encrypt":                                           "",
		"CN=Reset Authority,O=Franciscolor":                               "",
	} {
		var name pkix.Name
		for part := range strings.SplitSeq(issuer, ",") {
			switch k, v, _ := strings.Cut(part, "="); k {
			case "CN":
				name.CommonName = v
			case "O":
				name.Organization = []string{v}
			}
		}
		if got := inspector(&x509.Certificate{Issuer: name}); got != want {
			t.Errorf("%s: got %q, want %q", issuer, got, want)
		}
	}
}

func TestPACURLs(t *testing.T) {
	for _, tt := range [][3]string{{"a.test", "443", "https://a.test/"}, {"a.test", "80", "http://a.test/"}, {"a.test", "8443", "https://a.test:8443/"}, {"2001:db8::1", "443", "https://[2001:db8::1]/"}, {"10.0.0.1", "8443", "https://10.0.0.1:8443/"}} {
		if got := pacURL(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s %s: got %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}

// A challenge of the proxy's making breaks nothing.
func FuzzChallengeAnswers(f *testing.F) {
	f.Add("NTLM TlRMTVNTUAACAAAAAAAAADgAAAAFgomi")
	f.Add(`Digest realm="r", nonce="n", qop="auth", algorithm=MD5`)
	f.Fuzz(func(t *testing.T, header string) {
		offers := parseChallenges([]string{header})
		if b, err := token68Of(offers, NTLM); err == nil && b != nil {
			_, _ = ntlmAnswer(b, &credential{user: `CORP\u`, password: "p"})
		}
		if c, err := strongestDigest(offers, ""); err == nil {
			cred, err := digest.Digest(c, digest.Options{Method: "CONNECT", URI: "a:1", Username: "u", Password: "p"})
			if err == nil && strings.ContainsAny(digestHeader(cred), "\r\n") && !strings.ContainsAny(header, "\r\n") {
				t.Errorf("%q: got %q", header, digestHeader(cred))
			}
		}
	})
}

// Challenges as squid's ntlm_fake_auth and old proxies send them: the text stands where
// the fields for it should be, and these point to nowhere.
func TestNTLMChallengeWithoutItsFields(t *testing.T) {
	b, err := base64.StdEncoding.DecodeString("TlRMTVNTUAACAAAACQAJAK6qqqoHgoiiSOAgf25tBicAAAAAAAA6AFdPUktHUk9VUA==")
	if err != nil {
		t.Fatal(err)
	}
	for _, challenge := range [][]byte{b, b[:40], b[:44]} {
		if _, err := ntlmAnswer(challenge, &credential{user: `CORP\svc-lic`, password: "p"}); err != nil {
			t.Errorf("%d bytes: %v", len(challenge), err)
		}
	}
	if _, err := ntlmAnswer(b[:30], &credential{user: "u", password: "p"}); err == nil {
		t.Error("half a challenge was answered")
	}
}
