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

// A bypass begins and ends with a reason, and is shown while it lasts.
func TestABypassOnTheCommandLine(t *testing.T) {
	file := writeSingle(t)
	lasts := &api.Bypass{Since: at, Until: at.Add(15 * time.Minute), By: "ida", Note: "ticket 4711"}
	var asked []string
	m := http.NewServeMux()
	for path, answer := range map[string]any{"/v1/bypass": lasts, "/v1/bypass/over": nil} {
		m.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var in api.ReleaseRequest
			_ = json.NewDecoder(r.Body).Decode(&in)
			asked = append(asked, path+" "+in.By+": "+in.Note)
			if answer == nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	status := api.Status{Node: "gw1", Time: at, Bypass: lasts}
	m.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(status) })
	answerAt(t, file, m)
	run := func(want int, args ...string) string {
		t.Helper()
		status, stdout, stderr := sitegate(t, nil, append(args, "--config", file, "--data-dir", filepath.Dir(file))...)
		if status != want {
			t.Fatalf("%v: status %d, %s %s; want %d", args, status, stdout, stderr, want)
		}
		return stdout + stderr
	}
	until := lasts.Until.UTC().Format(time.RFC3339)
	wants(t, "without a reason", run(exitUsage, "bypass", "start", "--by", "ida"), []string{"--note"})
	wants(t, "start", run(exitOK, "bypass", "start", "--by", "ida", "--note", "ticket 4711"), []string{until, "sitegate bypass stop --note WHY"})
	wants(t, "start as JSON", run(exitOK, "bypass", "start", "--by", "ida", "--note", "again", "--json"), []string{`"note": "ticket 4711"`})
	wants(t, "show", run(exitOK, "bypass", "show"), []string{"Nothing that is relayed is withheld until " + until + ", by ida: ticket 4711."})
	wants(t, "status", run(exitOK, "status"), []string{"BYPASS", "by ida: ticket 4711; to end it: sitegate bypass stop --note WHY"})
	wants(t, "stop", run(exitOK, "bypass", "stop", "--by", "ida", "--note", "well again"), []string{"judged again"})
	status.Bypass = nil
	wants(t, "show none", run(exitOK, "bypass", "show"), []string{"No bypass lasts"})
	if got, want := strings.Join(asked, "; "), "/v1/bypass ida: ticket 4711; /v1/bypass ida: again; /v1/bypass/over ida: well again"; got != want {
		t.Errorf("asked for %s; want %s", got, want)
	}
}
