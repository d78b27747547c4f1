//go:build unix

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sitegate/api"
)

func TestRunPassesTheProgramsOwnStatusOn(t *testing.T) {
	r := newRig(t)
	for script, want := range map[string]int{"exit 0": 0, "exit 3": 3, "exit 77": 77, "kill -KILL $$": 128 + 9} {
		if got := r.seat(runArgs(nil, sh(script))...); got.status != want {
			t.Errorf("%q: exit status %d, want %d; %s", script, got.status, want, got.stderr)
		}
	}
	if left := r.g.Running(); len(left) != 0 {
		t.Errorf("sessions %v left, want them given back", left)
	}
	r.expect(r.seat(runArgs(nil, sh("echo hello; cat"))...), 0, "hello")
}

func TestRunHoldsTheLicenseMeanwhile(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "go")
	b := r.background(runArgs([]string{"--machine-name", "WS-101"}, sh(`echo running; while [ ! -e "$1" ]; do sleep 0.05; done`, file))...)
	b.await("running")
	r.listens()
	if n := len(r.g.Running()); n != 1 {
		t.Errorf("%d sessions while it runs, want 1", n)
	}
	tried := time.Now().Format("15:04") // or a minute later
	if _, err := r.other("WS-202").Start(t.Context(), cad); err == nil || !strings.Contains(err.Error(), "WS-101") {
		t.Errorf("Start elsewhere = %v, want a refusal that names WS-101", err)
	}
	b.await("WS-202 has tried to start.")
	said := regexp.MustCompile(`(\d\d:\d\d)  WS-202 has tried to start\.`)
	if at := said.FindStringSubmatch(b.text.String()); at == nil || at[1] != tried && at[1] != time.Now().Format("15:04") {
		t.Errorf("it said:\n%s\nwant that WS-202 tried at %s", b.text, tried)
	}
	if !r.screen.matches(said) {
		t.Errorf("the desktop shows %q, want when WS-202 tried", r.screen.shown)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.end(0)
	if n := len(r.g.Running()); n != 0 {
		t.Errorf("%d sessions after it, want none", n)
	}
}

func TestRunDeniedSaysWhatToDo(t *testing.T) {
	r := newRig(t)
	r.startOn("WS-101")
	got := r.seat(runArgs(nil, sh("echo ran"))...)
	r.expect(got, 77, `Please close the application on "WS-101" and try again.`, "- Close it on WS-101.")
	if strings.Contains(got.out, "ran") {
		t.Error("the program ran all the same")
	}
}

func TestRunWithoutGateway(t *testing.T) {
	r := newRig(t)
	r.srv.Close()
	r.expect(r.seat(runArgs([]string{"--timeout", "300ms"}, sh("echo ran"))...), 69, "cannot be reached", "Ask IT")
}

func TestRunWithoutQuorum(t *testing.T) {
	r := newRig(t)
	r.g.Before = func(*http.Request) *api.Problem {
		return &api.Problem{Code: api.CodeNoQuorum, Status: http.StatusServiceUnavailable, Detail: "Most nodes cannot be reached."}
	}
	r.expect(r.seat(runArgs([]string{"--timeout", "3s"}, sh("echo ran"))...), 69, "Most nodes cannot be reached.")
}

func TestRunSignedOut(t *testing.T) {
	r := newRig(t)
	r.file("token", "old-token")
	r.expect(r.seat(runArgs(nil, sh("echo ran"))...), 77, "no valid sign-in")
}

