package endpoint

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// called is what users of a country, and their machines, are called in these tests.
func called(kind, name string) string {
	return fmt.Sprintf("%s-%x", kind[:1], sha256.Sum256([]byte("a key "+kind+strings.ToLower(name))))[:12]
}

// ws303 is where ben works, whom everybody may know.
var ws303 = api.Machine{ID: "m-303", Name: "WS-303"}

// hidingRig is a rig that hides everybody but ben.
func hidingRig(t *testing.T) *rig {
	t.Helper()
	node := filled(t)
	node.onTime = true
	return newAdminRig(t, node, func(c *Config) {
		c.Pseudonym = func(_ *license.State, kind, name string) string {
			if kind == "user" && name == "ben" {
				return name
			}
			return called(kind, name)
		}
	})
}

// Who only looks finds nothing in any answer by which to tell who is hidden: no name, no
// id, no place in a list that has one, no search that finds them by what is not shown.
func TestNothingTellsViewersWhoIsHidden(t *testing.T) {
	r := hidingRig(t)
	viewer := r.asAdmin(t, "ida", "looks")
	id := r.begin(t, "ada", "road", ws101)
	ended := r.begin(t, "ada", "flow", ws101)
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+ended, api.MachineRequest{Machine: ws101})
	r.want(t, 409, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	r.begin(t, "ben", "road", ws303)
	r.node.do(t, license.Block{User: "eve", By: "ida", Note: "eve@ has left"})
	r.node.do(t, license.ReleaseUser{User: "ben", By: "ida", Note: "sits at WS-101 of user ada"})
	r.node.do(t, license.Block{Machine: license.Machine{ID: "m-101", Name: "WS-101"}, By: "ida"})
	now := license.TimeOf(time.Now())
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{
		{License: &license.License{ID: "l-5", Product: "road", Assignee: "eve", Ends: now.Add(48 * time.Hour)}}}})
	ada, m := called("user", "ada"), called("machine", "WS-101")
	tells := func(path string) string {
		t.Helper()
		a := r.want(t, 200, "", "GET", path, nil, viewer)
		for _, secret := range []string{`"ada"`, `"Ada"`, "ada@", `"eve"`, "eve@", "max@", "m-101", "m-202", "WS-101", "WS-202", "of user", " ada"} {
			if strings.Contains(string(a.raw), secret) {
				t.Errorf("%s tells %s: %s", path, secret, a.raw)
			}
		}
		return string(a.raw)
	}
	for _, path := range []string{"/v1/site/open", "/v1/site/open?capped=yes", "/v1/site/open?id=" + id, "/v1/site/users", "/v1/site/licenses", "/v1/site/licenses/l-1", "/v1/site/refusals",
		"/v1/site/history?reason=ticket&user=ben", "/v1/site/products", "/v1/blocks", "/v1/reminders", "/v1/usage/refused", "/v1/audit", "/v1/status"} {
		tells(path)
	}
	// As they are shown they are found, and in no other way.
	for path, found := range map[string]bool{
		"/v1/site/open?q=" + ada: true, "/v1/site/open?q=ada%40example.org": false, "/v1/site/open?user=" + ada: true, "/v1/site/open?user=ada": false, "/v1/site/open?user=ben": true,
		"/v1/site/open?q=" + m: true, "/v1/site/open?q=ws-101": false, "/v1/site/open?machine=" + m: true, "/v1/site/open?machine=WS-101": false, "/v1/site/open?machine_id=m-101&machine=x": false,
		"/v1/site/open?machine=ws-303.example.org": true, "/v1/site/open?q=ws-303": true, "/v1/site/open?machine=" + called("machine", "WS-303"): false, "/v1/site/history?reason=ticket&machine=ws-303": true,
		"/v1/site/users?q=" + ada: true, "/v1/site/users?q=ada%40": false, "/v1/site/users?q=ben%40": true,
		"/v1/site/users?named=" + ada: true, "/v1/site/users?named=ada": false, "/v1/site/users?named=ada%40example.org": false, "/v1/site/users?named=ben%40example.org": true,
		"/v1/site/licenses?q=" + ada: true, "/v1/site/licenses?q=ada": false, "/v1/site/licenses?user=" + ada: true, "/v1/site/licenses?user=ada": false,
		"/v1/site/history?reason=ticket&user=" + ada: true, "/v1/site/history?reason=ticket&user=ada": false, "/v1/site/history?reason=ticket&machine=" + m: true, "/v1/site/history?reason=ticket&machine=WS-101": false,
		"/v1/site/refusals?q=" + ada: true, "/v1/site/refusals?q=ada%40": false,
	} {
		if raw := tells(path); strings.Contains(raw, `"items":[]`) == found {
			t.Errorf("%s finds something: %t; want %t: %s", path, !found, found, raw)
		}
	}
	tells("/v1/site/users/" + ada)
	r.want(t, 403, "", "GET", "/v1/site/users/ada", nil, viewer)
	for next, n := "", 0; ; n++ {
		raw := tells("/v1/site/users?limit=1&after=" + url.QueryEscape(next))
		_, rest, more := strings.Cut(raw, `"next":"`)
		if !more {
			if n != 3 {
				t.Errorf("there are %d pages more; want 3", n)
			}
			break
		}
		var quoted string
		quoted, _, _ = strings.Cut(rest, `"`)
		next = strings.ReplaceAll(quoted, `\u0000`, "\x00")
	}
	for _, path := range []string{"/v1/mirror/records", "/v1/mirror/malformed", "/v1/users/ada/removal", "/v1/users/ada/checkouts"} {
		r.want(t, 403, "", "GET", path, nil, viewer)
	}
}

