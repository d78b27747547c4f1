package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sitegate/load"
)

func bench(ctx context.Context, p *program, args []string) error {
	outliveReaders()
	return p.dispatch(ctx, "sitegate bench", []command{
		{"starts", "start and stop sessions, as fast as they are granted", benchStarts},
		{"denials", "ask for what another machine holds, at a rate", benchDenials},
		{"heartbeats", "keep sessions alive, by HTTP or websockets, at a rate", benchHeartbeats},
		{"notices", "hold websockets, tell them things, and let them reconnect", benchNotices},
		{"hub", "serve notices alone, for bench notices", benchHub},
		{"tunnels", "open tunnels of the forward proxy and fill them, beside squid", benchTunnels},
		{"door", "serve the forward proxy alone, for bench tunnels", benchDoorCommand},
		{"flood", "start sessions beside a flood of junk", benchFlood},
		{"junk", "be that flood, for bench flood", benchJunk},
		{"failover", "kill or pause the leader, and wait for the next grant", benchFailover},
		{"store", "put commands straight into a replicated store", benchStore},
		{"mirror", "fill a site, change its cloud, and see how starts go on meanwhile", benchMirror},
		{"relay", "ask for policies as the vendor's own client, beside a bare proxy", benchRelay},
		{"bare", "be that bare proxy, for bench relay", benchBare},
		{"restart", "fill a node, start it again, and wait until it serves", benchRestart},
	}, args)
}

// benchAbout is said in every help of bench.
const benchAbout = `
It starts a cluster in processes of its own on this machine, in a temporary
folder, and takes it down again; or it measures one that runs (--url), with
access tokens of users who have a license of --product and no session.`

// benchFlags are the flags that drivers over the public API share.
type benchFlags struct {
	nodes, clients, users int
	time, warm            time.Duration
	rate                  float64
	json                  bool
	at                    string
	confirm               bool
	url                   []string
	ca, tokens, product   string

	signed int    // users who sign in; 0: all
	relay  bool   // the nodes relay the vendor's own client
	links  bool   // the nodes reach each other by links that can be cut
	tempo  string // of the cluster; empty: lan
	// roundTrip is how long the nodes' links take, there and back; not zero: they have some.
	roundTrip time.Duration
	program   *program
	name      string
}

func (p *program) benchFlags(f *pflag.FlagSet, o *benchFlags) {
	o.program, o.name = p, f.Name()
	f.IntVar(&o.nodes, "nodes", cmp.Or(o.nodes, 3), "nodes of the cluster: 1, 3 or 5")
	f.IntVar(&o.users, "users", cmp.Or(o.users, 20_000), "users of the site, each with a license of a capped product")
	f.DurationVar(&o.time, "time", cmp.Or(o.time, 10*time.Second), "how long to measure")
	f.DurationVar(&o.warm, "warm", cmp.Or(o.warm, 3*time.Second), "how long to warm up before")
	f.BoolVar(&o.json, "json", false, "print one JSON object a run")
}

// targetFlags are those of what is measured.
func (o *benchFlags) targetFlags(f *pflag.FlagSet) {
	f.StringVar(&o.at, "at", cmp.Or(o.at, "leader"), "which nodes are asked: leader or all")
	f.StringSliceVar(&o.url, "url", nil, "measure this cluster: the URLs of its nodes, the one to ask first")
	f.StringVar(&o.ca, "ca", "", "with --url: PEM file of the CA of the nodes' certificates")
	f.StringVar(&o.tokens, "tokens", "", "with --url: file of access tokens, one user's a line")
	f.StringVar(&o.product, "product", "", "with --url: id of the product to start")
}

// check refuses what could not be measured.
func (o *benchFlags) check() error {
	bad := func(format string, args ...any) error {
		return usagef(o.name+": "+format+"; see sitegate "+o.name+" --help", args...)
	}
	switch {
	case o.nodes != 1 && o.nodes != 3 && o.nodes != 5:
		return bad("--nodes is 1, 3 or 5, not %d", o.nodes)
	case o.users < 1 || o.users > 2_000_000:
		return bad("--users is 1 to 2,000,000, not %d", o.users)
	case o.clients < 0 || o.clients > 20_000:
		return bad("--clients is 1 to 20,000, not %d", o.clients)
	case o.time <= 0 || o.warm < 0:
		return bad("--time must be longer than nothing, and --warm not shorter")
	case o.rate < 0:
		return bad("--rate is calls a second, not %v", o.rate)
	case o.at != "" && o.at != "leader" && o.at != "all":
		return bad("--at is leader or all, not %q", o.at)
	case len(o.url) == 0 && (o.ca != "" || o.tokens != "" || o.product != ""):
		return bad("--ca, --tokens and --product go with --url")
	case len(o.url) > 0 && (o.tokens == "" || o.product == ""):
		return bad("--url needs --tokens, a file of users' access tokens, and --product")
	case len(o.url) > 0 && o.confirm:
		return bad("whether the cloud confirms is the cluster's business with --url: leave --confirm out")
	}
	for _, u := range o.url {
		if parsed, err := url.Parse(u); err != nil || parsed.Scheme != "https" || parsed.Host == "" || strings.Trim(parsed.Path, "/") != "" {
			return bad("--url is https://host:port, not %q", u)
		}
	}
	return nil
}

// tell says what goes on, where results do not need the standard error.
func (o *benchFlags) tell(format string, args ...any) {
	if !o.json {
		fmt.Fprintf(o.program.stderr, format+"\n", args...)
	}
}

// print prints a run. One that failed in part is still printed, and then is an
// error: its figures are not what they seem.
func (o *benchFlags) print(l load.Line) error {
	if err := l.Print(o.program.stdout, o.json); err != nil {
		return err
	}
	switch {
	case l.Lost > 0:
		return fmt.Errorf("%d of what was acknowledged was lost", l.Lost)
	case l.Count == 0:
		return fmt.Errorf("nothing was answered as it must be: see what the calls said")
	}
	return nil
}

// tempDir makes the folder of a run; remove takes it away.
func tempDir() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "sitegate-bench-"); err != nil {
		return "", nil, fmt.Errorf("making a folder for the measurement: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}
