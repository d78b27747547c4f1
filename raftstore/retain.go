package raftstore

import (
	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// retention is what the database keeps of what is not part of the state for ever:
// packed events, tombstones, records of the audit trail. Only the writer touches it.
type retention struct {
	events uint64 // of the journal that are kept; 0: all
	// The first of each that may still be there: looking for it from the table's
	// beginning would pass by all that was deleted.
	journal, ended []byte
	audited        uint64 // no record of the audit trail up to this one is there
}

// oldAtOnce bounds what one transaction deletes.
const oldAtOnce = 64

// old finds what is not needed any more with this head of the state: events that it has
// forgotten, or beyond those that are kept, but none whose usage the cloud does not have yet;
// and tombstones and records of the audit trail that the state has forgotten.
func (d *disk) old(txn *badger.Txn, head license.Head) ([][]byte, error) {
	var keys [][]byte
	until := head.Forgotten.Sums.Through
	if d.keep.events > 0 && head.Seq > d.keep.events {
		until = max(until, min(head.Seq-d.keep.events, head.UsageSent))
	}
	if until > 0 {
		err := firstKeys(txn, d.keep.journal, tableJournal, &keys, func(key []byte) (bool, error) {
			last, _, err := parseJournalKey(key)
			return last <= until, err
		})
		if err != nil {
			return nil, err
		}
	}
	keys, err := d.keep.oldAudit(txn, keys, head.Audit.After)
	if err != nil {
		return nil, err
	}
	return keys, firstKeys(txn, d.keep.ended, tableEnded, &keys, func(key []byte) (bool, error) {
		until, err := parseEndedKey(key)
		return until <= head.Now, err
	})
}

// oldAudit adds the first records of the audit trail that the state has dropped.
func (r *retention) oldAudit(txn *badger.Txn, keys [][]byte, after uint64) ([][]byte, error) {
	if r.audited >= after {
		return keys, nil
	}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: auditPrefix()})
	defer it.Close()
	for it.Seek(auditRecordKey(r.audited + 1)); it.Valid() && len(keys) < oldAtOnce; it.Next() {
		key := it.Item().KeyCopy(nil)
		number, err := parseAuditKey(key)
		if err != nil || number > after {
			return keys, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// firstKeys adds the first keys of a table, from one on, that are old.
func firstKeys(txn *badger.Txn, from []byte, table byte, keys *[][]byte, old func(key []byte) (bool, error)) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{table}})
	defer it.Close()
	if from == nil {
		from = []byte{table}
	}
	for it.Seek(from); it.Valid() && len(*keys) < oldAtOnce; it.Next() {
		key := it.Item().KeyCopy(nil)
		if is, err := old(key); !is || err != nil {
			return err
		}
		*keys = append(*keys, key)
	}
	return nil
}

// forgot notes what is deleted.
func (d *disk) forgot(keys [][]byte) {
	for _, key := range keys {
		switch key[0] {
		case tableJournal:
			d.keep.journal = key
			_, n, _ := parseJournalKey(key) // old has read it
			if cut := d.cut.Add(n); d.keep.events > 0 && cut > d.keep.events/mergeShare {
				select {
				case d.many <- struct{}{}:
				default:
				}
			}
		case tableEnded:
			d.keep.ended = key
		case tableRecord:
			d.keep.audited, _ = parseAuditKey(key) // oldAudit has read it
		}
	}
}

// cutJournal deletes the events that were written before a crash and the state has
// not come to: they come again, packed otherwise.
func cutJournal(db *badger.DB, seq uint64) error {
	for {
		var keys [][]byte
		err := db.Update(func(txn *badger.Txn) error {
			err := firstKeys(txn, journalFrom(seq+1), tableJournal, &keys, func([]byte) (bool, error) { return true, nil })
			for _, key := range keys {
				if err == nil {
					err = txn.Delete(key)
				}
			}
			return err
		})
		if err != nil || len(keys) == 0 {
			return err
		}
	}
}
