package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// What is where in a segment; all numbers are little-endian.
const (
	sector     = 512
	frameHead  = 40
	recordHead = 40
)

// kind is what a frame does.
type kind uint8

const (
	entries kind = 1 // appends records from first on
	cut     kind = 2 // the log is first..last now; it is empty where first > last
)

// frame is the header of a frame.
type frame struct {
	kind        kind
	length      uint32 // of the payload
	seq         uint64 // of the segment
	first, last uint64 // of the records, or of what a cut leaves
	sum         uint32 // of the payload
	// blank is how many parts of the frame, split at the bounds of sectors, are zeros
	// in themselves: one more, and a write is missing.
	blank uint16
}

//	0 CRC · 4 length · 8 seq · 16 first · 24 last · 32 payload's CRC · 36 blank · 38 kind · 39 zero

// put writes a header to the first bytes of b, for a frame at offset at.
func (h frame) put(b []byte, salt uint32, at int64) {
	le := binary.LittleEndian
	le.PutUint32(b[4:], h.length)
	le.PutUint64(b[8:], h.seq)
	le.PutUint64(b[16:], h.first)
	le.PutUint64(b[24:], h.last)
	le.PutUint32(b[32:], h.sum)
	le.PutUint16(b[36:], h.blank)
	b[38], b[39] = byte(h.kind), 0
	le.PutUint32(b, h.check(b, salt, at))
}

func (frame) check(b []byte, salt uint32, at int64) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint64(place[:], uint64(at))
	return checksum(checksum(salt, place[:]), b[4:frameHead])
}

var errFrame = errors.New("a frame's header is damaged")

// parseFrame reads the header of the frame at offset at of segment seq. Where
// there is none, because its CRC does not fit, the error is errFrame.
func parseFrame(b []byte, seq uint64, salt uint32, at int64) (h frame, err error) {
	le := binary.LittleEndian
	if len(b) < frameHead || le.Uint32(b) != h.check(b, salt, at) || le.Uint64(b[8:]) != seq {
		return h, errFrame
	}
	h = frame{kind: kind(b[38]), length: le.Uint32(b[4:]), seq: seq, first: le.Uint64(b[16:]), last: le.Uint64(b[24:]),
		sum: le.Uint32(b[32:]), blank: le.Uint16(b[36:])}
	switch {
	case h.kind == entries && h.first > 0 && h.last >= h.first && (h.last-h.first+1) <= uint64(h.length)/recordHead:
	case h.kind == cut && h.first > 0 && h.first-1 <= h.last && h.length == 0:
	default:
		return h, fmt.Errorf("a frame of kind %d, %d bytes and entries %d to %d makes no sense", h.kind, h.length, h.first, h.last)
	}
	return h, nil
}

// frameAt is where a frame can begin at or after an offset: on 8 bytes, its header
// within one sector.
func frameAt(at int64) int64 {
	at = (at + 7) &^ 7
	if at%sector > sector-frameHead {
		at = (at + sector - 1) / sector * sector
	}
	return at
}

// seal makes b, a frame's header followed by its payload, the frame at offset at.
func seal(b []byte, h frame, salt uint32, at int64) {
	h.length = uint32(len(b) - frameHead)
	h.sum = checksum(salt, b[frameHead:])
	h.put(b, salt, at) // so that the header's part is not blank
	h.blank = uint16(blankParts(b, at))
	h.put(b, salt, at)
}

// blankParts counts the parts of b, split at the bounds of sectors, that are zeros.
func blankParts(b []byte, at int64) (n int) {
	for len(b) > 0 {
		part := b[:min(int64(len(b)), sector-at%sector)]
		if blank(part) {
			n++
		}
		b, at = b[len(part):], at+int64(len(part))
	}
	return n
}

// blank reports whether b is zeros.
func blank(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

var zeros [64 << 10]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli, b) }
