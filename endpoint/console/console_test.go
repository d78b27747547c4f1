package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/phrase"
)

// site answers as the API does, with what it was given, and remembers what it was told to do.
type site struct {
	mu      sync.Mutex
	answers map[string]any                      // by path
	posted  []string                            // path and body
	looked  map[string]int                      // how often each path was asked for by GET
	problem *api.Problem                        // of every POST
	heard   func(path string, query url.Values) // nil: nobody listens
	stale   string                              // only what has seen this is not stale; empty: everything
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		if s.problem != nil {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(s.problem.Status)
			_ = json.NewEncoder(w).Encode(s.problem)
			return
		}
		if s.stale != "" && strings.Contains(string(body), `"saw":`) && !strings.Contains(string(body), s.stale) {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: api.CodeChanged, Status: 409, Title: "Changed"})
			return
		}
		s.posted = append(s.posted, r.URL.Path+" "+string(body))
	} else {
		s.looked[r.URL.Path]++
		if s.heard != nil {
			s.heard(r.URL.Path, r.URL.Query())
		}
	}
	answer, there := s.answers[r.URL.Path]
	if !there {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(api.Problem{Code: "not-found", Status: 404, Title: "Not there", Detail: r.URL.Path})
		return
	}
	if p, is := answer.(api.Problem); is {
		w.WriteHeader(p.Status)
	}
	if l, is := answer.(api.List[api.Block]); is && r.URL.Query().Has("machine") {
		id, name := r.URL.Query().Get("machine_id"), r.URL.Query().Get("machine")
		l.Items = slices.DeleteFunc(slices.Clone(l.Items), func(b api.Block) bool {
			switch {
			case b.Machine == nil:
				return true
			case id != "" && b.Machine.ID != "":
				return id != b.Machine.ID
			}
			return !strings.EqualFold(name, b.Machine.Name)
		})
		answer = l
	}
	_ = json.NewEncoder(w).Encode(answer)
}

const nasty = `<script>alert("x")</script> '"&amp; ` + "\u202egnp.exe\x00\x1b[2J אבג =cmd|' /C calc'!A0"

var then = time.Date(2026, 11, 21, 10, 15, 0, 0, time.UTC)

