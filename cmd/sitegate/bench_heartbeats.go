package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"sitegate/load/desk"
)

const benchHeartbeatsHelp = `
Usage: sitegate bench heartbeats [--rate N] [--clients N | --websockets N] [FLAGS]

Keeps sessions alive over TLS, at a rate: by HTTP requests over some connections,
ten sessions each, or by beats on websockets, one session each. A heartbeat counts
once the leader has acknowledged it; none may write to the log.
` + benchAbout + `

This process and each node need a file for every connection: see ulimit -n.

Example:
  sitegate bench heartbeats --rate 10000 --clients 300
  sitegate bench heartbeats --rate 2000 --websockets 10000 --at all
`

func benchHeartbeats(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench heartbeats", benchHeartbeatsHelp)
	var o benchFlags
	p.benchFlags(f, &o)
	f.Float64Var(&o.rate, "rate", 10_000, "heartbeats a second, whether or not earlier ones are answered; 0: as fast as they are")
	f.IntVar(&o.clients, "clients", 300, "connections")
	sockets := f.Int("websockets", 0, "beat on so many websockets, in place of HTTP requests")
	o.targetFlags(f)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *sockets < 0 || *sockets > o.users {
		return usagef("bench heartbeats: --websockets is at most the number of users, %d, not %d", o.users, *sockets)
	}
	s, err := o.open(ctx, p, f, nil)
	defer s.close()
	if err != nil {
		return err
	}
	*sockets = min(*sockets, len(s.users))
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	held := min(len(s.users), 10*o.clients)
	if *sockets > 0 {
		held = *sockets
	}
	o.tell("starting %s", count(held, "session"))
	sessions, err := s.startSessions(ctx, held)
	if err != nil {
		return s.explain(err)
	}
	if *sockets > 0 {
		return s.beatSockets(ctx, sessions)
	}
	o.clients = min(o.clients, held)
	cs := newClients(s, o.clients)
	defer cs.close()
	return s.measure(ctx, "heartbeats", func(_ context.Context, i int) (time.Time, error) {
		c := cs.all[i]
		x := sessions[c.next]
		if c.next += len(cs.all); c.next >= len(sessions) {
			c.next = i
		}
		return time.Time{}, c.conn.Beat(x.user, x.machine, x.id)
	}, sessions)
}

// beatSockets opens a websocket for every session, and beats on them.
func (s *benchSite) beatSockets(ctx context.Context, sessions []running) error {
	s.o.tell("opening %s", count(len(sessions), "websocket"))
	sockets := make([]*desk.Socket, len(sessions))
	defer func() {
		for _, x := range sockets {
			if x != nil {
				x.Close()
			}
		}
	}()
	asked := s.asked()
	group, gctx := errgroup.WithContext(ctx)
	const atOnce = 64
	for k := range atOnce {
		group.Go(func() error {
			for i := k; i < len(sessions) && gctx.Err() == nil; i += atOnce {
				var from net.Addr // one address may not take half of a node's connections
				if len(s.nodes) > 0 {
					from = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%100))}
				}
				var err error
				if sockets[i], err = desk.DialSocket(gctx, asked[i%len(asked)], s.tls, from, sessions[i].user, sessions[i].machine); err != nil {
					return fmt.Errorf("opening websocket %d: %w", i, err)
				}
			}
			return gctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return s.explain(err)
	}
	s.o.clients = len(sessions)
	return s.measure(ctx, "heartbeats on websockets", func(_ context.Context, i int) (time.Time, error) {
		return time.Time{}, sockets[i].Beat(sessions[i].id)
	}, sessions)
}
