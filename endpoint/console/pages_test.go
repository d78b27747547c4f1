package console

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// What was open in the last day is a line, in numbers, and said in words.
func TestTheLastDayIsALine(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	page := visitPage(c, "GET", "", "en", nil).Body.String()
	for _, want := range []string{"at most 7 sessions, at 10:15; 7 at the last mark", `aria-label="Sessions and checkouts of the last 24 hours"`, `d="M689.8 59.1L718.0 10.0"`, `class="out" d="M689.8 83.7L718.0 71.4"`, ">12:00<", ">06:00<"} {
		if !strings.Contains(page, want) {
			t.Errorf("it lacks %s: %s", want, regexp.MustCompile(`(?s)<figure.*</figure>`).FindString(page))
		}
	}
	s.answers[api.PathTrend] = api.List[api.TrendMark]{}
	if page := visitPage(c, "GET", "", "en", nil).Body.String(); strings.Contains(page, "<figure") {
		t.Error("a node that does not know yet draws a line")
	}
}

// While a bypass lasts every page says until when, who began it and why; it begins and ends
// with a reason.
func TestABypassIsOnEveryPage(t *testing.T) {
	s := full()
	status := s.answers[api.PathStatus].(api.Status)
	status.Bypass.By, status.Bypass.Note = "ida", "ticket 4711"
	c := newTestConsole(t, s, admin)
	for _, path := range append([]string{"nowhere"}, everywhere...) {
		page := visitPage(c, "GET", path, "en", nil).Body.String()
		if !strings.Contains(page, `<div id="alarm" data-morph><p class="banner bad" role="status"><b>Bypass: nothing that is relayed`) || !strings.Contains(page, "<bdi>ida</bdi>: <bdi>ticket 4711</bdi>") || !strings.Contains(page, `datetime="2026-11-21T10:30:00Z"`) {
			t.Errorf("%s does not say so: %s", path, page)
		}
	}
	send := func(path, reason string) *httptest.ResponseRecorder {
		t.Helper()
		page := visitPage(c, "GET", path, "en", nil).Body.String()
		return visitPage(c, "POST", path, "en", url.Values{"saw": {regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(page)[1]}, "reason": {reason}})
	}
	if w := send("rollout/bypass/over", "well again"); w.Code != 303 || w.Header().Get("Location") != Base+"rollout?done=bypass-over" {
		t.Errorf("ended: %d %s", w.Code, w.Body)
	}
	status.Bypass = nil
	s.answers[api.PathStatus] = status
	if w := send("rollout/bypass", ""); w.Code != 422 {
		t.Errorf("without a reason: %d", w.Code)
	}
	if w := send("rollout/bypass", "nobody can start"); w.Code != 303 || w.Header().Get("Location") != Base+"rollout?done=bypass" {
		t.Errorf("begun: %d %s", w.Code, w.Body)
	}
	if w := visitPage(c, "GET", "rollout/bypass/over", "en", nil); w.Code != 410 {
		t.Errorf("ending none: %d; want 410", w.Code)
	}
	if want := []string{`/v1/bypass/over {"by":"ida","note":"well again"}`, `/v1/bypass {"by":"ida","note":"nobody can start"}`}; !slices.Equal(s.posted, want) {
		t.Errorf("asked for %q; want %q", s.posted, want)
	}
	if page := visitPage(c, "GET", "", "en", nil).Body.String(); strings.Contains(page, "Bypass: nothing") {
		t.Error("a page tells of a bypass that is over")
	}
}

