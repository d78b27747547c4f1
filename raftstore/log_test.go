package raftstore

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
)

func testOpenLog(t *testing.T, fs wal.FS, halt func(error)) *logStore {
	t.Helper()
	w := newStalls(StallLimits{}, testLog(t, "n1"), monotonic())
	l, err := openLog(fs, 4096, testLog(t, "n1"), newMetrics(nothing, nothing), w, halt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestVoteIsOneStepOnDisk(t *testing.T) {
	fs := &crashfs.FS{}
	l := testOpenLog(t, fs, func(err error) { t.Error(err) })
	vote := func(term uint64, who string) {
		t.Helper()
		if err := errors.Join(l.SetUint64([]byte(keyVoteTerm), term), l.Set([]byte(keyVotedFor), []byte(who))); err != nil {
			t.Fatal(err)
		}
	}
	vote(3, "n1")
	if err := l.SetUint64([]byte(keyVoteTerm), 4); err != nil { // and then the power is lost
		t.Fatal(err)
	}
	check := func(l *logStore, wantTerm uint64, wantWho string) {
		t.Helper()
		term, err1 := l.GetUint64([]byte(keyVoteTerm))
		who, err2 := l.Get([]byte(keyVotedFor))
		if term != wantTerm || string(who) != wantWho || errors.Join(err1, err2) != nil {
			t.Errorf("vote: got term %d for %s, %v; want %d for %s", term, who, errors.Join(err1, err2), wantTerm, wantWho)
		}
	}
	check(l, 3, "n1")
	check(testOpenLog(t, fs.Crash(crashfs.Lost, nil), func(err error) { t.Error(err) }), 3, "n1")
	fs.Stop(1000)
	vote(4, "n2")
	if got := fs.Ops(); got != 2 {
		t.Errorf("a vote took %d operations on disk, want a write and a sync", got)
	}
	check(testOpenLog(t, fs.Crash(crashfs.Lost, nil), func(err error) { t.Error(err) }), 4, "n2")
}

func TestFullDiskDoesNotHaltTheNode(t *testing.T) {
	fs := &crashfs.FS{}
	l := testOpenLog(t, fs, func(err error) { t.Errorf("halted: %v", err) })
	fs.Limit(16 << 10)
	index := uint64(0)
	for {
		err := l.StoreLog(&raft.Log{Index: index + 1, Term: 1, Data: make([]byte, 1000)})
		if errors.Is(err, wal.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		index++
	}
	fs.Limit(0)
	if err := l.StoreLog(&raft.Log{Index: index + 1, Term: 1}); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// Entries that give way to others which the disk has no room for stay there for raft,
// which still counts them as its last: it can give way again, or lead with them.
func TestWhatGaveWayIsThereUntilOthersAre(t *testing.T) {
	for what, term := range map[string]uint64{"another leader's": 7, "its own": 8} {
		t.Run(what, func(t *testing.T) {
			fs := &crashfs.FS{}
			l := testOpenLog(t, fs, func(err error) { t.Errorf("halted: %v", err) })
			l.applied = func() uint64 { return 2 }
			l.running.Store(true)
			entries := func(from, to, term uint64) (list []*raft.Log) {
				for i := from; i <= to; i++ {
					list = append(list, &raft.Log{Index: i, Term: term, Data: make([]byte, 1000)})
				}
				return list
			}
			last := uint64(4)
			if err := l.StoreLogs(entries(1, last, 4)); err != nil {
				t.Fatal(err)
			}
			fs.Limit(16 << 10)
			for l.StoreLogs(entries(last+1, last+1, 4)) == nil {
				last++
			}
			termOf := func(index uint64) uint64 {
				t.Helper()
				var entry raft.Log
				if err := l.GetLog(index, &entry); err != nil || entry.Index != index {
					t.Fatalf("entry %d of %d: got %+v, %v", index, last, entry, err)
				}
				return entry.Term
			}
			for _, from := range []uint64{last, last - 1, last - 1, last} { // as often as a leader tries
				if err := l.DeleteRange(from, last); err != nil {
					t.Fatal(err)
				}
				if err := l.StoreLogs(entries(from, last+20, 7)); !errors.Is(err, wal.ErrFull) {
					t.Fatalf("storing without room: got %v, want %v", err, wal.ErrFull)
				}
				for index := uint64(1); index <= last; index++ {
					if got := termOf(index); got != 4 {
						t.Fatalf("entry %d is of term %d, want 4", index, got)
					}
				}
			}
			fs.Limit(0)
			next := last
			if term == 8 { // it leads, and goes on after what it counts as its last
				next++
			}
			if err := l.StoreLogs(entries(next, next, term)); err != nil {
				t.Fatal(err)
			}
			if end, err := l.LastIndex(); err != nil || end != next || termOf(next) != term || termOf(next-1) != 4 {
				t.Errorf("the log ends at %d, %v, of term %d after one of term %d; want %d, %d, 4", end, err, termOf(end), termOf(end-1), next, term)
			}
		})
	}
}

func TestFailedLogHaltsTheNode(t *testing.T) {
	fs := &crashfs.FS{}
	halted := make(chan error, 3)
	l := testOpenLog(t, fs, func(err error) { halted <- err })
	if err := l.StoreLog(&raft.Log{Index: 1, Term: 1}); err != nil {
		t.Fatal(err)
	}
	fs.Stop(2)
	if err := l.StoreLog(&raft.Log{Index: 2, Term: 1}); !errors.Is(err, wal.ErrFailed) {
		t.Errorf("got %v, want %v", err, wal.ErrFailed)
	}
	if err := receive(t, halted); !errors.Is(err, wal.ErrFailed) {
		t.Errorf("halted with %v, want %v", err, wal.ErrFailed)
	}
	if err := l.Set([]byte(keyVotedFor), []byte("n2")); !errors.Is(err, wal.ErrFailed) {
		t.Errorf("a vote after that: got %v, want %v", err, wal.ErrFailed)
	}
	l.running.Store(true) // raft runs: its goroutine ends, where raft would panic
	went := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.SetUint64([]byte("CurrentTerm"), 9)
		close(went)
	}()
	receive(t, ended)
	select {
	case <-went:
		t.Error("raft goes on with a term that was not kept")
	default:
	}
}

// What was applied never gives way: a log that a snapshot takes the place of is neither
// read nor kept, and what follows it is stored alone.
func TestALogThatASnapshotReplacesIsNotKept(t *testing.T) {
	l := testOpenLog(t, &crashfs.FS{}, func(err error) { t.Errorf("halted: %v", err) })
	l.applied = func() uint64 { return 3 }
	l.running.Store(true)
	for i := range uint64(4) {
		if err := l.StoreLog(&raft.Log{Index: i + 1, Term: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.DeleteRange(1, 4); err != nil {
		t.Fatal(err)
	}
	if err := l.StoreLog(&raft.Log{Index: 4, Term: 2}); err != nil {
		t.Fatal(err)
	}
	first, err1 := l.FirstIndex()
	last, err2 := l.LastIndex()
	var entry raft.Log
	if err := errors.Join(err1, err2, l.GetLog(4, &entry)); err != nil || first != 4 || last != 4 || entry.Term != 2 {
		t.Errorf("the log is %d to %d, ending with term %d, %v; want entry 4 of term 2 alone", first, last, entry.Term, err)
	}
}
