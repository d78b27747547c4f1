package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/upstream/cloudapi"
)

// cloud is an emulator over HTTP, and a clock that tests can move.
type cloud struct {
	*emulator.Emulator
	t    *testing.T
	url  string
	time time.Time
}

func newCloud(t *testing.T, seed int) *cloud {
	t.Helper()
	c := &cloud{t: t, time: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)}
	c.Emulator = &emulator.Emulator{Sites: map[string]string{"north": "n-secret", "south": "s-secret"}, Now: func() time.Time { return c.time }}
	if seed > 0 {
		c.Seed(seed)
	}
	srv := httptest.NewServer(c.Emulator)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

// do sends v as JSON and decodes the answer into out.
func (c *cloud) do(method, path, bearer string, v, out any, headers ...string) *http.Response {
	c.t.Helper()
	var body bytes.Buffer
	if v != nil {
		if err := json.NewEncoder(&body).Encode(v); err != nil {
			c.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, &body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			c.t.Fatalf("%s %s: %s: %v: %s", method, path, resp.Status, err, b)
		}
	}
	return resp
}

// token gets a site's access token.
func (c *cloud) token(site, secret string) string {
	c.t.Helper()
	resp, err := http.PostForm(c.url+"/connect/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {site}, "client_secret": {secret}, "scope": {"site"}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		c.t.Fatal(err)
	}
	return a.AccessToken
}

func session(user, machine string, ref int) cloudapi.Hold {
	return cloudapi.Hold{Key: user, UserID: user, LicenseID: "l-" + user[2:] + "-1", ProductID: emulator.ProductCapped, MachineID: "m-" + machine,
		MachineName: machine, Kind: cloudapi.HoldSession, Ref: fmt.Sprintf("s-%d", ref)}
}

func checkout(user, machine string, until time.Time) cloudapi.Hold {
	h := session(user, machine, 900)
	h.Key, h.Kind, h.Until, h.Ref = user+"/"+h.LicenseID, cloudapi.HoldCheckout, &until, "c-"+machine
	return h
}

