package endpoint

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"sitegate/api"
)

// A raw frame (RFC 6455, 5.2) as a client writes it, right or wrong.
type raw struct {
	first  byte // FIN, RSV, opcode
	bare   bool // without a mask
	length uint64
	data   []byte
}

func (f raw) bytes() []byte {
	n := f.length
	if n == 0 {
		n = uint64(len(f.data))
	}
	masked := byte(0x80)
	if f.bare {
		masked = 0
	}
	b := []byte{f.first}
	switch {
	case n < 126:
		b = append(b, masked|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), n)
	}
	if f.bare {
		return append(b, f.data...)
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i, d := range f.data {
		b = append(b, d^key[i%4])
	}
	return b
}

// rawDesktop has done the handshake and read the greeting, on bare bytes.
func (r *rig) rawDesktop(t *testing.T, conn net.Conn, instance string) *bufio.Reader {
	t.Helper()
	fmt.Fprintf(conn, "GET /v1/notices?machine=m-1&instance=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n", url.QueryEscape(instance), api.NoticesProtocol, r.issuer.token(t, "ada"))
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered %v, %v", resp, err)
	}
	for _, want := range []string{api.FrameHello, api.FrameState} {
		if _, data, err := readRaw(in); err != nil || frameType(data) != want {
			t.Fatalf("greeted with %s, %v; want %s", data, err, want)
		}
	}
	return in
}

func frameType(data []byte) string {
	var f api.Frame
	if json.Unmarshal(data, &f) != nil {
		return ""
	}
	return f.Type
}

