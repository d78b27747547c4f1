package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/raftstore/wal"
)

// logStore is the raft log on disk. One that fails, or is damaged, halts the node:
// it must neither lead nor vote on a disk it cannot rely on. A disk that is full
// does not: nothing is appended until there is room again.
type logStore struct {
	*wal.WAL
	metrics *metrics
	stalls  *stalls
	log     *slog.Logger
	halt    func(error)

	running        atomic.Bool   // raft takes its terms and votes from here
	applied        func() uint64 // set before it runs: the last index that was applied; what is up to there never gives way
	entries, bytes atomic.Uint64 // appended since the start

	// termMu is held while raft's term changes on disk, and while a heartbeat of that
	// term is answered.
	termMu sync.Mutex
	term   atomic.Uint64 // raft's term on disk; termMu guards its changes

	// cut are entries that gave way to others which could not be stored: raft still
	// counts them as its last ones, so that they are there for it until others are.
	cutMu sync.Mutex
	cut   []*raft.Log

	voteMu sync.Mutex
	voted  []byte // the term of a vote whose candidate raft has not told yet
}

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
	_ raft.StableStore       = (*logStore)(nil)
)

func openLog(fs wal.FS, segment int64, log *slog.Logger, m *metrics, w *stalls, halt func(error)) (*logStore, error) {
	l, err := wal.Open(wal.Options{FS: fs, SegmentSize: segment, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	term, err := l.GetUint64([]byte(raftTerm))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading this node's term: %w", err), l.Close())
	}
	s := &logStore{WAL: l, metrics: m, stalls: w, log: log, halt: halt}
	s.term.Store(term)
	return s, nil
}

// StoreLogs appends entries; they are on disk when it returns.
func (l *logStore) StoreLogs(logs []*raft.Log) error {
	start := time.Now()
	end := l.stalls.begin("the log")
	err := beforeAppend()
	if err == nil {
		err = l.WAL.StoreLogs(l.withCut(logs))
	}
	end()
	if err != nil {
		return l.failed("writing the log", err)
	}
	l.cutMu.Lock()
	l.cut = nil
	l.cutMu.Unlock()
	l.metrics.fsync.Observe(time.Since(start).Seconds())
	for _, entry := range logs {
		l.bytes.Add(uint64(len(entry.Data)))
	}
	l.entries.Add(uint64(len(logs)))
	return nil
}

// withCut is logs with what they follow on of the entries that have given way.
func (l *logStore) withCut(logs []*raft.Log) []*raft.Log {
	l.cutMu.Lock()
	defer l.cutMu.Unlock()
	if len(l.cut) == 0 || logs[0].Index <= l.cut[0].Index || logs[0].Index > l.cut[0].Index+uint64(len(l.cut)) {
		return logs
	}
	return append(slices.Clone(l.cut[:logs[0].Index-l.cut[0].Index]), logs...)
}

// failed halts the node unless the disk is only full.
func (l *logStore) failed(doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, err)
	if errors.Is(err, wal.ErrFull) {
		l.log.Error("the log cannot grow: the disk is full", "err", err)
		return err
	}
	l.halt(err)
	return err
}

// StoreLog appends one entry.
func (l *logStore) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// GetLog reads an entry.
func (l *logStore) GetLog(index uint64, entry *raft.Log) error {
	l.cutMu.Lock()
	if n := len(l.cut); n > 0 && index >= l.cut[0].Index && index <= l.cut[n-1].Index {
		*entry = *l.cut[index-l.cut[0].Index]
		l.cutMu.Unlock()
		return nil
	}
	l.cutMu.Unlock()
	err := l.WAL.GetLog(index, entry)
	if errors.Is(err, wal.ErrDamaged) {
		l.halt(err)
	}
	return err
}

// DeleteRange takes entries out of the log. raft 1.7.3 takes out the last ones just
// before it stores others in their place, and counts on them to be there where that
// fails, for want of room: a follower would not find its own last entry ever again.
func (l *logStore) DeleteRange(from, to uint64) error {
	defer l.stalls.begin("the log")()
	cut, err := l.ending(from, to)
	if err == nil {
		err = l.WAL.DeleteRange(from, to)
	}
	if err != nil {
		return l.failed("cutting the log", err)
	}
	l.cutMu.Lock()
	l.cut = append(cut, l.cut...)
	l.cutMu.Unlock()
	return nil
}

// maxCut is more entries than can be last ones that give way: the batches that a leader
// has under way.
const maxCut = 1024

// ending are the entries from one to another, if these are the last of the log.
func (l *logStore) ending(from, to uint64) (list []*raft.Log, err error) {
	first, err1 := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err := errors.Join(err1, err2); err != nil || !l.running.Load() {
		return nil, err
	}
	from = max(from, first, l.applied()+1)
	if last == 0 || from > last || to < last || last-from >= maxCut {
		return nil, nil
	}
	for i := from; i <= last; i++ {
		entry := &raft.Log{}
		if err := l.GetLog(i, entry); errors.Is(err, raft.ErrLogNotFound) {
			return nil, nil // taken out meanwhile, with what a snapshot holds
		} else if err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return list, nil
}

// raft tells the term it votes in, and then whom it votes for.
const (
	keyVoteTerm = "LastVoteTerm"
	keyVotedFor = "LastVoteCand"
)

// Set keeps a value for good. A vote is kept in one step: half of one, after a
// crash in between, could be taken for another.
func (l *logStore) Set(key, value []byte) error {
	values := map[string][]byte{string(key): value}
	l.voteMu.Lock()
	defer l.voteMu.Unlock()
	if string(key) == keyVotedFor && l.voted != nil {
		values[keyVoteTerm] = l.voted
		l.voted = nil
	}
	return l.keep(values)
}

// SetUint64 keeps a number for good.
func (l *logStore) SetUint64(key []byte, v uint64) error {
	b := binary.BigEndian.AppendUint64(nil, v)
	if string(key) == keyVoteTerm {
		l.voteMu.Lock()
		defer l.voteMu.Unlock()
		l.voted = b
		return nil
	}
	if string(key) == raftTerm {
		if l.term.Load() == v {
			return nil
		}
		l.termMu.Lock()
		defer l.termMu.Unlock()
	}
	err := l.keep(map[string][]byte{string(key): b})
	if err == nil && string(key) == raftTerm {
		l.term.Store(v)
	}
	if err != nil && l.running.Load() {
		// raft would panic. Its goroutine is ended here instead, so that the node can
		// close what is sound.
		runtime.Goexit()
	}
	return err
}

// inTerm calls f if raft is in that term, which does not change meanwhile; false:
// it is in another, or on its way to one.
func (l *logStore) inTerm(term uint64, f func()) bool {
	if !l.termMu.TryLock() {
		return false
	}
	defer l.termMu.Unlock()
	if l.term.Load() != term {
		return false
	}
	f()
	return true
}

func (l *logStore) keep(values map[string][]byte) error {
	defer l.stalls.begin("votes and terms")()
	err := l.Put(values)
	if err != nil {
		err = fmt.Errorf("keeping a vote or term: %w", err)
		l.halt(err)
	}
	return err
}

// prepare makes the log's next segment ready whenever one was begun, until stop is
// closed.
func (l *logStore) prepare(stop <-chan struct{}) {
	again := time.NewTicker(5 * time.Second)
	defer again.Stop()
	for {
		if err := l.Prepare(); err != nil {
			l.log.Warn("the log's next segment could not be made ready", "err", err)
		}
		select {
		case <-stop:
			return
		case <-l.Wanted():
		case <-again.C:
		}
	}
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
