package endpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
	"sitegate/notice"
)

// socketEnds are a socket of a node that keeps little, and the client's end of it, which takes in
// little that it does not read where it is deaf.
func socketEnds(t *testing.T, deaf bool) (*wsSocket, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if deaf {
		if err := far.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
			t.Fatal(err)
		}
	}
	if err := near.(*net.TCPConn).SetWriteBuffer(4096); err != nil {
		t.Fatal(err)
	}
	return newSocket(near, newCommon()), far
}

// What a client does not take at once follows whole, and nothing comes within it.
func TestAFrameThatIsNotTakenAtOnce(t *testing.T) {
	s, far := socketEnds(t, false)
	p := newPusher()
	reads := func(want []byte) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("the client has read other bytes than were written")
		}
	}
	var rest func() error
	var err error
	var small []byte
	for rest == nil { // until there is no room
		frame := framed(opText, bytes.Repeat([]byte{byte(len(small))}, 100))
		small = append(small, frame...)
		if rest, err = s.SendNow(p, frame); err != nil {
			t.Fatal(err)
		}
	}
	written := make(chan error, 2)
	go func() { written <- rest() }()
	reads(small)
	if err := <-written; err != nil {
		t.Fatal(err)
	}

	large, pong := framed(opText, bytes.Repeat([]byte("large"), 1<<18)), framed(opPong, []byte("later"))
	if rest, err = s.SendNow(p, large); err != nil || rest == nil {
		t.Fatalf("a frame larger than any buffer: %v; want a rest", err)
	}
	if s.since.Load() == 0 {
		t.Error("no write is under way; want the rest of the large one")
	}
	go func() { written <- s.Send(pong) }() // as an answer to a ping would
	go func() { written <- rest() }()
	reads(append(large, pong...))
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	if s.since.Load() != 0 {
		t.Error("a write is still under way")
	}
}

// Where somebody else writes, SendNow does not wait for them; after a close it writes
// nothing.
func TestAFrameWhileAnotherIsWritten(t *testing.T) {
	s, far := socketEnds(t, false)
	p := newPusher()
	s.writing.Lock()
	rest, err := s.SendNow(p, framed(opText, []byte("a")))
	if rest == nil || err != nil {
		t.Fatalf("while another is written: %v; want a rest", err)
	}
	s.writing.Unlock()
	if err := rest(); err != nil {
		t.Fatal(err)
	}
	s.Shut(api.CloseSlow, "")
	if rest, err := s.SendNow(p, framed(opText, []byte("b"))); rest != nil || err != errShut {
		t.Errorf("after a close: %v; want %v", err, errShut)
	}
	in := bufio.NewReader(far)
	if op, data, err := readRaw(in); op != opText || string(data) != "a" || err != nil {
		t.Errorf("read %x %q, %v; want the first", op, data, err)
	}
	if op, _, err := readRaw(in); op != opClose || err != nil {
		t.Errorf("read %x, %v; want the close", op, err)
	}
	s.Drop()
	if rest, err := s.SendNow(p, framed(opText, []byte("c"))); rest != nil || err == nil {
		t.Errorf("of a connection that is gone nothing is said")
	}
}

// Who stops reading loses nothing that they are told until they are cut off, and nobody
// waits for them.
func TestWhoStopsReadingIsCutOffWithoutALoss(t *testing.T) {
	r := newRig(t, filled(t))
	s, far := socketEnds(t, true)
	if !r.e.sockets.enter() {
		t.Fatal("no connections are taken")
	}
	r.e.sockets.open(s, notice.Subscriber{User: "ada", Machine: license.Machine{ID: "m-9"}, Instance: "i"},
		&call{caller: Caller{User: "ada", Expires: time.Now().Add(time.Hour)}}, notice.Token{}, false)
	quick, _, _ := r.join(t, "ada", nil)
	var told []uint64
	for i := range 3 * notice.MaxQueue { // far more than the kernel and the queue hold
		r.node.do(t, license.Link{Up: i%2 == 0})
		told = append(told, quick.notice().Seq)
	}
	far.SetReadDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(far)
	read := 0
	for {
		op, data, err := readRaw(in)
		if err != nil {
			t.Fatalf("after %d notices: %v; want a close", read, err)
		}
		if op == opClose {
			if code, _ := closing(data); code != api.CloseSlow {
				t.Errorf("cut off with %d; want %d", code, api.CloseSlow)
			}
			break
		}
		if op != opText {
			continue // a ping, on a slow machine
		}
		var f api.Frame
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if f.Notice == nil {
			continue
		}
		if f.Notice.Seq != told[read] {
			t.Fatalf("the notice after %d is %d; want %d", read, f.Notice.Seq, told[read])
		}
		read++
	}
	if read == 0 || read == len(told) {
		t.Errorf("%d of %d were told before the close; want some", read, len(told))
	}
}
