package raftstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// reign is one leadership of this node, from when it may serve.
type reign struct {
	term uint64
	ctx  context.Context // ends with the leadership
}

// watch follows raft's word on who leads, until the store closes.
func (s *Store) watch() {
	seen := make(chan raft.Observation, 16)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	s.raft.RegisterObserver(observer)
	defer s.raft.DeregisterObserver(observer)
	s.elections.begin(s.raft.CurrentTerm())
	s.seeLeader()
	s.follow()
	s.changed()
	end := func() {}
	defer func() { end() }()
	for {
		select {
		case up := <-s.raft.LeaderCh():
			end() // a loss and a new win between two looks is one message
			end = func() {}
			if up {
				end = s.rule()
			}
		case o := <-seen:
			if l, ok := o.Data.(raft.LeaderObservation); ok && l.LeaderID != "" {
				s.log.Info("the cluster has a leader", "leader", string(l.LeaderID), "term", s.raft.CurrentTerm())
			}
		case <-s.ctx.Done():
			return
		}
		s.seeLeader()
		s.follow()
		s.changed()
	}
}

// tenure is one node's time as the leader, as this node knows it. It goes on while
// no leader is known, and ends when another is.
type tenure struct {
	leader string
	ctx    context.Context
	end    context.CancelCauseFunc
}

var errDeposed = errors.New("the cluster has another leader")

// follow takes up whom raft follows: who waits for an answer of the leader before
// waits in vain.
func (s *Store) follow() {
	address, id := s.raft.LeaderWithID()
	was := s.tenure.Load()
	if id == "" || was != nil && was.leader == string(id) {
		return
	}
	t := &tenure{leader: string(id)}
	t.ctx, t.end = context.WithCancelCause(s.ctx)
	s.tenure.Store(t)
	if was != nil {
		was.end(errDeposed)
	}
	if s.mux != nil && t.leader != s.cfg.Node { // who is not connected does not notice when it ends
		s.spawn(func() {
			if _, err := s.peer(t.leader, string(address)).connect(t.ctx); err != nil {
				s.log.Debug("the leader could not be connected to", "leader", t.leader, "err", err)
			}
		})
	}
}

// changed wakes those who wait for a leader.
func (s *Store) changed() { s.changes.raise(s.changes.get() + 1) }

