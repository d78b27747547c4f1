package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitegate/emulator"
)

// benchLine is what these tests look at of a line of bench --json.
type benchLine struct {
	Name    string             `json:"name"`
	Ops     float64            `json:"ops_per_s"`
	P50     float64            `json:"p50_ms"`
	P99     float64            `json:"p99_ms"`
	Max     float64            `json:"max_ms"`
	Errors  uint64             `json:"errors"`
	Lost    *uint64            `json:"lost"`
	Count   uint64             `json:"count"`
	Clients int                `json:"clients"`
	CPU     float64            `json:"cpu_us_per_op"`
	Entries *uint64            `json:"log_entries"`
	More    map[string]float64 `json:"more"`
	Said    map[string]uint64  `json:"said"`
}

// benchRun runs sitegate bench in a temporary folder of its own, which it must
// leave empty, and reads what it prints.
func benchRun(t *testing.T, args ...string) benchLine {
	t.Helper()
	dir := benchDir(t)
	p := StartProcess(t, "bench", []string{"TMPDIR=" + dir}, Program(t, "sitegate"), append([]string{"bench"}, append(args, "--json")...)...)
	if status := p.Wait(t, 2*time.Minute); status != 0 {
		t.Fatalf("bench %v ended with status %d; it wrote:\n%s", args, status, p.Output())
	}
	var l benchLine
	for line := range strings.Lines(p.Output()) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("reading %s: %v", line, err)
			}
		}
	}
	t.Logf("%s: %.0f/s, p50 %.2f ms, p99 %.2f ms, %d errors %v", l.Name, l.Ops, l.P50, l.P99, l.Errors, l.Said)
	if l.Count == 0 || l.Ops <= 0 && !strings.HasPrefix(l.Name, "fan-out") || l.P50 <= 0 || l.P99 < l.P50 || l.Max < l.P99 || l.Errors != 0 || l.Lost == nil || *l.Lost != 0 {
		t.Errorf("got %+v from\n%s\nwant calls with times in order, no error, and nothing lost", l, p.Output())
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("bench %v left %v behind", args, left)
	}
	return l
}

