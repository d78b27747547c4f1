package raftstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
	"sitegate/siteca"
)

// A whole cluster in simulated time: three stores with their real log, node RPC,
// TLS and raft, on a network and disks in memory, and desktops that work for weeks
// while nodes crash, are cut off, step down, and have wrong clocks. Faults are drawn
// from a seed; which goroutine comes first is not, so that a seed repeats a
// schedule and not every step.

var (
	simTime = flag.Duration("sim", 12*time.Hour, "how long the simulated cluster runs, in its time")
	simSeed = flag.Uint64("simseed", 0, "the seed of the simulated faults; 0 draws one")
)

// The pace of a simulated cluster. Proportions are what matters: a week of
// heartbeats at a real one's would take hours.
const (
	simBeat   = time.Minute      // of raft
	simTick   = 10 * time.Second // looks at leases, and at what time makes due
	simFlush  = time.Minute
	simFaults = 5 * time.Minute // between two, on average
	simSlack  = 2 * time.Minute // for what is due to be done, while nothing is wrong
	simUsers  = 12
	simDesks  = 3 // machines of each user
)

func TestSimulatedWeeks(t *testing.T) {
	began := time.Now()
	simulated(t, func(t *testing.T, s *sim) {
		s.run(*simTime)
		s.end()
		t.Logf("%v in which %d leaders took over and there were %d faults; %d sessions, %d of which expired, %d checkouts, %d of which time ended; %d refusals",
			*simTime, s.leaders, s.faults, s.sessions, s.expired, s.checkouts, s.ended, s.refused)
		if s.leaders < 1 || s.leaders > 1+s.faults || s.leaders != len(s.reigns) {
			t.Errorf("%d leaders took over and %d terms had one that served; want one a term, and at most one for each fault, of which there were %d", s.leaders, len(s.reigns), s.faults)
		}
		long := *simTime >= 3*24*time.Hour // enough for a checkout that nobody returns
		if s.sessions == 0 || s.refused == 0 || s.answered == 0 || long && (s.expired == 0 || s.leaders < s.faults/4 || s.checkouts == 0 || s.ended == 0) {
			t.Error("that shows nothing")
		}
	})
	t.Logf("it took %v", time.Since(began).Round(time.Millisecond))
}

// simulated has f look at a simulated cluster that has just begun. The tests that call it
// have Simulated in their names: by that .ci/run finds them.
func simulated(t *testing.T, f func(t *testing.T, s *sim)) {
	t.Helper()
	if !strings.Contains(t.Name(), "Simulated") {
		t.Fatal("a test of a simulated cluster has Simulated in its name: .ci/run finds it by that")
	}
	if raceEnabled {
		// Two goroutines of a bubble that meet tickers which are due at once share what the
		// detector knows of the bubble's timers, without a lock: Go 1.26.8 itself ends with
		// SIGSEGV then (timer.maybeRunChan), once in a few million ticks.
		t.Skip("the race detector crashes in long simulations; .ci/run simulates without it")
	}
	synctest.Test(t, func(t *testing.T) { f(t, newSim(t)) })
}

type sim struct {
	t     testing.TB
	dice  *rand.Rand // of the faults
	net   *simNet
	disks *simDisks
	ca    *siteca.CA
	codec *codec
	began time.Time
	dir   string
	names []string

	mu        sync.Mutex // guards all below
	nodes     map[string]*Store
	logs      map[string]simLog
	off       map[string]time.Duration // of a node's wall clock
	disturbed time.Time                // the last fault, its end, or the last change of the leader
	told      map[uint64][]byte        // events, by seq
	holders   map[license.UserID]map[string]string
	records   map[license.ID]*simRecord
	reigns    map[uint64]string // who has led and served, by term, since run began
	answered  uint64            // the latest term in which a leader has answered

	leaders, faults, sessions, expired, checkouts, ended, refused int
}

// simRecord is what a desktop knows of what it was granted.
type simRecord struct {
	what     string
	ttl      time.Duration // of a session
	promised time.Time     // the end of the lease that was acknowledged last, or of the checkout
	beat     time.Time     // the last that was sent
	done     bool          // it was given back
	over     bool          // it has expired or ended
}

