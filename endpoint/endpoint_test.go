package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

// The main job over HTTP: one machine starts, the other is refused, waits, and
// starts when the first has stopped.
func TestOneMachineAtATimeOverHTTP(t *testing.T) {
	r := newRig(t, filled(t))
	first := api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}
	var s api.Session
	r.want(t, 201, "ada", "POST", "/v1/sessions", first).into(t, &s)
	if s.ID != first.ID || s.License != "l-1" || s.LicenseType != "Practitioner" || s.Machine != ws101 || s.Provisional ||
		s.TTLMS != 180_000 || s.BeatMS != 60_000 || s.Token.Epoch != 1 || s.Token.Seq == 0 || s.Since.IsZero() {
		t.Errorf("granted %+v", s)
	}
	r.want(t, 200, "ada", "POST", "/v1/sessions", first) // the same again

	second := api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202}
	p := r.want(t, 409, "ada", "POST", "/v1/sessions", second).problem(t)
	const vendors = `It seems your Virtuoso license is active on another machine. Please close the application on "WS-101" and try again.`
	if p.Code != "machine-active" || p.Type != api.ProblemBase+"machine-active" || p.Detail != vendors || p.Machine != "WS-101" ||
		p.By != "session" || p.Status != 409 || len(p.Next) == 0 || p.RequestID == "" || p.License != "l-1" {
		t.Errorf("refused with %+v", p)
	}
	second.Client = "23.0.1.24"
	p = r.want(t, 409, "ada", "POST", "/v1/sessions", second).problem(t)
	if p.Machine != "" || strings.Contains(string(must(json.Marshal(p))), "WS-101") {
		t.Errorf("an older client was told the name: %+v", p)
	}
	second.Client = ""

	waits := api.WaitRequest{ID: newUUID(t), Product: "road", Machine: ws202}
	var w api.Wait
	r.want(t, 201, "ada", "POST", "/v1/waits", waits).into(t, &w)
	if w.Free || w.ID != waits.ID {
		t.Errorf("waits %+v", w)
	}
	r.want(t, 403, "ada", "DELETE", "/v1/sessions/"+first.ID, api.MachineRequest{Machine: ws202}) // not from there
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+first.ID, api.MachineRequest{Machine: ws101})
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+first.ID+"?machine=m-101", nil) // a repeat
	r.want(t, 201, "ada", "POST", "/v1/sessions", second)
	r.want(t, 200, "ada", "GET", "/v1/sessions/"+second.ID, nil).into(t, &s)
	if s.Machine != ws202 {
		t.Errorf("runs on %+v", s.Machine)
	}
	if got := r.metric(t, "sitegate_http_denials_total", "reason=machine-active"); got != 2 {
		t.Errorf("%v denials were counted; want 2", got)
	}
	for _, stage := range []string{"check", "cloud", "commit", "way"} {
		if got := r.metric(t, "sitegate_start_stage_seconds", "stage="+stage); got != 5 {
			t.Errorf("the stage %s was timed %v times; want each of 5 starts", stage, got)
		}
	}
	eventually(t, "the log has the stages of each start", func() bool {
		n := 0
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, `"path":"/v1/sessions"`) && strings.Contains(line, `"check_ms":`) && strings.Contains(line, `"cloud_ms":`) &&
				strings.Contains(line, `"commit_ms":`) && strings.Contains(line, `"way_ms":`) {
				n++
			}
		}
		return n == 5
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHeartbeats(t *testing.T) {
	r := newRig(t, filled(t))
	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	var l api.Lease
	r.want(t, 200, "ada", "POST", "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101}).into(t, &l)
	if l.Session != id || l.TTLMS != 180_000 || l.Ending != nil {
		t.Errorf("renewed %+v", l)
	}
	r.want(t, 403, "ben", "POST", "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101})
	r.want(t, 404, "ada", "POST", "/v1/sessions/"+newUUID(t)+"/heartbeat", api.MachineRequest{Machine: ws101})
	r.want(t, 403, "ben", "GET", "/v1/sessions/"+id, nil)
	r.want(t, 404, "ada", "GET", "/v1/sessions/"+newUUID(t), nil)
}

func TestCheckouts(t *testing.T) {
	r := newRig(t, filled(t))
	until := time.Now().Add(72 * time.Hour).UTC().Truncate(time.Millisecond)
	in := api.CheckoutRequest{ID: newUUID(t), Product: "road", Machine: ws202, Until: until}
	var c api.Checkout
	r.want(t, 201, "ben", "POST", "/v1/checkouts", in).into(t, &c)
	if !c.Until.Equal(until) || c.License != "l-3" || c.Token.Seq == 0 {
		t.Errorf("checked out %+v", c)
	}
	p := r.want(t, 409, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}).problem(t)
	if p.By != "checkout" || p.Machine != "WS-202" || !p.Until.Equal(until) {
		t.Errorf("refused with %+v", p)
	}
	var list api.List[api.Checkout]
	r.want(t, 200, "ben", "GET", "/v1/checkouts", nil).into(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != in.ID {
		t.Errorf("listed %+v", list)
	}
	r.want(t, 200, "ada", "GET", "/v1/checkouts", nil).into(t, &list)
	if len(list.Items) != 0 {
		t.Errorf("somebody else's are listed: %+v", list)
	}
	r.want(t, 204, "ben", "DELETE", "/v1/checkouts/"+in.ID, api.MachineRequest{Machine: ws202})
	r.want(t, 201, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})

	r.node.set(func() { r.node.agree = false })
	again := r.want(t, 503, "ada", "POST", "/v1/checkouts", api.CheckoutRequest{ID: newUUID(t), Product: "road", Machine: ws202, Until: until})
	if p := again.problem(t); p.Code != "cloud-needed" || p.RetryAfterMS < 30_000 || again.Header.Get("Retry-After") == "" {
		t.Errorf("refused with %+v, Retry-After %q", p, again.Header.Get("Retry-After"))
	}
}

func TestWaitsEndAndFree(t *testing.T) {
	r := newRig(t, filled(t))
	var w api.Wait
	id := newUUID(t)
	r.want(t, 200, "ada", "POST", "/v1/waits", api.WaitRequest{ID: id, Product: "road", Machine: ws202}).into(t, &w)
	if !w.Free {
		t.Errorf("nothing stands in the way, but got %+v", w)
	}
	r.want(t, 204, "ada", "DELETE", "/v1/waits/"+id, nil)
}

func TestMe(t *testing.T) {
	r := newRig(t, filled(t))
	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	r.want(t, 201, "ada", "POST", "/v1/waits", api.WaitRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	var me api.Me
	r.want(t, 200, "ada", "GET", "/v1/me", nil).into(t, &me)
	if me.ID != "ada" || me.Email != "ada@example.org" || len(me.Licenses) != 2 || me.Licenses[0].ProductName != "Road Designer" ||
		me.Licenses[0].Capped != "yes" || len(me.Sessions) != 1 || me.Sessions[0].ID != id || len(me.Waiting) != 1 || me.Waiting[0].Machine != ws202 ||
		len(me.Administrators) != 1 || me.Administrators[0].Email != "ida@example.org" {
		t.Errorf("me is %+v", me)
	}
	r.want(t, 403, "nobody", "GET", "/v1/me", nil)
	r.want(t, 403, "max", "GET", "/v1/me", nil)
}

// Bad input: each gets a problem with a stable type, a sentence and a next step,
// and nothing changes.
func TestBadInput(t *testing.T) {
	node := filled(t)
	r := newRig(t, node)
	id := newUUID(t)
	body := func(s string) string { return strings.ReplaceAll(s, "ID", id) }
	const good = `{"id":"ID","product":"road","machine":{"id":"m-1","name":"WS-1"}}`
	tests := []struct {
		name, user, method, path string
		body                     any
		status                   int
		code                     string
		headers                  header
	}{
		{"unknown product", "ada", "POST", "/v1/sessions", body(strings.ReplaceAll(good, "road", "rail")), 404, "unknown-product", nil},
		{"user not in the mirror", "nobody", "POST", "/v1/sessions", body(good), 403, "unknown-user", nil},
		{"blocked user", "max", "POST", "/v1/sessions", body(good), 403, "user-blocked", nil},
		{"not assigned", "eve", "POST", "/v1/sessions", body(good), 403, "not-assigned", nil},
		{"body too large", "ada", "POST", "/v1/sessions", `{"id":"` + strings.Repeat("x", 65<<10) + `"}`, 413, "too-large", nil},
		{"no JSON", "ada", "POST", "/v1/sessions", `{"id":`, 400, "malformed", nil},
		{"nothing", "ada", "POST", "/v1/sessions", ``, 400, "malformed", nil},
		{"an array", "ada", "POST", "/v1/sessions", `[]`, 400, "malformed", nil},
		{"null", "ada", "POST", "/v1/sessions", `null`, 400, "malformed", nil},
		{"unknown field", "ada", "POST", "/v1/sessions", `{"colour":"red"}`, 400, "malformed", nil},
		{"unknown inner field", "ada", "POST", "/v1/sessions", `{"machine":{"colour":"red"}}`, 400, "malformed", nil},
		{"field in another case", "ada", "POST", "/v1/sessions", strings.Replace(body(good), `"id"`, `"Id"`, 1), 400, "malformed", nil},
		{"field given twice", "ada", "POST", "/v1/sessions", strings.Replace(body(good), `{`, `{"product":"road",`, 1), 400, "malformed", nil},
		{"inner field given twice", "ada", "POST", "/v1/sessions", strings.Replace(body(good), `"name"`, `"id":"m-2","name"`, 1), 400, "malformed", nil},
		{"something behind", "ada", "POST", "/v1/sessions", body(good) + `{}`, 400, "malformed", nil},
		{"wrong kind", "ada", "POST", "/v1/sessions", `{"id":7}`, 400, "malformed", nil},
		{"not UTF-8", "ada", "POST", "/v1/sessions", "{\"id\":\"\xff\"}", 400, "malformed", nil},
		{"too deep", "ada", "POST", "/v1/sessions", strings.Repeat(`{"machine":`, 20), 400, "malformed", nil},
		{"an id that is none", "ada", "POST", "/v1/sessions", good, 400, "malformed", nil},
		{"no machine", "ada", "POST", "/v1/sessions", body(`{"id":"ID","product":"road","machine":{}}`), 400, "malformed", nil},
		{"a machine with a newline", "ada", "POST", "/v1/sessions", body(`{"id":"ID","product":"road","machine":{"id":"m\n1"}}`), 400, "malformed", nil},
		{"no product", "ada", "POST", "/v1/sessions", body(`{"id":"ID","machine":{"id":"m-1"}}`), 400, "malformed", nil},
		{"a time that is none", "ada", "POST", "/v1/checkouts", `{"until":"tomorrow"}`, 400, "malformed", nil},
		{"checkout in the past", "ada", "POST", "/v1/checkouts", body(`{"id":"ID","product":"road","machine":{"id":"m-1"},"until":"2020-01-01T00:00:00Z"}`), 409, "checkout-in-past", nil},
		{"not JSON by its type", "ada", "POST", "/v1/sessions", body(good), 415, "media-type", header{"Content-Type": "text/plain"}},
		{"unknown path", "ada", "GET", "/v2/sessions", nil, 404, "not-found", nil},
		{"a path to be cleaned", "ada", "GET", "/v1/../metrics", nil, 404, "not-found", nil},
		{"wrong method", "ada", "PUT", "/v1/sessions", body(good), 405, "method", nil},
		{"operators' path", "ada", "GET", "/v1/status", nil, 403, "forbidden", nil},
		{"operators' release", "ada", "POST", "/v1/sessions/" + id + "/release", `{"by":"me","note":""}`, 403, "forbidden", nil},
		{"stop without a machine", "ada", "DELETE", "/v1/sessions/" + id, nil, 400, "malformed", nil},
		{"stop of nothing", "ada", "DELETE", "/v1/sessions/" + id + "?machine=m-1", nil, 404, "unknown-session", nil},
		{"return of nothing", "ada", "DELETE", "/v1/checkouts/" + id + "?machine=m-1", nil, 404, "unknown-checkout", nil},
		{"no token", "", "POST", "/v1/sessions", body(good), 401, "unauthorized", nil},
	}
	var before uint64
	node.View(func(s *license.State) { before = s.Head().Seq })
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := r.want(t, test.status, test.user, test.method, test.path, test.body, test.headers, header{"X-Request-Id": "made-up-1234"})
			p := a.problem(t)
			if p.Code != test.code || p.Type != api.ProblemBase+test.code || p.Status != test.status || p.Title == "" || p.Detail == "" || len(p.Next) == 0 {
				t.Errorf("got %+v; want code %s", p, test.code)
			}
			if p.RequestID != "made-up-1234" || a.Header.Get("X-Request-Id") != "made-up-1234" {
				t.Errorf("request id %q in the problem, %q in the header", p.RequestID, a.Header.Get("X-Request-Id"))
			}
		})
	}
	if a := r.call(t, "ada", "PATCH", "/v1/sessions/"+id, nil); a.Header.Get("Allow") != "GET, DELETE" {
		t.Errorf("Allow is %q", a.Header.Get("Allow"))
	}
	node.View(func(s *license.State) {
		// Only refusals for which the rules were asked may be journalled.
		if c := s.Counts(); c.Sessions != 0 || c.Checkouts != 0 || s.Head().Seq > before+6 {
			t.Errorf("something changed: %+v, seq %d after %d", c, s.Head().Seq, before)
		}
	})
}

