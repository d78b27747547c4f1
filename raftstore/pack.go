package raftstore

import (
	"encoding/binary"
	"fmt"

	"sitegate/license"
)

// What comes in great numbers is packed, many in one value of the database: a key
// for each would cost more than what it is the key of.
//
//	events     in the order of their seqs: number of the fact, time, length, fact
//	tombstones that came with one seal: length, record
//
// behind a version byte each.

// The most that is packed into one value, unless a single one is larger.
const (
	packedEvents = 1000
	packedBytes  = 256 << 10
)

// packEvents encodes the first of the events, as many as go into a value, and
// returns how many these are.
func (c *codec) packEvents(events []license.Event) (b []byte, n int, err error) {
	b = append(make([]byte, 0, min(packedBytes, 256*len(events))), journalVersion)
	var fact []byte
	for ; n < min(len(events), packedEvents); n++ {
		e := &events[n]
		kind, err := c.facts.of(e.Fact)
		if err != nil {
			return nil, 0, err
		}
		if fact, _, err = c.appendValue(fact[:0], e.Fact); err != nil {
			return nil, 0, err
		}
		if n > 0 && len(b)+len(fact) > packedBytes {
			break
		}
		b = binary.AppendUvarint(b, kind)
		b = binary.AppendVarint(b, int64(e.At))
		b = binary.AppendUvarint(b, uint64(len(fact)))
		b = append(b, fact...)
	}
	return b, n, nil
}

// unpackEvents decodes n events of which the last has this seq, and calls f with
// each.
func (c *codec) unpackEvents(last, n uint64, b []byte, f func(license.Event)) error {
	if len(b) == 0 || b[0] != journalVersion {
		return fmt.Errorf("events up to %d are empty or of a newer version than %d; install the newer version on this node", last, journalVersion)
	}
	if n == 0 || n > last {
		return fmt.Errorf("%d events cannot end with event %d", n, last)
	}
	r := reader{b: b[1:]}
	for seq := last - n + 1; seq <= last; seq++ {
		kind, at := r.uvarint(), r.varint()
		body := r.bytes(r.uvarint())
		if r.err != nil {
			return fmt.Errorf("reading event %d: %w", seq, r.err)
		}
		v, err := c.facts.make(kind)
		if err != nil {
			return err
		}
		if err := c.value(body, v); err != nil {
			return fmt.Errorf("reading event %d: %w", seq, err)
		}
		f(license.Event{Seq: seq, At: license.Time(at), Fact: v.Elem().Interface().(license.Fact)})
	}
	if len(r.b) > 0 {
		return fmt.Errorf("reading events up to %d: %d bytes are left over", last, len(r.b))
	}
	return nil
}

// tombstones are those of one seal, packed. They are never deleted one by one, but
// all together once the last of them is forgotten.
type tombstones struct {
	until license.Time // when the last of them is forgotten
	first license.ID
	value []byte // nil: there are none
}

func (t *tombstones) add(c *codec, x *license.Tombstone) error {
	b, err := c.record(x)
	if err != nil {
		return err
	}
	if t.value == nil {
		t.value, t.first = []byte{endedVersion}, x.ID
	}
	t.until = max(t.until, x.Until)
	t.value = append(binary.AppendUvarint(t.value, uint64(len(b))), b...)
	return nil
}

// unpackTombstones decodes what one seal has packed.
func (c *codec) unpackTombstones(b []byte, f func(*license.Tombstone) error) error {
	if len(b) == 0 || b[0] != endedVersion {
		return fmt.Errorf("ids that have ended are empty or of a newer version than %d; install the newer version on this node", endedVersion)
	}
	for r := (reader{b: b[1:]}); len(r.b) > 0; {
		one := r.bytes(r.uvarint())
		if r.err != nil {
			return fmt.Errorf("reading ids that have ended: %w", r.err)
		}
		x, err := c.decodeRecord(license.KeyTombstone, one)
		if err != nil {
			return err
		}
		if err := f(x.(*license.Tombstone)); err != nil {
			return err
		}
	}
	return nil
}
