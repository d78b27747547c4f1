package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
	"sitegate/raftstore/wal/crashfs"
)

// tellTale is the name of a machine that is in nothing but events.
const tellTale = "WS-TELL-TALE-0815"

// holding are the files of a folder that have the name in them as it is, or compressed so
// that it can be seen.
func holding(t *testing.T, dir, name string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte(name)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// forgotten is what a leader proposes of all events so far, with a peak of yesterday.
func forgotten(s *Store) (license.KeepPeaks, license.Forget) {
	const day = license.Time(24 * time.Hour / time.Millisecond)
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	today := head.Now - head.Now%day
	return license.KeepPeaks{Peaks: []license.Peak{{Day: today - day, Product: "1000", Machines: 2, At: today - day}}, Until: today},
		license.Forget{Before: today, Sums: license.AuditSums{Through: head.UsageSent, Ended: head.UsageMade}}
}

// Cutting the log waits for a snapshot, which may take long where the node receives one: what
// else the node does at that pace goes on.
func TestNothingWaitsWhileTheLogIsCut(t *testing.T) {
	s := single(t, t.TempDir(), func(*Config) {})
	s.cutting.Lock()
	defer s.cutting.Unlock()
	done := make(chan struct{})
	go func() { s.trim(); close(done) }()
	receive(t, done)
}

// Events that the site has forgotten are in no backup and no snapshot from then on, though
// they are on disk still; and then in no file of the node's folder.
func TestWhatIsForgottenIsInNoFile(t *testing.T) {
	set := func(c *Config) {
		c.segment, c.SnapshotEvery = 64<<10, time.Hour
	}
	dir := t.TempDir()
	s := single(t, dir, set)
	do(t, s, fill(3))
	const uses = oldAtOnce + 20 // each a value of its own: more than are deleted at once
	for n := range uses {
		do(t, s, start(n, n%3, tellTale))
		do(t, s, stop(n, n%3, tellTale))
		if err := s.Flush(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	var head license.Head
	s.View(func(st *license.State) { head = st.Head() })
	do(t, s, license.UsageSent{Through: head.Seq, Records: uses})
	closeStore(t, s) // its tables are written
	if len(holding(t, dir, tellTale)) < 2 {
		t.Fatal("the name is not seen in the log and in the tables: this test cannot tell")
	}

	s = single(t, dir, set)
	turns(t, s, 90, 91)
	closeStore(t, s) // two tables, which Badger merges by itself: what is there is in the last level
	s = single(t, dir, set)
	eventually(t, func() error {
		if n := s.disk.db.Levels()[0].NumTables; n > 0 {
			return fmt.Errorf("%d tables are in the first level", n)
		}
		return nil
	})
	if file, _ := backupOf(t, s); !bytes.Contains(file, []byte(tellTale)) {
		t.Fatal("the name is not seen in a backup: this test cannot tell")
	}
	keep, forget := forgotten(s)
	do(t, s, keep)
	do(t, s, forget)
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	if first, _, err := parseJournalKey(keysOf(t, s, tableJournal)[0]); err != nil || first > head.Seq {
		t.Fatalf("all is deleted already (%v): this test cannot tell", err)
	}
	if events, err := s.Journal(limited(t), 0, 1); err != nil || len(events) > 0 && events[0].Seq <= head.Seq {
		t.Errorf("the journal begins with %v, %v; want nothing up to %d", events, err, head.Seq)
	}
	if file, info := backupOf(t, s); bytes.Contains(file, []byte(tellTale)) {
		t.Error("the name is in a backup that was made afterwards")
	} else if _, _, err := (BackupReader{}).Verify(bytes.NewReader(file)); err != nil || info.Events >= head.Seq {
		t.Errorf("the backup has %d events; reading it: %v", info.Events, err)
	}
	_, r, err := s.fsm.snaps.Open(liveID)
	if err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	if _, err := sent.ReadFrom(r); err != nil || r.Close() != nil || bytes.Contains(sent.Bytes(), []byte(tellTale)) {
		t.Errorf("the name is in a snapshot that was made afterwards (%v)", err)
	}
	turns(t, s, 100, 103) // a few are deleted with each
	for _, key := range keysOf(t, s, tableJournal) {
		if last, _, err := parseJournalKey(key); err != nil || last <= head.Seq {
			t.Errorf("events up to %d are not deleted (%v)", last, err)
		}
	}
	closeStore(t, s) // what is deleted is in a table, too
	s = single(t, dir, set)

	if err := s.tidyLogAt(time.Now().Add(3 * tidyAge)); err != nil {
		t.Fatal(err)
	}
	if len(holding(t, dir, tellTale)) == 0 {
		t.Fatal("the name is gone already: this test cannot tell whether merging does it")
	}
	if done, err := s.mergeTables(); err != nil || !done {
		t.Fatalf("merged: %t, %v", done, err)
	}
	if files := holding(t, dir, tellTale); len(files) > 0 {
		t.Errorf("the name is still in %v", files)
	}
	if done, err := s.mergeTables(); err != nil || done {
		t.Errorf("merged again, without a reason: %t, %v", done, err)
	}
	peaks, until, err := s.Peaks(limited(t), 0, keep.Until, "", 10)
	if err != nil || until != keep.Until || !reflect.DeepEqual(peaks, keep.Peaks) {
		t.Errorf("peaks are %v until %v, %v; want %v", peaks, until, err, keep.Peaks)
	}
	do(t, s, start(200, 0, "WS-1"))
	want := hashOf(t, s)
	closeStore(t, s)
	if got := hashOf(t, single(t, dir, set)); got != want {
		t.Errorf("after a restart the state is %s, want %s", got, want)
	}
}

// The log is left alone while its entries are young, and a node on which little happens
// keeps those of a day.
func TestTheLogIsCutByAge(t *testing.T) {
	var wrong atomic.Int64
	s := single(t, t.TempDir(), func(c *Config) {
		c.segment, c.SnapshotEvery = 64<<10, time.Hour
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(wrong.Load())) }
	})
	do(t, s, fill(3))
	turns(t, s, 0, 5)
	first := func() uint64 {
		t.Helper()
		first, err := s.wal.FirstIndex()
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	// The founder's first entry, of the members, has no time and counts as old.
	began := first()
	if err := s.tidyLog(); err != nil || first() != began && first() != 2 {
		t.Fatalf("the log begins at %d, %v; want nothing that is young cut", first(), err)
	}
	began = first()
	wrong.Store(int64(3 * tidyAge))
	if err := s.tidyLog(); err != nil || first() != began {
		t.Fatalf("by a clock that is off the log begins at %d, %v; want %d, as before", first(), err, began)
	}
	wrong.Store(0)
	if err := s.tidyLogAt(time.Now().Add(3 * tidyAge)); err != nil {
		t.Fatal(err)
	}
	cut := first()
	if last, err := s.wal.LastIndex(); err != nil || cut != 0 && cut < last {
		t.Errorf("the log begins at %d and ends at %d, %v; want at most its last entry left", cut, last, err)
	}
	turns(t, s, 5, 7)
	dir := s.cfg.Dir
	want := hashOf(t, s)
	closeStore(t, s)
	if got := hashOf(t, single(t, dir)); got != want {
		t.Errorf("after a restart the state is %s, want %s", got, want)
	}
}

// What comes after a long time without any entry is left to come to all nodes before those
// ahead of it are cut.
func TestTheLastOldEntryIsThereForWhoFollows(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name string
		ages []time.Duration // of entries, from the first on
		want string
	}{
		{"none is two days old", []time.Duration{47 * time.Hour, 25 * time.Hour, time.Hour}, "0 false"},
		{"all are old", []time.Duration{50 * time.Hour, 26 * time.Hour}, "0 true"},
		{"the one after the old ones has just come", []time.Duration{50 * time.Hour, 49 * time.Hour, time.Second}, "1 false"},
		{"it came an hour ago", []time.Duration{50 * time.Hour, 49 * time.Hour, time.Hour, time.Second}, "2 true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := testOpenLog(t, &crashfs.FS{}, func(err error) { t.Error(err) })
			var entries []*raft.Log
			for i, age := range c.ages {
				entries = append(entries, &raft.Log{Index: uint64(1 + i), Term: 1, AppendedAt: now.Add(-age)})
			}
			if err := l.StoreLogs(entries); err != nil {
				t.Fatal(err)
			}
			if leave, some, err := l.aged(now); err != nil || fmt.Sprint(leave, some) != c.want {
				t.Errorf("got %d %t, %v; want %s", leave, some, err, c.want)
			}
		})
	}
}

