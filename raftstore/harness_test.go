package raftstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/license"
	"sitegate/siteca"
)

const testCluster = "6a0f9d1e-2f3b-4f6e-9a55-1c2d3e4f5a6b"

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// testLog writes to t until the test has ended.
func testLog(t testing.TB, node string) *slog.Logger {
	w := &logTo{t: t}
	t.Cleanup(func() { w.mu.Lock(); w.done = true; w.mu.Unlock() })
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: logLevel()})).With("node", node)
}

// logLevel is what tests log: everything where RAFTSTORE_TEST_LOG is set.
func logLevel() slog.Level {
	if os.Getenv("RAFTSTORE_TEST_LOG") != "" {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

type logTo struct {
	mu   sync.Mutex
	t    testing.TB
	done bool
}

func (w *logTo) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive waits for what must come.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-limited(t).Done():
		t.Fatalf("nothing came within %v", patience)
		panic("not reached")
	}
}

// eventually waits until f returns no error.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %v", patience, err)
		}
	}
}

// single opens a node that is alone.
func single(t testing.TB, dir string, change ...func(*Config)) *Store {
	t.Helper()
	cfg := Config{Dir: dir, Node: "n1", Logger: testLog(t, "n1"), segment: 1 << 20, Registerer: prometheus.NewRegistry()}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("opening a single node: %v", err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	eventually(t, func() error { return leads(s) })
	return s
}

func leads(s *Store) error {
	if _, ok := s.Leading(); !ok {
		return fmt.Errorf("%s does not lead", s.cfg.Node)
	}
	return nil
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("closing %s: %v", s.cfg.Node, err)
	}
}

// crash ends a store as kill -9 would: nothing is handed over or flushed.
func crash(t testing.TB, s *Store) {
	t.Helper()
	s.behind.abandon()
	s.closing.Do(func() {})
	s.cancel(ErrClosed)
	s.stopAll()
	down := s.raft.Shutdown()
	if s.mux != nil {
		s.mux.close()
	}
	s.batcher.abandon()
	err := errors.Join(down.Error(), s.disk.close(), s.wal.Close(), s.lock.Close())
	if err != nil {
		t.Errorf("crashing %s: %v", s.cfg.Node, err)
	}
}

// cluster is three nodes over real TLS on loopback.
type cluster struct {
	t      testing.TB
	ca     *siteca.CA
	peers  []Peer
	dirs   map[string]string
	nodes  map[string]*Store
	change func(*Config)
}

