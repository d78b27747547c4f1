package endpoint

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

var asksWhy = api.PersonRequest{By: "dora", Note: "request 17"}

// What is kept about a person is told completely, with what others did to them and they to
// others, without a secret, and it is noted who has read it and why.
func TestAllThatIsKeptAboutAPersonIsTold(t *testing.T) {
	r, it := operated(t, filled(t))
	id := r.begin(t, "ada", "road", ws101)
	r.begin(t, "ada", "flow", ws101)
	r.begin(t, "ben", "road", ws202)
	r.want(t, 204, "ada", "DELETE", "/v1/sessions/"+id, api.MachineRequest{Machine: ws101})
	r.node.do(t, license.Refused{User: "ada", Machine: license.Machine{ID: "m-202", Name: "WS-202"}, Denial: license.Denial{Reason: license.MachineActive, Product: "flow"}})
	it.want(t, 204, "", "POST", "/v1/users/ben/block", api.ReleaseRequest{By: "ada@example.org", Note: "he has left"})
	r.node.do(t, license.SetLocalAccount{Name: "ada-admin", Role: license.Operator, Hash: "$argon2id$never-to-be-told", By: "ida"})

	var got api.PersonalData
	in := asksWhy
	in.Names = []string{"ada-admin"}
	raw := it.want(t, 200, "", "POST", "/v1/users/ada/personal-data", in)
	raw.into(t, &got)
	var records, events []string
	for _, x := range got.Records {
		records = append(records, x.Kind)
	}
	for _, x := range got.Events {
		events = append(events, x.Kind)
	}
	slices.Sort(records)
	if want := []string{"active", "active", "bar", "license", "license", "local-account", "user", "veil", "veil", "veil"}; !slices.Equal(records, want) {
		t.Errorf("records: got %v, want %v", records, want)
	}
	for _, want := range []string{"started", "stopped", "attempted", "blocked", "account-set"} {
		if !slices.Contains(events, want) {
			t.Errorf("events: got %v, want %s among them", events, want)
		}
	}
	if len(got.Usage) != 1 || got.Usage[0].State != "waits" || got.Usage[0].Product != "road" || got.Usage[0].Machine.Name != "WS-101" {
		t.Errorf("usage: got %+v, want the one session that has ended, which waits", got.Usage)
	}
	var acts []string
	for _, x := range got.Audit {
		acts = append(acts, x.What+" "+x.ByName+" "+x.UserName)
	}
	if !slices.Contains(acts, "blocked ada@example.org ben") || !slices.Contains(acts, "personal-data-read dora ada") {
		t.Errorf("audit: got %q, want what ada did, and that this was read", acts)
	}
	for _, no := range []string{"never-to-be-told", "eve@", "max@", `"hash":"$`} {
		if strings.Contains(string(raw.raw), no) {
			t.Errorf("%q is told: %s", no, raw.raw)
		}
	}
	for _, x := range got.Records {
		if x.Kind == "user" && !strings.Contains(string(x.Data), `"email":"ada@example.org"`) {
			t.Errorf("the user's record is %s, want the e-mail in it", x.Data)
		}
	}
}

// An erasure leaves the trail whole and nameless, says what stays and why, and may be asked
// for again; a reason with the name in it is not taken.
func TestAPersonIsErasedAsFarAsMayBe(t *testing.T) {
	r, it := operated(t, filled(t))
	r.begin(t, "ada", "road", ws101)
	it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
	it.want(t, 204, "", "POST", "/v1/users/ben/block", api.ReleaseRequest{By: "ada@example.org", Note: "as Ada says"})
	var got api.Erased
	it.want(t, 200, "", "POST", "/v1/users/ada/erase", asksWhy).into(t, &got)
	var kinds []string
	for _, x := range got.Stays {
		kinds = append(kinds, x.Kind)
		if len(x.Text) < 40 || x.Count == 0 {
			t.Errorf("%+v, want a number and a reason", x)
		}
	}
	if want := []string{"account", "licenses", "sessions", "block", "journal"}; got.Forgotten != 2 || !slices.Equal(kinds, want) {
		t.Errorf("got %d names forgotten, and %v; want 2, and %v", got.Forgotten, kinds, want)
	}
	var page api.AuditPage
	it.want(t, 200, "", "GET", "/v1/audit?names=true", nil).into(t, &page)
	page.Trail.Hash, page.Trail.Anchor = "", ""
	for i := range page.Items {
		page.Items[i].Hash = "" // any hash may begin with ada
	}
	trail, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.ToLower(string(trail)); strings.Contains(text, `"ada`) || strings.Contains(text, "as ada says") {
		t.Errorf("the trail still knows the name: %s", trail)
	}
	var v api.AuditVerified
	it.want(t, 200, "", "GET", "/v1/audit/verify", nil).into(t, &v)
	if !v.Holds || v.Number != page.Trail.Number {
		t.Errorf("got %+v, want that the trail holds up to %d", v, page.Trail.Number)
	}
	var again api.Erased
	it.want(t, 200, "", "POST", "/v1/users/ada/erase", asksWhy).into(t, &again)
	if again.Forgotten != 0 || len(again.Stays) != len(got.Stays) {
		t.Errorf("the second time: got %+v, want nothing more to forget", again)
	}
	named := asksWhy
	named.Note = "asked by ada@example.org"
	for what, wrong := range map[string]any{"the name as a reason": named, "no reason": api.PersonRequest{By: "dora", Note: " "},
		"a name that is none": api.PersonRequest{By: "dora", Note: "x", Names: []string{""}}, "too many": api.PersonRequest{By: "dora", Note: "x", Names: make([]string, 17)}} {
		if a := it.call(t, "", "POST", "/v1/users/ada/erase", wrong); a.StatusCode != 400 {
			t.Errorf("%s: got %d %s, want 400", what, a.StatusCode, a.raw)
		}
	}
	r.want(t, 403, "ada", "POST", "/v1/users/ada/erase", asksWhy)
	r.want(t, 403, "ada", "POST", "/v1/users/ada/personal-data", asksWhy)
}

