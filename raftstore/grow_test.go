package raftstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/license"
	"sitegate/siteca"
)

// site is a cluster that grows: every node has a data folder with keys of its own.
type site struct {
	*cluster
	data map[string]string // data folders
	at   map[string]string // peer addresses
}

// newSite is a node that is alone, its peer port not open yet, and holds the CA's
// key.
func newSite(t *testing.T, change func(*Config)) *site {
	t.Helper()
	s := &site{cluster: &cluster{t: t, dirs: map[string]string{}, nodes: map[string]*Store{}, change: change}, data: map[string]string{}, at: map[string]string{}}
	s.folder("n1")
	var err error
	if s.ca, err = siteca.New(testCluster, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.ca.Save(siteca.CAFolder(s.data["n1"])); err != nil {
		t.Fatal(err)
	}
	if _, err := siteca.IssueOwn(s.data["n1"], "n1", s.ca, []string{"n1.example"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.open("n1", nil)
	s.leader()
	return s
}

func (s *site) folder(name string) {
	s.data[name] = s.t.(*testing.T).TempDir()
	s.dirs[name] = filepath.Join(s.data[name], "store")
}

// open starts a node with the keys in its data folder.
func (s *site) open(name string, l net.Listener) *Store {
	s.t.Helper()
	x, err := s.tryOpen(name, l)
	if err != nil {
		s.t.Fatalf("opening %s: %v", name, err)
	}
	s.nodes[name] = x
	s.t.Cleanup(func() { closeStore(s.t, x) })
	return x
}

func (s *site) tryOpen(name string, l net.Listener) (*Store, error) {
	s.t.Helper()
	keys, err := siteca.OpenKeys(s.data[name], testCluster, name)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := Config{Dir: s.dirs[name], Node: name, Cluster: testCluster, Listener: l, Keys: keys, Logger: testLog(s.t, name), Tempo: VM, look: 100 * time.Millisecond,
		Hosts: []string{name + ".example"}, Version: "v-test", URL: "https://" + name + ".example:8443"}
	if l != nil {
		cfg.Advertise = l.Addr().String()
		s.at[name] = cfg.Advertise
	}
	if s.change != nil {
		s.change(&cfg)
	}
	return Open(cfg)
}

// door opens the first node's peer port, while it runs.
func (s *site) door() {
	s.t.Helper()
	l := listen(s.t, "127.0.0.1:0")
	s.at["n1"] = l.Addr().String()
	if err := s.nodes["n1"].Listen(limited(s.t), l, s.at["n1"]); err != nil {
		s.t.Fatalf("opening the peer port: %v", err)
	}
}

func (s *site) token() Token {
	s.t.Helper()
	var t Token
	eventually(s.t, func() (err error) { // the leader may change meanwhile
		t, _, err = s.leader().IssueToken(limited(s.t), "ida", time.Hour)
		return err
	})
	again, err := ParseToken(" " + t.Text() + "\n")
	if err != nil || fmt.Sprint(again) != fmt.Sprint(t) || again.Secret != t.Secret {
		s.t.Fatalf("a token does not survive its text: %v", err)
	}
	return again
}

func (s *site) joinConfig(name, address string, token Token) JoinConfig {
	return JoinConfig{Dir: s.dirs[name], DataDir: s.data[name], Node: name, Advertise: address, Hosts: []string{name + ".example"}, Token: token, Version: "v-test"}
}

// join lets a new machine in and starts it.
func (s *site) join(name string, token Token) *Store {
	s.t.Helper()
	if s.data[name] == "" {
		s.folder(name)
	}
	l := listen(s.t, "127.0.0.1:0")
	if _, err := Join(limited(s.t), s.joinConfig(name, l.Addr().String(), token)); err != nil {
		s.t.Fatalf("%s joins: %v", name, err)
	}
	return s.open(name, l)
}

// remove has whichever node leads remove a member: the leader may change meanwhile.
func (s *site) remove(r Removal) {
	s.t.Helper()
	eventually(s.t, func() error { return s.leader().Remove(limited(s.t), r) })
}

// voters waits until these vote, and nobody else.
func (s *site) voters(names ...string) {
	s.t.Helper()
	slices.Sort(names)
	want := strings.Join(names, " ")
	eventually(s.t, func() error {
		var got []string
		for _, m := range s.leader().Roster() {
			if m.Voter {
				got = append(got, m.Name)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			return fmt.Errorf("%v vote, want %s", got, want)
		}
		return nil
	})
}

func TestOneNodeGrowsToThreeAndBack(t *testing.T) {
	s := newSite(t, nil)
	s.do(fill(9))
	if _, _, err := s.leader().IssueToken(limited(t), "ida", time.Hour); err == nil || !strings.Contains(err.Error(), "no peer port") {
		t.Errorf("a token of a node without a peer port: got %v", err)
	}
	s.door()
	s.join("n2", s.token())
	s.do(start(1, 1, "WS-1"))
	s.voters("n1", "n2")
	s.join("n3", s.token())
	s.voters("n1", "n2", "n3")
	s.alike()
	eventually(t, func() error { // those that vote hold the CA's key
		for name, x := range s.nodes {
			if !x.cfg.Keys.Signs() {
				return fmt.Errorf("%s does not sign", name)
			}
		}
		return nil
	})
	for _, m := range s.leader().Roster() {
		if !m.Known || m.Version != "v-test" || m.URL != "https://"+m.Name+".example:8443" || m.Ends.IsZero() || m.Lag > 100 || m.Address != s.at[m.Name] {
			t.Errorf("the roster has %+v", m)
		}
	}

	// The machine that it began with goes, and then one more.
	if _, err := s.nodes["n1"].HandOver(limited(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if s.leader() == s.nodes["n1"] {
			return errors.New("n1 leads still")
		}
		return nil
	})
	s.remove(Removal{Node: "n1", By: "ida", Note: "old"})
	gone := s.nodes["n1"]
	receive(t, gone.Done())
	if gone.Err() == nil || !strings.Contains(gone.Err().Error(), "removed from its cluster by ida") {
		t.Errorf("the removed node has ended with %v", gone.Err())
	}
	delete(s.nodes, "n1")
	closeStore(t, gone)
	if x, err := s.tryOpen("n1", listen(t, s.at["n1"])); err == nil || !strings.Contains(err.Error(), "join with a new token") {
		t.Errorf("the removed node starts again: %v, %v", x, err)
	}
	s.voters("n2", "n3")
	s.do(start(2, 2, "WS-1"))
	other := "n2"
	if s.leader().cfg.Node == "n2" {
		other = "n3"
	}
	if err := s.nodes[other].Leave(limited(t)); err != nil {
		t.Fatal(err)
	}
	s.stop(other)
	s.voters(s.leader().cfg.Node)
	s.do(start(3, 3, "WS-1"))

	// And the first machine comes back, as a new one under its old name.
	for _, dir := range []string{s.dirs["n1"], siteca.Folder(s.data["n1"]), siteca.CAFolder(s.data["n1"])} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	back := s.join("n1", s.token())
	if got := back.cfg.Keys.Generation(); got != 1 {
		t.Errorf("it came back in generation %d, want 1: the first that was let in", got)
	}
	s.voters("n1", s.leader().cfg.Node)
	s.alike()
}

// Whatever is wrong with a token, the newcomer is told, and neither side keeps
// anything of the try.
func TestTokensThatLetNobodyIn(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	used := s.token()
	s.join("n2", used)
	good := s.token()
	var log uint64
	eventually(t, func() error { // the log is quiet
		last := s.leader().raft.LastIndex()
		if s.voters("n1", "n2"); log != last {
			log = last
			return errors.New("there are new entries")
		}
		return nil
	})

	expired, until, err := s.leader().IssueToken(limited(t), "ida", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if now := s.leader().Now(); now <= until {
			return fmt.Errorf("it is %v, and good until %v", now, until)
		}
		return nil
	})
	unknown := good
	unknown.Secret[3]++
	foreign := good
	foreign.Pin[0]++
	elsewhere := good
	elsewhere.Cluster = "another"
	nowhere := good
	nowhere.Addresses = []string{"127.0.0.1:1"}
	for name, c := range map[string]struct {
		node, address string
		token         Token
		want          string // in the error
		denial        license.Reason
	}{
		"used":                {"n3", "127.0.0.1:7001", used, "", license.TokenUsed},
		"expired":             {"n3", "127.0.0.1:7001", expired, "", license.TokenExpired},
		"not issued here":     {"n3", "127.0.0.1:7001", unknown, "", license.UnknownToken},
		"a name that is in":   {"n2", "127.0.0.1:7001", good, "", license.NodeKnown},
		"the first's name":    {"n1", "127.0.0.1:7001", good, "", license.NodeKnown},
		"an address in use":   {"n3", s.at["n2"], good, "where n2 is", ""},
		"another CA's":        {"n3", "127.0.0.1:7001", foreign, "by another CA", ""},
		"another cluster's":   {"n3", "127.0.0.1:7001", elsewhere, "of cluster another", ""},
		"nobody there":        {"n3", "127.0.0.1:7001", nowhere, "connection refused", ""},
		"no address":          {"n3", "0.0.0.0:7001", good, "could reach", ""},
		"a name that is none": {"n 3", "127.0.0.1:7001", good, "node name", ""},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			_, err := Join(limited(t), JoinConfig{Dir: filepath.Join(data, "store"), DataDir: data, Node: c.node, Advertise: c.address, Token: c.token})
			var d *Denied
			switch {
			case c.denial != "" && (!errors.As(err, &d) || d.Denial.Reason != c.denial):
				t.Errorf("got %v, want %s", err, c.denial)
			case c.denial == "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want something with %q", err, c.want)
			}
			for _, file := range []string{"store/identity.json", "cluster/node.key", "cluster/node.pem", "ca/site-ca.pem"} {
				if _, err := os.Stat(filepath.Join(data, file)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is left behind: %v", file, err)
				}
			}
		})
	}
	if got := len(s.leader().Roster()); got != 2 {
		t.Errorf("the cluster has %d members, want 2", got)
	}
	s.join("n3", good) // the good one was not used up by all that
	s.voters("n1", "n2", "n3")
}

