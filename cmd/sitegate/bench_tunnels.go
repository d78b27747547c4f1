package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitegate/load"
)

const benchTunnelsHelp = `
Usage: sitegate bench tunnels [--rounds N] [--time D] [--squid PATH] [--json]

Measures the forward proxy beside squid, if that is installed, in rounds that take
turns, and prints the median of each:

  tunnels   CONNECT, a line through it, 1 KiB back, close: as fast as they come
  bulk      MB/s through four tunnels, and the processor time for a GB
  idle      resident memory with no tunnel, and while many are open and say nothing

Each proxy is a process of its own, as a node has it but for the pace at which one
address may connect. Both keep a log. This process plays clients and targets, and
shares the processors with them.

Example:
  sitegate bench tunnels --json
`

// tunnelsBench is one run of it.
type tunnelsBench struct {
	benchFlags
	rounds, workers, streams, idle int
	squid                          string
}

func benchTunnels(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench tunnels", benchTunnelsHelp)
	b := tunnelsBench{benchFlags: benchFlags{program: p, name: f.Name()}}
	f.IntVar(&b.rounds, "rounds", 5, "rounds of each measurement")
	f.DurationVar(&b.time, "time", 2*time.Second, "how long a round measures")
	f.IntVar(&b.workers, "workers", 32, "clients that open tunnels at once")
	f.IntVar(&b.streams, "streams", 4, "tunnels that carry much at once")
	f.IntVar(&b.idle, "idle", 2000, "tunnels that say nothing")
	f.StringVar(&b.squid, "squid", "squid", "the program to compare with; empty: none")
	f.BoolVar(&b.json, "json", false, "print one JSON object a line")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if b.rounds < 1 || b.time <= 0 || b.workers < 1 || b.streams < 1 || b.idle < 1 || b.idle > 20_000 {
		return usagef("bench tunnels: --rounds, --time, --workers and --streams are more than nothing, --idle is 1 to 20,000")
	}
	return b.run(ctx)
}

// figures are what rounds have come to, one a round.
type figures struct {
	ops, p50, p99, mb, cpuTunnel, cpuGB []float64
	failed                              uint64
	idle                                [2]float64 // MB before, and with tunnels
}

func (b *tunnelsBench) run(ctx context.Context) error {
	dir, remove, err := tempDir()
	if err != nil {
		return err
	}
	defer remove()
	far, err := newFarEnd()
	if err != nil {
		return err
	}
	defer far.close()
	var doors []*benchDoor
	defer func() {
		for _, d := range doors {
			d.stop()
		}
	}()
	ours, err := startOwnDoor(ctx, dir, far)
	if err != nil {
		return err
	}
	doors = append(doors, ours)
	switch squid, err := startSquid(ctx, b.squid, dir); {
	case err != nil:
		return err
	case squid != nil:
		doors = append(doors, squid)
	default:
		fmt.Fprintf(b.program.stderr, "there is no %q here: the forward proxy is measured alone\n", b.squid)
	}
	all := make([]figures, len(doors))
	for i, d := range doors { // before there was any load
		b.tell("%s: %d idle tunnels", d.name, b.idle)
		if all[i].idle, err = d.hold(ctx, far, b.idle); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	for round := range b.rounds {
		for i, d := range doors {
			b.tell("round %d: %s", round+1, d.name)
			if err := b.round(ctx, d, far, &all[i]); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
		}
	}
	return b.report(all)
}

// round is one of both measurements.
func (b *tunnelsBench) round(ctx context.Context, d *benchDoor, far *farEnd, f *figures) error {
	before := load.ProcessCPU(d.pid())
	r := load.Load{Callers: b.workers, Time: b.time, Call: func(ctx context.Context, caller int) (time.Time, error) {
		return time.Time{}, d.fetch(ctx, far, caller)
	}}.Run(ctx)
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	if r.Count() == 0 {
		return fmt.Errorf("no tunnel was opened: %v", r.Errors())
	}
	f.failed += r.Failed()
	f.ops, f.p50, f.p99 = append(f.ops, r.PerSecond()), append(f.p50, load.MS(r.Quantile(.5))), append(f.p99, load.MS(r.Quantile(.99)))
	f.cpuTunnel = append(f.cpuTunnel, float64((load.ProcessCPU(d.pid())-before).Microseconds())/float64(r.Count()))

	before = load.ProcessCPU(d.pid())
	began := time.Now()
	bytes, err := d.pour(ctx, far, b.streams, b.time)
	if err != nil {
		return err
	}
	took := time.Since(began)
	f.mb = append(f.mb, float64(bytes)/1e6/took.Seconds())
	f.cpuGB = append(f.cpuGB, load.MS(load.ProcessCPU(d.pid())-before)/(float64(bytes)/1e9))
	return nil
}

// report prints the medians, ours beside the peer's.
func (b *tunnelsBench) report(all []figures) error {
	ours := all[0]
	lines := []load.Line{
		{Name: "tunnels", Ops: median(ours.ops), P50: median(ours.p50), P99: median(ours.p99), Errors: ours.failed, CPU: median(ours.cpuTunnel), Clients: b.workers,
			More: map[string]float64{"least_ops_per_s": slices.Min(ours.ops), "most_ops_per_s": slices.Max(ours.ops)}},
		{Name: "bulk", More: map[string]float64{"mb_per_s": median(ours.mb), "least_mb_per_s": slices.Min(ours.mb), "most_mb_per_s": slices.Max(ours.mb), "cpu_ms_per_gb": median(ours.cpuGB)}},
		{Name: "idle", Clients: b.idle, RSS: (ours.idle[1] - ours.idle[0]) * 1e3 / float64(b.idle), More: map[string]float64{"rss_mb": ours.idle[1], "rss_mb_before": ours.idle[0]}},
	}
	if len(all) > 1 {
		peer := all[1]
		lines[0].PeerOps, lines[0].PeerP99, lines[0].Ratio = median(peer.ops), median(peer.p99), median(ours.ops)/median(peer.ops)
		lines[0].More["peer_cpu_us_per_op"] = median(peer.cpuTunnel)
		lines[1].Ratio = median(ours.mb) / median(peer.mb)
		lines[1].More["ratio"], lines[1].More["peer_mb_per_s"], lines[1].More["peer_cpu_ms_per_gb"] = lines[1].Ratio, median(peer.mb), median(peer.cpuGB)
		lines[2].More["peer_rss_mb"], lines[2].More["peer_rss_mb_before"] = peer.idle[1], peer.idle[0]
	}
	for _, l := range lines {
		if err := l.Print(b.program.stdout, b.json); err != nil {
			return err
		}
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 0 {
		return (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	return v[len(v)/2]
}
