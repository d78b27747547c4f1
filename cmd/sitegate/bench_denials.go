package main

import (
	"context"
	"fmt"
	"time"

	"sitegate/load/desk"
)

const benchDenialsHelp = `
Usage: sitegate bench denials [--rate N] [--clients N] [FLAGS]

Has a session started for each of some users, and then asks for the same product
from other machines, at a rate, over TLS. Each must be refused as machine-active:
as fresh as a write, and with no disk write before the answer. Refusals are
journalled afterwards, at most 50 a second; log entries shows how many entries of
the log that and all else took.
` + benchAbout + `

Example:
  sitegate bench denials --rate 10000
`

func benchDenials(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench denials", benchDenialsHelp)
	var o benchFlags
	p.benchFlags(f, &o)
	f.Float64Var(&o.rate, "rate", 10_000, "requests a second, whether or not earlier ones are answered; 0: as fast as they are")
	f.IntVar(&o.clients, "clients", 256, "connections")
	o.targetFlags(f)
	s, err := o.open(ctx, p, f, args)
	defer s.close()
	if err != nil {
		return err
	}
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	held := min(len(s.users), 5000)
	o.tell("starting %s", count(held, "session"))
	sessions, err := s.startSessions(ctx, held)
	if err != nil {
		return s.explain(err)
	}
	cs := newClients(s, o.clients)
	defer cs.close()
	return s.measure(ctx, "denials", func(_ context.Context, i int) (time.Time, error) {
		c := cs.all[i]
		u := s.users[c.next%held]
		c.next += len(cs.all)
		switch err := c.conn.Start(u, c.machine, desk.NewID()); {
		case err == nil:
			return time.Time{}, fmt.Errorf("granted, though another machine holds the license")
		case !desk.Is(err, desk.CodeMachineActive):
			return time.Time{}, err
		}
		return time.Time{}, nil
	}, sessions)
}
