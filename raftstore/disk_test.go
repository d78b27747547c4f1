package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
	"sitegate/raftstore/wal"
)

// random is any command of a small site, sensible or not.
func random(r *rand.Rand) license.Command {
	n, user, machine := r.IntN(40), r.IntN(4), fmt.Sprintf("WS-%d", r.IntN(3))
	m := license.Machine{ID: machine}
	switch r.IntN(10) {
	case 0, 1, 2:
		return start(n, user, machine)
	case 3:
		return stop(n, user, machine)
	case 4:
		return license.CheckOut{ID: testID(n), User: userID(user), Product: "1000", Machine: m, Agreed: true, Until: license.TimeOf(time.Now().Add(time.Duration(r.IntN(200)) * time.Millisecond))}
	case 5:
		return license.Return{ID: testID(n), User: userID(user), Machine: m}
	case 6:
		return license.Wait{ID: testID(n), User: userID(user), Product: "1000", Machine: m}
	case 7:
		return license.Release{Session: testID(n), By: "it"}
	case 8:
		return license.Expire{ID: testID(n), Generation: 1}
	default:
		u := userID(user)
		return license.Mirror{Full: true, Changes: []license.Change{{License: &license.License{ID: license.LicenseID(fmt.Sprintf("lic-%03d", r.IntN(4))), Product: "1000", Assignee: u}},
			{DeleteUser: userID(4 + r.IntN(2))}}}
	}
}

func TestDiskIsMemory(t *testing.T) {
	s := single(t, t.TempDir(), func(c *Config) { c.FlushEvery = time.Millisecond })
	do(t, s, fill(6))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 25 {
		for range 20 {
			if _, err := s.Propose(limited(t), random(r)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Flush(limited(t)); err != nil {
			t.Fatal(err)
		}
		l, err := readState(s.disk.db, s.codec)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := hashState(t, s.codec, l.state), hashOf(t, s); got != want || l.pos.Index != s.fsm.applied.get() {
			t.Fatalf("state on disk: %s at %d, in memory %s at %d", got, l.pos.Index, want, s.fsm.applied.get())
		}
	}
	events, err := s.Journal(limited(t), 0, MaxJournal)
	if err != nil || uint64(len(events)) != s.fsm.lastSeq() {
		t.Fatalf("journal: %d events, %v; want %d", len(events), err, s.fsm.lastSeq())
	}
	part, err := s.Journal(limited(t), 3, 2)
	if err != nil || len(part) != 2 || part[0].Seq != 4 || part[1].Seq != 5 {
		t.Errorf("journal after 3, two of it: got %+v, %v", part, err)
	}
}

func TestBigEntryIsOneStepOnDisk(t *testing.T) {
	s := single(t, t.TempDir())
	for page := range 3 { // the largest pages a feed can have, each replacing all assignments
		m := license.Mirror{Full: true, Cursor: fmt.Sprint(page)}
		for n := range license.MaxChanges {
			m.Changes = append(m.Changes, license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("%0120d", n)),
				Product: "1000", Assignee: license.UserID(fmt.Sprintf("%0120d-%d", n, page))}})
		}
		do(t, s, m)
		if err := s.Flush(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := readState(s.disk.db, s.codec)
	if err != nil || hashState(t, s.codec, l.state) != hashOf(t, s) {
		t.Errorf("state on disk differs after big entries: %v", err)
	}
	if s.Err() != nil {
		t.Errorf("stopped: %v", s.Err())
	}
}

// exported is the state of a store as a snapshot on the wire.
func exported(t *testing.T, s *Store) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	if err := s.Flush(limited(t)); err != nil {
		t.Fatal(err)
	}
	list, err := s.fsm.snaps.List()
	if err != nil || len(list) != 1 {
		t.Fatalf("snapshots: got %v, %v; want one", list, err)
	}
	meta, r, err := s.fsm.snaps.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != meta.Size {
		t.Fatalf("snapshot of %d bytes, %v; announced %d", len(b), err, meta.Size)
	}
	return meta, b
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(3))
	meta, whole := exported(t, s)
	receive := func(b []byte, index uint64) error {
		t.Helper()
		k, err := s.fsm.snaps.Create(raft.SnapshotVersionMax, index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			if _, err := k.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		return k.Close()
	}
	if err := receive(whole, meta.Index); err != nil {
		t.Errorf("a whole snapshot: %v", err)
	}
	if err := receive(whole, meta.Index+1); err == nil {
		t.Error("a snapshot of another index is taken")
	}
	for n := 0; n < len(whole); n += 7 {
		if err := receive(whole[:n], meta.Index); err == nil {
			t.Fatalf("a snapshot cut off at %d of %d bytes is taken", n, len(whole))
		}
		b := bytes.Clone(whole)
		b[n] ^= 0x40
		if err := receive(b, meta.Index); err == nil {
			t.Fatalf("a snapshot damaged at byte %d is taken", n)
		}
	}
	s.fsm.snaps.cluster = testCluster
	if err := receive(whole, meta.Index); err == nil {
		t.Error("a snapshot of another cluster is taken")
	}
	s.fsm.snaps.cluster = s.identity.Cluster
	if err := s.fsm.Restore(io.NopCloser(bytes.NewReader([]byte("nothing")))); err == nil {
		t.Error("a snapshot that was never received is restored")
	}
}

