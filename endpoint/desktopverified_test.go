package endpoint

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// remembersPolicies is a node to which the vendor gives everybody the answer that it gave ada
// first.
func remembersPolicies(t *testing.T) (d *desktopRig, ada header, digest [sha256.Size]byte) {
	t.Helper()
	d = newDesktopRig(t)
	ada = d.bearer(t, "ada")
	first := d.policy(t, ada, "WS-101", "1234")
	if first.StatusCode != 200 {
		t.Fatalf("%d %s, want a policy", first.StatusCode, first.raw)
	}
	d.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == getPolicy {
			w.Write(first.raw)
		}
		return r.URL.Path == getPolicy
	})
	return d, ada, sha256.Sum256(first.raw)
}

func (d *desktopRig) remembers(digest [sha256.Size]byte) bool {
	x := &exchange{call: &call{}, desk: desk{user: "ada"}, machine: license.Machine{Name: "ws-101"}}
	return d.e.relay.verifiedBefore(x, digest) != nil
}

// The same answer to the same asker is not verified again, and is for nobody else.
func TestAnAnswerIsVerifiedOnceForItsAsker(t *testing.T) {
	t.Parallel()
	d, ada, digest := remembersPolicies(t)
	if !d.remembers(digest) {
		t.Error("a policy that was verified is not remembered")
	}
	d.gives(t, ada, "WS-101", "1234")
	d.withholds(t, d.policy(t, d.bearer(t, "ben"), "WS-101", "1234"), http.StatusBadGateway, relayNotSigned)
	d.withholds(t, d.policy(t, ada, "WS-102", "1234"), http.StatusBadGateway, relayNotSigned)
	d.gives(t, ada, "WS-101", "1234")
}

// What was remembered does not outlast the certificate that the vendor signs with.
func TestAnotherCertificateHasPoliciesVerifiedAgain(t *testing.T) {
	t.Parallel()
	d, ada, digest := remembersPolicies(t)
	signers := d.e.relay.signers
	was := d.cloud.PolicyCertificate()
	other := (&emulator.Emulator{}).PolicyCertificate()
	signers.keep(other)
	if d.remembers(digest) {
		t.Error("it is remembered, though the vendor has named another certificate")
	}
	signers.keep(was)
	if !d.remembers(digest) {
		t.Error("it is forgotten, though the vendor has named its certificate again")
	}
	signers.mu.Lock()
	signers.known = []signer{{other, time.Now()}}
	signers.tried, signers.failed = time.Now().Add(time.Hour), nil // it is not read again
	signers.mu.Unlock()
	d.withholds(t, d.policy(t, ada, "WS-101", "1234"), http.StatusBadGateway, relayNotSigned)
}

// What the vendor has taken back is verified anew, wherever in the site it was heard.
func TestRevokedPoliciesAreNotRemembered(t *testing.T) {
	t.Parallel()
	d, _, digest := remembersPolicies(t)
	d.node.do(t, license.NoteRevoked{Users: []license.Revocation{{User: "ada", At: license.TimeOf(time.Now().Add(time.Minute))}}})
	if d.remembers(digest) {
		t.Error("it is remembered, though the vendor has taken it back")
	}
	if d.e.relay.verified.forget("ada"); len(d.e.relay.verified.known) != 0 || d.e.relay.verified.size != 0 {
		t.Errorf("%d policies with %d bytes are remembered of who was forgotten", len(d.e.relay.verified.known), d.e.relay.verified.size)
	}
}

func TestPoliciesThatAreRememberedHaveBounds(t *testing.T) {
	v, now := newVerifiedPolicies(), time.Now()
	keep := func(n, size int, user license.UserID, until time.Time) [sha256.Size]byte {
		digest := sha256.Sum256(fmt.Append(nil, n))
		v.keep(digest, verifiedPolicy{policy: &cloudapi.SignedPolicy{Expires: until}, by: &x509.Certificate{}, who: verifiedFor{user: user}, size: size}, now)
		return digest
	}
	later := now.Add(time.Hour)
	for n := range maxVerified + 100 {
		keep(n, 1, "ada", later)
	}
	if len(v.known) != maxVerified || v.size != maxVerified {
		t.Errorf("%d with %d bytes, want %d of each", len(v.known), v.size, maxVerified)
	}
	last := keep(-1, maxVerifiedBytes, "ada", later)
	if _, there := v.find(last, verifiedFor{user: "ada"}); !there || len(v.known) != 1 || v.size != maxVerifiedBytes {
		t.Errorf("%d with %d bytes, want the last alone", len(v.known), v.size)
	}
	keep(-2, maxVerifiedBytes+1, "ada", later)
	keep(-3, 1, "", later)
	if len(v.known) != 1 {
		t.Errorf("%d, want 1: what is too large and what is nobody's is not remembered", len(v.known))
	}
	keep(-1, 1, "ada", now.Add(-time.Second))
	keep(-4, 1, "ben", later)
	if _, there := v.find(last, verifiedFor{user: "ada"}); there || len(v.known) != 1 || v.size != 1 {
		t.Errorf("%d with %d bytes, want the one that is not over", len(v.known), v.size)
	}
}
