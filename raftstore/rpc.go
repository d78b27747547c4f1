package raftstore

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"sync"
	"time"
)

// The node RPC: frames on a connection that stays. A request is a length, an id,
// a method and a body; an answer a length, the same id, a status and a body.
// Answers come in any order. Lengths count what follows them.

type method byte

const (
	methodTerm    method = 1
	methodForward method = 2
	methodRenew   method = 3
	methodLeave   method = 4 // this and those from 90 on: see join.go

	methodAbout    method = 90
	methodJoin     method = 91
	methodToken    method = 92
	methodRemove   method = 93
	methodStepDown method = 94
	methodMoved    method = 95
	methodSign     method = 96
	methodCAKey    method = 97
	methodRekey    method = 98
	methodDrain    method = 99
	methodLost     method = 120
	methodDigest   method = 140

	methodCommitted method = 100
	methodRecall    method = 101

	methodLevel method = 130
)

type status byte

const (
	statusOK        status = 0
	statusFailed    status = 1 // the body is why
	statusNotLeader status = 2 // nothing was done
	statusUnknown   status = 3 // it may have been done
)

const (
	maxFrame    = 4 << 20
	frameHeader = 9
	// maxRequests bounds what one peer may have under way here.
	maxRequests = 1024
	// serveLimit is how long one request may take.
	serveLimit = 30 * time.Second
	writeLimit = 10 * time.Second
)

// remoteError is what a peer answered instead of a result.
type remoteError struct {
	peer string
	text string
}

// Error is the peer's text.
func (e *remoteError) Error() string { return "node " + e.peer + ": " + e.text }

// frameWriter writes whole frames, from many goroutines; the last of those that
// write at once flushes for all.
type frameWriter struct {
	conn    net.Conn
	mu      sync.Mutex
	w       *bufio.Writer
	waiting int
	waitMu  sync.Mutex
}

func (f *frameWriter) write(id uint64, kind byte, body []byte) error {
	if len(body)+frameHeader > maxFrame {
		return fmt.Errorf("a message of %d bytes is too large for a peer, at most %d", len(body), maxFrame-frameHeader)
	}
	f.waitMu.Lock()
	f.waiting++
	f.waitMu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	var head [4 + frameHeader]byte
	binary.BigEndian.PutUint32(head[:], uint32(frameHeader+len(body)))
	binary.BigEndian.PutUint64(head[4:], id)
	head[12] = kind
	err := f.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if err == nil {
		_, err = f.w.Write(head[:])
	}
	if err == nil {
		_, err = f.w.Write(body)
	}
	f.waitMu.Lock()
	f.waiting--
	last := f.waiting == 0
	f.waitMu.Unlock()
	if err == nil && last {
		err = f.w.Flush()
	}
	return err
}

func readFrame(r io.Reader) (id uint64, kind byte, body []byte, err error) {
	var head [4 + frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < frameHeader || n > maxFrame {
		return 0, 0, nil, fmt.Errorf("a peer sends a message of %d bytes, at most %d", n, maxFrame)
	}
	body = make([]byte, n-frameHeader)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, 0, nil, err
	}
	return binary.BigEndian.Uint64(head[4:]), head[12], body, nil
}

// serveRPC answers the requests of one connection until it ends.
func (s *Store) serveRPC(ctx context.Context, c net.Conn, from string) {
	select {
	case <-s.up:
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &frameWriter{conn: c, w: bufio.NewWriter(c)}
	r := bufio.NewReader(c)
	slots := make(chan struct{}, maxRequests)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for {
		id, kind, body, err := readFrame(r)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.log.Debug("a peer connection has ended", "peer", from, "err", err)
			}
			return
		}
		s.mux.heard(from)
		if method(kind) == methodTerm { // at once: whether a leader may answer waits for it
			if err := w.write(id, byte(statusOK), s.termAnswer()); err != nil {
				return
			}
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, serveLimit)
			defer cancel()
			st, answer := s.handle(ctx, from, method(kind), body)
			if err := w.write(id, byte(st), answer); err != nil {
				c.Close()
			}
		})
	}
}

// handle carries out one request of a peer.
func (s *Store) handle(ctx context.Context, from string, m method, body []byte) (status, []byte) {
	var answer []byte
	var err error
	switch m {
	case methodForward:
		answer, err = s.handleForward(ctx, from, body)
	case methodRenew:
		answer, err = s.handleRenew(ctx, body)
	case methodLost:
		err = s.handleLost(from, body)
	case methodDigest:
		answer, err = s.handleDigest(body)
	case methodCommitted:
		answer, err = s.handleCommitted(ctx)
	case methodRecall:
		answer, err = s.handleRecall()
	default:
		answer, err = s.handleMembers(ctx, from, m, body)
	}
	switch {
	case err == nil:
		return statusOK, answer
	case errors.Is(err, ErrNotLeader):
		return statusNotLeader, nil
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrClosed):
		return statusUnknown, nil
	default:
		return statusFailed, []byte(err.Error())
	}
}

func (s *Store) handleRenew(ctx context.Context, body []byte) ([]byte, error) {
	var m renewMessage
	if err := s.codec.value(body, reflect.ValueOf(&m)); err != nil {
		return nil, fmt.Errorf("reading heartbeats: %w", err)
	}
	if len(m.Renewals) > maxRenewals {
		return nil, fmt.Errorf("%d heartbeats at once, at most %d", len(m.Renewals), maxRenewals)
	}
	leases, err := s.renewHere(ctx, m.Renewals)
	if err != nil {
		return nil, err
	}
	answer, _, err := s.codec.appendValue(nil, renewAnswer{leases})
	return answer, err
}

// readMessage and writeMessage carry one small message each, before frames begin.
func readMessage(r io.Reader, c *codec, into any) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return c.lax.Unmarshal(b, into)
}

func writeMessage(w io.Writer, c *codec, m any) error {
	b, err := c.enc.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > 1<<16-1 {
		return errors.New("a greeting is too long")
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}
