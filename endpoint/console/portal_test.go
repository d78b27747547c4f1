package console

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// hiddenOf are what the form of a page keeps.
func hiddenOf(page string) url.Values {
	all := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		all.Set(m[1], m[2])
	}
	return all
}

// bring sends files by the form for them.
func bring(t *testing.T, c *Console, files map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	fields := hiddenOf(visitPage(c, "GET", importPath, "en", nil).Body.String())
	fields.Set("reason", "portal of <today>")
	for name := range fields {
		if err := form.WriteField(name, fields.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		part, err := form.CreateFormFile(name, name+".csv")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", Base+importPath, &b)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

// askedFor are the requests to import, and forgets them.
func (s *site) askedFor(t *testing.T) (all []api.PortalRequest) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.posted {
		var in api.PortalRequest
		if err := json.Unmarshal([]byte(strings.TrimPrefix(p, api.PathMirror+"/files ")), &in); err != nil {
			t.Fatalf("%v: %s", err, p)
		}
		all = append(all, in)
	}
	s.posted = nil
	return all
}

// What files would change is shown first; what is confirmed then is what was shown, of the
// very files that were brought.
func TestAnImportIsLookedAtFirst(t *testing.T) {
	s := full()
	report := api.PortalReport{DryRun: true, Saw: "00ff", Changes: 300, NotFound: 2, Uncapped: 1, Counts: []api.PortalCount{{Kind: "user", New: 1, Changed: 298, Gone: 1}},
		Items: []api.PortalChange{{Now: &api.MirrorRecord{Kind: "user", ID: nasty, Name: nasty, Country: "DE", Blocked: true}},
			{Was: &api.MirrorRecord{Kind: "license", ID: "l-1", Product: "p", Assignee: "u-1", Ends: then, AssignedAt: then}, Now: &api.MirrorRecord{Kind: "license", ID: "l-1", Product: "p", Ends: then}},
			{Was: &api.MirrorRecord{Kind: "product", ID: "p-1", Name: "Road", Capped: "yes"}}}}
	s.answers[api.PathMirror+"/files"] = report
	c := newTestConsole(t, s, admin)
	if w := visitPage(c, "GET", "licenses", "en", nil); !strings.Contains(w.Body.String(), `href="/console/mirror/import"`) {
		t.Error("the licenses do not lead to it")
	}
	users, licenses := "User ID,Country\nJ\xfcrgen,DE\n", "\xff\xfeL\x00"
	w := bring(t, c, map[string]string{"users": users, "licenses": licenses})
	page := w.Body.String()
	for _, want := range []string{"would change 300 records", "Import these 300 changes", "the first 3; there are 297 more", `class="danger"`, "2 licenses are of users", "1 rows say", "blocked by the vendor",
		"p · u-1 · … 2026-11-21 · assigned on 2026-11-21", "p · not assigned", "portal of &lt;today&gt;", `<span class="tag bad">gone</span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the preview lacks %q", want)
		}
	}
	if w.Code != 200 || strings.Contains(page, "<script>alert") || strings.Contains(page, "\u202e") {
		t.Errorf("%d, or the preview runs what is in the file", w.Code)
	}
	want := []api.PortalFile{{Name: "users.csv", Data: []byte(users)}, {Name: "licenses.csv", Data: []byte(licenses)}}
	same := func(a, b api.PortalFile) bool { return a.Name == b.Name && bytes.Equal(a.Data, b.Data) }
	if asked := s.askedFor(t); len(asked) != 1 || !asked[0].DryRun || asked[0].Saw != "" || asked[0].By != admin.Name || asked[0].Note != "portal of <today>" || !slices.EqualFunc(asked[0].Files, want, same) {
		t.Errorf("asked for %+v", asked)
	}

	confirm := hiddenOf(page)
	confirm.Set("reason", "portal of <today>")
	report.DryRun = false
	s.answers[api.PathMirror+"/files"] = report
	if w := visitPage(c, "POST", importPath, "en", confirm); w.Code != 303 || w.Header().Get("Location") != "/console/licenses?done=import" {
		t.Errorf("confirmed: %d %s", w.Code, w.Body)
	}
	if asked := s.askedFor(t); len(asked) != 1 || asked[0].DryRun || asked[0].Saw != "00ff" || !slices.EqualFunc(asked[0].Files, want, same) {
		t.Errorf("asked for %+v", asked)
	}
	for name, kept := range map[string]string{"no base64": "%", "no archive": "AAAA"} {
		confirm.Set("kept", kept)
		if w := visitPage(c, "POST", importPath, "en", confirm); w.Code != 422 || !strings.Contains(w.Body.String(), "could not be read") || len(s.askedFor(t)) != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := bring(t, c, nil); w.Code != 422 || !strings.Contains(w.Body.String(), "Choose a file of users") || !strings.Contains(w.Body.String(), "portal of &lt;today&gt;") {
		t.Errorf("no files: %d %s", w.Code, w.Body)
	}
}

// Where something has changed meanwhile nothing is done: what would change now is shown.
func TestAStaleImportIsShownAnew(t *testing.T) {
	s := full()
	s.answers[api.PathMirror+"/files"] = api.PortalReport{DryRun: true, Saw: "00ff", Changes: 1}
	c := newTestConsole(t, s, admin)
	confirm := hiddenOf(bring(t, c, map[string]string{"users": "User ID,Country\n"}).Body.String())
	s.askedFor(t)
	s.stale = "00aa"
	s.answers[api.PathMirror+"/files"] = api.PortalReport{DryRun: true, Saw: "00aa", Changes: 2}
	w := visitPage(c, "POST", importPath, "en", confirm)
	if anew := hiddenOf(w.Body.String()); w.Code != 200 || anew.Get("diff") != "00aa" || !strings.Contains(w.Body.String(), `role="alert"`) || !strings.Contains(w.Body.String(), "would change 2 records") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if asked := s.askedFor(t); len(asked) != 1 || !asked[0].DryRun {
		t.Errorf("asked for %+v", asked)
	}
}

// What is wrong with files is told by line, and the form is there once more.
func TestFaultsOfAnImportAreShown(t *testing.T) {
	s := full()
	s.answers[api.PathMirror+"/files"] = api.PortalReport{DryRun: true, Faults: []api.PortalFault{{File: nasty, Line: 7, Column: "End date", Reason: "row-date", Text: "“soon” is no date"}, {File: "users.csv", Reason: "file-no-text", Text: "It is no text file"}}}
	c := newTestConsole(t, s, admin)
	page := bring(t, c, map[string]string{"users": "x"}).Body.String()
	for _, want := range []string{"Nothing was imported", ">7<", "End date", "“soon” is no date", "It is no text file", `name="users"`, "portal of &lt;today&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if hiddenOf(page).Get("kept") != "" || strings.Contains(page, "<script>alert") {
		t.Error("it can be confirmed, or runs what is in the file")
	}
}

// A site that follows the feed imports nothing, and says where to change it.
func TestASiteWithAFeedImportsNothing(t *testing.T) {
	s := full()
	status := s.answers[api.PathStatus].(api.Status)
	status.Mirror.Cursor = "c1"
	s.answers[api.PathStatus] = status
	if w := visitPage(newTestConsole(t, s, admin), "GET", importPath, "en", nil); w.Code != 410 || !strings.Contains(w.Body.String(), "follows the cloud’s feed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := visitPage(newTestConsole(t, s, admin), "GET", "licenses", "en", nil); strings.Contains(w.Body.String(), importPath) {
		t.Error("the licenses lead to where there is nothing to do")
	}
	operator := newTestConsole(t, full(), Administrator{Name: "otto", Role: Operator})
	if w := visitPage(operator, "POST", importPath, "en", url.Values{"kept": {"x"}}); w.Code != 403 {
		t.Errorf("an operator imports: %d", w.Code)
	}
	if w := visitPage(operator, "GET", "licenses", "en", nil); strings.Contains(w.Body.String(), importPath) {
		t.Error("an operator is led to it")
	}
}

// The form is the only one that may bring much.
func TestAFormIsBounded(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	for path, want := range map[string]int{importPath: 422, "checkouts/bulk": 400} {
		form := url.Values{"csv": {strings.Repeat("x", maxForm)}, "saw": hiddenOf(visitPage(c, "GET", path, "en", nil).Body.String())["saw"], "reason": {"x"}}
		if w := visitPage(c, "POST", path, "en", form); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

// hurried is a client's connection that has a deadline until it is lifted.
type hurried struct {
	*httptest.ResponseRecorder
	lifted bool
}

func (h *hurried) SetReadDeadline(t time.Time) error {
	h.lifted = t.IsZero()
	return nil
}

// Who has sent a form may wait for what it does; who is still sending is not waited for.
func TestOnlyAWholeFormLiftsTheDeadline(t *testing.T) {
	c := newTestConsole(t, full(), admin)
	for text, whole := range map[string]bool{"reason=x": true, "reason=" + strings.Repeat("x", maxForm): false} {
		r := httptest.NewRequest("POST", Base+"machine/block?name=WS-1", strings.NewReader(text))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := &hurried{ResponseRecorder: httptest.NewRecorder()}
		if c.ServeHTTP(w, r); w.lifted != whole {
			t.Errorf("a form of %d bytes is answered %d, and the deadline lifted: %t", len(text), w.Code, w.lifted)
		}
	}
}