// Who begins a bypass or accepts something for the whole site is kept with it, is told of that
// and hears of it when they are erased; what others did is not told.
func TestWhatAPersonDidForTheSiteIsTold(t *testing.T) {
	r, it := operated(t, filled(t))
	it.want(t, 204, "", "POST", "/v1/maintenance", api.MaintenanceRequest{From: r.e.gw.Now().Std().Add(time.Minute), Until: r.e.gw.Now().Std().Add(time.Hour), By: "ben", Note: "new disk"})
	it.want(t, 200, "", "POST", "/v1/bypass", api.ReleaseRequest{By: "ada@example.org as root", Note: "ticket 4711"})
	var got api.PersonalData
	it.want(t, 200, "", "POST", "/v1/users/ada/personal-data", asksWhy).into(t, &got)
	told := map[string]string{}
	for _, x := range got.Records {
		told[x.Kind] = string(x.Data)
	}
	if !strings.Contains(told["bypass"], `"note":"ticket 4711"`) || told["maintenance"] != "" {
		t.Errorf("got %v, want the bypass with its reason, and no maintenance", told)
	}
	stays := func(of string) int {
		var got api.Erased
		it.want(t, 200, "", "POST", "/v1/users/"+of+"/erase", asksWhy).into(t, &got)
		for _, x := range got.Stays {
			if x.Kind == "acts" && len(x.Text) > 40 {
				return x.Count
			}
		}
		return 0
	}
	if ada, eve := stays("ada"), stays("eve"); ada != 1 || eve != 0 {
		t.Errorf("acts that stay: got %d of ada's and %d of eve's, want 1 and 0", ada, eve)
	}
	who := names{"ada"}
	var kinds []string
	for _, x := range who.ofHead(license.Head{Held: license.Held{By: "ada"}, Rekeying: license.Rekeying{Root: []byte{0x30, 0xff}, Note: "ADA"}, Program: "ada",
		KeysAccepted: []license.AcceptedKeys{{Issuer: "x", By: "ben"}, {Issuer: "y", By: "ada at gw2"}}, Account: license.Account{ID: "ada"}}) {
		kinds = append(kinds, x.Kind+" "+string(x.Data))
	}
	if want := []string{`held {"by":"ada"}`, `accepted-keys {"by":"ada at gw2","issuer":"y"}`, `rekeying {"note":"ADA","root":"MP8="}`}; !slices.Equal(kinds, want) {
		t.Errorf("got %q, want %q", kinds, want)
	}
}

