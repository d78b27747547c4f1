package raftstore

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// fsm applies committed entries to the state in memory and hands what changed to
// the writer behind. raft calls ApplyBatch, Snapshot and Restore from one
// goroutine.
type fsm struct {
	codec   *codec
	log     *slog.Logger
	metrics *metrics
	disk    *disk
	behind  *behind
	snaps   *snapshots
	leases  *leaseTable
	clock   *clock
	cluster string
	tell    func(epoch uint64, events []license.Event) // may be nil
	jump    func(epoch, seq uint64)                    // may be nil
	few     uint64                                     // skipped events that are told
	halt    func(error)
	logOnly bool // commands do nothing

	// mu guards everything below. Only apply and restore write.
	mu      sync.RWMutex
	state   *license.State
	pos     position
	pending []license.Event // not sealed yet
	dirty   int             // bytes, about, not sealed yet
	stopped error           // set for good by an entry that could not be applied

	sealing sync.Mutex // one seal at a time, in the order of the queue
	applied watermark  // pos.Index
}

var (
	_ raft.BatchingFSM        = (*fsm)(nil)
	_ raft.ConfigurationStore = (*fsm)(nil)
)

// Apply applies one entry.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// StoreConfiguration keeps the members with the index that made them so.
func (f *fsm) StoreConfiguration(index uint64, c raft.Configuration) {
	f.mu.Lock()
	f.setConfiguration(index, f.pos.Term, raft.EncodeConfiguration(c))
	f.mu.Unlock()
	f.applied.raise(index)
}

func (f *fsm) setConfiguration(index, term uint64, c []byte) {
	f.pos.Index, f.pos.Term = index, term
	f.pos.ConfigIndex, f.pos.Config = index, c
	f.dirty += len(c)
}

// ApplyBatch applies committed entries; the answer to a command is its
// []license.Outcome, or an error once the node has stopped applying.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	for i, l := range logs {
		start := time.Now()
		outcomes, events, err := f.apply(l)
		if err != nil {
			answers[i] = err
			continue
		}
		answers[i] = outcomes
		f.applied.raise(l.Index)
		if len(events) > 0 && f.tell != nil {
			f.tell(f.epoch(), events)
		}
		f.metrics.applied(l.Index, len(outcomes), time.Since(start))
		if f.full() {
			f.seal()
		}
	}
	return answers
}