// full is a site with something on every page, named as nastily as can be.
func full() *site {
	open := api.Open{ID: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Kind: "session", User: "u-1", Name: nasty, Email: nasty, Product: "p", ProductName: nasty, Capped: "yes", License: "l-1",
		LicenseType: "Practitioner", Machine: api.Machine{ID: nasty, Name: nasty}, Since: then, Provisional: true}
	out := open
	out.ID, out.Kind, out.Until, out.By, out.Note = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e70", "checkout", then.Add(48*time.Hour), "ida", nasty
	closed := open
	closed.ID, closed.Closed, closed.Until = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e71", true, then
	long := open
	long.ID, long.Name = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e72", strings.Repeat("ö", 5000)
	user := api.SiteUser{ID: "u-1", Name: nasty, Email: nasty, Known: true, Licenses: 1, Sessions: 1, Machines: []string{nasty}, BlockedHere: &api.Block{User: "u-1", By: nasty, Note: nasty, Since: then}}
	lic := api.SiteLicense{ID: "l-1", Product: "p", ProductName: nasty, Capped: "yes", Type: "virtuoso", Assignee: "u-9", Name: "u-9", NotFound: true, AssignedAt: then, Ends: then,
		Requests: []api.RequestToVendor{{Category: "Licensing assistance", Title: "Service request", When: nasty, Text: "Category: Licensing assistance\nProduct: " + nasty}, {Title: nasty, Text: nasty}}}
	refusal := api.SiteRefusal{Seq: 7, At: then, User: "u-1", Name: nasty, Machine: api.Machine{Name: nasty}, Product: "p", ProductName: nasty, Reason: "machine-active", Title: nasty, Detail: nasty,
		Next: []string{nasty}, Other: &api.Machine{Name: nasty}, Open: open.ID, OpenKind: "session", CannotHold: true, Told: nasty, Remedy: "Have the account forbid offline use."}
	seen := refusal
	seen.Seq, seen.Observed, seen.Relayed = 8, true, true
	member := func(name, role string) api.ClusterMember {
		return api.ClusterMember{Name: name, Address: nasty, Role: role, Self: name == "n1", Known: true, Version: "1", Reached: time.Now(), Certificate: time.Now().Add(time.Hour), Disk: &api.DiskStatus{State: api.DiskWarn, Free: 3 << 30, Total: 1 << 40}}
	}
	settings := []api.SiteSetting{{Name: "rules.lease_ttl", Value: "3m0s", Set: true}}
	for _, name := range []string{"session_scope", "checkout_scope", "save_grace", "takeover", "takeover_grace", "autonomy_capped", "autonomy_uncapped", "checkout_default",
		"checkout_max", "checkouts", "v8i", "machine_keys", "hosts"} {
		settings = append(settings, api.SiteSetting{Name: "rules." + name, Value: nasty})
	}
	return &site{looked: map[string]int{}, answers: map[string]any{
		api.PathStatus: api.Status{Node: "n1", Version: "1.2.3", Link: api.LinkState{State: api.LinkStale, Since: then}, Mirror: api.MirrorStatus{Filled: true, Held: &api.HeldMirror{}}, Time: then,
			Counts: api.Counts{Provisional: 3}, Usage: api.UsageStatus{Backlog: api.BacklogHigh, Waiting: 12, Refused: 2, Oldest: then.Add(-5 * time.Hour)}, Disk: &api.DiskStatus{State: api.DiskLow, Free: 1 << 30, Total: 1 << 40},
			Restored: &api.RestoredStatus{}, Lockouts: []api.Lockout{{Node: "n1", Proxy: nasty}}, Egress: []api.EgressStatus{{Name: nasty, Kind: "http", State: "locked", Problem: nasty}},
			Bypass:       &api.Bypass{Since: then, Until: then.Add(15 * time.Minute), By: nasty, Note: nasty},
			Backup:       &api.BackupStatus{Folder: nasty, Problem: nasty, Kept: 3, Bytes: 1 << 20, EveryMS: 86_400_000, Last: then, Overdue: true},
			Certificates: []api.CertificateStatus{{Name: "site-ca", Ends: time.Now().AddDate(9, 0, 0), Fingerprint: "aa:bb"}, {Name: "api", Ends: time.Now().Add(time.Hour), Fingerprint: "cc:dd", File: nasty, Problem: nasty}, {Name: "node", Ends: then}},
			Cloud:        api.CloudOffers{Feed: &api.Offer{Offered: true}, Moves: &api.Offer{}},
			Cluster:      api.ClusterStatus{Leader: "n1", Replacement: &api.Replacement{Fingerprint: "aa:bb", Since: then, Until: then.AddDate(0, 1, 0)}, Members: []api.Member{{Name: "n1", Voter: true}, {Name: "n2", Voter: true}}}},
		api.PathOpen:                  api.OpenList{Items: []api.Open{open, out, closed, long}, Next: "17", Total: 4, All: 100_000},
		api.PathProducts:              api.List[api.ProductUse]{Items: []api.ProductUse{{Product: "p", Name: nasty, Capped: "yes", Owned: 4, InUse: 4, Sessions: 3, Checkouts: 1}}},
		api.PathRefusals:              api.SiteRefusalList{Items: []api.SiteRefusal{refusal, seen}, Next: "6"},
		api.PathObserved:              api.ObservedCounts{From: then, To: then, Items: []api.ObservedCount{{Product: "p", Name: nasty, Network: "10.0.0.0/8", Refusals: 1234, Users: 5, Last: then}, {Refusals: 1, Users: 1, Last: then}}},
		api.PathHistory:               api.HistoryList{Items: []api.HistoryItem{{Seq: 3, At: then, Kind: "granted", Text: nasty, User: "u-1", Name: nasty, Machine: &api.Machine{Name: nasty}}}, Next: "2"},
		api.PathSiteUsers:             api.SiteUserList{Items: []api.SiteUser{user}, Total: 1, Next: "x"},
		api.PathSiteUsers + "/u-1":    user,
		api.PathSiteLicenses:          api.SiteLicenseList{Items: []api.SiteLicense{lic}, Total: 1},
		api.PathSiteLicenses + "/l-1": lic,
		api.PathSettings:              api.SiteSettings{Items: settings, Modes: []api.SiteMode{{Product: nasty, Mode: "observe"}}},
		api.PathMembers:               api.List[api.ClusterMember]{Items: []api.ClusterMember{member("n1", "leader"), member("n2", "voter")}},
		api.PathBlocks:                api.List[api.Block]{Items: []api.Block{{Machine: &api.Machine{Name: nasty}, By: nasty, Since: then}}},
		api.PathPeaks:                 api.List[api.Peak]{Items: []api.Peak{{Day: then.Truncate(24 * time.Hour), Product: "p", Name: nasty, Machines: 12, At: then, Pooled: 3}}},
		api.PathRefused:               api.List[api.RefusedUsage]{Items: []api.RefusedUsage{{Record: nasty, Kind: "posting", User: nasty, Machine: nasty, Product: nasty, Started: then, Ended: then, Refused: then, Why: nasty}}},
		api.PathAudit:                 api.UsageAudit{From: 1, Through: 90, Ways: []api.UsageWay{{Way: "site", Records: 3, Once: true}, {Way: "csv", Records: 2}}, Findings: []api.UsageFinding{{Kind: "twice", Seq: 7, Record: nasty, User: nasty, Detail: nasty}}, More: 3},
		api.PathTrend:                 api.List[api.TrendMark]{Items: []api.TrendMark{{At: then.Add(-time.Hour), Sessions: 3, Checkouts: 1}, {At: then, Sessions: 7, Checkouts: 2}}},
		api.PathReport:                reportOfAll(),
		api.PathReminders:             api.List[api.Reminder]{Items: []api.Reminder{{Kind: "pooled", Text: nasty, License: "l-2", Product: "p", User: "u-1", Days: 12, Since: then}}, Next: "5 l-2"},
		api.PathSiteAudit: api.SiteAuditList{Items: []api.AuditRecord{{Number: 7, At: then, What: "blocked", By: "w-1", ByName: nasty, Via: "socket", User: "u-1", UserName: nasty, NoteText: nasty, About: nasty, Count: 2, From: "10.0.0.1"}},
			Next: "7", Trail: api.AuditTrail{Number: 7, Since: then, Hash: "00ff"}},
		api.PathTrail:             api.AuditPage{Items: []api.AuditRecord{{Number: 7, At: then, What: "blocked", ByName: "=1+1", Hash: "00ff"}}, Trail: api.AuditTrail{Number: 7}},
		api.PathTrail + "/verify": api.AuditVerified{Broken: 5, Why: nasty, First: 1, Number: 4},
		api.PathNodeSettings:      api.List[api.NodeSetting]{Items: []api.NodeSetting{{Key: "egress.no_proxy", Value: nasty, From: "file sitegate.yaml:12", Reload: true}, {Key: "node", Value: "n1", From: "default"}}},
		api.PathDoctor:            api.DoctorReport{Node: "n1", Checks: []api.DoctorCheck{{Step: "tcp", Of: nasty, State: api.CheckFail, Code: "refused", Found: nasty, Action: nasty}, {Step: "dns", State: api.CheckPass, Found: "well"}}, Firewall: []api.FirewallOpening{{Source: "10.0.0.1", Destination: "a.example:443", Protocol: "TCP, TLS", Purpose: nasty}}},
		api.PathBackup:            api.MadeBackup{Folder: "/srv/backup", File: "sitegate-n1.backup", At: then, Index: 77, Bytes: 1 << 20},
		api.PathReload:            api.Reloaded{Proxies: []string{nasty}, PAC: nasty, Direct: true, Modes: true, Waits: []string{"node", nasty}},
		api.PathTokens:            api.JoinToken{Token: "the-token", Expires: then},
	}}
}

