package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/api"
	"sitegate/load"
	"sitegate/load/desk"
)

const benchNoticesHelp = `
Usage: sitegate bench notices [--clients N] [--rate N] [--only NAME,…] [--time D] [--json]

Holds websockets of users of their own, and measures, a line each:

  idle-plain, idle-tls   what a connection costs a node in memory
  one-user               a notice to one of them while all are held, at a rate
  fan-out, fan-out-tls   a notice to all, until the last has it
  stalled                the same to 520, of whom 20 do not read, beside none
  follower               a start at the leader, until a client of another node hears of it
  storm                  a node of three is killed, and its clients come to the others

The first six are of the websockets alone, without a log (bench hub), the last two
of a cluster. Each runs in processes of its own. This process and each node need a
file for every connection: see ulimit -n.

Example:
  sitegate bench notices --json
  sitegate bench notices --only follower,storm --clients 5000
`

// noticesBench is one run of all measurements.
type noticesBench struct {
	benchFlags
	rate float64
}

func benchNotices(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench notices", benchNoticesHelp)
	b := noticesBench{benchFlags: benchFlags{at: "leader", nodes: 3, program: p, name: f.Name()}}
	f.IntVar(&b.clients, "clients", 10_000, "clients, each a user of their own")
	f.DurationVar(&b.time, "time", 10*time.Second, "how long to tell single users something")
	f.Float64Var(&b.rate, "rate", 400, "notices to single users a second")
	f.BoolVar(&b.json, "json", false, "print one JSON object a line")
	all := []string{"idle-plain", "idle-tls", "one-user", "fan-out", "fan-out-tls", "stalled", "follower", "storm"}
	only := f.StringSlice("only", all, "which to measure")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	for _, name := range *only {
		if !slices.Contains(all, name) {
			return usagef("bench notices: there is no measurement %q", name)
		}
	}
	if b.clients < 1 || b.clients > 18_000 || b.time <= 0 || b.rate <= 0 {
		return usagef("bench notices: --clients is 1 to 18,000, --time and --rate are more than nothing")
	}
	wants := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(*only, n) })
	}
	if wants("idle-plain", "one-user", "fan-out") {
		if err := b.held(ctx, false, wants); err != nil {
			return err
		}
	}
	if wants("idle-tls", "fan-out-tls") {
		if err := b.held(ctx, true, wants); err != nil {
			return err
		}
	}
	if wants("stalled") {
		if err := b.stalled(ctx); err != nil {
			return err
		}
	}
	if wants("follower", "storm") {
		return b.cluster(ctx, wants)
	}
	return nil
}

// say prints a line.
func (b *noticesBench) say(name string, clients int, t *load.Times, took time.Duration, change func(*load.Line)) error {
	l := load.LineOf(name, t, took)
	l.Clients = clients
	if change != nil {
		change(&l)
	}
	return l.Print(b.program.stdout, b.json)
}

// held opens all clients at a hub, and measures what they cost and what they hear.
func (b *noticesBench) held(ctx context.Context, secure bool, wants func(...string) bool) error {
	h, err := newHub(ctx, &b.benchFlags, b.clients, secure)
	defer h.close()
	if err != nil {
		return h.explain(err)
	}
	before, err := h.resident(ctx)
	if err != nil {
		return err
	}
	c := newListeners(h.users)
	defer c.close()
	began := time.Now()
	connect, err := c.open(ctx, h.addr, h.tls, b.clients, true)
	if err != nil {
		return h.explain(err)
	}
	took := time.Since(began)
	after, err := h.resident(ctx)
	if err != nil {
		return err
	}
	if n := c.ended.Load(); n > 0 {
		return h.explain(fmt.Errorf("%d connections have ended before the memory of all was read", n))
	}
	name := map[bool]string{false: "idle-plain", true: "idle-tls"}[secure]
	if wants(name) {
		if err := b.say(name, b.clients, connect, took, func(l *load.Line) { l.RSS = float64(after-before) / 1024 / float64(b.clients) }); err != nil {
			return err
		}
	}
	if wants("one-user") && !secure {
		if err := b.oneUser(ctx, h, c); err != nil {
			return h.explain(err)
		}
	}
	if name := map[bool]string{false: "fan-out", true: "fan-out-tls"}[secure]; wants(name) {
		const rounds = 10
		hub, self := load.ProcessCPU(h.cmd.Process.Pid), selfCPU()
		times, err := c.fanOut(ctx, h, rounds, 240, c.all)
		if err != nil {
			return h.explain(err)
		}
		hub, self = load.ProcessCPU(h.cmd.Process.Pid)-hub, selfCPU()-self
		return b.say(name, b.clients, times, 0, func(l *load.Line) { // for each who is told
			l.CPU, l.Driver = float64(hub.Microseconds())/float64(rounds*b.clients), float64(self.Microseconds())/float64(rounds*b.clients)
		})
	}
	return nil
}