// A backup is made in the node's folder, or is a file of the browser's; what is refused is
// no file.
func TestBackups(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	send := func(path string) *httptest.ResponseRecorder {
		t.Helper()
		page := visitPage(c, "GET", path, "en", nil).Body.String()
		return visitPage(c, "POST", path, "en", url.Values{"saw": {regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(page)[1]}})
	}
	if w := send("cluster/backup"); w.Code != 200 || !strings.Contains(w.Body.String(), "sitegate-n1.backup") || !strings.Contains(w.Body.String(), "made and checked") || len(s.posted) != 1 {
		t.Errorf("made in the folder: %d %s, having asked %v", w.Code, w.Body, s.posted)
	}
	w := send("cluster/backup/file")
	if kept := w.Header().Get("Content-Disposition"); w.Code != 200 || !regexp.MustCompile(`^attachment; filename=sitegate-\d{8}T\d{6}Z\.backup$`).MatchString(kept) || w.Header().Get("Content-Type") != "application/octet-stream" || w.Body.Len() == 0 {
		t.Errorf("downloaded: %d %s %s", w.Code, w.Header(), w.Body)
	}
	delete(s.answers, api.PathBackup)
	if w := send("cluster/backup/file"); w.Code != 404 || w.Header().Get("Content-Disposition") != "" || !strings.Contains(w.Body.String(), "<h2>Not there</h2>") {
		t.Errorf("what cannot be had is a file: %d %s", w.Code, w.Header())
	}
	status := s.answers[api.PathStatus].(api.Status)
	status.Backup = nil
	s.answers[api.PathStatus] = status
	if w := visitPage(c, "GET", "cluster/backup", "en", nil); w.Code != 410 {
		t.Errorf("without a folder: %d; want 410", w.Code)
	}
}

// The report as a file is whole, and a spreadsheet takes nothing in it for a formula.
func TestTheReportIsHarmless(t *testing.T) {
	s := full()
	l := s.answers[api.PathOpen].(api.OpenList)
	l.Next = ""
	l.Items[0].Name, l.Items[0].Email, l.Items[0].Machine.Name = "=1+1", "@SUM(A1)", "-2\n+3"
	s.answers[api.PathOpen] = l
	w := visitPage(newTestConsole(t, s, admin), "GET", "capped.csv", "en", nil)
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if w.Code != 200 || len(lines) != 1+len(l.Items) || !strings.Contains(lines[1], "'=1+1,'@SUM(A1),'-2 +3,session,2026-11-21T10:15:00Z") {
		t.Errorf("the file is %d %s", w.Code, w.Body)
	}
}

// The peaks are two files, too, of the days and the product that the page shows.
func TestUsageIsAFileToo(t *testing.T) {
	s := full()
	l := s.answers[api.PathPeaks].(api.List[api.Peak])
	l.Items[0].Name, l.Items[0].PooledAt = "=1+1", then
	c := newTestConsole(t, s, admin)
	if page := visitPage(c, "GET", "usage?days=30&product=p&q=x", "en", nil).Body.String(); !strings.Contains(page, `href="/console/usage.csv?days=30&amp;product=p"`) || !strings.Contains(page, `href="/console/usage.json?days=30&amp;product=p"`) {
		t.Errorf("the page does not lead to its files: %s", page)
	}
	for _, lang := range []string{"en", "fr", "de"} {
		if page := visitPage(c, "GET", "usage", lang, nil).Body.String(); strings.Contains(page, `name="q"`) || !strings.Contains(page, `name="days"`) {
			t.Errorf("in %s it searches for words, or has no filters: %s", lang, page)
		}
	}
	w := visitPage(c, "GET", "usage.csv?days=30", "en", nil)
	want := "day,product,name,machines,at,pooled,pooled_at\n2026-11-21,p,'=1+1,12,2026-11-21T10:15:00Z,3,2026-11-21T10:15:00Z\n"
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Disposition") != `attachment; filename=usage.csv` {
		t.Errorf("as CSV: %d %s %s; want %s", w.Code, w.Header(), w.Body, want)
	}
	w = visitPage(c, "GET", "usage.json?days=30", "en", nil)
	var got struct {
		From, To time.Time
		Items    []api.Peak
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Items) != 1 || got.Items[0] != l.Items[0] || !got.To.Equal(then) || !got.From.Equal(then.Truncate(24*time.Hour).AddDate(0, 0, -29)) {
		t.Errorf("as JSON: %d %s, %v", w.Code, w.Body, err)
	}
}

