package raftstore

import (
	"encoding/binary"
	"fmt"

	"sitegate/license"
)

// Every key that is kept in Badger. The first byte is the table; the bytes are
// on disk, so a letter is never used anew.
//
//	a                   the position all other keys are at (index, term, configuration)
//	e until(8) id(16)   ids that have ended: until when the last is kept, and the first
//	j seq(8) n(4)       n events of the journal, of which the last has the seq
//	n number(8)         what users have open that is not in their records yet: notes.go
//	r kind(1) id        a record of the state but those of e: license.Key
//
// Numbers are big endian.
const (
	tablePosition = 'a'
	tableEnded    = 'e'
	tableJournal  = 'j'
	tableNotes    = 'n'
	tableRecord   = 'r'
)

func positionKey() []byte { return []byte{tablePosition} }

func recordKey(k license.Key) []byte {
	b := make([]byte, 0, 2+len(k.ID))
	b = append(b, tableRecord, byte(k.Kind))
	return append(b, k.ID...)
}

func parseRecordKey(b []byte) (license.Key, error) {
	if len(b) < 2 || b[0] != tableRecord {
		return license.Key{}, fmt.Errorf("%x is not a record's key", b)
	}
	return license.Key{Kind: license.KeyKind(b[1]), ID: string(b[2:])}, nil
}

// journalFrom is before the keys of all events from a seq on, and behind those of
// the events before.
func journalFrom(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableJournal}, seq)
}

func journalKey(last, n uint64) []byte {
	return binary.BigEndian.AppendUint32(journalFrom(last), uint32(n))
}

func parseJournalKey(b []byte) (last, n uint64, err error) {
	if len(b) != 13 || b[0] != tableJournal {
		return 0, 0, fmt.Errorf("%x is not a journal key", b)
	}
	return binary.BigEndian.Uint64(b[1:]), uint64(binary.BigEndian.Uint32(b[9:])), nil
}

func endedKey(until license.Time, first license.ID) []byte {
	b := binary.BigEndian.AppendUint64([]byte{tableEnded}, uint64(until))
	return append(b, first[:]...)
}

func parseEndedKey(b []byte) (until license.Time, err error) {
	if len(b) != 25 || b[0] != tableEnded {
		return 0, fmt.Errorf("%x is not the key of ended ids", b)
	}
	return license.Time(binary.BigEndian.Uint64(b[1:])), nil
}

func noteKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableNotes}, number)
}

func parseNoteKey(b []byte) (number uint64, err error) {
	if len(b) != 9 || b[0] != tableNotes {
		return 0, fmt.Errorf("%x is not the key of notes", b)
	}
	return binary.BigEndian.Uint64(b[1:]), nil
}
