package endpoint

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// The opcodes of RFC 6455, 5.2, and the first bit of a frame that is a message's last.
const (
	opMore  = 0x0
	opText  = 0x1
	opBin   = 0x2
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
	fin     = 0x80
)

// maxControl is the most that a ping, a pong or a close may carry (RFC 6455, 5.5).
const maxControl = 125

// maxHead is the longest beginning of a client's frame: before its data come two bytes,
// its length in eight, and a mask.
const maxHead = 2 + 8 + 4

// errTooLarge: a message is longer than may be.
var errTooLarge = errors.New("a message that is too large")

// protocolError says how a client has broken the websocket protocol.
type protocolError string

func (e protocolError) Error() string { return "not the websocket protocol: " + string(e) }

// framed is data as one frame of a server's: whole, and without a mask.
func framed(opcode byte, data []byte) []byte {
	b := make([]byte, 0, len(data)+maxHead)
	b = append(b, fin|opcode)
	switch n := len(data); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, data...)
}

// clientFrame is a frame that a client has sent.
type clientFrame struct {
	opcode byte
	last   bool // of its message
	data   []byte
}

func (f clientFrame) control() bool { return f.opcode >= opClose }

// cut takes the first frame off b, with its data unmasked in place. n is how many
// bytes it took; 0: the end of it has not come yet. What is wrong with a frame is said
// as soon as it can be seen: inText, that a message has begun and not ended, and room,
// how many bytes of data are left of what one may have.
func cut(b []byte, inText bool, room int) (f clientFrame, n int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	f.opcode, f.last = b[0]&0xf, b[0]&fin != 0
	length := uint64(b[1] & 0x7f)
	switch {
	case b[0]&0x70 != 0:
		return f, 0, protocolError("a reserved bit")
	case b[1]&0x80 == 0:
		return f, 0, protocolError("no mask")
	case f.control() && (length > maxControl || !f.last):
		return f, 0, protocolError("a control frame that is long, or in pieces")
	}
	switch f.opcode {
	case opText, opBin:
		if inText {
			return f, 0, protocolError("a message within another")
		}
	case opMore:
		if !inText {
			return f, 0, protocolError("more of no message")
		}
	case opClose, opPing, opPong:
	default:
		return f, 0, protocolError("an unknown opcode")
	}
	at := 2
	switch length {
	case 126:
		if at += 2; len(b) >= at {
			length = uint64(binary.BigEndian.Uint16(b[2:]))
		}
	case 127:
		if at += 8; len(b) >= at {
			length = binary.BigEndian.Uint64(b[2:])
		}
	}
	if len(b) < at {
		return f, 0, nil
	}
	if !f.control() && length > uint64(room) {
		return f, 0, errTooLarge
	}
	if len(b) < at+4+int(length) {
		return f, 0, nil
	}
	mask := b[at : at+4]
	f.data = b[at+4:][:length]
	for i := range f.data {
		f.data[i] ^= mask[i&3]
	}
	return f, at + 4 + int(length), nil
}

// closing reads what a close frame says: 1005 is none.
func closing(data []byte) (code int, err error) {
	switch len(data) {
	case 0:
		return websocket.CloseNoStatusReceived, nil
	case 1:
		return 0, protocolError("half a close code") // RFC 6455, 5.5.1
	}
	code = int(binary.BigEndian.Uint16(data))
	switch {
	case code < websocket.CloseNormalClosure, code > websocket.CloseTLSHandshake && code < 3000, code >= 5000:
		err = protocolError("a close code that there is not")
	case code == websocket.CloseNoStatusReceived, code == websocket.CloseAbnormalClosure, code == websocket.CloseTLSHandshake, code == 1004:
		err = protocolError("a close code that is not sent")
	case !utf8.Valid(data[2:]):
		err = protocolError("a reason that is not UTF-8")
	}
	return code, err
}
