package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/load"
	"sitegate/load/desk"
)

const benchStartsHelp = `
Usage: sitegate bench starts [--nodes N] [--clients N] [--confirm] [FLAGS]
       sitegate bench starts --url https://gw1:8443 --ca site-ca.pem --tokens FILE --product 3101

Starts and stops sessions over TLS: each client, on a connection of its own, for
one user after the other, the next start when the last stop is answered. Times are
those of the starts. At the end every client starts one more session, which every
node must have then.
` + benchAbout + `

Without --confirm the cluster is cut off from its cloud after it has read who is
licensed, and decides alone; with it the cloud is asked at every start. --rate
makes it an open loop.

Example:
  sitegate bench starts --nodes 3 --clients 256
`

func benchStarts(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench starts", benchStartsHelp)
	var o benchFlags
	p.benchFlags(f, &o)
	f.IntVar(&o.clients, "clients", 256, "clients, each with a connection of its own")
	f.Float64Var(&o.rate, "rate", 0, "pairs of start and stop a second, whether or not earlier ones are answered")
	f.BoolVar(&o.confirm, "confirm", false, "have the cloud confirm every start")
	o.targetFlags(f)
	s, err := o.open(ctx, p, f, args)
	defer s.close()
	if err != nil {
		return err
	}
	o.clients = min(o.clients, len(s.users))
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	cs := newClients(s, o.clients)
	defer cs.close()
	o.tell("warming up for %v, measuring for %v", o.warm, o.time)
	cs.run(ctx, o.warm)
	before := s.usage(ctx)
	result := cs.run(ctx, o.time)
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	l := result.Line(o.title("starts"))
	s.note(ctx, &l, before)
	l.More = map[string]float64{"stop_p50_ms": load.MS(cs.stops.Quantile(0.5)), "stop_p99_ms": load.MS(cs.stops.Quantile(0.99))}
	missing, err := cs.keep(ctx)
	l.Lost = cs.lost.Load() + uint64(missing)
	if err != nil {
		return s.explain(err)
	}
	return o.print(l)
}

// title names a run after what it is.
func (o *benchFlags) title(what string) string {
	if len(o.url) > 0 {
		what += fmt.Sprintf(", %s", count(len(o.url), "URL"))
	} else {
		what += fmt.Sprintf(", %s", count(o.nodes, "node"))
	}
	if o.clients > 0 {
		what += fmt.Sprintf(", %s", count(o.clients, "client"))
	}
	if o.rate > 0 {
		what += fmt.Sprintf(", %.0f/s", o.rate)
	}
	if o.confirm {
		what += ", confirmed by the cloud"
	}
	if o.at == "all" {
		what += ", through all nodes"
	}
	return what
}

func interrupted(ctx context.Context) error {
	return fmt.Errorf("the measurement was interrupted: %w", context.Cause(ctx))
}

// clients start and stop sessions, each for users of its own.
type clients struct {
	s     *benchSite
	all   []*client1
	stops *load.Times
	lost  atomic.Uint64 // granted, and not there when they were to be stopped
}

// client1 is one of them.
type client1 struct {
	conn    *desk.Conn
	machine desk.Machine
	next    int // user
}

func newClients(s *benchSite, n int) *clients {
	cs := &clients{s: s}
	asked := s.asked()
	for i := range n {
		name := fmt.Sprintf("BENCH-%d", i)
		cs.all = append(cs.all, &client1{conn: s.conn(asked[i%len(asked)]), machine: desk.Machine{ID: "m-" + name, Name: name}, next: i})
	}
	return cs
}

func (cs *clients) close() {
	for _, c := range cs.all {
		c.conn.Close()
	}
}

// user is the next one of a client's.
func (cs *clients) user(c *client1) desk.User {
	u := cs.s.users[c.next]
	if c.next += len(cs.all); c.next >= len(cs.s.users) {
		c.next %= len(cs.all)
	}
	return u
}

func (cs *clients) run(ctx context.Context, time time.Duration) *load.Result {
	cs.stops = &load.Times{}
	return load.Load{Callers: len(cs.all), Rate: cs.s.o.rate, Time: time, Call: cs.pair}.Run(ctx)
}

// pair is one start and stop; the start is timed.
func (cs *clients) pair(_ context.Context, i int) (time.Time, error) {
	c := cs.all[i]
	u, id := cs.user(c), desk.NewID()
	if err := c.conn.Start(u, c.machine, id); err != nil {
		return time.Time{}, fmt.Errorf("start: %w", err)
	}
	over := time.Now()
	err := c.conn.Stop(u, c.machine, id)
	cs.stops.Add(time.Since(over))
	if desk.Is(err, desk.CodeUnknownSession) {
		cs.lost.Add(1)
	}
	if err != nil {
		return over, fmt.Errorf("stop: %w", err)
	}
	return over, nil
}

// keep starts a session for each client that is not stopped, and counts those that
// one of the nodes does not come to have; then it stops them.
func (cs *clients) keep(ctx context.Context) (missing int, err error) {
	type kept struct {
		user desk.User
		id   string
	}
	sessions := make([]kept, len(cs.all))
	each := func(f func(c *client1, k *kept) error) error {
		errs := make([]error, len(cs.all))
		var all sync.WaitGroup
		for i, c := range cs.all {
			all.Go(func() { errs[i] = f(c, &sessions[i]) })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	if err := each(func(c *client1, k *kept) error {
		*k = kept{cs.user(c), desk.NewID()}
		return c.conn.Start(k.user, c.machine, k.id)
	}); err != nil {
		return 0, fmt.Errorf("starting a last session: %w", err)
	}
	for _, addr := range cs.s.addrs {
		conn := cs.s.conn(addr)
		for _, k := range sessions {
			there, err := cs.s.has(ctx, conn, k.user, k.id)
			if err != nil {
				return missing, fmt.Errorf("looking for a session: %w", err)
			}
			if !there {
				missing++
			}
		}
		conn.Close()
	}
	return missing, each(func(c *client1, k *kept) error { return c.conn.Stop(k.user, c.machine, k.id) })
}

// has asks a node for a session until it has it, for as long as nodes may be
// behind.
func (s *benchSite) has(ctx context.Context, conn *desk.Conn, u desk.User, id string) (bool, error) {
	for limit := time.Now().Add(5 * time.Second); ; {
		there, err := conn.Has(u, id)
		if there || err != nil || time.Now().After(limit) || ctx.Err() != nil {
			return there, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
