package endpoint

import (
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"sitegate/license"
)

// A node that takes the issuer's answer shows the leader the tokens, and the leader sees for
// itself whose they are.
func TestTheLeaderJudgesASignInByTheIssuer(t *testing.T) {
	r := newForgedRig(t)
	nonce := strings.Repeat("n", 43)
	id := func(change tokenChange) string { return r.issuer.token(t, "ida", idToken(nonce), change) }
	good := id(func(*claims, *jose.SignerOptions, *jose.SigningKey) {})
	who, err := r.e.Administers(t.Context(), codeProof+nonce+" "+good+" ")
	if err != nil || who.Name == "" || who.Role != license.Admin || who.Begins != license.SignedIn {
		t.Fatalf("the right tokens are of %+v, %v; want an admin who may begin a sign-in", who, err)
	}
	for name, shown := range map[string]string{
		"of another sign-in": codeProof + strings.Repeat("m", 43) + " " + good + " ",
		"for another client": codeProof + nonce + " " + id(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = "mail" }) + " ",
		"of no role":         codeProof + nonce + " " + id(func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Roles = "none" }) + " ",
		"in two parts":       codeProof + nonce + " " + good,
		"of nothing":         codeProof,
		"without the nonce":  good,
	} {
		if who, err := r.e.Administers(t.Context(), shown); err == nil && who.Role != 0 {
			t.Errorf("%s: %+v, want nobody with a role", name, who)
		}
	}
	other := newRig(t, filled(t))
	if who, err := other.e.Administers(t.Context(), codeProof+nonce+" "+good+" "); err == nil {
		t.Errorf("where no issuer signs in: %+v, want nobody", who)
	}
}