func TestHolds(t *testing.T) {
	c := newCloud(t, 10)
	north, south := c.token("north", "n-secret"), c.token("south", "s-secret")
	hold := func(site string, term uint64, h cloudapi.Hold) string {
		t.Helper()
		var got struct {
			cloudapi.HoldGrant
			cloudapi.Problem
		}
		resp := c.do("PUT", cloudapi.PathHolds, site, cloudapi.HoldRequest{Fence: cloudapi.Fence{Epoch: 1, Term: term}, Hold: h}, &got)
		if resp.StatusCode == http.StatusOK && got.LeaseMS == cloudapi.MillisOf(emulator.DefaultLease) {
			return "yes"
		}
		return strings.TrimSpace(fmt.Sprintln(resp.StatusCode, got.Reason, got.MachineName))
	}
	renew := func(site string, holds ...cloudapi.Hold) string {
		t.Helper()
		var got cloudapi.RenewAnswer
		c.do("POST", cloudapi.PathHoldsRenew, site, cloudapi.RenewRequest{Fence: cloudapi.Fence{Epoch: 1, Term: 3, Order: 1}, Holds: holds}, &got)
		words := []string{}
		for _, x := range got.Conflicts {
			words = append(words, x.Key+" "+x.Reason+" "+x.MachineName)
		}
		return strings.Join(words, ", ")
	}
	release := func(site string, h cloudapi.Hold) {
		t.Helper()
		resp := c.do("POST", cloudapi.PathHoldsRelease, site, cloudapi.ReleaseRequest{Fence: cloudapi.Fence{Epoch: 1, Term: 3}, Key: h.Key, MachineID: h.MachineID, Ref: h.Ref}, nil)
		if resp.StatusCode != http.StatusNoContent {
			t.Fatalf("release: got %s", resp.Status)
		}
	}
	want := func(step, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %q, want %q", step, got, want)
		}
	}
	a, b := emulator.UserA, emulator.UserB

	ws1 := session(a, "WS-1", 1)
	want("first machine", hold(north, 3, ws1), "yes")
	want("again", hold(north, 3, ws1), "yes")
	want("second machine, other site", hold(south, 3, session(a, "WS-2", 2)), "409 machine-active WS-1")
	other := session(a, "WS-2", 3)
	other.ProductID, other.LicenseID = emulator.ProductCapped2, "l-00001-2"
	want("second machine, other product", hold(north, 3, other), "409 machine-active WS-1")
	other.ProductID, other.LicenseID = emulator.ProductUncapped, "l-00001-3"
	want("second machine, product that is not capped", hold(north, 3, other), "yes")
	release(north, other)
	want("another user", hold(south, 3, session(b, "WS-2", 4)), "yes")
	want("a checkout on the second machine", hold(north, 3, checkout(a, "LT-1", c.time.Add(time.Hour))), "409 machine-active WS-1")
	want("an older leader", hold(north, 2, ws1), "409 stale-fence")

	same := session(a, "WS-1", 5)
	want("second session on the first machine", hold(north, 3, same), "yes")
	release(north, ws1)
	release(north, ws1)
	want("one of two sessions ended", hold(south, 3, session(a, "WS-2", 2)), "409 machine-active WS-1")
	release(north, same)
	want("both ended", hold(south, 3, session(a, "WS-2", 2)), "yes")
	want("who is active", strings.Join(c.Active(a), " "), "WS-2")

	// Leases: what is renewed lives on, the rest is free.
	c.time = c.time.Add(2 * time.Minute)
	want("renewing one of two", renew(south, session(a, "WS-2", 2)), "")
	want("the one not in the list is free", hold(north, 3, session(b, "WS-3", 6)), "yes")
	c.time = c.time.Add(2 * time.Minute)
	want("two minutes after its renewal", hold(north, 3, ws1), "409 machine-active WS-2")
	c.time = c.time.Add(2 * time.Minute)
	want("four minutes after", hold(north, 3, ws1), "yes")
	want("renewed too late", renew(south, session(a, "WS-2", 2)), a+" machine-active WS-1")

	// A list says nothing of what was asked for after it was drawn up.
	release(north, ws1)
	late := cloudapi.HoldRequest{Fence: cloudapi.Fence{Epoch: 1, Term: 3, Order: 2}, Hold: ws1}
	c.do("PUT", cloudapi.PathHolds, north, late, nil)
	want("a list without the later hold", renew(north, session(b, "WS-3", 6)), "")
	want("who is active after it", strings.Join(c.Active(a), " "), "WS-1")

	// A checkout lives to its end, whatever its lease.
	until := c.time.Add(20 * time.Minute)
	release(north, ws1)
	want("WS-3 is active again", hold(north, 3, session(b, "WS-3", 6)), "yes")
	want("checkout while it is", hold(north, 3, checkout(b, "LT-7", until)), "409 machine-active WS-3")
	release(north, session(b, "WS-3", 6))
	want("checkout", hold(north, 3, checkout(b, "LT-7", until)), "yes")
	c.time = c.time.Add(19 * time.Minute)
	want("before its end", hold(south, 3, session(b, "WS-2", 7)), "409 machine-active LT-7")
	want("on its own machine", hold(north, 3, session(b, "LT-7", 8)), "yes")
	release(north, session(b, "LT-7", 8))
	c.time = c.time.Add(2 * time.Minute)
	want("after its end", hold(south, 3, session(b, "WS-2", 7)), "yes")

	// Rights.
	want("too long", hold(north, 3, checkout(a, "LT-7", c.time.AddDate(0, 0, 40))), "409 checkout-too-long")
	theirs := session(a, "WS-1", 9)
	theirs.LicenseID = "l-00002-1"
	want("another user's license", hold(north, 3, theirs), "409 not-assigned")
	if err := c.Assign("l-00001-1", b); err != nil {
		t.Fatal(err)
	}
	want("moved away", hold(north, 3, ws1), "409 not-assigned")
	if err := c.Assign("l-00001-1", a); err != nil {
		t.Fatal(err)
	}
	u, _ := c.User(a)
	u.Blocked = true
	c.PutUser(u)
	want("blocked", hold(north, 3, ws1), "409 user-blocked")
	u.Blocked = false
	c.PutUser(u)

	// A machine of no site.
	if err := c.HoldElsewhere(b, "HOME"); err == nil {
		t.Error("elsewhere, while active on WS-2: got no error")
	}
	if err := c.HoldElsewhere(a, "home.example"); err != nil {
		t.Error(err)
	}
	want("active elsewhere", hold(north, 3, ws1), "409 machine-active home.example")
	c.ReleaseElsewhere(a)
	want("no longer", hold(north, 3, ws1), "yes")

	var list cloudapi.HoldList
	c.do("GET", cloudapi.PathHolds, north, nil, &list)
	if len(list.Holds) != 1 || list.Holds[0].MachineName != "WS-1" {
		t.Errorf("list: got %+v, want WS-1's hold only", list.Holds)
	}
	bad := ws1
	bad.MachineID, bad.MachineName = "", ""
	want("no machine", hold(north, 3, bad), "400 invalid")
}

