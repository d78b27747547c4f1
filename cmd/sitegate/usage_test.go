package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

func TestUsagePeaks(t *testing.T) {
	file := writeSingle(t)
	day := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	peak := func(d int, product, name string, machines, hour, pooled int) api.Peak {
		p := api.Peak{Day: day.AddDate(0, 0, d), Product: product, Name: name, Machines: machines, Pooled: pooled}
		p.At = p.Day.Add(time.Duration(hour) * time.Hour)
		if pooled > 0 {
			p.PooledAt = p.At.Add(10 * time.Minute)
		}
		return p
	}
	pages := map[string]api.List[api.Peak]{
		"":                     {Items: []api.Peak{peak(0, "3102", "Culvert, Hydraulics", 3, 9, 0), peak(0, "3201", "Plinth Drafting", 12, 14, 5)}, Next: "2026-11-03T00:00:00Z"},
		"2026-11-03T00:00:00Z": {Items: []api.Peak{peak(1, "3201", "Plinth Drafting", 15, 10, 4)}},
	}
	var asked []string
	m := http.NewServeMux()
	m.HandleFunc("GET "+api.PathPeaks, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		_ = json.NewEncoder(w).Encode(pages[r.URL.Query().Get("after")])
	})
	answerAt(t, file, m)
	peaks := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := sitegate(t, nil, append([]string{"usage", "peaks", "--config", file, "--data-dir", filepath.Dir(file)}, args...)...)
		if status != 0 || stderr != "" {
			t.Fatalf("%v: status %d, %s", args, status, stderr)
		}
		return stdout
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `
PRODUCT  NAME                 MACHINES  AT (GMT)          POOLED  AT (GMT)
3102     Culvert, Hydraulics  3         2026-11-02 09:00  0       -
3201     Plinth Drafting      15        2026-11-03 10:00  5       2026-11-02 14:10
`}, {[]string{"--daily"}, `
DAY (GMT)   PRODUCT  NAME                 MACHINES  AT (GMT)  POOLED  AT (GMT)
2026-11-02  3102     Culvert, Hydraulics  3         09:00     0       -
2026-11-02  3201     Plinth Drafting      12        14:00     5       14:10
2026-11-03  3201     Plinth Drafting      15        10:00     4       10:10
`}, {[]string{"--csv"}, `
day,product,name,machines,at,pooled,pooled_at
2026-11-02,3102,"Culvert, Hydraulics",3,2026-11-02T09:00:00Z,0,
2026-11-03,3201,Plinth Drafting,15,2026-11-03T10:00:00Z,5,2026-11-02T14:10:00Z
`}} {
		if got := "\n" + peaks(test.args...); got != test.want {
			t.Errorf("%v: got%s\nwant%s", test.args, got, test.want)
		}
	}
	var list api.List[api.Peak]
	if err := json.Unmarshal([]byte(peaks("--json", "--daily", "--from", "2026-11-02", "--to", "2026-11-04", "--product", "3201")), &list); err != nil || len(list.Items) != 3 {
		t.Errorf("as JSON: %v, %+v", err, list)
	}
	if last := asked[len(asked)-1]; last != "after=2026-11-03T00%3A00%3A00Z&from=2026-11-02&product=3201&to=2026-11-04" {
		t.Errorf("asked for %s", last)
	}
	pages[""] = api.List[api.Peak]{}
	if got := peaks(); !strings.Contains(got, "No product was used") {
		t.Errorf("of no use: %q", got)
	}
	if status, _, stderr := sitegate(t, nil, "usage", "peaks", "--csv", "--json"); status != 64 || !strings.Contains(stderr, "choose one") {
		t.Errorf("both formats: status %d, %s", status, stderr)
	}
}
