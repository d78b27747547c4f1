package endpoint

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

func proofOf(h header) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.TrimPrefix(h["Authorization"], "SAML ")))
}

// A proof is good for as long as the policy by which its client goes on posting.
func TestProofLivesAsLongAsItsPolicy(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.saml(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	known := func(after time.Duration) license.UserID {
		return d.e.relay.proofs.user(proofOf(ada), time.Now().Add(after))
	}
	day := 24 * time.Hour
	if got, then := known(7*day-time.Hour), known(7*day+time.Hour); got != "ada" || then != "" {
		t.Errorf("%q before the policy's end, %q after it", got, then)
	}
	d.e.relay.proofs.keep(proofOf(ada), "ada", time.Now(), time.Now().Add(time.Hour)) // it is nearly over
	if a := d.posts(t, ada, "", posting(t)); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.raw)
	}
	if got := known(6 * day); got != "ada" {
		t.Errorf("%q six days after a posting that the vendor took, want ada", got)
	}
	d.breaks(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(401); return true })
	d.posts(t, ada, "", posting(t))
	if got := known(0); got != "" {
		t.Errorf("%q after the vendor has not taken the token, want nobody", got)
	}
}

// A posting may come to another node than the one that has seen the policy.
func TestPostingsAtAnotherNodeRenew(t *testing.T) {
	d := newDesktopRig(t)
	ada := d.saml(t, "ada")
	d.gives(t, ada, "WS-101", "1234")
	d.e.relay.proofs.forget(proofOf(ada))
	before := d.node.renewed()
	for _, body := range []string{posting(t, func(p *cloudapi.Posting) { p.Host = "LAPTOP-7" }), posting(t, func(p *cloudapi.Posting) { p.IMSID = "ben" }), posting(t, ends)} {
		if a := d.posts(t, ada, "", body); a.StatusCode != 200 {
			t.Errorf("%d %s", a.StatusCode, a.raw)
		}
	}
	if got := d.node.renewed(); got != before || d.running() == nil {
		t.Errorf("renewed %d times, running %+v; want neither a renewal nor an end", got-before, d.running())
	}
	d.posts(t, ada, "", posting(t, func(p *cloudapi.Posting) { p.IMSID = "ADA" }))
	if got := d.node.renewed(); got != before+1 {
		t.Errorf("renewed %d times, want once", got-before)
	}
	if a := d.postsFrom(t, "127.0.0.2", d.saml(t, "ben"), posting(t)); a.StatusCode != 200 || d.node.renewed() != before+1 {
		t.Errorf("%d; ada's session was renewed from elsewhere by another's token", a.StatusCode)
	}
	d.breaks(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(400); return true })
	d.posts(t, ada, "", posting(t))
	if got := d.node.renewed(); got != before+1 {
		t.Errorf("renewed by what the vendor has not taken")
	}
}

// A token may have its user's id in another case than the mirror.
func TestUserIsFoundInAnotherCase(t *testing.T) {
	d := newDesktopRig(t)
	d.cloud.PutUser(cloudapi.User{ID: "ADA", Email: "ada@example.org", Country: "DE"})
	d.cloud.PutLicense(cloudapi.License{ID: "l-1", ProductID: "1234", Kind: cloudapi.LicenseVirtuoso, StartsAt: time.Now().AddDate(0, 0, -1), EndsAt: time.Now().AddDate(1, 0, 0), AssignedTo: "ADA"})
	d.gives(t, d.bearer(t, "ADA"), "WS-101", "1234")
	d.withholds(t, d.policy(t, d.saml(t, "ADA"), "LAPTOP-7", "1234"), 409, "machine-active")
	if x := d.running(); x == nil || x.User != "ada" {
		t.Errorf("running %+v, want ada's", x)
	}
}
