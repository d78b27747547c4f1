package console

import (
	"net/url"
	"strings"
	"testing"
	"time"

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
