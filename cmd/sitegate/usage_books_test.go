package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

func TestAuditAndRefusedUsageAreShown(t *testing.T) {
	file := writeSingle(t)
	at := time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)
	a := api.UsageAudit{From: 1, Through: 90, Began: 40, Ended: 38, Open: 2, Acknowledged: 30, Waiting: 7, Refused: 1,
		Ways: []api.UsageWay{{Way: "site", Records: 20, Once: true}, {Way: "realtime", Records: 10}}, Findings: []api.UsageFinding{}}
	list := api.List[api.RefusedUsage]{Items: []api.RefusedUsage{{Record: "r", Kind: "session", User: "ada\x1b[2J", Machine: "WS-101", Product: "3201", Started: at, Ended: at.Add(time.Hour), Refused: at.Add(2 * time.Hour), Why: "no such user"}}}
	var resent api.ResendRequest
	m := http.NewServeMux()
	m.HandleFunc("GET "+api.PathAudit, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(a) })
	m.HandleFunc("GET "+api.PathRefused, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(list) })
	m.HandleFunc("POST "+api.PathRefused+"/resend", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&resent)
		if resent.By == "ina" { // a cloud that takes its time
			w.WriteHeader(http.StatusAccepted)
			_ = json.NewEncoder(w).Encode(list)
			return
		}
		_ = json.NewEncoder(w).Encode(api.List[api.RefusedUsage]{Items: []api.RefusedUsage{}})
	})
	answerAt(t, file, m)
	run := func(want int, args ...string) (string, string) {
		t.Helper()
		status, stdout, stderr := sitegate(t, nil, append([]string{"usage"}, append(args, "--config", file, "--data-dir", filepath.Dir(file))...)...)
		if status != want {
			t.Fatalf("%v: status %d, want %d\n%s%s", args, status, want, stdout, stderr)
		}
		return stdout, stderr
	}
	out, _ := run(0, "audit")
	want := `Events 1 to 90: 40 began, 0 of an earlier time ended, 2 run or are out now.
Usage records: 38. With the cloud 30, waiting 7, refused 1.
  site: 20 records, each counts once.
  realtime: 10 records, AT LEAST ONCE ONLY: what was sent again after a lost answer may be there twice, with the same ids.
No gap, and nothing twice.
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	a.Findings, a.More = append(a.Findings, api.UsageFinding{Kind: "no-record", Seq: 7, Record: "r\n", User: "ada", Detail: "it is lost"}), 3
	out, stderr := run(1, "audit")
	if !strings.Contains(out, `GAP at event 7, no-record: record r\n of ada it is lost.`) || !strings.Contains(out, "and 3 more") || !strings.Contains(stderr, "4 gaps") {
		t.Errorf("with gaps it says\n%s%s", out, stderr)
	}
	if out, _ = run(1, "audit", "--json"); !strings.Contains(out, `"no-record"`) {
		t.Errorf("as JSON: %s", out)
	}
	out, _ = run(0, "refused")
	if !strings.Contains(out, `2026-11-02 11:30  session  ada\x1b[2J  WS-101   3201     2026-11-02 09:30  2026-11-02 10:30  no such user`) {
		t.Errorf("refused:\n%s", out)
	}
	if out, _ = run(0, "refused", "--resend", "--by", "ida", "--note", "ticket 7"); resent.By != "ida" || resent.Note != "ticket 7" || !strings.Contains(out, "refuses no usage") {
		t.Errorf("sent again by %q: %s", resent.By, out)
	}
	if out, _ = run(0, "refused", "--resend", "--by", "ina"); !strings.Contains(out, "They are being sent. By now 1 record not taken") || !strings.Contains(out, "no such user") {
		t.Errorf("while it is sent again: %s", out)
	}
	for range license.MaxSetAside { // with the longest texts that there can be
		long := strings.Repeat("\x01", license.MaxName)
		list.Items = append(list.Items, api.RefusedUsage{Record: long, Kind: "session", User: long, Machine: long, Product: long, Why: long})
	}
	if out, _ = run(0, "refused"); strings.Count(out, "session") != 1+license.MaxSetAside {
		t.Errorf("of many only %d are listed", strings.Count(out, "session"))
	}
}
