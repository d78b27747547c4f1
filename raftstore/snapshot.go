package raftstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/hashicorp/raft"
)

// snapshots is raft's snapshot store, without a snapshot in it: the state on
// disk, at its own position, is the one there is. Only for a follower that is too
// far behind is it written out, and only there is one received.
type snapshots struct {
	ctx     context.Context // ends when the store closes
	disk    *disk
	codec   *codec
	log     *slog.Logger
	cluster string
	halt    func(error)

	mu     sync.Mutex
	next   int
	builts map[string]built // received and not taken over yet
}

// built is a database made of a received snapshot.
type built struct {
	name string // of its folder
	pos  position
}

var _ raft.SnapshotStore = (*snapshots)(nil)

// liveID is the id of the state on disk.
const liveID = "state"

// List tells of the state on disk.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	pos, _ := s.disk.position()
	if pos.Index == 0 {
		return nil, nil
	}
	meta, err := pos.meta(liveID)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

func (p position) meta(id string) (*raft.SnapshotMeta, error) {
	c, err := p.configuration()
	if err != nil {
		return nil, err
	}
	return &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, ID: id, Index: p.Index, Term: p.Term,
		Configuration: c, ConfigurationIndex: p.ConfigIndex}, nil
}

// Open writes the state out to a file and reads it back from there, so that its
// size is known before it is sent; or opens one that was received.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id != liveID {
		return s.openReceived(id)
	}
	f, err := os.CreateTemp(s.disk.dir, "snapshot-*")
	if err != nil {
		return nil, nil, fmt.Errorf("writing a snapshot: %w", err)
	}
	tmp := &tempFile{f}
	meta, err := s.export(f)
	if err != nil {
		return nil, nil, fmt.Errorf("writing a snapshot: %w", errors.Join(err, tmp.Close()))
	}
	return meta, tmp, nil
}

func (s *snapshots) export(f *os.File) (meta *raft.SnapshotMeta, err error) {
	w := newSnapshotWriter(bufio.NewWriterSize(f, 1<<20))
	err = s.disk.viewAll(func(txn *badger.Txn) error {
		pos, err := readPosition(txn, s.codec)
		if err != nil {
			return err
		}
		noted, err := readNotes(txn, pos)
		if err != nil {
			return err
		}
		var forgotten uint64
		if pos.Index > 0 {
			switch head, err := readHead(txn, s.codec); {
			case errors.Is(err, badger.ErrKeyNotFound): // nobody has founded the site yet
			case err != nil:
				return err
			default:
				forgotten = head.Forgotten.Sums.Through
			}
		}
		pos.Cluster, pos.Notes = s.cluster, 0
		if meta, err = pos.meta(liveID); err != nil {
			return err
		}
		header, err := s.codec.position(pos)
		if err != nil {
			return err
		}
		w.write([]byte(snapshotMagic))
		w.sized(header)
		return noted.young.pairs(txn, badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 256}, func(key []byte, value readValue) error {
			switch {
			case s.ctx.Err() != nil:
				return ErrClosed
			case key[0] == tablePosition: // it tells of no notes
				return w.pair(key, header)
			case key[0] == tableJournal:
				if last, _, err := parseJournalKey(key); err != nil || last <= forgotten {
					return err
				}
			}
			return value(func(v []byte) error { return w.pair(key, v) })
		})
	})
	if err == nil {
		err = s.disk.sound()
	}
	if w.sized(nil); err == nil {
		err = w.end()
	}
	if err == nil {
		meta.Size, err = f.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return meta, err
}

// tempFile is gone once it is closed.
type tempFile struct{ *os.File }

// Close closes and removes the file.
func (t *tempFile) Close() error {
	return errors.Join(t.File.Close(), os.Remove(t.Name()))
}

func (s *snapshots) openReceived(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	b, ok := s.builts[id]
	s.mu.Unlock()
	if !ok {
		return nil, nil, fmt.Errorf("there is no snapshot %q", id)
	}
	meta, err := b.pos.meta(id)
	if err != nil {
		return nil, nil, err
	}
	meta.Size = int64(len(id))
	return meta, io.NopCloser(strings.NewReader(id)), nil // fsm.Restore takes the database by its id
}

