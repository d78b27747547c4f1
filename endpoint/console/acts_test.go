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

	"sitegate/api"
)

// A machine that is blocked is let in again from its own page, and not blocked twice.
func TestABlockedMachineIsUnblocked(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	s.heard = func(path string, q url.Values) {
		if path == api.PathBlocks && (q.Get("machine") != "WS-1" || q.Get("machine_id") != "m-1") {
			t.Errorf("the blocks are asked for with %v; want those of the machine", q)
		}
	}
	blocked := func(m ...api.Machine) {
		var l api.List[api.Block]
		for i := range m {
			l.Items = append(l.Items, api.Block{Machine: &m[i], By: "otto", Note: "lost", Since: then})
		}
		s.answers[api.PathBlocks] = l
	}
	for name, test := range map[string]struct {
		blocked []api.Machine
		act     string // that is offered
		href    string // where
		other   string
	}{
		"nothing":           {nil, "block", "machine/block?id=m-1&amp;name=WS-1", "unblock"},
		"another":           {[]api.Machine{{ID: "m-2", Name: "WS-1"}, {Name: "WS-2"}}, "block", "machine/block?id=m-1&amp;name=WS-1", "unblock"},
		"it, by its id":     {[]api.Machine{{ID: "m-2", Name: "WS-2"}, {ID: "m-1", Name: "WS-9"}}, "unblock", "machine/unblock?id=m-1&amp;name=WS-9", "block"},
		"it, by its name":   {[]api.Machine{{Name: "ws-1"}}, "unblock", "machine/unblock?name=ws-1", "block"},
		"it, without names": {[]api.Machine{{ID: "m-1"}}, "unblock", "machine/unblock?id=m-1", "block"},
	} {
		blocked(test.blocked...)
		page := visitPage(c, "GET", "machine?name=WS-1&id=m-1", "en", nil).Body.String()
		if !strings.Contains(page, Base+test.href) || strings.Contains(page, Base+"machine/"+test.other+"?") || strings.Contains(page, ">otto<") != (test.act == "unblock") {
			t.Errorf("blocked is %s: the page does not offer to %s, alone, or does not tell who did", name, test.act)
		}
		for act, want := range map[string]int{test.act: 200, test.other: 410} {
			if w := visitPage(c, "GET", "machine/"+act+"?name=WS-1&id=m-1", "en", nil); w.Code != want {
				t.Errorf("blocked is %s: asked to %s: %d, want %d", name, act, w.Code, want)
			}
		}
	}
}

// An act names what it does, asks for the reason, is done as who is signed in, and goes back.
func TestAnActIsNamedReasonedAndDone(t *testing.T) {
	s := full()
	one := s.answers[api.PathOpen].(api.OpenList)
	one.Items = one.Items[:1]
	s.answers[api.PathOpen] = one
	c := newTestConsole(t, s, admin)
	const path = "sessions/0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f/free"
	page := visitPage(c, "GET", path, "en", nil).Body.String()
	for _, want := range []string{"What this does", "is told at once", `name="reason"`, "required"} {
		if !strings.Contains(page, want) {
			t.Errorf("the form lacks %q", want)
		}
	}
	saw := regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(page)[1]

	if w := visitPage(c, "POST", path, "en", url.Values{"saw": {saw}}); w.Code != 422 || !strings.Contains(w.Body.String(), "Say why") {
		t.Errorf("without a reason: %d", w.Code)
	}
	if w := visitPage(c, "POST", path, "en", url.Values{"saw": {"other"}, "reason": {"she is on leave"}}); w.Code != 409 || !strings.Contains(w.Body.String(), "she is on leave") || !strings.Contains(w.Body.String(), "changed meanwhile") {
		t.Errorf("a stale form: %d %s", w.Code, w.Body)
	}
	for lang, want := range map[string]string{"en": "has control characters", "fr": "caractères de contrôle", "de": "hat Steuerzeichen"} {
		if w := visitPage(c, "POST", path, lang, url.Values{"saw": {saw}, "reason": {"a\x07b"}}); w.Code != 422 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("a reason that rings, in %s: %d %s", lang, w.Code, w.Body)
		}
	}
	if len(s.posted) != 0 {
		t.Fatalf("it was done: %v", s.posted)
	}
	s.problem = &api.Problem{Code: "no-quorum", Status: 503, Title: "No majority", Detail: "Wait a moment.", Next: []string{"Try again."}, RequestID: "r-1"}
	if w := visitPage(c, "POST", path, "en", url.Values{"saw": {saw}, "reason": {"she is on leave"}}); w.Code != 503 || !strings.Contains(w.Body.String(), "No majority") || !strings.Contains(w.Body.String(), "she is on leave") {
		t.Errorf("where the site cannot: %d", w.Code)
	}
	s.problem = nil
	w := visitPage(c, "POST", path+"?back=refusals", "en", url.Values{"saw": {saw}, "reason": {" she is\r\non leave\n"}})
	if w.Code != 303 || w.Header().Get("Location") != Base+"refusals?done=free" {
		t.Errorf("done: %d to %s", w.Code, w.Header().Get("Location"))
	}
	if want := `/v1/sessions/0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f/release {"by":"ida","note":"she is on leave"}`; len(s.posted) != 1 || s.posted[0] != want {
		t.Errorf("asked for %v; want %s", s.posted, want)
	}
	if page := visitPage(c, "GET", "refusals?done=free", "en", nil).Body.String(); !strings.Contains(page, "told to let go") {
		t.Error("it is not said that it was done")
	}
	s.answers[api.PathOpen] = api.OpenList{}
	if w := visitPage(c, "POST", path, "en", url.Values{"saw": {saw}, "reason": {"she is on leave"}}); w.Code != 410 || !strings.Contains(w.Body.String(), "she is on leave") {
		t.Errorf("sent twice: %d %s", w.Code, w.Body)
	}
}

