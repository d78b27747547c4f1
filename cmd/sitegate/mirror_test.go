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

var shrunk = api.HeldMirror{Since: at.Add(-3 * time.Hour), Losing: api.MirrorSizes{Users: 998, Licenses: 1900}, Of: api.MirrorSizes{Users: 1000, Licenses: 2000}}

func TestStatusShowsAMirrorThatIsHeldBack(t *testing.T) {
	for name, test := range map[string]struct {
		accepted api.HeldMirror
		want     string
	}{
		"held": {api.HeldMirror{}, `
mirror    1000 users, 10 products, 2000 licenses, 1800 of them assigned
  held    3 h ago the cloud's list lacked 998 of 1000 users, 1900 of 2000 licenses: nothing of that is taken away
          ask the vendor why; if it is meant: sitegate mirror accept --note WHY
`},
		"accepted": {api.HeldMirror{By: "ida", Until: at.Add(time.Hour)}, `
mirror    1000 users, 10 products, 2000 licenses, 1800 of them assigned
  held    3 h ago the cloud's list lacked 998 of 1000 users, 1900 of 2000 licenses: nothing of that is taken away
          accepted by ida until 2026-11-21T13:00:00Z: it comes in as soon as the cloud says so again
`},
		"accepted too long ago": {api.HeldMirror{By: "ida", Until: at.Add(-time.Hour)}, "\n          ask the vendor why;"},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeSingle(t)
			h := shrunk
			h.By, h.Until = test.accepted.By, test.accepted.Until
			answerAt(t, file, statusOf(api.Status{Node: "gw1", Time: at, Mirror: api.MirrorStatus{Filled: true, Held: &h},
				Counts: api.Counts{Users: 1000, Products: 10, Licenses: 2000, Assigned: 1800}}))
			if _, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file)); !strings.Contains(stdout, test.want) || stderr != "" {
				t.Errorf("%s\ngot\n%s\nwant in it%s", stderr, stdout, test.want)
			}
		})
	}
}

func TestAcceptingAShrinkSaysWhoAndWhy(t *testing.T) {
	file := writeSingle(t)
	var got []api.ReleaseRequest
	m := http.NewServeMux()
	m.HandleFunc("POST /v1/mirror/accept", func(w http.ResponseWriter, r *http.Request) {
		var in api.ReleaseRequest
		_ = json.NewDecoder(r.Body).Decode(&in)
		got = append(got, in)
		h := shrunk
		h.By, h.Note, h.Until = in.By, in.Note, at
		_ = json.NewEncoder(w).Encode(h)
	})
	answerAt(t, file, m)
	line := []string{"mirror", "accept", "--config", file, "--data-dir", filepath.Dir(file)}
	if status, _, stderr := sitegate(t, nil, line...); status != 64 || !strings.Contains(stderr, "--note") {
		t.Errorf("without a note: status %d, %q; want 64 and to be told", status, stderr)
	}
	status, stdout, stderr := sitegate(t, nil, append(line, "--by", "ida", "--note", "plant sold")...)
	want := "Accepted by ida: the site may lose 998 of 1000 users, 1900 of 2000 licenses.\n" +
		"It comes in as soon as the cloud says so again, until 2026-11-21T12:00:00Z; see sitegate status.\n"
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d, %q\ngot  %q\nwant %q", status, stderr, stdout, want)
	}
	if status, _, stderr := sitegate(t, nil, append(line, "--note", "plant sold")...); status != 0 {
		t.Errorf("without --by: status %d, %s", status, stderr)
	}
	if len(got) != 2 || got[0] != (api.ReleaseRequest{By: "ida", Note: "plant sold"}) || got[1].By == "" {
		t.Errorf("the node was told %+v, want who and why, twice", got)
	}
}

func TestStatusShowsAMirrorThatIsOld(t *testing.T) {
	for read, want := range map[time.Time]bool{at.Add(-3 * time.Hour): true, at.Add(-time.Minute): false, {}: false} {
		file := writeSingle(t)
		answerAt(t, file, statusOf(api.Status{Node: "gw1", Time: at, Cluster: api.ClusterStatus{Leader: "gw2"}, Link: api.LinkState{Up: true, Contact: at},
			Mirror: api.MirrorStatus{Filled: true, Read: read}}))
		_, stdout, _ := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file))
		if got := strings.Contains(stdout, "the cloud answers, but its list was last read 3 h ago: the log of gw2 says why"); got != want {
			t.Errorf("read at %v: said so %t, want %t\n%s", read, got, want, stdout)
		}
	}
}