// rule begins a leadership; the function it returns ends it.
func (s *Store) rule() (end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	s.metrics.leads.Inc()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := s.serveAsLeader(ctx)
			if err == nil || ctx.Err() != nil {
				return
			}
			s.log.Warn("this node leads but cannot serve yet", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() {
		if planted(bugStaleLeader) {
			time.Sleep(2 * time.Second)
		}
		s.reign.Store(nil)
		cancel()
		<-done
	}
}

// foundWait is how long a new site waits for a node that tells which of two clocks
// is right.
const foundWait = 30 * time.Second

// serveAsLeader makes ready, lets this node serve, and watches the leases until
// ctx ends. Ready is: all earlier entries are applied, the clock is set, every
// session has a fresh full lease.
func (s *Store) serveAsLeader(ctx context.Context) error {
	term := s.raft.CurrentTerm()
	if err := s.barrier(ctx); err != nil {
		return fmt.Errorf("applying what earlier leaders have decided: %w", err)
	}
	if !s.clock.anchored() { // after a full stop the wall clocks are all there is to go by; else the looks have told them
		s.askWalls(ctx)
	}
	s.fsm.mu.RLock()
	head := s.fsm.state.Head()
	if head.Now == 0 && s.clock.undecided() && s.mono()-s.opened < foundWait {
		s.fsm.mu.RUnlock()
		return errors.New("the nodes that are up do not agree on the time; another is waited for, for a while")
	}
	s.clock.lead(head.Now)
	s.leases.begin(s.fsm.state)
	s.fsm.mu.RUnlock()
	defer s.leases.end()
	if err := s.found(ctx, head); err != nil {
		return err
	}
	if !s.leadsIn(term) {
		return ErrNotLeader
	}
	s.log.Info("this node leads", "term", term)
	s.reign.Store(&reign{term: term, ctx: ctx})
	s.changed()
	defer s.log.Info("this node does not lead any more", "term", term)
	defer s.reign.Store(nil)
	s.expire(ctx)
	return nil
}

// barrier returns once everything in the log before it has been applied.
func (s *Store) barrier(ctx context.Context) error {
	future := s.raft.Barrier(enqueueWithin)
	endsWith(future, s.batcher.down)
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// found gives a new site its identity, and stops a node whose log is another's.
func (s *Store) found(ctx context.Context, head license.Head) error {
	if head.Cluster == "" {
		found := license.Found{Cluster: s.identity.Cluster, Level: 1} // raised when all are known
		rand.Read(found.Seed[:])                                      // it never fails
		out, err := s.batcher.do(ctx, found)
		if err != nil {
			return fmt.Errorf("founding the site: %w", err)
		}
		if out.Denial == nil {
			return nil
		}
		s.View(func(st *license.State) { head = st.Head() })
	}
	if head.Restored.Pending {
		if err := s.resume(ctx, head); err != nil {
			return err
		}
	}
	if head.Cluster != s.identity.Cluster {
		err := fmt.Errorf("the log is of site %s, this node is of %s; set the right folder, or the right cluster", head.Cluster, s.identity.Cluster)
		s.halt(err)
		return err
	}
	return nil
}

// resume begins the wait of a site that was restored.
func (s *Store) resume(ctx context.Context, head license.Head) error {
	out, err := s.batcher.do(ctx, license.Resume{Epoch: head.Epoch})
	if err == nil && out.Denial != nil {
		err = fmt.Errorf("the rules refuse it: %s", out.Denial.Reason)
	}
	if err != nil {
		return fmt.Errorf("going on after the restore: %w", err)
	}
	s.View(func(st *license.State) { head = st.Head() })
	s.log.Warn("this site goes on from a backup, or from one node; nothing capped is granted for now", "epoch", head.Epoch, "until", head.Restored.Until.String())
	return nil
}

// reigning is this node's leadership, or nil where it does not lead, or not yet.
func (s *Store) reigning() *reign {
	rg := s.reign.Load()
	if rg != nil && planted(bugStaleLeader) {
		return rg
	}
	if rg == nil || rg.ctx.Err() != nil || !s.leadsIn(rg.term) {
		return nil
	}
	return rg
}

// leads reports whether raft leads here, as far as is known: where its goroutine
// waits for the disk, another may lead already, which it does not know.
func (s *Store) leads() bool { return s.leadsIn(s.raft.CurrentTerm()) }

func (s *Store) leadsIn(term uint64) bool {
	return s.raft.State() == raft.Leader && s.raft.CurrentTerm() == term && s.later.get() <= term
}

// overtaken notes that another leads in a later term.
func (s *Store) overtaken(term uint64) {
	if term > s.later.get() {
		s.later.raise(term)
		s.changed()
	}
}

// Leading reports whether this node leads and may serve, and in which term.
func (s *Store) Leading() (term uint64, ok bool) {
	if rg := s.reigning(); rg != nil {
		return rg.term, true
	}
	return 0, false
}

// Lead calls f while this node leads, with a context that ends with its
// leadership, once for each leadership. It returns when ctx ends, or the store
// closes, and f has returned.
func (s *Store) Lead(ctx context.Context, f func(ctx context.Context)) error {
	for {
		mark := s.changes.get()
		if rg := s.reigning(); rg != nil {
			s.leadOnce(ctx, rg, f)
		}
		if err := s.waitChange(ctx, mark, 0); err != nil {
			return err
		}
	}
}

func (s *Store) leadOnce(ctx context.Context, rg *reign, f func(ctx context.Context)) {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(rg.ctx, cancel)
	defer stop()
	f(during)
	<-during.Done() // f may have been done early; it is not called again for this one
}

// waitChange waits until a leader has come or gone since mark, at most for limit
// if that is not zero.
func (s *Store) waitChange(ctx context.Context, mark uint64, limit time.Duration) error {
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })()
	if limit > 0 {
		var stop context.CancelFunc
		wait, stop = context.WithTimeoutCause(wait, limit, errLimit)
		defer stop()
	}
	err := s.changes.wait(wait, mark+1)
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

var errLimit = errors.New("the time limit is over")

// awaitReign waits while this node leads and makes ready to serve.
func (s *Store) awaitReign(ctx context.Context) error {
	for {
		mark := s.changes.get()
		if s.reigning() != nil {
			return nil
		}
		if !s.leads() {
			return ErrNotLeader
		}
		if err := s.waitChange(ctx, mark, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// atLeader carries out a request on the leader: here where this node leads, there
// over a peer. What has not been done is tried again until LeaderWait is over,
// or ctx, then ErrNoLeader; what may have been done only if again says that repeating
// does no harm.
func (s *Store) atLeader(ctx context.Context, again bool, here func(ctx context.Context) error, there func(ctx context.Context, p *peer) error) error {
	limit := time.NewTimer(s.cfg.LeaderWait)
	defer limit.Stop()
	for {
		mark := s.changes.get()
		err := s.tryLeader(ctx, here, there)
		undone := errors.Is(err, ErrNotLeader) || errors.Is(err, ErrNoLeader) || neverSent(err)
		if !undone && !(again && errors.Is(err, ErrUnknown)) {
			return err
		}
		select {
		case <-limit.C:
			if undone {
				return ErrNoLeader
			}
			return err
		default:
		}
		if over := s.waitChange(ctx, mark, 100*time.Millisecond); over != nil {
			if undone { // whoever has no more time is told that, and not that it may have been done
				return fmt.Errorf("%w (%w)", ErrNoLeader, over)
			}
			return over
		}
	}
}

func (s *Store) tryLeader(ctx context.Context, here func(ctx context.Context) error, there func(ctx context.Context, p *peer) error) error {
	address, name := s.raft.LeaderWithID()
	switch {
	case s.leads():
		if err := s.awaitReign(ctx); err != nil {
			return notSent{err}
		}
		return here(ctx)
	case name == "" || string(name) == s.cfg.Node:
		return ErrNoLeader
	}
	t := s.tenure.Load()
	if t == nil || t.leader != string(name) {
		return ErrNoLeader // not taken up yet, which is a change to wait for
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ctx, func() { cancel(context.Cause(t.ctx)) })()
	return there(ctx, s.peer(string(name), s.mux.movedTo(string(name), string(address))))
}
