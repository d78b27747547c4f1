package raftstore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// The parts of a file of keys and values, as snapshots and backups are: what it is,
// a header, pairs of key and value, an empty key. Each part has its length before
// it, and all of it goes into a checksum.

// Bounds of what is read from such a file.
const (
	maxPairKey   = 64 << 10
	maxPairValue = 64 << 20
)

// pairWriter writes parts; the first failure stays.
type pairWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	err error
}

func (p *pairWriter) write(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
		p.sum.Write(b)
	}
}

func (p *pairWriter) sized(b []byte) {
	p.write(binary.AppendUvarint(nil, uint64(len(b))))
	p.write(b)
}

func (p *pairWriter) pair(key, value []byte) error {
	if len(key) == 0 {
		return errors.New("a key is empty")
	}
	p.sized(key)
	p.sized(value)
	return p.err
}

// end writes the checksum, which is not part of itself.
func (p *pairWriter) end() error {
	if p.err != nil {
		return p.err
	}
	if _, err := p.w.Write(p.sum.Sum(nil)); err != nil {
		return err
	}
	return p.w.Flush()
}

// pairReader reads parts.
type pairReader struct {
	r   *bufio.Reader
	sum hash.Hash
}

// magic reads what the file is.
func (p *pairReader) magic(want, what string) error {
	got, err := p.read(uint64(len(want)))
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("it begins with %q, not %q: no %s, or one of a newer version", got, want, what)
	}
	return nil
}

// each calls f with every pair. key and value are f's.
func (p *pairReader) each(f func(key, value []byte) error) error {
	for {
		key, err := p.sized(maxPairKey)
		if err != nil {
			return err
		}
		if len(key) == 0 {
			return nil
		}
		value, err := p.sized(maxPairValue)
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
}

// end compares the checksum, behind which nothing may follow.
func (p *pairReader) end() error {
	want := p.sum.Sum(nil)
	got, err := p.read(uint64(len(want)))
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("its checksum is %x, its content has %x", got, want)
	}
	if _, err := p.r.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.New("something follows its end")
	}
	return nil
}

func (p *pairReader) sized(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(byteSummer{p})
	if err != nil {
		return nil, cutShort(err)
	}
	if n > limit {
		return nil, fmt.Errorf("a part of it claims %d bytes, at most %d", n, limit)
	}
	return p.read(n)
}

func (p *pairReader) read(n uint64) ([]byte, error) {
	b := make([]byte, 0, min(n, 1<<20)) // grown as it comes: a garbled length costs no memory
	for uint64(len(b)) < n {
		part := make([]byte, min(n-uint64(len(b)), 1<<20))
		if _, err := io.ReadFull(p.r, part); err != nil {
			return nil, cutShort(err)
		}
		b = append(b, part...)
	}
	p.sum.Write(b)
	return b, nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is cut short: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// byteSummer reads single bytes into the checksum.
type byteSummer struct{ p *pairReader }

// ReadByte reads one.
func (b byteSummer) ReadByte() (byte, error) {
	c, err := b.p.r.ReadByte()
	if err == nil {
		b.p.sum.Write([]byte{c})
	}
	return c, err
}