// readRaw reads one frame of the server's.
func readRaw(in *bufio.Reader) (opcode byte, data []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(in, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(in, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil || n > 1<<20 {
		return 0, nil, fmt.Errorf("a frame of %d bytes, %w", n, err)
	}
	data = make([]byte, n)
	_, err = io.ReadFull(in, data)
	return head[0] & 0xf, data, err
}

// Who does not keep to the websocket protocol, or to this one, is told which code says
// why, and nobody else notices.
func TestFramesByTheByte(t *testing.T) {
	const beat = `{"type":"beat","beat":{"n":1,"sessions":[]}}`
	closes := func(code uint16, why string) raw {
		return raw{first: fin | opClose, data: append(binary.BigEndian.AppendUint16(nil, code), why...)}
	}
	large := bytes.Repeat([]byte("x"), api.MaxFrame)
	tests := []struct {
		name string
		say  []raw
		code int // of the close; 0: a lease comes
	}{
		{"a beat", []raw{{first: fin | opText, data: []byte(beat)}}, 0},
		{"a beat in three, with a ping in between", []raw{{first: opText, data: []byte(beat[:5])}, {first: fin | opPing, data: []byte("p")}, {first: 0, data: []byte(beat[5:20])}, {first: fin, data: []byte(beat[20:])}}, 0},
		{"an empty fragment", []raw{{first: opText}, {first: 0}, {first: fin, data: []byte(beat)}}, 0},
		{"the first reserved bit", []raw{{first: fin | 0x40 | opText, data: []byte(beat)}}, 1002},
		{"the second reserved bit", []raw{{first: fin | 0x20 | opText, data: []byte(beat)}}, 1002},
		{"the third reserved bit", []raw{{first: fin | 0x10 | opText, data: []byte(beat)}}, 1002},
		{"no mask", []raw{{first: fin | opText, bare: true, data: []byte(beat)}}, 1002},
		{"a continuation of nothing", []raw{{first: fin, data: []byte(beat)}}, 1002},
		{"a text within a text", []raw{{first: opText, data: []byte(beat[:5])}, {first: fin | opText, data: []byte(beat)}}, 1002},
		{"a ping in pieces", []raw{{first: opPing, data: []byte("p")}}, 1002},
		{"a ping of 126 bytes", []raw{{first: fin | opPing, data: large[:126]}}, 1002},
		{"a close of one byte", []raw{{first: fin | opClose, data: []byte("x")}}, 1002},
		{"a close with 999", []raw{closes(999, "")}, 1002},
		{"a close with 1005", []raw{closes(1005, "")}, 1002},
		{"a close with 1006", []raw{closes(1006, "")}, 1002},
		{"a close with 1015", []raw{closes(1015, "")}, 1002},
		{"a close with 5000", []raw{closes(5000, "")}, 1002},
		{"a close whose reason is not UTF-8", []raw{closes(1000, "\xff")}, 1002},
		{"a close", []raw{closes(1000, "bye")}, 1000},
		{"a close without a code", []raw{{first: fin | opClose}}, 1005},
		{"text that is not UTF-8", []raw{{first: fin | opText, data: []byte("\xff")}}, 1007},
		{"half a letter, and no more", []raw{{first: opText, data: []byte("\xc3")}, {first: fin}}, 1007},
		{"half a letter, and another", []raw{{first: opText, data: []byte("\xc3")}, {first: fin, data: []byte("A")}}, 1007},
		{"a surrogate", []raw{{first: fin | opText, data: []byte("\xed\xa0\x80")}}, 1007},
		{"binary", []raw{{first: fin | opBin, data: []byte(beat)}}, api.CloseBadFrame},
		{"as much as there may be", []raw{{first: fin | opText, data: append([]byte(beat), bytes.Repeat([]byte(" "), api.MaxFrame-len(beat))...)}}, 0},
		{"more than there may be", []raw{{first: fin | opText, data: append(large, 'x')}}, 1009},
		{"more in pieces", []raw{{first: opText, data: large}, {first: fin, data: []byte("x")}}, 1009},
		{"a megabyte is announced", []raw{{first: fin | opText, length: 1 << 20, data: large}}, 1009},
		{"a length with its highest bit", []raw{{first: fin | opText, length: 1 << 63, data: large}}, 1009},
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		tests = append(tests, struct {
			name string
			say  []raw
			code int
		}{fmt.Sprintf("opcode %d", opcode), []raw{{first: fin | opcode}}, 1002})
	}
	r := newRig(t, filled(t))
	other, _, _ := r.join(t, "ada", map[string]string{"machine": "m-other"})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", r.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			in := r.rawDesktop(t, conn, test.name)
			var all []byte
			for _, f := range test.say {
				all = append(all, f.bytes()...)
			}
			if _, err := conn.Write(all); err != nil {
				t.Fatal(err)
			}
			for {
				opcode, data, err := readRaw(in)
				if err != nil {
					t.Fatalf("the connection ended with %v before anything was said; want %d", err, test.code)
				}
				switch {
				case opcode == opText && test.code == 0 && frameType(data) == api.FrameLease:
					return
				case opcode != opClose:
					continue
				}
				code := 1005
				if len(data) >= 2 {
					code = int(binary.BigEndian.Uint16(data))
				}
				if code != test.code || !utf8.Valid(data[min(2, len(data)):]) {
					t.Errorf("closed with %d %q; want %d", code, data, test.code)
				}
				return
			}
		})
	}
	other.say(beat)
	if f := other.next(); f.Type != api.FrameLease {
		t.Errorf("another client is told %+v; want its lease", f)
	}
	other.Close()
	eventually(t, "all connections are gone", func() bool { return r.node.hub.Len() == 0 })
}

// Who sends a frame so slowly that it never ends is dead after as long as who sends
// nothing.
func TestAByteAMinuteIsNoSignOfLife(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			near, s := upgraded(t)
			over := make(chan struct{})
			read := make(chan error, 1)
			go func() {
				for {
					if _, err := s.Take(); err != nil {
						read <- err
						return
					}
				}
			}()
			go func() {
				frame := raw{first: fin | opText, data: bytes.Repeat([]byte("x"), 100)}.bytes()
				for i := 0; !silent && i < len(frame); i++ {
					if _, err := near.Write(frame[i : i+1]); err != nil {
						return
					}
					select {
					case <-time.After(time.Minute):
					case <-over:
						return
					}
				}
			}()
			time.Sleep(pongIn - time.Second)
			if s.Dead() {
				t.Errorf("silent %t: dead a second before %v", silent, pongIn)
			}
			time.Sleep(time.Second)
			if !s.Dead() {
				t.Errorf("silent %t: not dead after %v", silent, pongIn)
			}
			s.Drop()
			if err := <-read; err == nil {
				t.Errorf("silent %t: Take does not end with the connection", silent)
			}
			close(over)
			near.Close()
		})
	}
}

