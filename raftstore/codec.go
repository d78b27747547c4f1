package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"

	"sitegate/license"
)

// The version bytes of what is stored. A reader that meets another one stops.
const (
	entryVersion    = 1
	recordVersion   = 1
	eventVersion    = 1
	positionVersion = 1
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
	enc      cbor.EncMode
	dec      cbor.DecMode
	commands kinds
	facts    kinds
}

func newCodec() (*codec, error) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("setting up the encoding: %w", err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8DecodeInvalid, // what a client sent must never stop a node
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("setting up the decoding: %w", err)
	}
	return &codec{enc: enc, dec: dec,
		commands: newKinds("command", commandKinds()), facts: newKinds("fact", factKinds())}, nil
}

// command encodes one command of an entry, and makes sure that every node will
// be able to read it.
func (c *codec) command(cmd license.Command) ([]byte, error) {
	kind, err := c.commands.of(cmd)
	if err != nil {
		return nil, err
	}
	body, err := c.enc.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encoding a %T: %w", cmd, err)
	}
	if len(body) > MaxCommand {
		return nil, fmt.Errorf("%w: %T of %d bytes, at most %d", ErrTooLarge, cmd, len(body), MaxCommand)
	}
	if _, err := c.decodeCommand(kind, body); err != nil {
		return nil, fmt.Errorf("a %T does not survive encoding: %w", cmd, err)
	}
	b := make([]byte, 0, len(body)+8)
	b = binary.AppendUvarint(b, kind)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...), nil
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
	if err := c.dec.Unmarshal(body, v.Interface()); err != nil {
		return nil, fmt.Errorf("reading command number %d: %w", kind, err)
	}
	return v.Elem().Interface().(license.Command), nil
}

// record encodes a record of the state.
func (c *codec) record(r any) ([]byte, error) {
	body, err := c.enc.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding a %T: %w", r, err)
	}
	return append([]byte{recordVersion}, body...), nil
}

func (c *codec) decodeRecord(kind license.KeyKind, b []byte) (any, error) {
	r, err := license.NewRecord(kind)
	if err != nil {
		return nil, err
	}
	return r, c.decodeVersioned("record", recordVersion, b, r)
}

// event encodes an event without its Seq, which is its key.
func (c *codec) event(e license.Event) ([]byte, error) {
	kind, err := c.facts.of(e.Fact)
	if err != nil {
		return nil, err
	}
	body, err := c.enc.Marshal(e.Fact)
	if err != nil {
		return nil, fmt.Errorf("encoding a %T: %w", e.Fact, err)
	}
	b := make([]byte, 0, len(body)+16)
	b = append(b, eventVersion)
	b = binary.AppendUvarint(b, kind)
	b = binary.AppendVarint(b, int64(e.At))
	return append(b, body...), nil
}

func (c *codec) decodeEvent(seq uint64, b []byte) (license.Event, error) {
	if len(b) == 0 || b[0] != eventVersion {
		return license.Event{}, fmt.Errorf("event %d is empty or of a newer version than %d", seq, eventVersion)
	}
	r := reader{b: b[1:]}
	kind, at := r.uvarint(), r.varint()
	if r.err != nil {
		return license.Event{}, fmt.Errorf("reading event %d: %w", seq, r.err)
	}
	v, err := c.facts.make(kind)
	if err != nil {
		return license.Event{}, err
	}
	if err := c.dec.Unmarshal(r.b, v.Interface()); err != nil {
		return license.Event{}, fmt.Errorf("reading event %d: %w", seq, err)
	}
	return license.Event{Seq: seq, At: license.Time(at), Fact: v.Elem().Interface().(license.Fact)}, nil
}

// position is where in the log a state is.
type position struct {
	Index       uint64 `cbor:"1,keyasint"`
	Term        uint64 `cbor:"2,keyasint"`
	ConfigIndex uint64 `cbor:"3,keyasint,omitempty"`
	Config      []byte `cbor:"4,keyasint,omitempty"` // raft.EncodeConfiguration
	Cluster     string `cbor:"5,keyasint,omitempty"`
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
	return append([]byte{positionVersion}, body...), nil
}

func (c *codec) decodePosition(b []byte) (p position, err error) {
	return p, c.decodeVersioned("position", positionVersion, b, &p)
}

func (c *codec) decodeVersioned(word string, version byte, b []byte, into any) error {
	if len(b) == 0 || b[0] != version {
		return fmt.Errorf("a %s is empty or of a newer version than %d; install the newer version on this node", word, version)
	}
	if err := c.dec.Unmarshal(b[1:], into); err != nil {
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
