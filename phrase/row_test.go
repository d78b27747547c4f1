package phrase

import (
	"strings"
	"testing"

	"sitegate/license"
)

func TestARowReadsInEveryLanguage(t *testing.T) {
	for _, lang := range Langs() {
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

func TestAFaultInAFileReadsInEveryLanguage(t *testing.T) {
	for lang, want := range map[Lang]string{English: "“L” is in the file already, in line 2.", French: "« L » figure déjà dans le fichier, à la ligne 2.", German: "„L“ steht schon in der Datei, in Zeile 2."} {
		if got := Fault(lang, "row-again", "L", "2"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := Fault(lang, "newer", "", ""); got != lang.book().troubles["internal"].title {
			t.Errorf("a fault without a sentence reads %q", got)
		}
	}
}