// hijacked is a response whose connection is one end of a pipe.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijacked) Header() http.Header { return http.Header{} }
func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// upgraded is a socket and the client's end of it, from which all is read away.
func upgraded(t testing.TB) (near net.Conn, s *wsSocket) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	go io.Copy(io.Discard, near)
	req, err := http.NewRequest("GET", "http://x/v1/notices", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
	conn, err := (&websocket.Upgrader{}).Upgrade(hijacked{conn: far}, req, nil)
	if err != nil {
		t.Fatal(err)
	}
	return near, newSocket(conn.NetConn(), newCommon())
}

// Whatever a client writes: what Take gives is text that fits, and it comes to an end.
func FuzzTake(f *testing.F) {
	for _, seed := range []raw{{first: fin | opText, data: []byte(`{"type":"beat"}`)}, {first: fin | opPing, data: []byte("x")}, {first: fin | opClose}, {first: opText, data: []byte("\xc3")},
		{first: fin | opText, length: 1 << 63}, {first: fin | opText, bare: true, data: []byte("x")}, {first: 0xff, data: bytes.Repeat([]byte("x"), 5000)}} {
		f.Add(seed.bytes())
		f.Add(append(seed.bytes(), raw{first: fin, data: []byte("more")}.bytes()...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		near, s := upgraded(t)
		go func() { near.Write(data); near.Close() }()
		for n := 0; ; {
			texts, err := s.Take()
			for _, got := range texts {
				if n++; !utf8.Valid(got) || len(got) > api.MaxFrame || n > len(data) {
					t.Fatalf("message %d of %d bytes of input: %d bytes, UTF-8 %t", n, len(data), len(got), utf8.Valid(got))
				}
			}
			if err != nil {
				break
			}
		}
		s.Drop()
	})
}

// Whatever a client writes is read the same, whether it comes at once or byte by byte.
func FuzzFramesInPieces(f *testing.F) {
	text := raw{first: fin | opText, data: []byte(`{"type":"beat"}`)}.bytes()
	f.Add(text, byte(1))
	f.Add(append(raw{first: opText, data: []byte("a")}.bytes(), append(raw{first: fin | opPong}.bytes(), raw{first: fin, data: bytes.Repeat([]byte("b"), 300)}.bytes()...)...), byte(3))
	f.Add(append(bytes.Clone(text), raw{first: fin | opBin, data: []byte("x")}.bytes()...), byte(7))
	f.Add(raw{first: fin | opText, length: 1 << 40}.bytes(), byte(2))
	f.Fuzz(func(t *testing.T, data []byte, step byte) {
		all := func(step int) (texts [][]byte, err error) {
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			go io.Copy(io.Discard, near) // what a ping and a close are answered with
			s := newSocket(far, newCommon())
			for rest := bytes.Clone(data); len(rest) > 0 && err == nil; rest = rest[min(step, len(rest)):] {
				var more [][]byte
				more, err = s.frames(rest[:min(step, len(rest))])
				texts = append(texts, more...)
			}
			return texts, err
		}
		synctest.Test(t, func(t *testing.T) { // how often frames may come goes by the clock
			want, err := all(max(1, len(data)))
			got, err2 := all(max(1, int(step)))
			if !slices.EqualFunc(got, want, bytes.Equal) || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Errorf("in pieces of %d: %q, %v; at once: %q, %v", step, got, err2, want, err)
			}
		})
	})
}
