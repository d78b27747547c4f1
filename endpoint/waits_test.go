package endpoint

import (
	"net/http"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// Where sessions hold only their license, each product's wait is told of for itself.
func TestMeTellsOfEveryWait(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	var me api.Me
	if r.want(t, http.StatusOK, "ada", "GET", api.PathMe, nil).into(t, &me); !me.OneWait {
		t.Error("where sessions hold the user, a user waits for one thing at a time: want it said")
	}
	node.do(t, license.Configure{Settings: license.Settings{SessionScope: license.ScopeLicense}})
	begin := map[string]string{}
	waits := map[string]string{}
	for _, product := range []string{"road", "flow"} {
		begin[product], waits[product] = newUUID(t), newUUID(t)
		r.want(t, http.StatusCreated, "ada", "POST", api.PathSessions, api.StartRequest{ID: begin[product], Product: product, Machine: ws101})
		r.want(t, http.StatusCreated, "ada", "POST", api.PathWaits, api.WaitRequest{ID: waits[product], Product: product, Machine: ws202})
	}
	check := func(free map[string]bool) {
		t.Helper()
		var me api.Me
		r.want(t, http.StatusOK, "ada", "GET", api.PathMe, nil).into(t, &me)
		if len(me.Waiting) != 2 || me.OneWait {
			t.Fatalf("got %+v, one at a time: %t; want two waits", me.Waiting, me.OneWait)
		}
		for _, w := range me.Waiting {
			if w.ID != waits[w.Product] || w.Free != free[w.Product] || w.Machine != ws202 {
				t.Errorf("got %+v; want %s of %s, free: %v", w, waits[w.Product], w.Product, free[w.Product])
			}
		}
	}
	check(nil)
	r.want(t, http.StatusNoContent, "ada", "DELETE", api.PathSessions+"/"+begin["road"], api.MachineRequest{Machine: ws101})
	check(map[string]bool{"road": true})
}
