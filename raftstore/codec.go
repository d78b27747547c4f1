package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"

	"sitegate/license"
	"sitegate/raftstore/canon"
)

// The version bytes of what is stored. A reader that meets another one stops.
const (
	entryVersion    = 1
	recordVersion   = 1
	endedVersion    = 1
	journalVersion  = 1
	notesVersion    = 1
	positionVersion = 1 // at level 1; later ones have their level for it
)

// The bounds of one log entry.
const (
	// MaxCommand is the largest command, encoded.
	MaxCommand = 512 << 10
	// MaxBatch and MaxBatchBytes bound the commands that share an entry.
	MaxBatch      = 1024
	MaxBatchBytes = 256 << 10
)

var errTruncated = errors.New("it ends too early")

// codec turns commands, records and events into bytes and back. The encoding is
// canonical: equal values give equal bytes on every node. Decoding refuses what
// it does not know, fields too: a guess would make nodes differ.
type codec struct {
	fast     *canon.Codec // what it leaves is for enc and dec; the bytes are the same
	scratch  sync.Pool    // of *[]byte
	enc      cbor.EncMode
	dec      cbor.DecMode
	lax      cbor.DecMode // takes fields that it does not know
	commands kinds
	facts    kinds
}

func newCodec() (*codec, error) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("setting up the encoding: %w", err)
	}
	options := cbor.DecOptions{
		DupMapKey:   cbor.DupMapKeyEnforcedAPF,
		IndefLength: cbor.IndefLengthForbidden,
		TagsMd:      cbor.TagsForbidden,
		UTF8:        cbor.UTF8DecodeInvalid, // what a client sent must never stop a node
	}
	lax, err := options.DecMode()
	if err != nil {
		return nil, fmt.Errorf("setting up the decoding: %w", err)
	}
	options.ExtraReturnErrors = cbor.ExtraDecErrorUnknownField
	dec, err := options.DecMode()
	if err != nil {
		return nil, fmt.Errorf("setting up the decoding: %w", err)
	}
	return &codec{fast: new(canon.Codec), enc: enc, dec: dec, lax: lax,
		commands: newKinds("command", commandKinds()), facts: newKinds("fact", factKinds())}, nil
}

// command encodes one command of an entry, and makes sure that every node will
// be able to read it.
func (c *codec) command(cmd license.Command) ([]byte, error) {
	kind, err := c.commands.of(cmd)
	if err != nil {
		return nil, err
	}
	return c.framed(func(b []byte) ([]byte, error) {
		body, fast, err := c.appendValue(b, cmd)
		if err != nil {
			return nil, err
		}
		if len(body) > MaxCommand {
			return nil, fmt.Errorf("%w: %T of %d bytes, at most %d", ErrTooLarge, cmd, len(body), MaxCommand)
		}
		if !fast { // what fast encodes it decodes
			if _, err := c.decodeCommand(kind, body); err != nil {
				return nil, fmt.Errorf("a %T does not survive encoding: %w", cmd, err)
			}
		}
		return body, nil
	}, func(b []byte, n int) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(b, kind), uint64(n))
	})
}

// framed encodes a body into a buffer that is used again and again, and returns it in
// one of its own behind a head, which may depend on its length.
func (c *codec) framed(body func(b []byte) ([]byte, error), head func(b []byte, n int) []byte) ([]byte, error) {
	scratch, ok := c.scratch.Get().(*[]byte)
	if !ok {
		scratch = new([]byte)
	}
	b, err := body((*scratch)[:0])
	if err != nil {
		return nil, err
	}
	const longestHead = 1 + 2*binary.MaxVarintLen64
	framed := append(head(make([]byte, 0, longestHead+len(b)), len(b)), b...)
	if *scratch = b; cap(b) <= maxScratch {
		c.scratch.Put(scratch)
	}
	return framed, nil
}

// maxScratch is the largest buffer that is kept to be used again.
const maxScratch = 64 << 10

// appendValue encodes a value. fast: what came of it can be decoded.
func (c *codec) appendValue(b []byte, v any) (out []byte, fast bool, err error) {
	if out, ok := c.fast.Append(b, v); ok {
		return out, true, nil
	}
	body, err := c.enc.Marshal(v)
	if err != nil {
		return nil, false, fmt.Errorf("encoding a %T: %w", v, err)
	}
	return append(b, body...), false, nil
}

// value decodes into the zero value that p points to.
func (c *codec) value(b []byte, p reflect.Value) error {
	if c.fast.Decode(b, p) {
		return nil
	}
	p.Elem().SetZero()
	return c.dec.Unmarshal(b, p.Interface())
}

// message decodes what another node says of itself, into the zero value that p points
// to. What a later version has added to it is left out: nodes of two versions talk to
// each other while a cluster is upgraded. Nothing that decides is read so.
func (c *codec) message(b []byte, p reflect.Value) error {
	if c.fast.Decode(b, p) {
		return nil
	}
	p.Elem().SetZero()
	return c.lax.Unmarshal(b, p.Interface())
}

// entry puts encoded commands into one log entry.
func (c *codec) entry(at license.Time, commands [][]byte) []byte {
	size := 16
	for _, cmd := range commands {
		size += len(cmd)
	}
	b := make([]byte, 0, size)
	b = append(b, entryVersion)
	b = binary.AppendVarint(b, int64(at))
	b = binary.AppendUvarint(b, uint64(len(commands)))
	for _, cmd := range commands {
		b = append(b, cmd...)
	}
	return b
}

