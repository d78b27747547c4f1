package raftstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// A power cut leaves of what Badger had under way what it had synced, and any of the
// sectors of what it had not. Its order of syncs, as 4.9.6 has it: a transaction's log is
// synced before the next is written; a table, before the list of tables (MANIFEST) tells of
// it; the list, before what the table has replaced, the log of a memtable or older tables,
// is cut to nothing and removed. A file that is synced has its name on disk, as ext4, XFS
// and Btrfs keep it.

// files are those of a database, by name.
type files map[string][]byte

// filesOf looks at a database, which goes on merging tables meanwhile: until two looks
// in a row see the same.
func filesOf(t testing.TB, dir string) files {
	t.Helper()
	var last files
	for {
		now := files{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err == nil && e.Name() != "LOCK" {
				now[e.Name()] = b
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if last != nil && maps.EqualFunc(last, now, bytes.Equal) {
			return now
		}
		last = now
	}
}

// tablesIn are the tables that a list of them tells of.
func tablesIn(t testing.TB, list []byte) map[uint64]badger.TableManifest {
	t.Helper()
	path := filepath.Join(t.TempDir(), manifestFile)
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(""))
	if err != nil {
		t.Fatal(err)
	}
	return m.Tables
}

// cut is a moment at which the power goes: while a transaction is written, and perhaps a
// memtable or a merge of tables.
type cut struct {
	index         uint64 // of the state before
	before, after files
	lists         [][]byte // the list of tables, as each change since before has left it
}

// newCut is false where something was made and is gone again between the looks, or more
// was done than the model knows of.
func newCut(t testing.TB, index uint64, before, after files) (cut, bool) {
	x := cut{index: index, before: before, after: after}
	was, is := before[manifestFile], after[manifestFile]
	if !bytes.HasPrefix(is, was) {
		return x, false // it was written anew
	}
	for at := len(was); at < len(is); {
		at += 8 + int(binary.BigEndian.Uint32(is[at:]))
		x.lists = append(x.lists, is[:at])
	}
	for _, list := range append([][]byte{was}, x.lists...) {
		for id := range tablesIn(t, list) {
			if name := tableName(id); before[name] == nil && after[name] == nil {
				return x, false
			}
		}
	}
	for name, b := range after {
		if filepath.Ext(name) == ".vlog" && !bytes.Equal(b, before[name]) {
			return x, false
		}
	}
	return x, true
}

// How far Badger had come at a cut.
const (
	tablesUnderWay  = iota // new tables are being written, nothing tells of them
	listUnderWay           // they are whole, the list is being written
	removalUnderWay        // the list is whole, what it does not tell of is being removed
	stages
)

// left draws what is on disk after the cut. torn: of a change of the list that lies in two
// sectors only one is there.
func (x cut) left(r *rand.Rand, stage, keep int) (left files, torn bool) {
	left = files{}
	some := func(was, is []byte) []byte { // sectors of both, by chance
		b := make([]byte, max(len(was), len(is)))
		copy(b, was)
		for at := 0; at < len(is); at += 512 {
			if end := min(at+512, len(is)); r.IntN(4) < keep {
				copy(b[at:end], is[at:end])
			}
		}
		return b
	}
	for name, is := range x.after {
		was, there := x.before[name]
		kind := filepath.Ext(name)
		switch {
		case name == manifestFile:
		case kind == ".sst" && stage > tablesUnderWay:
			left[name] = is
		case bytes.Equal(was, is):
			left[name] = is
		case !there && r.IntN(3) == 0: // its name is not on disk, or its length is not
			if r.IntN(2) == 0 {
				left[name] = []byte{}
			}
		default:
			left[name] = some(was, is)
		}
	}
	for name, was := range x.before {
		if _, there := x.after[name]; !there && (stage < removalUnderWay || r.IntN(3) == 0) {
			left[name] = was
		} else if !there && r.IntN(2) == 0 {
			left[name] = []byte{}
		}
	}
	was, is := x.before[manifestFile], x.after[manifestFile]
	switch {
	case stage == tablesUnderWay || len(x.lists) == 0:
		is = was
	case stage == listUnderWay:
		n := r.IntN(len(x.lists))
		if is = x.lists[n]; n > 0 {
			was = x.lists[n-1]
		}
		list := some(was, is)
		torn = !bytes.Equal(list, is) && !bytes.Equal(bytes.TrimRight(list, "\x00"), bytes.TrimRight(was, "\x00"))
		is = list
	}
	left[manifestFile] = is
	return left, torn
}

// TestPowerCutWhileTheStateIsWritten cuts the power while transactions are written, and
// memtables and merges of tables with them: the state is that of before, or that of after.
func TestPowerCutWhileTheStateIsWritten(t *testing.T) {
	c := testCodec(t)
	source := t.TempDir()
	d := testDisk(t, source, c)
	database := filepath.Join(source, d.name)
	before := filesOf(t, database)
	var cuts []cut
	flushed, merged := 0, 0
	// How soon memtables are written and tables merged is Badger's affair: with few
	// processors, later.
	hashes := stateHistoryUntil(t, d, 480, func(i int) (enough bool) {
		after := filesOf(t, database)
		if x, ok := newCut(t, uint64(i), before, after); ok {
			gone := slices.ContainsFunc(slices.Collect(maps.Keys(before)), func(name string) bool { return filepath.Ext(name) == ".sst" && after[name] == nil })
			switch {
			case gone:
				merged++
			case len(x.lists) > 0:
				flushed++
			}
			if len(x.lists) > 0 || i%16 == 4 {
				cuts = append(cuts, x)
			}
		}
		if before = after; i%20 == 19 { // nothing is written, tables are merged
			if err := d.db.Flatten(1); err != nil {
				t.Fatal(err)
			}
			after := filesOf(t, database)
			if x, ok := newCut(t, uint64(i)+1, before, after); ok && len(x.lists) > 0 {
				merged++
				cuts = append(cuts, x)
			}
			before = after
		}
		return i >= 159 && flushed >= 2 && merged >= 1
	})
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if flushed < 2 || merged < 1 {
		t.Fatalf("%d memtables were written, tables were merged %d times: want some", flushed, merged)
	}
	r := rand.New(rand.NewPCG(9, 9))
	old, new, refused := 0, 0, 0
	for _, x := range cuts {
		draws := 2
		if len(x.lists) > 0 {
			draws = 3 * stages
		}
		for n := range draws {
			left, torn := x.left(r, n%stages, r.IntN(5)) // of four sectors that differ: none to all of them, by chance
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, currentFile), []byte("000001\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := makeDir(filepath.Join(dir, "000001")); err != nil {
				t.Fatal(err)
			}
			for name, b := range left {
				if err := os.WriteFile(filepath.Join(dir, "000001", name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, l, err := openDisk(dir, smallBadger{}, c, slog.New(slog.DiscardHandler))
			if torn && err != nil && strings.Contains(err.Error(), "join anew") {
				refused++
				continue
			}
			if err != nil {
				t.Fatalf("after a power cut at %d, stage %d: %v", x.index+1, n%stages, err)
			}
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			if got := hashState(t, c, l.state); l.pos.Index < x.index || l.pos.Index > x.index+1 || got != hashes[l.pos.Index] {
				t.Fatalf("after a power cut at %d, stage %d: the state is %s at %d, was %s", x.index+1, n%stages, got, l.pos.Index, hashes[l.pos.Index])
			}
			if l.pos.Index == x.index {
				old++
			} else {
				new++
			}
		}
	}
	t.Logf("%d cuts, in %d of them a memtable was written, in %d tables were merged: %d times the state of before, %d times that of after, %d times refused for a list that was torn between two sectors",
		len(cuts), flushed, merged, old, new, refused)
	if old == 0 || new == 0 {
		t.Error("want both")
	}
}

func tableName(id uint64) string { return filepath.Base(table.NewFilename(id, "")) }

const manifestFile = badger.ManifestFilename
