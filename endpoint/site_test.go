package endpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
)

// look asks one of the routes that an administrator looks at the site by.
func (r *rig) look(t testing.TB, status int, path string, into any) {
	t.Helper()
	w := httptest.NewRecorder()
	r.e.Operator().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	if w.Code != status {
		t.Fatalf("GET %s: %d, want %d: %s", path, w.Code, status, w.Body)
	}
	if into != nil {
		reflect.ValueOf(into).Elem().SetZero()
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("GET %s: %v: %s", path, err, w.Body)
		}
	}
}

func (r *rig) begin(t testing.TB, user, product string, m api.Machine) string {
	t.Helper()
	id := newUUID(t)
	r.want(t, 201, user, "POST", "/v1/sessions", api.StartRequest{ID: id, Product: product, Machine: m})
	return id
}

// onTime is a node whose clock is right.
type onTime struct{ *oneNode }

func (onTime) Now() license.Time { return license.TimeOf(time.Now()) }

// What is open is listed newest first, is found by words, and is right after every change.
func TestWhatIsOpen(t *testing.T) {
	r := newRig(t, filled(t), func(c *Config) { c.Gateway = onTime{c.Gateway.(*oneNode)} })
	var l api.OpenList
	r.look(t, 200, "/v1/site/open", &l)
	if len(l.Items) != 0 || l.Total != 0 || l.All != 0 || l.Next != "" {
		t.Errorf("nothing is open, but there is %+v", l)
	}
	first := r.begin(t, "ada", "road", ws101)
	second := r.begin(t, "ben", "road", ws202)
	third := r.begin(t, "ada", "flow", ws101)
	r.look(t, 200, "/v1/site/open", &l)
	if got := ids(l); got != third+" "+second+" "+first || l.At.IsZero() || l.Total != 3 || l.All != 3 {
		t.Errorf("open are %s of %d; want %s %s %s", got, l.All, third, second, first)
	}
	x := l.Items[2]
	if x.Kind != "session" || x.User != "ada" || x.Name != "Ada" || x.Email != "ada@example.org" || x.Product != "road" || x.ProductName != "Road Designer" ||
		x.Capped != "yes" || x.License != "l-1" || x.LicenseType != "Practitioner" || x.Machine != ws101 || x.Since.IsZero() {
		t.Errorf("the first is %+v", x)
	}
	for query, want := range map[string]string{
		"q=BEN":                              second,
		"q=ada+designer":                     first,
		"q=ws-101":                           third + " " + first,
		"q=nobody":                           "",
		"product=flow":                       third,
		"user=ada":                           third + " " + first,
		"machine=ws-202":                     second,
		"machine_id=m-101&q=master":          third,
		"kind=checkout":                      "",
		"capped=yes&q=ben":                   second,
		"q=" + url.QueryEscape(`<script>"'`): "",
	} {
		r.look(t, 200, "/v1/site/open?"+query, &l)
		if got := ids(l); got != want || l.Total != len(strings.Fields(want)) || l.All != 3 {
			t.Errorf("%s finds %q, %d in all; want %q", query, got, l.Total, want)
		}
	}
	for query, want := range map[string]string{"": third + " " + second + " " + first, "&user=ada": third + " " + first} {
		var pages []string
		for next := ""; ; {
			r.look(t, 200, "/v1/site/open?limit=1"+query+"&after="+next, &l)
			if pages = append(pages, ids(l)); l.Total != len(strings.Fields(want)) {
				t.Errorf("%s: %d in all; want %q", query, l.Total, want)
			}
			if next = l.Next; next == "" || len(pages) > 3 {
				break
			}
		}
		if got := strings.Join(pages, " "); got != want {
			t.Errorf("%s: page by page there are %s; want %s", query, got, want)
		}
	}

	r.want(t, 204, "ben", "DELETE", "/v1/sessions/"+second, api.MachineRequest{Machine: ws202})
	out := newUUID(t)
	r.want(t, 201, "ben", "POST", "/v1/checkouts", api.CheckoutRequest{ID: out, Product: "road", Machine: ws202, Until: time.Now().Add(48 * time.Hour)})
	r.look(t, 200, "/v1/site/open?kind=checkout", &l)
	if got := ids(l); got != out || l.Items[0].Until.IsZero() || l.All != 3 {
		t.Errorf("checked out are %+v; want %s", l, out)
	}
	r.look(t, 200, "/v1/site/open?q=ben&kind=session", &l)
	if got := ids(l); got != "" {
		t.Errorf("what was stopped is open: %s", got)
	}
	// The report of capped usage keeps it for three minutes (KB0018624).
	r.look(t, 200, "/v1/site/open?capped=yes&q=ben", &l)
	if len(l.Items) != 2 || !l.Items[0].Closed || l.Items[0].ID != second || l.Items[0].Until.IsZero() || l.Items[0].Since.IsZero() || l.Items[0].Since.After(l.Items[0].Until) || l.Items[1].ID != out {
		t.Errorf("the capped usage of ben is %+v", l.Items)
	}

	// So does a node that has not heard of it, since it was started later.
	other := newRig(t, r.node, func(c *Config) { c.Gateway, c.Hub = onTime{r.node}, notice.New(0, 0) })
	other.look(t, 200, "/v1/site/open?capped=yes&q=ben&kind=session", &l)
	if len(l.Items) != 1 || !l.Items[0].Closed || l.Items[0].ID != second {
		t.Errorf("on another node the capped usage of ben is %+v", l.Items)
	}

	var p api.List[api.ProductUse]
	r.look(t, 200, "/v1/site/products", &p)
	want := []api.ProductUse{{Product: "flow", Name: "Flow Master", Capped: "yes", Owned: 1, InUse: 1, Sessions: 1},
		{Product: "road", Name: "Road Designer", Capped: "yes", Owned: 2, InUse: 2, Sessions: 1, Checkouts: 1}}
	if fmt.Sprint(p.Items) != fmt.Sprint(want) {
		t.Errorf("the products are %+v; want %+v", p.Items, want)
	}
	for _, bad := range []string{"limit=0", "limit=501", "kind=other", "after=x", "q=" + strings.Repeat("x", 201), "q=%ff", "machine=" + strings.Repeat("x", 601)} {
		r.look(t, 400, "/v1/site/open?"+bad, nil)
	}
}

