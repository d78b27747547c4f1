package endpoint

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// fewNodes is a cluster that notes what is asked of it, and answers with err.
type fewNodes struct {
	mu    sync.Mutex
	asked []string
	err   error
}

func (f *fewNodes) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fewNodes) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return ""
	}
	return f.asked[len(f.asked)-1]
}

func (f *fewNodes) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fewNodes) Members() []api.ClusterMember {
	return []api.ClusterMember{{Name: "gw1", Role: api.RoleLeader, Self: true, Known: true}, {Name: "gw2", Role: api.RoleNewcomer}}
}

func (f *fewNodes) Token(_ context.Context, r api.TokenRequest) (api.JoinToken, error) {
	return api.JoinToken{Token: "sitegate-join-1.secret", Cluster: "c"}, f.note("token %s %d %s", r.By, r.ForMS, r.Listen)
}

func (f *fewNodes) Remove(_ context.Context, node string, r api.RemoveRequest) error {
	return f.note("remove %s by %s %q %t", node, r.By, r.Note, r.Force)
}

func (f *fewNodes) Rekey(_ context.Context, r api.RekeyRequest) error {
	return f.note("rekey by %s %q %d", r.By, r.Note, r.OverlapMS)
}

func (f *fewNodes) Replacement() *api.Replacement {
	return &api.Replacement{Fingerprint: "SHA256:ab", Waiting: []string{"gw2"}}
}

func (f *fewNodes) StepDown(context.Context) (api.SteppedDown, error) {
	return api.SteppedDown{From: "gw1", To: "gw2"}, f.note("step-down")
}

func (f *fewNodes) Drain(_ context.Context, node string, over time.Duration) error {
	return f.note("drain %s %v", node, over)
}

func (f *fewNodes) Leave(context.Context) error { return f.note("leave") }

func clustered(t *testing.T) (*rig, *fewNodes) {
	t.Helper()
	nodes := &fewNodes{}
	r := newRig(t, filled(t), func(c *Config) { c.Cluster = nodes })
	op := *r
	op.Server = httptest.NewServer(r.e.Operator())
	t.Cleanup(op.Server.Close)
	return &op, nodes
}

func TestOperatorsActOnTheNodes(t *testing.T) {
	it, nodes := clustered(t)
	var list api.List[api.ClusterMember]
	it.want(t, 200, "", "GET", api.PathMembers, nil).into(t, &list)
	if len(list.Items) != 2 || list.Items[1].Role != api.RoleNewcomer {
		t.Errorf("got %+v", list.Items)
	}
	var token api.JoinToken
	it.want(t, 201, "", "POST", api.PathTokens, api.TokenRequest{ForMS: 3600_000, By: "ida", Listen: "10.0.0.1:7443"}).into(t, &token)
	if token.Token == "" || nodes.last() != "token ida 3600000 10.0.0.1:7443" {
		t.Errorf("got %+v, asked %q", token, nodes.last())
	}
	if logged := it.log.String(); strings.Contains(logged, token.Token) {
		t.Error("the log has the token in it")
	}
	for _, c := range []struct {
		path   string
		body   any
		status int
		asked  string
	}{
		{api.PathMembers + "/gw2/remove", api.RemoveRequest{By: "ida", Note: "lost", Force: true}, 204, `remove gw2 by ida "lost" true`},
		{api.PathRekey, api.RekeyRequest{By: "ida", Note: "leaked", OverlapMS: 3600_000}, 204, `rekey by ida "leaked" 3600000`},
		{api.PathStepDown, nil, 200, "step-down"},
		{api.PathDrain, api.DrainRequest{OverMS: 2000}, 202, "drain n1 2s"},
		{api.PathDrain, api.DrainRequest{Node: "GW2", OverMS: 2000}, 202, "drain gw2 2s"},
		{api.PathLeave, nil, 204, "leave"},
	} {
		if it.want(t, c.status, "", "POST", c.path, c.body); nodes.last() != c.asked {
			t.Errorf("%s asked %q, want %q", c.path, nodes.last(), c.asked)
		}
	}
	var s api.Status
	it.want(t, 200, "", "GET", api.PathStatus, nil).into(t, &s)
	if r := s.Cluster.Replacement; r == nil || r.Fingerprint != "SHA256:ab" || len(r.Waiting) != 1 {
		t.Errorf("the status tells of the replacement %+v", r)
	}
	before := nodes.last()
	for path, body := range map[string]any{
		api.PathTokens:                   api.TokenRequest{ForMS: 3600_000},
		api.PathTokens + "?":             api.TokenRequest{ForMS: 8 * 24 * 3600_000, By: "ida"},
		api.PathTokens + "?x":            api.TokenRequest{ForMS: 10, By: "ida"},
		api.PathMembers + "/gw2/remove":  api.RemoveRequest{},
		api.PathMembers + "/gw2/remove?": api.RemoveRequest{By: strings.Repeat("x", 300)},
		api.PathRekey:                    api.RekeyRequest{By: "ida", OverlapMS: 3600_000},
		api.PathRekey + "?":              api.RekeyRequest{By: "ida", Note: "leaked"},
		api.PathRekey + "?x":             api.RekeyRequest{By: "ida", Note: "leaked", OverlapMS: 401 * 24 * 3600_000},
		api.PathDrain:                    api.DrainRequest{OverMS: -1},
		api.PathDrain + "?":              api.DrainRequest{OverMS: 3600_000},
		api.PathLeave:                    api.LeaveRequest{Note: strings.Repeat("x", 300)},
	} {
		if it.want(t, 400, "", "POST", path, body); nodes.last() != before {
			t.Errorf("%s with %+v asked %q", path, body, nodes.last())
		}
	}
}