// Who may act is told the ids, and acts on somebody by the name that is shown, too.
func TestWhoIsHiddenIsActedOn(t *testing.T) {
	r := hidingRig(t)
	operator := r.asAdmin(t, "ida", "desk")
	r.begin(t, "ada", "road", ws101)
	var l api.OpenList
	r.want(t, 200, "", "GET", "/v1/site/open?user=ada", nil, operator).into(t, &l)
	if len(l.Items) != 1 || l.Items[0].User != "ada" || l.Items[0].Name != called("user", "ada") || l.Items[0].Email != "" || l.Items[0].Machine != (api.Machine{ID: "m-101", Name: called("machine", "WS-101")}) {
		t.Errorf("an operator is shown %+v", l.Items)
	}
	if a := newSeat(t, "ada", ws101).bind(t, r); a.StatusCode != 200 {
		t.Fatalf("binding a key: %d %s", a.StatusCode, a.raw)
	}
	shown := api.Machine{Name: called("machine", "WS-101")}
	var out api.Checkout
	r.want(t, 201, "", "POST", "/v1/users/"+called("user", "ada")+"/checkouts", api.CheckoutForRequest{ID: newUUID(t), Product: "road", Machine: shown}, operator).into(t, &out)
	if out.Machine != ws101 {
		t.Errorf("it is checked out to %+v; want %+v", out.Machine, ws101)
	}
	r.want(t, 204, "", "POST", "/v1/users/"+called("user", "ada")+"/forget-key", api.ForgetKeyRequest{Machine: shown, Note: "a new disk"}, operator)
	r.node.View(func(s *license.State) {
		if keys := license.KeysOf(s, "ada"); len(keys) != 0 {
			t.Errorf("the keys of ada's machines are %+v; want none", keys)
		}
	})
	r.want(t, 204, "", "POST", "/v1/users/"+called("user", "ada")+"/block", api.ReleaseRequest{Note: "left"}, operator)
	r.want(t, 204, "", "POST", "/v1/machines/block", api.MachineBlockRequest{Machine: shown, Note: "lost"}, operator)
	r.node.View(func(s *license.State) {
		if _, barred := license.UserBar(s, "ada"); !barred {
			t.Error("ada is not blocked")
		}
		bars := license.Bars(s)
		if len(bars) != 2 || bars[0].Machine.ID != "m-101" && bars[1].Machine.ID != "m-101" {
			t.Errorf("blocked are %+v; want ada and m-101", bars)
		}
	})
}