func TestFeed(t *testing.T) {
	c := newCloud(t, 1200)
	tok := c.token("north", "n-secret")
	page := func(cursor string, more ...string) cloudapi.Changes {
		t.Helper()
		q := url.Values{"cursor": {cursor}}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		var got cloudapi.Changes
		if resp := c.do("GET", cloudapi.PathChanges+"?"+q.Encode(), tok, nil, &got); resp.StatusCode != http.StatusOK {
			t.Fatalf("got %s", resp.Status)
		}
		return got
	}
	fill := func(cursor string) (map[cloudapi.Kind]int, string, int, bool) {
		t.Helper()
		n, pages, reset := map[cloudapi.Kind]int{}, 0, false
		for {
			p := page(cursor)
			reset = reset || p.Reset
			pages++
			if len(p.Changes) > cloudapi.MaxChanges {
				t.Fatalf("a page has %d changes", len(p.Changes))
			}
			for _, ch := range p.Changes {
				n[ch.Kind]++
			}
			cursor = p.Cursor
			if !p.More {
				return n, cursor, pages, reset
			}
		}
	}
	n, cursor, pages, reset := fill("")
	if n[cloudapi.KindUser] != 1200 || n[cloudapi.KindProduct] != len(c.Products()) || n[cloudapi.KindLicense] != len(c.Licenses()) || n[cloudapi.KindAccount] != 1 || pages < 3 || reset {
		t.Errorf("full fill: got %v in %d pages, reset %v", n, pages, reset)
	}
	if p := page(cursor); len(p.Changes) != 0 || p.More || p.Cursor != cursor {
		t.Errorf("nothing new: got %+v", p)
	}

	// A long poll hears of a change at once; an object that changed twice comes once, as it is now.
	got := make(chan cloudapi.Changes, 1)
	go func() { got <- page(cursor, "wait_ms", "30000") }()
	if err := c.Assign("l-00001-1", emulator.UserB); err != nil {
		t.Fatal(err)
	}
	p := <-got
	if len(p.Changes) != 1 || p.Changes[0].License == nil || p.Changes[0].License.AssignedTo != emulator.UserB {
		t.Errorf("after an assignment: got %+v", p.Changes)
	}
	for _, country := range []string{"DE", "FR"} {
		c.PutUser(cloudapi.User{ID: "u-9", Email: "n@x.example", Country: country})
	}
	c.DeleteUser(emulator.UserAdmin)
	p = page(p.Cursor)
	if len(p.Changes) != 2 || p.Changes[0].User == nil || p.Changes[0].User.Country != "FR" || p.Changes[1].Op != cloudapi.OpDelete || p.Changes[1].ID != emulator.UserAdmin {
		t.Errorf("after two changes of one user and the end of another: got %+v", p.Changes)
	}

	c.LoseCursors()
	if n, _, _, reset := fill(p.Cursor); n[cloudapi.KindUser] != 1201 || !reset {
		t.Errorf("after lost cursors: got %v, reset %v; want everything (one deletion among it) and a reset", n, reset)
	}
	before, _, _, _ := fill("")
	c.LoseData(emulator.UserA)
	c.LoseData() // all that was lost is lost once
	c.PutUser(cloudapi.User{ID: "u-10", Country: "DE"})
	if n, _, _, reset := fill(p.Cursor); n[cloudapi.KindUser] != 1 || n[cloudapi.KindLicense] != 0 || n[cloudapi.KindProduct] != 0 || n[cloudapi.KindAccount] != 1 || !reset {
		t.Errorf("after lost data: got %v, reset %v; want the account, the one new user and a reset", n, reset)
	}
	c.FindData()
	after, _, _, reset := fill(p.Cursor)
	if want := before[cloudapi.KindUser]; after[cloudapi.KindUser] != want || after[cloudapi.KindLicense] != before[cloudapi.KindLicense] || after[cloudapi.KindProduct] != before[cloudapi.KindProduct] || !reset {
		t.Errorf("after it was found again: got %v, reset %v; want what there was, %v, the new user for the deletion that is no news now, and a reset", after, reset, before)
	}
	for _, q := range []string{"limit=0", "limit=5001", "limit=x", "wait_ms=-1", "wait_ms=60001"} {
		if resp := c.do("GET", cloudapi.PathChanges+"?"+q, tok, nil, nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s, want 400", q, resp.Status)
		}
	}
}