// everywhere are the paths of all pages and forms, with something to be seen on each.
var everywhere = []string{"", "products", "refusals", "checkouts", "users", "users/u-1", "users/u-1?reason=ticket", "machine?name=WS-1&id=m-1&reason=ticket", "machines", "machine?name=WS-1&id=m-1", "licenses", "licenses?state=unassigned", "licenses/l-1", "capped", "usage", "usage?days=30", "usage/pooled", "usage/refused", "usage/audit", "usage/resend", "report", "report?period=month&names=true&from=2026-11-01", "rollout", "rollout/counts", "rollout/counts?days=30",
	"cluster", "connectivity", "settings", "audit", "audit/verify", "connectivity/doctor", "settings/reload", "sessions/0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f/free", "users/u-1/free", "users/u-1/unblock", "machine/block?name=WS-1",
	"licenses/l-1/move", "checkouts/bulk", "cluster/join", "cluster/nodes/n1/drain", "cluster/nodes/n2/drain", "cluster/step-down", "cluster/nodes/n2/remove", "cluster/backup", "cluster/backup/file", "rollout/bypass", "rollout/bypass/over", "mirror/import"}

func newTestConsole(t testing.TB, s *site, who Administrator) *Console {
	t.Helper()
	c, err := New(Config{API: s, Logger: slog.New(slog.DiscardHandler), SignIn: "/sign-in", Who: func(*http.Request) (Administrator, *api.Problem) {
		if who.Role == "" {
			return who, &api.Problem{Code: "unauthorized", Status: 401, Title: "Not signed in"}
		}
		return who, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func visitPage(c http.Handler, method, path, lang string, form url.Values) *httptest.ResponseRecorder {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, Base+path, body)
	r.Header.Set("Accept-Language", lang)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

var admin = Administrator{Name: "ida", Role: Admin, SignOut: Base + "sign-out"}

// Every page is whole in every language, however things are named: nothing in a name
// becomes a part of the page, no text is missing, and it is not heavy.
func TestEveryPageIsWhole(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	missing := regexp.MustCompile(`>\s*([a-z]+(?:\.[a-z0-9_-]+)+)\s*<`)
	names := map[string]bool{"egress.no_proxy": true} // that the site has given itself
	for _, x := range s.answers[api.PathSettings].(api.SiteSettings).Items {
		names[x.Name] = true
	}
	for _, lang := range []string{"en", "fr", "de"} {
		for _, path := range everywhere {
			w := visitPage(c, "GET", path, lang, nil)
			page := w.Body.String()
			if w.Code != 200 {
				t.Errorf("%s in %s: %d %s", path, lang, w.Code, page)
				continue
			}
			for _, bad := range []string{"<script>", `"x")`, "\x00", "\x1b", "\u202e", "<no value>", "ZgotmplZ", "%!"} {
				if strings.Contains(page, bad) {
					t.Errorf("%s in %s has %q", path, lang, bad)
				}
			}
			for _, m := range missing.FindAllStringSubmatch(page, -1) {
				if !names[m[1]] {
					t.Errorf("%s in %s shows the name of a text: %s", path, lang, m[1])
				}
			}
			for _, want := range []string{`<html lang="` + lang + `">`, "<main id=\"main\"", "<h1>", `href="#main"`, "</html>"} {
				if !strings.Contains(page, want) {
					t.Errorf("%s in %s lacks %s", path, lang, want)
				}
			}
			if len(page) > 100<<10 {
				t.Errorf("%s in %s has %d bytes", path, lang, len(page))
			}
			ids := map[string]bool{}
			for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
				if ids[m[1]] {
					t.Errorf("%s in %s has the id %s twice", path, lang, m[1])
				}
				ids[m[1]] = true
			}
		}
	}
}

// How the site is, which a page and what is around it show, is asked for once.
func TestTheStatusIsAskedForOnce(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	for _, path := range everywhere {
		s.looked[api.PathStatus] = 0
		if visitPage(c, "GET", path, "en", nil); s.looked[api.PathStatus] != 1 {
			t.Errorf("%s: %d times", path, s.looked[api.PathStatus])
		}
	}
}

// A refusal that the vendor's client need not heed is said to be one.
func TestARefusalThatCannotHoldIsSaidToBeOne(t *testing.T) {
	w := visitPage(newTestConsole(t, full(), admin), "GET", "refusals", "en", nil)
	for _, want := range []string{">cannot hold<", "Have the account forbid offline use"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// A page may load what comes with it, and nothing else; none of it has a script or a style
// of its own.
func TestAPageLoadsNothingFromElsewhere(t *testing.T) {
	c := newTestConsole(t, full(), admin)
	for _, path := range everywhere {
		w := visitPage(c, "GET", path, "en", nil)
		if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("%s has the policy %q", path, got)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			if !strings.HasPrefix(m[1], Base) && m[1] != "#main" {
				t.Errorf("%s leads to %s", path, m[1])
			}
		}
		if m := regexp.MustCompile(`<style|<script[^>]*>[^<]| style="| on[a-z]+="`).FindString(w.Body.String()); m != "" {
			t.Errorf("%s has %q", path, m)
		}
	}
	weight := 0
	for _, file := range []string{"console.css", "console.js", "icon.svg"} {
		w := visitPage(c, "GET", "static/"+file, "en", nil)
		if w.Code != 200 {
			t.Errorf("%s: %d", file, w.Code)
		}
		weight += w.Body.Len()
	}
	if weight > 50<<10 {
		t.Errorf("what comes with a page weighs %d bytes", weight)
	}
}

// All languages have all texts, each with what it is said with; and every text is used.
func TestAllLanguagesHaveAllTexts(t *testing.T) {
	slots := regexp.MustCompile(`\{\d\}`)
	english := words()[phrase.English]
	for _, l := range phrase.Langs() {
		book := words()[l]
		for key, text := range english {
			got, there := book[key]
			if !there || got == "" {
				t.Errorf("%s lacks %s", l, key)
				continue
			}
			want, have := slots.FindAllString(text, -1), slots.FindAllString(got, -1)
			slices.Sort(want)
			slices.Sort(have)
			if !slices.Equal(want, have) {
				t.Errorf("%s is said with %v in %s, and with %v in English", key, have, l, want)
			}
		}
		for key := range book {
			if english[key] == "" {
				t.Errorf("%s has %s, which English has not", l, key)
			}
		}
	}
	var source bytes.Buffer
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, "page.html") {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for _, m := range regexp.MustCompile(`v\.t\("([^"]+[^".])"[,)]`).FindAllStringSubmatch(source.String(), -1) {
		if english[m[1]] == "" {
			t.Errorf("there is no text %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\.T "([^"]+[^".])"`).FindAllStringSubmatch(source.String(), -1) {
		if english[m[1]] == "" {
			t.Errorf("there is no text %s, which the template shows", m[1])
		}
	}
}

// Who may not do something is not shown how, and is told what it takes; who is nobody is
// sent to sign in; another site's page can do nothing.
func TestRolesAndStrangers(t *testing.T) {
	s := full()
	viewer := newTestConsole(t, s, Administrator{Name: "vera", Role: Viewer})
	for _, path := range everywhere {
		w := visitPage(viewer, "GET", path, "en", nil)
		isForm := regexp.MustCompile(`free$|block|move$|bulk$|cluster/|doctor$|reload$|bypass|import$|resend$`).MatchString(path)
		if (w.Code == 403) != isForm {
			t.Errorf("a viewer opens %s: %d", path, w.Code)
		}
		if strings.Contains(w.Body.String(), `class="act-form"`) || !isForm && regexp.MustCompile(`href="[^"]*/(free|block|unblock|move|write-off|join|drain|remove|bulk|doctor|reload|backup|file|bypass|over|import|resend)["?]`).MatchString(w.Body.String()) {
			t.Errorf("a viewer is shown something to do on %s", path)
		}
	}
	if w := visitPage(viewer, "POST", "cluster/nodes/n1/drain", "en", url.Values{"saw": {seal("x")}}); w.Code != 403 {
		t.Errorf("a viewer drains: %d", w.Code)
	}
	nobody := newTestConsole(t, s, Administrator{})
	w := visitPage(nobody, "POST", "users/u-1/block", "en", url.Values{"reason": {"what I wrote"}, "csv": {"user,machine\r\nada,WS-1\r\n"}})
	for _, want := range []string{"You are not signed in", ">what I wrote</code>", ">user,machine\nada,WS-1\n</code>", `href="/sign-in?next=%2Fconsole%2Fusers%2Fu-1%2Fblock"`} {
		if w.Code != 401 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("signed out in the middle of an act, they get %d without %q: %s", w.Code, want, w.Body)
		}
	}
	busy, err := New(Config{API: s, Logger: slog.New(slog.DiscardHandler), Who: func(*http.Request) (Administrator, *api.Problem) {
		return admin, &api.Problem{Code: "too-many-requests", Status: 429, Title: "Too fast", Detail: "Wait a moment.", RequestID: "r-7"}
	}})
	if err != nil {
		t.Fatal(err)
	}
	w = visitPage(busy, "POST", "users/u-1/block", "de", url.Values{"reason": {"what I wrote"}})
	for _, want := range []string{"Nichts ist geschehen", "Too fast", "Wait a moment.", "r-7", "what I wrote"} {
		if w.Code != 429 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("too fast, they get %d without %q: %s", w.Code, want, w.Body)
		}
	}
	r := httptest.NewRequest("POST", Base+"users/u-1/block", strings.NewReader("reason=x"))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w = httptest.NewRecorder()
	newTestConsole(t, s, admin).ServeHTTP(w, r)
	if w.Code != 403 || len(s.posted) != 0 {
		t.Errorf("another site's page: %d, %v", w.Code, s.posted)
	}
	if w := visitPage(newTestConsole(t, s, admin), "GET", "nothing", "en", nil); w.Code != 404 || !strings.Contains(w.Body.String(), "no such page") {
		t.Errorf("no page: %d", w.Code)
	}
}

// What goes by an id with a slash in it is led to, shown and acted on like all else.
func TestIDsWithASlash(t *testing.T) {
	s := full()
	u := s.answers[api.PathSiteUsers+"/u-1"].(api.SiteUser)
	u.ID, u.BlockedHere = "site/jane", nil
	s.answers[api.PathSiteUsers+"/-"] = u
	s.answers[api.PathSiteUsers] = api.SiteUserList{Items: []api.SiteUser{u}, Total: 1}
	c := newTestConsole(t, s, admin)
	if page := visitPage(c, "GET", "users", "en", nil).Body.String(); !strings.Contains(page, `href="/console/users/-?id=site%2Fjane"`) {
		t.Errorf("the list does not lead there: %s", page)
	}
	if page := visitPage(c, "GET", "users/-?id=site%2Fjane&reason=ticket-7", "en", nil).Body.String(); !strings.Contains(page, `href="/console/users/-/block?id=site%2Fjane"`) || !strings.Contains(page, `href="/console/users/-?before=2&amp;id=site%2Fjane&amp;reason=ticket-7"`) {
		t.Errorf("the page does not lead on: %s", page)
	}
	saw := regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(visitPage(c, "GET", "users/-/block?id=site%2Fjane", "en", nil).Body.String())[1]
	w := visitPage(c, "POST", "users/-/block?id=site%2Fjane", "en", url.Values{"saw": {saw}, "reason": {"left"}})
	if w.Code != 303 || w.Header().Get("Location") != Base+"users/-?done=block&id=site%2Fjane" || len(s.posted) != 1 || !strings.HasPrefix(s.posted[0], "/v1/users/-/block ") {
		t.Errorf("blocking leads to %d %s, having asked %v", w.Code, w.Header().Get("Location"), s.posted)
	}
}

// A place to go back to is a page of the console.
func TestGoingBackStaysWithin(t *testing.T) {
	for path, want := range map[string]string{"/console/users?q=a": "/console/users?q=a", "/console/machine?name=a%26b&reason=x&id=m": "/console/machine?id=m&name=a%26b", "/console/users/u-1?%72eason=x": "/console/users/u-1", "https://evil.example/console/": Base, "//evil.example/console/": Base, "/console/\\evil": Base, "/other": Base, "": Base, "/console/\r\nX: y": Base} {
		if got := within(path); got != want {
			t.Errorf("%q goes back to %q; want %q", path, got, want)
		}
	}
	w := visitPage(newTestConsole(t, full(), admin), "GET", "language?to=de&back=/console/users", "en", nil)
	if cookie := w.Header().Get("Set-Cookie"); w.Code != 303 || !strings.HasPrefix(cookie, "sitegate-language=de;") || w.Header().Get("Location") != "/console/users" {
		t.Errorf("a language is chosen: %d %s %s", w.Code, cookie, w.Header().Get("Location"))
	}
}

// Where the API fails, the page says so, with the request to be looked for.
func TestATroubleIsShown(t *testing.T) {
	s := full()
	delete(s.answers, api.PathOpen)
	w := visitPage(newTestConsole(t, s, admin), "GET", "", "fr", nil)
	if w.Code != 404 || !strings.Contains(w.Body.String(), `role="alert"`) || !strings.Contains(w.Body.String(), "Not there") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a console of nothing was made")
	}
	if err := error(&failed{api.Problem{Code: "x"}}); !errors.As(err, new(*failed)) || err.Error() == "" {
		t.Error("a problem is no error")
	}
}
