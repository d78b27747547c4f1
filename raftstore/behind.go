package raftstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// sealed is all that changed between two indexes of the log, encoded: one
// transaction.
type sealed struct {
	pos    position
	head   license.Head // at pos
	puts   []pair
	gone   [][]byte
	active []activity // instead of the records of KeyActive
	ended  tombstones
	events []license.Event
	bytes  int // of puts and ended, about

	written chan struct{} // not nil: nothing to write, closed once all before it is
}

type pair struct{ key, value []byte }

// take encodes the records that changed since it was last asked for them.
func (s *sealed) take(st *license.State, c *codec) (err error) {
	st.TakeChanged(func(k license.Key, r any) {
		switch {
		case k.Kind == license.KeyTombstone:
			if x, ok := r.(*license.Tombstone); ok { // those forgotten go with their seal
				err = errors.Join(err, s.ended.add(c, x))
			}
			return
		case r == nil && k.Kind == license.KeyActive:
			s.active = append(s.active, activity{user: license.UserID(k.ID)})
			return
		case r == nil:
			s.gone = append(s.gone, recordKey(k))
			return
		}
		b, failed := c.record(r)
		if failed != nil {
			err = failed
			return
		}
		s.bytes += len(b) + len(k.ID)
		if k.Kind == license.KeyActive {
			s.active = append(s.active, activity{license.UserID(k.ID), b})
			return
		}
		s.puts = append(s.puts, pair{recordKey(k), b})
	})
	s.head = st.Head()
	s.bytes += len(s.ended.value)
	return err
}

func putPairs(txn *badger.Txn, pairs []pair) error {
	for _, p := range pairs {
		if err := txn.Set(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// putRecords writes what take has encoded, but for what users have open.
func (s *sealed) putRecords(txn *badger.Txn) error {
	if err := putPairs(txn, s.puts); err != nil {
		return err
	}
	for _, key := range s.gone {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	if s.ended.value == nil {
		return nil
	}
	return txn.Set(endedKey(s.ended.until, s.ended.first), s.ended.value)
}

// The bounds of what is sealed at once, about, and of one transaction, well below
// Badger's own (15 % of a memtable, 9.6 MB): each is a wait for the disk.
const (
	sealBytes   = 2 << 20
	sealRecords = 10_000
	txnBytes    = 4 << 20
)

// sealQueue is how many wait to be written: a second and a half at the ordinary pace.
const sealQueue = 16

// behind writes sealed changes in order, away from the goroutine that applies.
// Its queue is bounded: when the disk cannot keep up for more than a moment, applying
// waits.
type behind struct {
	disk    *disk
	metrics *metrics
	stalls  *stalls
	halt    func(error)
	applied func() uint64
	idle    time.Duration // how long nothing is written before what is noted goes into the records
	queue   chan sealed
	done    chan struct{}
	drop    chan struct{} // closed by abandon
}

func newBehind(d *disk, m *metrics, w *stalls, idle time.Duration, halt func(error), applied func() uint64) *behind {
	b := &behind{disk: d, metrics: m, stalls: w, idle: idle, halt: halt, applied: applied, queue: make(chan sealed, sealQueue), done: make(chan struct{}), drop: make(chan struct{})}
	go b.run()
	return b
}

func (b *behind) run() {
	defer close(b.done)
	failed := false
	for {
		var s sealed
		var ok bool
		var idle <-chan time.Time
		if !failed && b.disk.noted() {
			idle = time.After(b.idle)
		}
		select {
		case s, ok = <-b.queue:
			if !ok && !failed {
				failed = b.settle(true)
			}
		case <-idle:
			failed = b.settle(false)
			continue
		case <-b.drop:
		}
		select {
		case <-b.drop: // nothing more, also where something could be taken: what was put before may be missing
			return
		default:
		}
		switch {
		case !ok:
			return
		case s.written != nil:
			close(s.written)
		case failed: // what follows must not be written over a hole
		default:
			end := b.stalls.begin("the state")
			err := b.disk.write(s)
			end()
			if err != nil {
				failed = true
				b.halt(fmt.Errorf("writing the state to disk at index %d: %w", s.pos.Index, err))
				continue
			}
			b.metrics.flushed(s, b.applied())
			b.metrics.backlog.Set(float64(b.disk.backlog().bytes))
		}
	}
}

// settleIdle is how long nothing is written before what is noted goes into the records.
const settleIdle = time.Second

func (b *behind) settle(all bool) (failed bool) {
	end := b.stalls.begin("the state")
	defer end()
	if _, err := b.disk.settle(all); err != nil {
		b.halt(err)
		return true
	}
	return false
}

// put queues a batch; it waits while the queue is full.
func (b *behind) put(s sealed) {
	select {
	case b.queue <- s:
	case <-b.drop:
	}
}

// drain returns once all that was queued before is written.
func (b *behind) drain() {
	written := make(chan struct{})
	b.put(sealed{written: written})
	select {
	case <-written:
	case <-b.drop:
	}
}

// close writes what is queued and ends. Nothing may be put after it.
func (b *behind) close() {
	close(b.queue)
	<-b.done
}

// abandon ends without writing what is queued, as a crash would.
func (b *behind) abandon() {
	close(b.drop)
	<-b.done
}

// write brings the database from its position to that of s. Where there are very many
// events some of them go first: they are numbered by the log, so that writing them
// again after a crash changes nothing, and no reader looks past the position.
func (d *disk) write(s sealed) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	last := s.head.Seq - uint64(len(s.events)) // before them
	var packed []pair
	bytes := s.bytes
	var written uint64
	for len(s.events) > 0 {
		b, n, err := d.codec.packEvents(s.events)
		if err == nil {
			err = d.digest.follow(b, n)
		}
		if err != nil {
			return err
		}
		s.events, last = s.events[n:], last+uint64(n)
		packed = append(packed, pair{journalKey(last, uint64(n)), b})
		bytes += len(b)
		written += journalCost(len(b))
		if bytes <= txnBytes {
			continue
		}
		if err := d.writeTxn(func(txn *badger.Txn) error { return putPairs(txn, packed) }); err != nil {
			return err
		}
		packed, bytes = nil, s.bytes
	}
	s.pos.Digest = d.digest.now()
	var old [][]byte
	waits := d.backlog()
	page := d.notes.next(d.codec, s.active, false)
	s.pos.Notes = d.notes.count(&page)
	err := d.writeTxn(func(txn *badger.Txn) (err error) {
		if old, err = d.old(txn, s.head); err != nil { // first: who looks for keys sorts what is set before
			return err
		}
		if err := putPairs(txn, packed); err != nil {
			return err
		}
		if err := s.putRecords(txn); err != nil {
			return err
		}
		if err := page.put(txn); err != nil {
			return err
		}
		if waits, err = waits.next(txn, written, s.head); err != nil {
			return err
		}
		s.pos.Backlog = waits.bytes + 1
		for _, key := range old {
			if err := txn.Delete(key); err != nil {
				return err
			}
		}
		b, err := d.codec.position(s.pos)
		if err != nil {
			return err
		}
		return txn.Set(positionKey(), b)
	})
	if err != nil {
		return err
	}
	d.forgot(old)
	d.forgotten.Store(s.head.Forgotten.Sums.Through)
	d.notes.written(&page, s.active)
	d.setBacklog(waits)
	d.moved(s.pos, s.head.Seq)
	return nil
}

func (d *disk) writeTxn(f func(txn *badger.Txn) error) error {
	if d.room != nil {
		if err := d.room(); err != nil {
			return err
		}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.db == nil {
		return ErrClosed
	}
	return d.db.Update(f)
}