// The answer to a join can be lost: asked again, the cluster gives the same one.
func TestJoiningAgainFinishesIt(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	token := s.token()
	s.folder("n2")
	l := listen(t, "127.0.0.1:0")
	c := s.joinConfig("n2", l.Addr().String(), token)

	// All but the answer: the request as Join makes it, by hand.
	id, fresh, err := c.identity()
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	if err := makeDir(c.Dir); err != nil {
		t.Fatal(err)
	}
	if err := id.write(filepath.Join(c.Dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	_, csr, err := c.key(true)
	if err != nil {
		t.Fatal(err)
	}
	r := joinRequest{Protocol: protocol, Secret: token.Secret[:], Node: "n2", Instance: id.Instance, Address: c.Advertise, CSR: csr}
	a, err := s.leader().joinHere(limited(t), r)
	if err != nil || a.Certificate == nil {
		t.Fatal(a, err)
	}
	if _, err := identify(c.Dir, "n2", testCluster); err == nil || !strings.Contains(err.Error(), "not finished joining") {
		t.Errorf("half joined, it starts: %v", err)
	}
	joined, err := Join(limited(t), c)
	if err != nil || joined.Again || len(joined.Members) != 2 {
		t.Fatalf("joining again: %+v, %v", joined, err)
	}
	if joined, err = Join(limited(t), c); err != nil || !joined.Again {
		t.Errorf("joining a third time: %+v, %v; want that it had joined", joined, err)
	}
	s.open("n2", l)
	s.voters("n1", "n2")

	// With somebody else's key it is not the same newcomer.
	_, other, err := siteca.NewRequest("n2", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.CSR = other
	var d *Denied
	if _, err := s.leader().joinHere(limited(t), r); !errors.As(err, &d) || d.Denial.Reason != license.TokenUsed {
		t.Errorf("another key with the same token: got %v", err)
	}
}

// A node whose disk was emptied has forgotten its votes. It does not come back
// under its name, by its old certificate, until it is removed and joins anew.
func TestAnEmptiedFolderMayNotVote(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	s.join("n2", s.token())
	s.voters("n1", "n2")
	s.join("n3", s.token())
	s.voters("n1", "n2", "n3")
	s.do(fill(3))
	lost := s.follower().cfg.Node
	s.stop(lost)
	if err := os.RemoveAll(s.dirs[lost]); err != nil { // the log and the votes; the keys are still there
		t.Fatal(err)
	}
	if x, err := s.tryOpen(lost, listen(t, s.at[lost])); err == nil {
		closeStore(t, x)
		t.Fatal("an emptied node came back as if nothing had happened")
	} else if !strings.Contains(err.Error(), "emptied") || !strings.Contains(err.Error(), "cluster remove "+lost) {
		t.Errorf("got %v, want what has happened and the way out", err)
	}
	// A folder that passes for new, because all that tells otherwise was emptied too,
	// is refused by the others.
	twin, err := newIdentity(filepath.Join(s.t.(*testing.T).TempDir(), identityFile), lost, testCluster)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s.nodes {
		keys, err := siteca.OpenKeys(s.data[lost], testCluster, lost)
		if err != nil {
			t.Fatal(err)
		}
		if err, _ := x.vet(caller{name: lost, generation: keys.Generation(), instance: twin.Instance, key: keys.KeyDigest()}); err == nil || !strings.Contains(err.Error(), "cluster remove "+lost) {
			t.Errorf("%s: got %v, want what has happened and the way out", x.cfg.Node, err)
		}
	}
	s.remove(Removal{Node: lost, By: "ida", Note: "disk"})
	for _, dir := range []string{s.dirs[lost], siteca.Folder(s.data[lost])} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	back := s.join(lost, s.token())
	if got := back.cfg.Keys.Generation(); got != 2 {
		t.Errorf("it is back in generation %d, want 2", got)
	}
	s.voters(s.sorted()...)
	s.do(start(1, 1, "WS-1"))
	s.alike()
}

// Strangers on the port get nothing, and harm nothing.
func TestGarbageOfNewcomers(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	token := s.token()
	pin := s.nodes["n1"].cfg.Keys.Pin()
	for name, talk := range map[string]func(c *tls.Conn){
		"nothing":          func(*tls.Conn) {},
		"a node's service": func(c *tls.Conn) { c.Write([]byte{streamRPC}); writeMessage(c, s.leader().codec, hello{}) },
		"noise":            func(c *tls.Conn) { c.Write([]byte{streamJoin, 0, 4, 1, 2, 3, 4}) },
		"a long message":   func(c *tls.Conn) { c.Write([]byte{streamJoin, 0xff, 0xff, 1}) },
		"half a request":   func(c *tls.Conn) { c.Write([]byte{streamJoin, 0}) },
		"no request": func(c *tls.Conn) {
			c.Write([]byte{streamJoin})
			writeMessage(c, s.leader().codec, joinRequest{})
		},
		"the token without a request for a certificate": func(c *tls.Conn) {
			c.Write([]byte{streamJoin})
			writeMessage(c, s.leader().codec, joinRequest{Protocol: protocol, Secret: token.Secret[:], Node: "n2", Instance: "i", Address: "127.0.0.1:7"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Dial("tcp", s.at["n1"])
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			c := tls.Client(raw, siteca.PinnedTLS(pin, testCluster))
			if err := c.HandshakeContext(limited(t)); err != nil {
				t.Fatal(err)
			}
			talk(c)
			raw.(*net.TCPConn).CloseWrite()
			c.SetReadDeadline(time.Now().Add(patience))
			var a joinAnswer
			if err := readMessage(c, s.leader().codec, &a); err == nil && (a.Certificate != nil || a.err() == nil && !a.Again) {
				t.Errorf("it was let in: %+v", a)
			} else if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Logf("it was hung up on: %v", err)
			}
		})
	}
	if got := len(s.leader().configured()); got != 1 {
		t.Errorf("the cluster has %d members, want 1", got)
	}
	eventually(t, func() error { // the limit of newcomers is over
		s.folder("n2")
		l := listen(t, "127.0.0.1:0")
		defer l.Close()
		_, err := Join(limited(t), s.joinConfig("n2", l.Addr().String(), token))
		return err
	})
}
