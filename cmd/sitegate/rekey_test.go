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

// The site's CA is replaced by a command of its own, or along with the removal of a node; both
// want a reason.
func TestReplacingTheSiteCAWantsAReason(t *testing.T) {
	file := writeSingle(t)
	var got []api.RekeyRequest
	removed := 0
	m := http.NewServeMux()
	m.HandleFunc("POST "+api.PathRekey, func(w http.ResponseWriter, r *http.Request) {
		var x api.RekeyRequest
		_ = json.NewDecoder(r.Body).Decode(&x)
		got = append(got, x)
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("POST "+api.PathMembers+"/{id}/remove", func(w http.ResponseWriter, _ *http.Request) {
		removed++
		w.WriteHeader(http.StatusNoContent)
	})
	m.Handle("GET "+api.PathStatus, statusOf(api.Status{Node: "gw1", Time: at, Cluster: api.ClusterStatus{Replacement: &api.Replacement{
		Fingerprint: "SHA256:5c", Since: at, Until: at.Add(defaultOverlap), Waiting: []string{"gw2"}, Keyless: []string{"gw3"}}}}))
	answerAt(t, file, m)
	where := []string{"--config", file, "--data-dir", filepath.Dir(file)}
	run := func(args ...string) (int, string, string) {
		return sitegate(t, nil, append(append([]string{"cluster"}, args...), where...)...)
	}
	for _, args := range [][]string{{"rekey"}, {"remove", "gw3", "--rekey"}} {
		if status, _, stderr := run(args...); status != 64 || !strings.Contains(stderr, "say why") || removed+len(got) > 0 {
			t.Errorf("%v without a note: status %d, %q, %d removed, asked %+v; want 64 and to be told", args, status, stderr, removed, got)
		}
	}
	for _, args := range [][]string{{"rekey", "--note", "leaked"}, {"remove", "gw3", "--rekey", "--note", "leaked"}} {
		got = nil
		status, stdout, stderr := run(args...)
		if status != 0 || len(got) != 1 || got[0].Note != "leaked" || got[0].OverlapMS != defaultOverlap.Milliseconds() || got[0].By == "" {
			t.Errorf("%v: status %d, %q, asked %+v", args, status, stderr, got)
		}
		for _, want := range []string{"SHA256:5c", "No certificate by the new one yet: gw2", "not yet on gw3", "served until 2026-12-21T12:00:00Z", "/ca.pem"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%v says\n%s\nwant %q in it", args, stdout, want)
			}
		}
	}
	if status, stdout, _ := run("remove", "gw3"); status != 0 || !strings.Contains(stdout, "sitegate cluster rekey --note") {
		t.Errorf("a removal alone says %q, want what to run if the disk may be read", stdout)
	}
	if _, stdout, _ := sitegate(t, nil, append([]string{"status"}, where...)...); !strings.Contains(stdout, "is being replaced since") {
		t.Errorf("the status says\n%s\nwant that the CA is being replaced", stdout)
	}
	over := replacementWords(api.Replacement{Since: at, Until: at.Add(time.Hour), Over: at.Add(time.Minute), Left: []string{"gw2"}})
	if !strings.Contains(over, "NO CERTIFICATE BY THE NEW ONE: gw2") || strings.Contains(over, "being replaced") {
		t.Errorf("when it is over without gw2 it says %q", over)
	}
}
