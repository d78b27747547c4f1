package raftstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// smallBadger are databases that are soon full, so that there are many files.
type smallBadger struct{ badgers }

func (smallBadger) open(dir string, log *slog.Logger) (*badger.DB, error) {
	return openDatabase(badgerOptions(dir, log).WithMemTableSize(512 << 10).WithValueThreshold(16 << 10).WithValueLogFileSize(1 << 20).WithNumMemtables(5))
}

// stateHistory writes a state to disk in many steps, and notes what it was after each.
// atStep is called between them.
func stateHistory(t testing.TB, d *disk, steps int, atStep func(i int)) (hashes map[uint64]string) {
	t.Helper()
	return stateHistoryUntil(t, d, steps, func(i int) bool { atStep(i); return false })
}

// stateHistoryUntil is stateHistory that ends when atStep says so, after most steps at the
// latest.
func stateHistoryUntil(t testing.TB, d *disk, most int, atStep func(i int) (enough bool)) (hashes map[uint64]string) {
	t.Helper()
	s := license.NewState()
	hashes = map[uint64]string{0: hashState(t, d.codec, s)}
	at := license.Time(1_700_000_000_000)
	apply := func(c license.Command) []license.Event {
		at += 1000
		out, events := license.Apply(s, license.Entry{At: at, Command: c})
		if out.Denial != nil {
			t.Fatalf("%T: denied: %+v", c, *out.Denial)
		}
		return events
	}
	r := rand.New(rand.NewPCG(5, 5))
	const each = 20
	var before, machine string
	for i := range most {
		before, machine = machine, fmt.Sprintf("WS-%d-", i) // nothing that compresses well
		for range 6 {
			machine += fmt.Sprintf("%016x", r.Uint64())
		}
		var events []license.Event
		if i == 0 {
			events = append(apply(license.Found{Cluster: testCluster, Level: license.Level}), apply(fill(3*each))...)
		}
		for n := range each {
			events = append(events, apply(start(1000*i+n, i%3*each+n, fmt.Sprint(machine, n)))...)
			if i > 0 {
				events = append(events, apply(stop(1000*(i-1)+n, (i-1)%3*each+n, fmt.Sprint(before, n)))...)
			}
		}
		x := sealed{pos: position{Index: uint64(i) + 1, Term: 1, Cluster: testCluster}, events: events}
		if err := x.take(s, d.codec); err != nil {
			t.Fatal(err)
		}
		if err := d.write(x); err != nil {
			t.Fatal(err)
		}
		hashes[x.pos.Index] = hashState(t, d.codec, s)
		if atStep(i) {
			break
		}
	}
	return hashes
}

