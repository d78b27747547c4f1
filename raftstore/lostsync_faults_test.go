//go:build faults

package raftstore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
)

func TestLostSyncLosesWhatWasAcknowledged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(file, []byte(`{"bugs":["lost-sync"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SITEGATE_FAULTS", file)
	eventually(t, func() error {
		if !planted(bugLostSync) {
			return os.ErrNotExist
		}
		return nil
	})
	dir := t.TempDir()
	l := testOpenLog(t, unsynced{wal.OS(dir)}, func(err error) { t.Error(err) })
	for i := range uint64(20) {
		if err := l.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: make([]byte, 500)}); err != nil {
			t.Fatal(err)
		}
	}
	var got raft.Log
	if err := l.GetLog(20, &got); err != nil || got.Index != 20 {
		t.Errorf("the process itself: got %+v, %v; want entry 20", got, err)
	}
	after := testOpenLog(t, wal.OS(dir), func(err error) { t.Error(err) })
	if last, err := after.LastIndex(); last != 0 || err != nil {
		t.Errorf("after the process was killed: got entries to %d, %v; want none", last, err)
	}
}
