package endpoint

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// However many sign-ins are denied, there are a few records of them, which count all.
func TestDeniedSignInsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDenials()
		ctx, cancel := context.WithCancel(t.Context())
		passes := make(chan []license.NoteAct, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.run(ctx, func(_ context.Context, acts []license.NoteAct) { passes <- acts })
		}()
		d.note("sign-in-denied", tokenExpired, "10.1.2.3")
		first := <-passes
		if want := (license.NoteAct{What: "sign-in-denied", About: "expired", From: "10.1.2.0/24", Count: 1}); len(first) != 1 || first[0] != want {
			t.Errorf("at once: got %+v, want %+v", first, want)
		}
		began := time.Now()
		const all = 20_000
		for range 500 {
			d.note("sign-in-denied", tokenKey, "2001:db8:1:2::7")
		}
		for i := range all {
			d.note("sign-in-denied", tokenSignature, fmt.Sprintf("10.%d.%d.9", i/256%256, i%256))
		}
		acts := <-passes
		if got := time.Since(began); got < denialPeriod {
			t.Errorf("the next came after %v, want %v", got, denialPeriod)
		}
		var sum uint64
		for _, a := range acts {
			sum += a.Count
		}
		if len(acts) != denialRecords+1 || sum != all+500 || acts[0] != (license.NoteAct{What: "sign-in-denied", About: "key", From: "2001:db8:1::/48", Count: 500}) {
			t.Errorf("got %d records of %d, the first %+v; want %d of %d, the busiest network first", len(acts), sum, acts[0], denialRecords+1, all+500)
		}
		if len(d.counts) != 0 || d.beyond != 0 {
			t.Errorf("%d are left", len(d.counts))
		}
		d.note("sign-in-denied", tokenExpired, "10.1.2.3")
		cancel() // what is gathered goes before the node does
		if acts := <-passes; len(acts) != 1 {
			t.Errorf("at the end: got %+v, want the one that was gathered", acts)
		}
		<-done
	})
}

// A bad token is in the audit trail, with why and from which network; who has no token
// has not tried to sign in.
func TestABadTokenIsInTheAuditTrail(t *testing.T) {
	r := newRig(t, filled(t))
	r.want(t, 401, "", "GET", "/v1/me", nil)
	r.want(t, 401, "", "GET", "/v1/me", nil, header{"Authorization": "Bearer nonsense"})
	r.denied(t, "malformed from 127.0.0.0/24 times 1")
}

// So is a wrong password, of an account or of none.
func TestAWrongPasswordIsInTheAuditTrail(t *testing.T) {
	r := withAccount(t, "operator")
	r.form(t, signInPath, map[string]string{"name": "ivo", "password": "wrong horse battery"})
	r.denied(t, "password from 127.0.0.0/24 times 1")
}

// denied waits until these are the denied sign-ins in the audit trail.
func (r *rig) denied(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		var all []string
		page, _, err := r.node.audited(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page {
			if x.What == "sign-in-denied" {
				all = append(all, fmt.Sprintf("%s from %s times %d", x.About, x.From, x.Count))
			}
		}
		if slices.Equal(all, want) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("got %v, want %v (%s)", all, want, api.PathTrail)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
