package raftstore

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// The audit trail on disk. Its records are written with the state that they belong to,
// in the table of records, and stay when the journal is cut: they go only when the state
// says so (license.TrimAudit). They are in snapshots and backups as everything else.

func auditPrefix() []byte { return recordKey(license.Key{Kind: license.KeyAudit}) }

func auditRecordKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(auditPrefix(), number)
}

func parseAuditKey(key []byte) (number uint64, err error) {
	k, err := parseRecordKey(key)
	if err == nil && (k.Kind != license.KeyAudit || len(k.ID) != 8) {
		err = fmt.Errorf("%x is not the key of a record of the audit trail", key)
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64([]byte(k.ID)), nil
}

// MaxAudit is how many records one Audit call returns at the most.
const MaxAudit = 10_000

// Audit returns up to limit records of the audit trail (at most MaxAudit) after one, in
// order, as they are on this node's disk once everything is there that was applied before
// the call, and the trail as it stood then. It checks nothing: license.AuditChain does.
func (s *Store) Audit(ctx context.Context, after uint64, limit int) ([]license.Audited, license.AuditTrail, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, license.AuditTrail{}, err
	}
	return s.disk.audit(after, limit)
}

func (d *disk) audit(after uint64, limit int) (records []license.Audited, trail license.AuditTrail, err error) {
	limit = min(limit, MaxAudit)
	err = d.view(func(txn *badger.Txn) error {
		head, err := readHead(txn, d.codec)
		if err != nil {
			return err
		}
		trail = head.Audit
		it := txn.NewIterator(badger.IteratorOptions{Prefix: auditPrefix()})
		defer it.Close()
		// Records that the state has dropped may be there for a while.
		for it.Seek(auditRecordKey(max(after, trail.After) + 1)); it.Valid() && len(records) < limit; it.Next() {
			err := it.Item().Value(func(b []byte) error {
				r, err := d.codec.decodeRecord(license.KeyAudit, b)
				if x, is := r.(*license.Audited); is {
					records = append(records, *x)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(records) < limit && (len(records) == 0 || records[len(records)-1].Number < trail.Number) && max(after, trail.After) < trail.Number {
		err = d.sound() // it ended before its end
	}
	return records, trail, err
}
