package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"sitegate/license"
	"sitegate/raftstore/wal"
)

// Recovery is what a node could go on from alone, after most nodes of its cluster are
// lost for good.
type Recovery struct {
	Cluster string
	Node    string
	Epoch   uint64
	Index   uint64 // the last entry of its log; whether others have more is not known
	Term    uint64
	Time    license.Time // of that entry
	Applied uint64       // what the node is certain to have been answered, at the least
	Others  []Peer       // the other members, where they were
	// Again: an earlier recovery of this folder was interrupted.
	Again bool
}

// Recover makes a node that was left the only one of a new epoch: all that is in its
// log counts, whether a majority had it or not, and what others had answered beyond it
// is lost. The node must not run. agree hears first what that is; its error ends the
// recovery with nothing changed.
//
// A recovery that is interrupted is begun again; the node does not start before that.
func Recover(ctx context.Context, b Beginning, agree func(Recovery) error) (begun Begun, err error) {
	if err := b.check(); err != nil {
		return begun, err
	}
	if _, err := os.Stat(filepath.Join(b.Dir, identityFile)); err != nil {
		return begun, fmt.Errorf("there is no node's data in %s to recover from: %w", b.Dir, err)
	}
	lock, err := lockDir(b.Dir)
	if err != nil {
		return begun, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	id, err := b.survivor()
	if err != nil {
		return begun, err
	}
	b.Cluster = id.Cluster
	o, err := openOffline(b.Dir, id.Cluster, b.Logger)
	if err != nil {
		return begun, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	what, err := o.recovery(id)
	if err != nil {
		return begun, err
	}
	if err := b.acceptsTime(what.Time); err != nil {
		return begun, err
	}
	if err := agree(what); err != nil {
		return begun, err
	}
	instance, err := uuid.NewRandom()
	if err != nil {
		return begun, fmt.Errorf("drawing an id for the data folder: %w", err)
	}
	// From here on it is not a member of the old cluster any more, and does not start
	// as one.
	path := filepath.Join(b.Dir, identityFile)
	id.Instance, id.Recovering = instance.String(), true
	if err := id.write(path); err != nil {
		return begun, err
	}
	if begun, err = o.goOn(ctx, &b, what, id.Instance); err != nil {
		return begun, fmt.Errorf("recovering (run it again): %w", err)
	}
	if err := os.Remove(filepath.Join(b.Dir, memoryFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return begun, fmt.Errorf("forgetting the other nodes: %w", err)
	}
	id.Recovering = false
	return begun, id.write(path)
}

// survivor reads whose folder it is. An interrupted recovery is no hindrance to
// another.
func (b *Beginning) survivor() (identity, error) {
	if id, err := readIdentity(filepath.Join(b.Dir, identityFile)); err == nil && id.Recovering && id.Node == b.Node {
		return id, nil
	}
	return identify(b.Dir, b.Node, b.Cluster)
}

// offline is a node's log and state while the node does not run.
type offline struct {
	codec  *codec
	log    *slog.Logger
	disk   *disk
	wal    *logStore
	fsm    *fsm
	behind *behind
	failed error // of the writing behind
}

func nothing() float64 { return 0 }

func openOffline(dir, cluster string, log *slog.Logger) (*offline, error) {
	o := &offline{log: log}
	var err error
	if o.codec, err = newCodec(); err != nil {
		return nil, err
	}
	m := newMetrics(nothing, nothing)
	halt := func(err error) {
		if o.failed == nil {
			o.failed = err
		}
	}
	var l loaded
	if o.disk, l, err = openDisk(filepath.Join(dir, "state"), badgers{}, o.codec, log); err != nil {
		return nil, err
	}
	mono := monotonic()
	unwatched := newStalls(StallLimits{}, log, mono)
	if o.wal, err = openLog(wal.OS(filepath.Join(dir, "log")), 0, log, m, unwatched, halt); err == nil {
		err = alignLog(o.wal, l.pos, log)
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	o.fsm = &fsm{codec: o.codec, log: log, metrics: m, disk: o.disk, leases: newLeaseTable(mono), cluster: cluster, halt: halt, state: l.state, pos: l.pos,
		clock: &clock{wall: time.Now, mono: mono, alarm: func(string, time.Duration) {}}}
	o.fsm.applied.raise(l.pos.Index)
	o.behind = newBehind(o.disk, m, unwatched, settleIdle, halt, o.fsm.applied.get)
	o.fsm.behind = o.behind
	return o, nil
}

func (o *offline) close() error {
	if o.behind != nil {
		o.behind.close()
	}
	err := o.disk.close()
	if o.wal != nil {
		err = errors.Join(err, o.wal.Close())
	}
	return err
}

// recovery says what there is. Nothing is changed by it.
func (o *offline) recovery(id identity) (Recovery, error) {
	pos, head := o.fsm.pos, o.fsm.state.Head()
	r := Recovery{Cluster: id.Cluster, Node: id.Node, Epoch: head.Epoch, Index: pos.Index, Term: pos.Term, Time: head.Now, Applied: pos.Index, Again: id.Recovering}
	config, err := pos.configuration()
	if err != nil {
		return r, err
	}
	err = o.each(func(l *raft.Log) error {
		r.Index, r.Term = l.Index, l.Term
		switch l.Type {
		case raft.LogConfiguration:
			config = raft.DecodeConfiguration(l.Data)
		case raft.LogCommand:
			at, _, err := o.codec.decodeEntry(l.Data)
			r.Time = max(r.Time, at)
			return err
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	if r.Index == 0 {
		return r, fmt.Errorf("node %s has never been part of a cluster: there is nothing to recover from", id.Node)
	}
	for _, s := range config.Servers {
		if string(s.ID) != id.Node {
			r.Others = append(r.Others, Peer{Name: string(s.ID), Address: string(s.Address)})
		}
	}
	return r, nil
}

// each calls f with the entries behind the state, in order.
func (o *offline) each(f func(*raft.Log) error) error {
	last, err := o.wal.LastIndex()
	if err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	}
	for i := o.fsm.pos.Index + 1; i <= last; i++ {
		var l raft.Log
		if err := o.wal.GetLog(i, &l); err != nil {
			return fmt.Errorf("reading entry %d of the log: %w", i, err)
		}
		if err := f(&l); err != nil {
			return fmt.Errorf("entry %d of the log: %w", i, err)
		}
	}
	return nil
}

// goOn applies what is left of the log, begins the new epoch, and drops the log: the
// state is all there is then. Done twice, it comes to the same.
func (o *offline) goOn(ctx context.Context, b *Beginning, what Recovery, instance string) (begun Begun, err error) {
	var entries []*raft.Log
	err = o.each(func(l *raft.Log) error {
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			entries = append(entries[:0], l)
			if err, failed := o.fsm.ApplyBatch(entries)[0].(error); failed {
				return err
			}
		}
		b.progress(l.Index, what.Index)
		return o.failed
	})
	if err == nil {
		err = o.fsm.reach(ctx, what.Index, what.Term)
	}
	if err == nil {
		o.behind.drain() // from here on it has nothing to write
		_, err = o.disk.settle(true)
	}
	if err = errors.Join(err, o.failed); err != nil {
		return begun, err
	}
	members := []string{b.Node}
	for _, m := range what.Others {
		members = append(members, m.Name)
	}
	written, _ := o.disk.position() // with what the log's tail has added
	pos, begun := b.begin(o.fsm.state, instance, position{Index: what.Index, Term: what.Term, Digest: written.Digest}, members, true)
	if err := putBeginning(o.disk.db, o.codec, o.fsm.state, pos); err != nil {
		return begun, err
	}
	first, err := o.wal.FirstIndex()
	if err != nil {
		return begun, fmt.Errorf("reading the log's beginning: %w", err)
	}
	last, err := o.wal.LastIndex()
	if err != nil {
		return begun, fmt.Errorf("reading the log's end: %w", err)
	}
	if last > 0 {
		if err := o.wal.DeleteRange(first, last); err != nil {
			return begun, fmt.Errorf("clearing the log: %w", err)
		}
	}
	return begun, nil
}
