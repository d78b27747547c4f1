package raftstore

import (
	"bufio"
	"hash/crc32"
	"io"
)

// A snapshot on the wire: its magic, the encoded position, the pairs of the
// database, and a CRC32C of all that.

const snapshotMagic = "sgstate1"

func newSnapshotWriter(w *bufio.Writer) *pairWriter {
	return &pairWriter{w: w, sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
}

type snapshotReader struct {
	pairReader
	head []byte
}

// openSnapshot reads a snapshot's header.
func openSnapshot(r io.ReadSeeker) (*snapshotReader, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	s := &snapshotReader{pairReader: pairReader{r: bufio.NewReaderSize(r, 1<<20), sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}}
	if err := s.magic(snapshotMagic, "snapshot"); err != nil {
		return nil, err
	}
	var err error
	s.head, err = s.sized(maxPairValue)
	return s, err
}

// checkSnapshot reads all of a snapshot and compares its checksum.
func checkSnapshot(r io.ReadSeeker) error {
	s, err := openSnapshot(r)
	if err != nil {
		return err
	}
	return s.all(func(_, _ []byte) error { return nil })
}

// all calls f with every pair, and then compares the checksum.
func (s *snapshotReader) all(f func(key, value []byte) error) error {
	if err := s.each(f); err != nil {
		return err
	}
	return s.end()
}