func TestStoppedWhileTakingOverASnapshot(t *testing.T) {
	s := single(t, t.TempDir())
	do(t, s, fill(3))
	want := hashOf(t, s)
	_, b := exported(t, s)

	// Another node took it over, and stopped before it cleared its log.
	dir := t.TempDir()
	other := single(t, dir)
	meta := raft.SnapshotMeta{}
	k := &sink{snapshots: &snapshots{disk: &disk{dir: filepath.Join(dir, "state"), dbs: badgers{}}, codec: s.codec, log: s.log, cluster: s.identity.Cluster, builts: map[string]built{}}}
	pos, _ := s.disk.position()
	meta.ID, meta.Index, meta.Term = "x", pos.Index, pos.Term
	k.meta = meta
	crash(t, other)
	if _, err := k.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	d := &disk{dir: k.snapshots.disk.dir}
	if err := d.setCurrent(k.snapshots.builts["x"].name); err != nil {
		t.Fatal(err)
	}
	again, l, err := openDisk(d.dir, badgers{}, s.codec, s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if got := hashState(t, s.codec, l.state); got != want {
		t.Errorf("state after taking over: got %s, want %s", got, want)
	}
	if left, err := os.ReadDir(d.dir); err != nil || len(left) != 2 {
		t.Errorf("left in the folder: got %v, %v; want CURRENT and one database", left, err)
	}
	log, err := openLog(wal.OS(filepath.Join(dir, "log")), 1<<20, s.log, s.metrics, s.stalls, s.halt)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := alignLog(log, position{Index: 1000, Term: 3}, s.log); err != nil {
		t.Fatal(err)
	}
	if last, err := log.LastIndex(); err != nil || last != 0 {
		t.Errorf("the log after alignment ends at %d, %v; want an empty one", last, err)
	}
	if err := log.StoreLog(&raft.Log{Index: 1001, Term: 3}); err != nil {
		t.Errorf("going on after it: %v", err)
	}
}

func TestLargeEntriesLeaveAShorterLog(t *testing.T) {
	l := &logStore{}
	if got, want := l.trailing(16384), uint64(16384); got != want {
		t.Errorf("before any entry: got %d, want %d", got, want)
	}
	l.entries.Store(100)
	l.bytes.Store(100 * 200)
	if got, want := l.trailing(16384), uint64(16384); got != want {
		t.Errorf("small entries: got %d, want %d", got, want)
	}
	l.bytes.Store(100 * (256<<10 - 64))
	if got, want := l.trailing(16384), uint64(1024); got != want {
		t.Errorf("full entries: got %d, want %d", got, want)
	}
}

func TestDamagedLogEntryHaltsTheNode(t *testing.T) {
	dir := t.TempDir()
	halted := make(chan error, 1)
	l := testOpenLog(t, wal.OS(dir), func(err error) { halted <- err })
	if err := l.StoreLogs([]*raft.Log{{Index: 1, Term: 2, Data: []byte("data")}}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "000001.seg"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("D"), 512+80); err != nil {
		t.Fatal(err)
	}
	var got raft.Log
	if err := l.GetLog(1, &got); !errors.Is(err, wal.ErrDamaged) {
		t.Errorf("a damaged entry: got %+v, %v; want %v", got, err, wal.ErrDamaged)
	}
	if err := receive(t, halted); !errors.Is(err, wal.ErrDamaged) {
		t.Errorf("the node halted with %v, want %v", err, wal.ErrDamaged)
	}
}

// Where the name of the current state has rotted, nothing is removed for a state that is not
// there.
func TestAStateThatIsNotThereSweepsNothingAway(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := testDisk(t, dir, c)
	hashes := stateHistory(t, d, 2, func(int) {})
	name := d.name
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, currentFile) // as an earlier program wrote it, without a checksum
	if err := os.WriteFile(path, []byte("010001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openDisk(dir, badgers{}, c, testLog(t, "n1")); err == nil || !strings.Contains(err.Error(), "names a state that is not there") {
		t.Fatalf("opened with %v; want a refusal", err)
	}
	if err := os.WriteFile(path, []byte(name+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, l, err := openDisk(dir, badgers{}, c, testLog(t, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if got := hashState(t, c, l.state); got != hashes[l.pos.Index] || l.pos.Index == 0 {
		t.Errorf("the state at %d has hash %s; want %s", l.pos.Index, got, hashes[l.pos.Index])
	}
}
