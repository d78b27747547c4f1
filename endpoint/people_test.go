package endpoint

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// operated is a rig whose calls with the user "" go to the operator's handler.
func operated(t *testing.T, node *oneNode, change ...func(*Config)) (users, it *rig) {
	t.Helper()
	users = newRig(t, node, change...)
	op := *users
	op.Server = httptest.NewServer(users.e.Operator())
	t.Cleanup(op.Server.Close)
	return users, &op
}

var acts = api.ReleaseRequest{By: "ida", Note: "ask me first"}

func TestSigningOutEndsWhatRunsHere(t *testing.T) {
	r := newRig(t, filled(t))
	here, flow := newUUID(t), newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: here, Product: "road", Machine: ws101})
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: flow, Product: "flow", Machine: ws101})
	r.want(t, 204, "ada", "POST", "/v1/sign-out", api.MachineRequest{Machine: ws202})
	r.want(t, 200, "ada", "GET", "/v1/sessions/"+here, nil)
	r.want(t, 204, "ada", "POST", "/v1/sign-out", api.MachineRequest{Machine: ws101})
	r.want(t, 404, "ada", "GET", "/v1/sessions/"+here, nil)
	r.want(t, 404, "ada", "GET", "/v1/sessions/"+flow, nil)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	r.want(t, 400, "ada", "POST", "/v1/sign-out", api.MachineRequest{})
	r.want(t, 401, "", "POST", "/v1/sign-out", api.MachineRequest{Machine: ws202})
}

func TestBlockedUsersAndMachinesReadWhoAndWhy(t *testing.T) {
	r, it := operated(t, filled(t))
	id := newUUID(t)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: id, Product: "road", Machine: ws101})
	it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
	it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
	var s api.Session
	r.want(t, 200, "ada", "GET", "/v1/sessions/"+id, nil).into(t, &s)
	if s.Ending == nil || s.Ending.Reason != "blocked" || s.Ending.By != "ida" || s.Ending.Note != acts.Note {
		t.Errorf("the session's ending is %+v", s.Ending)
	}
	p := r.want(t, 403, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}).problem(t)
	if p.Code != "user-blocked-here" || p.Note != acts.Note || !strings.Contains(p.Detail, "by ida") || !strings.Contains(p.Detail, acts.Note) {
		t.Errorf("the refusal is %+v", p)
	}
	it.want(t, 204, "", "POST", "/v1/users/ada/unblock", acts)
	it.want(t, 204, "", "POST", "/v1/machines/block", api.MachineBlockRequest{Machine: api.Machine{Name: "WS-101"}, By: "ida"})
	p = r.want(t, 403, "ben", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}).problem(t)
	if p.Code != "machine-blocked" {
		t.Errorf("the refusal is %+v", p)
	}
	it.want(t, 204, "", "POST", "/v1/users/ben/block", acts)
	var list api.List[api.Block]
	it.want(t, 200, "", "GET", "/v1/blocks", nil).into(t, &list)
	if len(list.Items) != 2 || list.Items[0].Machine == nil || list.Items[0].Machine.Name != "WS-101" || list.Items[1].User != "ben" ||
		list.Items[1].By != "ida" || list.Items[1].Note != acts.Note || list.Items[1].Since.IsZero() {
		t.Errorf("the blocks are %+v", list.Items)
	}
	it.want(t, 204, "", "POST", "/v1/machines/unblock", api.MachineBlockRequest{Machine: ws101, By: "ida"})
	for _, want := range []string{`"act":"block","kind":"user","user":"ada"`, `"act":"block","kind":"machine","machine":"WS-101"`, `"act":"unblock","kind":"machine","machine":"WS-101"`} {
		if log := r.log.String(); !strings.Contains(log, want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
	r.want(t, 200, "ada", "GET", "/v1/me", nil)
	it.want(t, 204, "", "POST", "/v1/users/ada/release", acts)
}

func TestAMoveIsRefusedWithUntilAndWho(t *testing.T) {
	node := filled(t)
	r, it := operated(t, node)
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{User: &license.User{ID: "zed", OtherAccount: true}},
		{License: &license.License{ID: "l-9", Product: "road", Assignee: "gone"}},
	}})
	req := api.MoveRequest{To: "eve", By: "ida", Note: "a new project"}
	var l api.License
	it.want(t, 200, "", "POST", "/v1/licenses/l-1/move", req).into(t, &l)
	if l.ID != "l-1" || l.Assignee != "eve" || l.AssignedAt.IsZero() {
		t.Errorf("moved: %+v", l)
	}
	it.want(t, 200, "", "POST", "/v1/licenses/l-1/move", req)
	assigned := time.Now().Add(-48 * time.Hour)
	node.do(t, license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{
		{License: &license.License{ID: "l-2", Product: "flow", Assignee: "ada", AssignedAt: license.TimeOf(assigned)}}}})
	p := it.want(t, 409, "", "POST", "/v1/licenses/l-2/move", req).problem(t)
	if p.Code != "move-locked" || p.User != "ada" || !strings.Contains(p.Detail, "Ada") || p.Until.Sub(assigned).Round(time.Hour) != 31*24*time.Hour {
		t.Errorf("the lock is told as %+v", p)
	}
	for path, want := range map[string]string{"l-9 eve": "409 user-not-found", "l-3 zed": "409 other-account", "l-3 nobody": "403 unknown-user",
		"l-3 max": "403 user-blocked", "l-0 eve": "404 unknown-license", "l-3 ": "400 malformed"} {
		lic, to, _ := strings.Cut(path, " ")
		a := it.call(t, "", "POST", "/v1/licenses/"+lic+"/move", api.MoveRequest{To: to, By: "ida"})
		if got := fmt.Sprint(a.StatusCode, " ", a.problem(t).Code); got != want {
			t.Errorf("moving %s to %s: %s; want %s", lic, to, got, want)
		}
	}
	node.set(func() { node.cannot = true })
	p = it.want(t, 409, "", "POST", "/v1/licenses/l-3/move", req).problem(t)
	if p.Code != "cloud-cannot" || len(p.Next) != 1 || !strings.Contains(p.Next[0], "vendor's page") {
		t.Errorf("without a cloud that takes moves: %+v", p)
	}
	r.want(t, 403, "ada", "POST", "/v1/licenses/l-1/move", req)
}

