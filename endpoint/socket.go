package endpoint

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
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

// socket is what a connection needs of a websocket. Receive and Drain are called
// by one goroutine; Send and Ping by one at a time; Shut and Drop by any.
type socket interface {
	// Receive waits for the next text message.
	Receive() ([]byte, error)
	// Send writes a frame within writeIn.
	Send(f *websocket.PreparedMessage) error
	// Ping asks for a sign of life.
	Ping() error
	// Shut sends a close frame; Receive then ends soon.
	Shut(code int, why string)
	// Drain throws away what still comes after Shut, until the client closes, for a
	// moment at most: bytes left unread would tear the close frame away.
	Drain()
	// Drop closes the connection.
	Drop()
}

// What Receive says of a client that does not keep to the protocol.
var (
	errNotText = errors.New("not a text frame")
	errNotUTF8 = errors.New("text that is not UTF-8")
	errBudget  = errors.New("too many frames")
)

// notWebsocket reports whether Receive has failed since the client broke the protocol, of
// which the library tells in words alone; it has said so to the client.
func notWebsocket(err error) bool {
	var closed *websocket.CloseError
	var broken net.Error
	return !errors.As(err, &closed) && !errors.As(err, &broken) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) &&
		strings.HasPrefix(err.Error(), "websocket: ")
}

// wsSocket is a socket of gorilla/websocket. Any frame counts as a sign of life
// and against the budget.
type wsSocket struct {
	conn    *websocket.Conn
	tokens  float64 // of the budget; only the reader touches it
	counted time.Time
	shut    atomic.Bool // a close frame was sent: the deadline stands
}

// The budget of a client's frames.
const (
	frameRate  = 10 // a second
	frameBurst = 20
)

func newSocket(conn *websocket.Conn) *wsSocket {
	s := &wsSocket{conn: conn, tokens: frameBurst, counted: time.Now()}
	conn.SetReadLimit(api.MaxFrame)
	conn.SetReadDeadline(time.Now().Add(pongIn))
	conn.SetPongHandler(func(string) error { return s.alive() })
	conn.SetPingHandler(func(data string) error {
		if err := s.alive(); err != nil {
			return err
		}
		err := conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	return s
}

// alive counts a frame.
func (s *wsSocket) alive() error {
	if s.shut.Load() {
		return nil
	}
	now := time.Now()
	s.tokens = min(frameBurst, s.tokens+now.Sub(s.counted).Seconds()*frameRate)
	s.counted = now
	if s.tokens < 1 {
		return errBudget
	}
	s.tokens--
	err := s.conn.SetReadDeadline(now.Add(pongIn))
	if s.shut.Load() { // meanwhile
		s.conn.SetReadDeadline(now.Add(closeIn))
	}
	return err
}

func (s *wsSocket) Receive() ([]byte, error) {
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return nil, err
	}
	if err := s.alive(); err != nil {
		return nil, err
	}
	if kind != websocket.TextMessage {
		return nil, errNotText
	}
	data, err := io.ReadAll(r)
	if err == nil && !utf8.Valid(data) {
		return nil, errNotUTF8 // the library does not look
	}
	return data, err
}

func (s *wsSocket) Send(f *websocket.PreparedMessage) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeIn)); err != nil {
		return err
	}
	return s.conn.WritePreparedMessage(f)
}

func (s *wsSocket) Ping() error {
	return s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeIn))
}

func (s *wsSocket) Shut(code int, why string) {
	s.shut.Store(true)
	s.conn.SetReadDeadline(time.Now().Add(closeIn))
	s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(writeIn))
}

func (s *wsSocket) Drain() {
	io.CopyN(io.Discard, s.conn.NetConn(), maxDrain)
}

func (s *wsSocket) Drop() { s.conn.Close() }
