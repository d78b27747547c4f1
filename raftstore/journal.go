package raftstore

import (
	"context"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// MaxJournal is how many events one Journal call returns at the most.
const MaxJournal = 10_000

// Journal returns up to limit events (at most MaxJournal) after a seq, in order,
// as far as they are fsynced on this node, and not forgotten (license.Forget).
func (s *Store) Journal(ctx context.Context, after uint64, limit int) ([]license.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.disk.journal(after, limit)
}

func (d *disk) journal(after uint64, limit int) ([]license.Event, error) {
	var events []license.Event
	_, last := d.position()
	after = max(after, d.forgotten.Load())
	if after >= last || limit <= 0 {
		return nil, nil
	}
	limit = min(limit, MaxJournal)
	err := d.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{tableJournal}})
		defer it.Close()
		for it.Seek(journalFrom(after + 1)); it.Valid() && len(events) < limit; it.Next() {
			to, n, err := parseJournalKey(it.Item().Key())
			if err != nil || to > last {
				return err
			}
			err = it.Item().Value(func(b []byte) error {
				return d.codec.unpackEvents(to, n, b, func(e license.Event) {
					if e.Seq > after && len(events) < limit {
						events = append(events, e)
					}
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(events) < limit && (len(events) == 0 || events[len(events)-1].Seq < last) {
		err = d.sound() // it ended before its end
	}
	if err != nil {
		return nil, err
	}
	return events, nil
}
