package wal_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
)

// small is a log of four segments, with a cut and a vote,
// on a disk that has all of it.
func small(t *testing.T) (*crashfs.FS, model) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2)) // what is in which file matters
	fs := &crashfs.FS{}
	w := open(t, tiny(fs))
	m := newModel()
	for _, s := range []step{storing(entries(r, 1, 8)), storing(entries(r, 9, 9)), storing(entries(r, 18, 9)), storing(entries(r, 27, 9)), deletion(1, 20),
		storing(entries(r, 36, 9)), deletion(42, 44), {"vote", func(m *model) { m.values["vote"] = "n1" }, func(w *wal.WAL) error { return w.Set([]byte("vote"), []byte("n1")) }},
		storing(entries(r, 42, 6)), storing(entries(r, 48, 9))} {
		if err := s.do(w, &m); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	if err := m.differs(w); err != nil {
		t.Fatal(err)
	}
	return fs, m
}

// TestBitRot inverts a bit of every byte of every file, one after the other: either
// the log refuses to open, or what it gives is what was written. Of zeros in a row
// it takes one in some.
func TestBitRot(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 4))
	fs := &crashfs.FS{}
	w := open(t, tiny(fs))
	m := newModel()
	for _, s := range []step{storing(entries(r, 1, 9)), deletion(1, 3), storing(entries(r, 10, 6)), {"vote", func(m *model) { m.values["vote"] = "n1" },
		func(w *wal.WAL) error { return w.Set([]byte("vote"), []byte("n1")) }}, deletion(13, 15), storing(entries(r, 13, 9))} {
		if err := s.do(w, &m); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	names, err := fs.List()
	if err != nil || len(names) != 3 {
		t.Fatalf("files: got %v, %v; want the stable file and two segments", names, err)
	}
	flips, refused := 0, 0
	for _, name := range names {
		content := contentOf(t, fs, name)
		for at := range content {
			if at%53 != 0 && len(bytes.Trim(content[max(0, at-16):min(at+16, len(content))], "\x00")) == 0 {
				continue
			}
			flips++
			rotten := fs.Crash(crashfs.Kept, nil)
			rotten.Flip(name, at, 1<<(at%8))
			w, err := wal.Open(tiny(rotten))
			switch {
			case errors.Is(err, wal.ErrDamaged):
				refused++
			case err != nil:
				t.Fatalf("%s, byte %d: got %v, want %v or none", name, at, err, wal.ErrDamaged)
			default:
				if err := m.differs(w); err != nil {
					t.Fatalf("%s, byte %d: %v", name, at, err)
				}
			}
		}
	}
	t.Logf("%d of %d refused", refused, flips)
	if refused < 2500 {
		t.Errorf("refused %d times, want more than the bytes of the entries", refused)
	}
}

func contentOf(t *testing.T, fs wal.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBitRotWhileOpen inverts bits under an open log.
func TestBitRotWhileOpen(t *testing.T) {
	dir := t.TempDir()
	w := open(t, tiny(wal.OS(dir)))
	m := newModel()
	if err := storing(entries(randomness(t), 1, 6)).do(w, &m); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "000001.seg"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	noticed := 0
	for at := int64(512 + 40); at < 1500; at++ {
		flip(t, f, at)
		for i := m.first; i <= m.last; i++ {
			var l raft.Log
			err := w.GetLog(i, &l)
			if err != nil && !errors.Is(err, wal.ErrDamaged) {
				t.Fatalf("byte %d, entry %d: got %v, want %v", at, i, err, wal.ErrDamaged)
			}
			if err == nil && string(l.Data) != string(m.logs[i].Data) {
				t.Fatalf("byte %d, entry %d: got %x, want %x or an error", at, i, l.Data, m.logs[i].Data)
			}
			if err != nil {
				noticed++
			}
		}
		flip(t, f, at)
	}
	if noticed < 240 {
		t.Errorf("noticed %d times, want at least once for each byte of six records", noticed)
	}
}

func flip(t *testing.T, f *os.File, at int64) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// TestMissingAndMixedFiles loses, cuts and exchanges whole files.
func TestMissingAndMixedFiles(t *testing.T) {
	lose := func(name string) func(t *testing.T, fs, old *crashfs.FS) {
		return func(t *testing.T, fs, _ *crashfs.FS) {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	from := func(name string) func(t *testing.T, fs, old *crashfs.FS) {
		return func(t *testing.T, fs, old *crashfs.FS) { copyFile(t, fs, name, old, name, -1) }
	}
	for name, harm := range map[string]func(t *testing.T, fs, old *crashfs.FS){
		"no stable file":       lose("stable"),
		"no oldest segment":    lose("000002.seg"),
		"no newest segment":    lose("000005.seg"),
		"older stable file":    from("stable"),
		"older segment":        from("000004.seg"),
		"segment cut short":    func(t *testing.T, fs, _ *crashfs.FS) { copyFile(t, fs, "000002.seg", fs, "000002.seg", 2000) },
		"empty segment":        func(t *testing.T, fs, _ *crashfs.FS) { copyFile(t, fs, "000002.seg", fs, "000002.seg", 0) },
		"stable file cut":      func(t *testing.T, fs, _ *crashfs.FS) { copyFile(t, fs, "stable", fs, "stable", 4100) },
		"one segment twice":    func(t *testing.T, fs, _ *crashfs.FS) { copyFile(t, fs, "000009.seg", fs, "000002.seg", -1) },
		"segment under a name": func(t *testing.T, fs, _ *crashfs.FS) { copyFile(t, fs, "000003.seg", fs, "000002.seg", -1) },
	} {
		t.Run(name, func(t *testing.T) {
			fs, _ := small(t)
			w := open(t, tiny(fs.Crash(crashfs.Kept, nil)))
			last, _ := w.LastIndex()
			old := fs.Crash(crashfs.Kept, nil)
			grown, err := wal.Open(tiny(fs))
			if err != nil {
				t.Fatal(err)
			}
			m := newModel()
			m.first, m.last = last+1, last
			r := rand.New(rand.NewPCG(1, 3))
			for _, n := range []int{1, 8, 8, 8, 8} { // in its last segment, and in later ones
				if err := storing(entries(r, m.last+1, n)).do(grown, &m); err != nil {
					t.Fatal(err)
				}
			}
			harm(t, fs, old)
			_, err = wal.Open(tiny(fs))
			if !errors.Is(err, wal.ErrDamaged) || !strings.Contains(err.Error(), "join anew") {
				t.Errorf("got %v, want %v", err, wal.ErrDamaged)
			}
		})
	}
}

// copyFile copies the first n bytes of a file, or all where n is negative.
func copyFile(t *testing.T, to *crashfs.FS, name string, from *crashfs.FS, source string, n int) {
	t.Helper()
	b := contentOf(t, from, source)
	if n >= 0 {
		b = b[:n]
	}
	f, err := to.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}
