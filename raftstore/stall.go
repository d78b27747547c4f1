package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// stalls watches writes to disk that are under way. raft waits for its log without
// a limit, and its heartbeats go on meanwhile: a leader whose disk hangs would lead
// for ever, and no command would be carried out.
type stalls struct {
	limits StallLimits
	log    *slog.Logger
	mono   func() time.Duration
	// slow is called once for a write that takes longer than limits.StepDown, stop
	// for one that takes longer than limits.Halt.
	slow, stop func(what string, d time.Duration)

	mu      sync.Mutex
	next    int
	writes  map[int]*diskWrite
	stopped bool
}

// StallLimits are how long a write to disk may take. The time in which the process
// did not run does not count.
type StallLimits struct {
	// StepDown is how long until a leader hands over: default 2 s.
	StepDown time.Duration
	// Halt is how long until the node stops: default 10 s.
	Halt time.Duration
}

type diskWrite struct {
	what string
	took time.Duration // as far as it was watched
	told bool
}

func newStalls(limits StallLimits, log *slog.Logger, mono func() time.Duration) *stalls {
	return &stalls{limits: limits, log: log, mono: mono, writes: map[int]*diskWrite{}}
}

// begin notes that a write begins; the function it returns, that it has ended.
func (w *stalls) begin(what string) (end func()) {
	w.mu.Lock()
	id := w.next
	w.next++
	w.writes[id] = &diskWrite{what: what}
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if x := w.writes[id]; x.told {
			w.log.Info("the disk answers again", "writing", x.what, "took_ms", x.took.Milliseconds())
		}
		delete(w.writes, id)
	}
}

// stuck reports whether a write has taken so long that it may never end.
func (w *stalls) stuck() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped && len(w.writes) > 0
}

// watch looks at the writes under way until done is closed.
func (w *stalls) watch(done <-chan struct{}) {
	every := w.limits.StepDown / 20
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := w.mono()
	for {
		select {
		case <-tick.C:
		case <-done:
			return
		}
		now := w.mono()
		w.look(min(now-last, 2*every)) // a process that was paused has not waited for its disk
		last = now
	}
}

// look counts d for every write under way.
func (w *stalls) look(d time.Duration) {
	w.mu.Lock()
	var slow, over []diskWrite
	for _, x := range w.writes {
		x.took += d
		if x.took > w.limits.StepDown && !x.told {
			x.told = true
			slow = append(slow, *x)
		}
		if x.took > w.limits.Halt && !w.stopped {
			w.stopped = true
			over = append(over, *x)
		}
	}
	w.mu.Unlock()
	for _, x := range slow {
		w.slow(x.what, x.took)
	}
	for _, x := range over {
		w.stop(x.what, x.took)
	}
}

// slowDisk hands over a leadership that this node cannot exercise.
func (s *Store) slowDisk(what string, d time.Duration) {
	s.log.Warn("the disk does not answer", "writing", what, "for_ms", d.Milliseconds())
	s.metrics.stalled.Inc()
	if s.leads() {
		s.spawn(s.stepAside)
	}
}

// deadDisk stops this node.
func (s *Store) deadDisk(what string, d time.Duration) {
	s.halt(fmt.Errorf("the disk has not taken %s for %v; look at the disk, then start this node anew", what, d.Round(100*time.Millisecond)))
}

// stepAside has another voter stand for election. It does without raft's own
// hand-over, which is waiting for the same disk as everything else that a leader
// does. A follower that lacks entries is not elected.
func (s *Store) stepAside() {
	for _, m := range s.others() {
		if !s.leads() || s.ctx.Err() != nil {
			return
		}
		if !m.voter {
			continue
		}
		if err := s.callOn(m); err != nil {
			s.log.Warn("another node could not be told to lead", "peer", m.name, "err", err)
			continue
		}
		s.log.Info("another node was told to lead, since this one's disk does not answer", "peer", m.name)
		wait := time.NewTimer(2 * s.cfg.Tempo.heartbeat())
		select {
		case <-wait.C:
		case <-s.ctx.Done():
			wait.Stop()
			return
		}
	}
}

// callOn tells a voter to stand for election at once.
func (s *Store) callOn(m member) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Tempo.heartbeat())
	defer cancel()
	request := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax,
		ID: []byte(s.cfg.Node), Addr: s.standing.EncodePeer(raft.ServerID(s.cfg.Node), s.standing.LocalAddr())}}
	done := make(chan error, 1)
	go func() {
		done <- s.standing.TimeoutNow(raft.ServerID(m.name), raft.ServerAddress(m.address), request, &raft.TimeoutNowResponse{})
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("it does not answer")
	}
}