// Merging writes tables anew before it removes the old ones: where the disk has no room for
// that, what is written to what is mapped into memory would end the process.
func TestNothingIsMergedWhereTheDiskHasNoRoom(t *testing.T) {
	disk, dir := &pretended{total: 1 << 30}, t.TempDir() // low below 51.2 MB, full below 20.5
	s := single(t, dir, func(c *Config) { c.statfs, c.SpaceEvery = disk.stat, time.Hour })
	do(t, s, fill(3))
	turns(t, s, 0, 3)
	look := func(free uint64) {
		t.Helper()
		disk.set(dir, free)
		if _, err := s.space.look(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(why string) {
		t.Helper()
		if done, err := s.mergeTables(); done || err == nil || s.disk.cut.Load() == 0 {
			t.Errorf("%s: merged: %t, %v; deleted since: %d", why, done, err, s.disk.cut.Load())
		}
	}
	look(40 << 20)
	refused("it is low")
	look(70 << 20)
	if err := s.roomBeside(30 << 20); err == nil {
		t.Error("30 MB may be written beside where that leaves 40")
	}
	if done, err := s.mergeTables(); !done || err != nil || s.disk.cut.Load() > 0 {
		t.Errorf("with room: merged: %t, %v", done, err)
	}
	s.disk.cut.Store(1)
	disk.set(dir, 10<<20) // and it was not looked at since
	refused("it has become full")
	disk.set(dir, 100<<20)
	s.space.full.Store(false)
}

// While a backup or a snapshot is made what it may read stays in the tables: they are merged
// later.
func TestNothingIsMergedWhileAllIsRead(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(3))
	turns(t, s, 0, 3)
	_, err := s.Backup(limited(t), io.Discard, func(Backup) {
		if done, err := s.mergeTables(); done || err != nil {
			t.Errorf("while a backup is made: merged: %t, %v", done, err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := s.mergeTables(); !done || err != nil {
		t.Errorf("afterwards: merged: %t, %v", done, err)
	}
}

// A node that is sent the state takes it over while its tables are merged: until then it does
// not answer the others. The state it had goes once that is done.
func TestAStateIsTakenOverWhileTablesAreMerged(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(3))
	turns(t, s, 0, 5)
	meta, r, err := s.fsm.snaps.Open(liveID)
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.fsm.snaps.Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err == nil {
		_, err = io.Copy(k, r)
	}
	if err := errors.Join(err, r.Close(), k.Close()); err != nil {
		t.Fatal(err)
	}
	_, received, err := s.fsm.snaps.Open(k.ID())
	if err != nil {
		t.Fatal(err)
	}
	before, want := s.disk.name, hashOf(t, s)
	done, err := s.disk.merge(func(uint64) error {
		taken := make(chan error, 1)
		go func() { taken <- s.fsm.Restore(received) }()
		return receive(t, taken)
	})
	if err != nil || !done || s.disk.name == before {
		t.Fatalf("merged: %t, %v; the state is in %s, as before", done, err, s.disk.name)
	}
	if _, err := os.Stat(filepath.Join(s.disk.dir, before)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state that was replaced is there still: %v", err)
	}
	if got := hashOf(t, s); got != want {
		t.Errorf("the state is %s, want %s", got, want)
	}
	turns(t, s, 5, 7)
	dir := s.cfg.Dir
	want = hashOf(t, s)
	closeStore(t, s)
	if got := hashOf(t, single(t, dir)); got != want {
		t.Errorf("after a restart the state is %s, want %s", got, want)
	}
}

// Each node cuts its own log, the leader under those that follow too: who was away meanwhile
// catches up by the state.
func TestWhoWasAwayWhenLogsWereCutCatchesUp(t *testing.T) {
	c := newCluster(t, func(cfg *Config) {
		cfg.segment, cfg.SnapshotEvery = 64<<10, time.Hour
	})
	c.do(fill(3))
	away := c.follower().cfg.Node
	c.stop(away)
	for n := range 5 {
		c.do(start(n, n%3, "WS-1"))
		c.do(stop(n, n%3, "WS-1"))
	}
	c.alike()
	for name, s := range c.nodes {
		if err := s.tidyLogAt(time.Now().Add(3 * tidyAge)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if first, err := s.wal.FirstIndex(); err != nil || first > 0 && first < 10 {
			t.Errorf("the log of %s still begins at %d, %v", name, first, err)
		}
	}
	c.do(start(10, 0, "WS-1"))
	c.restart(away)
	c.do(start(11, 1, "WS-1"))
	c.alike()
}

// Tables are merged once a day and where much was deleted, and where that fails, as on a full
// disk, not with each write.
func TestWhenTablesAreMerged(t *testing.T) {
	for _, x := range []struct {
		last merges
		now  time.Duration
		many bool
		want bool
	}{
		{merges{}, time.Hour, false, true},
		{merges{done: time.Hour}, 2 * time.Hour, false, false},
		{merges{done: time.Hour}, 25*time.Hour - time.Second, false, true},
		{merges{done: time.Hour}, time.Hour + time.Second, true, true},
		{merges{done: time.Hour, failed: 2 * time.Hour}, 2*time.Hour + 100*time.Millisecond, true, false},
		{merges{done: time.Hour, failed: 2 * time.Hour}, 3 * time.Hour, true, true},
		{merges{failed: time.Hour}, 2 * time.Hour, false, true},
	} {
		if got := x.last.due(x.now, x.many); got != x.want {
			t.Errorf("%+v, at %v, many %t: due %t, want %t", x.last, x.now, x.many, got, x.want)
		}
	}
}

// Peaks that were kept are the same on every node, on one that catches up by a snapshot too,
// and on a site that goes on from a backup; and so is what was forgotten.
func TestPeaksComeThroughSnapshotAndBackup(t *testing.T) {
	c := newCluster(t, bySnapshot)
	c.do(fill(1))
	behind := c.follower().cfg.Node
	c.stop(behind)
	for n := range 20 {
		c.do(start(n, 0, tellTale))
		c.do(stop(n, 0, tellTale))
	}
	var head license.Head
	c.leader().View(func(st *license.State) { head = st.Head() })
	c.do(license.UsageSent{Through: head.Seq, Records: 20})
	keep, forget := forgotten(c.leader())
	for n := range 40 {
		keep.Peaks = append(keep.Peaks, license.Peak{Day: keep.Peaks[0].Day, Product: license.ProductID(fmt.Sprintf("more-%02d", n)), Machines: 1 + n, At: 7})
	}
	c.do(keep)
	c.do(forget)
	eventually(t, func() error {
		first, err := c.leader().logs.FirstIndex()
		if err == nil && first < 20 {
			err = fmt.Errorf("the leader's log still begins at %d", first)
		}
		return err
	})
	c.restart(behind)
	c.alike()
	check := func(s *Store) {
		t.Helper()
		peaks, until, err := s.Peaks(limited(t), 0, keep.Until, "", 100)
		if err != nil || until != keep.Until || !reflect.DeepEqual(peaks, keep.Peaks) {
			t.Errorf("%s has %v until %v, %v; want %v", s.cfg.Node, peaks, until, err, keep.Peaks)
		}
		if one, _, err := s.Peaks(limited(t), 0, keep.Until, "more-07", 100); err != nil || len(one) != 1 || one[0].Machines != 8 {
			t.Errorf("%s has %v, %v of one product", s.cfg.Node, one, err)
		}
		if none, _, err := s.Peaks(limited(t), keep.Until, keep.Until+1, "", 100); err != nil || len(none) > 0 {
			t.Errorf("%s has %v, %v of a day that is not over", s.cfg.Node, none, err)
		}
		var at uint64
		s.View(func(st *license.State) { at = st.Head().Forgotten.Sums.Through })
		if at != forget.Sums.Through {
			t.Errorf("%s has forgotten events up to %d, want %d", s.cfg.Node, at, forget.Sums.Through)
		}
	}
	for _, s := range c.nodes {
		check(s)
	}
	file, _ := backupOf(t, c.leader())
	dir := filepath.Join(t.TempDir(), "store")
	if _, err := Restore(beginning(t, dir), bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	check(single(t, dir))
}
