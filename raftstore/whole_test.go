package raftstore

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// wholeSite fills a store with what is open, has ended, and waits.
func wholeSite(t *testing.T) *Store {
	t.Helper()
	s := single(t, t.TempDir(), func(c *Config) { c.Cluster = testCluster; c.Version = "1.2.3" })
	do(t, s, fill(5))
	for n := range 3 {
		do(t, s, start(10+n, 0, "WS-1"))
		do(t, s, stop(10+n, 0, "WS-1"))
	}
	do(t, s, start(1, 0, "WS-1"))
	do(t, s, start(2, 1, "WS-2"))
	do(t, s, license.CheckOut{ID: testID(3), User: userID(2), Product: "1000", Machine: license.Machine{ID: "LT-1", Name: "LT-1"}, Agreed: true, Until: s.Now().Add(72 * time.Hour)})
	do(t, s, license.Wait{ID: testID(4), User: userID(0), Product: "1000", Machine: license.Machine{ID: "WS-9", Name: "WS-9"}})
	return s
}

// wholeFile is the path of the n-th golden file of a kind, or of what it says.
func wholeFile(n int, kind string) string {
	return filepath.Join("testdata", "whole", fmt.Sprintf("%d.%s", n, kind))
}

// TestGoldenWhole reads whole backups and snapshots as programs have written them: what
// they say is beside them in a text. What the newest of them hold is written today as it
// was then; where it is not, and that is meant, -update adds the next.
func TestGoldenWhole(t *testing.T) {
	c := testCodec(t)
	newest := 0
	for ; ; newest++ {
		if _, err := os.Stat(wholeFile(newest+1, "backup")); err != nil {
			break
		}
	}
	if *update && (newest == 0 || rewritten(t, c, newest) != nil) {
		newest++
		s := wholeSite(t)
		backup, _ := backupOf(t, s)
		meta, snapshot := exported(t, s)
		write := func(kind string, b []byte) {
			if err := os.WriteFile(wholeFile(newest, kind), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := makeDir(filepath.Join("testdata", "whole")); err != nil {
			t.Fatal(err)
		}
		write("backup", backup)
		write("snapshot", snapshot)
		write("txt", []byte(saysBackup(t, backup)+saysSnapshot(t, c, snapshot, meta.Index, meta.Term)))
	}
	if newest == 0 {
		t.Fatal("there are no golden files: -update makes them")
	}
	for n := 1; n <= newest; n++ {
		var files [3][]byte
		for i, kind := range []string{"backup", "snapshot", "txt"} {
			var err error
			if files[i], err = os.ReadFile(wholeFile(n, kind)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := openSnapshot(bytes.NewReader(files[1]))
		if err != nil {
			t.Fatalf("snapshot %d: %v", n, err)
		}
		pos, err := c.decodePosition(r.head)
		if err != nil {
			t.Fatalf("snapshot %d: %v", n, err)
		}
		if got := saysBackup(t, files[0]) + saysSnapshot(t, c, files[1], pos.Index, pos.Term); got != string(files[2]) {
			t.Errorf("files %d are read as\n%s\nwant\n%s", n, got, files[2])
		}
	}
	if err := rewritten(t, c, newest); err != nil {
		t.Errorf("what files %d hold is written otherwise now: %v; if the change is meant, and all members can read it, go test ./raftstore -run GoldenWhole -update adds new ones", newest, err)
	}
}

// saysBackup restores a backup, has the node go on, and says what it found.
func saysBackup(t *testing.T, file []byte) string {
	t.Helper()
	info, contents, err := (BackupReader{}).Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("a backup of then: %v", err)
	}
	said := fmt.Sprintf("backup of %s by %s, version %s, level %d, epoch %d: index %d, term %d, seq %d, digest %016x, %d records, %d events, members %v\n",
		info.Cluster, info.Node, info.Program, info.Level, info.Epoch, info.Index, info.Term, info.Seq, info.Digest, info.Records, info.Events, info.Members)
	said += saysCounts(contents.Counts)

	b := beginning(t, filepath.Join(t.TempDir(), "store"))
	b.Clock = info.Made.Std
	if _, err := Restore(b, bytes.NewReader(file)); err != nil {
		t.Fatalf("restoring a backup of then: %v", err)
	}
	s := single(t, b.Dir, func(cfg *Config) { cfg.Cluster, cfg.Clock = testCluster, info.Made.Std })
	do(t, s, stop(1, 0, "WS-1"))
	events, err := s.Journal(limited(t), 0, int(info.Seq))
	if err != nil || len(events) == 0 {
		t.Fatalf("the journal of then: %d events, %v", len(events), err)
	}
	return said + saysEvents(slices.DeleteFunc(events, func(e license.Event) bool { return e.Seq > info.Seq }))
}

// saysSnapshot takes a snapshot in as a follower does, and says what it found.
func saysSnapshot(t *testing.T, c *codec, file []byte, index, term uint64) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := &disk{dir: t.TempDir(), dbs: badgers{}, codec: c, log: log}
	k := &sink{snapshots: &snapshots{disk: d, codec: c, log: log, cluster: testCluster, builts: map[string]built{}}, meta: raft.SnapshotMeta{ID: "x", Index: index, Term: term}}
	_, err := k.Write(file)
	if err == nil {
		err = k.Close()
	}
	if err == nil {
		err = d.setCurrent(k.snapshots.builts["x"].name)
	}
	if err != nil {
		t.Fatalf("a snapshot of then: %v", err)
	}
	d, l, err := openDisk(d.dir, badgers{}, c, log)
	if err != nil {
		t.Fatalf("the state of a snapshot of then: %v", err)
	}
	defer d.close()
	events, err := d.journal(0, 1000)
	if err != nil {
		t.Fatalf("the journal of a snapshot of then: %v", err)
	}
	return fmt.Sprintf("snapshot of %s: index %d, term %d, digest %016x, seq %d\n", l.pos.Cluster, l.pos.Index, l.pos.Term, l.pos.Digest, l.state.Head().Seq) +
		saysCounts(l.state.Counts()) + saysEvents(events)
}

func saysCounts(n license.Counts) string {
	return fmt.Sprintf("  %d users, %d licenses, %d assigned, %d sessions, %d checkouts\n", n.Users, n.Licenses, n.Assigned, n.Sessions, n.Checkouts)
}

// saysEvents lists events by kind.
func saysEvents(events []license.Event) string {
	var b bytes.Buffer
	for _, e := range events {
		fmt.Fprintf(&b, "  %d %T\n", e.Seq, e.Fact)
	}
	return b.String()
}

// rewritten says what is encoded otherwise today of what golden files hold.
func rewritten(t *testing.T, c *codec, n int) error {
	t.Helper()
	file, err := os.ReadFile(wholeFile(n, "backup"))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []license.KeyKind
	info, _, err := BackupReader{}.read(bytes.NewReader(file), c, func(key, value []byte) error {
		var again []byte
		switch key[0] {
		case tableRecord:
			k, err := parseRecordKey(key)
			if err != nil {
				return err
			}
			kinds = append(kinds, k.Kind)
			record, err := c.decodeRecord(k.Kind, value)
			if err != nil {
				return err
			}
			if again, err = c.record(record); err != nil {
				return err
			}
		case tableJournal:
			seq, n, err := parseJournalKey(key)
			if err != nil {
				return err
			}
			var events []license.Event
			if err := c.unpackEvents(seq, n, value, func(e license.Event) { events = append(events, e) }); err != nil {
				return err
			}
			if again, _, err = c.packEvents(events); err != nil {
				return err
			}
		case tableEnded:
			var all tombstones
			if err := c.unpackTombstones(value, func(x *license.Tombstone) error { return all.add(c, x) }); err != nil {
				return err
			}
			again = all.value
		}
		if !bytes.Equal(again, value) {
			return fmt.Errorf("under the key %x is\n%x\nwant\n%x", key, again, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if head, err := c.enc.Marshal(info); err != nil || !bytes.Contains(file[:len(backupMagic)+len(head)+8], head) {
		return fmt.Errorf("its header is %x, %v", head, err)
	}
	for _, k := range []license.KeyKind{license.KeyHead, license.KeyUser, license.KeyProduct, license.KeyLicense, license.KeyActive} {
		if !slices.Contains(kinds, k) {
			return fmt.Errorf("it has no record of kind %d", k)
		}
	}
	return nil
}