// What is too long to be searched for stays in its box, beside a sentence that says so.
func TestWhatIsTooLongToBeSearchedFor(t *testing.T) {
	s := full()
	var sought string
	s.heard = func(_ string, q url.Values) { sought += q.Get("q") }
	c := newTestConsole(t, s, admin)
	for lang, want := range map[string]string{"en": "longer than 200 bytes", "fr": "dépasse 200 octets", "de": "länger als 200 Byte"} {
		for _, path := range []string{"", "refusals", "checkouts", "users", "machines", "licenses", "capped", "audit"} {
			for q, kept := range map[string]string{strings.Repeat("ö", 101): strings.Repeat("ö", 101), "a\xff": "a\uFFFD"} {
				w := visitPage(c, "GET", path+"?"+url.Values{"q": {q}}.Encode(), lang, nil)
				if w.Code != 200 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), `name="q" value="`+kept+`"`) || strings.Contains(w.Body.String(), "<table") || sought != "" {
					t.Errorf("%q in %s: %d, having asked for %q: %s", path, lang, w.Code, sought, w.Body)
				}
			}
		}
	}
	if page := visitPage(c, "GET", "users?q="+strings.Repeat("o", 200), "en", nil).Body.String(); strings.Contains(page, "longer than") || sought == "" {
		t.Errorf("200 bytes are too long: %s", page)
	}
}

// A machine is one row, whatever is open on it.
func TestAMachineIsOneRow(t *testing.T) {
	s := full()
	open := func(id, kind, user, product string, since time.Time, m api.Machine) api.Open {
		return api.Open{ID: id, Kind: kind, User: user, Name: user, ProductName: product, Capped: "yes", LicenseType: "Practitioner", Machine: m, Since: since}
	}
	ws1, ws2 := api.Machine{ID: "m-1", Name: "WS-1"}, api.Machine{ID: "m-2", Name: "WS-2"}
	s.answers[api.PathOpen] = api.OpenList{Items: []api.Open{open("1", "session", "ada", "Road", then, ws1), open("2", "session", "ben", "Road", then, ws2),
		open("3", "checkout", "ada", "Bridge", then.Add(-time.Hour), ws1), open("4", "session", "eve", "Road", then, ws2)}, Total: 4, All: 4}
	c := newTestConsole(t, s, admin)
	for lang, want := range map[string][]string{"en": {"2 in all", ">session<", ">checkout<"}, "fr": {"2 en tout", ">session<", ">emprunt<"}, "de": {"2 insgesamt", ">Sitzung<", ">Ausleihe<"}} {
		page := visitPage(c, "GET", "machines", lang, nil).Body.String()
		for _, want := range append(want, ">Road, Bridge<", ">ben, eve<", `href="/console/users/ada"`, `datetime="2026-11-21T09:15:00Z"`) {
			if !strings.Contains(page, want) {
				t.Errorf("in %s it lacks %q: %s", lang, want, page)
			}
		}
		if n := strings.Count(page, `href="/console/machine?id=m-1`); n != 1 {
			t.Errorf("in %s WS-1 is %d rows", lang, n)
		}
	}
}

// The site CA's certificate, and those that a node shows, are on the cluster's page.
func TestCertificatesAreShown(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, Administrator{Name: "vera", Role: Viewer})
	for lang, want := range map[string][]string{"en": {">Certificates<", ">site CA<", ">soon<", ">ended<", "cannot be used; the one of before"}, "fr": {">Certificats<", ">AC du site<", "le précédent est présenté"}, "de": {">Zertifikate<", ">CA des Standorts<", "das vorige wird vorgezeigt"}} {
		page := visitPage(c, "GET", "cluster", lang, nil).Body.String()
		for _, want := range append(want, "aa:bb", "cc:dd", `datetime="2026-12-21T10:15:00Z"`) {
			if !strings.Contains(page, want) {
				t.Errorf("in %s it lacks %q: %s", lang, want, page)
			}
		}
	}
}

