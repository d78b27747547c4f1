package endpoint

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// from sends a request as if it came from an address.
func (r *rig) from(t *testing.T, remote, method, path string, h header) int {
	t.Helper()
	q := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	q.RemoteAddr = remote
	for k, v := range h {
		q.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	r.e.Handler().ServeHTTP(w, q)
	return w.Code
}

// A key that is shown here and there by turns is in two places: IT is told, with what to do,
// and nobody is refused for it.
func TestAKeyInTwoPlacesIsTold(t *testing.T) {
	r := newRig(t, filled(t))
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{User: &license.User{ID: "ida", Name: "Ida", Country: "DE", Roles: license.RoleAdministrator}}}})
	ada := bound(t, r, "ada", ws101)
	it, _, _ := r.join(t, "ida", map[string]string{"machine": "m-9", "name": "WS-9"})
	seen := func() (w license.Whereabouts) {
		r.node.View(func(s *license.State) { w = license.KeyOf(s, "ada", "m-101", "").Seen })
		return w
	}
	if status := r.from(t, "10.1.0.7:5000", "GET", "/v1/me", ada.header(t)); status != 200 {
		t.Fatalf("by the key: %d", status)
	}
	eventually(t, "where it was shown is noted", func() bool { return seen().Place == "10.1.0.0/24" })
	// Elsewhere in that network it is in the same place; and by a sign-in no key is shown.
	r.from(t, "10.1.0.200:5000", "GET", "/v1/me", ada.header(t))
	r.from(t, "10.7.0.1:5000", "GET", "/v1/me", bearing(r.issuer.token(t, "ada")))
	at := license.TimeOf(time.Now())
	see := license.SeeKey{User: "ada", Machine: "m-101", Proof: license.Proof{}, Place: "10.2.0.0/24"}
	r.node.View(func(s *license.State) { see.Proof = license.KeyOf(s, "ada", "m-101", "").Proof })
	for i, place := range []string{"10.2.0.0/24", "10.1.0.0/24", "10.2.0.0/24", "10.1.0.0/24"} { // as other nodes say, minute by minute
		see.Place = place
		r.node.at(t, at.Add(time.Duration(i+1)*time.Minute), see)
	}
	n := it.notice()
	if n.Kind != api.KindMachineClone || n.Reason != "two-places" || n.About != "ada" || !strings.Contains(n.Text, "by turns") || !strings.Contains(n.Text, "forget-key") {
		t.Errorf("IT was told %+v", n)
	}
	if status := r.from(t, "10.2.0.7:5000", "GET", "/v1/me", ada.header(t)); status != 200 {
		t.Errorf("by the key, afterwards: %d, want it let in", status)
	}
	if w := seen(); w.Told == 0 || w.Before != "10.2.0.0/24" {
		t.Errorf("it is noted as %+v", w)
	}
}

// Where a heartbeat comes from on a websocket counts, too, as long as it is by the key.
func TestAConnectionShowsWhereItsKeyIs(t *testing.T) {
	r := newRig(t, filled(t))
	ada := bound(t, r, "ada", ws101)
	d, resp := r.dial(t, "ada", nil, ada.header(t))
	if d == nil {
		t.Fatalf("connecting: %v", resp.Status)
	}
	d.next()
	d.next()
	place := func() (p string) {
		r.node.View(func(s *license.State) { p = license.KeyOf(s, "ada", "m-101", "").Seen.Place })
		return p
	}
	eventually(t, "where it was shown is noted", func() bool { return place() == "127.0.0.0/24" })
	see := license.SeeKey{User: "ada", Machine: "m-101", Place: "10.2.0.0/24"}
	r.node.View(func(s *license.State) { see.Proof = license.KeyOf(s, "ada", "m-101", "").Proof })
	r.node.at(t, license.TimeOf(time.Now()).Add(2*time.Minute), see)
	if place() != "10.2.0.0/24" {
		t.Fatalf("it is in %q", place())
	}
	// The site's time is far ahead of that of its log, so that the next heartbeat counts.
	r.node.at(t, license.TimeOf(time.Now()).Add(5*time.Minute), license.SeeKey{User: "ada", Machine: "m-101", Proof: see.Proof, Place: "10.2.0.0/24"})
	d.beats(1, newUUID(t))
	eventually(t, "the heartbeat's place is noted", func() bool { return place() == "127.0.0.0/24" })
}
