package raftstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// FuzzSnapshot: whatever comes for a snapshot from the leader, a follower builds a state
// of it that it can open, at the position that was announced; or refuses it, and nothing
// of it is left. sealed: its checksum is right.
func FuzzSnapshot(f *testing.F) {
	c := testCodec(f)
	log := slog.New(slog.DiscardHandler)
	whole, err := os.ReadFile(filepath.Join("testdata", "whole", "1.snapshot"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, false)
	f.Add(whole, true)
	f.Add(whole[:len(whole)/2], true)
	f.Add(append([]byte(snapshotMagic), 0xff, 0xff, 0xff, 0xff, 0x0f), true)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed && len(b) > crc32.Size {
			content := bytes.Clone(b[:len(b)-crc32.Size])
			b = binary.BigEndian.AppendUint32(content, checksum(content))
		}
		var meta raft.SnapshotMeta // as a leader announces it
		if r, err := openSnapshot(bytes.NewReader(b)); err == nil {
			if pos, err := c.decodePosition(r.head); err == nil {
				meta = raft.SnapshotMeta{ID: "x", Index: pos.Index, Term: pos.Term}
			}
		}
		d := &disk{dir: t.TempDir(), dbs: smallBadger{}, codec: c, log: log}
		k := &sink{snapshots: &snapshots{disk: d, codec: c, log: log, cluster: testCluster, halt: func(error) {}, builts: map[string]built{}}, meta: meta}
		if _, err := k.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err != nil {
			if left, err := os.ReadDir(d.dir); err != nil || len(left) != 0 {
				t.Fatalf("it is refused, and leaves %v, %v", left, err)
			}
			return
		}
		if err := d.setCurrent(k.snapshots.builts["x"].name); err != nil {
			t.Fatal(err)
		}
		again, l, err := openDisk(d.dir, smallBadger{}, c, log)
		if err != nil {
			t.Fatalf("it was taken, and does not open: %v", err)
		}
		defer again.close()
		if l.pos.Index != meta.Index || l.pos.Term != meta.Term {
			t.Fatalf("it was announced at %d in term %d, and is at %d in %d", meta.Index, meta.Term, l.pos.Index, l.pos.Term)
		}
	})
}
