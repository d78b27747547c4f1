package raftstore

import (
	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// backlog is how much of the journal is kept because its usage is not with the cloud
// yet. It is counted as it is written, before compression, and kept with the position.
type backlog struct {
	sent  uint64 // license.Head.UsageSent
	bytes uint64
}

// journalCost is what a value of the journal takes up with its key, about.
func journalCost(value int) uint64 { return uint64(value) + 40 }

// beginBacklog finds how much that is in a database that was opened.
func beginBacklog(db *badger.DB, pos position, head license.Head) (b backlog, err error) {
	b.sent = head.UsageSent
	if pos.Backlog > 0 {
		b.bytes = pos.Backlog - 1
		return b, nil
	}
	err = db.View(func(txn *badger.Txn) error { // it was restored
		b.bytes, err = journalBytes(txn, head.UsageSent, head.Seq)
		return err
	})
	return b, err
}

// next is the backlog after so many bytes were written, with this head of the state:
// what it says to be with the cloud is not kept for it any more.
func (b backlog) next(txn *badger.Txn, written uint64, head license.Head) (backlog, error) {
	b.bytes += written
	if head.UsageSent <= b.sent {
		return b, nil
	}
	gone, err := journalBytes(txn, b.sent, head.UsageSent)
	b.bytes -= min(gone, b.bytes)
	b.sent = head.UsageSent
	return b, err
}

// journalBytes is what the values take up whose last event is after one and not
// after another.
func journalBytes(txn *badger.Txn, after, through uint64) (n uint64, err error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{tableJournal}})
	defer it.Close()
	for it.Seek(journalFrom(after + 1)); it.Valid(); it.Next() {
		last, _, err := parseJournalKey(it.Item().Key())
		if err != nil || last > through {
			return n, err
		}
		n += journalCost(int(it.Item().ValueSize()))
	}
	return n, nil
}

// Backlog is how many bytes of this node's journal are kept because their usage is not
// with the cloud yet, before compression: on disk they take less.
func (s *Store) Backlog() uint64 { return s.disk.backlog().bytes }

func (d *disk) backlog() backlog {
	d.posMu.Lock()
	defer d.posMu.Unlock()
	return d.waits
}

func (d *disk) setBacklog(b backlog) {
	d.posMu.Lock()
	defer d.posMu.Unlock()
	d.waits = b
}
