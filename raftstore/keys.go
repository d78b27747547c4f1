package raftstore

import (
	"encoding/binary"
	"fmt"

	"sitegate/license"
)

// Every key that is kept in Badger. The first byte is the table; the bytes are
// on disk, so a letter is never used anew.
//
//	a                     the position all other keys are at (index, term, configuration)
//	r kind(1) id          a record of the state: license.Key
//	j seq(8, big endian)  an event of the journal
const (
	tablePosition = 'a'
	tableRecord   = 'r'
	tableJournal  = 'j'
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

func journalKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{tableJournal}, seq)
}

func parseJournalKey(b []byte) (uint64, error) {
	if len(b) != 9 || b[0] != tableJournal {
		return 0, fmt.Errorf("%x is not a journal key", b)
	}
	return binary.BigEndian.Uint64(b[1:]), nil
}