// newSim begins a cluster, and says what to repeat its faults with.
func newSim(t testing.TB) *sim {
	seed := *simSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-simseed %d", seed)
	s := &sim{t: t, dice: rand.New(rand.NewPCG(seed, 1)), net: newSimNet(), disks: &simDisks{dbs: map[string]*badger.DB{}}, began: time.Now(),
		dir: t.TempDir(), names: []string{"n1", "n2", "n3"}, nodes: map[string]*Store{}, logs: map[string]simLog{}, off: map[string]time.Duration{}, disturbed: time.Now(),
		told: map[uint64][]byte{}, holders: map[license.UserID]map[string]string{}, records: map[license.ID]*simRecord{}}
	var err error
	if s.ca, err = siteca.New(testCluster, time.Now()); err != nil {
		t.Fatal(err)
	}
	if s.codec, err = newCodec(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, name := range s.names {
		s.logs[name] = simLog{&sync.Mutex{}, &crashfs.FS{}}
	}
	for _, name := range s.names {
		group.Go(func() { s.up(name) })
	}
	group.Wait()
	s.settled()
	return s
}

// up starts a node, or starts it again.
func (s *sim) up(name string) {
	cfg := Config{Dir: filepath.Join(s.dir, name), Node: name, Cluster: testCluster, Listener: s.net.listen(name), Logger: slog.New(slog.DiscardHandler),
		OnEvents: s.hear, Serve: func(ctx context.Context, _ string, b []byte) ([]byte, error) { return s.serve(ctx, name, b) },
		Clock:     func() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return time.Now().Add(s.off[name]) },
		LeaseTick: simTick, FlushEvery: simFlush, SnapshotEvery: 30 * time.Minute, SnapshotEntries: 64, TrailingEntries: 64,
		mono: func() time.Duration { return time.Since(s.began) }, dial: s.net.dial(name), databases: s.disks,
		beat: simBeat, commit: simBeat / 4, look: time.Minute, SpaceEvery: time.Hour, Stalls: StallLimits{StepDown: time.Hour, Halt: 2 * time.Hour},
		segment: 64 << 10, logFS: func(string) wal.FS { s.mu.Lock(); defer s.mu.Unlock(); return s.logs[name] }}
	for _, n := range s.names {
		cfg.Peers = append(cfg.Peers, Peer{Name: n, Address: simAddress(n)})
	}
	cert, key, err := s.ca.Issue(name, nil, true, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := siteca.NewPeer(s.ca.Cluster(), name, s.ca.CertPEM(), cert, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg.ServerTLS, cfg.ClientTLS = p.ServerTLS(), p.ClientTLS("")
	store, err := Open(cfg)
	if err != nil {
		s.t.Fatalf("%v: opening %s: %v", s.now(), name, err)
	}
	s.mu.Lock()
	s.nodes[name] = store
	s.mu.Unlock()
	go store.Lead(context.Background(), func(ctx context.Context) { s.lead(ctx, store) }) // until the store ends
}

// take takes a node out of those that desktops ask.
func (s *sim) take(name string) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	store := s.nodes[name]
	delete(s.nodes, name)
	return store
}

func (s *sim) now() time.Duration { return time.Since(s.began) }

// lead is what a gateway does on the leader: it proposes what time makes due.
func (s *sim) lead(ctx context.Context, store *Store) {
	if term, ok := store.Leading(); ok {
		s.reigned(store.cfg.Node, term)
		s.mu.Lock()
		s.leaders++
		s.mu.Unlock()
	}
	s.disturb()
	for ctx.Err() == nil {
		nap(ctx, simTick)
		now := store.Now()
		if off := time.Until(now.Std()); off.Abs() > wallTolerance+simSlack && ctx.Err() == nil {
			s.t.Errorf("%v: the cluster's time is off by %v at %s", s.now(), off, store.cfg.Node)
		}
		var due []license.Command
		store.View(func(st *license.State) { due = license.Due(st, now) })
		for _, c := range due {
			store.Propose(ctx, c) // what was not done is due again
		}
	}
}

func nap(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// disturb notes that what is due may be late.
func (s *sim) disturb() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disturbed = time.Now()
}

// reigned notes who leads in a term: nobody else has, or does later. Until run, folders
// may be emptied and terms begin anew.
func (s *sim) reigned(name string, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reigns == nil {
		return
	}
	if before, ok := s.reigns[term]; ok && before != name {
		s.t.Errorf("%v: %s leads in term %d, in which %s has led", s.now(), name, term, before)
	}
	s.reigns[term] = name
}

// serve decides a request, as a gateway does. Two nodes may believe for a moment that
// they lead; only one of them may answer: once a leader has, no request that comes later
// is answered by the leader of an earlier term.
func (s *sim) serve(ctx context.Context, name string, b []byte) ([]byte, error) {
	s.mu.Lock()
	store, floor := s.nodes[name], s.answered
	s.mu.Unlock()
	if store == nil {
		return nil, ErrNotLeader
	}
	term, leads := store.Leading()
	answer, err := s.decide(ctx, store, b)
	if after, still := store.Leading(); err == nil && leads && still && after == term {
		s.reigned(name, term)
		s.mu.Lock()
		defer s.mu.Unlock()
		if term < floor {
			s.t.Errorf("%v: %s has answered in term %d what it was asked after an answer in term %d", s.now(), name, term, floor)
		}
		s.answered = max(s.answered, term)
	}
	return answer, err
}

func (s *sim) decide(ctx context.Context, store *Store, b []byte) ([]byte, error) {
	_, commands, err := s.codec.decodeEntry(b)
	if err != nil {
		return nil, err
	}
	check := func() (d *license.Denial) {
		store.View(func(st *license.State) { d = license.Check(st, store.Now(), commands[0]) })
		return d
	}
	if d := check(); d != nil {
		if err := store.Fresh(ctx); err != nil {
			return nil, err
		}
		if d := check(); d != nil {
			return []byte(d.Reason), nil
		}
	}
	out, err := store.Propose(ctx, commands[0])
	if err != nil || out.Denial == nil {
		return nil, err
	}
	return []byte(out.Denial.Reason), nil
}

// ask has a request decided through any node, again and again, for a quarter of an
// hour; false: nobody has answered.
func (s *sim) ask(dice *rand.Rand, c license.Command) (denied license.Reason, ok bool) {
	encoded, err := s.codec.command(c)
	if err != nil {
		s.t.Fatal(err)
	}
	b := s.codec.entry(0, [][]byte{encoded})
	for until := time.Now().Add(15 * time.Minute); time.Now().Before(until); {
		if node := s.any(dice); node != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			answer, err := node.Forward(ctx, b)
			cancel()
			if err == nil {
				return license.Reason(answer), true
			}
		}
		time.Sleep(time.Second + rand.N(time.Second))
	}
	return "", false
}