// For a license that is lost with its user there are the texts of both service requests, to
// be copied.
func TestALostLicenseHasBothServiceRequests(t *testing.T) {
	page := visitPage(newTestConsole(t, full(), admin), "GET", "licenses/l-1", "en", nil).Body.String()
	for _, want := range []string{">Service request</h2>", "Category: Licensing assistance\nProduct: ", `data-copy="request-0-copy"`, `data-copy="request-1-copy"`} {
		if !strings.Contains(page, want) {
			t.Errorf("it lacks %q: %s", want, page)
		}
	}
}

// Where it is known that the cloud takes no moves, and where they are made, a link leads
// there in place of the form.
func TestMovesAreMadeInThePortalWhereTheCloudTakesNone(t *testing.T) {
	s := full()
	x := s.answers[api.PathSiteLicenses+"/l-1"].(api.SiteLicense)
	x.NotFound = false
	s.answers[api.PathSiteLicenses+"/l-1"] = x
	s.answers[api.PathSiteLicenses] = api.SiteLicenseList{Items: []api.SiteLicense{x}, Total: 1}
	c := newTestConsole(t, s, admin)
	const portal = "https://portal.example.com/licenses"
	for name, test := range map[string]struct {
		cloud api.CloudOffers
		there bool
	}{
		"none, and it is said where":     {api.CloudOffers{Moves: &api.Offer{}, Portal: portal}, true},
		"none, and it is not said where": {api.CloudOffers{Moves: &api.Offer{}}, false},
		"not known":                      {api.CloudOffers{Portal: portal}, false},
		"takes them":                     {api.CloudOffers{Moves: &api.Offer{Offered: true}, Portal: portal}, false},
		"no page":                        {api.CloudOffers{Moves: &api.Offer{}, Portal: "javascript:alert(1)"}, false},
	} {
		status := s.answers[api.PathStatus].(api.Status)
		status.Cloud = test.cloud
		s.answers[api.PathStatus] = status
		for lang, words := range map[string]string{"en": "Move in the vendor’s portal", "fr": "Réaffecter dans le portail de l’éditeur", "de": "Im Portal des Herstellers umweisen"} {
			for _, path := range []string{"licenses", "licenses/l-1"} {
				page := visitPage(c, "GET", path, lang, nil).Body.String()
				if strings.Contains(page, `href="`+portal+`"`) != test.there || strings.Contains(page, ">"+words+"<") != test.there || strings.Contains(page, `href="/console/licenses/l-1/move"`) == test.there {
					t.Errorf("%s, %s in %s: %s", name, path, lang, page)
				}
			}
		}
	}
}

// The audit trail is shown with names to who may see them, is verified when somebody asks
// for it, and is had as a file that a spreadsheet takes no formula from.
func TestTheAuditTrailIsShown(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	if page := visitPage(c, "GET", "audit", "en", nil).Body.String(); !strings.Contains(page, "blocked") || !strings.Contains(page, `href="/console/audit?before=7"`) || strings.Contains(page, "pseudonyms only") {
		t.Errorf("the page is %s", page)
	}
	if page := visitPage(newTestConsole(t, s, Administrator{Name: "vera", Role: Viewer}), "GET", "audit", "en", nil).Body.String(); !strings.Contains(page, "pseudonyms only") {
		t.Errorf("a viewer's page is %s", page)
	}
	if page := visitPage(c, "GET", "audit/verify", "en", nil).Body.String(); !strings.Contains(page, "record 5") || !strings.Contains(page, `data-live=""`) {
		t.Errorf("broken, it is said so by %s", page)
	}
	s.answers[api.PathTrail+"/verify"] = api.AuditVerified{Holds: true, First: 1, Number: 7}
	if page := visitPage(c, "GET", "audit/verify", "en", nil).Body.String(); !strings.Contains(page, "The audit trail holds") {
		t.Errorf("whole, it is said so by %s", page)
	}
	w := visitPage(c, "GET", "audit.csv", "en", nil)
	if lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n"); w.Code != 200 || len(lines) != 2 || !strings.HasPrefix(lines[1], "7,2026-11-21T10:15:00Z,blocked,") || !strings.Contains(lines[1], ",00ff,'=1+1,") {
		t.Errorf("the file is %d %s", w.Code, w.Body)
	}
}

