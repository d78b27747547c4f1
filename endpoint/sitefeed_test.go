package endpoint

import (
	"fmt"
	"net/http"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// staffed is filled, with ida, who administers the account.
func staffed(t testing.TB) *oneNode {
	n := filled(t)
	n.do(t, license.Mirror{From: "c1", Cursor: "c2", Changes: []license.Change{
		{User: &license.User{ID: "ida", Email: "ida@example.org", Name: "Ida Nord", Country: "DE", Roles: license.RoleLicenseAdministrator}}}})
	return n
}

// sites reads site frames until so many notices have come.
func (d *desktop) sites(n int) (all []api.Notice) {
	d.t.Helper()
	for len(all) < n {
		f := d.next()
		if f.Type != api.FrameSite || f.Site == nil {
			d.t.Fatalf("got %+v; want a site frame", f)
		}
		all = append(all, f.Site.Notices...)
	}
	return all
}

// Who administers the account follows what happens to everybody, each thing once;
// nobody else does.
func TestAnAdministratorFollowsTheSite(t *testing.T) {
	r := newRig(t, staffed(t))
	if d, resp := r.dial(t, "ada", map[string]string{"feed": "site"}); d != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a user follows the site: %v", resp.Status)
	}
	if d, resp := r.dial(t, "ida", map[string]string{"feed": "all"}); d != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("another feed was answered %v", resp.Status)
	}
	d, hello, me := r.join(t, "ida", map[string]string{"feed": "site"})
	if hello.Recovered || me == nil || me.ID != "ida" {
		t.Errorf("greeted with %+v, %+v", hello, me)
	}
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101})
	for range 3 {
		r.want(t, 409, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	}
	seen := map[string]int{}
	var last api.Notice
	for seen[api.KindAttempted] < 3 {
		for _, n := range d.sites(1) {
			seen[n.Kind] += max(1, n.Times)
			last = n
			if n.About != "ada" || n.Mine || n.Product != "road" {
				t.Errorf("the site is told %+v; want it of ada", n)
			}
		}
	}
	if seen[api.KindGranted] != 1 {
		t.Errorf("the site is told %v; want one start and three attempts", seen)
	}
	// What was missed follows when it comes back.
	d.Close()
	r.node.do(t, license.Link{Up: true})
	back, h, _ := r.join(t, "ida", map[string]string{"feed": "site", "since": fmt.Sprintf("%d:%d", last.Epoch, last.Seq), "cluster": hello.Cluster})
	if !h.Recovered {
		t.Errorf("greeted with %+v; want recovered", h)
	}
	if n := back.sites(1); n[0].Kind != api.KindLinkUp {
		t.Errorf("told %+v; want what was missed", n)
	}
	// Who administers it no more, leaves.
	r.node.do(t, license.Mirror{From: "c2", Cursor: "c3", Changes: []license.Change{{User: &license.User{ID: "ida", Email: "ida@elsewhere.example"}}}})
	back.closed(api.CloseBlocked)
}

// Names that reports hash are hashed for who follows the site, too.
func TestTheSiteIsToldOfHashedNames(t *testing.T) {
	r := newRig(t, staffed(t), func(c *Config) {
		c.Pseudonym = func(_ *license.State, kind, name string) string { return kind + "-hashed" }
	})
	r.node.do(t, license.Configure{Settings: license.Settings{Takeover: license.TakeoverGrace}})
	d, _, _ := r.join(t, "ida", map[string]string{"feed": "site"})
	r.want(t, 201, "ada", "POST", "/v1/sessions", api.StartRequest{ID: newUUID(t), Product: "road", Machine: ws101, Fences: true})
	for _, n := range d.sites(1) {
		if n.About != "user-hashed" || n.Machine != "machine-hashed" || n.Text != `Road Designer has started on "machine-hashed".` {
			t.Errorf("the site is told %+v; want hashed names", n)
		}
	}
	r.want(t, 201, "ada", "POST", api.PathRequests, api.WaitRequest{ID: newUUID(t), Product: "road", Machine: ws202})
	n := d.sites(1)[0]
	if n.Kind != api.KindEnding || n.Reason != license.EndTakeover || n.By != "user-hashed" || n.About != "user-hashed" {
		t.Errorf("the site is told of a takeover %+v; want it hashed by whom", n)
	}
}

// What is told to each of those who administer the account is of none of them.
func TestTheSiteIsNotToldOfWhoReadsIt(t *testing.T) {
	r := newRig(t, staffed(t))
	d, _, _ := r.join(t, "ida", map[string]string{"feed": "site"})
	r.node.do(t, license.Remind{Counts: license.ReminderCounts{Unassigned: 3}})
	if n := d.sites(1); n[0].Kind != api.KindReminders || n[0].About != "" {
		t.Errorf("the site is told %+v; want reminders that are about nobody", n[0])
	}
}
