package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sitegate/load"
	"sitegate/load/desk"
	"sitegate/raftstore"
)

const benchFailoverHelp = `
Usage: sitegate bench failover [--nodes N] [--tries N] [--pause | --cut | --term | --step-down]
         [--tempo TEMPO] [--round-trip DURATION] [--json]

Ends the leader's process with kill -9 and asks the other nodes for a session, at
once and again until one is granted: that is the time that counts. Before, each of
some clients is granted a session by the leader; all of them must be there
afterwards. Then the node is started again, and it begins anew. --pause stops the
process (SIGSTOP) in place of killing it, --cut cuts its host off from the other nodes
(nothing is refused, nothing arrives), --term asks it to end (SIGTERM).

--step-down has the leader hand over, as sitegate cluster step-down does, while some
clients start and stop sessions through all nodes: what counts is the longest of these
starts, and that no request fails.

--tempo is the cluster's (cluster.tempo), lan if you do not say; --round-trip is how
long what the nodes send each other takes, there and back, beyond this machine's own.

Example:
  sitegate bench failover --tries 30
`

func benchFailover(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench failover", benchFailoverHelp)
	o := benchFlags{at: "all", clients: 16, time: time.Second, program: p, name: f.Name()}
	f.IntVar(&o.nodes, "nodes", 3, "nodes of the cluster: 3 or 5")
	f.IntVar(&o.users, "users", 2000, "users of the site")
	tries := f.Int("tries", 30, "how often the leader is lost")
	pause := f.Bool("pause", false, "stop the leader's process in place of killing it")
	term := f.Bool("term", false, "ask the leader's process to end in place of killing it")
	f.BoolVar(&o.links, "cut", false, "cut the leader's host off from the other nodes in place of killing its process")
	f.StringVar(&o.tempo, "tempo", "lan", "the cluster's tempo: lan, vm or wan")
	f.DurationVar(&o.roundTrip, "round-trip", 0, "between the nodes, beyond this machine's own")
	stepDown := f.Bool("step-down", false, "have the leader hand over while clients start sessions")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	ways := 0
	for _, on := range []bool{*pause, *term, o.links, *stepDown} {
		if on {
			ways++
		}
	}
	if ways > 1 {
		return usagef("bench failover: --pause, --cut, --term and --step-down contradict each other")
	}
	if t := raftstore.Tempo(o.tempo); t != raftstore.LAN && t != raftstore.VM && t != raftstore.WAN {
		return usagef("bench failover: --tempo is lan, vm or wan, not %q", o.tempo)
	}
	if o.roundTrip < 0 {
		return usagef("bench failover: --round-trip is not shorter than nothing")
	}
	if *tries < 1 || *tries > 10_000 {
		return usagef("bench failover: --tries is 1 to 10,000, not %d", *tries)
	}
	if o.nodes == 1 {
		return usagef("bench failover: one node has none to fail over to: --nodes is 3 or 5")
	}
	if o.users < 2*o.clients {
		return usagef("bench failover: --users is at least %d", 2*o.clients)
	}
	s, err := o.open(ctx, p, f, nil)
	defer s.close()
	if err != nil {
		return err
	}
	if err := s.alone(ctx); err != nil {
		return s.explain(err)
	}
	if *stepDown {
		return s.handOvers(ctx, *tries)
	}
	how, name := (*childNode).kill, "killed"
	switch {
	case *pause:
		how, name = (*childNode).pause, "paused"
	case *term:
		how, name = (*childNode).stop, "asked to end"
	case o.links:
		how, name = func(n *childNode) { s.net.cut(n.ip) }, "cut off"
	}
	var times load.Times
	lost, began := 0, time.Now()
	for try := range *tries {
		first, missing, err := s.failOver(ctx, try, how)
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		if err != nil {
			return s.explain(fmt.Errorf("try %d: %w", try+1, err))
		}
		times.Add(first)
		lost += missing
		o.tell("%3d  first grant after %s", try+1, short(first))
	}
	l := load.LineOf(fmt.Sprintf("failover, %s, leader %s", count(o.nodes, "node"), name), &times, time.Since(began))
	l.Lost = uint64(lost)
	return o.print(l)
}

