package endpoint

import (
	"strings"
	"testing"

	"sitegate/api"
)

// What takes something from somebody or a node out of service wants a reason over the network,
// and to let somebody in again wants none. On the node's own machine nodes are drained without.
func TestActsWantAReason(t *testing.T) {
	r := newAdminRig(t, filled(t))
	ida := r.asAdmin(t, "ida", "all")
	session := newID()
	for path, body := range map[string]any{
		api.PathSessions + "/" + session + "/release": api.ReleaseRequest{},
		api.PathUsers + "/ada/release":                api.ReleaseRequest{Note: "  "},
		api.PathUsers + "/ada/block":                  api.ReleaseRequest{},
		api.PathMachines + "/block":                   api.MachineBlockRequest{Machine: api.Machine{Name: "WS-1"}},
		api.PathMembers + "/gw2/remove":               api.RemoveRequest{},
		api.PathStepDown:                              nil,
		api.PathStepDown + "?":                        api.StepDownRequest{},
		api.PathDrain:                                 api.DrainRequest{},
		api.PathLeave:                                 nil,
		api.PathLeave + "?":                           api.LeaveRequest{},
		api.PathTrail + "/erase":                      api.AuditErase{Kind: "user", Name: "ada"},
	} {
		if p := r.want(t, 400, "", "POST", path, body, ida).problem(t); !strings.Contains(p.Detail, "say why") {
			t.Errorf("%s without a reason: %+v", path, p)
		}
	}
	r.want(t, 400, "", "POST", api.PathDrain, api.DrainRequest{Note: strings.Repeat("x", 300)}, ida)
	r.want(t, 202, "", "POST", api.PathDrain, api.DrainRequest{Note: "a new disk"}, ida)
	r.want(t, 200, "", "POST", api.PathStepDown, api.StepDownRequest{Note: "a new memory"}, ida)
	r.want(t, 204, "", "POST", api.PathLeave, api.LeaveRequest{Note: "an old machine"}, ida)
	r.want(t, 204, "", "POST", api.PathUsers+"/ada/block", api.ReleaseRequest{Note: "ticket 1"}, ida)
	r.want(t, 204, "", "POST", api.PathUsers+"/ada/unblock", api.ReleaseRequest{}, ida)
	var trail api.AuditPage
	r.want(t, 200, "", "GET", api.PathTrail+"?names=true", nil, ida).into(t, &trail)
	why := map[string]string{}
	for _, x := range trail.Items {
		why[x.What] = x.NoteText
	}
	if why["node-asked-to-drain"] != "a new disk" || why["leadership-handed-over"] != "a new memory" || why["node-asked-to-leave"] != "an old machine" {
		t.Errorf("the audit trail has the reasons %q", why)
	}
}
