package console

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// A report is a page to read and a file: of the last whole week where nobody says of when, of
// another period, or of days, the last of which belongs to it.
func TestReportsAreAPageAndAFile(t *testing.T) {
	s := full()
	var asked url.Values
	s.heard = func(path string, q url.Values) {
		if path == api.PathReport {
			asked = q
		}
	}
	c := newTestConsole(t, s, Administrator{Name: "otto", Role: Operator})
	for path, want := range map[string]url.Values{
		"report":                               {"period": {"week"}, "lang": {"de"}},
		"report?period=month&names=true":       {"period": {"month"}, "names": {"true"}, "lang": {"de"}},
		"report?from=2026-11-01&to=2026-11-30": {"from": {"2026-11-01"}, "to": {"2026-12-01"}, "lang": {"de"}},
		"report?to=2026-12-31&period=day":      {"to": {"2027-01-01"}, "lang": {"de"}},
		"report?from=2026-11-01":               {"from": {"2026-11-01"}, "lang": {"de"}},
		"report?to=nonsense":                   {"to": {"nonsense"}, "lang": {"de"}},
	} {
		for _, path := range []string{path, strings.Replace(path, "report", "report.csv", 1)} {
			asked = nil
			if w := visitPage(c, "GET", path, "de", nil); w.Code != 200 || asked.Encode() != want.Encode() {
				t.Errorf("%s: %d, asked for %q; want %q", path, w.Code, asked.Encode(), want.Encode())
			}
		}
	}
	for lang, want := range map[string][]string{
		"en": {"Report</h1>", "<h2 id=\"people-h\">Whom to speak to", "has never used the license", "3 h 20 min", "all that is owned", "lasts"},
		"fr": {"Rapport</h1>", "<h2 id=\"people-h\">À qui parler", "n’a jamais utilisé la licence", "3 h 20 min", "autant que possédées", "dure encore"},
		"de": {"Bericht</h1>", "<h2 id=\"people-h\">Wen man ansprechen kann", "hat die Lizenz nie benutzt", "3 h 20 min", "alle, die es gibt", "dauert an"},
	} {
		page := visitPage(c, "GET", "report?names=true&from=2026-11-01", lang, nil).Body.String()
		for _, want := range append(want, `data-live=""`, `type="date" name="from" value="2026-11-01"`, `href="/console/report.csv?from=2026-11-01&amp;names=true"`) {
			if !strings.Contains(page, want) {
				t.Errorf("in %s it lacks %q: %s", lang, want, page)
			}
		}
	}
	for _, path := range []string{"report", "report?names=", "report?names=false", "report?names=0"} {
		if page := visitPage(c, "GET", path, "en", nil).Body.String(); strings.Contains(page, "people-h") {
			t.Errorf("%s, which is to name nobody, has a list of people", path)
		}
	}
	if page := visitPage(newTestConsole(t, s, Administrator{Name: "vera", Role: Viewer}), "GET", "report", "en", nil).Body.String(); strings.Contains(page, `name="names"`) {
		t.Error("a viewer is offered names")
	}
	w := visitPage(c, "GET", "report.csv", "en", nil)
	if kept := w.Header().Get("Content-Disposition"); kept != "attachment; filename=sitegate-report-2026-11-14-2026-11-20.csv" || !strings.HasPrefix(w.Body.String(), "section,item,name,measure,value\n") || !strings.Contains(w.Body.String(), "product,p,'=1+1,peak,12\n") {
		t.Errorf("the file is %s %s", kept, w.Body)
	}
}

// Where there is no report of the days that were asked for, the page says why and keeps them.
func TestDaysThatNoReportIsOf(t *testing.T) {
	s := full()
	s.answers[api.PathReport] = api.Problem{Code: api.CodeMalformed, Status: 400, Title: "Malformed", Detail: "from is not before to"}
	for lang, want := range map[string]string{"en": "There is no report of this time", "fr": "Il n’y a pas de rapport de cette période", "de": "Über diese Zeit gibt es keinen Bericht"} {
		why := map[string]string{"en": "The first is not after the last", "fr": "Le premier ne suit pas le dernier", "de": "Der erste liegt nicht nach dem letzten"}[lang]
		w := visitPage(newTestConsole(t, s, admin), "GET", "report?from=2026-12-01&to=2026-11-01", lang, nil)
		for _, want := range []string{want, why, `value="2026-12-01"`, `value="2026-11-01"`} {
			if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
				t.Errorf("in %s: %d without %q: %s", lang, w.Code, want, w.Body)
			}
		}
	}
}

// reportOfAll is a report with something in each of its parts.
func reportOfAll() api.Report {
	return api.Report{Site: nasty, From: time.Date(2026, 11, 14, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), Made: then,
		Products:     []api.ReportProduct{{Product: "p", Name: "=1+1", Owned: 12, Peak: 12, PeakAt: then, Pooled: 3, Refused: 2, Unassigned: 1, NeverUsed: 1, Ending: 1}, {Product: "q", Name: nasty}},
		Refusals:     []api.ReportRefusal{{Reason: "machine-active", Title: nasty, Count: 2000, Observed: 1}},
		LicensesEnd:  []api.ReportEnd{{Day: "2026-12-01", Product: "q", Count: 4}},
		CheckoutsEnd: []api.ReportEnd{{Day: "2026-11-30", Count: 1}},
		Link:         &api.ReportLink{DownMS: 12_000_000, Times: 2, LongestMS: 60_000},
		Alerts:       []api.ReportAlert{{Kind: "disk", Subject: nasty, Began: then}, {Kind: "quorum", Began: then, Over: then.Add(time.Hour)}},
		People:       []api.ReportPerson{{Why: "never-used", User: "u-1", Name: nasty, Product: "q"}, {Why: "checkout-ends", User: "u-1", Name: nasty, Machine: nasty, Until: then}}}
}