func TestRunTakesNoLicenseForAProgramThatIsNot(t *testing.T) {
	r := newRig(t)
	r.expect(r.seat(runArgs(nil, []string{"--", "no-such-program"})...), 127, "no-such-program")
	r.expect(r.seat(runArgs(nil, []string{"--", r.file("text", "hello")})...), 126)
	if n := r.g.Asked("POST"); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestRunWaits(t *testing.T) {
	r := newRig(t)
	there := r.startOn("WS-101")
	b := r.background(runArgs([]string{"--wait"}, sh("echo ran"))...)
	b.await("waiting until it is free")
	if err := there.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.await("ran")
	b.end(0)
}

func TestReleaseEndsTheProgram(t *testing.T) {
	r := newRig(t)
	b := r.background(runArgs(nil, sh(`trap 'echo saved; exit 5' TERM; echo running; while :; do sleep 0.05; done`))...)
	b.await("running")
	r.listens()
	r.g.Release(ann, "Ada Admin", "needed in the yard", 0)
	b.await("Ada Admin has ended your session: needed in the yard")
	b.await("the license is lost")
	b.await("saved")
	b.end(5)
}

func TestRunNeedsItsFlags(t *testing.T) {
	r := newRig(t)
	for _, args := range [][]string{
		{"run", "--", "true"},
		{"run", "--product", cad},
		{"run", "--product", cad, "--token", "secret", "--", "true"},
	} {
		if got := r.seat(args...); got.status != 64 || got.stderr == "" {
			t.Errorf("%v: exit status %d and %q, want 64 and why", args, got.status, got.stderr)
		}
	}
	// What follows the program is the program's.
	r.expect(r.seat("run", "--product", cad, "sh", "-c", "echo $1", "sh", "--wait"), 0, "--wait")
}

// process starts seat as a process of its own.
func (r *rig) process(args ...string) (*exec.Cmd, *transcript) {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.command(exe, args...)
}

// command starts something that is, or becomes, seat.
func (r *rig) command(path string, args ...string) (*exec.Cmd, *transcript) {
	r.t.Helper()
	cmd, text := exec.Command(path, args...), newTranscript()
	cmd.Env = []string{"SEAT_TEST_MAIN=1", "PATH=" + os.Getenv("PATH")}
	for k, v := range r.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = text, text, 10*time.Second
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	var ended atomic.Bool
	r.t.Cleanup(func() {
		if !ended.Load() {
			cmd.Process.Kill()
		}
	})
	return cmd, text
}

func statusOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		t.Fatal(err)
	}
	return exit.ExitCode()
}

func TestSignalsArePassedOn(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		signal syscall.Signal
		script string
		want   int
	}{
		"a program that dies of it":     {syscall.SIGTERM, "echo running; while :; do sleep 0.05; done", 128 + 15},
		"a program that handles it":     {syscall.SIGHUP, "trap 'echo reread; exit 9' HUP; echo running; while :; do sleep 0.05; done", 9},
		"an interrupt, no keyboard":     {syscall.SIGINT, "trap 'exit 11' INT; echo running; while :; do sleep 0.05; done", 11},
		"a signal of the program's own": {syscall.SIGUSR1, "trap 'exit 12' USR1; echo running; while :; do sleep 0.05; done", 12},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, text := r.process(runArgs(nil, sh(c.script))...)
			text.await(t, "running")
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if got := statusOf(t, cmd.Wait()); got != c.want {
				t.Errorf("exit status %d, want %d; it said:\n%s", got, c.want, text.all.String())
			}
			if n := len(r.g.Running()); n != 0 {
				t.Errorf("%d sessions left, want none", n)
			}
		})
	}
}

// TestIgnoredSignalsStayIgnored: what nohup has said holds for seat, and for the program.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	r := newRig(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd, text := r.command("sh", append([]string{"-c", `trap "" HUP; exec "$0" "$@"`, exe}, runArgs(nil, sh("echo running; while :; do sleep 0.05; done"))...)...)
	text.await(t, "running")
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := statusOf(t, cmd.Wait()), 128+int(syscall.SIGTERM); got != want {
		t.Errorf("exit status %d, want %d: the hang-up is ignored; it said:\n%s", got, want, text)
	}
}

func TestInterruptedIsTheSameEverywhere(t *testing.T) {
	r := newRig(t)
	asked, over := make(chan struct{}, 64), make(chan struct{})
	silent := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(over) })
	r.env["SITEGATE_MACHINE_KEY"] = "file" // nothing is said of a TPM
	r.env["SITEGATE_GATEWAY"] = silent.URL // httptest's servers share a certificate
	for _, args := range [][]string{{"status"}, {"watch"}} {
		cmd, text := r.process(args...)
		<-asked
		cmd.Process.Signal(os.Interrupt)
		want := 130
		if args[0] == "watch" {
			want = 0
		}
		if got := statusOf(t, cmd.Wait()); got != want || text.String() != "" {
			t.Errorf("%s: exit status %d, want %d and not a word; it said:\n%s", args[0], got, want, text)
		}
	}
}

func TestInterruptGivesUpWaiting(t *testing.T) {
	r := newRig(t)
	r.startOn("WS-101")
	cmd, text := r.process(runArgs([]string{"--wait"}, sh("echo ran"))...)
	text.await(t, "waiting until it is free")
	cmd.Process.Signal(os.Interrupt)
	if got := statusOf(t, cmd.Wait()); got != 130 {
		t.Errorf("exit status %d, want 130; it said:\n%s", got, text.all.String())
	}
}

func TestSecretsAreInNoCommandLineOrOutput(t *testing.T) {
	r := newRig(t)
	cmd, text := r.process(runArgs([]string{"--verbose"}, sh("echo running; env; while :; do sleep 0.05; done"))...)
	text.await(t, "running")
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if strings.Contains(text.all.String()+strings.Join(cmd.Args, " "), "ann-token") {
		t.Errorf("the token is in what can be seen:\n%s", text.all.String())
	}
}