func ids(l api.OpenList) string {
	var s []string
	for _, x := range l.Items {
		s = append(s, x.ID)
	}
	return strings.Join(s, " ")
}

// A refusal is listed with what its user was told, what stands in the way as long as it
// does, and whether it holds at all.
func TestRefusalsAreListed(t *testing.T) {
	r := newRig(t, filled(t))
	first := r.begin(t, "ada", "road", ws101)
	r.want(t, 409, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	offline := license.Denial{Reason: license.MachineActive, Product: "road", License: "l-1", Holding: "l-1", Machine: license.Machine{ID: "m-101", Name: "WS-101"}}
	r.node.do(t, license.Refused{User: "ada", Machine: license.Machine{Name: "WS-303"}, Denial: offline, Relayed: true, Offline: true})
	r.node.do(t, license.WouldRefuse{User: "ben", Machine: license.Machine{Name: "WS-404"}, Denial: offline, Address: "10.1.2.3"})
	var l api.SiteRefusalList
	r.look(t, 200, "/v1/site/refusals", &l)
	if len(l.Items) != 3 || l.Next != "" {
		t.Fatalf("refused are %+v", l)
	}
	seen, relayed, plain := l.Items[0], l.Items[1], l.Items[2]
	if !strings.Contains(seen.Told, "let through") || !seen.Observed || seen.Address != "10.1.2.3" || seen.User != "ben" || seen.Open != "" {
		t.Errorf("what would have been refused is %+v", seen)
	}
	if !strings.Contains(relayed.Told, "shows no reason") || !strings.Contains(relayed.Remedy, "AllowOfflineUsage") || !relayed.CannotHold || !relayed.Relayed || relayed.Observed {
		t.Errorf("what cannot hold is %+v", relayed)
	}
	if plain.User != "ada" || plain.Name != "Ada" || plain.Machine.Name != "WS-202" || plain.Reason != "machine-active" || plain.Open != first || plain.OpenKind != "session" ||
		plain.Told != plain.Detail || !strings.Contains(plain.Remedy, "Free the machine") || plain.Other == nil || plain.Other.Name != "WS-101" || !strings.Contains(plain.Detail, "WS-101") || len(plain.Next) == 0 || plain.CannotHold {
		t.Errorf("the refusal is %+v", plain)
	}
	r.look(t, 200, "/v1/site/refusals?kind=observed", &l)
	if len(l.Items) != 1 || !l.Items[0].Observed {
		t.Errorf("observed are %+v", l.Items)
	}
	r.look(t, 200, "/v1/site/refusals?kind=refused&q=ws-303", &l)
	if len(l.Items) != 1 || l.Items[0].Machine.Name != "WS-303" {
		t.Errorf("of WS-303 there are %+v", l.Items)
	}
	r.look(t, 200, "/v1/site/refusals?limit=1", &l)
	if len(l.Items) != 1 || l.Next == "" {
		t.Fatalf("the first page is %+v", l)
	}
	r.look(t, 200, "/v1/site/refusals?limit=2&before="+l.Next, &l)
	if len(l.Items) != 2 || l.Items[1].Seq != plain.Seq {
		t.Errorf("the second page is %+v", l.Items)
	}
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+first, api.MachineRequest{Machine: ws101})
	r.look(t, 200, "/v1/site/refusals?limit=3", &l)
	if l.Items[2].Open != "" {
		t.Errorf("what has ended stands in the way: %+v", l.Items[2])
	}

	var h api.HistoryList
	r.look(t, 200, "/v1/site/history?by=ida&reason=ticket+7&user=ada", &h)
	var kinds []string
	for _, x := range h.Items {
		kinds = append(kinds, x.Kind)
		if x.Text == "" || x.At.IsZero() {
			t.Errorf("an entry without words: %+v", x)
		}
	}
	if got := strings.Join(kinds, " "); !strings.HasPrefix(got, "free refused refused granted") {
		t.Errorf("what happened to ada is %s", got)
	} else if free, refused := h.Items[0].Text, h.Items[1].Text; !strings.HasSuffix(free, `was closed on "WS-101": the license of Ada is free.`) || !strings.Contains(refused, `: "`) {
		t.Errorf("it is told to ada: %s %s", free, refused)
	}
	r.look(t, 200, "/v1/site/history?by=ida&reason=ticket+7&machine=WS-303", &h)
	if len(h.Items) != 1 || h.Items[0].Kind != "refused" {
		t.Errorf("what happened on WS-303 is %+v", h.Items)
	}
	r.look(t, 400, "/v1/site/history", nil)
}

