package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// batcher puts commands into log entries: one entry carries whatever has queued,
// up to the bounds of an entry, so that the busier the site, the fewer fsyncs a
// command costs. There is no timer: a lonely command goes at once.
type batcher struct {
	codec   *codec
	metrics *metrics
	raft    *raft.Raft
	stamp   func() license.Time
	queue   chan *proposal
	flights chan struct{} // entries under way
	done    chan struct{}
	down    chan struct{} // closed: raft is, and answers no more
	spare   sync.Pool     // of *proposal that were answered
	pending sync.WaitGroup
	going   chan struct{} // has one of every entry under way, and is full while none may begin
	holding chan struct{} // one at a time keeps entries from beginning
}

const (
	queueLength   = 4096
	maxFlights    = 4
	enqueueWithin = 5 * time.Second
)

// proposal is one command on its way.
type proposal struct {
	command []byte
	claimed atomic.Bool // by the batch, or by a caller who gave up before
	answer  chan proposed
}

type proposed struct {
	outcome license.Outcome
	err     error
}

func newBatcher(c *codec, m *metrics, r *raft.Raft, stamp func() license.Time) *batcher {
	return &batcher{codec: c, metrics: m, raft: r, stamp: stamp, queue: make(chan *proposal, queueLength),
		flights: make(chan struct{}, maxFlights), going: make(chan struct{}, maxFlights), holding: make(chan struct{}, 1),
		done: make(chan struct{}), down: make(chan struct{})}
}

// do proposes one command and waits for its outcome.
func (b *batcher) do(ctx context.Context, c license.Command) (license.Outcome, error) {
	encoded, err := b.codec.command(c)
	if err != nil {
		return license.Outcome{}, err
	}
	p, ok := b.spare.Get().(*proposal)
	if !ok {
		p = &proposal{answer: make(chan proposed, 1)}
	}
	p.command = encoded
	if err := b.put(ctx, p); err != nil {
		return license.Outcome{}, err
	}
	select { // run answers whatever is put before it ends
	case a := <-p.answer: // nobody else has it any more
		p.command = nil
		p.claimed.Store(false)
		b.spare.Put(p)
		return a.outcome, a.err
	case <-ctx.Done():
		if !p.claimed.Swap(true) {
			return license.Outcome{}, fmt.Errorf("waiting to propose: %w", context.Cause(ctx))
		}
		return license.Outcome{}, errors.Join(ErrUnknown, context.Cause(ctx))
	}
}

// put queues a proposal, which is answered from then on.
func (b *batcher) put(ctx context.Context, p *proposal) error {
	select {
	case b.queue <- p:
	default: // to wait for three channels costs more than all of the rest
		select {
		case b.queue <- p:
		case <-ctx.Done():
			return fmt.Errorf("waiting to propose: %w", context.Cause(ctx))
		case <-b.done:
			return ErrClosed
		}
	}
	select {
	case <-b.done: // the queue may have been emptied before
		if !p.claimed.Swap(true) {
			return ErrClosed
		}
	default:
	}
	return nil
}

// run batches until ctx ends, and returns when everything that was put has been
// answered.
func (b *batcher) run(ctx context.Context) {
	var held *proposal // did not fit into the last entry
	defer func() {
		b.pending.Wait()
		close(b.done)
		if held != nil {
			held.answer <- proposed{err: ErrClosed}
		}
		b.empty()
	}()
	for {
		select {
		case b.flights <- struct{}{}:
		case <-ctx.Done():
			return
		}
		var batch []*proposal
		batch, held = b.gather(ctx, held)
		if len(batch) == 0 {
			return
		}
		commands := make([][]byte, len(batch))
		for i, p := range batch {
			commands[i] = p.command
		}
		b.going <- struct{}{} // who holds lets go in the end
		entry := b.codec.entry(b.stamp(), commands)
		start := time.Now()
		future := b.raft.Apply(entry, enqueueWithin) // in this order into the log
		b.pending.Go(func() {
			b.settle(batch, future)
			<-b.going
			b.metrics.committed(len(batch), time.Since(start))
			<-b.flights
		})
	}
}

// empty answers what is queued and was not taken.
func (b *batcher) empty() {
	for {
		select {
		case p := <-b.queue:
			if !p.claimed.Swap(true) {
				p.answer <- proposed{err: ErrClosed}
			}
		default:
			return
		}
	}
}

// gather waits for a first command and takes what has queued behind it.
func (b *batcher) gather(ctx context.Context, held *proposal) (batch []*proposal, rest *proposal) {
	size := 0
	for {
		p := held
		held = nil
		if p == nil {
			if len(batch) == 0 {
				select {
				case p = <-b.queue:
				case <-ctx.Done():
					return nil, nil
				}
			} else {
				select {
				case p = <-b.queue:
				default:
					return batch, nil
				}
			}
			if p.claimed.Swap(true) {
				continue // its caller has given up
			}
		}
		if len(batch) > 0 && size+len(p.command) > MaxBatchBytes {
			return batch, p
		}
		batch = append(batch, p)
		size += len(p.command)
		if len(batch) == MaxBatch || size >= MaxBatchBytes {
			return batch, nil
		}
	}
}

// hold keeps new entries from beginning, and returns once those under way have
// been answered, or after a while. release lets them begin again.
func (b *batcher) hold(ctx context.Context, limit time.Duration) (release func()) {
	alone := make(chan struct{})
	go func() {
		b.holding <- struct{}{}
		for range maxFlights {
			b.going <- struct{}{}
		}
		close(alone)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-alone:
		return b.letGo
	case <-timer.C:
	case <-ctx.Done():
	}
	return func() {
		go func() { // they end with the leadership, or with raft
			<-alone
			b.letGo()
		}()
	}
}

func (b *batcher) letGo() {
	for range maxFlights {
		<-b.going
	}
	<-b.holding
}

func (b *batcher) settle(batch []*proposal, future raft.ApplyFuture) {
	err := b.await(future)
	var outcomes []license.Outcome
	if err == nil {
		switch r := future.Response().(type) {
		case []license.Outcome:
			outcomes = r
		case error:
			err = errors.Join(ErrUnknown, r)
		}
		if err == nil && len(outcomes) != len(batch) {
			err = fmt.Errorf("%w: %d outcomes for %d commands", ErrUnknown, len(outcomes), len(batch))
		}
	}
	for i, p := range batch {
		a := proposed{err: err}
		if err == nil {
			a.outcome = outcomes[i]
		}
		p.answer <- a
	}
}

// await waits for raft's answer, or for raft's end.
func (b *batcher) await(future raft.ApplyFuture) error {
	endsWith(future, b.down)
	err := future.Error()
	if errors.Is(err, raft.ErrRaftShutdown) {
		return errors.Join(ErrUnknown, ErrClosed)
	}
	return proposalError(err)
}

// abandon lets go of what raft will not answer any more, after it was shut down.
func (b *batcher) abandon() { close(b.down) }

// Propose decides and carries out a command: it returns once a majority has
// fsynced the entry and this node, the leader, has applied it. ErrNotLeader,
// ErrTooLarge: nothing was done. ErrUnknown: the leadership was lost, or ctx
// ended, in between.
func (s *Store) Propose(ctx context.Context, c license.Command) (license.Outcome, error) {
	if _, ok := s.Leading(); !ok {
		return license.Outcome{}, ErrNotLeader
	}
	out, err := s.batcher.do(ctx, c)
	if err != nil && planted(bugStaleLeader) {
		return s.guess(c), nil
	}
	return out, err
}
