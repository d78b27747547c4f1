package endpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"sitegate/gateway"
	"sitegate/license"
)

// FuzzSessionToken: whatever is shown, only what the machine's key has signed is taken, and
// for nothing else than it says. Its text may be another: base64, and s of ECDSA, have more
// than one form.
func FuzzSessionToken(f *testing.F) {
	node := filled(f)
	r := newRig(f, node)
	ada, ben := bound(f, r, "ada", ws101), onCurve(f, r, "ben", ws202)
	good, curved := ada.token(f), ben.token(f)
	access, eve := r.issuer.token(f, "ada"), newSeat(f, "ada", ws101)
	proven, other := ada.request(f, access).Proof, ben.request(f, access).Proof
	taken := func(ctx context.Context, token string) (Caller, error) {
		return r.e.auth.check(ctx, token, func() error { return nil })
	}
	var meant []Caller
	for _, token := range []string{access, good, curved} {
		c, err := taken(f.Context(), token)
		if err != nil {
			f.Fatal(err)
		}
		meant = append(meant, c)
	}
	var proofs []gateway.Who
	for _, proof := range []string{proven, other} {
		who, err := r.e.Who(f.Context(), access+" "+proof)
		if err != nil {
			f.Fatal(err)
		}
		proofs = append(proofs, who)
	}
	f.Add(good, "")
	f.Add(curved, "")
	f.Add(ada.request(f, "x").Proof, good)
	f.Add(ben.request(f, "x").Proof, curved)
	f.Add(strings.ToLower(good), "..")
	f.Add(strings.ToUpper(curved), "..")
	f.Add("..", "x.y.z")
	f.Add(good, eve.request(f, good).Proof)
	f.Add(good, proven)
	f.Add(access, proven)
	f.Add(access, other)
	f.Add(access, eve.request(f, good).Proof)
	f.Add(unread(good), "")
	f.Add(unread(curved), unread(other))
	f.Add(access, unread(other))
	f.Fuzz(func(t *testing.T, token, proof string) {
		if who, err := r.e.Who(t.Context(), token+" "+proof); err == nil && !slices.Contains(proofs, who) {
			t.Fatalf("%q with %q proves the key of %+v", token, proof, who)
		}
		c, err := taken(t.Context(), token)
		if err == nil && !slices.ContainsFunc(meant, func(m Caller) bool { return same(c, m) }) {
			t.Fatalf("%q is taken for %s's", token, c.User)
		}
	})
}

// unread is a token with bits changed that nobody reads: the last letter of base64 has some.
func unread(token string) string { return token[:len(token)-1] + string(token[len(token)-1]+1) }

// What a token costs: the first time, and every other time.
func BenchmarkTokens(b *testing.B) {
	r := newRig(b, filled(b))
	ada := bound(b, r, "ada", ws101)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	ben := newSeat(b, "ben", ws202).with(func(s *seat) { s.key = ec })
	if a := ben.bind(b, r); a.StatusCode != 200 {
		b.Fatal(string(a.raw))
	}
	for _, kind := range []struct{ name, token string }{{"access", r.issuer.token(b, "ada")}, {"session-EdDSA", ada.token(b)}, {"session-ES256", ben.token(b)}} {
		take := func(b *testing.B) {
			c, err := r.e.auth.check(b.Context(), kind.token, func() error { return nil })
			if err == nil && c.byKey() {
				r.e.gw.View(func(s *license.State) { err = stands(s, &c) })
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.Run(kind.name+"/cached", func(b *testing.B) {
			for b.Loop() {
				take(b)
			}
		})
		b.Run(kind.name+"/uncached", func(b *testing.B) {
			for b.Loop() {
				r.e.auth.mu.Lock()
				clear(r.e.auth.cached)
				r.e.auth.mu.Unlock()
				take(b)
			}
		})
	}
}
