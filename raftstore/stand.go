package raftstore

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// nodeTransport is what raft talks to the other nodes through.
type nodeTransport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// standing is raft's transport with a way for this node to tell its own raft to
// stand for election at once. raft takes the call for the last step of a handed
// over leadership: it asks for votes without asking for leave first, and voters
// grant them though they knew a leader a moment ago.
//
// It also keeps heartbeats from changing the term beside raft's own goroutine: raft
// 1.7.3 answers them where they come in, and if its own goroutine was on its way to a
// later term meanwhile, a voter's term went back, or a leader went on in a term of
// another (hashicorp/raft#695).
type standing struct {
	nodeTransport
	inTerm func(term uint64, f func()) bool // logStore.inTerm
	later  func(term uint64)                // another leads in that term, which is not the one this node is in
	calls  chan raft.RPC
	done   chan struct{}
	beat   func(raft.RPC) // answers a heartbeat
}

func newStanding(t nodeTransport, inTerm func(uint64, func()) bool, later func(uint64)) *standing {
	s := &standing{nodeTransport: t, inTerm: inTerm, later: later, calls: make(chan raft.RPC), done: make(chan struct{})}
	go s.pass()
	return s
}

// pass hands on the calls of the other nodes.
func (s *standing) pass() {
	from := s.nodeTransport.Consumer()
	for {
		select {
		case c := <-from:
			select {
			case s.calls <- c:
			case <-s.done:
				return
			}
		case <-s.done:
			return
		}
	}
}

// SetHeartbeatHandler has heartbeats answered at once, whatever raft's own goroutine
// waits for, where they are of the term this node is in. Others change it, and are
// left to that goroutine.
func (s *standing) SetHeartbeatHandler(answer func(raft.RPC)) {
	s.beat = func(c raft.RPC) {
		if q, ok := c.Command.(*raft.AppendEntriesRequest); ok {
			if s.inTerm(q.Term, func() { answer(c) }) {
				return
			}
			s.later(q.Term)
		}
		select {
		case s.calls <- c:
		case <-s.done:
		}
	}
	s.nodeTransport.SetHeartbeatHandler(s.beat)
}

// Consumer are the calls that raft answers.
func (s *standing) Consumer() <-chan raft.RPC { return s.calls }

// Close ends the transport.
func (s *standing) Close() error {
	close(s.done)
	return s.nodeTransport.Close()
}

// RequestVote asks a node for its vote.
func (s *standing) RequestVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	return fresh(func() error { return s.nodeTransport.RequestVote(id, to, q, a) })
}

// RequestPreVote asks a node whether it would give its vote.
func (s *standing) RequestPreVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	return fresh(func() error { return s.nodeTransport.RequestPreVote(id, to, q, a) })
}

// TimeoutNow hands the leadership to a node.
func (s *standing) TimeoutNow(id raft.ServerID, to raft.ServerAddress, q *raft.TimeoutNowRequest, a *raft.TimeoutNowResponse) error {
	return fresh(func() error { return s.nodeTransport.TimeoutNow(id, to, q, a) })
}

// fresh asks again where a connection has ended: raft's transport keeps some of a
// node that was started anew since, and raft takes a failure for a vote that is
// denied. Each failure uses up one.
func fresh(ask func() error) error {
	var err error
	for range poolSize + 1 {
		began := time.Now()
		err = ask()
		var dial *net.OpError
		if err == nil || errors.As(err, &dial) && dial.Op == "dial" || time.Since(began) > freshLimit {
			return err
		}
	}
	return err
}

const (
	// poolSize is how many connections to each node raft's transport keeps.
	poolSize = 3
	// freshLimit tells a connection that had ended from one on which nobody answers.
	freshLimit = 100 * time.Millisecond
)

// stand has the raft behind this transport stand for election.
func (s *standing) stand(ctx context.Context) error {
	answer := make(chan raft.RPCResponse, 1)
	call := raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, RespChan: answer}
	select {
	case s.calls <- call:
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case a := <-answer:
		return a.Error
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return errors.Join(ErrUnknown, context.Cause(ctx))
	}
}