// Under a reason stands who reads it.
func TestWhoReadsAReason(t *testing.T) {
	c := newTestConsole(t, full(), admin)
	for lang, says := range map[string][2]string{"en": {"The user reads it", "users do not"}, "fr": {"L’utilisateur la lit", "les utilisateurs, non"}, "de": {"Der Benutzer liest ihn", "Benutzer lesen ihn nicht"}} {
		for path, want := range map[string]string{"users/u-1/free": says[0], "cluster/nodes/n2/remove": says[1], "rollout/bypass": says[1], "rollout/bypass/over": says[1]} {
			page := visitPage(c, "GET", path, lang, nil).Body.String()
			if !strings.Contains(page, want) || strings.Contains(page, says[0]) && want == says[1] {
				t.Errorf("%s in %s lacks %q, or says that the user reads it: %s", path, lang, want, page)
			}
		}
	}
}

// Whichever node one looks at, each can be drained, and whichever leads hands over.
func TestAnyNodeIsDrainedFromAnyPage(t *testing.T) {
	s := full()
	l := s.answers[api.PathMembers].(api.List[api.ClusterMember])
	l.Items[0].Role, l.Items[1].Role = api.RoleVoter, api.RoleLeader // the page is of n1
	c := newTestConsole(t, s, admin)
	page := visitPage(c, "GET", "cluster", "en", nil).Body.String()
	for _, want := range []string{`href="/console/cluster/nodes/n1/drain"`, `href="/console/cluster/nodes/n2/drain"`, `href="/console/cluster/step-down"`, `aria-label="Drain: n2"`} {
		if strings.Count(page, want) != 1 {
			t.Errorf("the page has %d of %s", strings.Count(page, want), want)
		}
	}
	for path, closes := range map[string]bool{"cluster/nodes/n1/drain": true, "cluster/nodes/n2/drain": false} {
		if page := visitPage(c, "GET", path, "en", nil).Body.String(); strings.Contains(page, "the console closes here") != closes {
			t.Errorf("%s: %s", path, page)
		}
	}
	page = visitPage(c, "GET", "cluster/step-down", "en", nil).Body.String()
	if !strings.Contains(page, "Hand over leadership: n2") {
		t.Errorf("it is not n2 that hands over: %s", page)
	}
	saw := func(path string) string {
		return regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(visitPage(c, "GET", path, "en", nil).Body.String())[1]
	}
	if w := visitPage(c, "POST", "cluster/nodes/n2/drain", "en", url.Values{"saw": {saw("cluster/nodes/n2/drain")}, "reason": {"a new disk"}}); w.Code != 303 {
		t.Errorf("draining n2: %d %s", w.Code, w.Body)
	}
	if want := `/v1/cluster/drain {"node":"n2","over_ms":60000,"note":"a new disk"}`; len(s.posted) != 1 || s.posted[0] != want {
		t.Errorf("asked for %v; want %s", s.posted, want)
	}
	before := saw("cluster/step-down")
	l.Items[0].Role, l.Items[1].Role, l.Items[1].Drained = api.RoleLeader, api.RoleVoter, true
	if w := visitPage(c, "POST", "cluster/step-down", "en", url.Values{"saw": {before}, "reason": {"a new disk"}}); w.Code != 409 || len(s.posted) != 1 {
		t.Errorf("another one leads by then: %d", w.Code)
	}
	if w := visitPage(c, "GET", "cluster/nodes/n2/drain", "en", nil); w.Code != 410 {
		t.Errorf("a drained node: %d; want 410", w.Code)
	}
	l.Items[0].Role = api.RoleVoter
	if w := visitPage(c, "GET", "cluster/step-down", "en", nil); w.Code != 410 || !strings.Contains(w.Body.String(), "Nobody leads") {
		t.Errorf("without a leader: %d", w.Code)
	}
}

