package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
)

// What users have open changes with nearly every command, most of it many times in a
// minute. A key of the database's own for each time would cost several times what the
// command does. So what one seal has changed of it is written as a few notes, many
// users in each, and comes into the records of these users later, once for all the
// times that it changed. Until then what a note says counts, the last one of a user,
// and not the record:
//
//	notes of what users have open: length, user, length, record or nothing
//
// behind a version byte. Where little changes nothing is noted, and records are written
// at once. A database that is closed has no notes.

// activity is what a user has open, encoded; nil: nothing any more.
type activity struct {
	user   license.UserID
	active []byte
}

func (m *activity) key() []byte {
	return recordKey(license.Key{Kind: license.KeyActive, ID: string(m.user)})
}

// put writes it where the records are.
func (m *activity) put(txn *badger.Txn) error {
	if m.active == nil {
		return txn.Delete(m.key())
	}
	return txn.Set(m.key(), m.active)
}

// packNotes encodes the first of them, as many as go into a value, and returns how many
// these are.
func (c *codec) packNotes(all []activity) (b []byte, n int) {
	b = append(make([]byte, 0, min(packedBytes, 256*len(all))), notesVersion)
	for ; n < len(all) && (n == 0 || len(b)+len(all[n].active) <= packedBytes); n++ {
		m := &all[n]
		b = binary.AppendUvarint(b, uint64(len(m.user)))
		b = append(b, m.user...)
		b = binary.AppendUvarint(b, uint64(len(m.active)))
		b = append(b, m.active...)
	}
	return b, n
}

func unpackNotes(b []byte, f func(activity)) error {
	if len(b) == 0 || b[0] != notesVersion {
		return fmt.Errorf("notes of what users have open are empty or of a newer version than %d; install the newer version on this node", notesVersion)
	}
	for r := (reader{b: b[1:]}); len(r.b) > 0; {
		m := activity{user: license.UserID(r.bytes(r.uvarint()))}
		active := r.bytes(r.uvarint())
		if r.err != nil {
			return fmt.Errorf("reading notes of what users have open: %w", r.err)
		}
		if len(active) > 0 {
			m.active = slices.Clone(active)
		}
		f(m)
	}
	return nil
}

// notes are some that follow each other in the database.
type notes struct {
	latest map[license.UserID][]byte // by user, of these; nil: nothing is open
	keys   [][]byte                  // in order
	bytes  int
}

func (n *notes) add(all []activity) {
	if n.latest == nil {
		n.latest = map[license.UserID][]byte{}
	}
	for _, m := range all {
		n.latest[m.user] = m.active
	}
}

// notebook is all of the notes in a database. disk.writing guards it.
type notebook struct {
	last  uint64 // number of the last note
	young notes
	// old are before the young ones, and on their way into the records; toSettle are
	// their users that are left, in order.
	old      notes
	toSettle []license.UserID
}

const (
	// fewActivities are written into the records at once, where there are no notes.
	fewActivities = 64
	// Young notes grow old when they are as many: what they take in memory, in the
	// database, and to read when a node starts.
	notedUsers = 50_000
	notedBytes = 32 << 20
	notedKeys  = 300
	// settleAtOnce are the users whose records are written with a seal, and settleBytes
	// what these take, about: a transaction has a bound.
	settleAtOnce = 2048
	settleBytes  = 1 << 20
)

func (b *notebook) empty() bool { return len(b.young.keys) == 0 && len(b.old.keys) == 0 }

// page is what is written to the database with one transaction.
type page struct {
	notes   []pair     // new ones
	records []activity // that go where records are
	settled int        // users of the old notes that are among these, or have younger notes
	gone    [][]byte
}

// next is what to write for what has moved, and of what was noted before. all: whatever
// there is of that.
func (b *notebook) next(c *codec, now []activity, all bool) (p page) {
	if len(now) > 0 && len(now) <= fewActivities && b.empty() {
		p.records = now
		return p
	}
	for number := b.last; len(now) > 0; {
		value, n := c.packNotes(now)
		number++
		p.notes, now = append(p.notes, pair{noteKey(number), value}), now[n:]
	}
	if len(b.old.keys) == 0 && (all || b.young.full()) {
		b.age()
	}
	for bytes := 0; p.settled < min(len(b.toSettle), settleAtOnce) && bytes < settleBytes; p.settled++ {
		user := b.toSettle[p.settled]
		if _, again := b.young.latest[user]; !again {
			p.records = append(p.records, activity{user, b.old.latest[user]})
			bytes += len(b.old.latest[user])
		}
	}
	if p.settled == len(b.toSettle) {
		p.gone = b.old.keys
	}
	return p
}

