package raftstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"sync"
	"time"
)

// peer is another node, over one connection that stays and is dialled again
// when it breaks.
type peer struct {
	s       *Store
	name    string
	address string

	mu      sync.Mutex
	line    *line
	dialing chan struct{} // not nil: somebody dials; closed when done
	failed  error         // of the last dial
}

// line is one connection and the requests that wait for an answer on it.
type line struct {
	conn net.Conn
	w    *frameWriter

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan reply
	broken  error
}

type reply struct {
	status status
	body   []byte
	err    error
}

// notSent wraps the failure of a request that has not left this node.
type notSent struct{ error }

// Unwrap gives what went wrong.
func (n notSent) Unwrap() error { return n.error }

func neverSent(err error) bool {
	var n notSent
	return errors.As(err, &n)
}

// peer returns the named node's connection, made if need be.
func (s *Store) peer(name, address string) *peer {
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	p := s.peers[name]
	if p == nil || p.address != address {
		if p != nil {
			p.hangUp()
		}
		p = &peer{s: s, name: name, address: address}
		s.peers[name] = p
	}
	return p
}

// call sends a request and waits for its answer. notSent: nothing has left this
// node. ErrNotLeader: the peer has done nothing. ErrUnknown: it may have.
func (p *peer) call(ctx context.Context, m method, body []byte) ([]byte, error) {
	l, err := p.connect(ctx)
	if err != nil {
		return nil, notSent{err}
	}
	answer, err := l.request(ctx, m, body)
	if err != nil {
		return nil, err
	}
	p.s.mux.heard(p.name)
	switch answer.status {
	case statusOK:
		return answer.body, nil
	case statusNotLeader:
		return nil, ErrNotLeader
	case statusUnknown:
		return nil, ErrUnknown
	default:
		return nil, &remoteError{p.name, string(answer.body)}
	}
}

// wish asks for something that is done, or not and why.
func (p *peer) wish(ctx context.Context, m method, what any) error {
	var v verdict
	if err := p.ask(ctx, m, what, &v); err != nil {
		return err
	}
	return v.err()
}

// ask is call with encoded messages.
func (p *peer) ask(ctx context.Context, m method, question, answer any) error {
	body, _, err := p.s.codec.appendValue(nil, question)
	if err != nil {
		return notSent{err}
	}
	b, err := p.call(ctx, m, body)
	if err != nil || answer == nil {
		return err
	}
	if err := p.s.codec.message(b, reflect.ValueOf(answer)); err != nil {
		return fmt.Errorf("reading the answer of node %s: %w", p.name, err)
	}
	return nil
}

// connect returns the connection; one caller dials for all.
func (p *peer) connect(ctx context.Context) (*line, error) {
	for {
		p.mu.Lock()
		if p.line != nil {
			l := p.line
			p.mu.Unlock()
			return l, nil
		}
		dialing := p.dialing
		if dialing == nil {
			dialing = make(chan struct{})
			p.dialing = dialing
			if !p.s.spawn(func() { p.dial(dialing) }) {
				p.dialing = nil
				p.mu.Unlock()
				return nil, ErrClosed
			}
		}
		p.mu.Unlock()
		select {
		case <-dialing:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		p.mu.Lock()
		l, err := p.line, p.failed
		p.mu.Unlock()
		if l != nil || err != nil {
			return l, err
		}
	}
}

func (p *peer) dial(done chan struct{}) {
	conn, err := p.s.mux.dial(p.s.ctx, streamRPC, p.name, p.address)
	p.mu.Lock()
	p.failed, p.dialing = err, nil
	if err == nil {
		l := &line{conn: conn, w: &frameWriter{conn: conn, w: bufio.NewWriter(conn)}, waiting: map[uint64]chan reply{}}
		if p.s.spawn(func() { p.read(l) }) {
			p.line = l
		} else {
			conn.Close()
			p.failed = ErrClosed
		}
	}
	p.mu.Unlock()
	close(done)
	var r *refusal
	if errors.As(err, &r) {
		p.s.refused(r)
	}
}

// read hands answers to who waits for them, until the connection ends.
func (p *peer) read(l *line) {
	r := bufio.NewReader(l.conn)
	for {
		id, kind, body, err := readFrame(r)
		if err != nil {
			p.mu.Lock()
			if p.line == l {
				p.line = nil
			}
			p.mu.Unlock()
			l.breakUp(err)
			p.s.suspect(p)
			return
		}
		l.mu.Lock()
		ch := l.waiting[id]
		delete(l.waiting, id)
		l.mu.Unlock()
		if ch != nil {
			ch <- reply{status: status(kind), body: body}
		}
	}
}

// hangUp closes the connection; it is dialled again when needed.
func (p *peer) hangUp() {
	p.mu.Lock()
	l := p.line
	p.line = nil
	p.mu.Unlock()
	if l != nil {
		l.conn.Close()
	}
}

func (l *line) request(ctx context.Context, m method, body []byte) (reply, error) {
	ch := make(chan reply, 1)
	l.mu.Lock()
	if l.broken != nil {
		l.mu.Unlock()
		return reply{}, notSent{l.broken}
	}
	l.next++
	id := l.next
	l.waiting[id] = ch
	l.mu.Unlock()
	if err := l.w.write(id, byte(m), body); err != nil {
		l.conn.Close()
		l.forget(id)
		return reply{}, errors.Join(ErrUnknown, err)
	}
	select {
	case a := <-ch:
		if a.err != nil {
			return reply{}, errors.Join(ErrUnknown, a.err)
		}
		return a, nil
	case <-ctx.Done():
		l.forget(id)
		return reply{}, errors.Join(ErrUnknown, context.Cause(ctx))
	}
}

func (l *line) forget(id uint64) {
	l.mu.Lock()
	delete(l.waiting, id)
	l.mu.Unlock()
}

func (l *line) breakUp(err error) {
	l.conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = fmt.Errorf("the connection has ended: %w", err)
	for id, ch := range l.waiting {
		ch <- reply{err: l.broken}
		delete(l.waiting, id)
	}
}

// look asks every peer for its term, by default once a second: it keeps the connections warm
// and finds a peer that is silent, refuses this node, or leads and knows the
// time.
func (s *Store) look() {
	tick := time.NewTicker(s.cfg.look)
	defer tick.Stop()
	for {
		var group sync.WaitGroup
		for _, m := range s.others() {
			group.Go(func() { s.lookAt(m) })
		}
		group.Wait()
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// silentLimit is how long a peer may leave a look unanswered before its connection
// counts as dead.
const silentLimit = 3 * time.Second

func (s *Store) lookAt(m member) {
	ctx, cancel := context.WithTimeout(s.ctx, silentLimit)
	defer cancel()
	p := s.peer(m.name, m.address)
	t, err := p.term(ctx)
	switch {
	case err == nil && t.Leading:
		s.clock.heard(t.Now)
	case err != nil && ctx.Err() != nil && s.ctx.Err() == nil && !neverSent(err):
		p.hangUp()
	}
}