func TestLanguages(t *testing.T) {
	r := newRig(t, filled(t))
	for lang, want := range map[string]string{"de-AT, en;q=0.5": "Kein solcher Pfad", "fr": "Chemin inconnu", "it": "No such path"} {
		a := r.want(t, 404, "ada", "GET", "/nothing", nil, header{"Accept-Language": lang})
		if p := a.problem(t); p.Title != want {
			t.Errorf("%s: title %q; want %q", lang, p.Title, want)
		}
	}
}

// What the gateway could not decide is told with its code, and when to ask again;
// what nobody foresaw is a 500. What lies behind is in the log, and nowhere else.
func TestErrorsOfTheGateway(t *testing.T) {
	tests := []struct {
		err    error
		status int
		code   string
		again  bool
	}{
		{gateway.ErrNoLeader, 503, "no-quorum", true},
		{fmt.Errorf("%w: a secret of the disk", gateway.ErrUnknown), 503, "outcome-unknown", true},
		{gateway.ErrNotReady, 503, "not-ready", true},
		{gateway.ErrDiskLow, 503, "disk-low", true},
		{gateway.ErrDiverged, 503, "state-diverged", true},
		{context.DeadlineExceeded, 503, "outcome-unknown", true},
		{errors.New("a secret of the disk"), 500, "internal", false},
	}
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			r := newRig(t, filled(t))
			r.node.set(func() { r.node.err = test.err })
			a := r.want(t, test.status, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
			p := a.problem(t)
			if p.Code != test.code || (a.Header.Get("Retry-After") != "") != test.again || (p.RetryAfterMS > 0) != test.again {
				t.Errorf("got %+v, Retry-After %q", p, a.Header.Get("Retry-After"))
			}
			if strings.Contains(string(a.raw), "secret") {
				t.Errorf("the answer tells %s", a.raw)
			}
			eventually(t, "the log has the cause under the request's id", func() bool {
				return slices.ContainsFunc(strings.Split(r.log.String(), "\n"), func(l string) bool {
					return strings.Contains(l, test.err.Error()) && strings.Contains(l, p.RequestID)
				})
			})
		})
	}
}