// A machine that is blocked is let in again by the name by which it is shown, though nobody
// works on it; its history is read under its own name.
func TestABlockedMachineIsFoundAsItIsShown(t *testing.T) {
	r := hidingRig(t)
	operator := r.asAdmin(t, "ida", "desk")
	r.want(t, 204, "", "POST", "/v1/machines/block", api.MachineBlockRequest{Machine: api.Machine{Name: "WS-9"}, Note: "lost"}, operator)
	r.want(t, 204, "", "POST", "/v1/machines/block", api.MachineBlockRequest{Machine: api.Machine{ID: "m-9", Name: "WS-9"}, Note: "lost"}, operator)
	shown := api.Machine{Name: called("machine", "WS-9")}
	r.want(t, 200, "", "GET", "/v1/site/history?reason=ticket&machine="+shown.Name, nil, operator)
	r.node.View(func(s *license.State) {
		if s.PseudonymOf(license.VeilMachine, "WS-9") == "" || s.PseudonymOf(license.VeilMachine, shown.Name) != "" {
			t.Error("the audit trail has the machine by another name")
		}
	})
	r.want(t, 204, "", "POST", "/v1/machines/unblock", api.MachineBlockRequest{Machine: shown, Note: "found"}, operator)
	r.node.View(func(s *license.State) {
		if bars := license.Bars(s); len(bars) != 0 {
			t.Errorf("blocked are %+v; want none", bars)
		}
	})
	for _, act := range []string{"block", "unblock"} {
		if p := r.want(t, 400, "", "POST", "/v1/machines/"+act, api.MachineBlockRequest{Machine: shown, Note: "again"}, operator).problem(t); !strings.Contains(p.Detail, "say its id") {
			t.Errorf("%s: %q", act, p.Detail)
		}
	}
}

// Blocks are asked for of a machine, by what it is called beside whoever works on it.
func TestBlocksOfAMachine(t *testing.T) {
	r := hidingRig(t)
	operator, viewer := r.asAdmin(t, "ida", "desk"), r.asAdmin(t, "otto", "looks")
	for _, m := range []license.Machine{{Name: "WS-303"}, {ID: "m-404", Name: "WS-404"}, {ID: "m-405", Name: "WS-404"}, {ID: "m-505"}} {
		r.node.do(t, license.Block{Machine: m, By: "ida", Note: "lost"})
	}
	r.node.do(t, license.Block{User: "eve", By: "ida", Note: "left"})
	shown := func(name string) string { return called("machine", name) }
	for _, test := range []struct {
		query string
		as    header
		want  int
	}{
		{"", operator, 5},
		{"machine=WS-303&machine_id=m-303", operator, 1}, // ben's, who is not hidden
		{"machine=" + shown("WS-303") + "&machine_id=m-303", operator, 1},
		{"machine=" + shown("WS-303") + "&machine_id=", operator, 1},
		{"machine=" + shown("WS-404") + "&machine_id=m-404", operator, 1},
		{"machine=" + shown("WS-404"), operator, 2},
		{"machine=" + shown("WS-404") + "&machine_id=m-1", operator, 0},
		{"machine=x&machine_id=m-505", operator, 1},
		{"machine=WS-1&machine_id=m-1", operator, 0},
		{"machine=" + shown("WS-303"), viewer, 1},
		{"machine=WS-303&machine_id=m-404", viewer, 0},
	} {
		var l api.List[api.Block]
		if r.want(t, 200, "", "GET", "/v1/blocks?"+test.query, nil, test.as).into(t, &l); len(l.Items) != test.want {
			t.Errorf("%s: %+v; want %d", test.query, l.Items, test.want)
		}
	}
}

