package endpoint

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// The times of a websocket.
const (
	pingEvery = 25 * time.Second
	pongIn    = 35 * time.Second // without a sign of life the connection is over
	writeIn   = 5 * time.Second
	closeIn   = 2 * time.Second // for the other side to answer a close
	maxDrain  = 1 << 20         // bytes
)

// socket is what a connection needs of a websocket. Wait, Take and Drain are called
// by one goroutine at a time; Send and SendNow by one at a time; the others by any.
type socket interface {
	// Wait returns once something has come, or will not come any more. It takes a small
	// stack only, where others may read for hours.
	Wait() error
	// Take reads what has come, deals with what is of the protocol alone, and returns
	// the text messages that are complete, also where it then fails.
	Take() ([][]byte, error)
	// Send writes a frame.
	Send(frame []byte) error
	// Direct reports whether SendNow may be called.
	Direct() bool
	// SendNow writes a frame as far as the other side takes it at once. What it returns
	// is to be called next, by a goroutine that may wait, and writes the rest; nil: there
	// is none.
	SendNow(p *pusher, frame []byte) (rest func() error, err error)
	// Dead reports whether the other side has been silent for pongIn, or has not taken
	// in for writeIn what is being written: then it is to be dropped.
	Dead() bool
	// Shut sends a close frame; Wait and Take then end soon.
	Shut(code int, why string)
	// Drain throws away what still comes after Shut, until the client closes, for a
	// moment at most: bytes left unread would tear the close frame away.
	Drain()
	// Drop closes the connection.
	Drop()
}

// What Take says of a client that does not keep to this protocol.
var (
	errNotText = errors.New("not a text frame")
	errNotUTF8 = errors.New("text that is not UTF-8")
	errBudget  = errors.New("too many frames")
)

// errShut: a close frame was sent, and nothing may follow it.
var errShut = errors.New("the websocket was closed")

// wsSocket is a websocket after its handshake. An idle one holds no buffer and no
// timer: what it needs for reading is there only while something comes, and who turns
// the wheel asks whether it is dead. Any frame is a sign of life and counts against
// the budget.
type wsSocket struct {
	conn net.Conn
	raw  syscall.RawConn // of the connection below, to wait for; nil: it cannot be
	tls  bool            // it may have read more than was asked for
	of   *common         // what it has in common with the others

	// In ns since of.born, on a clock that never jumps.
	heard atomic.Int64 // when the last frame ended
	since atomic.Int64 // when the write that is under way began; 0: there is none
	shut  atomic.Bool  // a close frame was sent, or is about to be

	writing sync.Mutex
	closed  bool // a close frame was sent; the lock's

	// Of the reader alone.
	spent int64  // when the budget would be whole again
	rest  []byte // the beginning of a frame
	text  []byte // of a message whose frames are not complete
	open  bool   // there is such a message
	kind  byte   // of it
}

// The budget of a client's frames.
const (
	frameEvery = 100 * time.Millisecond
	frameBurst = 20
)

type readBuffer [2048]byte

// common is what the sockets of a node have in common.
type common struct {
	bufs sync.Pool // of *readBuffer, for those that read right now
	born time.Time // before all of them
}

func newCommon() *common {
	return &common{bufs: sync.Pool{New: func() any { return new(readBuffer) }}, born: time.Now()}
}

