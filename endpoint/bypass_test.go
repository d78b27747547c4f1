package endpoint

import (
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// While a bypass lasts nothing that is relayed is withheld, whatever the mode and though IT
// keeps somebody out; what this gateway is asked itself is decided as ever. Once it is over
// the rules hold again.
func TestInABypassNothingIsWithheld(t *testing.T) {
	d := newDesktopRig(t, func(c *Config) { c.Gateway.(*oneNode).onTime = true })
	op := *d.rig
	op.Server = httptest.NewServer(d.e.Operator())
	t.Cleanup(op.Close)
	ada, ben := d.bearer(t, "ada"), d.bearer(t, "ben")
	d.gives(t, ada, "WS-101", "1234")
	d.node.do(t, license.Block{User: "ben", By: "ida", Note: "left"})
	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "1234"), 409, "machine-active")
	d.withholds(t, d.policy(t, ben, "WS-102", "1234"), 403, "user-blocked-here")

	op.want(t, 400, "", "POST", api.PathBypass, api.ReleaseRequest{By: "ida"})
	var begun api.Bypass
	op.want(t, 200, "", "POST", api.PathBypass, api.ReleaseRequest{By: "ida", Note: "ticket 4711"}).into(t, &begun)
	if begun.Until.Sub(begun.Since) != license.BypassTime || begun.Note != "ticket 4711" || begun.By == "" {
		t.Errorf("begun is %+v; want a quarter of an hour, with who and why", begun)
	}
	var st api.Status
	op.want(t, 200, "", "GET", api.PathStatus, nil).into(t, &st)
	if st.Bypass == nil || !st.Bypass.Until.Equal(begun.Until) {
		t.Errorf("the status has %+v; want %+v", st.Bypass, begun)
	}
	d.gives(t, ada, "LAPTOP-7", "1234")
	d.gives(t, ben, "WS-102", "1234")
	if got, want := d.sessions("ada"), []string{"1234 WS-101"}; !slices.Equal(got, want) {
		t.Errorf("ada has %v, want %v: nothing is held for what is let pass", got, want)
	}
	d.want(t, 409, "ada", "POST", api.PathSessions, api.StartRequest{ID: newUUID(t), Product: "1234", Machine: api.Machine{ID: "m-9", Name: "WS-909"}}, ada)

	op.want(t, 204, "", "POST", api.PathBypass+"/over", api.ReleaseRequest{By: "ida", Note: "well again"})
	d.withholds(t, d.policy(t, ada, "LAPTOP-7", "1234"), 409, "machine-active")
	st = api.Status{}
	op.want(t, 200, "", "GET", api.PathStatus, nil).into(t, &st)
	if st.Bypass != nil {
		t.Errorf("the status still has %+v", st.Bypass)
	}
}

// A viewer, who begins none, is not told who did where people are hidden, nor why.
func TestABypassTellsViewersNoNames(t *testing.T) {
	r := hidingRig(t)
	viewer, desk := r.asAdmin(t, "vera", "looks"), r.asAdmin(t, "ida", "desk")
	r.want(t, 403, "", "POST", api.PathBypass, api.ReleaseRequest{Note: "x"}, viewer)
	r.want(t, 200, "", "POST", api.PathBypass, api.ReleaseRequest{Note: "ada cannot start"}, desk)
	for who, told := range map[string]bool{"viewer": false, "operator": true} {
		asks := map[string]header{"viewer": viewer, "operator": desk}[who]
		var st api.Status
		r.want(t, 200, "", "GET", api.PathStatus, nil, asks).into(t, &st)
		if st.Bypass == nil || time.Until(st.Bypass.Until) <= 0 || (st.Bypass.Note != "") != told || (st.Bypass.By != "") != told {
			t.Errorf("a %s is told %+v; with names: %t", who, st.Bypass, told)
		}
	}
}
