package raftstore

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// readState rebuilds the state in memory from its records. One goroutine reads them
// from the database, others decode them, and they are put into the state in order.
func readState(db *badger.DB, c *codec) (loaded, error) {
	l := loaded{state: license.NewState()}
	err := db.View(func(txn *badger.Txn) error {
		var err error
		if l.pos, err = readPosition(txn, c); err != nil {
			return err
		}
		if l.notes, err = readNotes(txn, l.pos); err != nil {
			return err
		}
		if err := readRecords(txn, c, &l.notes.young, l.state); err != nil {
			return err
		}
		return readTombstones(txn, c, l.state)
	})
	if err != nil {
		return loaded{}, fmt.Errorf("reading the state from disk: %w", err)
	}
	l.state.Loaded()
	return l, nil
}

// readHead reads the state's head alone.
func readHead(txn *badger.Txn, c *codec) (*license.Head, error) {
	item, err := txn.Get(recordKey(license.Key{Kind: license.KeyHead}))
	if err != nil {
		return nil, fmt.Errorf("reading the state's head (has a leader founded the site yet?): %w", err)
	}
	var r any
	err = item.Value(func(b []byte) error {
		r, err = c.decodeRecord(license.KeyHead, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.(*license.Head), nil
}

// stretch is some records that follow each other.
type stretch struct {
	kinds   []license.KeyKind
	all     []byte // the values, one after the other
	ends    []int  // of each
	values  [][]byte
	records []any
	err     error
	decoded chan struct{}
}

// stretchRecords is how many, and stretchesAhead how many stretches are read before
// those in front of them are in the state.
const (
	stretchRecords = 512
	stretchesAhead = 8
)

func readRecords(txn *badger.Txn, c *codec, noted *notes, st *license.State) error {
	inOrder, toDecode := make(chan *stretch, stretchesAhead), make(chan *stretch, stretchesAhead)
	stop := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(stop)
	all.Go(func() {
		defer close(inOrder)
		defer close(toDecode)
		x := newStretch()
		send := func() error {
			x.cut()
			select {
			case inOrder <- x:
			case <-stop:
				return errStopped
			}
			toDecode <- x
			x = newStretch()
			return nil
		}
		err := noted.pairs(txn, badger.IteratorOptions{Prefix: []byte{tableRecord}}, func(key []byte, value readValue) error {
			if err := x.add(key, value); err != nil || len(x.kinds) < stretchRecords {
				return err
			}
			return send()
		})
		if x.err = err; err != errStopped {
			_ = send() // the last, and whether it went wrong
		}
	})
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for x := range toDecode {
				x.decode(c)
				close(x.decoded)
			}
		})
	}
	for x := range inOrder {
		<-x.decoded
		if x.err != nil {
			return x.err
		}
		for _, r := range x.records {
			if err := st.Put(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// errStopped: nobody wants any more.
var errStopped = errors.New("the reading was ended")

func newStretch() *stretch { return &stretch{decoded: make(chan struct{})} }

func (x *stretch) add(key []byte, value readValue) error {
	k, err := parseRecordKey(key)
	if err != nil {
		return err
	}
	x.kinds = append(x.kinds, k.Kind)
	err = value(func(b []byte) error {
		x.all = append(x.all, b...)
		return nil
	})
	x.ends = append(x.ends, len(x.all))
	return err
}

// cut takes the values apart.
func (x *stretch) cut() {
	from := 0
	for _, end := range x.ends {
		x.values = append(x.values, x.all[from:end])
		from = end
	}
}

func (x *stretch) decode(c *codec) {
	if x.err != nil {
		return
	}
	for i, kind := range x.kinds {
		r, err := c.decodeRecord(kind, x.values[i])
		if err != nil {
			x.err = err
			return
		}
		x.records = append(x.records, r)
	}
}

// readTombstones puts the ids that have ended into a state that has everything else,
// but for those that it has forgotten.
func readTombstones(txn *badger.Txn, c *codec, st *license.State) error {
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 64, Prefix: []byte{tableEnded}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		err := it.Item().Value(func(b []byte) error {
			return c.unpackTombstones(b, func(x *license.Tombstone) error { return putTombstone(st, x) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// putTombstone puts the id in unless the state has forgotten it.
func putTombstone(st *license.State, x *license.Tombstone) error {
	if x.Until <= st.Head().Now {
		return nil
	}
	return st.Put(x)
}
