package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/load"
)

// Short rounds against everything, where it is installed.
func TestEverySystemIsMeasured(t *testing.T) {
	for _, program := range []string{"etcd", "redis-server"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	sitegate := filepath.Join(t.TempDir(), "sitegate")
	build := exec.Command("go", "build", "-o", sitegate, "./cmd/sitegate")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building sitegate: %v\n%s", err, out)
	}
	var out, said bytes.Buffer
	args := []string{"-sitegate", sitegate, "-nodes", "3", "-clients", "8", "-users", "100", "-rounds", "1", "-time", "1s", "-warm", "200ms", "-json"}
	if err := run(t.Context(), args, &out, &said); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	var lines []load.Line
	for text := range strings.Lines(out.String()) {
		var l load.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if l.Ops <= 0 || l.P50 <= 0 || l.Errors != 0 || l.Lost != 0 {
			t.Errorf("got %s, want calls without errors, and nothing lost", text)
		}
		lines = append(lines, l)
	}
	if len(lines) != 4 {
		t.Fatalf("%d runs, want sitegate, etcd, redis and fsync:\n%s", len(lines), out.String())
	}
	if ours, etcd := lines[0], lines[1]; ours.PeerOps != etcd.Ops || ours.PeerP99 != etcd.P99 || ours.Ratio != ours.Ops/etcd.Ops {
		t.Errorf("sitegate's line tells of %v ops/s and a ratio of %v, etcd's has %v", ours.PeerOps, ours.Ratio, etcd.Ops)
	}
}

// What this program starts itself as: a peer's server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "centrifuge" || os.Args[1] == "gorilla") {
		main()
		return
	}
	os.Exit(m.Run())
}

// Few clients hear all systems, and what is measured of each is said.
func TestNoticesAreMeasuredBesideAPeers(t *testing.T) {
	sitegate := filepath.Join(t.TempDir(), "sitegate")
	build := exec.Command("go", "build", "-o", sitegate, "./cmd/sitegate")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building sitegate: %v\n%s", err, out)
	}
	var out, said bytes.Buffer
	if err := run(t.Context(), []string{"notices", "-sitegate", sitegate, "-clients", "20", "-rounds", "1", "-time", "500ms", "-rate", "100"}, &out, &said); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	for system, names := range map[string][]string{"sitegate": {"idle-plain", "one-user", "fan-out", "idle-tls", "fan-out-tls"},
		"centrifuge": {"idle-plain", "one-user", "fan-out"}, "gorilla": {"idle-plain", "one-user", "fan-out", "idle-tls", "fan-out-tls"}} {
		for _, name := range names {
			found := false
			for text := range strings.Lines(out.String()) {
				var l load.Line
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				found = found || l.Name == system+", "+name && l.Count > 0 && l.P50 > 0 && l.Clients == 20
			}
			if !found {
				t.Errorf("there is no %s of %s in\n%s", name, system, out.String())
			}
		}
	}
	for _, want := range []string{"fan-out, divided by that of centrifuge", "fan-out, divided by that of gorilla", "fan-out-tls, divided by that of gorilla"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it said %q, want %q", said.String(), want)
		}
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for args, want := range map[string]string{
		"":                    "apt-get install etcd-server",
		"-sitegate /no/where": "make build",
		"-nodes 2":            "-nodes is 1 or 3, not 2",
		"-clients 9 -users 8": "-clients is 1 to -users",
		"-time 0s":            "-time longer than nothing",
		"now":                 `"now" is too much`,
		"notices -clients 0":  "-clients is 1 to 18,000",
		"notices":             "make build",
	} {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := run(ctx, strings.Fields(args), &out, &out)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want something with %q", args, err, want)
		}
	}
}