func testDisk(t testing.TB, dir string, c *codec) *disk {
	t.Helper()
	d, _, err := openDisk(dir, smallBadger{}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// copyLive is copyTree of a database that is open, whose compactions put tables in
// the place of others: it copies until none did meanwhile.
func copyLive(t testing.TB, from, to string) {
	t.Helper()
	tables := func() (all string) {
		names, err1 := filepath.Glob(filepath.Join(from, "*", "*.sst"))
		lists, err2 := filepath.Glob(filepath.Join(from, "*", "MANIFEST"))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		for _, name := range append(names, lists...) {
			if info, err := os.Stat(name); err == nil {
				all += fmt.Sprintln(name, info.Size())
			}
		}
		return all
	}
	for {
		before := tables()
		copyTree(t, from, to)
		if before != "" && tables() == before {
			return
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
}

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || e.Name() == "LOCK" {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

const rotEnv = "RAFTSTORE_TEST_ROT"

// rot is what a child is to do: open a copy of a state with one damaged byte, for
// every one of a list, and tell what came of it. It is a process of its own because
// Badger ends the process where it trusts a length that it should not.
type rot struct {
	State, Work string
	Hashes      map[uint64]string
	Bytes       []rotten
}

type rotten struct {
	File string
	At   int64
}

// TestRottenStateIsNeverServed damages bytes all over the files of a state, one at a
// time: it refuses to open and says what to do, or it is the state of an earlier
// position, from which the log goes on.
func TestRottenStateIsNeverServed(t *testing.T) {
	if path := os.Getenv(rotEnv); path != "" {
		openRotten(t, path)
		return
	}
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	source, dir := t.TempDir(), t.TempDir()
	d := testDisk(t, source, c)
	work := rot{State: dir, Work: t.TempDir()}
	work.Hashes = stateHistory(t, d, 150, func(i int) {
		if i == 149 {
			copyLive(t, source, dir) // as a killed process leaves it
		}
	})
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		kinds[filepath.Ext(name)]++
		written := len(strings.TrimRight(string(b), "\x00"))
		r := rand.New(rand.NewPCG(uint64(len(b)), 7))
		for at := 0; at < written; at += 1 + r.IntN(max(1, written/4)) {
			work.Bytes = append(work.Bytes, rotten{name, int64(at)})
		}
		for at := max(0, written-6); at < written; at++ { // lengths and sums are at the end
			work.Bytes = append(work.Bytes, rotten{name, int64(at)})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if kinds[".sst"] < 1 || kinds[".mem"] < 1 {
		t.Fatalf("files by kind: %v, want tables and logs", kinds)
	}
	told := map[string]int{}
	for len(work.Bytes) > 0 {
		outcomes := rotIn(t, work)
		for i, outcome := range outcomes {
			told[strings.Fields(outcome)[0]]++
			if strings.HasPrefix(outcome, "WRONG") {
				t.Errorf("%s, byte %d: %s", work.Bytes[i].File, work.Bytes[i].At, outcome)
			}
		}
		if len(outcomes) < len(work.Bytes) { // Badger has ended the process, which serves nothing then
			told["ended"]++
			t.Logf("%s, byte %d: Badger has ended the process", work.Bytes[len(outcomes)].File, work.Bytes[len(outcomes)].At)
			outcomes = append(outcomes, "")
		}
		work.Bytes = work.Bytes[len(outcomes):]
	}
	t.Logf("files %v, outcomes %v", kinds, told)
	if told["refused"] == 0 || told["same"]+told["earlier"] == 0 {
		t.Errorf("outcomes %v: want some that are refused, and some that do not matter", told)
	}
}

// rotIn has a child open rotten states, and returns what came of them, as far as the
// child came.
func rotIn(t *testing.T, work rot) (outcomes []string) {
	t.Helper()
	b, err := json.Marshal(work)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rot.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(limited(t), os.Args[0], "-test.run=^TestRottenStateIsNeverServed$")
	child.Env = append(os.Environ(), rotEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if outcome, ok := strings.CutPrefix(lines.Text(), "outcome: "); ok {
			outcomes = append(outcomes, outcome)
		}
	}
	if err := child.Wait(); err == nil && len(outcomes) < len(work.Bytes) {
		t.Fatalf("the child ended after %d of %d", len(outcomes), len(work.Bytes))
	}
	return outcomes
}

// openRotten is the child.
func openRotten(t *testing.T, path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var work rot
	if err := json.Unmarshal(b, &work); err != nil {
		t.Fatal(err)
	}
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range work.Bytes {
		dir := filepath.Join(work.Work, fmt.Sprint(os.Getpid(), "-", i))
		copyTree(t, work.State, dir)
		damage(t, filepath.Join(dir, x.File), x.At)
		fmt.Printf("outcome: %s\n", work.outcome(t, c, dir))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func damage(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// outcome opens a state: what it is must be what it was at its position.
func (w rot) outcome(t testing.TB, c *codec, dir string) string {
	d, l, err := openDisk(dir, smallBadger{}, c, slog.New(slog.DiscardHandler))
	if err != nil {
		if text := err.Error(); !strings.Contains(text, "join anew") {
			return "WRONG error, without a way out: " + text
		}
		return "refused"
	}
	defer d.close()
	got, want := hashState(t, c, l.state), w.Hashes[l.pos.Index]
	switch {
	case got != want:
		return fmt.Sprintf("WRONG state at %d: %s, was %s", l.pos.Index, got, want)
	case w.Hashes[l.pos.Index+1] == "":
		return "same"
	}
	return "earlier"
}

func TestHoleInAnOlderLogIsFound(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	source := t.TempDir()
	d := testDisk(t, source, c)
	stateHistory(t, d, 10, func(int) {})
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	copyTree(t, filepath.Join(source, d.name), dir)
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs: %v, %v; want one", logs, err)
	}
	if _, err := checkMemtable(logs[0]); err != nil {
		t.Errorf("a whole log: %v", err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := 20; at < len(strings.TrimRight(string(b), "\x00")); at += 1997 {
		bad := append([]byte(nil), b...)
		bad[at] ^= 0x20
		if err := os.WriteFile(logs[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := checkMemtable(logs[0]); err == nil {
			t.Fatalf("byte %d: not noticed", at)
		}
		if err := checkFiles(badgerOptions(dir, log)); err != nil {
			t.Fatalf("the newest log, byte %d: %v; it may be torn", at, err)
		}
	}
	bad := append([]byte(nil), b...)
	bad[1000] ^= 0x20
	if err := os.WriteFile(logs[0], bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "99999.mem"), b, 0o600); err != nil { // one that is newer
		t.Fatal(err)
	}
	if err := checkFiles(badgerOptions(dir, log)); !errors.Is(err, errStateDamaged) {
		t.Errorf("a hole in an older log: got %v, want %v", err, errStateDamaged)
	}
}
