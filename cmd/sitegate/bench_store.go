package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"sitegate/license"
	"sitegate/load"
	"sitegate/raftstore"
	"sitegate/siteca"
)

const benchStoreHelp = `
Usage: sitegate bench store [--nodes N] [--clients N] [--rate N] [--noop] [FLAGS]

Puts commands straight into a replicated store: nodes in this one process, over
TCP and TLS on loopback, every append to a log fsynced. Each client starts a
session, stops it, and starts the next; both count. At the end all nodes must have
the sessions that were granted and not stopped. Usage is acknowledged once a second,
as a cloud does that is there: usage_waiting is what is not. --noop leaves out the state: the
log alone. --rate makes it an open loop.

Example:
  sitegate bench store --clients 2048
  sitegate bench store --rate 20000
`

type storeFlags struct {
	benchFlags
	noop     bool
	held     int
	commands uint64
	rounds   int
	journal  uint64
	profile  string
}

func benchStore(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench store", benchStoreHelp)
	var o storeFlags
	p.benchFlags(f, &o.benchFlags)
	f.IntVar(&o.clients, "clients", 2048, "callers")
	f.Float64Var(&o.rate, "rate", 0, "commands a second, whether or not earlier ones are answered")
	f.BoolVar(&o.noop, "noop", false, "replicate and fsync commands, and do nothing with them")
	f.IntVar(&o.held, "open", 0, "sessions that are open all the time, of users of their own")
	f.Uint64Var(&o.commands, "commands", 0, "end after so many commands, if that is before --time")
	f.IntVar(&o.rounds, "rounds", 1, "measure so many times, one after the other, with the same stores")
	f.Uint64Var(&o.journal, "journal", 0, "events that the journal keeps (default: as a node does)")
	f.StringVar(&o.profile, "cpu-profile", "", "write a profile of the processor's time to this file")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	switch {
	case o.clients == 0 || o.rounds < 1:
		return usagef("bench store: --clients and --rounds must be at least 1")
	case o.held < 0 || o.held+o.clients > o.users && !o.noop:
		return usagef("bench store: every client and every open session needs a user of its own: --users is at least %d", o.held+o.clients)
	}
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(garbagePercent(0))) // as in a node; several share this process
	}
	s, err := newBenchStores(ctx, &o)
	defer s.close()
	if err != nil {
		return err
	}
	return s.measure(ctx)
}

// benchStores is a cluster of stores in this process.
type benchStores struct {
	o      *storeFlags
	remove func()
	dir    string
	nodes  []*raftstore.Store
	leader atomic.Pointer[raftstore.Store]

	callers []storeCaller
	sending sync.Mutex // held while usage is acknowledged
}

// storeCaller is one client: it starts a session, then stops it.
type storeCaller struct {
	users   []license.UserID
	next    int
	session license.ID
	user    license.UserID
	machine license.Machine
	on      bool
}

func newBenchStores(ctx context.Context, o *storeFlags) (s *benchStores, err error) {
	uuid.EnableRandPool() // or drawing ids would cost as much as the log
	s = &benchStores{o: o, remove: func() {}}
	if s.dir, s.remove, err = tempDir(); err != nil {
		return s, err
	}
	if err := s.open(); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, benchStartIn+time.Duration(o.users)*time.Millisecond)
	defer cancel()
	if err := until(ctx, func() error {
		for _, n := range s.nodes {
			if _, ok := n.Leading(); ok {
				s.leader.Store(n)
				return nil
			}
		}
		return errors.New("no node leads")
	}); err != nil {
		return s, err
	}
	o.tell("filling %s for %s", count(len(s.nodes), "store"), count(o.users, "user"))
	return s, s.fill(ctx)
}

// open opens all nodes at once: each waits for the others.
func (s *benchStores) open() error {
	cluster := uuid.NewString()
	ca, err := siteca.New(cluster, time.Now())
	if err != nil {
		return err
	}
	configs := make([]raftstore.Config, s.o.nodes)
	var peers []raftstore.Peer
	for i := range configs {
		name := fmt.Sprintf("node%d", i+1)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listening for the other nodes: %w", err)
		}
		configs[i] = raftstore.Config{Dir: filepath.Join(s.dir, name), Node: name, Cluster: cluster, Listener: ln,
			Tempo: raftstore.WAN, Logger: slog.New(slog.NewTextHandler(s.o.program.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), LogOnly: s.o.noop, JournalEvents: s.o.journal}
		peers = append(peers, raftstore.Peer{Name: name, Address: ln.Addr().String()})
		cert, key, err := ca.Issue(name, nil, true, time.Now())
		if err != nil {
			return err
		}
		peer, err := siteca.NewPeer(cluster, name, ca.CertPEM(), cert, key)
		if err != nil {
			return err
		}
		configs[i].ServerTLS, configs[i].ClientTLS = peer.ServerTLS(), peer.ClientTLS("")
	}
	stores := make([]*raftstore.Store, len(configs))
	var group errgroup.Group
	for i := range configs {
		configs[i].Peers = peers
		group.Go(func() (err error) {
			stores[i], err = raftstore.Open(configs[i])
			return err
		})
	}
	err = group.Wait()
	for _, n := range stores {
		if n != nil {
			s.nodes = append(s.nodes, n)
		}
	}
	return err
}