// oneUser tells users something one by one, whether or not the last has heard it. A
// time is from before it is said until it is read.
func (b *noticesBench) oneUser(ctx context.Context, h *hubSite, c *listeners) error {
	var times load.Times
	c.heard.Store(&times)
	defer c.heard.Store(nil)
	began := time.Now()
	tick := time.NewTicker(time.Duration(float64(time.Second) / b.rate))
	defer tick.Stop()
	said := uint64(0)
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for time.Since(began) < b.time {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return interrupted(ctx)
		}
		i := rand.IntN(len(c.all))
		said++
		group.Go(func() {
			c.all[i].told.Store(time.Now().UnixNano())
			if err := h.publish(ctx, benchUser(i), 240); err != nil {
				failed.Store(&err)
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	took := time.Since(began)
	if err := until(ctx, func() error {
		if n := times.Count() + c.overtaken.Load(); n < said {
			return fmt.Errorf("%d of %d notices have been read", n, said)
		}
		return nil
	}); err != nil {
		return err
	}
	return b.say("one-user", b.clients, &times, took, func(l *load.Line) { l.Errors = said - l.Count - c.overtaken.Load() })
}

// stalled tells 520 clients something large, all of whom read, and then of whom 20 do
// not, and compares the last who has it.
func (b *noticesBench) stalled(ctx context.Context) error {
	const clients, deaf, rounds, size = 520, 20, 20, 60_000
	var lasts [2]*load.Times
	for i := range lasts {
		if err := func() error {
			h, err := newHub(ctx, &b.benchFlags, clients, false)
			defer h.close()
			if err != nil {
				return h.explain(err)
			}
			c := newListeners(h.users)
			defer c.close()
			for k := range c.all[:deaf*i] {
				c.all[k].l.Small = true
			}
			if _, err := c.open(ctx, h.addr, h.tls, clients, false); err != nil {
				return h.explain(err)
			}
			readers := c.all[deaf*i:]
			for _, x := range readers {
				c.follow(x)
			}
			lasts[i], err = c.fanOut(ctx, h, rounds, size, readers)
			return err
		}(); err != nil {
			return err
		}
	}
	return b.say("stalled", clients, lasts[1], 0, func(l *load.Line) {
		l.More = map[string]float64{"stalled": deaf, "none_stalled_max_ms": load.MS(lasts[0].Max()), "none_stalled_p50_ms": load.MS(lasts[0].Quantile(.5)),
			"ratio_of_worst": float64(lasts[1].Max()) / float64(max(1, lasts[0].Max()))}
	})
}

// cluster measures what takes a log and several nodes.
func (b *noticesBench) cluster(ctx context.Context, wants func(...string) bool) error {
	const others = 200 // users without a websocket
	b.users = b.clients + others
	s, err := newBenchSite(ctx, &b.benchFlags)
	defer s.close()
	if err != nil {
		return err
	}
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	if wants("follower") {
		if err := b.follower(ctx, s); err != nil {
			return s.explain(err)
		}
	}
	if wants("storm") {
		if err := b.storm(ctx, s, others); err != nil {
			return s.explain(err)
		}
	}
	return nil
}

// follower starts sessions at the leader, now and then, and looks when the user's
// client at another node hears of it: from when the leader has answered, which it
// does once the start is committed.
func (b *noticesBench) follower(ctx context.Context, s *benchSite) error {
	const starts = 150
	l := &desk.Listener{User: s.users[0], Machine: desk.Machine{ID: "m-other", Name: "OTHER"}, Instance: desk.NewID(), TLS: s.tls}
	if err := l.Dial(ctx, s.addrs[1]); err != nil {
		return err
	}
	defer l.Close()
	leader := s.conn(s.addrs[0])
	defer leader.Close()
	m := desk.Machine{ID: "m-start", Name: "START"}
	var committed, asked load.Times
	heard := make(chan time.Time, 1)
	began := time.Now()
	for range starts {
		id := desk.NewID()
		failed := make(chan error, 1)
		go func() {
			for {
				f, err := l.Next(callPatience)
				if err != nil {
					failed <- err
					return
				}
				if f.Notice != nil && f.Notice.Kind == api.KindGranted && f.Notice.ID == id {
					heard <- time.Now()
					return
				}
			}
		}()
		before := time.Now()
		if err := leader.Start(s.users[0], m, id); err != nil {
			return err
		}
		answered := time.Now()
		select {
		case at := <-heard:
			committed.Add(max(0, at.Sub(answered)))
			asked.Add(at.Sub(before))
		case err := <-failed:
			return err
		}
		if err := leader.Stop(s.users[0], m, id); err != nil {
			return err
		}
		select { // the cluster is idle in between, and the user within the rate limit
		case <-time.After(110*time.Millisecond + rand.N(40*time.Millisecond)):
		case <-ctx.Done():
			return interrupted(ctx)
		}
	}
	return b.say("follower", 1, &committed, time.Since(began), func(l *load.Line) {
		l.More = map[string]float64{"from_request_p50_ms": load.MS(asked.Quantile(.5)), "from_request_p99_ms": load.MS(asked.Quantile(.99))}
	})
}

const callPatience = 20 * time.Second

// storm kills the node that all clients are at, and waits until each is back at
// another, as its greeting told it to come. Meanwhile sessions are started.
func (b *noticesBench) storm(ctx context.Context, s *benchSite, others int) error {
	leader, err := leaderOf(ctx, s.nodes)
	if err != nil {
		return err
	}
	var victim *childNode
	var rest []string
	for _, n := range s.nodes {
		if n != leader && victim == nil {
			victim = n
		} else {
			rest = append(rest, n.config.API.Listen)
		}
	}
	s.lead(leader)
	held, err := s.startSessions(ctx, min(b.clients, 1000))
	if err != nil {
		return err
	}
	c := newListeners(s.users[:b.clients])
	defer c.close()
	if _, err := c.open(ctx, victim.config.API.Listen, s.tls, b.clients, false); err != nil {
		return err
	}
	var starts load.Times
	var failed atomic.Uint64
	over, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { s.startNowAndThen(over, s.users[b.clients:b.clients+others], &starts, &failed) })
	victim.kill()
	began := time.Now()
	var saying sync.Mutex
	said := map[string]uint64{}
	back, recovered, tries, err := c.reconnect(ctx, rest, began, func(err error) {
		text := err.Error()
		if i := strings.LastIndex(text, ": "); i >= 0 { // without addresses, which are of each alone
			text = text[i+2:]
		}
		saying.Lock()
		defer saying.Unlock()
		if _, known := said[text]; known || len(said) < 20 {
			said[text]++
		}
	})
	took := time.Since(began)
	stop()
	work.Wait()
	if err != nil {
		return err
	}
	s.addrs = rest
	lost, err := s.missing(ctx, held)
	if err != nil {
		return err
	}
	return b.say("storm", b.clients, back, took, func(l *load.Line) {
		l.Lost, l.Said = uint64(lost), said
		l.More = map[string]float64{"recovered": float64(recovered), "tries": float64(tries), "starts": float64(starts.Count()), "starts_failed": float64(failed.Load()),
			"starts_p50_ms": load.MS(starts.Quantile(.5)), "starts_p99_ms": load.MS(starts.Quantile(.99)), "starts_max_ms": load.MS(starts.Max())}
	})
}

// startNowAndThen starts and stops sessions at the leader, twenty a second, until ctx
// ends.
func (s *benchSite) startNowAndThen(ctx context.Context, users []desk.User, times *load.Times, failed *atomic.Uint64) {
	conn := s.conn(s.addrs[0])
	defer conn.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		u, m, id := users[i%len(users)], desk.Machine{ID: "m-now", Name: "NOW"}, desk.NewID()
		began := time.Now()
		if err := conn.Start(u, m, id); err != nil {
			failed.Add(1)
			continue
		}
		times.Add(time.Since(began))
		if err := conn.Stop(u, m, id); err != nil {
			failed.Add(1)
		}
	}
}
