package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"sitegate/api"
)

// The settings in effect are on the command line as in the console: of the rules, what is
// only observed, and what the node goes by, for whom that is.
func TestTheSettingsAreShown(t *testing.T) {
	file := writeSingle(t)
	allowed := true
	m := http.NewServeMux()
	m.HandleFunc("GET "+api.PathSettings, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.SiteSettings{Items: []api.SiteSetting{{Name: "rules.lease_ttl", About: "How long a session lives", Value: "3m0s", Set: true}, {Name: "rules.checkouts", Value: "on"}},
			Modes: []api.SiteMode{{Mode: "on"}, {Product: "3101", Network: "10.0.0.0/8", Mode: "observe"}}})
	})
	m.HandleFunc("GET "+api.PathNodeSettings, func(w http.ResponseWriter, _ *http.Request) {
		if !allowed {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: api.CodeForbidden, Detail: "You may not do this."})
			return
		}
		_ = json.NewEncoder(w).Encode(api.List[api.NodeSetting]{Items: []api.NodeSetting{{Key: "node", Value: "gw1", From: "sitegate.yaml:3"}, {Key: "egress.no_proxy", From: "default", Reload: true}}})
	})
	answerAt(t, file, m)
	run := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := sitegate(t, nil, append(args, "--config", file, "--data-dir", filepath.Dir(file))...)
		if status != 0 {
			t.Fatalf("%v: status %d, %s %s", args, status, stdout, stderr)
		}
		return stdout
	}
	rules := []string{"rules.lease_ttl", "3m0s", "set", "How long a session lives", "default", "10.0.0.0/8", "observe"}
	wants(t, "to an operator", run("settings"), append(rules, "sitegate.yaml:3", "waits for a restart", "egress.no_proxy", "is taken by a reload"))
	wants(t, "as JSON", run("settings", "--json"), []string{`"items"`, `"modes"`, `"node"`, `"from": "sitegate.yaml:3"`})
	allowed = false
	wants(t, "to a viewer", run("settings"), append(rules, "is shown to operators"), "sitegate.yaml:3")
	wants(t, "as JSON to a viewer", run("settings", "--json"), []string{`"modes"`}, `"node"`)
}
