package console

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sitegate/api"
)

// A page of a user or a machine shows what happened to who says why, and asks anybody else.
func TestAHistoryIsAskedFor(t *testing.T) {
	s := full()
	s.answers[api.PathHistory] = api.HistoryList{Items: []api.HistoryItem{{Seq: 3, At: then, Kind: "granted", Text: "It has happened.", User: "u-1"}}, Next: "2"}
	asked := 0
	s.heard = func(path string, _ url.Values) {
		if path == api.PathHistory {
			asked++
		}
	}
	c := newTestConsole(t, s, admin)
	for path, hidden := range map[string]string{"users/u-1": "", "machine?name=WS-1&id=m-1": `<input type="hidden" name="id" value="m-1"><input type="hidden" name="name" value="WS-1">`} {
		with := path + "?reason="
		if hidden != "" {
			with = path + "&reason="
		}
		for _, closed := range []string{path, with, with + "%20", with + strings.Repeat("%C3%A4", 129), with + "a%0ab"} {
			page := visitPage(c, "GET", closed, "en", nil).Body.String()
			if strings.Contains(page, "It has happened.") || !strings.Contains(page, `name="reason"`) || !strings.Contains(page, hidden) {
				t.Errorf("%s does not ask why, or shows what happened: %s", closed, page)
			}
			if live := strings.Contains(page, `data-live="/console/live"`); live != (len(closed) <= len(with)+3) {
				t.Errorf("%s is kept up to date: %t", closed, live)
			}
			if bad := strings.Contains(page, "longer than 256 bytes"); bad != (len(closed) > len(with)+3) {
				t.Errorf("%s says that the reason is no good: %t", closed, bad)
			}
		}
		page := visitPage(c, "GET", with+"ticket-7", "en", nil).Body.String()
		if !strings.Contains(page, "It has happened.") || strings.Contains(page, `name="reason"`) || !strings.Contains(page, "reason=ticket-7") {
			t.Errorf("with a reason %s does not show it, or does not lead on: %s", path, page)
		}
		if !strings.Contains(page, `data-live=""`) {
			t.Errorf("%s is looked at again and again", path)
		}
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", api.HeaderUnattended: "1"} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", Base+with+"ticket-7", nil)
			r.Header.Set(name, value)
			w := httptest.NewRecorder()
			asked = 0
			if c.ServeHTTP(w, r); asked != 0 || strings.Contains(w.Body.String(), "It has happened.") || !strings.Contains(w.Body.String(), `value="ticket-7"`) || !strings.Contains(w.Body.String(), `data-live=""`) {
				t.Errorf("with %s, %s is opened (%d times), does not ask, or is kept up to date: %s", name, path, asked, w.Body)
			}
		}
	}
	if script, err := files.ReadFile("static/console.js"); err != nil || !strings.Contains(string(script), `headers["`+api.HeaderUnattended+`"]`) {
		t.Errorf("what a page asks for by itself has no header %s: %v", api.HeaderUnattended, err)
	}
}