// handOvers hands the leadership over again and again.
func (s *benchSite) handOvers(ctx context.Context, tries int) error {
	var times load.Times
	all := handover{said: map[string]uint64{}}
	began := time.Now()
	for try := range tries {
		h, err := s.handOver(ctx, try)
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		if err != nil {
			return s.explain(fmt.Errorf("try %d: %w", try+1, err))
		}
		times.Add(h.longest)
		all.starts, all.failed, all.lost = all.starts+h.starts, all.failed+h.failed, all.lost+h.lost
		for text, n := range h.said {
			all.said[text] += n
		}
		s.o.tell("%3d  longest of %s: %s; %d failed", try+1, count(h.starts, "start"), short(h.longest), h.failed)
	}
	l := load.LineOf(fmt.Sprintf("failover, %s, leadership handed over, longest start", count(s.o.nodes, "node")), &times, time.Since(began))
	l.Errors, l.Lost, l.Said, l.More = uint64(all.failed), uint64(all.lost), all.said, map[string]float64{"starts": float64(all.starts)}
	return s.o.print(l)
}

// failOver takes the leader away once, and brings it back.
func (s *benchSite) failOver(ctx context.Context, try int, away func(*childNode)) (first time.Duration, lost int, err error) {
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	leader, err := leaderOf(ctx, s.nodes)
	if err != nil {
		return 0, 0, err
	}
	var others []*childNode
	s.addrs = nil
	for _, n := range s.nodes {
		if n != leader {
			others = append(others, n)
			s.addrs = append(s.addrs, n.config.API.Listen)
		}
	}
	probes := make([]*desk.Conn, len(others))
	for i, n := range others {
		probes[i] = s.conn(n.config.API.Listen)
		defer probes[i].Close()
		if err := probes[i].Dial(); err != nil {
			return 0, 0, err
		}
	}
	held, err := s.holdAt(leader, try)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	ended := make(chan struct{})
	go func() { defer close(ended); away(leader) }()
	first, probe, err := s.firstGrant(ctx, probes, try, began)
	<-ended
	if err != nil {
		return 0, 0, errors.Join(err, s.back(ctx, leader, others))
	}
	held = append(held, probe)
	if lost, err = s.missing(ctx, held); err != nil {
		return first, lost, err
	}
	for _, x := range held {
		if err := probes[0].Stop(x.user, x.machine, x.id); err != nil && !desk.Is(err, desk.CodeUnknownSession) {
			return first, lost, err
		}
	}
	return first, lost, s.back(ctx, leader, others)
}

// holdAt has sessions granted by the leader, just before it goes.
func (s *benchSite) holdAt(leader *childNode, try int) ([]running, error) {
	held := make([]running, s.o.clients)
	errs := make([]error, len(held))
	var all sync.WaitGroup
	for i := range held {
		all.Go(func() {
			c := s.conn(leader.config.API.Listen)
			defer c.Close()
			name := fmt.Sprintf("HELD-%d", i)
			u := (try*2*len(held) + i) % len(s.users)
			held[i] = running{s.users[u], desk.Machine{ID: "m-" + name, Name: name}, desk.NewID()}
			errs[i] = c.Start(held[i].user, held[i].machine, held[i].id)
		})
	}
	all.Wait()
	return held, errors.Join(errs...)
}

// firstGrant asks all probes for a session, again and again under the same id,
// until one is granted.
func (s *benchSite) firstGrant(ctx context.Context, probes []*desk.Conn, try int, began time.Time) (time.Duration, running, error) {
	type granted struct {
		after time.Duration
		x     running
	}
	first := make(chan granted, len(probes))
	var all sync.WaitGroup
	for i, c := range probes {
		all.Go(func() {
			u := (try*2*s.o.clients + s.o.clients + i) % len(s.users)
			x := running{s.users[u], desk.Machine{ID: "m-PROBE", Name: "PROBE"}, desk.NewID()}
			for ctx.Err() == nil {
				if err := c.Start(x.user, x.machine, x.id); err == nil {
					first <- granted{time.Since(began), x}
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	all.Wait()
	close(first)
	won, ok := <-first
	if !ok {
		return 0, running{}, errors.New("no node has granted anything since the leader is gone")
	}
	for other := range first { // a probe each: all but one are given back
		if err := probes[0].Stop(other.x.user, other.x.machine, other.x.id); err != nil {
			return 0, running{}, err
		}
	}
	return won.after, won.x, nil
}

// back brings a node back and waits until it has what the others have.
func (s *benchSite) back(ctx context.Context, n *childNode, others []*childNode) error {
	select {
	case <-n.done:
		if err := n.start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	default:
		n.resume()
		if s.net != nil {
			s.net.mend()
		}
	}
	var index uint64
	for _, other := range others {
		seen, err := other.status(ctx)
		if err != nil {
			return err
		}
		index = max(index, seen.Cluster.Index)
	}
	return until(ctx, func() error {
		seen, err := n.status(ctx)
		if err == nil && (seen.Cluster.Index < index || seen.Cluster.Leader == "") {
			err = fmt.Errorf("%s is at %d of %d", n.name, seen.Cluster.Index, index)
		}
		return err
	})
}