// However many are called alike, who goes by exactly a name is the one that is listed.
func TestAUserIsNamedExactly(t *testing.T) {
	node := filled(t)
	var changes []license.Change
	for n := range 70 { // all of them before an@ in the order of names
		changes = append(changes, license.Change{User: &license.User{ID: license.UserID(fmt.Sprintf("a-%03d", n)), Name: fmt.Sprintf("A %03d", n), Email: fmt.Sprintf("dan%d.an@example.org", n)}})
	}
	changes = append(changes, license.Change{User: &license.User{ID: "zz", Name: "Zoe", Email: "An@example.org"}}, license.Change{User: &license.User{ID: "z1", Name: "Zed", Email: "two@example.org"}},
		license.Change{User: &license.User{ID: "z2", Name: "Zed", Email: "TWO@example.org"}}, license.Change{User: &license.User{ID: "two@example.org/id", Name: "Odd"}}, license.Change{User: &license.User{ID: "ada@example.org", Name: "Her own"}})
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: changes})
	r := newRig(t, node)
	for name, want := range map[string]string{"an@example.org": "zz", "dan69.an@EXAMPLE.org": "a-069", "a-042": "a-042", "two@example.org": "z1 z2", "two@example.org/id": "two@example.org/id",
		"ada@example.org": "ada@example.org", "A-042": "", "Zoe": "", "example.org": "", " ": ""} {
		var l api.SiteUserList
		r.look(t, 200, "/v1/site/users?"+url.Values{"named": {name}, "limit": {"1"}}.Encode(), &l)
		var got []string
		for _, u := range l.Items {
			got = append(got, u.ID)
		}
		if strings.Join(got, " ") != want || l.Total != len(got) || l.Next != "" {
			t.Errorf("named %q are %q of %d; want %q", name, got, l.Total, want)
		}
	}
	r.look(t, 400, "/v1/site/users?named="+strings.Repeat("x", 601), nil)
}