func (n *notes) full() bool {
	return len(n.latest) >= notedUsers || n.bytes >= notedBytes || len(n.keys) >= notedKeys
}

func (b *notebook) age() {
	b.old, b.young = b.young, notes{}
	b.toSettle = slices.Sorted(maps.Keys(b.old.latest))
}

// count is how many notes there are once a page is written.
func (b *notebook) count(p *page) uint64 {
	return uint64(len(b.young.keys) + len(b.old.keys) + len(p.notes) - len(p.gone))
}

// written takes up that a page is.
func (b *notebook) written(p *page, now []activity) {
	if len(p.notes) > 0 {
		b.young.add(now)
	}
	for _, note := range p.notes {
		b.young.keys = append(b.young.keys, note.key)
		b.young.bytes += len(note.value)
		b.last++
	}
	b.toSettle = b.toSettle[p.settled:]
	if len(p.gone) > 0 {
		b.old, b.toSettle = notes{}, nil
	}
}

func (p *page) put(txn *badger.Txn) error {
	err := putPairs(txn, p.notes)
	for i := range p.records {
		err = errors.Join(err, p.records[i].put(txn))
	}
	for _, key := range p.gone { // the oldest first: those that are left are the last
		err = errors.Join(err, txn.Delete(key))
	}
	return err
}

// readNotes reads those of a database at a position.
func readNotes(txn *badger.Txn, pos position) (b notebook, err error) {
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 16, Prefix: []byte{tableNotes}})
	defer it.Close()
	var all []activity
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if b.last, err = parseNoteKey(key); err != nil {
			return b, err
		}
		err = it.Item().Value(func(v []byte) error {
			b.young.bytes += len(v)
			return unpackNotes(v, func(m activity) { all = append(all, m) })
		})
		if err != nil {
			return b, err
		}
		b.young.keys = append(b.young.keys, key)
	}
	b.young.add(all)
	if n := uint64(len(b.young.keys)); n != pos.Notes {
		return b, fmt.Errorf("%d notes of what users have open are there, and %d were written: %w", n, pos.Notes, errStateDamaged)
	}
	return b, nil
}

// noted reports whether there are notes.
func (d *disk) noted() bool {
	d.writing.Lock()
	defer d.writing.Unlock()
	return !d.notes.empty()
}

// settle brings what is noted into the records: some of it, or all. false: there was
// nothing.
func (d *disk) settle(all bool) (bool, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	if d.notes.empty() {
		return false, nil
	}
	for {
		p := d.notes.next(d.codec, nil, true)
		pos, seq := d.position()
		pos.Notes = d.notes.count(&p)
		err := d.writeTxn(func(txn *badger.Txn) error {
			if err := p.put(txn); err != nil {
				return err
			}
			b, err := d.codec.position(pos)
			if err != nil {
				return err
			}
			return txn.Set(positionKey(), b)
		})
		if err != nil {
			return true, fmt.Errorf("settling what users have open: %w", err)
		}
		d.notes.written(&p, nil)
		d.moved(pos, seq)
		if !all || d.notes.empty() {
			return true, nil
		}
	}
}

// readValue calls a function with a value, which is good until that returns.
type readValue func(func(v []byte) error) error

// pairs calls f with every pair of the database in order, or those with a prefix that
// has all records, as if it had no notes but these values in the records.
func (n *notes) pairs(txn *badger.Txn, o badger.IteratorOptions, f func(key []byte, value readValue) error) error {
	users := slices.Sorted(maps.Keys(n.latest))
	noted := func(before []byte) error { // those up to a key
		for len(users) > 0 {
			m := activity{users[0], n.latest[users[0]]}
			key := m.key()
			if before != nil && string(key) > string(before) {
				return nil
			}
			users = users[1:]
			if m.active == nil {
				continue
			}
			if err := f(key, func(g func([]byte) error) error { return g(m.active) }); err != nil {
				return err
			}
		}
		return nil
	}
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		key := item.Key()
		if key[0] == tableNotes {
			continue
		}
		if err := noted(key); err != nil {
			return err
		}
		if k, err := parseRecordKey(key); err == nil && k.Kind == license.KeyActive {
			if _, is := n.latest[license.UserID(k.ID)]; is {
				continue
			}
		}
		if err := f(key, item.Value); err != nil {
			return err
		}
	}
	return noted(nil)
}