func TestAPanicIsA500AndTheNodeLives(t *testing.T) {
	r := newRig(t, filled(t))
	r.node.set(func() { r.node.panic = true })
	in := api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}
	if p := r.want(t, 500, "ada", "POST", "/v1/sessions", in).problem(t); p.Code != "internal" {
		t.Errorf("got %+v", p)
	}
	r.node.set(func() { r.node.panic = false })
	r.want(t, 201, "ada", "POST", "/v1/sessions", in)
}

func TestTheRateIsLimitedPerIdentity(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) { c.Rate = Rate{PerSecond: 0.001, Burst: 3} })
	for range 3 {
		r.want(t, 200, "ada", "GET", "/v1/me", nil)
	}
	a := r.want(t, 429, "ada", "GET", "/v1/me", nil)
	if p := a.problem(t); p.Code != "too-many" || p.RetryAfterMS <= 0 || a.Header.Get("Retry-After") == "" {
		t.Errorf("got %+v", p)
	}
	r.want(t, 200, "ben", "GET", "/v1/me", nil)
	if got := r.metric(t, "sitegate_http_limited_total"); got != 1 {
		t.Errorf("%v were counted as limited; want 1", got)
	}
}

func TestRequestIDs(t *testing.T) {
	r := newRig(t, filled(t))
	for given, kept := range map[string]bool{"0197a5b2-7c4e-7d1a": true, "short": false, "with space in it": false, strings.Repeat("x", 65): false} {
		got := r.want(t, 200, "", "GET", "/healthz", nil, header{"X-Request-Id": given}).Header.Get("X-Request-Id")
		if (got == given) != kept || got == "" {
			t.Errorf("%q became %q; want it kept: %t", given, got, kept)
		}
	}
	r.want(t, 200, "ada", "GET", "/v1/me", nil, header{"X-Request-Id": "find-me-again"})
	eventually(t, "the log line has the request's id", func() bool { return strings.Contains(r.log.String(), `"id":"find-me-again"`) })
}

