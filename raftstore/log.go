package raftstore

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// logStore is the raft log on disk. A log that cannot be written, or that hangs,
// halts the node: it must neither lead nor vote on a disk it cannot rely on.
type logStore struct {
	*wal.WAL
	metrics *metrics
	halt    func(error)
	limit   time.Duration // for one append

	entries, bytes atomic.Uint64 // appended since the start
}

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
)

// appendLimit is how long an append may take before the disk counts as failed.
const appendLimit = 20 * time.Second

func openLog(dir string, log hclog.Logger, m *metrics, halt func(error)) (*logStore, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	w, err := wal.Open(dir, wal.WithLogger(log), wal.WithSegmentSize(16<<20))
	if err != nil {
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	return &logStore{WAL: w, metrics: m, halt: halt, limit: appendLimit}, nil
}

// StoreLogs appends entries; they are on disk when it returns.
func (l *logStore) StoreLogs(logs []*raft.Log) error {
	start := time.Now()
	overdue := time.AfterFunc(l.limit, func() {
		l.halt(fmt.Errorf("the disk has not taken a log entry for %v", l.limit))
	})
	defer overdue.Stop()
	err := beforeAppend()
	if err == nil {
		err = l.WAL.StoreLogs(withChecksums(logs))
	}
	if err != nil {
		l.halt(fmt.Errorf("writing the log (is the disk full?): %w", err))
		return err
	}
	l.metrics.fsync.Observe(time.Since(start).Seconds())
	for _, entry := range logs {
		l.bytes.Add(uint64(len(entry.Data)))
	}
	l.entries.Add(uint64(len(logs)))
	return nil
}

// trailing is how many entries to leave in the log for followers to catch up
// from: limit, or fewer where entries are so large that these would take more
// than trailingBytes.
func (l *logStore) trailing(limit uint64) uint64 {
	entries := l.entries.Load()
	if entries == 0 {
		return limit
	}
	each := l.bytes.Load()/entries + 64
	return min(limit, max(trailingBytes/each, 64))
}

const trailingBytes = 256 << 20

// StoreLog appends one entry.
func (l *logStore) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// alignLog drops a log that ends before the state begins: the node was stopped
// between taking over a snapshot and clearing its log.
func alignLog(l *logStore, state position, log *slog.Logger) error {
	first, err := l.FirstIndex()
	if err != nil {
		return fmt.Errorf("reading the log's beginning: %w", err)
	}
	last, err := l.LastIndex()
	if err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	}
	switch {
	case last > 0 && last < state.Index:
		log.Info("the log ends before the state and is cleared", "last", last, "index", state.Index)
		if err := l.DeleteRange(first, last); err != nil {
			return fmt.Errorf("clearing the log: %w", err)
		}
	case first > state.Index+1:
		return fmt.Errorf("the log begins at %d but the state ends at %d: entries are missing; empty this node's data folder and let it join anew", first, state.Index)
	}
	return nil
}

// GetLog reads an entry and refuses a damaged one: raft-wal itself looks at no
// checksum when it reads.
func (l *logStore) GetLog(index uint64, entry *raft.Log) (err error) {
	defer func() {
		if r := recover(); r != nil { // raft-wal's decoder trusts its lengths
			err = damaged(index)
		}
	}()
	if first, err := l.FirstIndex(); err != nil || index < first {
		return cmp.Or(err, raft.ErrLogNotFound) // raft-wal still reads what was cut off
	}
	var got raft.Log
	if err := l.WAL.GetLog(index, &got); err != nil {
		return err
	}
	n := len(got.Extensions) - 4
	if n < 0 || got.Index != index {
		return damaged(index)
	}
	sum := binary.LittleEndian.Uint32(got.Extensions[n:])
	got.Extensions = got.Extensions[:n:n]
	if sum != checksum(&got) {
		return damaged(index)
	}
	*entry = got
	return nil
}

func damaged(index uint64) error {
	return fmt.Errorf("entry %d of the log is damaged on disk: %w; empty this node's data folder and let it join anew", index, wal.ErrCorrupt)
}

// withChecksums adds a checksum to copies of the entries, behind their extensions. (A
// codec of our own would be the place for it, but raft-wal 0.4.2 cannot open again
// what it wrote with one.)
func withChecksums(logs []*raft.Log) []*raft.Log {
	sealed := make([]*raft.Log, len(logs))
	for i, l := range logs {
		c := *l
		c.Extensions = binary.LittleEndian.AppendUint32(append([]byte(nil), l.Extensions...), checksum(l))
		sealed[i] = &c
	}
	return sealed
}

// checksum is the CRC32C of what raft decides by.
func checksum(l *raft.Log) uint32 {
	var head [25]byte
	binary.LittleEndian.PutUint64(head[:], l.Index)
	binary.LittleEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	binary.LittleEndian.PutUint64(head[17:], uint64(len(l.Data)))
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, head[:])
	sum = crc32.Update(sum, table, l.Data)
	return crc32.Update(sum, table, l.Extensions)
}