// any is any node that is up, or none.
func (s *sim) any(dice *rand.Rand) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	var up []string
	for _, name := range s.names {
		if s.nodes[name] != nil {
			up = append(up, name)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return s.nodes[up[dice.IntN(len(up))]]
}

// hear compares what the nodes tell, and looks when sessions and checkouts end.
func (s *sim) hear(_ uint64, events []license.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		b, _, err := s.codec.packEvents([]license.Event{e})
		if err != nil {
			s.t.Error(err)
		}
		before, again := s.told[e.Seq]
		if again && !bytes.Equal(before, b) {
			s.t.Errorf("%v: event %d was told as %s and as %s", s.now(), e.Seq, hex.EncodeToString(before), hex.EncodeToString(b))
		}
		s.told[e.Seq] = b
		if again {
			continue
		}
		switch f := e.Fact.(type) {
		case license.Expired:
			s.expired++
			s.over(f.Session.ID, s.records[f.Session.ID])
		case license.CheckoutEnded:
			s.ended++
			s.over(f.Checkout.ID, s.records[f.Checkout.ID])
		}
	}
}

// over checks that something ended when it had to. The caller holds mu.
func (s *sim) over(id license.ID, r *simRecord) {
	if r == nil { // its desktop has not heard of the grant yet, and has had no lease
		return
	}
	r.over = true
	now := time.Now()
	latest := maxTime(r.promised, s.disturbed)
	early := r.promised
	if r.ttl > 0 {
		latest = maxTime(r.beat, s.disturbed).Add(r.ttl)
	} else {
		early = early.Add(-wallTolerance) // the time of the site is as good as its clocks
	}
	if now.Before(early) {
		s.t.Errorf("%v: %s %s has ended %v early", s.now(), r.what, id, early.Sub(now))
	}
	if late := now.Sub(latest); late > simSlack {
		s.t.Errorf("%v: %s %s has ended %v late", s.now(), r.what, id, late)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// run has desktops work while faults come and go.
func (s *sim) run(length time.Duration) {
	for s.nodes["n1"] == nil || leads(s.leader()) != nil {
		time.Sleep(time.Second)
	}
	first := s.leader()
	term, _ := first.Leading()
	s.mu.Lock()
	s.leaders, s.reigns = 1, map[uint64]string{term: first.cfg.Node}
	s.mu.Unlock()
	if _, err := first.Propose(context.Background(), fill(simUsers)); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var desks sync.WaitGroup
	for u := range simUsers {
		for m := range simDesks {
			d := &simDesk{s: s, user: userID(u), machine: license.Machine{ID: fmt.Sprintf("m-%d-%d", u, m), Name: fmt.Sprintf("WS-%d-%d", u, m)},
				dice: rand.New(rand.NewPCG(uint64(u), uint64(m)))}
			desks.Go(func() { d.work(ctx) })
		}
	}
	for ctx.Err() == nil {
		nap(ctx, time.Duration(s.dice.ExpFloat64()*float64(simFaults)))
		if ctx.Err() == nil {
			s.fault()
		}
	}
	desks.Wait()
}

// leader is a node that leads and serves.
func (s *sim) leader() *Store {
	for range 1000 {
		s.mu.Lock()
		for _, store := range s.nodes {
			if leads(store) == nil {
				s.mu.Unlock()
				return store
			}
		}
		s.mu.Unlock()
		time.Sleep(time.Second)
	}
	s.t.Fatalf("%v: no node leads", s.now())
	return nil
}

// fault breaks something and repairs it after a while.
func (s *sim) fault() {
	s.faults++
	name := s.names[s.dice.IntN(len(s.names))]
	others := slices.DeleteFunc(slices.Clone(s.names), func(n string) bool { return n == name })
	if s.dice.IntN(2) == 0 {
		name = s.leader().cfg.Node
	}
	while := time.Duration(s.dice.ExpFloat64() * float64(3*time.Minute))
	s.disturb()
	defer s.disturb()
	switch s.dice.IntN(7) {
	case 0:
		crash(s.t, s.take(name))
		s.mu.Lock()
		s.logs[name] = s.logs[name].crash(s.dice)
		s.mu.Unlock()
		time.Sleep(while)
		s.up(name)
	case 1:
		closeStore(s.t, s.take(name))
		s.up(name)
	case 2:
		s.stepDown()
	case 3:
		s.cut(while, func(blocked bool) {
			for _, other := range others {
				s.net.block(name, other, blocked)
				s.net.block(other, name, blocked)
			}
		})
	case 4:
		s.cut(while, func(blocked bool) {
			for _, other := range others {
				s.net.block(name, other, blocked)
			}
		})
	case 5:
		s.cut(while, func(blocked bool) {
			s.net.block(others[0], others[1], blocked)
			s.net.block(others[1], others[0], blocked)
		})
	case 6:
		far := []time.Duration{36 * 365 * 24 * time.Hour, -30 * 365 * 24 * time.Hour, 2 * time.Hour, -2 * time.Hour, 30 * time.Second}
		s.set(name, far[s.dice.IntN(len(far))])
		time.Sleep(while / 2)
		s.stepDown() // for the one with the wrong clock to lead, or to lead no more
		time.Sleep(while / 2)
		s.set(name, 0)
	}
}

func (s *sim) stepDown() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*simBeat)
	defer cancel()
	if err := s.leader().StepDown(ctx); err != nil && !errors.Is(err, ErrNotLeader) {
		s.t.Errorf("%v: stepping down: %v", s.now(), err)
	}
}