func TestReadyTellsWhatIsMissing(t *testing.T) {
	node := newNode(t)
	node.lone = true
	r := newRig(t, node)
	r.want(t, 200, "", "GET", "/healthz", nil)
	var ready api.Ready
	r.want(t, 503, "", "GET", "/readyz", nil).into(t, &ready)
	if want := []string{api.MissingMirror, api.MissingLeader}; ready.Ready || !slices.Equal(ready.Missing, want) {
		t.Errorf("got %+v; want %q missing", ready, want)
	}
	r = newRig(t, filled(t))
	r.want(t, 200, "", "GET", "/readyz", nil).into(t, &ready)
}

func TestMetricsAreForAllowedNetworksOnly(t *testing.T) {
	open := newRig(t, filled(t))
	open.want(t, 200, "ada", "GET", "/v1/me", nil)
	if a := open.want(t, 200, "", "GET", "/metrics", nil); !strings.Contains(string(a.raw), `sitegate_http_requests_total{route="GET /v1/me",status="200"} 1`) {
		t.Errorf("got %s", a.raw)
	}
	shut := newRig(t, filled(t), func(c *Config) { c.MetricsAllow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	if p := shut.want(t, 403, "", "GET", "/metrics", nil).problem(t); p.Code != "forbidden" {
		t.Errorf("got %+v", p)
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	r := newRig(t, filled(t))
	if a := r.want(t, 200, "", "GET", "/openapi.yaml", nil); string(a.raw) != string(api.OpenAPI()) || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/yaml") {
		t.Errorf("%d bytes of %s", len(a.raw), a.Header.Get("Content-Type"))
	}
}

// The operator's socket is a unix socket; who can open it may use it.
func TestOperatorsSocket(t *testing.T) {
	r := newRig(t, filled(t))
	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	path := filepath.Join(t.TempDir(), "op.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: r.e.Operator()}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)

	resp, err := client.Get("http://operator/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var st api.Status
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	if st.Node != "n1" || st.Version != "1.2.3" || st.Cluster.Leader != "n1" || len(st.Cluster.Members) != 1 || !st.Cluster.Members[0].Leader ||
		!st.Mirror.Filled || st.Counts.Users != 4 || st.Counts.Sessions != 1 || st.Usage.Seq == 0 || time.Until(st.Time) < time.Hour-time.Minute {
		t.Errorf("status is %+v", st)
	}
	post := func(body string) *http.Response {
		resp, err := client.Post("http://operator/v1/sessions/"+id+"/release", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if got := post(`{"by":"","note":"x"}`).StatusCode; got != 400 {
		t.Errorf("a release by nobody: %d; want 400", got)
	}
	if got := post(`{"by":"ida","note":"the server restarts"}`).StatusCode; got != 200 {
		t.Errorf("a release: %d; want 200", got)
	}
	var s api.Session
	r.want(t, 200, "ada", "GET", "/v1/sessions/"+id, nil).into(t, &s)
	if s.Ending == nil || s.Ending.Reason != "released" || s.Ending.By != "ida" {
		t.Errorf("the session's ending is %+v", s.Ending)
	}
	p := r.want(t, 409, "ada", "POST", "/v1/sessions/"+id+"/heartbeat", api.MachineRequest{Machine: ws101}).problem(t)
	if p.Code != "already-ended" {
		t.Errorf("a heartbeat after the release: %+v", p)
	}
}

func TestNewTellsWhatIsWrong(t *testing.T) {
	if _, err := New(Config{Rate: Rate{PerSecond: -1}}); err == nil || !strings.Contains(err.Error(), "Gateway") || !strings.Contains(err.Error(), "rate") {
		t.Errorf("got %v; want all that is wrong", err)
	}
	node := filled(t)
	ok := Config{Gateway: node, Hub: node.hub, Logger: newRig(t, node).e.log, KeysDir: t.TempDir()}
	for name, is := range map[string][]Issuer{
		"no URL":      {{URL: "issuer.example", Audience: "a", Client: http.DefaultClient}},
		"no audience": {{URL: "https://issuer.example", Client: http.DefaultClient}},
		"no client":   {{URL: "https://issuer.example", Audience: "a"}},
		"twice":       {{URL: "https://issuer.example", Audience: "a", Client: http.DefaultClient}, {URL: "https://issuer.example", Audience: "a", Client: http.DefaultClient}},
	} {
		bad := ok
		bad.Issuers = is
		if _, err := New(bad); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
