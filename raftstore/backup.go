package raftstore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// A backup is a file: its magic, a header, the records and events of one node's
// state on disk at exactly one index of the log, and a SHA-256 of all that.

const backupMagic = "sgbackup1"

// Backup is what a backup says of itself.
type Backup struct {
	Cluster string `cbor:"1,keyasint"`
	Node    string `cbor:"2,keyasint"`           // that made it
	Program string `cbor:"3,keyasint,omitempty"` // its version
	Level   uint32 `cbor:"4,keyasint,omitempty"` // the cluster's
	Epoch   uint64 `cbor:"5,keyasint,omitempty"`
	Index   uint64 `cbor:"6,keyasint"` // of the log: everything up to here is in it
	Term    uint64 `cbor:"7,keyasint"`
	Seq     uint64 `cbor:"8,keyasint,omitempty"` // of the last event
	// Time is that of the last entry of the log, Made when the backup was made by the
	// clock of its node.
	Time license.Time `cbor:"9,keyasint,omitempty"`
	Made license.Time `cbor:"10,keyasint"`
	// Current: a leader had confirmed, after the backup was asked for, that this is
	// everything that had been answered before. False is what a node has that reaches
	// no leader.
	Current bool   `cbor:"11,keyasint,omitempty"`
	Records uint64 `cbor:"12,keyasint"`
	Events  uint64 `cbor:"13,keyasint"`
	// Members are the nodes of the cluster then.
	Members []string `cbor:"14,keyasint,omitempty"`
	// Digest is that of all events, those too that are not in the journal any more.
	Digest uint64 `cbor:"15,keyasint,omitempty"`
}

// Pairs is how many records and events there are.
func (b Backup) Pairs() uint64 { return b.Records + b.Events }

// Backup writes a backup of this node's state, as it is on disk once everything
// applied before the call is there; on any node, while it works. begin hears what
// will be in it, before the first byte.
func (s *Store) Backup(ctx context.Context, w io.Writer, begin func(Backup)) (Backup, error) {
	b := Backup{Cluster: s.identity.Cluster, Node: s.cfg.Node, Program: s.cfg.Version, Made: license.TimeOf(s.cfg.Clock())}
	b.Current = s.current(ctx)
	if err := s.Flush(ctx); err != nil {
		return b, fmt.Errorf("making a backup: %w", err)
	}
	if err := s.disk.sound(); err != nil {
		return b, fmt.Errorf("making a backup: %w", err)
	}
	err := s.disk.viewAll(func(txn *badger.Txn) error {
		pos, err := readPosition(txn, s.codec)
		if err != nil {
			return err
		}
		noted, err := readNotes(txn, pos)
		if err != nil {
			return err
		}
		forgotten, err := b.describe(txn, pos, &noted.young, s.codec)
		if err != nil {
			return err
		}
		if begin != nil {
			begin(b)
		}
		return b.write(ctx, txn, &noted.young, forgotten, s.codec, w)
	})
	if err == nil {
		err = s.disk.sound() // what was written may lack what follows a damaged block
	}
	if err != nil {
		return b, fmt.Errorf("making a backup: %w", err)
	}
	return b, nil
}

// current waits until this node has caught up, and reports whether it has.
func (s *Store) current(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, catchUpLimit)
	defer cancel()
	return s.CatchUp(ctx) == nil
}

// CatchUp returns once everything is applied here that the leader had committed when
// it was asked, after the call. ErrNoLeader: there is none.
func (s *Store) CatchUp(ctx context.Context) error {
	return s.atLeader(ctx, true, s.Fresh, func(ctx context.Context, p *peer) error {
		var c committed
		if err := p.ask(ctx, methodCommitted, struct{}{}, &c); err != nil {
			return err
		}
		return s.fsm.applied.wait(ctx, c.Index)
	})
}

// catchUpLimit is how long a backup waits to be current before it is made of what
// there is.
const catchUpLimit = 10 * time.Second

// committed is what a leader that serves has committed.
type committed struct {
	Index uint64 `cbor:"1,keyasint"`
}