func (s *sim) cut(while time.Duration, block func(blocked bool)) {
	block(true)
	time.Sleep(while)
	block(false)
}

// set puts a node's wall clock off.
func (s *sim) set(name string, off time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off[name] = off
}

// settled waits until all nodes follow one leader and have applied the same.
func (s *sim) settled() {
	for range 600 {
		time.Sleep(time.Second)
		s.mu.Lock()
		var at []uint64
		leading := 0
		for _, store := range s.nodes {
			at = append(at, store.fsm.applied.get())
			if leads(store) == nil {
				leading++
			}
		}
		s.mu.Unlock()
		if len(at) == len(s.names) && leading == 1 && slices.Min(at) == slices.Max(at) {
			return
		}
	}
	s.t.Fatalf("%v: the nodes do not settle", s.now())
}

// end lets what was left alone expire, compares the nodes and closes them.
func (s *sim) end() {
	time.Sleep(3 * time.Hour)
	s.settled()
	s.mu.Lock()
	for id, r := range s.records {
		if !r.done && !r.over && r.ttl > 0 {
			s.t.Errorf("%s %s was left alone and has never expired", r.what, id)
		}
	}
	hashes := map[string]string{}
	for name, store := range s.nodes {
		hashes[name] = hashOf(s.t, store)
		store.View(func(st *license.State) {
			for id, r := range s.records {
				if x := st.Session(id); x != nil && r.ttl > 0 {
					s.t.Errorf("%s still has session %s", name, id)
				}
			}
		})
	}
	s.mu.Unlock()
	for name, hash := range hashes {
		if hash != hashes["n1"] {
			s.t.Errorf("the state of %s is %s, that of n1 %s", name, hash, hashes["n1"])
		}
	}
	for _, name := range s.names {
		closeStore(s.t, s.take(name))
	}
	s.disks.end()
	time.Sleep(time.Minute) // what is left of raft ends
}