func (f *fsm) apply(l *raft.Log) (outcomes []license.Outcome, events []license.Event, err error) {
	var at license.Time
	var commands []license.Command
	switch {
	case l.Type != raft.LogCommand:
	case f.logOnly:
		var n int
		if n, err = f.codec.countEntry(l.Data); err == nil {
			outcomes = make([]license.Outcome, n)
		}
	default:
		if at, commands, err = f.codec.decodeEntry(l.Data); err == nil {
			err = within(commands)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped != nil {
		return nil, nil, f.stopped
	}
	if err != nil {
		return nil, nil, f.stop(l.Index, err)
	}
	if l.Index <= f.pos.Index {
		return nil, nil, f.stop(l.Index, fmt.Errorf("the state is at index %d already", f.pos.Index))
	}
	defer func() {
		if r := recover(); r != nil { // the state may be half changed: nothing of it may be kept
			f.log.Error("applying an entry panicked", "index", l.Index, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			outcomes, events, err = nil, nil, f.stop(l.Index, fmt.Errorf("the rules failed: %v", r))
		}
	}()
	if l.Type == raft.LogConfiguration {
		f.setConfiguration(l.Index, l.Term, l.Data)
		return nil, nil, nil
	}
	if f.logOnly {
		f.pos.Index, f.pos.Term = l.Index, l.Term
		f.dirty++
		return outcomes, nil, nil
	}
	outcomes = make([]license.Outcome, len(commands))
	events = make([]license.Event, 0, len(commands)+len(commands)/8)
	now := f.leases.mono()
	for i, c := range commands {
		var facts []license.Event
		if planted(bugAnyGeneration) {
			c = f.anyGeneration(c)
		}
		outcomes[i], facts = license.Apply(f.state, license.Entry{At: at, Command: c})
		events = append(events, facts...)
		f.leases.follow(c, outcomes[i], facts, now)
	}
	f.pos.Index, f.pos.Term = l.Index, l.Term
	f.pending = append(f.pending, events...)
	f.dirty += 2*len(l.Data) + 300*len(events)
	f.clock.seen(f.state.Head().Now)
	return outcomes, events, nil
}

// stop ends applying for good: a node that cannot read an entry must not guess.
func (f *fsm) stop(index uint64, err error) error {
	f.stopped = fmt.Errorf("entry %d of the log cannot be applied, so this node has stopped: %w", index, err)
	f.halt(f.stopped)
	return f.stopped
}

func (f *fsm) epoch() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.state.Head().Epoch
}

func (f *fsm) full() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.dirty >= sealBytes || len(f.pending) >= sealRecords || f.state.Changed() >= sealRecords
}

// seal queues everything that changed since the last seal, as it is at the last
// applied index. It waits while the queue is full.
func (f *fsm) seal() {
	f.sealing.Lock()
	defer f.sealing.Unlock()
	s, ok, err := f.collect()
	if err != nil {
		f.halt(err)
		return
	}
	if ok {
		f.behind.put(s)
	}
}

func (f *fsm) collect() (s sealed, changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped != nil || f.dirty == 0 {
		return sealed{}, false, nil
	}
	f.pos.Cluster = f.cluster
	f.pos = f.pos.at(f.state.Head())
	s = sealed{pos: f.pos, events: f.pending}
	if err := s.take(f.state, f.codec); err != nil {
		f.stopped = err
		return sealed{}, false, err
	}
	f.pending, f.dirty = nil, 0
	return s, true, nil
}

// flush returns once everything applied before the call is on disk.
func (f *fsm) flush(ctx context.Context) error {
	at := f.applied.get()
	f.seal()
	return f.disk.at.wait(ctx, at)
}

// reach is flush, up to an index whose commands have all been applied; entries
// that raft keeps to itself may lie between.
func (f *fsm) reach(ctx context.Context, index, term uint64) error {
	f.mu.Lock()
	if f.stopped != nil {
		f.mu.Unlock()
		return f.stopped
	}
	if f.pos.Index < index {
		f.pos.Index, f.pos.Term = index, term
		f.dirty++
	}
	f.mu.Unlock()
	f.applied.raise(index)
	f.seal()
	return f.disk.at.wait(ctx, index)
}

// Snapshot: the state on disk is the snapshot. Persist only waits for it to
// reach the index up to which raft wants to cut its log.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return &virtual{f}, f.stopped
}

type virtual struct{ f *fsm }

func (v *virtual) Persist(s raft.SnapshotSink) error {
	own, ok := s.(*sink)
	if !ok {
		return fmt.Errorf("a snapshot can only be kept in this store, not in a %T", s)
	}
	own.virtual = true
	return v.f.reach(v.f.snaps.ctx, own.meta.Index, own.meta.Term)
}

func (v *virtual) Release() {}

// Restore puts a snapshot that was received in the place of the state.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	id, err := io.ReadAll(io.LimitReader(r, 256))
	if err != nil {
		return fmt.Errorf("reading which snapshot to restore: %w", err)
	}
	built, err := f.snaps.take(string(id))
	if err != nil {
		return err
	}
	if at := f.applied.get(); built.pos.Index < at {
		return fmt.Errorf("the snapshot at index %d is older than this node's state at %d", built.pos.Index, at)
	}
	before := f.lastSeq()
	f.sealing.Lock()
	defer f.sealing.Unlock()
	f.behind.drain() // what is queued belongs to the state that goes
	l, err := f.disk.swap(built.name)
	if err != nil {
		err = fmt.Errorf("taking over the leader's state: %w", err)
		f.halt(err)
		return err
	}
	f.mu.Lock()
	f.state, f.pos = l.state, l.pos
	f.pending, f.dirty = nil, 0
	f.clock.seen(l.state.Head().Now)
	f.mu.Unlock()
	f.applied.raise(l.pos.Index)
	f.log.Info("the state was taken over from the leader", "index", l.pos.Index, "seq", l.state.Head().Seq)
	return f.tellMissed(before)
}

func (f *fsm) lastSeq() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.state.Head().Seq
}

// tellMissed tells the events that a snapshot has skipped, or, if they are many,
// that they were skipped.
func (f *fsm) tellMissed(after uint64) error {
	if last := f.lastSeq(); last > after+f.few {
		if f.jump != nil {
			f.jump(f.epoch(), last)
		}
		return nil
	}
	if f.tell == nil {
		return nil
	}
	events, err := f.disk.journal(after, MaxJournal)
	if err != nil {
		return err
	}
	if len(events) > 0 {
		f.tell(f.epoch(), events)
	}
	return nil
}