// Users, licenses and settings as they are now.
func TestWhatTheAccountHas(t *testing.T) {
	r, it := operated(t, filled(t))
	r.begin(t, "ada", "road", ws101)
	var users api.SiteUserList
	r.look(t, 200, "/v1/site/users?q=ADA", &users)
	if len(users.Items) != 1 || users.Total != 1 {
		t.Fatalf("the users are %+v", users)
	}
	if u := users.Items[0]; u.ID != "ada" || u.Licenses != 2 || u.Sessions != 1 || !u.Known || len(u.Machines) != 1 || u.Machines[0] != "WS-101" {
		t.Errorf("ada is %+v", u)
	}
	var names []string
	for next := ""; ; {
		r.look(t, 200, "/v1/site/users?limit=3&after="+url.QueryEscape(next), &users)
		for _, u := range users.Items {
			names = append(names, u.ID)
		}
		if next = users.Next; next == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "ada ben eve max" {
		t.Errorf("page by page there are %s", got)
	}
	r.node.do(t, license.Block{User: "eve", By: "ida", Note: "left"})
	var u api.SiteUser
	r.look(t, 200, "/v1/site/users/eve", &u)
	if u.BlockedHere == nil || u.BlockedHere.By != "ida" {
		t.Errorf("eve is %+v", u)
	}
	r.look(t, 403, "/v1/site/users/nobody", nil)

	now := license.TimeOf(time.Now())
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{
		{License: &license.License{ID: "l-4", Product: "road", Ends: now.Add(24 * time.Hour)}},
		{License: &license.License{ID: "l-5", Product: "road", Assignee: "gone", AssignedAt: now.Add(-48 * time.Hour)}},
		{License: &license.License{ID: "l-6", Product: "flow", Ends: now.Add(-time.Hour)}}}})
	eventually(t, "the mirror's changes are listed", func() bool {
		var l api.SiteLicenseList
		r.look(t, 200, "/v1/site/licenses", &l)
		return l.Total == 6
	})
	for query, want := range map[string]string{"": "l-2 l-6 l-1 l-3 l-4 l-5", "state=unassigned": "l-4", "state=not-found": "l-5", "state=never-used": "l-2 l-3 l-5",
		"state=ending": "l-4", "state=ended": "l-6", "q=ben": "l-3", "product=flow": "l-2 l-6", "user=gone": "l-5"} {
		var l api.SiteLicenseList
		r.look(t, 200, "/v1/site/licenses?"+query, &l)
		var got []string
		for _, x := range l.Items {
			got = append(got, x.ID)
		}
		if strings.Join(got, " ") != want || l.Total != len(got) {
			t.Errorf("licenses with %q are %v; want %s", query, got, want)
		}
	}
	var x api.SiteLicense
	r.look(t, 200, "/v1/site/licenses/l-5", &x)
	if !x.NotFound || x.LockedUntil.IsZero() || x.Capped != "yes" {
		t.Errorf("l-5 is %+v", x)
	}
	var mine api.SiteLicense // in whatever language, what is to be sent is the vendor's
	it.want(t, 200, "", "GET", "/v1/site/licenses/l-5", nil, header{"Accept-Language": "de"}).into(t, &mine)
	if len(x.Requests) != 2 || len(mine.Requests) != 2 || x.Requests[1].Category != "User administrator support" || !strings.Contains(x.Requests[0].Text, "License: l-5\n") ||
		mine.Requests[0].Text != x.Requests[0].Text || mine.Requests[0].Title != "Serviceanfrage an den Hersteller" {
		t.Errorf("l-5 is mended by %+v, in German %+v", x.Requests, mine.Requests)
	}
	if r.look(t, 200, "/v1/site/licenses/l-1", &x); x.Requests != nil {
		t.Errorf("l-1 is mended by %+v", x.Requests)
	}
	r.look(t, 404, "/v1/site/licenses/l-99", nil)
	r.look(t, 400, "/v1/site/licenses?state=odd", nil)

	r.node.do(t, license.Configure{Settings: license.Settings{LeaseTTL: 5 * time.Minute, MachineKeys: true, Hosts: []string{"ts-1", "ts-2"}, Modes: []license.Mode{{Product: "road", Observe: true}}}})
	var s api.SiteSettings
	r.look(t, 200, "/v1/site/settings", &s)
	set := map[string]api.SiteSetting{}
	for _, i := range s.Items {
		if i.About == "" {
			t.Errorf("nothing says what %s is", i.Name)
		}
		i.About = ""
		set[i.Name] = i
	}
	if i := set["rules.lease_ttl"]; i.Value != "5m0s" || !i.Set || set["rules.takeover"].Value != "refuse" || set["rules.takeover"].Set {
		t.Errorf("the settings are %+v", s.Items)
	}
	if set["rules.machine_keys"] != (api.SiteSetting{Name: "rules.machine_keys", Value: "true", Set: true}) || set["rules.hosts"] != (api.SiteSetting{Name: "rules.hosts", Value: "[ts-1, ts-2]", Set: true}) {
		t.Errorf("the settings are %+v", s.Items)
	}
	if len(s.Modes) != 1 || s.Modes[0] != (api.SiteMode{Product: "road", Mode: "observe"}) {
		t.Errorf("the modes are %+v", s.Modes)
	}
}

// A page that shows how things are hears that something has changed.
func TestSiteEvents(t *testing.T) {
	r := newRig(t, filled(t))
	server := httptest.NewServer(r.e.Operator())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/site/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body) // ends with the test's context
	lines.Buffer(nil, 1<<20)
	upTo := func(what string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", what, lines.Err())
	}
	upTo("event: hello")
	upTo(r.begin(t, "ada", "road", ws101))
}