// What is told of somebody at once is bounded, newest first where it has a time, and it is said
// that there is more; and the site reads itself for one person at a time.
func TestWhatIsToldOfAPersonIsBounded(t *testing.T) {
	r, it := operated(t, filled(t))
	for range 3 {
		it.want(t, 204, "", "POST", "/v1/users/ada/block", acts)
		it.want(t, 204, "", "POST", "/v1/users/ada/unblock", acts)
	}
	who := names{"ada"}
	all, more, err := r.e.auditOf(t.Context(), who, 100)
	if err != nil || more || len(all) != 6 || !slices.IsSortedFunc(all, func(a, b api.AuditRecord) int { return int(a.Number) - int(b.Number) }) {
		t.Fatalf("got %d records of the trail, more %t, %v; want all 6, in order", len(all), more, err)
	}
	some, more, err := r.e.auditOf(t.Context(), who, 4)
	if err != nil || !more || len(some) != 4 || some[0].Number != all[2].Number || some[3].Number != all[5].Number {
		t.Errorf("got %+v, more %t, %v; want the latest 4 of %+v", some, more, err, all)
	}
	list, more := r.e.recordsOf(who, 2)
	if len(list) != 2 || !more {
		t.Errorf("got %d records of the state, more %t; want 2 and that there are more", len(list), more)
	}
	if list, more = r.e.recordsOf(who, 1000); len(list) < 3 || more {
		t.Errorf("got %d records of the state, more %t; want all", len(list), more)
	}
	r.e.exporting.Lock()
	a := it.want(t, 429, "", "POST", "/v1/users/ada/personal-data", asksWhy)
	r.e.exporting.Unlock()
	if a.Header.Get("Retry-After") == "" {
		t.Error("nothing says when to ask again")
	}
	it.want(t, 200, "", "POST", "/v1/users/ada/personal-data", asksWhy)
}

