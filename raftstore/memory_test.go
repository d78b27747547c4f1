package raftstore

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

func TestWhatIsRememberedOnlyGrows(t *testing.T) {
	dir := t.TempDir()
	m, err := openMemory(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []progressed{{5, 100}, {5, 90}, {4, 500}, {5, 110}} {
		m.note("n2", p)
	}
	m.note("n3", progressed{Term: 7})
	if err := m.save(); err != nil {
		t.Fatal(err)
	}
	again, err := openMemory(dir)
	want := map[string]progressed{"n2": {5, 110}, "n3": {7, 0}}
	if err != nil || !reflect.DeepEqual(again.all(), want) {
		t.Errorf("read back %v, %v, want %v", again.all(), err, want)
	}
	again.keep(map[string]bool{"n3": true}) // n2 was removed
	if err := again.save(); err != nil {
		t.Fatal(err)
	}
	if m, err = openMemory(dir); err != nil || m.of("n2") != (progressed{}) || m.of("n3").Term != 7 {
		t.Errorf("after n2 was removed: %v, %v", m.all(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, memoryFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openMemory(dir); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestLessThanWasSeen(t *testing.T) {
	had := progressed{5, 100}
	for _, test := range []struct {
		has    progressed
		before bool
	}{
		{progressed{5, 100}, false},
		{progressed{5, 101}, false},
		{progressed{5, 99}, true},
		{progressed{4, 900}, true}, // a vote in term 5 is forgotten
		{progressed{6, 50}, false}, // a later leader had it drop what did not count
		{progressed{}, true},
	} {
		if got := test.has.before(had); got != test.before {
			t.Errorf("%+v before %+v: %t, want %t", test.has, had, got, test.before)
		}
	}
}

// answering is a transport whose peer answers as it is told.
type answering struct {
	nodeTransport
	success, granted bool
	err              error
}

func (a *answering) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, _ *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	resp.Success = a.success
	return a.err
}

func (a *answering) RequestVote(_ raft.ServerID, _ raft.ServerAddress, _ *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	resp.Granted = a.granted
	return a.err
}

func TestTheTransportSeesWhatPeersAcknowledge(t *testing.T) {
	var noted []progressed
	peer := &answering{}
	w := &witness{nodeTransport: peer, note: func(name string, p progressed) {
		if name != "n2" {
			t.Errorf("noted of %s", name)
		}
		noted = append(noted, p)
	}}
	send := func() {
		args := &raft.AppendEntriesRequest{Term: 5, PrevLogEntry: 10, Entries: []*raft.Log{{}, {}}}
		if err := w.AppendEntries("n2", "", args, &raft.AppendEntriesResponse{}); !errors.Is(err, peer.err) {
			t.Errorf("got %v, want %v", err, peer.err)
		}
		if err := w.RequestVote("n2", "", &raft.RequestVoteRequest{Term: 6}, &raft.RequestVoteResponse{}); !errors.Is(err, peer.err) {
			t.Errorf("got %v, want %v", err, peer.err)
		}
	}
	send()
	peer.success, peer.granted = true, true
	send()
	peer.err = errors.New("the connection has ended")
	send()
	if want := []progressed{{5, 12}, {6, 0}}; !reflect.DeepEqual(noted, want) {
		t.Errorf("noted %v, want %v", noted, want)
	}
}

// setBackNode takes a follower's data folder back to what it was before more was
// acknowledged, as a virtual machine's snapshot does.
func setBackNode(t *testing.T, c *cluster) (name string) {
	t.Helper()
	c.do(fill(3))
	c.alike()
	name = c.follower().cfg.Node
	c.stop(name)
	old := filepath.Join(t.TempDir(), "snapshot")
	if err := os.CopyFS(old, os.DirFS(c.dirs[name])); err != nil {
		t.Fatal(err)
	}
	c.restart(name)
	c.do(start(1, 0, "WS-1"))
	c.alike()
	c.crash(name)
	if err := errors.Join(os.RemoveAll(c.dirs[name]), os.CopyFS(c.dirs[name], os.DirFS(old))); err != nil {
		t.Fatal(err)
	}
	return name
}

// opens opens a node and returns why it does not.
func (c *cluster) opens(name string) error {
	c.t.Helper()
	for _, p := range c.peers {
		if p.Name == name {
			s, err := Open(c.config(name, listen(c.t, p.Address)))
			if err == nil {
				c.nodes[name] = s
				c.t.Cleanup(func() { closeStore(c.t, s) })
			}
			return err
		}
	}
	c.t.Fatalf("no node %s", name)
	return nil
}

// I1, I3: a machine that was set back to a snapshot has forgotten what it acknowledged:
// it does not vote any more.
func TestANodeThatWasSetBackIsRefused(t *testing.T) {
	c := newCluster(t, nil)
	name := setBackNode(t, c)
	err := c.opens(name)
	if err == nil || !strings.Contains(err.Error(), "older than what "+name+" has acknowledged") || !strings.Contains(err.Error(), "join again") {
		t.Errorf("got %v, want it refused with the way out", err)
	}
	c.do(start(2, 1, "WS-2")) // the others go on
}

// What the peers remember outlives them.
func TestANodeThatWasSetBackIsRefusedByPeersThatWereStartedAnew(t *testing.T) {
	c := newCluster(t, nil)
	name := setBackNode(t, c)
	var others []string
	for other := range c.nodes {
		others = append(others, other)
	}
	for _, other := range others {
		c.stop(other)
	}
	for _, other := range others {
		c.restart(other)
	}
	c.leader()
	err := c.opens(name)
	if err == nil || !strings.Contains(err.Error(), "older than what "+name+" has acknowledged") {
		t.Errorf("got %v, want it refused", err)
	}
}

// A node that lags behind remembers the machine that had a name before: it does not
// refuse the one that has joined since, which has nothing yet.
func TestAMachineThatHasJoinedSinceIsNotTakenForOneThatWasSetBack(t *testing.T) {
	c := newCluster(t, nil)
	s := c.follower()
	name := c.leader().cfg.Node
	var known license.Node
	eventually(t, func() error {
		s.View(func(st *license.State) {
			if n := st.Node(name); n != nil {
				known = *n
			}
		})
		if known.Name == "" {
			return errors.New(name + " is not in the state")
		}
		return nil
	})
	had := progressed{Term: 9, Index: 1000}
	if err, sure := s.lapsed(caller{name: name, generation: known.Generation, instance: known.Instance}, progressed{}, had); err == nil || !sure {
		t.Errorf("the same machine with nothing left: %v (%t), want it refused", err, sure)
	}
	if err, _ := s.lapsed(caller{name: name, generation: known.Generation + 1, instance: "another"}, progressed{}, had); err != nil {
		t.Errorf("one that has joined since: %v, want it let in", err)
	}
}

// A node that has what it had is welcome, however often it was killed.
func TestANodeThatWasKilledIsNotTakenForOneThatWasSetBack(t *testing.T) {
	c := newCluster(t, nil)
	c.do(fill(3))
	for n := range 3 {
		for i, name := range []string{"n1", "n2", "n3"} {
			c.do(start(10*n+i, i, "WS-1"))
			c.crash(name)
			c.do(stop(10*n+i, i, "WS-1"))
			if err := c.opens(name); err != nil {
				t.Fatalf("after kill %d of %s: %v", n, name, err)
			}
		}
	}
	c.alike()
}
