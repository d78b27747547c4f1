package wal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
)

// segment is one file of the log.
type segment struct {
	name string
	file File
	size int64
	header
	end int64 // of its last frame

	// use is held for reading by who reads entries, and for writing by who wipes the
	// segment once it is not part of the log any more.
	use sync.RWMutex
}

// header is the first sector of a segment in use; that of a free one is zeros, or
// of a seq that is not part of the log any more.
type header struct {
	seq  uint64 // one more than that of the segment before
	salt uint32 // drawn at random; CRCs begin with it
	size uint64 // of the file
	log  span   // what the log was when the segment began
}

const (
	magic      = "sglog\x00\x00\x01" // the last byte is the version
	headerSize = 52
)

//	0 magic · 8 seq · 16 size · 24 first · 32 last · 40 salt · 44 zero · 48 CRC

func (h header) encode() []byte {
	b := make([]byte, sector)
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint64(b[8:], h.seq)
	le.PutUint64(b[16:], h.size)
	le.PutUint64(b[24:], h.log.first)
	le.PutUint64(b[32:], h.log.last)
	le.PutUint32(b[40:], h.salt)
	le.PutUint32(b[48:], checksum(0, b[:48]))
	return b
}

func parseHeader(b []byte) (h header, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) < sector:
		return h, fmt.Errorf("it is cut off after %d bytes", len(b))
	case le.Uint32(b[48:]) != checksum(0, b[:48]) || !blank(b[headerSize:sector]):
		return h, fmt.Errorf("its header is damaged")
	case string(b[:7]) != magic[:7]:
		return h, fmt.Errorf("it is no segment of a log")
	case b[7] != magic[7]:
		return h, fmt.Errorf("it is of version %d, this program knows version %d; run the newer program", b[7], magic[7])
	}
	h = header{seq: le.Uint64(b[8:]), size: le.Uint64(b[16:]), log: span{le.Uint64(b[24:]), le.Uint64(b[32:])}, salt: le.Uint32(b[40:])}
	if h.seq == 0 || h.log.first == 0 || h.log.first-1 > h.log.last {
		return h, fmt.Errorf("its header makes no sense: seq %d, entries %d to %d", h.seq, h.log.first, h.log.last)
	}
	return h, nil
}

const segmentSuffix = ".seg"

func segmentName(number int) string { return fmt.Sprintf("%06d%s", number, segmentSuffix) }

func segmentNumber(name string) (n int, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscanf(digits, "%06d", &n)
	return n, err == nil && n > 0 && segmentName(n) == name
}

// newSegment makes a free segment: zeros, all of them written.
func newSegment(fs FS, name string, size int64) (*segment, error) {
	f, err := makeFile(fs, name, func(f File) error {
		for at := int64(0); at < size; at += int64(len(zeros)) {
			if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &segment{name: name, file: f, size: size}, nil
}

// begin makes a free segment that is zeros the next one of the log.
func (s *segment) begin(seq uint64, log span) error {
	var salt [4]byte
	rand.Read(salt[:]) // never fails
	h := header{seq: seq, salt: binary.LittleEndian.Uint32(salt[:]), size: uint64(s.size), log: log}
	if _, err := s.file.WriteAt(h.encode(), 0); err != nil {
		return fmt.Errorf("beginning the segment %s: %w", s.name, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("beginning the segment %s: %w", s.name, err)
	}
	s.header, s.end = h, sector
	return nil
}

// wipe makes everything from an offset on zeros, durably.
func (s *segment) wipe(from int64) error {
	buf := make([]byte, len(zeros))
	for at := from; at < s.size; at += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), s.size-at)]
		if _, err := s.file.ReadAt(b, at); err != nil {
			return fmt.Errorf("wiping %s: %w", s.name, err)
		}
		if blank(b) {
			continue
		}
		if _, err := s.file.WriteAt(zeros[:len(b)], at); err != nil {
			return fmt.Errorf("wiping %s: %w", s.name, err)
		}
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("wiping %s: %w", s.name, err)
	}
	return nil
}
