package endpoint

import (
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// Whichever node is asked, it tells of all whose secret a proxy rejects.
func TestStatusTellsOfRejectedSecrets(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	status := func() []api.Lockout {
		var s api.Status
		it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
		return s.Lockouts
	}
	if got := status(); len(got) != 0 {
		t.Errorf("got %+v before anything was rejected", got)
	}
	until := license.TimeOf(time.Now().Add(10 * time.Minute))
	node.do(t, license.NoteLockout{Node: "gw2", Proxy: "north", Until: until})
	if got := status(); len(got) != 1 || got[0].Node != "gw2" || got[0].Proxy != "north" || got[0].Since.IsZero() {
		t.Errorf("got %+v, want gw2's at the proxy north", got)
	}
	node.do(t, license.NoteLockout{Node: "gw2", Proxy: "north"})
	if got := status(); len(got) != 0 {
		t.Errorf("got %+v after a secret was taken", got)
	}
}