func (s *Store) handleCommitted(ctx context.Context) ([]byte, error) {
	if err := s.Fresh(ctx); err != nil {
		return nil, err
	}
	return s.codec.enc.Marshal(committed{s.fsm.applied.get()})
}

// describe fills in what the state on disk says, at its position and with its notes, and
// returns up to which event it has forgotten them.
func (b *Backup) describe(txn *badger.Txn, pos position, noted *notes, c *codec) (forgotten uint64, err error) {
	if pos.Index == 0 {
		return 0, errors.New("there is nothing in this node's state yet")
	}
	b.Index, b.Term, b.Digest = pos.Index, pos.Term, pos.Digest
	members, err := pos.configuration()
	if err != nil {
		return 0, err
	}
	for _, m := range members.Servers {
		b.Members = append(b.Members, string(m.ID))
	}
	h, err := readHead(txn, c)
	if err != nil {
		return 0, err
	}
	b.Level, b.Epoch, b.Seq, b.Time, forgotten = h.Level, h.Epoch, h.Seq, h.Now, h.Forgotten.Sums.Through
	return forgotten, b.each(txn, noted, forgotten, badger.IteratorOptions{}, func(key []byte, _ readValue) error {
		records, events, err := inKey(key)
		b.Records, b.Events = b.Records+records, b.Events+events
		return err
	})
}

// inKey is how many records and events there are under a key. Packed tombstones count
// as one record.
func inKey(key []byte) (records, events uint64, err error) {
	if key[0] != tableJournal {
		return 1, 0, nil
	}
	_, events, err = parseJournalKey(key)
	return 0, events, err
}

// each calls f with everything that belongs to the backup, in order. Events behind the
// position may be on disk already, and those that are forgotten still; they are not part of it.
func (b *Backup) each(txn *badger.Txn, noted *notes, forgotten uint64, o badger.IteratorOptions, f func(key []byte, value readValue) error) error {
	return noted.pairs(txn, o, func(key []byte, value readValue) error {
		switch key[0] {
		case tableRecord, tableEnded:
		case tableJournal:
			if seq, _, err := parseJournalKey(key); err != nil || seq > b.Seq || seq <= forgotten {
				return err
			}
		default:
			return nil
		}
		return f(key, value)
	})
}

func (b *Backup) write(ctx context.Context, txn *badger.Txn, noted *notes, forgotten uint64, c *codec, to io.Writer) error {
	head, err := c.enc.Marshal(*b)
	if err != nil {
		return fmt.Errorf("encoding the header: %w", err)
	}
	w := pairWriter{w: bufio.NewWriterSize(to, 256<<10), sum: sha256.New()}
	w.write([]byte(backupMagic))
	w.sized(head)
	err = b.each(txn, noted, forgotten, badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 256}, func(key []byte, value readValue) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		return value(func(v []byte) error { return w.pair(key, v) })
	})
	if err != nil {
		return err
	}
	w.sized(nil)
	return w.end()
}

// BackupReader looks through a backup.
type BackupReader struct {
	// Begin hears the header, before anything else is read. An error ends the reading.
	Begin func(Backup) error
	// Progress hears now and then how many pairs have been read.
	Progress func(pairs uint64)
}

const progressEvery = 4096 // pairs

// Check reads a whole backup and says whether it is whole and unchanged. It does not
// look at what the records say.
func (br BackupReader) Check(r io.Reader) (Backup, error) {
	c, err := newCodec()
	if err != nil {
		return Backup{}, err
	}
	b, _, err := br.read(r, c, func(_, _ []byte) error { return nil })
	return b, err
}

// Contents counts what a backup holds.
type Contents struct {
	license.Counts
	Nodes    int
	Restored license.Restoration
}

// Verify is Check, and reads every record and event as a node would: the state they
// make is the one that the header tells of.
func (br BackupReader) Verify(r io.Reader) (Backup, Contents, error) {
	c, err := newCodec()
	if err != nil {
		return Backup{}, Contents{}, err
	}
	b, st, _, err := br.verify(r, c)
	if err != nil {
		return b, Contents{}, err
	}
	return b, Contents{Counts: st.Counts(), Nodes: len(license.Nodes(st)), Restored: st.Head().Restored}, nil
}

