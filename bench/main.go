// Command bench runs, as bench notices, sitegate's notices against centrifuge, the
// library that Centrifugo is made of, and against gorilla/websocket alone, the library that
// both are made of. Otherwise it runs the claim workload (take what
// nobody holds, with a lease, and give it back) against a cluster of sitegate's, against
// etcd and redis as Debian ships them, and a bare loop of fsyncs. All are run one after
// the other in each round, on the same machine and the same disk, measured by the same
// clock. It prints each run, and of claims sitegate's figures divided by its peers'.
//
// It is a module of its own, so that what is its peers' stays out of the product's.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sitegate/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	sitegate       string
	nodes, clients int
	users, rounds  int
	time, warm     time.Duration
	json           bool
}

// claims is one system that the workload is run against.
type claims interface {
	// claim takes what is a user's for a client, and gives it back. over is when it
	// was taken. lost: what was taken was not there to be given back.
	claim(ctx context.Context, client, user int) (over time.Time, lost bool, err error)
	close()
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "notices":
			return notices(ctx, args[1:], stdout, stderr)
		case "centrifuge": // notices starts it
			return serveCentrifuge(ctx, args[1:], stderr)
		case "gorilla": // likewise
			return serveGorilla(ctx, args[1:], stderr)
		}
	}
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.sitegate, "sitegate", "../bin/sitegate", "the program, as make build makes it")
	f.IntVar(&o.nodes, "nodes", 3, "nodes of sitegate and etcd: 1 or 3")
	f.IntVar(&o.clients, "clients", 256, "clients, each with one claim under way")
	f.IntVar(&o.users, "users", 20_000, "users whose licenses, or keys, are claimed")
	f.IntVar(&o.rounds, "rounds", 3, "how often each is measured")
	f.DurationVar(&o.time, "time", 5*time.Second, "how long each is measured")
	f.DurationVar(&o.warm, "warm", 2*time.Second, "how long to warm up before")
	f.BoolVar(&o.json, "json", false, "print one JSON object a run")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("%q is too much: it takes flags only", f.Arg(0))
	case o.nodes != 1 && o.nodes != 3:
		return fmt.Errorf("-nodes is 1 or 3, not %d", o.nodes)
	case o.clients < 1 || o.clients > o.users || o.rounds < 1 || o.time <= 0 || o.warm < 0:
		return errors.New("-clients is 1 to -users, -rounds at least 1, -time longer than nothing")
	}
	if err := o.present(); err != nil {
		return err
	}
	var ours, etcds, rediss []load.Line
	for round := range o.rounds {
		fmt.Fprintf(stderr, "round %d of %d\n", round+1, o.rounds)
		own, err := o.ours(ctx, stderr)
		if err != nil {
			return err
		}
		etcd, err := o.peer(ctx, fmt.Sprintf("etcd, %d nodes", o.nodes), func(dir string) (claims, error) { return startEtcd(ctx, dir, o) })
		if err != nil {
			return err
		}
		redis, err := o.peer(ctx, "redis, 1 node, fsync always", func(dir string) (claims, error) { return startRedis(ctx, dir, o) })
		if err != nil {
			return err
		}
		syncs, err := fsyncs(ctx, o.time)
		if err != nil {
			return err
		}
		own.PeerOps, own.PeerP99, own.Ratio = etcd.Ops, etcd.P99, own.Ops/etcd.Ops
		for _, l := range []load.Line{own, etcd, redis, syncs} {
			if err := l.Print(stdout, o.json); err != nil {
				return err
			}
		}
		ours, etcds, rediss = append(ours, own), append(etcds, etcd), append(rediss, redis)
	}
	if o.json {
		return nil
	}
	fmt.Fprintln(stdout)
	for name, peers := range map[string][]load.Line{"etcd": etcds, "redis": rediss} {
		tell(stdout, "claims a second, divided by those of "+name, ours, peers, func(l load.Line) float64 { return l.Ops })
		tell(stdout, "p99, divided by that of "+name, ours, peers, func(l load.Line) float64 { return l.P99 })
	}
	return nil
}

// tell prints the least, the median and the most of a ratio.
func tell(w io.Writer, what string, ours, peers []load.Line, of func(load.Line) float64) {
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, of(ours[i])/of(peers[i]))
	}
	slices.Sort(ratios)
	fmt.Fprintf(w, "%-45s least %.2f   median %.2f   most %.2f\n", what, ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1])
}

// present says what has to be installed.
func (o *options) present() error {
	var missing []error
	if _, err := exec.LookPath(o.sitegate); err != nil {
		missing = append(missing, fmt.Errorf("there is no program %s: make build makes it", o.sitegate))
	}
	for program, of := range map[string]string{"etcd": "etcd-server", "redis-server": "redis-server"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, fmt.Errorf("%s is not installed: apt-get install %s (and keep its service from starting)", program, of))
		}
	}
	return errors.Join(missing...)
}

// ours runs sitegate bench starts.
func (o *options) ours(ctx context.Context, stderr io.Writer) (load.Line, error) {
	args := []string{"bench", "starts", "--json", "--nodes", strconv.Itoa(o.nodes), "--clients", strconv.Itoa(o.clients),
		"--users", strconv.Itoa(o.users), "--time", o.time.String(), "--warm", o.warm.String()}
	cmd := exec.CommandContext(ctx, o.sitegate, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it takes its nodes down
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		return load.Line{}, fmt.Errorf("%s %s: %w", o.sitegate, strings.Join(args, " "), err)
	}
	var l load.Line
	if err := json.Unmarshal(bytes.TrimSpace(out), &l); err != nil {
		return l, fmt.Errorf("reading what %s says: %w", o.sitegate, err)
	}
	return l, nil
}

// peer measures one system in a folder of its own.
func (o *options) peer(ctx context.Context, name string, start func(dir string) (claims, error)) (load.Line, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return load.Line{}, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	c, err := start(dir)
	if err != nil {
		return load.Line{}, fmt.Errorf("%s: %w", name, err)
	}
	defer c.close()
	next := make([]int, o.clients)
	lost := make([]uint64, o.clients)
	run := func(d time.Duration) *load.Result {
		return load.Load{Callers: o.clients, Time: d, Call: func(ctx context.Context, i int) (time.Time, error) {
			user := (i + next[i]*o.clients) % (o.users - o.users%o.clients)
			next[i]++
			over, gone, err := c.claim(ctx, i, user)
			if gone {
				lost[i]++
			}
			return over, err
		}}.Run(ctx)
	}
	run(o.warm)
	l := run(o.time).Line(fmt.Sprintf("%s, %d clients", name, o.clients))
	for _, n := range lost {
		l.Lost += n
	}
	return l, cmp.Or(ctx.Err(), counted(l))
}

// counted refuses a run in which nothing came out well.
func counted(l load.Line) error {
	if l.Count == 0 {
		return fmt.Errorf("%s: nothing was answered: %v", l.Name, l.Said)
	}
	return nil
}
