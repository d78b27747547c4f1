package console

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sitegate/api"
)

// What enforcing would do is counted for as many days as are asked for, and where the journal
// does not go back as far, the page says so.
func TestWhatWouldHaveBeenRefusedIsCounted(t *testing.T) {
	s := full()
	var from string
	s.heard = func(path string, q url.Values) {
		if path == api.PathObserved {
			from = q.Get("from")
		}
	}
	c := newTestConsole(t, s, admin)
	for days, want := range map[string]int{"": 7, "?days=1": 1, "?days=90": 90, "?days=x": 7} {
		page := visitPage(c, "GET", "rollout/counts"+days, "en", nil).Body.String()
		if got := rfc(then.Add(-time.Duration(want) * 24 * time.Hour)); from != got {
			t.Errorf("%q asks from %s on, want %s", days, from, got)
		}
		for _, text := range []string{"1\u202f235 since", "10.0.0.0/8", ">any other<", "does not go back that far"} {
			if !strings.Contains(page, text) {
				t.Errorf("%q lacks %q", days, text)
			}
		}
	}
	if page := visitPage(c, "GET", "rollout", "en", nil).Body.String(); !strings.Contains(page, `href="/console/rollout/counts"`) {
		t.Error("the Rollout page does not lead to the counts")
	}
}

// The Rollout page shows what the configuration has to say for the modes that hold, and leads
// who may to the reload.
func TestTheModesAreShownAsTheFileHasThem(t *testing.T) {
	s := full()
	set := s.answers[api.PathSettings].(api.SiteSettings)
	set.Modes = []api.SiteMode{{Product: `a "b": {c}`, Network: "10.1.0.0/16", Mode: "on"}, {Mode: "observe"}}
	s.answers[api.PathSettings] = set
	page := visitPage(newTestConsole(t, s, admin), "GET", "rollout", "en", nil).Body.String()
	m := regexp.MustCompile(`(?s)<pre id="file-copy"[^>]*><code[^>]*>(.*?)</code>`).FindStringSubmatch(page)
	if m == nil || !strings.Contains(page, `href="/console/settings/reload"`) {
		t.Fatalf("the page lacks them, or the way to the reload: %s", page)
	}
	var read struct {
		Rules struct {
			Modes []struct{ Product, Network, Mode string }
		}
	}
	if err := yaml.Unmarshal([]byte(html.UnescapeString(m[1])), &read); err != nil {
		t.Fatal(err)
	}
	if got := read.Rules.Modes; len(got) != 2 || got[0].Product != `a "b": {c}` || got[0].Network != "10.1.0.0/16" || got[0].Mode != "on" || got[1].Mode != "observe" || got[1].Product != "" {
		t.Errorf("the file would have %+v", got)
	}
	set.Modes = nil
	s.answers[api.PathSettings] = set
	if page := visitPage(newTestConsole(t, s, admin), "GET", "rollout", "en", nil).Body.String(); !strings.Contains(page, "none is set") || strings.Contains(page, "This is what holds now") {
		t.Error("where no mode is set an example is told as what holds")
	}
	viewer := newTestConsole(t, s, Administrator{Name: "vera", Role: Viewer})
	if page := visitPage(viewer, "GET", "rollout", "en", nil).Body.String(); strings.Contains(page, "settings/reload") {
		t.Error("a viewer is led to the reload")
	}
}
