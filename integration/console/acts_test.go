package console

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/upstream/cloudapi"
)

// colleagues are users who have a license of the capped product and are called by their names.
func colleagues(t *testing.T, s *integration.Site) (all []cloudapi.User) {
	t.Helper()
	has := map[string]bool{}
	for _, l := range s.Cloud.Licenses() {
		if l.ProductID == emulator.ProductCapped && l.EndsAt.After(time.Now()) {
			has[l.AssignedTo] = true
		}
	}
	for _, u := range s.Cloud.Users() {
		if has[u.ID] && u.Country != "DE" && u.Country != "" && !u.Blocked {
			all = append(all, u)
		}
	}
	if len(all) < 6 {
		t.Fatalf("of the users only %d can be used here", len(all))
	}
	return all
}

// What each page is for is done on it, with the mouse, and is so by the API; the audit trail
// has why.
func TestWhatEachPageIsForIsDone(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	backups := t.TempDir()
	s := integration.NewSiteWith(t, 3, 60, "rules:\n  modes:\n    - {mode: observe, product: \""+emulator.ProductUncapped+"\"}\n", "SITEGATE_BACKUP_FOLDER="+backups, "SITEGATE_CLUSTER_TEMPO=wan")
	leader := s.Leader(t)
	n := s.Nodes[leader]
	base := openDoor(t, n) + "/console/"
	p := newChromium(t, "").page(t)
	p.sized(1280, "light")
	people := colleagues(t, s)
	open := func(machine string) []api.Open {
		t.Helper()
		return asks[api.OpenList](t, s, n, api.PathOpen+"?machine="+url.QueryEscape(machine)).Items
	}
	start := func(u cloudapi.User, machine string) error {
		_, err := s.Client(t, u.ID, machine, leader).Start(t.Context(), emulator.ProductCapped)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var reasons []string // that the audit trail is to have
	why := func(reason string) string {
		reasons = append(reasons, reason)
		return reason
	}
	on := func(path string, shows ...string) {
		t.Helper()
		p.went(base + path)
		p.shows(shows...)
	}

	// Now: somebody is searched for among those who are active, and opened; their machine is freed.
	must(start(people[0], "WS-1"))
	must(start(people[1], "WS-2"))
	on("", "WS-1", "WS-2")
	p.fills("q", "ws-1")
	p.shows("1 found of 2")
	p.clicks(people[0].Name)
	p.shows("Show the history", people[0].Email)
	on("", "WS-1")
	p.acts("Free WS-1, where "+people[0].Name+" is active", "Free", "The machine was told to let go.", "reason", why("she is at home"))
	if all := open("WS-1"); len(all) > 0 && (all[0].Ending == nil || all[0].Ending.Reason != "released") {
		t.Errorf("after the machine was freed there is %+v", all)
	}

	// Refusals: the machine that is in the way is freed from there.
	if start(people[1], "WS-3") == nil {
		t.Fatal("another machine was let in")
	}
	on("refusals", "WS-3", "Free WS-2")
	p.acts("Free WS-2", "Free", "The machine was told to let go.", "reason", why("the office is closed"))
	if all := open("WS-2"); len(all) > 0 && (all[0].Ending == nil || all[0].Ending.Reason != "released") {
		t.Errorf("after the machine was freed there is %+v", all)
	}

	// Checkouts: for many, after a preview; and one is written off.
	on("checkouts")
	p.acts("Check out for many", "Check", "All 2 rows are good. Nothing was made yet.", "product", emulator.ProductCapped, "reason", why("the ship leaves"),
		"csv", "user;machine\n"+people[2].Email+";SHIP-1\n"+people[3].Email+";SHIP-2\n")
	if all := append(open("SHIP-1"), open("SHIP-2")...); len(all) != 0 {
		t.Errorf("the preview has made %+v", all)
	}
	p.sends("Make 2 checkouts", "2 checkouts were made.")
	for i, machine := range []string{"SHIP-1", "SHIP-2"} {
		if all := open(machine); len(all) != 1 || all[0].Kind != "checkout" || all[0].User != people[2+i].ID {
			t.Errorf("%s has %+v", machine, all)
		}
	}
	on("checkouts", "SHIP-1")
	p.acts("Write off the checkout of "+people[2].Name+" on SHIP-1", "Write off", "The checkout was written off.", "reason", why("it lies in the harbour"))
	if all := open("SHIP-1"); len(all) > 0 && all[0].WrittenOff == nil {
		t.Errorf("after the checkout was written off there is %+v", all)
	}

	// Capped usage: by its filter, and as a file.
	on("capped", "SHIP-2")
	p.fills("kind", "session")
	p.shows("Actively used only")
	on("capped", "SHIP-2")
	if _, text := p.downloads("Download CSV"); !strings.HasPrefix(text, "application,virtuoso_id,user,") || !strings.Contains(text, ",SHIP-2,checkout,") {
		t.Errorf("the file of capped usage is %q", text)
	}

	// Users and machines: their history for a reason; who is blocked starts nothing, until they are let in.
	on("users?q="+url.QueryEscape(people[0].Email), people[0].Name)
	p.clicks(people[0].Name)
	p.shows("Show the history")
	p.fills("reason", why("she asks why"))
	p.sends("Show the history", "was ended by")
	on("users/" + people[5].ID)
	p.acts("Block", "Block", "Blocked.", "reason", why("the laptop was stolen"))
	if start(people[5], "WS-4") == nil {
		t.Error("a blocked user was let in")
	}
	p.acts("Unblock", "Unblock", "Unblocked.")
	must(start(people[5], "WS-4"))
	on("machines", "WS-4")
	p.clicks("WS-4")
	p.shows("Show the history", "machine-WS-4")
	p.acts("Block", "Block", "Blocked.", "reason", why("it has a virus"))
	if all := asks[api.List[api.Block]](t, s, n, api.PathBlocks).Items; len(all) != 1 || all[0].Machine == nil || all[0].Machine.ID != "machine-WS-4" || all[0].Note != "it has a virus" {
		t.Errorf("blocked are %+v", all)
	}
	on("machines", "WS-4")
	p.acts("Unblock", "Unblock", "Unblocked.")
	if all := asks[api.List[api.Block]](t, s, n, api.PathBlocks).Items; len(all) != 0 {
		t.Errorf("blocked are still %+v", all)
	}

	// Licenses: one that is nobody's is assigned, with the rule told before.
	all := s.Cloud.Licenses()
	i := slices.IndexFunc(all, func(l cloudapi.License) bool {
		return l.AssignedTo == "" && l.Kind == cloudapi.LicenseVirtuoso && l.EndsAt.After(time.Now())
	})
	free := all[i]
	on("licenses?state=unassigned", free.ID)
	p.clicks(asks[api.SiteLicense](t, s, n, api.Of(api.PathSiteLicenses, free.ID, "")).ProductName)
	p.shows(free.ID)
	p.clicks("Move the license")
	p.shows("as often as you like for 24 hours; then it is locked for 30 days")
	p.fills("to", people[4].Email)
	p.fills("reason", why("a new colleague"))
	p.sends("Move the license", "The license was moved.")
	if l := asks[api.SiteLicense](t, s, n, api.Of(api.PathSiteLicenses, free.ID, "")); l.Assignee != people[4].ID {
		t.Errorf("after the license was moved it is %+v", l)
	}

	// Usage and reports: of other days, and as files.
	on("usage")
	p.clicks("What an assignment would save")
	p.shows("Pooled use that an assignment would have saved")
	on("usage?days=30")
	_, text := p.downloads("Download JSON")
	var used struct {
		From, To time.Time
		Items    []api.Peak
	}
	if err := json.Unmarshal([]byte(text), &used); err != nil || used.To.Sub(used.From) < 29*24*time.Hour {
		t.Errorf("the file of usage is %q, %v", text, err)
	}
	if _, text := p.downloads("Download CSV"); !strings.HasPrefix(text, "day,product,name,machines,") || strings.Count(text, "\n") != 1+len(used.Items) {
		t.Errorf("the file of usage with %d peaks is %q", len(used.Items), text)
	}
	today := time.Now().UTC().Format(time.DateOnly)
	on("report")
	p.fills("from", today)
	p.shows(today + " 00:00 UTC to ")
	p.went(base + "report?from=" + today)
	if path, text := p.downloads("Download CSV"); !strings.Contains(filepath.Base(path), today) || !strings.Contains(text, "machine-active") {
		t.Errorf("the report %s is %q", path, text)
	}

	// Rollout: what is only observed; a bypass begins, every page says so, and it is over.
	on("rollout", "observed")
	p.acts("Begin a bypass", "Begin a bypass", "The bypass lasts for fifteen minutes from now.", "reason", why("nobody can start"))
	if st := asks[api.Status](t, s, n, api.PathStatus); st.Bypass == nil || st.Bypass.Note != "nobody can start" {
		t.Errorf("the bypass is %+v", st.Bypass)
	}
	on("audit", "Bypass: nothing that is relayed to the vendor is withheld")
	on("rollout")
	p.acts("End the bypass", "End the bypass", "The bypass is over", "reason", why("it was the proxy"))
	if st := asks[api.Status](t, s, n, api.PathStatus); st.Bypass != nil {
		t.Errorf("there still is the bypass %+v", st.Bypass)
	}

	// Connectivity: the way out is examined, and what the firewall team is asked for is copied.
	on("connectivity")
	p.acts("Examine the way out", "Examine the way out", s.Proxy.Addr())
	for _, what := range []string{"clipboard-write", "clipboard-read"} {
		tell(p, browser.SetPermission, browser.SetPermissionParams{Permission: &browser.PermissionDescriptor{Name: what}, Setting: browser.PermissionSettingGranted})
	}
	p.clicks("Copy")
	p.shows("Copied")
	var copied, table string
	p.run(`navigator.clipboard.readText()`, &copied)
	p.run(`document.getElementById("firewall-text-copy").textContent`, &table)
	if copied != table || !strings.HasPrefix(copied, "source\tdestination\t") || strings.Count(copied, "\n") == 0 {
		t.Errorf("copied is %q, shown is %q", copied, table)
	}

	// Settings: what holds, and no secret.
	on("settings", "rules.lease_ttl", "egress.proxy.password_file")
	var shown string
	p.run(`document.documentElement.outerHTML`, &shown)
	for _, secret := range []string{"the site's secret", "p@ss: wörd%"} {
		if strings.Contains(shown, secret) {
			t.Error("the settings show a secret")
		}
	}
	p.acts("Reload this node", "Reload this node", "The configuration was read anew.")

	p.changesTheCluster(s, n, base, backups, why)

	// Audit: it holds, and has each reason.
	on("audit")
	p.fills("q", "bypass-begun")
	p.shows("nobody can start")
	p.clicks("Verify")
	p.shows("The audit trail holds.")
	on("audit")
	_, trail := p.downloads("Download CSV")
	for _, reason := range append(reasons, "way-out-examined", "join-token-issued") {
		if !strings.Contains(trail, reason) {
			t.Errorf("the audit trail does not have %q: %s", reason, trail)
		}
	}
}

// changesTheCluster does what the page Cluster is for.
func (p *page) changesTheCluster(s *integration.Site, n *integration.Node, base, backups string, why func(string) string) {
	t := p.t
	t.Helper()
	cluster := func() {
		t.Helper()
		p.went(base + "cluster")
		p.shows("This node and its log")
	}
	member := func(name string) *api.ClusterMember {
		t.Helper()
		all := asks[api.List[api.ClusterMember]](t, s, n, api.PathMembers).Items
		if i := slices.IndexFunc(all, func(m api.ClusterMember) bool { return m.Name == name }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	whole := func(file string) {
		t.Helper()
		if out, err := exec.Command(integration.Program(t, "sitegate"), "backup", "verify", file).CombinedOutput(); err != nil {
			t.Errorf("the backup %s: %v, %s", file, err, out)
		}
	}
	cluster()
	p.acts("Back up now", "Back up now", "The backup was made and checked.")
	files, err := filepath.Glob(filepath.Join(backups, "sitegate-"+n.Name+"-*.backup"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are the backups %q, %v", files, err)
	}
	whole(files[len(files)-1])
	cluster()
	p.clicks("Download a backup")
	p.shows("What this does")
	file, _ := p.downloads("Download a backup")
	whole(file)

	// The token that is shown lets one machine in, and that one is removed again.
	cluster()
	p.acts("Add a node", "Add a node", "Join command", "for", "1h")
	var token string
	p.run(`document.getElementById("token-copy").textContent`, &token)
	file = filepath.Join(t.TempDir(), "join.token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	late := s.NewMachine(t, "node4")
	if status, stdout, stderr := s.Tool(t, late, "cluster", "join", "--token-file", file, "--peer-listen", late.Door); status != 0 || member("node4") == nil {
		t.Fatalf("joining by the token: %s%s", stdout, stderr)
	}
	cluster()
	p.acts("Remove: node4", "Remove", "The node was removed.", "reason", why("it was for trying"))
	if member("node4") != nil {
		t.Error("the node that was removed is a member")
	}

	leader := s.Nodes[s.Leader(t)]
	cluster()
	p.acts("Hand over leadership: "+leader.Name, "Hand over leadership", "The leadership was handed over.", "reason", why("more memory"))
	integration.Eventually(t, patience, "another node leads", func() error {
		if m := member(leader.Name); m == nil || m.Role == api.RoleLeader {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	other := s.Nodes[0]
	if other == n {
		other = s.Nodes[1]
	}
	cluster()
	p.acts("Drain: "+other.Name, "Drain", "The node sends its clients elsewhere.", "reason", why("a new disk"))
	integration.Eventually(t, patience, "the node is drained", func() error {
		if m := member(other.Name); m == nil || !m.Drained {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
}

// Where the cloud has no feed, files of the vendor's portal are imported once their preview
// was seen.
func TestFilesOfThePortalAreImported(t *testing.T) {
	t.Parallel()
	needs(t, "chromium")
	s := integration.NewSiteWithoutFeed(t, 1, 30)
	n := s.Nodes[0]
	p := newChromium(t, "").page(t)
	users, licenses := s.Portal(t)
	base := openDoor(t, n) + "/console/"
	p.sized(1280, "light")
	p.went(base + "licenses")
	p.clicks("Import from the vendor’s portal")
	p.shows("What this does")
	p.must(chromedp.SetUploadFiles(chromedp.CSS("#i-users"), []string{users}), chromedp.SetUploadFiles(chromedp.CSS("#i-licenses"), []string{licenses}))
	p.fills("reason", "portal of today")
	p.sends("Look what would change", "Nothing was changed yet.", "In numbers")
	p.looked("import-preview")
	records := func() []api.MirrorRecord {
		t.Helper()
		return asks[api.List[api.MirrorRecord]](t, s, n, api.PathMirror+"/records").Items
	}
	if all := records(); len(all) != 0 {
		t.Fatalf("the preview has imported %d records", len(all))
	}
	var does string
	p.run(`document.querySelector(".act-form button").innerText.trim()`, &does)
	p.sends(does, "The files were imported.", s.Cloud.Licenses()[0].ID)
	p.looked("import-done")
	all := records()
	if want := fmt.Sprintf("Import these %d changes", len(all)); does != want || len(all) < len(s.Cloud.Users()) {
		t.Errorf("there are %d records; the button says %q", len(all), does)
	}

	// What comes of other acts is good to look at, too.
	p.went(base + "checkouts/bulk")
	p.fills("product", emulator.ProductCapped)
	p.fills("reason", "the ship leaves")
	p.fills("csv", "user;machine\n"+s.Cloud.Users()[0].Email+";SHIP-1\nnobody@nowhere.example;SHIP-2\n")
	p.sends("Check", "SHIP-2")
	p.looked("bulk-preview")
	p.went(base + "connectivity")
	p.acts("Examine the way out", "Examine the way out", s.Proxy.Addr())
	p.looked("doctor-done")
	p.went(base + "cluster")
	p.acts("Add a node", "Add a node", "Join command", "for", "1h")
	p.looked("join-token")
	p.went(base + "rollout")
	p.acts("Begin a bypass", "Begin a bypass", "The bypass lasts for fifteen minutes from now.", "reason", "nobody can start")
	p.looked("bypass-begun")
	p.clicks("End the bypass")
	p.shows("What this does")
	p.looked("bypass-end")
}
