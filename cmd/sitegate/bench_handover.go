package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/load/desk"
)

// handover is what clients have seen of one planned hand-over.
type handover struct {
	longest time.Duration // start of a session
	starts  int
	failed  int               // requests that were not answered as they must be
	lost    int               // sessions of before that are not there afterwards
	said    map[string]uint64 // by those that failed
}

// Clients ask this long before and after a hand-over.
const (
	beforeHandover = 100 * time.Millisecond
	afterHandover  = 300 * time.Millisecond
)

// handOver has the leader step down while clients start and stop sessions through all
// nodes, one after the other.
func (s *benchSite) handOver(ctx context.Context, try int) (h handover, err error) {
	h.said = map[string]uint64{}
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	leader, err := leaderOf(ctx, s.nodes)
	if err != nil {
		return h, err
	}
	s.lead(leader)
	held, err := s.holdAt(leader, try)
	if err != nil {
		return h, err
	}
	over, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var asked time.Time // mu guards it and h; zero: not yet
	var clients sync.WaitGroup
	errs := make([]error, s.o.clients)
	for i := range s.o.clients {
		clients.Go(func() {
			c := s.conn(s.addrs[i%len(s.addrs)])
			defer c.Close()
			machine := desk.Machine{ID: "m-PROBE", Name: "PROBE"}
			first, others := (try*2+1)*s.o.clients, len(s.users)-s.o.clients      // those of whom nothing is held
			for n := i; over.Err() == nil && ctx.Err() == nil; n += s.o.clients { // one user after the other: each may ask so often
				user := s.users[(first+n%others)%len(s.users)]
				id, sent := desk.NewID(), time.Now()
				until := func(what string, ask func() error) { // it is done, under the same id
					for err := ask(); err != nil && ctx.Err() == nil; err = ask() {
						mu.Lock()
						h.failed++
						h.said[what+": "+err.Error()]++
						mu.Unlock()
						time.Sleep(time.Millisecond)
					}
				}
				until("start", func() error { return c.Start(user, machine, id) })
				mu.Lock()
				if !asked.IsZero() {
					h.starts++
					h.longest = max(h.longest, time.Since(sent))
				}
				mu.Unlock()
				until("stop", func() error {
					err := c.Stop(user, machine, id)
					if desk.Is(err, desk.CodeUnknownSession) { // one that was not answered has stopped it
						err = nil
					}
					return err
				})
			}
			errs[i] = ctx.Err()
		})
	}
	time.Sleep(beforeHandover)
	mu.Lock()
	asked = time.Now()
	mu.Unlock()
	var to api.SteppedDown
	err = operator(ctx, leader.config, http.MethodPost, api.PathStepDown, api.StepDownRequest{Note: "bench"}, &to)
	time.Sleep(afterHandover)
	stop()
	clients.Wait()
	if err = errors.Join(err, errors.Join(errs...)); err != nil {
		return h, err
	}
	if h.lost, err = s.missing(ctx, held); err != nil {
		return h, err
	}
	c := s.conn(s.addrs[0])
	defer c.Close()
	for _, x := range held {
		if err := c.Stop(x.user, x.machine, x.id); err != nil && !desk.Is(err, desk.CodeUnknownSession) {
			return h, err
		}
	}
	return h, nil
}
