package raftstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/license"
)

func TestSingleNodeDecidesAndComesBack(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir)
	do(t, s, fill(3))
	do(t, s, start(1, 0, "WS-101"))
	out, err := s.Propose(limited(t), start(2, 0, "WS-202"))
	if err != nil || out.Denial == nil || out.Denial.Reason != license.MachineActive {
		t.Fatalf("second machine: got %+v, %v; want a denial %s", out.Denial, err, license.MachineActive)
	}
	want, seq := hashOf(t, s), s.fsm.lastSeq()
	closeStore(t, s)

	s = single(t, dir)
	if got := hashOf(t, s); got != want {
		t.Errorf("state after a restart: got %s, want %s", got, want)
	}
	events, err := s.Journal(limited(t), 0, 1000)
	if err != nil || uint64(len(events)) != seq {
		t.Errorf("journal after a restart: got %d events, %v; want %d", len(events), err, seq)
	}
	for i, e := range events {
		if e.Seq != uint64(i+1) {
			t.Fatalf("journal: event %d has seq %d", i, e.Seq)
		}
	}
	if _, ok := events[len(events)-1].Fact.(license.Started); !ok {
		t.Errorf("last event: got %T, want Started", events[len(events)-1].Fact)
	}
}

func TestCrashReplaysTheLog(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir, func(c *Config) { c.FlushEvery = 1 << 40 }) // nothing is written behind
	do(t, s, fill(5))
	for n := range 5 {
		do(t, s, start(n+1, n, "WS-1"))
	}
	want, at := hashOf(t, s), s.fsm.applied.get()
	if pos, _ := s.disk.position(); pos.Index != 0 {
		t.Fatalf("the state on disk is at %d before the crash, want 0", pos.Index)
	}
	crash(t, s)

	s = single(t, dir)
	eventually(t, func() error {
		if got := s.fsm.applied.get(); got < at {
			return fmt.Errorf("applied %d of %d", got, at)
		}
		return nil
	})
	if got := hashOf(t, s); got != want {
		t.Errorf("state after a crash: got %s, want %s", got, want)
	}
}

func TestEventsComeInOrderOnEveryNode(t *testing.T) {
	seen := make(chan license.Event, 1000)
	s := single(t, t.TempDir(), func(c *Config) {
		c.OnEvents = func(_ uint64, events []license.Event) {
			for _, e := range events {
				seen <- e
			}
		}
	})
	do(t, s, fill(1))
	do(t, s, start(1, 0, "WS-1"))
	do(t, s, stop(1, 0, "WS-1"))
	var last uint64
	for {
		e := receive(t, seen)
		if e.Seq != last+1 {
			t.Fatalf("event after seq %d: got seq %d", last, e.Seq)
		}
		last = e.Seq
		if _, ok := e.Fact.(license.Stopped); ok {
			return
		}
	}
}

func TestDataFolderIsKept(t *testing.T) {
	dir := t.TempDir()
	s := single(t, dir)
	open := func(want string, change func(*Config)) {
		t.Helper()
		cfg := Config{Dir: dir, Node: "n1", Logger: testLog(t, "n1")}
		change(&cfg)
		s, err := Open(cfg)
		if err == nil {
			closeStore(t, s)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opening: got error %v, want one with %q", err, want)
		}
	}
	open("in use", func(*Config) {})
	closeStore(t, s)
	open(`belongs to node "n1"`, func(c *Config) { c.Node = "n2" })
	open("belongs to cluster", func(c *Config) { c.Cluster = testCluster })
	if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	open("is damaged", func(*Config) {})
}

func TestUnknownEntryStopsTheNode(t *testing.T) {
	for name, entry := range map[string][]byte{
		"version": {99},
		"command": {entryVersion, 2, 1, 0xfa, 0x01, 1, 0xa0},
		"garbage": {entryVersion, 2, 1, 5, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := single(t, t.TempDir())
			do(t, s, fill(1))
			want, at := hashOf(t, s), s.fsm.applied.get()
			if err := s.raft.Apply(entry, 0).Error(); err != nil {
				t.Logf("raft says: %v", err)
			}
			select {
			case <-s.Done():
			case <-limited(t).Done():
				t.Fatal("the node goes on after an entry it cannot read")
			}
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), "cannot be applied") {
				t.Errorf("why it stopped: got %v, want one with %q", err, "cannot be applied")
			}
			if got := hashOf(t, s); got != want || s.fsm.applied.get() != at {
				t.Errorf("state after it: got %s at %d, want %s at %d", got, s.fsm.applied.get(), want, at)
			}
			if _, err := s.Propose(context.Background(), stop(1, 0, "WS-1")); err == nil {
				t.Error("a stopped node takes proposals")
			}
		})
	}
}

func TestTooLargeIsRefusedBeforeTheLog(t *testing.T) {
	s := single(t, t.TempDir())
	before := s.fsm.applied.get()
	m := license.Mirror{Cursor: strings.Repeat("x", MaxCommand)}
	if _, err := s.Propose(limited(t), m); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want %v", err, ErrTooLarge)
	}
	// What is no UTF-8 must not stop a node either.
	out, err := s.Propose(limited(t), license.Start{ID: testID(1), User: "\xff\xfe", Product: "1000", Machine: license.Machine{ID: "\xff"}})
	if err != nil || out.Denial == nil || s.Err() != nil {
		t.Errorf("bad text: got %+v, %v, halted %v; want a denial", out.Denial, err, s.Err())
	}
	if got := s.fsm.applied.get(); got != before+1 {
		t.Errorf("applied: got %d, want %d", got, before+1)
	}
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(1))
	results := make(chan error, 200)
	for n := range 200 {
		go func() {
			_, err := s.Propose(context.Background(), start(n+1, 0, "WS-1"))
			results <- err
		}()
	}
	if err := receive(t, results); err != nil {
		t.Fatalf("first answer: %v", err)
	}
	closeStore(t, s)
	for range 199 {
		err := receive(t, results)
		if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknown) {
			t.Errorf("a proposal during Close: got %v", err)
		}
	}
	if _, err := s.Propose(context.Background(), fill(1)); err == nil {
		t.Error("a closed store takes proposals")
	}
}

// TryView reads what nobody changes, and waits for nobody who does.
func TestTryViewDoesNotWait(t *testing.T) {
	s := &Store{fsm: &fsm{state: license.NewState()}}
	read := 0
	if !s.TryView(func(*license.State) { read++ }) || read != 1 {
		t.Errorf("the state was free, and read %d times", read)
	}
	s.fsm.mu.Lock()
	if s.TryView(func(*license.State) { read++ }) || read != 1 {
		t.Errorf("the state was being changed, and read %d times", read-1)
	}
	s.fsm.mu.Unlock()
}