func TestRemovalWarnsBeforeItIsTooLate(t *testing.T) {
	node := filled(t)
	r, it := operated(t, node)
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
	r.want(t, 201, "ada", "POST", "/v1/checkouts", api.CheckoutRequest{ID: newUUID(t), Product: "flow", Machine: ws101, Until: time.Now().Add(time.Hour)})
	var rem api.Removal
	it.want(t, 200, "", "GET", "/v1/users/ada/removal", nil).into(t, &rem)
	all := strings.Join(rem.Next, "\n")
	if rem.Safe || len(rem.Licenses) != 2 || rem.Licenses[0].Sessions != 1 || len(rem.Licenses[1].Checkouts) != 1 || rem.Email != "ada@example.org" ||
		!strings.Contains(all, "Assign the license of Road Designer") || !strings.Contains(all, "WS-101") || !strings.Contains(all, "change the user's e-mail") {
		t.Errorf("the warning is %+v", rem)
	}
	rem = api.Removal{}
	it.want(t, 200, "", "GET", "/v1/users/eve/removal", nil).into(t, &rem)
	if !rem.Safe || len(rem.Licenses) != 0 || len(rem.Next) != 2 {
		t.Errorf("of someone without licenses: %+v", rem)
	}
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{{DeleteUser: "ada"}}})
	rem = api.Removal{}
	it.want(t, 200, "", "GET", "/v1/users/ada/removal", nil, header{"Accept-Language": "de"}).into(t, &rem)
	if len(rem.Licenses) != 2 || !rem.Licenses[0].Lost || !strings.Contains(rem.Next[0], "Licensing assistance") || !strings.Contains(rem.Next[0], "Hersteller") {
		t.Errorf("too late: %+v", rem)
	}
	it.want(t, 403, "", "GET", "/v1/users/nobody/removal", nil)
}