// What has the form of another name, and is nobody's, is not taken for an own name.
func TestNobodysOtherNameIsRefused(t *testing.T) {
	r := hidingRig(t)
	operator := r.asAdmin(t, "ida", "desk")
	user, machine := called("user", "gone"), api.Machine{Name: called("machine", "gone")}
	lend := func(m api.Machine) api.CheckoutForRequest {
		return api.CheckoutForRequest{ID: newUUID(t), Product: "road", Machine: m, Note: "goes to sea"}
	}
	r.want(t, 400, "", "POST", "/v1/users/ada/checkouts", lend(machine), operator)
	r.want(t, 400, "", "POST", "/v1/users/"+user+"/checkouts", lend(ws101), operator)
	r.want(t, 400, "", "POST", "/v1/users/"+user+"/block", api.ReleaseRequest{Note: "left"}, operator)
	r.want(t, 400, "", "POST", "/v1/users/"+user+"/forget-key", api.ForgetKeyRequest{Machine: ws101, Note: "a new disk"}, operator)
	r.want(t, 400, "", "POST", "/v1/users/ada/forget-key", api.ForgetKeyRequest{Machine: machine, Note: "a new disk"}, operator)
	r.want(t, 204, "", "POST", "/v1/machines/block", api.MachineBlockRequest{Machine: api.Machine{ID: "m-9", Name: machine.Name}, Note: "lost"}, operator)
	r.node.View(func(s *license.State) {
		if bars := license.Bars(s); len(bars) != 1 || bars[0].Machine != (license.Machine{ID: "m-9"}) {
			t.Errorf("blocked are %+v; want m-9, without a name", bars)
		}
	})
	bulk := api.BulkCheckoutRequest{ID: newUUID(t), Products: []api.BulkProduct{{Product: "road"}}, Note: "goes to sea",
		CSV: "user,machine\n" + user + ",LT-7\nada," + machine.Name + "\n"}
	var report api.BulkReport
	r.want(t, 422, "", "POST", "/v1/checkouts/bulk", bulk, operator).into(t, &report)
	if len(report.Items) != 2 || report.Items[0].Column+" "+report.Items[0].Reason != "user row-not-found" || report.Items[1].Column+" "+report.Items[1].Reason != "machine row-not-found" || report.Items[0].Text == "" {
		t.Errorf("the bulk is told %+v", report)
	}
	// By its key a machine is found though nothing is open on it.
	if a := newSeat(t, "ada", ws101).bind(t, r); a.StatusCode != 200 {
		t.Fatalf("binding a key: %d %s", a.StatusCode, a.raw)
	}
	bulk.CSV = "user,machine\n" + called("user", "ada") + "," + called("machine", "WS-101") + "\n"
	r.want(t, 200, "", "POST", "/v1/checkouts/bulk", bulk, operator).into(t, &report)
	r.node.View(func(s *license.State) {
		if a := s.Active("ada"); report.Made != 1 || a == nil || len(a.Checkouts) != 1 || a.Checkouts[0].Machine.ID != "m-101" {
			t.Errorf("made are %+v; want one on m-101", report)
		}
	})
}

// What goes by an id with a slash in it is found in the query.
func TestIDsWithASlash(t *testing.T) {
	r := newAdminRig(t, filled(t))
	admin := r.asAdmin(t, "ida", "all")
	const user, lic = "site/jane doe", "l/../1"
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{
		{User: &license.User{ID: user, Name: "Jane"}}, {License: &license.License{ID: lic, Product: "road", Assignee: user}}}})
	var u api.SiteUser
	r.want(t, 200, "", "GET", api.Of(api.PathSiteUsers, user, ""), nil, admin).into(t, &u)
	var l api.SiteLicense
	r.want(t, 200, "", "GET", api.Of(api.PathSiteLicenses, lic, ""), nil, admin).into(t, &l)
	if u.ID != user || u.Name != "Jane" || l.ID != lic || l.Assignee != user {
		t.Errorf("found are %+v and %+v", u, l)
	}
	r.want(t, 204, "", "POST", api.Of(api.PathUsers, user, "/block"), api.ReleaseRequest{Note: "left"}, admin)
	r.want(t, 200, "", "GET", api.Of(api.PathSiteUsers, user, ""), nil, admin).into(t, &u)
	if u.BlockedHere == nil {
		t.Errorf("%s is not blocked", user)
	}
	r.want(t, 400, "", "GET", api.PathSiteUsers+"/-", nil, admin)
	r.want(t, 404, "", "GET", "/v1/site/users/site%2Fjane", nil, admin)
}
