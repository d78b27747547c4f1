package raftstore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"sitegate/license"
	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
	"sitegate/siteca"
)

// empty takes everything from a node that it has on disk.
func (s *sim) empty(name string) {
	s.mu.Lock()
	s.logs[name] = simLog{&sync.Mutex{}, &crashfs.FS{}}
	s.mu.Unlock()
	dir := filepath.Join(s.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		s.t.Fatal(err)
	}
	s.disks.mu.Lock()
	defer s.disks.mu.Unlock()
	kept := map[string]*badger.DB{}
	for at, db := range s.disks.dbs {
		if !strings.HasPrefix(at, dir+"/") {
			kept[at] = db
		} else if err := db.Close(); err != nil {
			s.t.Error(err)
		}
	}
	s.disks.dbs = kept
}

// noted waits until the leader has put on record who all its members are, which it
// does in its own time: the state changes by it.
func (s *sim) noted() {
	s.t.Helper()
	for range 600 {
		on := 0
		s.leader().View(func(st *license.State) {
			for _, name := range s.names {
				if st.Node(name) != nil {
					on++
				}
			}
		})
		if on == len(s.names) {
			return
		}
		time.Sleep(time.Second)
	}
	s.t.Fatalf("%v: the members are not put on record", s.now())
}

// Two of three nodes have lost all they had while the third is away: they are a
// majority, and do not begin anew; once it is back it says why.
func TestTwoEmptiedNodesDoNotBeginASimulatedClusterAnew(t *testing.T) {
	simulated(t, func(t *testing.T, s *sim) {
		do(t, s.leader(), fill(3))
		do(t, s.leader(), start(1, 1, "WS-1"))
		s.noted()
		s.settled()
		want := hashOf(t, s.nodes["n3"])
		closeStore(t, s.take("n3"))
		crash(t, s.take("n1"))
		crash(t, s.take("n2"))
		for _, name := range []string{"n1", "n2"} {
			s.empty(name)
			s.up(name)
		}
		time.Sleep(3 * simBeat)
		for _, name := range []string{"n1", "n2"} {
			n := s.nodes[name]
			if leads(n) == nil || n.raft.LastIndex() != 0 || n.Err() != nil {
				t.Errorf("%s leads (%v), has a log up to %d, has stopped (%v); want it to wait", name, leads(n) == nil, n.raft.LastIndex(), n.Err())
			}
		}
		s.up("n3")
		for _, name := range []string{"n1", "n2"} {
			n := s.nodes[name]
			select {
			case <-n.Done():
				if err := n.Err(); !strings.Contains(err.Error(), "the data folder of "+name) || !strings.Contains(err.Error(), "join again with a token") {
					t.Errorf("%s has stopped because of %q; want it to say what is wrong with its folder, and what to do", name, err)
				}
			case <-time.After(20 * simBeat):
				t.Errorf("%s goes on beside n3, which has the data", name)
			}
		}
		if got := hashOf(t, s.nodes["n3"]); got != want {
			t.Errorf("the state of n3 is %s, was %s", got, want)
		}
		for _, name := range s.names {
			closeStore(t, s.take(name))
		}
		s.disks.end()
	})
}

// A new cluster waits for all of its first nodes, in whatever order they come, and is
// whole then; one of them that came to its log by another is no hindrance.
func TestANewSimulatedClusterWaitsForAllItsFirstNodes(t *testing.T) {
	simulated(t, func(t *testing.T, s *sim) {
		for _, name := range s.names {
			closeStore(t, s.take(name))
			s.empty(name)
		}
		s.mu.Lock()
		clear(s.told) // by a cluster that is no more
		s.mu.Unlock()
		s.up("n1")
		s.up("n2")
		time.Sleep(3 * simBeat)
		for _, name := range []string{"n1", "n2"} {
			if n := s.nodes[name]; leads(n) == nil || n.raft.LastIndex() != 0 || n.Err() != nil {
				t.Errorf("%s leads (%v), has a log up to %d, has stopped (%v); want it to wait for n3", name, leads(n) == nil, n.raft.LastIndex(), n.Err())
			}
		}
		crash(t, s.take("n1")) // n2 has met it
		s.logs["n1"] = s.logs["n1"].crash(s.dice)
		s.up("n3")
		time.Sleep(3 * simBeat)
		for _, name := range []string{"n2", "n3"} {
			if got := s.nodes[name].raft.LastIndex(); got != 0 {
				t.Errorf("%s has a log up to %d; want it to wait for n1, which is not there any more", name, got)
			}
		}
		s.up("n1")
		time.Sleep(20 * simBeat)
		do(t, s.leader(), fill(3))
		s.settled()
		for _, name := range s.names {
			closeStore(t, s.take(name))
		}
		s.disks.end()
	})
}

// beginAnew takes everything from all nodes, and has prepare see to their logs.
func (s *sim) beginAnew(prepare func(name string)) {
	for _, name := range s.names {
		closeStore(s.t, s.take(name))
		s.empty(name)
		prepare(name)
	}
	s.mu.Lock()
	clear(s.told) // by a cluster that is no more
	s.mu.Unlock()
}