func newSocket(conn net.Conn, of *common) *wsSocket {
	s := &wsSocket{conn: conn, of: of}
	s.heard.Store(s.now())
	if t, ok := conn.(*tls.Conn); ok {
		s.tls, conn = true, t.NetConn()
	}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

func (s *wsSocket) now() int64 { return int64(time.Since(s.of.born)) }

func (s *wsSocket) Wait() error {
	if s.raw == nil {
		return nil // Take waits
	}
	return s.raw.Read(readable)
}

// readable reports whether there is something to read: bytes, an end or an error.
func readable(fd uintptr) bool {
	var b [1]byte
	for {
		if _, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK); err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

func (s *wsSocket) Take() (texts [][]byte, err error) {
	buf := s.of.bufs.Get().(*readBuffer)
	defer s.of.bufs.Put(buf)
	for early := false; ; early = true {
		if early { // only what TLS has taken off the wire already
			s.conn.SetReadDeadline(time.Unix(1, 0))
		}
		n, err := s.conn.Read(buf[:])
		if early {
			s.conn.SetReadDeadline(time.Time{})
			if s.shut.Load() { // meanwhile
				s.conn.SetReadDeadline(time.Now().Add(closeIn))
			}
		}
		more, broken := s.frames(buf[:n])
		texts = append(texts, more...)
		switch {
		case broken != nil:
			return texts, broken
		case early && errors.Is(err, os.ErrDeadlineExceeded):
			return texts, nil
		case err != nil || !s.tls:
			return texts, err
		}
	}
}

// frames deals with the frames in what was read, which goes on where the last ended.
func (s *wsSocket) frames(read []byte) (texts [][]byte, err error) {
	b := read
	if len(s.rest) > 0 {
		b = append(s.rest, read...)
	}
	s.rest = nil
	for {
		f, n, err := cut(b, s.open, api.MaxFrame-len(s.text))
		if err != nil {
			return texts, err
		}
		if n == 0 {
			break
		}
		b = b[n:]
		text, err := s.frame(f)
		if err != nil {
			return texts, err
		}
		if text != nil {
			texts = append(texts, text)
		}
	}
	if len(b) > 0 {
		s.rest = append([]byte{}, b...)
	}
	return texts, nil
}

// frame deals with one frame, and returns the message that it ends, which is not nil
// then.
func (s *wsSocket) frame(f clientFrame) (text []byte, err error) {
	if f.opcode == opClose {
		return nil, s.answerClose(f.data)
	}
	if s.shut.Load() {
		return nil, nil
	}
	if err := s.alive(); err != nil {
		return nil, err
	}
	switch f.opcode {
	case opPing:
		if err := s.write(framed(opPong, f.data), false); err != nil && err != errShut {
			return nil, err
		}
		return nil, nil
	case opPong:
		return nil, nil
	case opText, opBin:
		s.kind = f.opcode
	}
	if s.kind != opText {
		return nil, errNotText
	}
	s.text = append(s.text, f.data...)
	if s.open = !f.last; s.open {
		return nil, nil
	}
	text, s.text = append([]byte{}, s.text...), nil
	if !utf8.Valid(text) {
		return nil, errNotUTF8
	}
	return text, nil
}

// alive counts a frame.
func (s *wsSocket) alive() error {
	now := s.now()
	s.heard.Store(now)
	s.spent = max(s.spent, now) + int64(frameEvery)
	if s.spent-now > frameBurst*int64(frameEvery) {
		return errBudget
	}
	return nil
}

// answerClose gives a close frame back, and says that it is the end.
func (s *wsSocket) answerClose(data []byte) error {
	code, err := closing(data)
	if err != nil {
		return err
	}
	s.shut.Store(true)
	s.conn.SetWriteDeadline(time.Now().Add(time.Second))
	s.write(framed(opClose, websocket.FormatCloseMessage(code, "")), true)
	return fmt.Errorf("closed by the client with %d: %w", code, io.EOF)
}

func (s *wsSocket) Send(frame []byte) error { return s.write(frame, false) }

var pingFrame = framed(opPing, nil)

// write writes a frame, after which, if it is the last, nothing is written.
func (s *wsSocket) write(frame []byte, last bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return errShut
	}
	s.closed = last
	s.since.Store(max(1, s.now()))
	return s.put(frame)
}

// put writes, since a time. The lock is held.
func (s *wsSocket) put(b []byte) error {
	defer s.since.Store(0)
	_, err := s.conn.Write(b)
	return err
}

// Direct: TLS encrypts for a connection that takes all of it, or breaks.
func (s *wsSocket) Direct() bool { return s.raw != nil && !s.tls }

func (s *wsSocket) SendNow(p *pusher, frame []byte) (rest func() error, err error) {
	if !s.writing.TryLock() {
		return func() error { return s.Send(frame) }, nil
	}
	if s.closed {
		s.writing.Unlock()
		return nil, errShut
	}
	n, err := p.push(s.raw, frame)
	switch {
	case err != nil || n == len(frame):
		s.writing.Unlock()
		return nil, err
	case n == 0:
		s.writing.Unlock()
		return func() error { return s.Send(frame) }, nil
	}
	s.since.Store(max(1, s.now()))
	return func() error { // nobody writes within a frame: it is under way
		defer s.writing.Unlock()
		return s.put(frame[n:])
	}, nil
}

func (s *wsSocket) Dead() bool {
	now, since := s.now(), s.since.Load()
	return now-s.heard.Load() >= int64(pongIn) || since != 0 && now-since >= int64(writeIn)
}

func (s *wsSocket) Shut(code int, why string) {
	s.shut.Store(true)
	s.conn.SetReadDeadline(time.Now().Add(closeIn))
	s.conn.SetWriteDeadline(time.Now().Add(writeIn))
	s.write(framed(opClose, websocket.FormatCloseMessage(code, why)), true)
}

func (s *wsSocket) Drain() {
	below := s.conn
	if t, ok := below.(*tls.Conn); ok {
		below = t.NetConn()
	}
	io.CopyN(io.Discard, below, maxDrain)
}

func (s *wsSocket) Drop() { s.conn.Close() }
