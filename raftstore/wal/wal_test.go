package wal_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
)

func TestLogIsItsModel(t *testing.T) {
	fs := &crashfs.FS{}
	r := randomness(t)
	m := newModel()
	w := open(t, wal.Options{FS: fs, SegmentSize: 4096})
	for i := range 3000 {
		s := chance(r, m)
		if err := s.do(w, &m); err != nil {
			t.Fatalf("step %d, %s: %v", i, s.name, err)
		}
		if i%40 == 0 {
			if err := m.differs(w); err != nil {
				t.Fatalf("step %d, %s: %v", i, s.name, err)
			}
		}
		if i%150 == 149 {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			w = open(t, wal.Options{FS: fs, SegmentSize: 4096 << r.IntN(2)})
			if err := m.differs(w); err != nil {
				t.Fatalf("step %d, opened anew: %v", i, err)
			}
		}
	}
	names, err := fs.List()
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	for _, l := range m.logs {
		live += 40 + len(l.Data) + len(l.Extensions)
	}
	if got, limit := len(names), 12+2*live/4096; got > limit {
		t.Errorf("%d files for %d bytes of entries, want at most %d: %v", got, live, limit, names)
	}
}

func TestMoreThanASegment(t *testing.T) {
	fs := wal.OS(t.TempDir())
	r := randomness(t)
	w := open(t, wal.Options{FS: fs, SegmentSize: 4096})
	m := newModel()
	if err := storing(entries(r, 1, 200)).do(w, &m); err != nil {
		t.Fatal(err)
	}
	if err := m.differs(w); err != nil {
		t.Error(err)
	}
	if err := w.StoreLog(&raft.Log{Index: 201, Data: make([]byte, 2100)}); err == nil {
		t.Error("an entry of more than half a segment is taken")
	}
	if err := m.differs(w); err != nil {
		t.Errorf("after an entry that was refused: %v", err)
	}
}

func TestGapsAndHolesAreRefused(t *testing.T) {
	w := open(t, wal.Options{FS: wal.OS(t.TempDir()), SegmentSize: 4096})
	m := newModel()
	if err := storing(entries(randomness(t), 10, 5)).do(w, &m); err != nil {
		t.Fatal(err)
	}
	for _, logs := range [][]*raft.Log{{{Index: 16}}, {{Index: 14}}, {{Index: 15}, {Index: 17}}, {{Index: 15}, {Index: 15}}} {
		if err := w.StoreLogs(logs); !errors.Is(err, wal.ErrGap) {
			t.Errorf("storing %d behind 14: got %v, want %v", logs[len(logs)-1].Index, err, wal.ErrGap)
		}
	}
	if err := w.DeleteRange(11, 13); err == nil {
		t.Error("entries are taken out of the middle")
	}
	if err := m.differs(w); err != nil {
		t.Error(err)
	}
}