// benchDir is a folder with a short name: the path of a socket has 107 bytes.
func benchDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestBenchMeasuresAClusterOfItsOwn(t *testing.T) {
	short := []string{"--time", "1s", "--warm", "200ms", "--users", "200"}
	for name, c := range map[string]struct {
		args  []string
		check func(l benchLine) error
	}{
		"starts": {[]string{"starts", "--clients", "8", "--at", "all"}, func(l benchLine) error {
			if l.CPU <= 0 || *l.Entries == 0 || *l.Entries > 2*l.Count+50 || l.More["stop_p50_ms"] <= 0 {
				return fmt.Errorf("no processor time, no log entries or no times of the stops in %+v", l)
			}
			return nil
		}},
		"one node, confirmed": {[]string{"starts", "--nodes", "1", "--clients", "2", "--confirm"}, nil},
		"denials": {[]string{"denials", "--rate", "200", "--clients", "8"}, func(l benchLine) error {
			if l.Count != 200 || *l.Entries > 150 { // 50 refusals a second are journalled, and what burst there was
				return fmt.Errorf("%d denials and %d log entries, want 200 and no entry for each", l.Count, *l.Entries)
			}
			return nil
		}},
		"heartbeats": {[]string{"heartbeats", "--rate", "200", "--clients", "8"}, func(l benchLine) error {
			if l.Count != 200 || *l.Entries > 5 {
				return fmt.Errorf("%d heartbeats and %d log entries, want 200 and none for them", l.Count, *l.Entries)
			}
			return nil
		}},
		"websockets": {[]string{"heartbeats", "--rate", "100", "--websockets", "50", "--at", "all"}, func(l benchLine) error {
			if l.Count != 100 || *l.Entries > 5 {
				return fmt.Errorf("%d heartbeats and %d log entries, want 100 and none for them", l.Count, *l.Entries)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := benchRun(t, append(c.args, short...)...)
			if c.check == nil || t.Failed() {
				return
			}
			if err := c.check(l); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBenchLosesLeadersAndBringsThemBack(t *testing.T) {
	for _, how := range []string{"", "--pause", "--cut", "--term", "--step-down"} {
		t.Run("how "+how, func(t *testing.T) {
			args := []string{"failover", "--tries", "2", "--users", "100"}
			if how != "" {
				args = append(args, how)
			}
			if l := benchRun(t, args...); l.Count != 2 {
				t.Errorf("%d tries, want 2", l.Count)
			}
		})
	}
}

func TestBenchTellsMany(t *testing.T) {
	for _, what := range []string{"idle-plain,one-user", "fan-out", "idle-tls", "fan-out-tls", "storm"} {
		t.Run(what, func(t *testing.T) {
			l := benchRun(t, "notices", "--clients", "40", "--rate", "50", "--time", "1s", "--only", what)
			if l.Clients != 40 {
				t.Errorf("%+v tells of %d clients, want 40", l, l.Clients)
			}
		})
	}
}

func TestBenchRestartsANode(t *testing.T) {
	l := benchRun(t, "restart", "--users", "300", "--open", "100", "--tries", "2", "--kill", "--idle", "100ms")
	if l.Count != 2 || l.More["rss_mb"] < 5 || l.More["rss_idle_mb"] < 5 || l.More["data_mb"] <= 0 {
		t.Errorf("got %+v, want two restarts, and the sizes of memory and disk", l)
	}
}

func TestBenchDrivesStores(t *testing.T) {
	for name, args := range map[string][]string{
		"closed loop":     {"store", "--clients", "64", "--users", "300", "--open", "100", "--time", "1s", "--warm", "100ms"},
		"open loop":       {"store", "--rate", "500", "--nodes", "1", "--clients", "32", "--users", "100", "--time", "1s", "--warm", "0s"},
		"no state":        {"store", "--noop", "--clients", "64", "--time", "1s", "--warm", "100ms"},
		"so many at most": {"store", "--clients", "16", "--users", "100", "--commands", "500", "--rounds", "2", "--time", "1m", "--warm", "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			l := benchRun(t, args...)
			if l.CPU <= 0 || *l.Entries == 0 || l.More["log_mb"] <= 0 || l.More["state_mb"] <= 0 {
				t.Errorf("got %+v, want processor time, log entries and sizes", l)
			}
			if waiting, told := l.More["usage_waiting"]; !told || waiting > 0 {
				t.Errorf("%v usage records wait after %d commands, want none: the cloud is there", waiting, l.Count)
			}
			if name == "so many at most" && l.Count != 500 {
				t.Errorf("%d commands, want 500", l.Count)
			}
		})
	}
}

// A cluster that runs already is measured with its users' tokens, and is left as
// it was.
func TestBenchMeasuresAClusterThatRuns(t *testing.T) {
	s := NewSite(t, 1, 40, "SITEGATE_LIMITS_REQUESTS_PER_SECOND=10000", "SITEGATE_LIMITS_BURST=10000")
	dir := t.TempDir()
	var tokens strings.Builder
	for _, user := range []string{emulator.UserA, emulator.UserB} {
		tokens.WriteString(s.Token(t, user) + "\n")
	}
	for name, text := range map[string]string{"tokens": tokens.String(), "ca.pem": string(s.CAPEM)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with := []string{"--url", s.Nodes[0].URL, "--ca", filepath.Join(dir, "ca.pem"), "--tokens", filepath.Join(dir, "tokens"),
		"--product", emulator.ProductCapped, "--time", "1s", "--warm", "0s"}
	for _, args := range [][]string{{"starts"}, {"denials", "--rate", "20", "--clients", "2"}, {"heartbeats", "--rate", "20", "--clients", "2"}} {
		benchRun(t, append(args, with...)...)
	}
	st, err := s.Status(s.Nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	if st.Counts.Sessions != 0 {
		t.Errorf("%d sessions were left behind", st.Counts.Sessions)
	}
}

// An interrupted measurement takes its cluster down.
func TestBenchCanBeInterrupted(t *testing.T) {
	dir := benchDir(t)
	p := StartProcess(t, "bench", []string{"TMPDIR=" + dir}, Program(t, "sitegate"), "bench", "starts", "--users", "50", "--clients", "4", "--time", "10m", "--warm", "0s")
	Eventually(t, time.Minute, "it measures", func() error {
		if !strings.Contains(p.Output(), "measuring for 10m") {
			return fmt.Errorf("it wrote %q", p.Output())
		}
		return nil
	})
	p.cmd.Process.Signal(os.Interrupt)
	if status := p.Wait(t, 30*time.Second); status != 1 || !strings.Contains(p.Output(), "interrupted") {
		t.Errorf("status %d after an interrupt, want 1; it wrote:\n%s", status, p.Output())
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("it left %v behind", left)
	}
}

// Who reads the results may go: the cluster is taken down all the same.
func TestBenchOutlivesItsReader(t *testing.T) {
	dir := benchDir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Program(t, "sitegate"), "bench", "starts", "--users", "50", "--clients", "4", "--time", "1s", "--warm", "0s")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its children
	if err := errors.Join(cmd.Start(), w.Close()); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a failed test has left
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.Close()
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("it still runs after two minutes")
	}
	if status := cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("it ended with %v, want status 1: nobody has read the result", cmd.ProcessState)
	}
	if err := syscall.Kill(-cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("its nodes have outlived it: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind, %v", left, err)
	}
}

func TestBenchMeasuresTheForwardProxy(t *testing.T) {
	t.Parallel()
	dir := benchDir(t)
	p := StartProcess(t, "bench", []string{"TMPDIR=" + dir}, Program(t, "sitegate"), "bench", "tunnels", "--squid", "", "--rounds", "1", "--time", "2s", "--idle", "20", "--json")
	if status := p.Wait(t, 2*time.Minute); status != 0 {
		t.Fatalf("bench tunnels ended with status %d; it wrote:\n%s", status, p.Output())
	}
	got := map[string]benchLine{}
	for line := range strings.Lines(p.Output()) {
		if strings.HasPrefix(line, "{") {
			var l benchLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("reading %s: %v", line, err)
			}
			got[l.Name] = l
		}
	}
	if l := got["tunnels"]; l.Ops <= 0 || l.P50 <= 0 || l.P99 < l.P50 || l.Errors != 0 {
		t.Errorf("tunnels: %+v", l)
	}
	if l := got["bulk"]; l.More["mb_per_s"] <= 0 {
		t.Errorf("bulk: %+v", l)
	}
	if l := got["idle"]; l.More["rss_mb"] <= 0 || l.More["rss_mb_before"] <= 0 {
		t.Errorf("idle: %+v", l)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v behind, %v", left, err)
	}
}
