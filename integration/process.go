package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program this test started. It is killed at the end of the test if
// it still runs then, and what it wrote is shown if the test failed.
type Process struct {
	Name string

	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done
}

// StartProcess starts a program, with more in its environment. Its standard output
// and error are kept together.
func StartProcess(t testing.TB, name string, env []string, path string, args ...string) *Process {
	t.Helper()
	p := &Process{Name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.Output())
		}
	})
	return p
}

// Kill ends the process at once, as a power cut would (SIGKILL), and waits for
// its end.
func (p *Process) Kill() {
	p.cmd.Process.Signal(syscall.SIGCONT)
	p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end (SIGTERM) and reports how it did.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if p.err != nil {
			t.Errorf("%s ended with %v after SIGTERM, want status 0", p.Name, p.err)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("%s still runs 30 s after SIGTERM", p.Name)
		p.Kill()
	}
}

// Hangup has the process read its configuration anew (SIGHUP).
func (p *Process) Hangup(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatalf("%s: %v", p.Name, err)
	}
}

// Pause stops the process in its tracks (SIGSTOP) until Resume.
func (p *Process) Pause() { p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.cmd.Process.Signal(syscall.SIGCONT) }

// Wait waits for the process to end by itself and returns its exit status.
func (p *Process) Wait(t testing.TB, atMost time.Duration) int {
	t.Helper()
	atMost = max(atMost, patience)
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(atMost):
		t.Fatalf("%s still runs after %v; it wrote:\n%s", p.Name, atMost, p.Output())
		return -1
	}
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output is what the process wrote so far (the last of it, if that is much).
func (p *Process) Output() string { return p.out.String() }

// output keeps the last of what is written to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxOutput = 1 << 20

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() > maxOutput {
		o.buf.Next(o.buf.Len() / 2)
	}
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// programs are built once for all tests of a run.
type programs struct {
	// source makes the folder whose module they are of, in a folder that is removed at the
	// end; nil: this module's.
	source func(dir string) error
	plain  bool // without the race detector
	once   sync.Once
	dir    string
	err    error
}

var (
	built, faulty programs
	next          = programs{plain: true}
	earlier       = programs{plain: true, source: earlierSource}
)

// Program returns the path of one of this module's programs ("sitegate", "seat",
// "cloudemu"), built with the race detector where the tests are.
func Program(t testing.TB, name string) string {
	t.Helper()
	return built.program(t, name, "sitegate/cmd/sitegate", "sitegate/cmd/seat", "sitegate/cmd/cloudemu")
}

// FaultyProgram returns the path of a sitegate that does on demand what disks,
// clocks and careless programmers do.
func FaultyProgram(t testing.TB) string {
	t.Helper()
	return faulty.program(t, "sitegate", "-tags", "faults", "sitegate/cmd/sitegate")
}

// NextProgram returns the path of a sitegate that can do one level more than this one,
// as a later version can.
func NextProgram(t testing.TB) string {
	t.Helper()
	return next.program(t, "sitegate", "-tags", "nextlevel", "sitegate/cmd/sitegate")
}

// EarlierProgram returns the path of the sitegate that was released last. The test is
// skipped where the history does not have it.
func EarlierProgram(t testing.TB) string {
	t.Helper()
	return earlier.program(t, "sitegate", "sitegate/cmd/sitegate")
}

func (p *programs) program(t testing.TB, name string, what ...string) string {
	t.Helper()
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "sitegate-programs-"); p.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", p.dir)
		if raceEnabled && !p.plain {
			build.Args = append(build.Args, "-race")
		}
		build.Args = append(build.Args, what...)
		if p.source != nil {
			build.Dir = filepath.Join(p.dir, "source")
			if p.err = p.source(build.Dir); p.err != nil {
				return
			}
		}
		if out, err := build.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("building the programs: %w\n%s", err, out)
		}
	})
	if errors.Is(p.err, errNoRevision) {
		t.Skip(p.err)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
	return filepath.Join(p.dir, name)
}

// RemovePrograms removes what Program built. TestMain calls it last.
func RemovePrograms() {
	for _, p := range []*programs{&built, &faulty, &next, &earlier} {
		if p.dir != "" {
			os.RemoveAll(p.dir)
		}
	}
}

// patience is what is waited for anything at the least: a test that gives up says that
// something does not come about, and not that the machine is slow.
const patience = time.Minute

// Eventually waits until what holds, and fails the test if it does not in time.
func Eventually(t testing.TB, atMost time.Duration, what string, holds func() error) {
	t.Helper()
	if err := within(atMost, what, holds); err != nil {
		t.Fatal(err)
	}
}

// within is Eventually for who wants to know: of what holds said last, and at once of
// a node that has ended.
func within(atMost time.Duration, what string, holds func() error) error {
	atMost = max(atMost, patience)
	deadline := time.Now().Add(atMost)
	for {
		err := holds()
		if err == nil {
			return nil
		}
		if errors.Is(err, errEnded) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, atMost, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
