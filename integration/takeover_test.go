package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
)

// runSeat runs a program under a license as a user would, on a machine of theirs, at one
// node of the site.
func runSeat(t *testing.T, s *Site, user, machine string, node int, args ...string) *Process {
	t.Helper()
	dir := filepath.Join(s.Dir, "seat-"+machine)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	for path, content := range map[string]string{ca: string(s.CAPEM), token: s.Token(t, user)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"SITEGATE_GATEWAY=" + s.Nodes[node].URL, "SITEGATE_CA=" + ca, "SITEGATE_TOKEN_FILE=" + token, "LC_ALL=C", "SITEGATE_NOTIFY=off", "HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	return StartProcess(t, "seat on "+machine, env, Program(t, "seat"), append(args[:1:1], append([]string{"--machine-name", machine, "--machine-id", "id-" + machine}, args[1:]...)...)...)
}

// says waits until a process has written all of these, in this order.
func says(t *testing.T, p *Process, atMost time.Duration, want ...string) {
	t.Helper()
	Eventually(t, atMost, fmt.Sprintf("%s says %q", p.Name, want), func() error {
		out := p.Output()
		for _, w := range want {
			_, after, ok := strings.Cut(out, w)
			if !ok {
				return fmt.Errorf("%q is missing; it wrote:\n%s", w, p.Output())
			}
			out = after
		}
		return nil
	})
}

// The second machine asks; the user, back at the first, lets go there; the second is
// granted. What it asked for before, and was declined, it went on waiting for.
func TestASecondMachineAsksAndTheFirstLetsGo(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 3, 20, "SITEGATE_RULES_TAKEOVER=ask")
	run := []string{"run", "--product", emulator.ProductCapped}
	first := runSeat(t, s, emulator.UserA, "WS-101", 0, append(run, "--", "sh", "-c", "echo first runs; exec sleep 300")...)
	says(t, first, 20*time.Second, "first runs")
	second := runSeat(t, s, emulator.UserA, "WS-202", 1, append(run, "--request", "--", "echo", "second runs")...)
	says(t, second, 20*time.Second, "WS-101", "the other machine is asked to let go")
	says(t, first, 20*time.Second, `You are asked from "WS-202" to let go`)

	no := runSeat(t, s, emulator.UserA, "WS-101", 2, "let-go", "--decline")
	if status := no.Wait(t, 20*time.Second); status != 0 {
		t.Fatalf("declining ended with %d", status)
	}
	says(t, second, 20*time.Second, "the other machine does not let go; waiting")
	if first.Ended() || strings.Contains(second.Output(), "second runs") {
		t.Fatalf("after it was declined: the first has ended: %t; the second wrote:\n%s", first.Ended(), second.Output())
	}

	yes := runSeat(t, s, emulator.UserA, "WS-101", 2, "let-go")
	if status := yes.Wait(t, 20*time.Second); status != 0 {
		t.Fatalf("letting go ended with %d", status)
	}
	says(t, first, 30*time.Second, "must be closed here now")
	first.Wait(t, 30*time.Second)
	says(t, second, 30*time.Second, "second runs")
	if status := second.Wait(t, 20*time.Second); status != 0 {
		t.Errorf("the second ended with %d; it wrote:\n%s", status, second.Output())
	}
}

// The second machine asks; the first is told, warned a minute before the end of the
// grace, and ended shortly before it, though the leader dies meanwhile; the second is
// granted only after that.
func TestASecondMachineTakesOverAfterTheGrace(t *testing.T) {
	if testing.Short() {
		t.Skip("a grace is a minute at least")
	}
	t.Parallel()
	s := NewSite(t, 3, 20, "SITEGATE_RULES_TAKEOVER=grace", "SITEGATE_RULES_TAKEOVER_GRACE=70s")
	leader := s.Leader(t)
	near, far := (leader+1)%3, (leader+2)%3
	run := []string{"run", "--product", emulator.ProductCapped}
	// The first tells when it is asked to end, and takes a second to save.
	first := runSeat(t, s, emulator.UserA, "WS-101", near, append(run, "--", "sh", "-c",
		`trap 'echo first saves; sleep 1; echo first has saved; exit 0' TERM; echo first runs; while :; do sleep 0.2; done`)...)
	says(t, first, 20*time.Second, "first runs")
	asked := time.Now()
	second := runSeat(t, s, emulator.UserA, "WS-202", far, append(run, "--request", "--", "echo", "second runs")...)
	says(t, second, 20*time.Second, "the other machine has until")
	says(t, first, 20*time.Second, `You asked for your license on "WS-202": `)
	s.Nodes[leader].Kill()
	s.Start(t, leader)

	// A third machine does not get in between.
	third := runSeat(t, s, emulator.UserA, "WS-303", near, append(run, "--", "echo", "third runs")...)
	if status := third.Wait(t, 30*time.Second); status == 0 || strings.Contains(third.Output(), "third runs") {
		t.Errorf("the third ended with %d; it wrote:\n%s\nwant a refusal", status, third.Output())
	}

	says(t, first, 60*time.Second, `You asked for your license on "WS-202": `, `You asked for your license on "WS-202": `) // warned again
	if strings.Contains(first.Output(), "first saves") {
		t.Errorf("the first was ended with its warning; it wrote:\n%s", first.Output())
	}
	says(t, second, 120*time.Second, "second runs")
	granted := time.Now()
	if out := first.Output(); !strings.Contains(out, "first has saved") {
		t.Errorf("the second was granted before the first had ended; that wrote:\n%s", out)
	}
	if took := granted.Sub(asked); took < 50*time.Second {
		t.Errorf("the second was granted after %v, want most of the grace of 70 s", took)
	}
	says(t, first, 10*time.Second, "sh is asked to end in", "save your work. You asked for your license on ", "the license is lost: You asked for your license on ", "ending sh")
	if status := first.Wait(t, 20*time.Second); status != 0 {
		t.Errorf("the first ended with %d, want its program's 0", status)
	}
	if status := second.Wait(t, 20*time.Second); status != 0 {
		t.Errorf("the second ended with %d; it wrote:\n%s", status, second.Output())
	}
}
