package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// stable is what must never be forgotten: raft's term and vote, and which segments
// there are. Each change goes to the slot that is not the current one, a sector,
// with one fdatasync. As a sector is written as a whole or not at all, both slots
// are always good: one that is not was damaged later, and may have held the newest
// vote.
type stable struct {
	mu     sync.Mutex
	file   File
	broken *failure
	slot
}

type slot struct {
	turn           uint64 // grows with each change; even turns are in the first slot
	oldest, newest uint64 // segments of the log; 0: none was begun
	values         map[string][]byte
}

const (
	stableName   = "stable"
	slotDistance = 4096 // a disk may write this much at once
)

//	0 CRC · 4 magic · 8 turn · 16 oldest · 24 newest · 32 number of values · then of each, sorted by key: length of key, of value, key, value

const (
	slotMagic = 0x31766773
	slotHead  = 34
)

func (s slot) encode() ([]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, slotHead, sector)
	le.PutUint32(b[4:], slotMagic)
	le.PutUint64(b[8:], s.turn)
	le.PutUint64(b[16:], s.oldest)
	le.PutUint64(b[24:], s.newest)
	le.PutUint16(b[32:], uint16(len(s.values)))
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		b = le.AppendUint16(b, uint16(len(key)))
		b = le.AppendUint16(b, uint16(len(s.values[key])))
		b = append(append(b, key...), s.values[key]...)
	}
	if len(b) > sector {
		return nil, fmt.Errorf("stable values take %d bytes, at most %d fit", len(b), sector)
	}
	b = b[:sector]
	le.PutUint32(b, checksum(0, b[4:]))
	return b, nil
}

var errSlot = errors.New("a slot of the file " + stableName + " is damaged")

func parseSlot(b []byte) (s slot, err error) {
	le := binary.LittleEndian
	if len(b) != sector || le.Uint32(b) != checksum(0, b[4:]) || le.Uint32(b[4:]) != slotMagic {
		return s, errSlot
	}
	s = slot{turn: le.Uint64(b[8:]), oldest: le.Uint64(b[16:]), newest: le.Uint64(b[24:]), values: map[string][]byte{}}
	rest := b[slotHead:]
	for range le.Uint16(b[32:]) {
		if len(rest) < 4 {
			return s, errSlot
		}
		key, value := int(le.Uint16(rest)), int(le.Uint16(rest[2:]))
		rest = rest[4:]
		if key+value > len(rest) {
			return s, errSlot
		}
		s.values[string(rest[:key])] = bytes.Clone(rest[key : key+value])
		rest = rest[key+value:]
	}
	return s, nil
}

// newStable makes the file of a new log.
func newStable(fs FS, broken *failure) (*stable, error) {
	s := &stable{broken: broken, slot: slot{turn: 1, values: map[string][]byte{}}}
	var err error
	s.file, err = makeFile(fs, stableName, func(f File) error {
		for turn := range uint64(2) {
			b, err := slot{turn: turn}.encode()
			if err != nil {
				return err
			}
			if _, err := f.WriteAt(b, int64(turn)*slotDistance); err != nil {
				return err
			}
		}
		return nil
	})
	return s, err
}

func openStable(f File, broken *failure) (*stable, error) {
	s := &stable{broken: broken, file: f}
	for turn := range uint64(2) {
		b := make([]byte, sector)
		if n, err := f.ReadAt(b, int64(turn)*slotDistance); n < len(b) {
			return nil, fmt.Errorf("reading the file %s: %w", stableName, err)
		}
		got, err := parseSlot(b)
		if err == nil && got.turn%2 != turn {
			err = errSlot
		}
		if err != nil {
			return nil, err
		}
		if turn == 0 || got.turn > s.turn {
			s.slot = got
		}
	}
	return s, nil
}

// change writes what f makes of the current values; they count once they are on
// disk. Nothing is written where f changes nothing.
func (s *stable) change(f func(*slot) (changed bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.broken.get(); err != nil {
		return err
	}
	next := s.slot
	next.values = maps.Clone(s.values)
	if !f(&next) {
		return nil
	}
	next.turn++
	b, err := next.encode()
	if err != nil {
		return err
	}
	if _, err = s.file.WriteAt(b, int64(next.turn%2)*slotDistance); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		return s.broken.set(fmt.Errorf("writing the file %s: %w", stableName, err))
	}
	s.slot = next
	return nil
}

// Put sets values in one step; they are on disk when it returns. All keys and
// values together must fit into some 450 bytes.
func (w *WAL) Put(values map[string][]byte) error {
	return w.stable.change(func(s *slot) (changed bool) {
		for key, v := range values {
			if old, ok := s.values[key]; !ok || !bytes.Equal(old, v) {
				s.values[key] = bytes.Clone(v)
				changed = true
			}
		}
		return changed
	})
}

// Set sets one value.
func (w *WAL) Set(key, value []byte) error { return w.Put(map[string][]byte{string(key): value}) }

// Get returns a value, nil where there is none.
func (w *WAL) Get(key []byte) ([]byte, error) {
	w.stable.mu.Lock()
	defer w.stable.mu.Unlock()
	return bytes.Clone(w.stable.values[string(key)]), nil
}

// SetUint64 sets one number.
func (w *WAL) SetUint64(key []byte, v uint64) error {
	return w.Set(key, binary.BigEndian.AppendUint64(nil, v))
}

// GetUint64 returns a number, 0 where there is none.
func (w *WAL) GetUint64(key []byte) (uint64, error) {
	b, err := w.Get(key)
	if err != nil || b == nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("the stable value %q is no number", key)
	}
	return binary.BigEndian.Uint64(b), nil
}
