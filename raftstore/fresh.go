package raftstore

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/time/rate"

	"sitegate/license"
)

// termReport is what a node says when it is asked for its term.
type termReport struct {
	Term    uint64       `cbor:"1,keyasint"`
	Wall    license.Time `cbor:"2,keyasint"`             // its wall clock
	Now     license.Time `cbor:"3,keyasint,omitempty"`   // the cluster's time, as it knows it
	Leading bool         `cbor:"4,keyasint,omitempty"`   // it leads and serves
	Last    uint64       `cbor:"120,keyasint,omitempty"` // its log ends there
	Disk    DiskState    `cbor:"110,keyasint,omitempty"`
	Drained bool         `cbor:"160,keyasint,omitempty"` // it would hand the leadership on
}

// termAnswer reads the term after the question has arrived: whoever was elected
// before that has raised it on a majority of the nodes.
func (s *Store) termAnswer() []byte {
	_, leading := s.Leading()
	b, _, err := s.codec.appendValue(nil, termReport{Term: s.raft.CurrentTerm(), Wall: license.TimeOf(s.cfg.Clock()),
		Now: s.clock.now(), Leading: leading, Last: s.raft.LastIndex(), Disk: s.Disk().State, Drained: s.roster.drained.Load()})
	if err != nil {
		return nil // which no node takes for a term
	}
	return b
}

func (p *peer) term(ctx context.Context) (termReport, error) {
	var t termReport
	b, err := p.call(ctx, methodTerm, nil)
	if err == nil {
		err = p.s.codec.message(b, reflect.ValueOf(&t))
	}
	if err == nil && t.Wall != 0 {
		p.s.clock.told(p.name, t.Wall)
	}
	return t, err
}

// freshness batches the callers of Fresh: one check is under way, who comes
// meanwhile waits for the next, which begins after the call.
type freshness struct {
	pace    *rate.Limiter
	mu      sync.Mutex
	waiting []chan error
	running bool
}

// Checks follow each other no faster than this, but for a few at once: a check costs
// the same for one who waits as for a hundred, and takes the processors of all nodes. One
// that many wait for counts for several, so that where there are ever more callers, checks
// become fewer and not more: 250 a second at the least.
const (
	checksPerSecond = 1000
	checksAtOnce    = 8

	callersOfCheck = 2 // for each so many, one counts for one more
	mostOfCheck    = 4
)

// countsFor is how many checks one counts for that so many wait for.
func countsFor(callers int) int { return min(max(callers/callersOfCheck, 1), mostOfCheck) }

// Fresh returns once a majority has confirmed, by an exchange begun after the
// call, that this node still leads, and everything committed before the call has
// been applied here: what View shows then is as fresh as a write. ErrNotLeader
// otherwise.
//
// raft's own VerifyLeader counts answers that were under way before the call; a
// leader that was paused would believe them.
func (s *Store) Fresh(ctx context.Context) error {
	ch := make(chan error, 1)
	f := &s.fresh
	f.mu.Lock()
	f.waiting = append(f.waiting, ch)
	if !f.running {
		f.running = s.spawn(s.confirm)
		if !f.running {
			f.waiting = nil
			f.mu.Unlock()
			return ErrClosed
		}
	}
	f.mu.Unlock()
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Store) confirm() {
	s.fresh.run(func(callers int) {
		if !s.alone() {
			_ = s.fresh.pace.WaitN(s.ctx, countsFor(callers)) // once the store closes no check can succeed, and each says so
		}
	}, s.confirmOnce)
}

// run checks, each time after a pause, until nobody waits. The pause is told how many wait
// when it begins.
func (f *freshness) run(pause func(callers int), check func() error) {
	for callers := f.asked(); callers > 0; callers = f.asked() {
		pause(callers)
		batch := f.take()
		err := check()
		for _, ch := range batch {
			ch <- err
		}
	}
}

// asked is how many wait; if nobody does, no check is running any more. It comes before the
// pause: one for nobody would be the next caller's to wait for.
func (f *freshness) asked() (callers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = len(f.waiting) > 0
	return len(f.waiting)
}

// take is those who wait for a check that begins now.
func (f *freshness) take() []chan error {
	f.mu.Lock()
	defer f.mu.Unlock()
	batch := f.waiting
	f.waiting = nil
	return batch
}

// alone reports whether this node is the only voter: its checks ask nobody, and need no pace.
func (s *Store) alone() bool {
	voters, self := 0, false
	for _, m := range s.configured() {
		if m.voter {
			voters++
			self = self || m.name == s.cfg.Node
		}
	}
	return self && voters == 1
}

// confirmLimit bounds one check; a leader that is cut off loses its leadership
// before that.
const confirmLimit = 3 * time.Second

func (s *Store) confirmOnce() error {
	rg := s.reigning()
	if rg == nil {
		return ErrNotLeader
	}
	if planted(bugStaleLeader) {
		return nil
	}
	ctx, cancel := context.WithTimeout(rg.ctx, confirmLimit)
	defer cancel()
	committed := s.raft.CommitIndex()
	if !s.majorityAt(ctx, rg.term) {
		return ErrNotLeader
	}
	if !s.leadsIn(rg.term) {
		return ErrNotLeader
	}
	if err := s.caughtUp(ctx, committed); err != nil {
		return ErrNotLeader
	}
	return nil
}

// majorityAt reports whether a majority of the voters, this one among them, has
// not seen a term after this one.
func (s *Store) majorityAt(ctx context.Context, term uint64) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	voters, self := 0, 0
	votes := make(chan bool, 16)
	for _, m := range s.members() {
		if !m.voter {
			continue
		}
		voters++
		if m.name == s.cfg.Node {
			self = 1
			continue
		}
		ask := func() {
			t, err := s.peer(m.name, m.address).term(ctx)
			votes <- err == nil && t.Term != 0 && t.Term <= term
		}
		if voters > cap(votes) || !s.spawn(ask) {
			return false
		}
	}
	yes, no := self, 0
	for need := voters/2 + 1; yes < need; {
		if no > voters-need {
			return false
		}
		select {
		case v := <-votes:
			if v {
				yes++
			} else {
				no++
			}
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// caughtUp waits until the commands up to an index have been applied. Entries
// that raft keeps to itself do not count: they never reach the state.
func (s *Store) caughtUp(ctx context.Context, index uint64) error {
	applied := s.fsm.applied.get()
	for ; index > applied; index-- {
		var l raft.Log
		if err := s.logs.GetLog(index, &l); err != nil {
			return nil // cut off already, so it was applied
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			return s.fsm.applied.wait(ctx, index)
		}
	}
	return nil
}

// askWalls asks the nodes for their wall clocks and waits for those that answer.
func (s *Store) askWalls(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for _, m := range s.others() {
		group.Go(func() {
			if _, err := s.peer(m.name, m.address).term(ctx); err != nil {
				s.log.Info("a node does not tell what time it is", "peer", m.name, "err", err)
			}
		})
	}
	group.Wait()
}
