package endpoint

import (
	"testing"

	"sitegate/api"
)

func TestOperatorAcceptsTheTime(t *testing.T) {
	r, it := operated(t, filled(t))
	it.want(t, 400, "", "POST", "/v1/time/accept", api.ReleaseRequest{By: "ida"})
	it.want(t, 400, "", "POST", "/v1/time/accept", api.ReleaseRequest{Note: "set right"})
	r.want(t, 403, "ada", "POST", "/v1/time/accept", acts) // not at the users' door
	var got api.AcceptedTime
	it.want(t, 200, "", "POST", "/v1/time/accept", acts).into(t, &got)
	if got.Now.IsZero() {
		t.Errorf("got %+v, want what time it is", got)
	}
}
