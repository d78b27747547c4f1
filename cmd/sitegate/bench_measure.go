package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"sitegate/load"
	"sitegate/load/desk"
)

// open reads the flags and opens the site; close it also after an error.
func (o *benchFlags) open(ctx context.Context, p *program, f *pflag.FlagSet, args []string) (*benchSite, error) {
	none := &benchSite{o: o, remove: func() {}}
	if err := p.parseNone(f, args); err != nil {
		return none, err
	}
	if err := o.check(); err != nil {
		return none, err
	}
	if o.clients == 0 {
		return none, usagef("%s: --clients must be at least 1", o.name)
	}
	return newBenchSite(ctx, o)
}

// running is a session that runs while something else is measured.
type running struct {
	user    desk.User
	machine desk.Machine
	id      string
}

// startSessions starts one for each of the first n users. Who leads may have changed by
// then: the leader is put first again.
func (s *benchSite) startSessions(ctx context.Context, n int) ([]running, error) {
	all := make([]running, n)
	err := s.eachUser(ctx, n, s.addrs[:1], func(c *desk.Conn, i int) error {
		name := fmt.Sprintf("WS-%d", i)
		all[i] = running{s.users[i], desk.Machine{ID: "m-" + name, Name: name}, desk.NewID()}
		return c.Start(all[i].user, all[i].machine, all[i].id)
	})
	if err != nil {
		return nil, fmt.Errorf("starting a session for each user: %w", err)
	}
	if len(s.nodes) > 0 {
		leader, err := leaderOf(ctx, s.nodes)
		if err != nil {
			return nil, err
		}
		s.lead(leader)
	}
	return all, nil
}

// missing counts the sessions that a node does not have.
func (s *benchSite) missing(ctx context.Context, sessions []running) (n int, err error) {
	for _, addr := range s.addrs {
		conn := s.conn(addr)
		for i := 0; i < len(sessions); i += max(1, len(sessions)/1000) {
			there, err := s.has(ctx, conn, sessions[i].user, sessions[i].id)
			if err != nil {
				return n, fmt.Errorf("looking for a session: %w", err)
			}
			if !there {
				n++
			}
		}
		conn.Close()
	}
	return n, nil
}

// measure warms up, measures and prints calls while sessions run, which must all
// be there afterwards; of a cluster that runs on, they are then stopped.
func (s *benchSite) measure(ctx context.Context, what string, call func(context.Context, int) (time.Time, error), sessions []running) error {
	o := s.o
	run := func(time time.Duration) *load.Result {
		return load.Load{Callers: o.clients, Rate: o.rate, Time: time, Call: call}.Run(ctx)
	}
	o.tell("warming up for %v, measuring for %v", o.warm, o.time)
	run(o.warm)
	before := s.usage(ctx)
	l := run(o.time).Line(o.title(what))
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	s.note(ctx, &l, before)
	missing, err := s.missing(ctx, sessions)
	if err != nil {
		return s.explain(err)
	}
	l.Lost = uint64(missing)
	if len(s.nodes) == 0 {
		err := s.eachUser(ctx, len(sessions), s.addrs[:1], func(c *desk.Conn, i int) error {
			return c.Stop(sessions[i].user, sessions[i].machine, sessions[i].id)
		})
		if err != nil {
			return fmt.Errorf("stopping what was started: %w", err)
		}
	}
	return o.print(l)
}
