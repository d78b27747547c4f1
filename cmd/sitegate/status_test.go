package main

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// answerAt serves the operator's socket of the node that file configures.
func answerAt(t *testing.T, file string, h http.Handler) {
	t.Helper()
	t.Cleanup(serveAt(t, file, h))
}

// serveAt is answerAt until the function it returns is called.
func serveAt(t *testing.T, file string, h http.Handler) func() {
	t.Helper()
	socket := filepath.Join(filepath.Dir(file), "operator.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	return func() { _ = s.Close(); <-done }
}

var at = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func statusOf(s api.Status) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET "+api.PathStatus, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s) })
	return m
}

func TestStatusOfAClusterWithoutTheCloud(t *testing.T) {
	file := writeSingle(t)
	answerAt(t, file, statusOf(api.Status{
		Node: "gw1", Version: "v1", Connected: 1, Time: at,
		Cluster: api.ClusterStatus{ID: "blue", Leader: "gw2", Term: 7, Index: 1234, Level: 2, Program: "v2.1", Members: []api.Member{
			{Name: "gw1", Address: "10.0.0.1:7443", Voter: true},
			{Name: "gw2", Address: "10.0.0.2:7443", Voter: true, Leader: true, Reached: at.Add(-200 * time.Millisecond)},
			{Name: "gw3", Address: "10.0.0.3:7443", Voter: true, Reached: at.Add(-5 * time.Minute)},
		}},
		Link:     api.LinkState{Contact: at.Add(-3 * time.Hour)},
		Lockouts: []api.Lockout{{Node: "gw2", Proxy: "north", Since: at.Add(-3 * time.Hour)}},
		Mirror:   api.MirrorStatus{Filled: true},
		Counts:   api.Counts{Users: 1000, Products: 10, Licenses: 2000, Assigned: 1800, Sessions: 12, Checkouts: 1, Provisional: 2},
		Usage:    api.UsageStatus{Seq: 90, Sent: 70, Waiting: 3, Oldest: at.Add(-5 * time.Hour)},
		Autonomy: api.AutonomyStatus{CappedMS: 0, UncappedMS: (7 * 24 * time.Hour).Milliseconds()},
		Disk:     &api.DiskStatus{State: api.DiskLow, Free: 400 << 20, Total: 20e9},
	}))
	status, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file))
	want := `node      gw1, version v1, 1 client connected
cluster   blue, led by gw2 (term 7, index 1234), level 2, which takes version v2.1 or a later one
  gw1     10.0.0.1:7443, voter, this node
  gw2     10.0.0.2:7443, leader, heard of just now
  gw3     10.0.0.3:7443, voter, heard of 5 min ago
link      down, the cloud last answered 3 h ago
          the proxy north HAS REJECTED THE SECRET of gw2, 3 h ago, and taken none since: see sitegate doctor on gw2
mirror    1000 users, 10 products, 2000 licenses, 1800 of them assigned
running   12 sessions, 2 of them provisional; 1 checkout
usage     3 records waiting to be delivered, the oldest of them made 5 h ago
autonomy  without the cloud: capped products never, others 7 days
disk      0.4 of 20.0 GB are free: make room; while this node leads, nothing new is granted
time      2026-11-21T12:00:00Z
`
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d, %s\ngot\n%s\nwant\n%s", status, stderr, stdout, want)
	}
}

func TestStatusBeforeTheFirstLeader(t *testing.T) {
	file := writeSingle(t)
	answerAt(t, file, statusOf(api.Status{Node: "gw1", Version: "v1"}))
	_, stdout, _ := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file))
	for _, want := range []string{"not begun, which waits for its first nodes to meet, all of them", "down, the cloud has not answered yet", "not filled yet", "time      not known yet"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestStatusWithoutALeader(t *testing.T) {
	file := writeSingle(t)
	answerAt(t, file, statusOf(api.Status{Node: "gw1", Cluster: api.ClusterStatus{ID: "blue", Members: []api.Member{{Name: "gw1", Voter: true}, {Name: "gw2", Voter: true}}}}))
	_, stdout, _ := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file))
	if want := "blue, no leader: most nodes cannot reach each other"; !strings.Contains(stdout, want) {
		t.Errorf("%q is missing in\n%s", want, stdout)
	}
}

func TestStatusAsJSONIsWhatTheNodeSaid(t *testing.T) {
	file := writeSingle(t)
	want := api.Status{Node: "gw1", Time: at, Cluster: api.ClusterStatus{ID: "blue", Term: 3, Members: []api.Member{}}}
	answerAt(t, file, statusOf(want))
	status, stdout, _ := sitegate(t, nil, "status", "--json", "--config", file, "--data-dir", filepath.Dir(file))
	var got api.Status
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, stdout)
	}
	if got.Node != "gw1" || got.Cluster.Term != 3 || !got.Time.Equal(at) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNoNode(t *testing.T) {
	file := writeSingle(t)
	for _, left := range []bool{false, true} { // a socket that a killed node left behind is no node
		if left {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(filepath.Dir(file), "operator.sock"), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			_ = l.Close()
		}
		status, stdout, stderr := sitegate(t, nil, "status", "--config", file, "--data-dir", filepath.Dir(file))
		if status != 69 || stdout != "" || !strings.Contains(stderr, "node node1 does not run on this machine") {
			t.Errorf("socket left behind %v: status %d, %q, %q; want 69 and a sentence", left, status, stdout, stderr)
		}
	}
}

func TestLeave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if status, _, stderr := sitegate(t, nil, initLine(t, dir)...); status != 0 {
		t.Fatal(stderr)
	}
	file := filepath.Join(dir, "gw2", "sitegate.yaml")
	line := []string{"cluster", "leave", "--config", file, "--data-dir", filepath.Dir(file)}
	if status, _, stderr := sitegate(t, nil, line...); status != 69 {
		t.Errorf("without a node: status %d (%s), want 69", status, stderr)
	}
	asked, refuse := 0, true
	m := http.NewServeMux()
	m.HandleFunc("POST "+api.PathLeave, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; refuse {
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(api.Problem{Code: api.CodeNoQuorum, Detail: "Most nodes cannot be reached.", Next: []string{"Try again."}, RequestID: "r-1"})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	answerAt(t, file, m)
	if status, _, stderr := sitegate(t, nil, line...); status != 1 || !strings.Contains(stderr, "Most nodes cannot be reached. Try again. (no-quorum, request r-1)") {
		t.Errorf("refused: status %d, %s; want 1 and the node's own words", status, stderr)
	}
	refuse = false
	if status, stdout, _ := sitegate(t, nil, line...); status != 0 || !strings.Contains(stdout, "Node gw2 has left its cluster") {
		t.Errorf("left: status %d, %s", status, stdout)
	}
	if asked != 2 {
		t.Errorf("the node was asked %d times, want 2", asked)
	}
}
