package phrase

import (
	"strings"
	"testing"

	"sitegate/license"
)

func TestRowsReadAlikeInEveryLanguage(t *testing.T) {
	for _, lang := range Langs() {
		same(t, lang, "rows", keys(englishRows), keys(rowsOf(lang)))
		for key, e := range englishRows {
			for _, p := range []string{"{machine}", "{product}", "{until}"} {
				if o := rowsOf(lang)[key]; strings.Contains(e, p) != strings.Contains(o, p) {
					t.Errorf("%v %s: %s is in one of %q and %q only", lang, key, p, e, o)
				}
			}
		}
		for _, reason := range license.Reasons() {
			if got := Row(lang, string(reason), license.Denial{Reason: reason, Until: monday}, "Road Designer"); got == "" || strings.ContainsAny(got, "{}") {
				t.Errorf("%v %s reads %q", lang, reason, got)
			}
		}
	}
	for reason, want := range map[string]string{
		"not-assigned": "No license of Road Designer is assigned to this user.",
		"too-late":     "Too late",
		"no-quorum":    english.troubles["no-quorum"].title,
		"newer":        english.troubles["internal"].title,
	} {
		if got := Row(English, reason, license.Denial{}, "Road Designer"); got != want {
			t.Errorf("%s: got %q, want %q", reason, got, want)
		}
	}
}