// verify returns the state, and the checksum that tells two readings of a file apart.
func (br BackupReader) verify(r io.Reader, c *codec) (Backup, *license.State, []byte, error) {
	st := license.NewState()
	heads, last := 0, uint64(0)
	var ended []*license.Tombstone
	b, sum, err := br.read(r, c, func(key, value []byte) error {
		switch key[0] {
		case tableRecord:
			k, err := parseRecordKey(key)
			if err != nil {
				return err
			}
			if k.Kind == license.KeyHead {
				heads++
			}
			record, err := c.decodeRecord(k.Kind, value)
			if err != nil {
				return err
			}
			return st.Put(record)
		case tableJournal:
			seq, n, err := parseJournalKey(key)
			if err != nil {
				return err
			}
			last = seq
			return c.unpackEvents(seq, n, value, func(license.Event) {})
		case tableEnded:
			return c.unpackTombstones(value, func(x *license.Tombstone) error { ended = append(ended, x); return nil })
		}
		return fmt.Errorf("%x is no key of a record or an event", key)
	})
	if err != nil {
		return b, nil, nil, err
	}
	for _, x := range ended { // they come before the head, which says who is forgotten
		if err := putTombstone(st, x); err != nil {
			return b, nil, nil, err
		}
	}
	st.Loaded()
	switch h := st.Head(); {
	case heads != 1:
		return b, nil, nil, fmt.Errorf("it has %d heads of the state, not one", heads)
	case h.Epoch != b.Epoch || h.Seq != b.Seq || h.Now != b.Time || h.Level != b.Level || h.Cluster != b.Cluster:
		return b, nil, nil, fmt.Errorf("its header tells of epoch %d, seq %d of cluster %s; its state is at epoch %d, seq %d of cluster %s", b.Epoch, b.Seq, b.Cluster, h.Epoch, h.Seq, h.Cluster)
	case last > b.Seq:
		return b, nil, nil, fmt.Errorf("it has event %d, and should end at %d", last, b.Seq)
	}
	return b, st, sum, nil
}

// read takes a backup apart. Keys come in order, each once.
func (br BackupReader) read(from io.Reader, c *codec, f func(key, value []byte) error) (b Backup, sum []byte, err error) {
	r := pairReader{r: bufio.NewReaderSize(from, 256<<10), sum: sha256.New()}
	if err := r.magic(backupMagic, "backup of sitegate"); err != nil {
		return b, nil, err
	}
	head, err := r.sized(maxBackupHead)
	if err != nil {
		return b, nil, err
	}
	if err := c.dec.Unmarshal(head, &b); err != nil {
		return b, nil, fmt.Errorf("its header cannot be read; it may have been made by a newer version: %w", err)
	}
	if b.Level > license.Level {
		return b, nil, fmt.Errorf("it is of a cluster at level %d, made by version %s; this program knows level %d: use that version, or a later one", b.Level, b.Program, license.Level)
	}
	if b.Cluster == "" || b.Node == "" || b.Index == 0 || b.Term == 0 {
		return b, nil, errors.New("its header does not say what it is of")
	}
	if br.Begin != nil {
		if err := br.Begin(b); err != nil {
			return b, nil, err
		}
	}
	var before string
	var records, events uint64
	err = r.each(func(key, value []byte) error {
		if string(key) <= before {
			return fmt.Errorf("key %x does not follow on key %x", key, before)
		}
		before = string(key)
		r, e, err := inKey(key)
		if err != nil {
			return err
		}
		records, events = records+r, events+e
		if n := records + events; br.Progress != nil && n/progressEvery != (n-r-e)/progressEvery {
			br.Progress(n)
		}
		return f(key, value)
	})
	if err != nil {
		return b, nil, err
	}
	if records != b.Records || events != b.Events {
		return b, nil, fmt.Errorf("it has %d records and %d events, its header says %d and %d", records, events, b.Records, b.Events)
	}
	sum = r.sum.Sum(nil)
	if err := r.end(); err != nil {
		return b, nil, err
	}
	if br.Progress != nil {
		br.Progress(records + events)
	}
	return b, sum, nil
}

// maxBackupHead bounds what is read of a header.
const maxBackupHead = 64 << 10
