package raftstore

import (
	"context"
	"encoding/binary"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// The peaks of days that are over are records of the state, which only the disk has: they
// are written once, when the log says so (license.KeepPeaks), and stay when the events go
// that they were counted from.

// Peaks returns the peaks that were kept of the days from one on and before another, of one
// product or, where it is empty, of all; in order of days and products. Once there are most
// of them it ends with that day, and until is where to go on.
func (s *Store) Peaks(ctx context.Context, from, until license.Time, product license.ProductID, most int) ([]license.Peak, license.Time, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, 0, err
	}
	return s.disk.peaks(from, until, product, most)
}

func (d *disk) peaks(from, until license.Time, product license.ProductID, most int) (peaks []license.Peak, reached license.Time, err error) {
	prefix := recordKey(license.Key{Kind: license.KeyPeak})
	ended := false
	err = d.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: true, PrefetchSize: 64})
		defer it.Close()
		for it.Seek(binary.BigEndian.AppendUint64(prefix, uint64(max(from, 0)))); it.Valid() && !ended; it.Next() {
			err := it.Item().Value(func(b []byte) error {
				r, err := d.codec.decodeRecord(license.KeyPeak, b)
				if err != nil {
					return err
				}
				p := r.(*license.Peak)
				switch {
				case p.Day >= until:
					ended = true
				case len(peaks) >= most && p.Day > peaks[len(peaks)-1].Day:
					until, ended = p.Day, true
				case product == "" || p.Product == product:
					peaks = append(peaks, *p)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !ended {
		err = d.sound() // it came to the end of the table, or to a damaged block
	}
	return peaks, until, err
}