// A node that is to be drained is a member; who asks for another is told so, and it is not
// in the audit trail.
func TestAStrangerIsNotDrained(t *testing.T) {
	it, nodes := clustered(t)
	p := it.want(t, 409, "", "POST", api.PathDrain, api.DrainRequest{Node: "gw7\n"}).problem(t)
	if p.Code != api.CodeCluster || !strings.Contains(p.Detail, "no such node") || nodes.last() != "" {
		t.Errorf("got %+v, asked %q", p, nodes.last())
	}
	it.want(t, 202, "", "POST", api.PathDrain, api.DrainRequest{Node: "gw2", Note: "a new disk"})
	var trail api.AuditPage
	it.want(t, 200, "", "GET", api.PathTrail, nil).into(t, &trail)
	if len(trail.Items) != 1 || trail.Items[0].What != "node-asked-to-drain" || trail.Items[0].About != "gw2" {
		t.Errorf("the audit trail has %+v", trail.Items)
	}
}

// What cannot be done is told in the words of who knows why; a denial of the rules in
// its own.
func TestRefusalsAboutTheNodesSayWhy(t *testing.T) {
	it, nodes := clustered(t)
	for _, c := range []struct {
		err    error
		status int
		code   string
		says   string
	}{
		{&Refusal{Text: "Without gw2 nothing could be decided."}, 409, api.CodeCluster, "Without gw2 nothing could be decided."},
		{&Refusal{Denial: &license.Denial{Reason: license.TooManyTokens}}, 409, "too-many-tokens", "16 join tokens"},
		{fmt.Errorf("forwarding: %w", gateway.ErrNoLeader), 503, api.CodeNoQuorum, "cannot reach each other"},
		{fmt.Errorf("forwarding: %w", gateway.ErrUnknown), 503, api.CodeUnknown, ""},
	} {
		nodes.fail(c.err)
		for _, path := range []string{api.PathTokens, api.PathMembers + "/gw2/remove", api.PathStepDown, api.PathDrain, api.PathLeave, api.PathRekey} {
			var body any
			switch path {
			case api.PathTokens:
				body = api.TokenRequest{ForMS: 1000, By: "ida"}
			case api.PathRekey:
				body = api.RekeyRequest{By: "ida", Note: "leaked", OverlapMS: 3600_000}
			case api.PathDrain:
				body = api.DrainRequest{}
			case api.PathMembers + "/gw2/remove":
				body = api.RemoveRequest{By: "ida"}
			}
			p := it.want(t, c.status, "", "POST", path, body).problem(t)
			if p.Code != c.code || !strings.Contains(p.Detail, c.says) || len(p.Next) == 0 {
				t.Errorf("%s with %v: %+v; want %s, with %q and a next step", path, c.err, p, c.code, c.says)
			}
		}
	}
}

// Who is connected hears of nodes that come later, or could not go there when this
// one is drained.
func TestNodesThatComeLaterAreTold(t *testing.T) {
	var others atomic.Pointer[[]string]
	others.Store(&[]string{"https://n1.example:8443"})
	r := newRig(t, filled(t), func(c *Config) { c.OtherNodes = func() []string { return *others.Load() } })
	d, hello, _ := r.join(t, "ada", nil)
	if want := []string{"https://n1.example:8443"}; !slices.Equal(hello.Nodes, want) {
		t.Errorf("hello names %v, want %v", hello.Nodes, want)
	}
	r.e.sockets.tellNodes()
	others.Store(&[]string{"https://n1.example:8443", "", "https://n2.example:8443"})
	f := d.next()
	if want := []string{"https://n1.example:8443", "https://n2.example:8443"}; f.Type != api.FrameNodes || !slices.Equal(f.Nodes, want) {
		t.Errorf("got %+v, want %v", f, want)
	}
}

func TestDrainingSendsEveryoneAwayOneAfterTheOther(t *testing.T) {
	r := newRig(t, filled(t))
	var all []*desktop
	for i := range 4 {
		d, _, _ := r.join(t, "ada", map[string]string{"instance": fmt.Sprintf("i-%d", i), "machine": fmt.Sprintf("m-%d", i)})
		all = append(all, d)
	}
	const over = 400 * time.Millisecond
	began := time.Now()
	r.e.Drain(over)
	r.e.Drain(time.Hour) // the first one stands
	var first, last time.Duration
	for _, d := range all {
		for {
			_, _, err := d.ReadMessage()
			if err == nil {
				continue
			}
			if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
				t.Errorf("closed with %v, want %d", err, websocket.CloseServiceRestart)
			}
			break
		}
		took := time.Since(began)
		if first == 0 {
			first = took
		}
		last = max(last, took)
	}
	if last < over/2 {
		t.Errorf("all were sent away within %v, which is at once", last)
	}
	if d, resp := r.dial(t, "ada", nil); d != nil || resp.StatusCode != 503 {
		t.Errorf("a new connection was taken: %v", resp)
	}
}