// interrupted leaves in a log what a crash leaves that comes between raft's first term
// and its first entry.
func interrupted(t *testing.T, fs wal.FS) {
	t.Helper()
	l, err := wal.Open(wal.Options{FS: fs, SegmentSize: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.SetUint64([]byte(raftTerm), 1), l.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestASimulatedClusterWhoseBeginningWasInterruptedBegins(t *testing.T) {
	simulated(t, func(t *testing.T, s *sim) {
		s.beginAnew(func(name string) { interrupted(t, s.logs[name]) })
		for _, name := range s.names {
			s.up(name)
		}
		time.Sleep(50 * simBeat)
		for _, name := range s.names {
			if got := s.nodes[name].raft.LastIndex(); got == 0 {
				t.Errorf("%s has no log: want the cluster to begin", name)
			}
		}
		for _, name := range s.names {
			closeStore(t, s.take(name))
		}
		s.disks.end()
	})
}

func TestASingleNodeWhoseBeginningWasInterruptedBegins(t *testing.T) {
	dir := t.TempDir()
	fs := simLog{&sync.Mutex{}, &crashfs.FS{}} // raft and the next segment go on at once
	interrupted(t, fs)
	single(t, dir, func(c *Config) { c.logFS = func(string) wal.FS { return fs } })
}

// A first node that never comes is taken out of the others' settings.
func TestSimulatedNodesThatHaveNotBegunTakeOtherPeers(t *testing.T) {
	simulated(t, func(t *testing.T, s *sim) {
		s.beginAnew(func(string) {})
		s.up("n1")
		s.up("n2")
		time.Sleep(3 * simBeat)
		for _, name := range []string{"n1", "n2"} {
			if got := s.nodes[name].raft.LastIndex(); got != 0 {
				t.Errorf("%s has a log up to %d; want it to wait for n3", name, got)
			}
			closeStore(t, s.take(name))
		}
		s.names = s.names[:2]
		s.up("n1")
		s.up("n2")
		time.Sleep(50 * simBeat)
		do(t, s.leader(), fill(3))
		for _, name := range s.names {
			n := s.nodes[name]
			if got := len(n.members()); got != 2 || n.raft.LastIndex() == 0 {
				t.Errorf("%s has %d members and a log up to %d; want 2, and one", name, got, n.raft.LastIndex())
			}
			closeStore(t, s.take(name))
		}
		s.disks.end()
	})
}

// raft leaves the beginning unanswered where it cannot write its term.
func TestADiskThatFailsAtTheBeginningDoesNotHoldUpTheNode(t *testing.T) {
	ca, err := siteca.New(testCluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, never := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	never.Close()
	disk := simLog{&sync.Mutex{}, &crashfs.FS{}}
	c := &cluster{t: t, ca: ca, dirs: map[string]string{"n1": t.TempDir()}, nodes: map[string]*Store{},
		peers:  []Peer{{Name: "n1", Address: l.Addr().String()}, {Name: "n2", Address: never.Addr().String()}},
		change: func(cfg *Config) { cfg.logFS = func(string) wal.FS { return disk } }}
	s, err := Open(c.config("n1", l))
	if err != nil {
		t.Fatal(err)
	}
	disk.mu.Lock()
	disk.fs.Stop(1)
	disk.mu.Unlock()
	done := make(chan struct{})
	go func() { s.begin(map[string]string{"n1": "one", "n2": "two"}); close(done) }()
	receive(t, s.Done())
	receive(t, done)
	closed := make(chan struct{})
	go func() { s.Close(limited(t)); close(closed) }() // it says again what is wrong with the disk
	receive(t, closed)
}

func TestWhatNodesThatMeetMayConclude(t *testing.T) {
	self := hello{Cluster: testCluster, Node: "n1", Instance: "one"}
	some := progressed{Term: 2, Index: 7}
	for name, c := range map[string]struct {
		other hello
		ok    bool
		err   error
	}{
		"it is new":                           {other: hello{Node: "n2"}, ok: true},
		"it is new, and has given a vote":     {other: hello{Node: "n2", Has: progressed{Term: 2}}, ok: true},
		"it has begun with this very folder":  {other: hello{Node: "n2", Has: some, Founders: map[string]string{"n1": "one", "n2": "two"}}, ok: true},
		"it has begun with an earlier folder": {other: hello{Node: "n2", Has: some, Founders: map[string]string{"n1": "none", "n2": "two"}}, err: errEmptied},
		"it has a log, and has not begun it":  {other: hello{Node: "n2", Has: some}},
		"it has begun without this node":      {other: hello{Node: "n2", Has: some, Founders: map[string]string{"n2": "two"}}},
	} {
		if ok, err := meets(self, c.other); ok != c.ok || !errors.Is(err, c.err) {
			t.Errorf("%s: may begin with it: %t, %v; want %t, %v", name, ok, err, c.ok, c.err)
		}
	}
}