// A value names a person wherever the name is in it, and only as a whole.
func TestNamesAreFoundInWhateverIsKept(t *testing.T) {
	who := names{"ada", "ada@example.org", "lee at acme", ")"}
	for _, test := range []struct {
		of   any
		want bool
	}{
		{license.Blocked{Bar: license.Bar{User: "ada"}}, true},
		{&license.Blocked{Bar: license.Bar{User: "ben", By: "ADA@example.org"}}, true},
		{license.KeyReplaced{User: "ben", To: []license.UserID{"eve", "ada"}}, true},
		{license.Blocked{Bar: license.Bar{User: "ben", By: "desk (ada)"}}, true},
		{license.Blocked{Bar: license.Bar{User: "ben", By: "desk as ada"}}, true},
		{license.Blocked{Bar: license.Bar{By: "ada as root"}}, true},
		{license.Blocked{Bar: license.Bar{By: "ida (ada as root)"}}, true},
		{license.Blocked{Bar: license.Bar{By: "ADA (root)"}}, true},
		{license.Blocked{Bar: license.Bar{By: "root (ADA)"}}, true},
		{license.Blocked{Bar: license.Bar{By: "ada at gw2"}}, true},
		{license.Blocked{Bar: license.Bar{By: "ida (Ada as root) at gw2"}}, true},
		{license.Blocked{Bar: license.Bar{By: "Lee at Acme as root at gw2"}}, true},
		{license.Blocked{Bar: license.Bar{By: "lee as root at acme"}}, false},
		{license.Blocked{Bar: license.Bar{By: "adam as root at gw2"}}, false},
		{license.Blocked{Bar: license.Bar{User: "adam", Note: "ada is meant"}}, false},
		{license.Started{}, false},
		{map[string]any{"x": []any{&license.User{ID: "ada"}}}, true},
	} {
		if got := who.in(reflect.ValueOf(test.of)); got != test.want {
			t.Errorf("%+v: got %t, want %t", test.of, got, test.want)
		}
	}
	at := license.TimeOf(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))
	got := string(asKept(&license.LocalAccount{Name: "ada", Role: license.Admin, Hash: "x", Since: at}))
	if want := `{"name":"ada","role":"admin","since":"2026-11-22T08:00:00Z"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back map[string]any
	if err := json.Unmarshal(asKept(license.Started{Session: &license.Session{ID: license.ID{1}, User: "ada"}}), &back); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"AssignedAt": "assigned_at", "ID": "id", "LicenseID": "license_id", "NotAfter": "not_after", "URL": "url"} {
		if got := dashed(name, '_'); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// Whom the vendor's account names is told of it, and who has an account or a token, or has made
// one, hears that it stays.
func TestAccountsTokensAndContactsOfAPersonAreTold(t *testing.T) {
	r, it := operated(t, filled(t))
	r.node.do(t, license.Mirror{From: "c1", Cursor: "c2", Last: true, Changes: []license.Change{{Account: &license.Account{ID: "a-1",
		Administrators: []license.Administrator{{Name: "Ida Nord", Email: "ida@example.org"}}, FulfillmentContact: license.Administrator{Name: "Desk", Email: "ada@example.org"}}}}})
	r.node.do(t, license.SetLocalAccount{Name: "console", Role: license.Operator, Hash: "$argon2id$x", By: "ada as root"})
	r.node.do(t, license.SetLocalAccount{Name: "other", Role: license.Operator, Hash: "$argon2id$x", By: "ida"})
	it.want(t, 201, "", "POST", api.PathAPITokens, api.APITokenRequest{Name: "ada-ada", Role: "viewer", ForMS: 86_400_000, By: "ada"})
	it.want(t, 201, "", "POST", api.PathAPITokens, api.APITokenRequest{Name: "others", Role: "viewer", ForMS: 86_400_000, By: "ida"})
	var got api.PersonalData
	it.want(t, 200, "", "POST", "/v1/users/ada/personal-data", asksWhy).into(t, &got)
	told := map[string]string{}
	for _, x := range got.Records {
		told[x.Kind] = string(x.Data)
	}
	if told["fulfillment-contact"] != `{"email":"ada@example.org","name":"Desk"}` || told["local-account"] == "" || told["credential"] == "" {
		t.Errorf("got %v, want the contact, the account and the token", told)
	}
	stay := map[string]int{}
	var gone api.Erased
	it.want(t, 200, "", "POST", "/v1/users/ada/erase", asksWhy).into(t, &gone)
	for _, x := range gone.Stays {
		if stay[x.Kind] = x.Count; len(x.Text) < 40 {
			t.Errorf("%+v, want a reason", x)
		}
	}
	if stay["contact"] != 1 || stay["local-accounts"] != 1 || stay["api-tokens"] != 1 {
		t.Errorf("got %v, want one contact, account and token", stay)
	}
}

// What is older than the history that is kept can be read by nobody: in no list, in no export,
// and not as a name in an audit of usage.
func TestWhatIsOldIsReadByNobody(t *testing.T) {
	node := filled(t)
	node.onTime = true
	_, it := operated(t, node, func(c *Config) { c.History = 30 * 24 * time.Hour })
	now := license.TimeOf(time.Now())
	was := func(days int) license.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }
	began := func(at license.Time, user license.UserID, m api.Machine) {
		denial := license.Denial{Reason: license.MachineActive, Product: "road", Machine: license.Machine{ID: "m-1", Name: "WS-1"}}
		node.mu.Lock()
		defer node.mu.Unlock()
		seq := uint64(len(node.events) + 1)
		node.events = append(node.events, license.Event{Seq: seq, At: at, Fact: license.Attempted{User: user, Machine: license.Machine{ID: m.ID, Name: m.Name}, Denial: denial}})
	}
	node.mu.Lock()
	node.events = nil
	node.mu.Unlock()
	began(was(400), "ada", api.Machine{Name: "WS-OLDEST"})
	began(was(31), "ada", api.Machine{Name: "WS-OLD"})
	began(was(29), "ada", api.Machine{Name: "WS-NEW"})
	node.audit = license.Audit{Findings: []license.Finding{{Kind: license.FoundNoEnd, At: was(31), User: "ada", Record: "r1"}, {Kind: license.FoundNoEnd, At: was(29), User: "ben", Record: "r2"}}}
	for method, paths := range map[string][]string{
		"GET":  {"/v1/site/history?by=dora&reason=x&user=ada", "/v1/site/history?by=dora&reason=x&user=ada&before=3", "/v1/site/history?by=dora&reason=x&machine=WS-OLD", "/v1/site/refusals", "/v1/site/refusals?before=3", "/v1/usage/audit"},
		"POST": {"/v1/users/ada/personal-data"},
	} {
		for _, path := range paths {
			var in any
			if method == "POST" {
				in = asksWhy
			}
			raw := string(it.want(t, 200, "", method, path, in).raw)
			if strings.Contains(raw, "WS-OLD") {
				t.Errorf("%s tells what is old: %s", path, raw)
			}
			if !strings.Contains(path, "before=") && !strings.Contains(path, "WS-OLD") && !strings.Contains(path, "audit") && !strings.Contains(raw, "WS-NEW") {
				t.Errorf("%s does not tell what is not: %s", path, raw)
			}
		}
	}
	var a api.UsageAudit
	it.want(t, 200, "", "GET", "/v1/usage/audit", nil).into(t, &a)
	if len(a.Findings) != 2 || a.Findings[0].User != "" || a.Findings[0].Record != "r1" || a.Findings[1].User != "ben" {
		t.Errorf("an audit of usage names %+v; want only who is in what is not old", a.Findings)
	}
	var got api.PersonalData
	it.want(t, 200, "", "POST", "/v1/users/ada/personal-data", asksWhy).into(t, &got)
	if since := got.EventsSince; len(got.Events) != 1 || got.More || since.After(was(29).Std()) || since.Before(was(31).Std()) {
		t.Errorf("an export has %d events, more %t, since %v", len(got.Events), got.More, since)
	}
}