func TestRemindersComeInPages(t *testing.T) {
	node := filled(t)
	_, it := operated(t, node)
	var changes []license.Change
	for i := range pageSize + 3 {
		changes = append(changes, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("u-%04d", i)), Product: "road"}})
	}
	changes = append(changes, license.Change{License: &license.License{ID: "l-9", Product: "road", Assignee: "gone"}})
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: changes})
	var first, second api.List[api.Reminder]
	it.want(t, 200, "", "GET", "/v1/reminders", nil).into(t, &first)
	if len(first.Items) != pageSize || first.Next == "" || first.Items[0].Kind != "user-not-found" || first.Items[0].User != "gone" ||
		first.Items[1].Text != "A license of Road Designer is paid for and assigned to nobody." {
		t.Fatalf("%d reminders, next %q, first %+v", len(first.Items), first.Next, first.Items[:2])
	}
	it.want(t, 200, "", "GET", "/v1/reminders?after="+strings.ReplaceAll(first.Next, " ", "+"), nil).into(t, &second)
	if len(second.Items) != 4 || second.Next != "" || second.Items[0].License != "u-0499" {
		t.Errorf("then %d, next %q, first %+v; want 4 from u-0499", len(second.Items), second.Next, second.Items)
	}
	it.want(t, 400, "", "GET", "/v1/reminders?after="+strings.Repeat("x", 1000), nil)
	for kind, want := range map[string]int{"user-not-found": 1, "unassigned": pageSize + 3, "pooled": 0} {
		got := 0
		for next := ""; ; {
			var l api.List[api.Reminder]
			it.want(t, 200, "", "GET", "/v1/reminders?"+url.Values{"kind": {kind}, "after": {next}}.Encode(), nil).into(t, &l)
			for _, r := range l.Items {
				if r.Kind != kind {
					t.Fatalf("among those of kind %s is %+v", kind, r)
				}
			}
			if got += len(l.Items); l.Next == "" {
				break
			}
			next = l.Next
		}
		if got != want {
			t.Errorf("of kind %s there are %d; want %d", kind, got, want)
		}
	}
	it.want(t, 400, "", "GET", "/v1/reminders?kind=old", nil)
}

// R23: who is refused is told whom to ask, who assigns licenses first.
func TestDenialsAndMeNameWhomToAsk(t *testing.T) {
	node := filled(t)
	node.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{User: &license.User{ID: "eva", Name: "Eva Licht", Email: "eva@example.org", Country: "DE", Roles: license.RoleLicenseAdministrator}}}})
	r := newRig(t, node)
	want := []api.Administrator{{Name: "Eva Licht", Email: "eva@example.org", Role: "license-administrator"}, {Name: "Ida Nord", Email: "ida@example.org"}}
	p := r.want(t, 403, "eve", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101}).problem(t)
	if fmt.Sprint(p.Contacts) != fmt.Sprint(want) || !strings.Contains(strings.Join(p.Next, " "), "Eva Licht <eva@example.org>, Ida Nord") {
		t.Errorf("the refusal names %+v, and says %q; want %+v", p.Contacts, p.Next, want)
	}
	var me api.Me
	r.want(t, 200, "eve", "GET", "/v1/me", nil).into(t, &me)
	if fmt.Sprint(me.Administrators) != fmt.Sprint(want) {
		t.Errorf("me names %+v; want %+v", me.Administrators, want)
	}
	if p := r.want(t, 404, "eve", "GET", "/nothing", nil).problem(t); len(p.Contacts) != 0 {
		t.Errorf("what is no denial names %+v", p.Contacts)
	}
}

func TestBadInputToAdministratorsRoutes(t *testing.T) {
	_, it := operated(t, filled(t))
	long := strings.Repeat("x", 300)
	for _, test := range []struct{ path, body string }{
		{"/v1/users/ada/block", `{"by":"","note":""}`},
		{"/v1/users/ada/block", `{"by":"ida","note":"` + long + `"}`},
		{"/v1/users/" + long + "/release", `{"by":"ida","note":""}`},
		{"/v1/users/a%00b/unblock", `{"by":"ida","note":""}`},
		{"/v1/machines/block", `{"machine":{"id":""},"by":"ida","note":""}`},
		{"/v1/machines/block", `{"machine":{"id":"a\u0007"},"by":"ida","note":""}`},
		{"/v1/machines/unblock", `{"machine":{"id":"m"},"by":"","note":""}`},
		{"/v1/licenses/l-1/move", `{"to":"ben","by":"","note":""}`},
		{"/v1/licenses/l-1/move", `{"to":"` + long + `","by":"ida","note":""}`},
		{"/v1/licenses/l-1/move", `{"to":"ben","by":"ida","note":"","force":true}`},
	} {
		if p := it.want(t, 400, "", "POST", test.path, test.body).problem(t); p.Code != "malformed" || len(p.Next) == 0 {
			t.Errorf("%s %s: %+v", test.path, test.body, p)
		}
	}
	it.want(t, 403, "", "POST", "/v1/users/nobody/block", acts)
}
