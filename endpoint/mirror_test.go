package endpoint

import (
	"fmt"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

func TestAShrinkIsSeenAndAccepted(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	crowd := license.Mirror{From: "c1", Cursor: "c2", Last: true}
	for i := range 50 {
		crowd.Changes = append(crowd.Changes, license.Change{User: &license.User{ID: license.UserID(fmt.Sprint("u", i))}})
	}
	node.do(t, crowd)
	if p := it.want(t, 409, "", "POST", "/v1/mirror/accept", acts).problem(t); p.Code != "mirror-not-held" {
		t.Errorf("with nothing held back the refusal is %+v", p)
	}
	node.do(t, license.HoldBack{Losing: license.Sizes{Users: 50, Licenses: 1}})
	see := func() *api.HeldMirror {
		var s api.Status
		it.want(t, 200, "", "GET", "/v1/status", nil).into(t, &s)
		if s.Mirror.Held == nil {
			t.Fatal("the status does not tell of it")
		}
		return s.Mirror.Held
	}
	h := see()
	if h.Losing != (api.MirrorSizes{Users: 50, Licenses: 1}) || h.Of.Users < 50 || h.Of.Users > 70 || h.Since.IsZero() || h.By != "" || !h.Until.IsZero() {
		t.Errorf("held: %+v", h)
	}
	it.want(t, 400, "", "POST", "/v1/mirror/accept", api.ReleaseRequest{Note: "by nobody"})
	for range 2 {
		var got api.HeldMirror
		it.want(t, 200, "", "POST", "/v1/mirror/accept", acts).into(t, &got)
		if got.By != acts.By || got.Note != acts.Note || got.Until.Sub(got.Since) < license.AcceptFor || got.Losing != h.Losing {
			t.Errorf("accepted: %+v", got)
		}
	}
	if h := see(); h.By != acts.By || h.Until.IsZero() {
		t.Errorf("after it was accepted the status has %+v", h)
	}
}