func TestStableValues(t *testing.T) {
	fs := wal.OS(t.TempDir())
	w := open(t, wal.Options{FS: fs, SegmentSize: 4096})
	if n, err := w.GetUint64([]byte("term")); n != 0 || err != nil {
		t.Errorf("a number that was never set: got %d, %v; want 0", n, err)
	}
	if b, err := w.Get([]byte("vote")); b != nil || err != nil {
		t.Errorf("a value that was never set: got %q, %v; want nil", b, err)
	}
	if err := w.Put(map[string][]byte{"vote": []byte("n1"), "voted": []byte("\x00\x00\x00\x00\x00\x00\x00\x07")}); err != nil {
		t.Fatal(err)
	}
	if err := w.SetUint64([]byte("term"), 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := w.Set([]byte("long"), make([]byte, 500)); err == nil {
		t.Error("a value of 500 bytes is taken")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, wal.Options{FS: fs, SegmentSize: 4096})
	term, err1 := w.GetUint64([]byte("term"))
	voted, err2 := w.GetUint64([]byte("voted"))
	vote, err3 := w.Get([]byte("vote"))
	if term != 1<<40 || voted != 7 || string(vote) != "n1" || errors.Join(err1, err2, err3) != nil {
		t.Errorf("got term %d, voted %d, vote %q, %v; want %d, 7, n1", term, voted, vote, errors.Join(err1, err2, err3), 1<<40)
	}
	if _, err := w.GetUint64([]byte("vote")); err == nil {
		t.Error("a value that is no number is read as one")
	}
}

// A disk that is full, and then is not.
func TestFullDisk(t *testing.T) {
	fs := &crashfs.FS{}
	r := randomness(t)
	w := open(t, wal.Options{FS: fs, SegmentSize: 4096})
	m := newModel()
	fs.Limit(5 * 4096)
	refusals := 0
	for range 400 {
		s := storing(entries(r, m.last+1, 1+r.IntN(20)))
		next := m.clone()
		err := s.do(w, &next)
		switch {
		case err == nil:
			m = next
		case errors.Is(err, wal.ErrFull):
			refusals++
			if err := m.differs(w); err != nil {
				t.Fatalf("after %d refusals: %v", refusals, err)
			}
			if refusals%2 == 0 {
				if err := deletion(m.first, m.last-min(2, m.last-m.first)).do(w, &m); err != nil {
					t.Fatalf("making room on a full disk: %v", err)
				}
			} else {
				fs.Limit(1 << 20)
				if err := w.Prepare(); err != nil {
					t.Fatalf("there is room again: %v", err)
				}
				fs.Limit(5 * 4096)
			}
		default:
			t.Fatalf("%s: got %v, want %v or success", s.name, err, wal.ErrFull)
		}
	}
	if refusals < 10 {
		t.Errorf("the disk was full %d times, want many", refusals)
	}
	again, err := wal.Open(wal.Options{FS: fs.Crash(crashfs.Lost, r), SegmentSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.differs(again); err != nil {
		t.Errorf("opened anew: %v", err)
	}
}

// broken is a folder whose files fail to sync from some time on.
type broken struct {
	wal.FS
	err *error
}

func (b broken) Open(name string) (wal.File, error) {
	f, err := b.FS.Open(name)
	return brokenFile{f, b.err}, err
}

func (b broken) Create(name string) (wal.File, error) {
	f, err := b.FS.Create(name)
	return brokenFile{f, b.err}, err
}

type brokenFile struct {
	wal.File
	err *error
}

func (f brokenFile) Sync() error {
	if *f.err != nil {
		return *f.err
	}
	return f.File.Sync()
}

func TestFailedLogStaysFailed(t *testing.T) {
	for name, write := range map[string]func(w *wal.WAL) error{
		"append": func(w *wal.WAL) error { return w.StoreLog(&raft.Log{Index: 4}) },
		"cut":    func(w *wal.WAL) error { return w.DeleteRange(1, 2) },
		"vote":   func(w *wal.WAL) error { return w.SetUint64([]byte("term"), 9) },
	} {
		t.Run(name, func(t *testing.T) {
			var failing error
			w := open(t, wal.Options{FS: broken{wal.OS(t.TempDir()), &failing}, SegmentSize: 4096})
			if err := w.StoreLogs([]*raft.Log{{Index: 1}, {Index: 2}, {Index: 3}}); err != nil {
				t.Fatal(err)
			}
			failing = errors.New("input/output error")
			if err := write(w); !errors.Is(err, wal.ErrFailed) || !errors.Is(err, failing) {
				t.Errorf("got %v, want %v and %v", err, wal.ErrFailed, failing)
			}
			failing = nil // what was not synced then is not known to be there now
			for _, err := range []error{w.StoreLog(&raft.Log{Index: 4}), w.SetUint64([]byte("term"), 10), w.DeleteRange(2, 3)} {
				if !errors.Is(err, wal.ErrFailed) {
					t.Errorf("afterwards: got %v, want %v", err, wal.ErrFailed)
				}
			}
			var l raft.Log
			if err := w.GetLog(3, &l); err != nil {
				t.Errorf("reading: %v", err)
			}
		})
	}
}

// Readers, an appender, a cutter and who prepares segments, as raft has them.
func TestReadWhileWritten(t *testing.T) {
	w := open(t, wal.Options{FS: wal.OS(t.TempDir()), SegmentSize: 4096})
	var group sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				first, _ := w.FirstIndex()
				last, _ := w.LastIndex()
				if last == 0 {
					continue
				}
				i := first + rand.Uint64N(last-first+1)
				var l raft.Log
				if err := w.GetLog(i, &l); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
					t.Errorf("reading %d: %v", i, err)
				} else if err == nil && (l.Index != i || len(l.Data) != 100) {
					t.Errorf("reading %d: got %d with %d bytes", i, l.Index, len(l.Data))
				}
			}
		})
	}
	group.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := w.Prepare(); err != nil {
				t.Error(err)
			}
			if first, _ := w.FirstIndex(); first > 0 {
				if last, _ := w.LastIndex(); last > first+100 {
					if err := w.DeleteRange(first, last-50); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
	for i := range uint64(400) {
		if err := w.StoreLog(&raft.Log{Index: i + 1, Data: make([]byte, 100)}); err != nil {
			t.Error(err)
		}
	}
	close(done)
	group.Wait()
}

func TestUnfinishedFilesAreClearedAway(t *testing.T) {
	dir := t.TempDir()
	fs := wal.OS(dir)
	if err := os.WriteFile(dir+"/000007.seg.new", make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, wal.Options{FS: fs, SegmentSize: 4096})
	if err := w.StoreLog(&raft.Log{Index: 1}); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List()
	if err != nil || len(names) != 2 {
		t.Errorf("files: got %v, %v; want the stable file and a segment", names, err)
	}
}
