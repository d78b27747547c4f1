package endpoint

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// What is looked at of a tunnel's first bytes: one TLS record, whole within a time from its
// first byte on.
const (
	recordHead = 5       // type, version, length (RFC 8446, 5.1)
	maxRecord  = 1 << 14 // what may follow in plain text
	helloTime  = 5 * time.Second
)

// The numbers of RFC 8446 and its registries that tell a ClientHello and what it names.
const (
	typeHandshake   = 22
	typeClientHello = 1
	nameExtension   = 0
	echExtension    = 0xfe0d // Encrypted Client Hello, RFC 9849
)

// recordLeft is how many bytes the first record of b still lacks, as far as that can be told
// yet; zero: none, or it is none that could begin a handshake.
func recordLeft(b []byte) int {
	if len(b) > 0 && b[0] != typeHandshake || len(b) > 1 && b[1] != 3 {
		return 0
	}
	if len(b) < recordHead {
		return recordHead - len(b)
	}
	length := int(binary.BigEndian.Uint16(b[3:]))
	if length > maxRecord {
		return 0
	}
	return max(0, recordHead+length-len(b))
}

// helloNames are the hosts that a ClientHello asks for (SNI, RFC 6066, 3), and whether it says
// that it hides another one (ech), as browsers do for show as well. There are none where b does
// not begin with a record that holds a whole ClientHello, or where that names none.
func helloNames(b []byte) (names []string, ech bool) {
	in := cryptobyte.String(b)
	var record, hello, extensions cryptobyte.String
	var kind uint8
	if !in.ReadUint8(&kind) || kind != typeHandshake || !in.Skip(2) || !in.ReadUint16LengthPrefixed(&record) ||
		!record.ReadUint8(&kind) || kind != typeClientHello || !record.ReadUint24LengthPrefixed(&hello) {
		return nil, false
	}
	var skipped cryptobyte.String
	if !hello.Skip(2+32) || !hello.ReadUint8LengthPrefixed(&skipped) || !hello.ReadUint16LengthPrefixed(&skipped) ||
		!hello.ReadUint8LengthPrefixed(&skipped) || !hello.ReadUint16LengthPrefixed(&extensions) {
		return nil, false
	}
	for !extensions.Empty() {
		var number uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&number) || !extensions.ReadUint16LengthPrefixed(&data) {
			return names, ech
		}
		switch number {
		case echExtension:
			ech = true
		case nameExtension:
			names = append(names, serverNames(data)...)
		}
	}
	return names, ech
}

// serverNames are those in the extension's list.
func serverNames(data cryptobyte.String) (names []string) {
	var list, name cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return nil
	}
	var kind uint8
	for list.ReadUint8(&kind) && list.ReadUint16LengthPrefixed(&name) {
		if kind == 0 { // a host's; no other kind was ever defined
			names = append(names, string(name))
		}
	}
	return names
}

// greet passes on what the client says first, once it was looked at: who has asked for one
// host and says in the clear that another one is meant is let to neither. What begins
// otherwise than with a whole ClientHello in one record, or names no host, passes. early is
// what came before the tunnel was open. False: the pipe has ended.
func (p *pipe) greet(early []byte) bool {
	first, ok := p.first(early)
	if !ok {
		return false
	}
	if p.host != "" {
		names, ech := helloNames(first)
		if i := slices.IndexFunc(names, func(n string) bool { return !strings.EqualFold(strings.TrimSuffix(n, "."), p.host) }); i >= 0 {
			p.named, p.ech = names[i], ech
			p.end(pipeOtherName)
			return false
		}
	}
	if len(first) == 0 {
		return true
	}
	p.up.SetWriteDeadline(time.Now().Add(p.idle))
	n, err := p.up.Write(first)
	p.sent = int64(n)
	if err != nil {
		p.end(pipeBroken)
		return false
	}
	return true
}

// first reads the client's first record, if that may be a handshake's, and no further. False:
// the pipe has ended.
func (p *pipe) first(b []byte) ([]byte, bool) {
	if p.host == "" {
		return b, true
	}
	var until time.Time
	for left := recordLeft(b); left > 0; left = recordLeft(b) {
		wait := time.Now().Add(p.tick())
		if len(b) > 0 && until.IsZero() {
			until = time.Now().Add(helloTime)
		}
		if len(b) > 0 {
			wait = until
		}
		p.down.SetReadDeadline(wait)
		b = slices.Grow(b, left)
		n, err := p.down.Read(b[len(b) : len(b)+left])
		b = b[:len(b)+n]
		if n > 0 {
			p.last.Store(time.Now().UnixNano())
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return b, true // the copy comes to it, too
		case !errors.Is(err, os.ErrDeadlineExceeded):
			p.end(pipeBroken)
			return nil, false
		case len(b) > 0 && !time.Now().Before(until):
			return b, true
		case p.stale():
			p.end(pipeIdle)
			return nil, false
		}
	}
	return b, true
}