func TestUsageCountsOnce(t *testing.T) {
	c := newCloud(t, 3)
	tok := c.token("north", "n-secret")
	rec := func(id string) cloudapi.UsageRecord {
		return cloudapi.UsageRecord{ID: id, UserID: emulator.UserA, ProductID: emulator.ProductCapped, Kind: cloudapi.HoldSession, StartedAt: c.time, EndedAt: c.time.Add(time.Hour)}
	}
	post := func(key string, records ...cloudapi.UsageRecord) string {
		t.Helper()
		var got cloudapi.UsageReceipt
		resp := c.do("POST", cloudapi.PathUsage, tok, cloudapi.UsageRequest{Records: records}, &got, cloudapi.IdempotencyKey, key)
		return fmt.Sprint(resp.StatusCode, got.Accepted, got.Duplicates)
	}
	backwards := rec("3")
	backwards.EndedAt = c.time.Add(-time.Second)
	for _, s := range []struct{ step, got, want string }{
		{"first", post("k1", rec("1"), rec("2")), "200 2 0"},
		{"same posting", post("k1", rec("1"), rec("2")), "200 2 0"},
		{"overlapping posting", post("k2", rec("2"), rec("3")), "200 2 1"},
		{"same key, other posting", post("k2", rec("4")), "422 0 0"},
		{"no key", post("", rec("4")), "400 0 0"},
		{"end before start", post("k3", backwards), "400 0 0"},
	} {
		if s.got != s.want {
			t.Errorf("%s: got %s, want %s", s.step, s.got, s.want)
		}
	}
	ids := ""
	for _, r := range c.Usage() {
		ids += r.ID
	}
	if ids != "123" || c.UsageDuplicates() != 1 {
		t.Errorf("kept: got %q with %d duplicates, want \"123\" with 1", ids, c.UsageDuplicates())
	}
}

