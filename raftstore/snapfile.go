package raftstore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// A snapshot on the wire: eight bytes that say what it is, the encoded position
// with its length before it, pairs of key and value each with its length, an
// empty key, and a CRC32C of all that.

const snapshotMagic = "sgstate1"

// Bounds of what is read from a snapshot.
const (
	maxSnapshotKey   = 64 << 10
	maxSnapshotValue = 64 << 20
)

type snapshotWriter struct {
	w   *bufio.Writer
	sum hash.Hash32
	err error
}

func newSnapshotWriter(w *bufio.Writer) *snapshotWriter {
	return &snapshotWriter{w: w, sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
}

func (s *snapshotWriter) write(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
		s.sum.Write(b)
	}
}

func (s *snapshotWriter) sized(b []byte) {
	s.write(binary.AppendUvarint(nil, uint64(len(b))))
	s.write(b)
}

func (s *snapshotWriter) header(h []byte) error {
	s.write([]byte(snapshotMagic))
	s.sized(h)
	return s.err
}

func (s *snapshotWriter) pair(key, value []byte) error {
	if len(key) == 0 {
		return errors.New("a key is empty")
	}
	s.sized(key)
	s.sized(value)
	return s.err
}

func (s *snapshotWriter) finish() error {
	s.sized(nil)
	if s.err != nil {
		return s.err
	}
	if _, err := s.w.Write(binary.LittleEndian.AppendUint32(nil, s.sum.Sum32())); err != nil {
		return err
	}
	return s.w.Flush()
}

type snapshotReader struct {
	r    *bufio.Reader
	sum  hash.Hash32
	head []byte
}

// openSnapshot reads a snapshot's header.
func openSnapshot(r io.ReadSeeker) (*snapshotReader, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	s := &snapshotReader{r: bufio.NewReaderSize(r, 1<<20), sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	magic, err := s.read(uint64(len(snapshotMagic)))
	if err != nil {
		return nil, err
	}
	if string(magic) != snapshotMagic {
		return nil, fmt.Errorf("it begins with %q, not %q: no snapshot, or one of a newer version", magic, snapshotMagic)
	}
	s.head, err = s.sized(maxSnapshotValue)
	return s, err
}

// checkSnapshot reads all of a snapshot and compares its checksum.
func checkSnapshot(r io.ReadSeeker) error {
	s, err := openSnapshot(r)
	if err != nil {
		return err
	}
	return s.each(func(_, _ []byte) error { return nil })
}

// each calls f with every pair, and then compares the checksum.
func (s *snapshotReader) each(f func(key, value []byte) error) error {
	for {
		key, err := s.sized(maxSnapshotKey)
		if err != nil {
			return err
		}
		if len(key) == 0 {
			break
		}
		value, err := s.sized(maxSnapshotValue)
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	want := s.sum.Sum32()
	b, err := s.read(4)
	if err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint32(b); got != want {
		return fmt.Errorf("its checksum is %08x, its content has %08x", got, want)
	}
	if _, err := s.r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its end")
	}
	return nil
}

func (s *snapshotReader) sized(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(byteSummer{s})
	if err != nil {
		return nil, fmt.Errorf("it is cut short: %w", err)
	}
	if n > limit {
		return nil, fmt.Errorf("a part of it claims %d bytes, at most %d", n, limit)
	}
	return s.read(n)
}

func (s *snapshotReader) read(n uint64) ([]byte, error) {
	b := make([]byte, 0, min(n, 1<<20)) // grown as it comes: a garbled length costs no memory
	for uint64(len(b)) < n {
		part := make([]byte, min(n-uint64(len(b)), 1<<20))
		if _, err := io.ReadFull(s.r, part); err != nil {
			return nil, fmt.Errorf("it is cut short: %w", err)
		}
		b = append(b, part...)
	}
	s.sum.Write(b)
	return b, nil
}

// byteSummer reads single bytes into the checksum.
type byteSummer struct{ s *snapshotReader }

// ReadByte reads one.
func (b byteSummer) ReadByte() (byte, error) {
	c, err := b.s.r.ReadByte()
	if err == nil {
		b.s.sum.Write([]byte{c})
	}
	return c, err
}