func newCluster(t testing.TB, change func(*Config)) *cluster {
	t.Helper()
	ca, err := siteca.New(testCluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, ca: ca, dirs: map[string]string{}, nodes: map[string]*Store{}, change: change}
	listeners := map[string]net.Listener{}
	for _, name := range []string{"n1", "n2", "n3"} {
		l := listen(t, "127.0.0.1:0")
		listeners[name] = l
		c.peers = append(c.peers, Peer{Name: name, Address: l.Addr().String()})
		c.dirs[name] = t.TempDir()
	}
	var group sync.WaitGroup // all at once, as they may be
	var mu sync.Mutex
	for name, l := range listeners {
		cfg := c.config(name, l)
		group.Go(func() {
			s, err := Open(cfg)
			if err != nil {
				t.Errorf("opening %s: %v", name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			c.nodes[name] = s
		})
	}
	group.Wait()
	for _, s := range c.nodes {
		t.Cleanup(func() { closeStore(t, s) })
	}
	if len(c.nodes) != len(listeners) {
		t.FailNow()
	}
	return c
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	var l net.Listener
	eventually(t, func() (err error) { l, err = net.Listen("tcp", address); return err })
	return l
}

func (c *cluster) tls(cfg *Config, node string) {
	c.t.Helper()
	cert, key, err := c.ca.Issue(node, nil, true, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := siteca.NewPeer(c.ca.Cluster(), node, c.ca.CertPEM(), cert, key)
	if err != nil {
		c.t.Fatal(err)
	}
	cfg.ServerTLS, cfg.ClientTLS = p.ServerTLS(), p.ClientTLS("")
}

func (c *cluster) config(name string, l net.Listener) Config {
	cfg := Config{Dir: c.dirs[name], Node: name, Cluster: testCluster, Peers: c.peers, Listener: l, Logger: testLog(c.t, name), Tempo: VM, segment: 1 << 20,
		Serve: func(_ context.Context, from string, request []byte) ([]byte, error) {
			return []byte(name + " answers " + string(request) + " of " + from), nil
		}}
	c.tls(&cfg, name)
	if c.change != nil {
		c.change(&cfg)
	}
	return cfg
}

func (c *cluster) start(name string, l net.Listener) *Store {
	c.t.Helper()
	s, err := Open(c.config(name, l))
	if err != nil {
		c.t.Fatalf("opening %s: %v", name, err)
	}
	c.nodes[name] = s
	c.t.Cleanup(func() { closeStore(c.t, s) })
	return s
}

func (c *cluster) restart(name string) *Store {
	c.t.Helper()
	for _, p := range c.peers {
		if p.Name == name {
			return c.start(name, listen(c.t, p.Address))
		}
	}
	c.t.Fatalf("no node %s", name)
	return nil
}

func (c *cluster) stop(name string) {
	c.t.Helper()
	closeStore(c.t, c.nodes[name])
	delete(c.nodes, name)
}

func (c *cluster) crash(name string) {
	c.t.Helper()
	crash(c.t, c.nodes[name])
	delete(c.nodes, name)
}

// leader waits for the node that leads and serves.
func (c *cluster) leader() *Store {
	c.t.Helper()
	var found *Store
	eventually(c.t, func() error {
		for _, s := range c.nodes {
			if leads(s) == nil {
				found = s
				return nil
			}
		}
		return errors.New("no node leads")
	})
	return found
}

// follower is a node that does not lead.
func (c *cluster) follower() *Store {
	c.t.Helper()
	leader := c.leader()
	for _, s := range c.nodes {
		if s != leader {
			return s
		}
	}
	c.t.Fatal("no follower")
	return nil
}

// alike waits until all nodes have the same state at the leader's index.
func (c *cluster) alike() {
	c.t.Helper()
	eventually(c.t, func() error {
		seen := map[string][]string{}
		for name, s := range c.nodes {
			seen[hashOf(c.t, s)] = append(seen[hashOf(c.t, s)], fmt.Sprintf("%s at %d", name, s.fsm.applied.get()))
		}
		if len(seen) != 1 {
			return fmt.Errorf("states differ: %v", seen)
		}
		return nil
	})
}

// hashOf hashes every record of the state in memory.
func hashOf(t testing.TB, s *Store) string {
	t.Helper()
	s.fsm.mu.RLock()
	defer s.fsm.mu.RUnlock()
	return hashState(t, s.codec, s.fsm.state)
}

func hashState(t testing.TB, c *codec, st *license.State) string {
	t.Helper()
	h := sha256.New()
	for _, k := range st.Keys() {
		b, err := c.record(st.Record(k))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%d/%x=%x\n", k.Kind, k.ID, b)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// testID makes the n-th id of a test.
func testID(n int) license.ID {
	return license.ID{0x01, 0x97, 0xa5, 0xb2, 0x7c, 0x4e, 0x7d, 0x1a, 0x9f, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

func userID(n int) license.UserID { return license.UserID(fmt.Sprintf("user-%03d", n)) }

// fill mirrors users with a license of a capped product each.
func fill(users int) license.Mirror {
	m := license.Mirror{Cursor: "c1", Full: true, Last: true}
	m.Changes = append(m.Changes,
		license.Change{Product: &license.Product{ID: "1000", Name: "Product A", Capped: license.CappedYes}},
		license.Change{Account: &license.Account{ID: "acct", AutonomyCapped: 72 * time.Hour, AutonomyUncapped: 72 * time.Hour}})
	for n := range users {
		m.Changes = append(m.Changes,
			license.Change{User: &license.User{ID: userID(n), Email: fmt.Sprintf("u%d@example.com", n), Country: "DE"}},
			license.Change{License: &license.License{ID: license.LicenseID(fmt.Sprintf("lic-%03d", n)), Product: "1000", Assignee: userID(n)}})
	}
	return m
}

func start(n, user int, machine string) license.Start {
	return license.Start{ID: testID(n), User: userID(user), Product: "1000", Machine: license.Machine{ID: machine, Name: machine}, Agreed: true}
}

func stop(n, user int, machine string) license.Stop {
	return license.Stop{ID: testID(n), User: userID(user), Machine: license.Machine{ID: machine, Name: machine}}
}

// do proposes, on whichever node leads, what must be done and may be repeated.
func (c *cluster) do(cmd license.Command) {
	c.t.Helper()
	eventually(c.t, func() error {
		out, err := c.leader().Propose(limited(c.t), cmd)
		if err == nil && out.Denial != nil {
			c.t.Fatalf("proposing %T: denied: %+v", cmd, *out.Denial)
		}
		return err
	})
}

// do proposes what must be done.
func do(t testing.TB, s *Store, c license.Command) license.Outcome {
	t.Helper()
	out, err := s.Propose(limited(t), c)
	if err != nil {
		t.Fatalf("proposing %T on %s: %v", c, s.cfg.Node, err)
	}
	if out.Denial != nil {
		t.Fatalf("proposing %T on %s: denied: %+v", c, s.cfg.Node, *out.Denial)
	}
	return out
}
