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

func TestAcceptingTheTimeSaysWhoAndWhy(t *testing.T) {
	file := writeSingle(t)
	var got api.ReleaseRequest
	m := http.NewServeMux()
	m.HandleFunc("POST /v1/time/accept", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		_ = json.NewEncoder(w).Encode(api.AcceptedTime{Before: at, Now: at.Add(3 * time.Hour)})
	})
	answerAt(t, file, m)
	line := []string{"time", "accept", "--config", file, "--data-dir", filepath.Dir(file)}
	if status, _, stderr := sitegate(t, nil, line...); status != 64 || !strings.Contains(stderr, "--note") {
		t.Errorf("without a note: status %d, %q; want 64 and to be told", status, stderr)
	}
	status, stdout, stderr := sitegate(t, nil, append(line, "--by", "ida", "--note", "set right")...)
	want := "Accepted by ida: it was " + at.UTC().Format(time.RFC3339) + " for the site, and is " + at.Add(3*time.Hour).UTC().Format(time.RFC3339) + " now.\n"
	if status != 0 || stdout != want || stderr != "" || got != (api.ReleaseRequest{By: "ida", Note: "set right"}) {
		t.Errorf("status %d, %q, told %+v\ngot  %q\nwant %q", status, stderr, got, stdout, want)
	}
}

func TestStatusTellsOfAClockThatIsOff(t *testing.T) {
	file := writeSingle(t)
	answerAt(t, file, statusOf(api.Status{Node: "gw1", Time: at, TimeHeld: true}))
	if _, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file)); !strings.Contains(stdout, "sitegate time accept") || stderr != "" {
		t.Errorf("%s got\n%s\nwant it to name sitegate time accept", stderr, stdout)
	}
}
