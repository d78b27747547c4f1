package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sitegate/load"
	"sitegate/upstream/cloudapi"
)

const benchMirrorHelp = `
Usage: sitegate bench mirror [--users N] [--changes N] [--nodes N] [FLAGS]

Measures how the mirror keeps up with its cloud, which runs in this process and so
shares its processors with the nodes:

  first fill    until a new site has all users, each with a license, and the most
                memory that its first node took for it
  one change    from when the cloud has it until the leader has
  starts        while nothing else happens, each confirmed by the cloud
  disturbed     the same while as many changes come in at once, time and again (or
                as often as --lots says), and how long each lot of them takes

Example:
  sitegate bench mirror --users 1000000 --changes 10000
  sitegate bench mirror --users 1000000 --changes 10000 --lots 1
`

func benchMirror(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench mirror", benchMirrorHelp)
	o := benchFlags{nodes: 1, confirm: true}
	p.benchFlags(f, &o)
	f.IntVar(&o.clients, "clients", 64, "clients that start and stop sessions, each with a connection of its own")
	f.Float64Var(&o.rate, "rate", 200, "pairs of start and stop a second, whether or not earlier ones are answered")
	changes := f.Int("changes", 10_000, "changes that come in at once")
	most := f.Int("lots", 0, "how often they do, from the beginning of the time on; 0 is time and again, without a pause")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if *most < 0 {
		return usagef("bench mirror: --lots is 0 or more, not %d", *most)
	}
	if *changes < 1 || *changes > o.users {
		return usagef("bench mirror: --changes is 1 to --users, %d, not %d", o.users, *changes)
	}
	o.signed = min(o.users, 20_000)
	s, err := o.open(ctx, p, f, nil)
	defer s.close()
	if err != nil {
		return err
	}
	o.clients = min(o.clients, len(s.users))
	var fill load.Times
	fill.Add(s.fillTook)
	l := load.LineOf(fmt.Sprintf("first fill, %s", count(o.users, "user")), &fill, s.fillTook)
	leader, err := leaderOf(ctx, s.nodes)
	if err != nil {
		return s.explain(err)
	}
	l.More = map[string]float64{"node_cpu_s": s.fillCPU.Seconds(), "peak_rss_mb": float64(s.fillPeak) / 1e6,
		"signed_in_rss_mb": float64(load.ProcessRSS(leader.cmd.Process.Pid)) / 1e6}
	if err := o.print(l); err != nil {
		return err
	}
	var one load.Times
	began := time.Now()
	for i := range 50 {
		took, err := s.change(ctx, leader, i, 1)
		if err != nil {
			return s.explain(err)
		}
		one.Add(took)
	}
	if err := o.print(load.LineOf("one change", &one, time.Since(began))); err != nil {
		return err
	}
	cs := newClients(s, o.clients)
	defer cs.close()
	o.tell("warming up for %v, measuring for %v, twice", o.warm, o.time)
	cs.run(ctx, o.warm)
	still := cs.run(ctx, o.time)
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	if err := o.print(still.Line(o.title("starts"))); err != nil {
		return err
	}
	during, stop := context.WithCancel(ctx)
	var lots load.Times
	failed := make(chan error, 1)
	go func() {
		for n := 1; during.Err() == nil && (*most == 0 || n <= *most); n++ {
			took, err := s.change(during, leader, n, *changes)
			if err != nil && during.Err() == nil {
				failed <- err
				return
			}
			if err == nil {
				lots.Add(took)
			}
		}
		failed <- nil
	}()
	disturbed := cs.run(ctx, o.time)
	stop()
	if err := <-failed; err != nil {
		return s.explain(err)
	}
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	l = disturbed.Line(o.title(fmt.Sprintf("starts, disturbed by %s", count(*changes, "change"))))
	l.More = map[string]float64{"lots": float64(lots.Count()), "lot_p50_ms": load.MS(lots.Quantile(0.5)), "lot_max_ms": load.MS(lots.Max()), "lost": float64(cs.lost.Load())}
	return o.print(l)
}

// change has the cloud change n users and returns how long it took until the leader had
// it. round tells one change from the next.
func (s *benchSite) change(ctx context.Context, leader *childNode, round, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	began := time.Now()
	for i := range n {
		id := benchUser(s.o.users - 1 - i)
		s.cloud.PutUser(cloudapi.User{ID: id, Email: id + "@bench.example", Name: fmt.Sprintf("User %s, round %d of %d", id, round, n), Country: "FR"})
	}
	want := s.cloud.Cursor()
	for {
		seen, err := leader.status(ctx)
		if err == nil && seen.Mirror.Cursor == want {
			return time.Since(began), nil
		}
		every := 2 * time.Millisecond
		if n > 1 { // who asks takes what the node has to do it with
			every = 20 * time.Millisecond
		}
		if !sleepFor(ctx, every) {
			return 0, errors.Join(fmt.Errorf("the leader has the cloud's list up to %q, and not to %q", seen.Mirror.Cursor, want), err)
		}
	}
}
