package raftstore

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// sealed is all that changed between two indexes of the log, encoded: one
// transaction.
type sealed struct {
	pos    position
	seq    uint64 // of the last event at pos
	puts   []pair
	gone   [][]byte
	events []license.Event
	bytes  int // of puts, about

	written chan struct{} // not nil: nothing to write, closed once all before it is
}

type pair struct{ key, value []byte }

// take encodes the records that changed since it was last asked for them.
func (s *sealed) take(st *license.State, c *codec) (err error) {
	st.TakeChanged(func(k license.Key, r any) {
		if r == nil {
			s.gone = append(s.gone, recordKey(k))
			return
		}
		b, failed := c.record(r)
		if failed != nil {
			err = failed
			return
		}
		s.puts = append(s.puts, pair{recordKey(k), b})
		s.bytes += len(b) + len(k.ID)
	})
	return err
}

// putRecords writes what take has encoded.
func (s *sealed) putRecords(txn *badger.Txn) error {
	for _, p := range s.puts {
		if err := txn.Set(p.key, p.value); err != nil {
			return err
		}
	}
	for _, key := range s.gone {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of one transaction, well below Badger's own (15 % of a memtable, 2.4 MB).
const (
	sealBytes   = 1 << 20
	sealRecords = 5000
	eventChunk  = 1000
)

// behind writes sealed changes in order, away from the goroutine that applies.
// Its queue is short: when the disk cannot keep up, applying waits.
type behind struct {
	disk    *disk
	metrics *metrics
	stalls  *stalls
	halt    func(error)
	applied func() uint64
	queue   chan sealed
	done    chan struct{}
	drop    chan struct{} // closed by abandon
}

func newBehind(d *disk, m *metrics, w *stalls, halt func(error), applied func() uint64) *behind {
	b := &behind{disk: d, metrics: m, stalls: w, halt: halt, applied: applied, queue: make(chan sealed, 4), done: make(chan struct{}), drop: make(chan struct{})}
	go b.run()
	return b
}

func (b *behind) run() {
	defer close(b.done)
	failed := false
	for {
		var s sealed
		var ok bool
		select {
		case s, ok = <-b.queue:
		case <-b.drop:
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
		}
	}
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

// write brings the database from its position to that of s. The events go
// first where there are many: they are numbered by the log, so that writing them
// again after a crash changes nothing, and no reader looks past the position.
func (d *disk) write(s sealed) error {
	events := s.events
	for len(events) > eventChunk || (len(events) > 0 && s.bytes > sealBytes) {
		n := min(len(events), eventChunk)
		if err := d.writeTxn(func(txn *badger.Txn) error { return d.putEvents(txn, events[:n]) }); err != nil {
			return err
		}
		events = events[n:]
	}
	err := d.writeTxn(func(txn *badger.Txn) error {
		if err := d.putEvents(txn, events); err != nil {
			return err
		}
		if err := s.putRecords(txn); err != nil {
			return err
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
	d.moved(s.pos, s.seq)
	return nil
}

func (d *disk) writeTxn(f func(txn *badger.Txn) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.db == nil {
		return ErrClosed
	}
	return d.db.Update(f)
}

func (d *disk) putEvents(txn *badger.Txn, events []license.Event) error {
	for _, e := range events {
		b, err := d.codec.event(e)
		if err != nil {
			return err
		}
		if err := txn.Set(journalKey(e.Seq), b); err != nil {
			return err
		}
	}
	return nil
}
