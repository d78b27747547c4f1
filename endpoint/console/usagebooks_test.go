package console

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// How long usage waits, and what the vendor refuses and why, is on the Usage page; what it
// refuses is sent again, for a reason.
func TestRefusedUsageIsShownAndSentAgain(t *testing.T) {
	s := full()
	list := api.List[api.RefusedUsage]{}
	for i := range 120 {
		list.Items = append(list.Items, api.RefusedUsage{Record: fmt.Sprintf("record-%03d", i), Kind: "session", User: "ada", Machine: "WS-1", Product: "road", Started: then, Ended: then.Add(time.Hour), Refused: then, Why: "no such user"})
	}
	s.answers[api.PathRefused] = list
	c := newTestConsole(t, s, admin)
	page := visitPage(c, "GET", "usage", "en", nil).Body.String()
	for _, want := range []string{">5 h 0 min<", "since 2026-11-21 05:15 UTC", "record-000", "record-009", "no such user", "Show all 120", Base + "usage/resend", Base + "usage/audit"} {
		if !strings.Contains(page, want) {
			t.Errorf("the Usage page lacks %q", want)
		}
	}
	if strings.Contains(page, "record-010") {
		t.Error("the Usage page lists all that is refused")
	}
	seen := 0
	for path := "usage/refused"; path != ""; {
		page := visitPage(c, "GET", path, "en", nil).Body.String()
		seen += strings.Count(page, "<small dir=\"auto\">record-")
		path = ""
		if m := regexp.MustCompile(`rel="next" href="/console/([^"]*)"`).FindStringSubmatch(page); m != nil {
			path = m[1]
		}
	}
	if seen != 120 {
		t.Errorf("%d of 120 are found by the pages", seen)
	}
	for _, after := range []string{"-1", "x", "100000"} {
		if w := visitPage(c, "GET", "usage/refused?after="+after, "en", nil); w.Code != 200 {
			t.Errorf("from %s on: %d", after, w.Code)
		}
	}

	form := visitPage(c, "GET", "usage/resend", "en", nil).Body.String()
	saw := regexp.MustCompile(`name="saw" value="([^"]*)"`).FindStringSubmatch(form)[1]
	if w := visitPage(c, "POST", "usage/resend", "en", url.Values{"saw": {saw}}); w.Code != 422 || len(s.posted) != 0 {
		t.Errorf("without a reason: %d, asked %v", w.Code, s.posted)
	}
	s.answers[api.PathRefused+"/resend"] = api.List[api.RefusedUsage]{Items: list.Items[:3]}
	w := visitPage(c, "POST", "usage/resend", "en", url.Values{"saw": {saw}, "reason": {"ticket 7"}})
	if want := `/v1/usage/refused/resend {"by":"ida","note":"ticket 7"}`; len(s.posted) != 1 || s.posted[0] != want {
		t.Errorf("asked %v, want %s", s.posted, want)
	}
	if !strings.Contains(w.Body.String(), "By now 117 of 120 are taken") || !strings.Contains(w.Body.String(), "record-002") {
		t.Errorf("what came of it: %s", w.Body)
	}
	s.answers[api.PathRefused+"/resend"] = api.List[api.RefusedUsage]{}
	if w := visitPage(c, "POST", "usage/resend", "en", url.Values{"saw": {saw}, "reason": {"ticket 7"}}); !strings.Contains(w.Body.String(), "has taken all of them") {
		t.Errorf("where all were taken: %s", w.Body)
	}
	s.answers[api.PathRefused] = api.List[api.RefusedUsage]{}
	if w := visitPage(c, "GET", "usage/resend", "en", nil); w.Code != 410 {
		t.Errorf("nothing to send again: %d, want 410", w.Code)
	}
}

// Gaps are listed, and where there are none the page says so.
func TestGapsInUsageAreShown(t *testing.T) {
	s := full()
	s.answers[api.PathAudit] = api.UsageAudit{From: 1, Through: 90, Findings: []api.UsageFinding{{Kind: "no-record", Seq: 7, Record: "r-7", User: "ada", Detail: "it does not run any more"}}, More: 2}
	c := newTestConsole(t, s, admin)
	page := visitPage(c, "GET", "usage/audit", "en", nil).Body.String()
	for _, want := range []string{"Gaps or doubles were found: 3", "it has no record", "r-7", "it does not run any more", "And 2 more"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	s.answers[api.PathAudit] = api.UsageAudit{From: 1, Through: 90}
	if page := visitPage(c, "GET", "usage/audit", "en", nil).Body.String(); !strings.Contains(page, "No gap, and nothing twice") || strings.Contains(page, `role="alert"`) {
		t.Error("nothing was found, and the page does not say so")
	}
}
