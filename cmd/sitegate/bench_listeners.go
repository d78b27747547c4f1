package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sitegate/load"
	"sitegate/load/desk"
)

// listeners are many clients that listen.
type listeners struct {
	all       []*listening
	heard     atomic.Pointer[load.Times] // of notices to single users; nil: not counted
	overtaken atomic.Uint64              // notices that were told to a user who had not read the last
	ended     atomic.Uint64              // connections that were followed, and have ended
	waited    atomic.Pointer[hearing]
	readers   sync.WaitGroup
}

// hearing is a notice that so many are still to hear.
type hearing struct {
	left atomic.Int64
	done chan struct{} // closed by the last
}

// listening is one of them.
type listening struct {
	l    *desk.Listener
	told atomic.Int64  // when something was said to it, Unix nanoseconds; 0: nothing it has not read
	got  atomic.Uint64 // notices to everybody that it has heard
}

func newListeners(users []desk.User) *listeners {
	c := &listeners{}
	for i, u := range users {
		name := fmt.Sprintf("WS-%d", i)
		// One address may not take half of a node's connections.
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%100))}
		c.all = append(c.all, &listening{l: &desk.Listener{User: u, Machine: desk.Machine{ID: "m-" + name, Name: name}, Instance: desk.NewID(), From: from}})
	}
	return c
}

// open connects the first n, 64 at a time, and returns how long each took. Who is not
// followed from then on answers no ping, and is not kept for long.
func (c *listeners) open(ctx context.Context, addr string, conf *tls.Config, n int, follow bool) (*load.Times, error) {
	var times load.Times
	group, gctx := errgroup.WithContext(ctx)
	const atOnce = 64
	for k := range atOnce {
		group.Go(func() error {
			for i := k; i < n && gctx.Err() == nil; i += atOnce {
				c.all[i].l.TLS = conf
				began := time.Now()
				err := c.all[i].l.Dial(gctx, addr)
				for tries := 0; tries < 50 && turnedAway(err); tries++ { // an election, say
					select {
					case <-time.After(200 * time.Millisecond):
					case <-gctx.Done():
						return gctx.Err()
					}
					err = c.all[i].l.Dial(gctx, addr)
				}
				if err != nil {
					return fmt.Errorf("opening websocket %d: %w", i, err)
				}
				times.Add(time.Since(began))
				if follow {
					c.follow(c.all[i])
				}
			}
			return gctx.Err()
		})
	}
	return &times, group.Wait()
}

// turnedAway reports whether a node has said to come again later.
func turnedAway(err error) bool {
	var no *desk.Refusal
	return errors.As(err, &no) && no.Status == http.StatusServiceUnavailable
}

// follow reads what comes until the connection ends.
func (c *listeners) follow(x *listening) {
	c.readers.Go(func() {
		for {
			notice, err := x.l.Heard()
			if err != nil {
				c.ended.Add(1)
				return
			}
			if !notice {
				continue
			}
			if told := x.told.Swap(0); told != 0 {
				if times := c.heard.Load(); times != nil {
					times.Add(time.Duration(time.Now().UnixNano() - told))
					continue
				}
			} else if c.heard.Load() != nil {
				c.overtaken.Add(1)
				continue
			}
			x.got.Add(1)
			if h := c.waited.Load(); h != nil && h.left.Add(-1) == 0 {
				close(h.done)
			}
		}
	})
}

// fanOut tells everybody something, so many times, and returns how long it took until
// the last of the readers had it. Each must have it once.
func (c *listeners) fanOut(ctx context.Context, hub *hubSite, rounds, size int, readers []*listening) (*load.Times, error) {
	var times load.Times
	before := make([]uint64, len(readers))
	for i, x := range readers {
		before[i] = x.got.Load()
	}
	defer c.waited.Store(nil)
	for round := range rounds {
		h := &hearing{done: make(chan struct{})}
		h.left.Store(int64(len(readers)))
		c.waited.Store(h)
		began := time.Now()
		if err := hub.publish(ctx, "", size); err != nil {
			return nil, err
		}
		late := time.NewTimer(callPatience)
		select {
		case <-h.done:
		case <-late.C:
			return nil, errors.New("a notice did not come within 20 s")
		case <-ctx.Done():
			return nil, interrupted(ctx)
		}
		times.Add(time.Since(began))
		late.Stop()
		for i, x := range readers {
			if got := x.got.Load() - before[i]; got != uint64(round)+1 {
				return nil, fmt.Errorf("of %d notices client %d has heard %d", round+1, i, got)
			}
		}
	}
	return &times, nil
}

// reconnect has everybody come to one of the addresses, once they notice that their
// node has gone, as its greeting has told them: the first time at random within
// first_ms, then with growing pauses.
func (c *listeners) reconnect(ctx context.Context, addrs []string, began time.Time, said func(error)) (*load.Times, uint64, uint64, error) {
	var times load.Times
	var recovered, tries atomic.Uint64
	// Each desktop has a processor of its own. Here they share one, and thousands of
	// handshakes at once would all take longer than a node waits for a client.
	const atOnce = 128
	computing := make(chan struct{}, atOnce)
	group, gctx := errgroup.WithContext(ctx)
	for _, x := range c.all {
		group.Go(func() error {
			for { // until it notices
				if _, err := x.l.Next(callPatience); err != nil {
					break
				}
			}
			x.l.Close()
			retry := x.l.Hello.Retry
			pause := rand.N(time.Duration(retry.FirstMS)*time.Millisecond + 1)
			for n := 1; ; n++ {
				select {
				case <-time.After(pause):
				case <-gctx.Done():
					return gctx.Err()
				}
				tries.Add(1)
				computing <- struct{}{}
				err := x.l.Dial(gctx, addrs[rand.IntN(len(addrs))])
				<-computing
				if err == nil {
					break
				}
				said(err)
				if time.Since(began) > 2*time.Minute {
					return fmt.Errorf("a client has not come back within 2 minutes: %w", err)
				}
				pause = rand.N(min(time.Duration(retry.MaxMS), time.Duration(retry.MinMS)<<min(n, 10))*time.Millisecond + 1)
			}
			times.Add(time.Since(began))
			if x.l.Hello.Recovered {
				recovered.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return &times, recovered.Load(), tries.Load(), err
}

func (c *listeners) close() {
	for _, x := range c.all {
		x.l.Close()
	}
	c.readers.Wait()
}
