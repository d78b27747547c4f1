package endpoint

import (
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// After a restore the operator sees what the site waits for, users read until when,
// and IT accepts the checkouts where the cloud cannot tell of them.
func TestARestoredSiteTellsWhatItWaitsFor(t *testing.T) {
	node := filled(t)
	r, it := operated(t, node)
	status := func() *api.RestoredStatus {
		var s api.Status
		it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
		return s.Restored
	}
	if got := status(); got != nil {
		t.Errorf("before a restore: %+v", got)
	}
	it.want(t, 409, "", "POST", "/v1/restore/accept", acts)
	now := node.Now()
	node.View(func(s *license.State) { // the issuer's reader looks at it, too
		s.Restore(license.Beginning{Epoch: 9, Cluster: s.Head().Cluster, At: now, Node: "gw1", Instance: "new"})
	})
	if got := status(); got == nil || got.Epoch != 9 || got.Read || !got.Until.IsZero() {
		t.Errorf("before a leader has gone on: %+v", got)
	}
	node.do(t, license.Resume{Epoch: 9})
	start := api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}
	p := r.want(t, 503, "ada", "POST", "/v1/sessions", start).problem(t)
	if p.Code != "restored" || !p.Until.IsZero() || p.RetryAfterMS < time.Minute.Milliseconds() {
		t.Errorf("the refusal before the books are read: %+v", p)
	}
	it.want(t, 400, "", "POST", "/v1/restore/accept", api.ReleaseRequest{By: "ida"})
	it.want(t, 400, "", "POST", "/v1/restore/accept", api.ReleaseRequest{Note: "asked everybody"})
	it.want(t, 204, "", "POST", "/v1/restore/accept", acts)
	it.want(t, 204, "", "POST", "/v1/restore/accept", acts)
	r.want(t, 403, "ada", "POST", "/v1/restore/accept", acts) // not at the users' door
	got := status()
	if got == nil || !got.Read || got.Until.Sub(got.Since) != license.MaxLeaseTTL {
		t.Fatalf("once it was accepted: %+v", got)
	}
	p = r.want(t, 503, "ada", "POST", "/v1/sessions", start).problem(t)
	if p.Code != "restored" || !p.Until.Equal(got.Until) {
		t.Errorf("the refusal after that: %+v, want until %v", p, got.Until)
	}
}
