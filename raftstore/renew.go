package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sitegate/license"
)

// maxRenewals is how many heartbeats go to the leader in one message.
const maxRenewals = 2048

// Renew counts heartbeats. It answers after the leader has acknowledged them,
// once it has made sure that it still leads; the leases are in the order of the
// renewals. ErrNoLeader: no leader could be asked.
func (s *Store) Renew(ctx context.Context, renewals []license.Renewal) ([]license.Lease, error) {
	if _, ok := s.Leading(); ok {
		leases, err := s.renewHere(ctx, renewals)
		if !errors.Is(err, ErrNotLeader) {
			return leases, err
		}
	}
	return s.renewer.do(ctx, renewals)
}

// renewHere acknowledges heartbeats as the leader.
func (s *Store) renewHere(ctx context.Context, renewals []license.Renewal) ([]license.Lease, error) {
	arrived := s.mono()
	todo := make([]int, len(renewals))
	for i := range todo {
		todo[i] = i
	}
	leases := make([]license.Lease, len(renewals))
	if _, err := s.renewAll(renewals, todo, leases, arrived); err != nil { // they count from their arrival
		return nil, err
	}
	for {
		if err := s.Fresh(ctx); err != nil {
			return nil, err
		}
		waits, err := s.renewAll(renewals, todo, leases, arrived)
		if err != nil || len(waits) == 0 {
			return leases, err
		}
		todo = todo[:0]
		for i, wait := range waits {
			todo = append(todo, i)
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
}

// renewAll asks the rules about the renewals listed in todo, moves the deadlines
// of those that live, and returns which have to wait for an expiry's outcome.
func (s *Store) renewAll(renewals []license.Renewal, todo []int, leases []license.Lease, arrived time.Duration) (map[int]<-chan struct{}, error) {
	at := s.clock.now()
	s.fsm.mu.RLock()
	defer s.fsm.mu.RUnlock()
	var waits map[int]<-chan struct{}
	for _, i := range todo {
		leases[i] = license.Renew(s.fsm.state, at, renewals[i])
		if leases[i].Denial != nil {
			continue
		}
		wait, off := s.leases.touch(renewals[i].Session, arrived+leaseOf(leases[i].TTL))
		if off {
			return nil, ErrNotLeader
		}
		if wait != nil {
			if waits == nil {
				waits = map[int]<-chan struct{}{}
			}
			waits[i] = wait
		}
	}
	return waits, nil
}

// expire is the leader's watch over the leases, until ctx ends with its
// leadership.
func (s *Store) expire(ctx context.Context) {
	tick := time.NewTicker(s.cfg.LeaseTick)
	defer tick.Stop()
	last := s.mono()
	busy := make(chan struct{}, 1) // one round of expiries at a time
	var rounds sync.WaitGroup
	defer rounds.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.mono()
		if gap := now - last; gap > s.cfg.LeaseTick+pauseLimit {
			s.log.Warn("this node was paused; every session gets a full lease", "pause_ms", gap.Milliseconds())
			s.leases.refresh(now)
		}
		last = now
		select {
		case busy <- struct{}{}:
		default:
			continue
		}
		ids := s.leases.due(now, MaxBatch)
		if len(ids) == 0 {
			<-busy
			continue
		}
		rounds.Go(func() {
			defer func() { <-busy }()
			s.expireNow(ctx, ids, now)
		})
	}
}

// pauseLimit is the gap between two looks at the leases from which on this node
// counts as having been paused.
const pauseLimit = time.Second

// expireNow proposes the end of sessions whose lease ran out at noticed, after
// making sure that this node still leads.
func (s *Store) expireNow(ctx context.Context, ids []license.ID, noticed time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := s.Fresh(ctx); err != nil {
		return // they come up again
	}
	now := s.mono()
	if now-noticed > pauseLimit {
		return // paused in between: heartbeats may be waiting to be read
	}
	var commands []license.Command
	s.fsm.mu.RLock() // the generation and the deadline are of the same moment
	ids = s.leases.expire(ids, now)
	for _, id := range ids {
		if x := s.fsm.state.Session(id); x != nil {
			commands = append(commands, license.Expire{ID: id, Generation: x.Generation})
		}
	}
	s.fsm.mu.RUnlock()
	defer s.leases.unmark(ids)
	beforeExpire()
	var wg sync.WaitGroup
	for _, c := range commands {
		wg.Go(func() {
			out, err := s.Propose(ctx, c)
			if err != nil {
				s.log.Warn("a lease could not be expired; it will be tried again", "err", err)
			} else if out.Denial == nil && out.Session != nil {
				s.metrics.expired.Inc()
			}
		})
	}
	wg.Wait()
}

// renewer carries heartbeats to the leader, many at once: while one message is
// under way the next gathers.
type renewer struct {
	s  *Store
	mu sync.Mutex

	waiting []*renewal
	running int // messages under way
	group   sync.WaitGroup
}

type renewal struct {
	renewals []license.Renewal
	answer   chan renewed
}

type renewed struct {
	leases []license.Lease
	err    error
}

type renewMessage struct {
	Renewals []license.Renewal `cbor:"1,keyasint"`
}

type renewAnswer struct {
	Leases []license.Lease `cbor:"1,keyasint"`
}

func (r *renewer) do(ctx context.Context, renewals []license.Renewal) ([]license.Lease, error) {
	if len(renewals) > maxRenewals {
		return nil, fmt.Errorf("%d heartbeats at once, at most %d", len(renewals), maxRenewals)
	}
	w := &renewal{renewals: renewals, answer: make(chan renewed, 1)}
	r.mu.Lock()
	if r.s.ctx.Err() != nil {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	r.waiting = append(r.waiting, w)
	if r.running < 2 {
		r.running++
		r.group.Go(r.run)
	}
	r.mu.Unlock()
	select {
	case a := <-w.answer:
		return a.leases, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (r *renewer) run() {
	for {
		r.mu.Lock()
		var batch []*renewal
		n := 0
		for len(r.waiting) > 0 && n+len(r.waiting[0].renewals) <= maxRenewals {
			batch = append(batch, r.waiting[0])
			n += len(r.waiting[0].renewals)
			r.waiting = r.waiting[1:]
		}
		if len(batch) == 0 {
			r.running--
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		r.carry(batch, n)
	}
}

func (r *renewer) carry(batch []*renewal, n int) {
	all := make([]license.Renewal, 0, n)
	for _, w := range batch {
		all = append(all, w.renewals...)
	}
	ctx, cancel := context.WithTimeout(r.s.ctx, 5*time.Second)
	defer cancel()
	leases, err := r.s.renewAtLeader(ctx, all)
	if err == nil && len(leases) != len(all) {
		err = fmt.Errorf("the leader answered %d of %d heartbeats", len(leases), len(all))
	}
	for _, w := range batch {
		a := renewed{err: err}
		if err == nil {
			a.leases, leases = leases[:len(w.renewals):len(w.renewals)], leases[len(w.renewals):]
		}
		w.answer <- a
	}
}

// renewAtLeader asks whoever leads; a heartbeat may be repeated without harm.
func (s *Store) renewAtLeader(ctx context.Context, all []license.Renewal) ([]license.Lease, error) {
	var leases []license.Lease
	err := s.atLeader(ctx, true, func(ctx context.Context) error {
		var err error
		leases, err = s.renewHere(ctx, all)
		return err
	}, func(ctx context.Context, p *peer) error {
		var a renewAnswer
		if err := p.ask(ctx, methodRenew, renewMessage{all}, &a); err != nil {
			return err
		}
		leases = a.Leases
		return nil
	})
	return leases, err
}
