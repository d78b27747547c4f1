package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"
)

//	0 CRC · 4 length of data · 8 length of extensions · 12 type · 13 timed · 14 zero · 16 index · 24 term · 32 Unix nanoseconds

// appendRecord appends an entry to the payload of a frame.
func appendRecord(b []byte, salt uint32, l *raft.Log) []byte {
	at := len(b)
	le := binary.LittleEndian
	b = append(b, make([]byte, recordHead)...)
	head := b[at:]
	le.PutUint32(head[4:], uint32(len(l.Data)))
	le.PutUint32(head[8:], uint32(len(l.Extensions)))
	head[12] = byte(l.Type)
	le.PutUint64(head[16:], l.Index)
	le.PutUint64(head[24:], l.Term)
	if !l.AppendedAt.IsZero() {
		head[13] = 1
		le.PutUint64(head[32:], uint64(l.AppendedAt.UnixNano()))
	}
	b = append(b, l.Data...)
	b = append(b, l.Extensions...)
	le.PutUint32(b[at:], checksum(salt, b[at+4:]))
	return b
}

// recordSize is what an entry takes.
func recordSize(l *raft.Log) int64 {
	return recordHead + int64(len(l.Data)) + int64(len(l.Extensions))
}

// storable reports why an entry cannot be kept.
func storable(l *raft.Log, limit int64) error {
	if size := recordSize(l); size > limit {
		return fmt.Errorf("entry %d has %d bytes, more than the %d that fit into a segment", l.Index, size, limit)
	}
	if l.Index == 0 || l.Index == math.MaxUint64 {
		return fmt.Errorf("an entry cannot have the index %d", l.Index)
	}
	return nil
}

var errRecord = errors.New("a record does not fit its frame")

// recordLength is the length of the record that b begins with.
func recordLength(b []byte) (int64, error) {
	if len(b) < recordHead {
		return 0, errRecord
	}
	n := recordHead + int64(binary.LittleEndian.Uint32(b[4:])) + int64(binary.LittleEndian.Uint32(b[8:]))
	if n > int64(len(b)) {
		return 0, errRecord
	}
	return n, nil
}

func recordIndex(b []byte) uint64 { return binary.LittleEndian.Uint64(b[16:]) }

// parseRecord reads the record that b is, and keeps b.
func parseRecord(b []byte, salt uint32, l *raft.Log) error {
	n, err := recordLength(b)
	if err != nil || n != int64(len(b)) {
		return errRecord
	}
	le := binary.LittleEndian
	if le.Uint32(b) != checksum(salt, b[4:]) {
		return errors.New("a record's checksum does not fit")
	}
	*l = raft.Log{Index: recordIndex(b), Term: le.Uint64(b[24:]), Type: raft.LogType(b[12])}
	if b[13] != 0 {
		l.AppendedAt = time.Unix(0, int64(le.Uint64(b[32:])))
	}
	data := recordHead + le.Uint32(b[4:])
	if data > recordHead {
		l.Data = b[recordHead:data:data]
	}
	if n > int64(data) {
		l.Extensions = b[data:n:n]
	}
	return nil
}