// take hands a received snapshot over to who restores it.
func (s *snapshots) take(id string) (built, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.builts[id]
	if !ok {
		return built{}, fmt.Errorf("there is no snapshot %q to restore", id)
	}
	delete(s.builts, id)
	return b, nil
}

// Create begins a snapshot: one of this node's own state, which Persist makes
// virtual, or one that is being received.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	s.next++
	id := fmt.Sprintf("received-%d-%d", index, s.next)
	s.mu.Unlock()
	return &sink{snapshots: s, meta: raft.SnapshotMeta{ID: id, Index: index, Term: term, Configuration: c, ConfigurationIndex: ci}}, nil
}

// sink receives a snapshot into a file and, once it is whole, builds a database
// of it.
type sink struct {
	snapshots *snapshots
	meta      raft.SnapshotMeta
	virtual   bool
	file      *os.File
	closed    bool
}

// ID is the snapshot's.
func (k *sink) ID() string {
	if k.virtual {
		return liveID
	}
	return k.meta.ID
}

// Write keeps a part.
func (k *sink) Write(b []byte) (int, error) {
	if k.file == nil {
		f, err := os.CreateTemp(k.snapshots.disk.dir, "receiving-*")
		if err != nil {
			return 0, fmt.Errorf("receiving a snapshot: %w", err)
		}
		k.file = f
	}
	return k.file.Write(b)
}

// Cancel drops what was received.
func (k *sink) Cancel() error {
	if k.file == nil {
		return nil
	}
	f := &tempFile{k.file}
	k.file = nil
	return f.Close()
}

// Close checks and builds what was received. A snapshot that is incomplete,
// damaged or of another cluster is refused.
func (k *sink) Close() error {
	if k.virtual || k.closed {
		return nil
	}
	k.closed = true
	if k.file == nil {
		return errors.New("the snapshot is empty")
	}
	b, err := k.build()
	if err = errors.Join(err, k.Cancel()); err != nil {
		if b.name != "" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(k.snapshots.disk.dir, b.name)))
		}
		err = fmt.Errorf("a snapshot from the leader is refused: %w", err)
		if errors.As(err, new(*NewerLevel)) {
			k.snapshots.halt(err) // it will not get another
		}
		return err
	}
	k.snapshots.mu.Lock()
	k.snapshots.builts[k.meta.ID] = b
	k.snapshots.mu.Unlock()
	return nil
}

func (k *sink) build() (b built, err error) {
	s := k.snapshots
	if err := checkSnapshot(k.file); err != nil { // all of it, before any of it is used
		return b, err
	}
	r, err := openSnapshot(k.file)
	if err != nil {
		return b, err
	}
	if b.pos, err = s.codec.decodePosition(r.head); err != nil {
		return b, err
	}
	if b.pos.Cluster != s.cluster {
		return b, fmt.Errorf("it is of cluster %q, this is %q", b.pos.Cluster, s.cluster)
	}
	if b.pos.Index != k.meta.Index || b.pos.Term != k.meta.Term {
		return b, fmt.Errorf("it is of index %d in term %d, announced was %d in %d", b.pos.Index, b.pos.Term, k.meta.Index, k.meta.Term)
	}
	if b.name, err = s.disk.receive(); err != nil {
		return b, err
	}
	dir := filepath.Join(s.disk.dir, b.name)
	db, err := s.disk.dbs.open(dir, s.log)
	if err != nil {
		return b, err
	}
	batch := db.NewWriteBatch()
	err = r.all(func(key, value []byte) error { return batch.Set(key, value) })
	if err == nil {
		err = batch.Flush()
	} else {
		batch.Cancel()
	}
	if err == nil {
		_, err = readState(db, s.codec) // it can be read, before the old one goes
	}
	if err = errors.Join(err, s.disk.dbs.close(db)); err != nil {
		return b, err
	}
	return b, errors.Join(syncTree(dir), syncDir(s.disk.dir))
}

// syncTree syncs the files of a folder and the folder.
func syncTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := syncDir(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return syncDir(dir)
}