// fill gives the state its users, as a mirror of a cloud does, and the sessions
// that stay open.
func (s *benchStores) fill(ctx context.Context) error {
	if s.o.noop {
		return nil
	}
	head := license.Mirror{Full: true, Cursor: "0", Changes: []license.Change{
		{Product: &license.Product{ID: "1000", Name: "Product A", Capped: license.CappedYes}},
		{Account: &license.Account{ID: "acct", AutonomyCapped: 72 * time.Hour, AutonomyUncapped: 72 * time.Hour}}}}
	if err := s.putSurely(ctx, head); err != nil {
		return err
	}
	const page = 250
	for i := 0; i < s.o.users; i += page {
		m := license.Mirror{Full: true, From: fmt.Sprint(i), Cursor: fmt.Sprint(min(i+page, s.o.users)), Last: i+page >= s.o.users}
		for n := i; n < min(i+page, s.o.users); n++ {
			id := license.UserID(benchUser(n))
			m.Changes = append(m.Changes,
				license.Change{User: &license.User{ID: id, Email: string(id) + "@bench.example", Country: "DE"}},
				license.Change{License: &license.License{ID: license.LicenseID("l-" + id), Product: "1000", Assignee: id}})
		}
		if err := s.putSurely(ctx, m); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(1024)
	for i := range s.o.held {
		group.Go(func() error {
			return s.putSurely(ctx, license.Start{ID: newSessionID(), User: license.UserID(benchUser(i)), Product: "1000", Machine: benchMachine(i), Agreed: true})
		})
	}
	return group.Wait()
}

// putSurely is put, again where the leader was lost: what was done after all is done
// once.
func (s *benchStores) putSurely(ctx context.Context, c license.Command) error {
	for {
		err := s.put(ctx, c)
		if m, ok := c.(license.Mirror); ok && err != nil {
			s.leader.Load().View(func(st *license.State) {
				if st.Head().Cursor == m.Cursor {
					err = nil
				}
			})
		}
		if !errors.Is(err, raftstore.ErrNotLeader) && !errors.Is(err, raftstore.ErrUnknown) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *benchStores) put(ctx context.Context, c license.Command) error {
	leader := s.leader.Load()
	out, err := leader.Propose(ctx, c)
	if errors.Is(err, raftstore.ErrNotLeader) {
		for _, n := range s.nodes {
			if _, leads := n.Leading(); leads {
				s.leader.CompareAndSwap(leader, n)
			}
		}
		sleepFor(ctx, time.Millisecond) // there may be none yet
	}
	if err == nil && out.Denial != nil {
		err = fmt.Errorf("a %T was refused: %s", c, out.Denial.Reason)
	}
	return err
}

func newSessionID() license.ID { return license.ID(uuid.Must(uuid.NewV7())) }

func benchMachine(i int) license.Machine {
	name := fmt.Sprintf("BENCH-%d", i)
	return license.Machine{ID: "m-" + name, Name: name}
}

func (s *benchStores) measure(ctx context.Context) (err error) {
	o := s.o
	for i := range o.clients {
		c := storeCaller{machine: benchMachine(i)}
		for n := o.held + i; n < max(o.users, o.held+i+1); n += o.clients {
			c.users = append(c.users, license.UserID(benchUser(n)))
		}
		s.callers = append(s.callers, c)
	}
	if !o.noop {
		delivering, stop := context.WithCancel(ctx)
		sent := make(chan error, 1)
		go func() { sent <- s.delivering(delivering) }()
		defer func() { stop(); err = errors.Join(err, <-sent) }()
	}
	o.tell("warming up for %v, measuring for %v", o.warm, o.time)
	s.run(ctx, o.warm, 0)
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return usagef("bench store: writing the profile: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("profiling: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	for range o.rounds {
		if err := s.round(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run has the callers make commands for so long, or so many of them, if that is not 0.
func (s *benchStores) run(ctx context.Context, d time.Duration, most uint64) *load.Result {
	return load.Load{Callers: s.o.clients, Rate: s.o.rate, Time: d, Most: most, Call: func(ctx context.Context, i int) (time.Time, error) {
		return time.Time{}, s.call(ctx, i)
	}}.Run(ctx)
}

// round measures once, and prints it.
func (s *benchStores) round(ctx context.Context) error {
	o := s.o
	cpu, index := selfCPU(), s.leader.Load().Cluster().Index
	result := s.run(ctx, o.time, o.commands)
	cpu = selfCPU() - cpu
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	what := "store"
	if o.noop {
		what = "store without a state"
	}
	l := result.Line(o.title(what))
	if l.Count > 0 {
		l.CPU = float64(cpu.Microseconds()) / float64(l.Count)
	}
	grown := s.leader.Load().Cluster().Index - index
	l.LogEntries = &grown
	if !o.noop {
		if err := s.deliver(ctx); err != nil {
			return err
		}
	}
	var err error
	if l.Lost, err = s.missing(ctx); err != nil {
		return err
	}
	if l.More, err = s.sizes(ctx); err != nil {
		return err
	}
	l.More["nodes"], l.More["open"] = float64(o.nodes), float64(o.held)
	return o.print(l)
}

// delivering acknowledges all usage once a second, as a site's cloud does: what it has
// the journal need not keep.
func (s *benchStores) delivering(ctx context.Context) error {
	for sleepFor(ctx, time.Second) {
		if err := s.deliver(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (s *benchStores) deliver(ctx context.Context) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	var sent license.UsageSent
	s.leader.Load().View(func(st *license.State) {
		head := st.Head()
		sent = license.UsageSent{Through: head.Seq, After: head.UsageSent, Records: head.UsageMade - head.UsageKept}
	})
	if err := s.putSurely(ctx, sent); err != nil {
		return fmt.Errorf("acknowledging usage: %w", err)
	}
	return nil
}

// call is a caller's next command.
func (s *benchStores) call(ctx context.Context, i int) error {
	c := &s.callers[i]
	if c.on {
		err := s.put(ctx, license.Stop{ID: c.session, User: c.user, Machine: c.machine})
		c.on = err != nil && !errors.Is(err, raftstore.ErrUnknown) // that may have stopped it
		return err
	}
	c.next = (c.next + 1) % len(c.users)
	c.session, c.user = newSessionID(), c.users[c.next]
	err := s.put(ctx, license.Start{ID: c.session, User: c.user, Product: "1000", Machine: c.machine, Agreed: true})
	c.on = err == nil
	return err
}

// missing waits until all nodes have applied what the leader has, and counts the
// sessions that one of them does not have.
func (s *benchStores) missing(ctx context.Context) (missing uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	at := s.leader.Load().Cluster().Index
	for _, n := range s.nodes {
		if err := until(ctx, func() error {
			if has := n.Cluster().Index; has < at {
				return fmt.Errorf("%s has applied %d of %d", n.Cluster().Node, has, at)
			}
			return nil
		}); err != nil {
			return 0, err
		}
		if s.o.noop {
			continue
		}
		n.View(func(st *license.State) {
			for i := range s.callers {
				if c := &s.callers[i]; c.on && st.Session(c.session) == nil {
					missing++
				}
			}
		})
	}
	return missing, nil
}

// sizes are those of the first node's folders, everything written, and how much usage
// is not acknowledged.
func (s *benchStores) sizes(ctx context.Context) (map[string]float64, error) {
	sizes := map[string]float64{}
	if err := s.nodes[0].Flush(ctx); err != nil {
		return nil, err
	}
	s.nodes[0].View(func(st *license.State) { sizes["usage_waiting"] = float64(st.UsageWaiting()) })
	for _, part := range []string{"log", "state"} {
		size, err := folderSize(filepath.Join(s.dir, "node1", part))
		if err != nil {
			return nil, err
		}
		sizes[part+"_mb"] = float64(size) / 1e6
	}
	return sizes, nil
}

// close closes all stores at once, so that none waits for the others in vain.
func (s *benchStores) close() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	var group errgroup.Group
	for _, n := range s.nodes {
		group.Go(func() error { return n.Close(ctx) })
	}
	_ = group.Wait() // the folder goes anyway
	s.remove()
}