// What a node goes by is shown to who may act, in two parts: what a reload takes, and what
// waits for a restart.
func TestANodesSettingsAreShown(t *testing.T) {
	page := visitPage(newTestConsole(t, full(), admin), "GET", "settings", "en", nil).Body.String()
	if a, b := strings.Index(page, "egress.no_proxy"), strings.Index(page, `id="node-h"`); a < 0 || b < a || !strings.Contains(page, "sitegate.yaml:12") {
		t.Errorf("the settings are %s", page)
	}
	if page := visitPage(newTestConsole(t, full(), Administrator{Name: "vera", Role: Viewer}), "GET", "settings", "en", nil).Body.String(); strings.Contains(page, "egress.no_proxy") || !strings.Contains(page, "rules.lease_ttl") {
		t.Errorf("a viewer's settings are %s", page)
	}
}

// The way out is examined from its page: what was found is shown, with a table to be copied.
func TestTheWayOutIsExamined(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, Administrator{Name: "otto", Role: Operator})
	saw := regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(visitPage(c, "GET", "connectivity/doctor", "en", nil).Body.String())[1]
	w := visitPage(c, "POST", "connectivity/doctor", "en", url.Values{"saw": {saw}})
	for _, want := range []string{"1 check failed", "FAIL", "refused", "10.0.0.1\ta.example:443\tTCP, TLS\t", `data-copy="firewall-text-copy"`, `data-live=""`} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("examined: %d without %q: %s", w.Code, want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "<script>") || len(s.posted) != 1 || !strings.HasPrefix(s.posted[0], "/v1/node/doctor") {
		t.Errorf("asked for %v: %s", s.posted, w.Body)
	}
}

// A node is reloaded from the page of its settings, which says what waits for a restart.
func TestANodeIsReloaded(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	if page := visitPage(c, "GET", "settings", "en", nil).Body.String(); !strings.Contains(page, Base+"settings/reload") {
		t.Error("an administrator's page of settings has no way to reload the node")
	}
	form := visitPage(c, "GET", "settings/reload", "en", nil).Body.String()
	w := visitPage(c, "POST", "settings/reload", "en", url.Values{"saw": {regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(form)[1]}})
	for _, want := range []string{"read anew", "PAC file", "has changed in this node", "once the node is restarted", "node\n"} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("reloaded: %d without %q: %s", w.Code, want, w.Body)
		}
	}
	if len(s.posted) != 1 || !strings.HasPrefix(s.posted[0], api.PathReload) || strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("asked for %v: %s", s.posted, w.Body)
	}
	c = newTestConsole(t, full(), Administrator{Name: "otto", Role: Operator})
	if w := visitPage(c, "GET", "settings/reload", "en", nil); w.Code != 403 {
		t.Errorf("an operator gets %d; want 403", w.Code)
	}
}

// Every page is among those that tests open, and among those that a browser does.
func TestEveryPageIsLookedAt(t *testing.T) {
	source, err := os.ReadFile("../../integration/console/console_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var browsed []string // of "users/" + an id the beginning
	for _, m := range regexp.MustCompile(`\{"([^"]*)"(?: \+ [^,{}]+)?, "`).FindAllStringSubmatch(string(source), -1) {
		browsed = append(browsed, m[1])
	}
	find := func(all []string, path string) bool {
		id := strings.NewReplacer("{$}", "", `\{id\}`, "[^/?]*")
		is := regexp.MustCompile("^" + id.Replace(strings.ReplaceAll(regexp.QuoteMeta(path), `\{\$\}`, "{$}")) + `(\?.*)?$`)
		return slices.ContainsFunc(all, is.MatchString)
	}
	c := newTestConsole(t, full(), admin)
	for _, p := range c.pages() {
		if !find(everywhere, p.path) {
			t.Errorf("%s is not among the pages that tests open", p.path)
		}
		if !find(browsed, p.path) {
			t.Errorf("%s is not among the pages that a browser opens", p.path)
		}
	}
}