// openEntry reads the head of a log entry: when it was stamped and how many
// commands follow.
func (c *codec) openEntry(b []byte) (r reader, at license.Time, n uint64, err error) {
	if len(b) == 0 {
		return r, 0, 0, fmt.Errorf("reading a log entry: %w", errTruncated)
	}
	if b[0] != entryVersion {
		return r, 0, 0, fmt.Errorf("a log entry has version %d, this program knows %d; install the newer version on this node", b[0], entryVersion)
	}
	r = reader{b: b[1:]}
	at = license.Time(r.varint())
	n = r.uvarint()
	if r.err != nil || n > MaxBatch {
		return r, 0, 0, fmt.Errorf("reading a log entry of %d commands: %w", n, cmpErr(r.err, "too many"))
	}
	return r, at, n, nil
}

// countEntry is how many commands a log entry says it has.
func (c *codec) countEntry(b []byte) (int, error) {
	_, _, n, err := c.openEntry(b)
	return int(n), err
}

// decodeEntry reads a log entry.
func (c *codec) decodeEntry(b []byte) (license.Time, []license.Command, error) {
	r, at, n, err := c.openEntry(b)
	if err != nil {
		return 0, nil, err
	}
	commands := make([]license.Command, 0, n)
	for range n {
		kind := r.uvarint()
		body := r.bytes(r.uvarint())
		if r.err != nil {
			return 0, nil, fmt.Errorf("reading a log entry: %w", r.err)
		}
		cmd, err := c.decodeCommand(kind, body)
		if err != nil {
			return 0, nil, err
		}
		commands = append(commands, cmd)
	}
	if len(r.b) > 0 {
		return 0, nil, fmt.Errorf("reading a log entry: %d bytes are left over", len(r.b))
	}
	return at, commands, nil
}

func (c *codec) decodeCommand(kind uint64, body []byte) (license.Command, error) {
	v, err := c.commands.make(kind)
	if err != nil {
		return nil, err
	}
	if err := c.value(body, v); err != nil {
		return nil, fmt.Errorf("reading command number %d: %w", kind, err)
	}
	return v.Elem().Interface().(license.Command), nil
}

// record encodes a record of the state.
func (c *codec) record(r any) ([]byte, error) {
	return c.framed(func(b []byte) ([]byte, error) {
		b, _, err := c.appendValue(b, r)
		return b, err
	}, func(b []byte, _ int) []byte { return append(b, recordVersion) })
}

func (c *codec) decodeRecord(kind license.KeyKind, b []byte) (any, error) {
	r, err := license.NewRecord(kind)
	if err != nil {
		return nil, err
	}
	return r, c.decodeVersioned("record", recordVersion, b, r)
}

// position is where in the log a state is. Its first byte is the level of the state, so
// that a program which cannot do it, and may not be able to read on, says that.
type position struct {
	Index       uint64 `cbor:"1,keyasint"`
	Term        uint64 `cbor:"2,keyasint"`
	ConfigIndex uint64 `cbor:"3,keyasint,omitempty"`
	Config      []byte `cbor:"4,keyasint,omitempty"` // raft.EncodeConfiguration
	Cluster     string `cbor:"5,keyasint,omitempty"`
	Digest      uint64 `cbor:"140,keyasint,omitempty"` // of all events so far
	// Backlog is one more than the bytes of backlog; zero: they have to be counted.
	Backlog uint64 `cbor:"141,keyasint,omitempty"`
	// Level is that of the state, where it was raised; zero is 1. Program is a version
	// that can do it.
	Level   uint32 `cbor:"130,keyasint,omitempty"`
	Program string `cbor:"131,keyasint,omitempty"`
	// Notes is how many there are of what users have open. A program that knows of none
	// reads no further.
	Notes uint64 `cbor:"250,keyasint,omitempty"`
}

// at gives the position the level of a state.
func (p position) at(h license.Head) position {
	if h.Level > 1 {
		p.Level, p.Program = h.Level, h.Program
	}
	return p
}

func (p position) configuration() (c raft.Configuration, err error) {
	if len(p.Config) == 0 {
		return c, nil
	}
	defer func() { // raft panics on what it cannot read
		if r := recover(); r != nil {
			err = fmt.Errorf("reading the members kept at index %d: %v", p.ConfigIndex, r)
		}
	}()
	return raft.DecodeConfiguration(p.Config), nil
}

func (c *codec) position(p position) ([]byte, error) {
	body, err := c.enc.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding a position: %w", err)
	}
	return append([]byte{byte(max(p.Level, positionVersion))}, body...), nil
}

func (c *codec) decodePosition(b []byte) (p position, err error) {
	if len(b) > 0 && b[0] > license.Level {
		newer := &NewerLevel{Level: uint32(b[0])}
		if c.message(b[1:], reflect.ValueOf(&p)) == nil {
			newer.Program = p.Program
		}
		return position{}, newer
	}
	version := byte(positionVersion)
	if len(b) > 0 && b[0] > 0 {
		version = b[0]
	}
	return p, c.decodeVersioned("position", version, b, &p)
}

func (c *codec) decodeVersioned(word string, version byte, b []byte, into any) error {
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("a %s is empty or of a newer version than %d; install the newer version on this node", word, version)
	}
	if err := c.value(b[1:], reflect.ValueOf(into)); err != nil {
		return fmt.Errorf("reading a %s: %w", word, err)
	}
	return nil
}

// reader takes an encoded value apart; the first failure stays.
type reader struct {
	b   []byte
	err error
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return take(r, v, n)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return take(r, v, n)
}

func take[T any](r *reader, v T, n int) T {
	if n <= 0 || r.err != nil {
		var zero T
		r.err = cmpErr(r.err, errTruncated.Error())
		return zero
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.err = cmpErr(r.err, errTruncated.Error())
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func cmpErr(err error, text string) error {
	if err != nil {
		return err
	}
	return errors.New(text)
}