// A join token is issued once for a form, and is on no other page.
func TestAJoinTokenIsIssuedOnce(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	page := visitPage(c, "GET", "cluster/join", "en", nil).Body.String()
	form := url.Values{"for": {"24h"}}
	for _, name := range []string{"saw", "once"} {
		form.Set(name, regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)[1])
	}
	if w := visitPage(c, "POST", "cluster/join", "en", form); w.Code != 200 || !strings.Contains(w.Body.String(), "the-token") || !strings.Contains(w.Body.String(), "sitegate cluster join") {
		t.Errorf("it was answered with %d %s", w.Code, w.Body)
	}
	if w := visitPage(c, "POST", "cluster/join", "en", form); w.Code != 409 || strings.Contains(w.Body.String(), "the-token") {
		t.Errorf("sent again, it was answered with %d", w.Code)
	}
	if want := `/v1/cluster/tokens {"for_ms":86400000,"by":"ida"}`; len(s.posted) != 1 || s.posted[0] != want {
		t.Errorf("asked for %v; want %s", s.posted, want)
	}
}

// A file is read as spreadsheets write it, in UTF-8 or in Windows-1252, and what is neither
// is not guessed at.
func TestAFileOfManyCheckoutsIsRead(t *testing.T) {
	for name, x := range map[string]struct {
		file, text string
		bad        bool
	}{
		"UTF-8":        {file: "user,machine\nJürgen,WS-1\n", text: "user,machine\nJürgen,WS-1\n"},
		"with a mark":  {file: "\ufeffuser,machine\nada,WS-1\n", text: "\ufeffuser,machine\nada,WS-1\n"},
		"Windows-1252": {file: "user;machine\nJ\xfcrgen;B\xfcro \x80\n", text: "user;machine\nJürgen;Büro €\n"},
		"no letter":    {file: "user,machine\nJ\x81rgen,\xfc\n", bad: true},
		"UTF-16":       {file: "\xff\xfeu\x00s\x00e\x00r\x00", bad: true},
	} {
		s := full()
		s.answers[api.PathCheckouts+"/bulk"] = api.BulkReport{Rows: 1, DryRun: true}
		c := newTestConsole(t, s, admin)
		saw := regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(visitPage(c, "GET", "checkouts/bulk", "en", nil).Body.String())[1]
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		for k, v := range map[string]string{"saw": saw, "reason": "a course", "product": "p"} {
			form.WriteField(k, v)
		}
		part, err := form.CreateFormFile("file", "people.csv")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, x.file)
		form.Close()
		r := httptest.NewRequest("POST", Base+"checkouts/bulk", &b)
		r.Header.Set("Content-Type", form.FormDataContentType())
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		var asked api.BulkCheckoutRequest
		if len(s.posted) == 1 {
			if err := json.Unmarshal([]byte(strings.TrimPrefix(s.posted[0], "/v1/checkouts/bulk ")), &asked); err != nil {
				t.Fatal(err)
			}
		}
		if (w.Code != 200) != x.bad || asked.CSV != x.text || x.bad != strings.Contains(w.Body.String(), "cannot be read") {
			t.Errorf("%s: %d, asked for %q; want %q", name, w.Code, asked.CSV, x.text)
		}
	}
}

// Whoever frees all that a user has open frees what the form has shown: if something else
// is open by then, they are asked once more.
func TestAUserIsFreedOfWhatWasShown(t *testing.T) {
	s := full()
	c := newTestConsole(t, s, admin)
	saw := func() string {
		page := visitPage(c, "GET", "users/u-1/free", "en", nil).Body.String()
		return regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(page)[1]
	}
	send := func(saw string) *httptest.ResponseRecorder {
		return visitPage(c, "POST", "users/u-1/free", "en", url.Values{"saw": {saw}, "reason": {"she is on leave"}})
	}
	before := saw()
	s.mu.Lock()
	l := s.answers[api.PathOpen].(api.OpenList)
	another := l.Items[0]
	another.ID = "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e7f"
	l.Items = append(slices.Clone(l.Items), another)
	s.answers[api.PathOpen] = l
	s.mu.Unlock()
	if w := send(before); w.Code != 409 || !strings.Contains(w.Body.String(), "changed meanwhile") || len(s.posted) != 0 {
		t.Errorf("with another session by then: %d, posted %v", w.Code, s.posted)
	}
	if w := send(saw()); w.Code != 303 || len(s.posted) != 1 {
		t.Errorf("seen anew: %d, posted %v", w.Code, s.posted)
	}
}
