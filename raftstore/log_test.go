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
