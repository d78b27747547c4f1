package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"sitegate/load"
)

const benchFloodHelp = `
Usage: sitegate bench flood [--nodes N] [--clients N] [--rate N] [--from N] [--fresh N] [FLAGS]

Starts and stops sessions at a rate, first while it is quiet and then while a process of
its own floods the node that is asked: from many addresses of this machine (127.0.1.x),
as fast as one core can, with bad tokens, bad paths, wrong passwords at the console's
sign-in and half-open handshakes. Every
tenth start is on a new connection (--fresh). Times are those of the starts under the flood;
those while it was quiet, and what the flood sent and was told, come beside them.
` + benchAbout + `

Example:
  sitegate bench flood --time 1m --rate 200
`

// floodFlags are what bench flood is told.
type floodFlags struct {
	benchFlags
	from, fresh int
}

func benchFlood(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench flood", benchFloodHelp)
	o := floodFlags{benchFlags: benchFlags{users: 5_000, time: time.Minute}}
	p.benchFlags(f, &o.benchFlags)
	f.IntVar(&o.clients, "clients", 64, "honest clients, each with a connection of its own")
	f.Float64Var(&o.rate, "rate", 200, "honest pairs of start and stop a second, whether or not earlier ones are answered")
	f.IntVar(&o.from, "from", 200, "addresses that the flood comes from, 1 to 250")
	f.IntVar(&o.fresh, "fresh", 10, "every so many starts are on a new connection; 0: none")
	s, err := o.open(ctx, p, f, args)
	defer s.close()
	if err != nil {
		return err
	}
	if o.from < 1 || o.from > 250 || o.fresh < 0 || o.rate <= 0 {
		return usagef("bench flood: --from is 1 to 250, --fresh not negative, and --rate more than nothing; see sitegate bench flood --help")
	}
	o.clients = min(o.clients, len(s.users))
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	l, err := o.run(ctx, s)
	if err != nil {
		return s.explained(err)
	}
	return o.print(l)
}

// run measures while it is quiet for a quarter of the time, and under the flood for all of it.
func (o *floodFlags) run(ctx context.Context, s *benchSite) (l load.Line, err error) {
	cs := newClients(s, o.clients)
	defer cs.close()
	made := make([]int, len(cs.all)) // each client's
	call := func(ctx context.Context, i int) (time.Time, error) {
		if made[i]++; o.fresh > 0 && made[i]%o.fresh == 0 {
			cs.all[i].conn.Close()
		}
		return cs.pair(ctx, i)
	}
	measure := func(d time.Duration) *load.Result {
		cs.stops = &load.Times{}
		return load.Load{Callers: len(cs.all), Rate: o.rate, Time: d, Call: call}.Run(ctx)
	}
	o.tell("warming up for %v, quiet for %v, flooded for %v", o.warm, o.time/4, o.time)
	measure(o.warm)
	quiet := measure(o.time / 4).Line("")
	watch := watchMemory(s)
	flood, err := startFlood(ctx, s.addrs[0], s.users[0].Token, o.from, o.time+2*time.Second)
	if err != nil {
		return l, err
	}
	before := s.usage(ctx)
	result := measure(o.time)
	sent, err := flood()
	idle, most := watch()
	if err != nil {
		return l, err
	}
	if ctx.Err() != nil {
		return l, interrupted(ctx)
	}
	l = result.Line(fmt.Sprintf("%s, %d addresses flood", o.title("starts"), o.from))
	s.note(ctx, &l, before)
	l.More = map[string]float64{"quiet_p50_ms": quiet.P50, "quiet_p99_ms": quiet.P99, "quiet_errors": float64(quiet.Errors),
		"stop_p99_ms": load.MS(cs.stops.Quantile(0.99))}
	for name, n := range sent.counts() {
		l.More["junk_"+name+"_per_s"] = float64(n) / o.time.Seconds()
	}
	if most > 0 {
		l.More["rss_idle_mb"], l.More["rss_more_mb"] = float64(idle)/(1<<20), float64(most-min(idle, most))/(1<<20)
	}
	missing, err := cs.keep(ctx)
	l.Lost = cs.lost.Load() + uint64(missing)
	return l, err
}

// watchMemory notes what the asked node's memory is, and the most that it comes to until the
// function it returns is called.
func watchMemory(s *benchSite) (stop func() (idle, most uint64)) {
	if len(s.nodes) == 0 {
		return func() (uint64, uint64) { return 0, 0 }
	}
	pid := s.nodes[0].cmd.Process.Pid
	for _, n := range s.nodes {
		if n.config.API.Listen == s.addrs[0] {
			pid = n.cmd.Process.Pid
		}
	}
	idle := load.ProcessRSS(pid)
	ended, over := make(chan struct{}), make(chan uint64, 1)
	go func() {
		most, tick := idle, time.NewTicker(100*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				most = max(most, load.ProcessRSS(pid))
			case <-ended:
				over <- most
				return
			}
		}
	}()
	return func() (uint64, uint64) { close(ended); return idle, <-over }
}

// startFlood starts the flood's process; the function it returns waits for its end and tells
// what it has done. token is a good one, that it forges others by.
func startFlood(ctx context.Context, to, token string, from int, d time.Duration) (end func() (junkDone, error), err error) {
	cmd, err := again(ctx, "bench", "junk", "--to", to, "--from", fmt.Sprint(from), "--time", d.String())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(token), &out, os.Stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the flood: %w", err)
	}
	return func() (done junkDone, err error) {
		if err := cmd.Wait(); err != nil {
			return done, fmt.Errorf("the flood ended: %w", err)
		}
		if err := json.Unmarshal(out.Bytes(), &done); err != nil {
			return done, fmt.Errorf("the flood said %.200q: %w", out.String(), err)
		}
		return done, nil
	}, nil
}