func TestSiteTokens(t *testing.T) {
	c := newCloud(t, 3)
	good := c.token("north", "n-secret")
	user, err := c.UserToken(c.url, emulator.UserA, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ping := func(tok string) int {
		t.Helper()
		return c.do("GET", cloudapi.PathPing, tok, nil, nil).StatusCode
	}
	for _, s := range []struct {
		name, tok string
		want      int
	}{
		{"good", good, 200}, {"none", "", 401}, {"a user's", user, 401}, {"wrong secret", c.token("north", "s-secret"), 401},
		{"cut", good[:len(good)-4], 401}, {"another cloud's", newCloud(t, 0).token("north", "n-secret"), 401},
	} {
		if got := ping(s.tok); got != s.want {
			t.Errorf("%s token: got %d, want %d", s.name, got, s.want)
		}
	}
	c.RotateKeys()
	if got := ping(good); got != 200 {
		t.Errorf("after a rotation: got %d, want 200", got)
	}
	c.DropOldKeys()
	if got := ping(good); got != 401 {
		t.Errorf("after its key was withdrawn: got %d, want 401", got)
	}
	good = c.token("north", "n-secret")
	c.time = c.time.Add(61 * time.Minute)
	if got := ping(good); got != 401 {
		t.Errorf("after its end: got %d, want 401", got)
	}
}

func TestFaults(t *testing.T) {
	c := newCloud(t, 0)
	tok := c.token("north", "n-secret")
	ping := func() (int, error) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", c.url+cloudapi.PathPing, nil)
		req.Header.Set("Authorization", "Bearer "+tok)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.StatusCode, nil
	}
	c.SetFault(emulator.Fault{Prefix: "/", Status: 500})
	c.SetFault(emulator.Fault{Prefix: cloudapi.Base, Status: 503, Times: 1})
	for _, want := range []int{503, 500} {
		if got, err := ping(); got != want || err != nil {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
	c.SetFault(emulator.Fault{Prefix: "/", Cut: true})
	if got, err := ping(); err == nil {
		t.Errorf("cut: got %d, want an error", got)
	}
	c.SetFault(emulator.Fault{Prefix: "/", Hang: true, Times: 1})
	done := make(chan int, 1)
	before := c.Requests(cloudapi.PathPing)
	go func() { got, _ := ping(); done <- got }()
	for c.Requests(cloudapi.PathPing) == before {
		if t.Context().Err() != nil {
			return
		}
	}
	c.ClearFaults()
	if got := <-done; got != 200 {
		t.Errorf("hung, then cleared: got %d, want 200", got)
	}
	if got := c.Faults(); len(got) != 0 {
		t.Errorf("got faults %+v, want none", got)
	}
}

func TestSeedIsTheSameEachTime(t *testing.T) {
	a, b := newCloud(t, 1500), newCloud(t, 1500)
	x, _ := json.Marshal([]any{a.Users(), a.Products(), a.Licenses()})
	y, _ := json.Marshal([]any{b.Users(), b.Products(), b.Licenses()})
	if !bytes.Equal(x, y) {
		t.Error("two seeds of 1500 users differ")
	}
	capped := map[cloudapi.Capped]int{}
	for _, p := range a.Products() {
		capped[p.Capped]++
	}
	var blocked, homeless, free, ended int
	for _, u := range a.Users() {
		if u.Blocked {
			blocked++
		}
		if u.Country == "" {
			homeless++
		}
	}
	for _, l := range a.Licenses() {
		if l.AssignedTo == "" {
			free++
		}
		if l.EndsAt.Before(a.time) {
			ended++
		}
	}
	if len(a.Users()) != 1500 || len(capped) != 3 || blocked == 0 || homeless == 0 || free == 0 || ended == 0 || ended > 100 {
		t.Errorf("got %d users, products %v, %d blocked, %d without country, %d free and %d ended licenses; want some of each", len(a.Users()), capped, blocked, homeless, free, ended)
	}
}
