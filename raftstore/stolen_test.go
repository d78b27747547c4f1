package raftstore

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
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

// minted is a certificate that somebody with the CA's key makes, of a key of their own.
func minted(t *testing.T, ca *siteca.CA, node string, generation uint64) *siteca.Peer {
	t.Helper()
	key, csr, err := siteca.NewRequest(node, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(csr, node, generation, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := siteca.NewPeer(ca.Cluster(), node, ca.CertPEM(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// greeted says what a node answers to whoever shows a certificate, and says to be that
// data folder.
func greeted(t *testing.T, s *Store, address string, p *siteca.Peer, instance string, kind byte) string {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, p.ClientTLS(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte{kind}); err != nil {
		t.Fatal(err)
	}
	if err := writeMessage(conn, s.codec, hello{Protocol: protocol, Cluster: testCluster, Node: p.Node(), Instance: instance, Address: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	var h hello
	if err := readMessage(conn, s.codec, &h); err != nil {
		t.Fatalf("%s gives no answer: %v", s.cfg.Node, err)
	}
	return h.Refused
}

// A node that voted is removed. Whoever has its whole data folder has its key, its
// certificate and the key of the site's CA, and knows all there is to know of the others.
// Nothing of that opens a connection, whatever certificates they make: not as itself,
// not as itself in a later generation, not as a new node, not as one of the others.
func TestAStolenNodeIsOfNoUse(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	s.join("n2", s.token())
	s.join("n3", s.token())
	s.voters("n1", "n2", "n3")
	eventually(t, func() error {
		for name, x := range s.nodes {
			var err error
			x.View(func(st *license.State) {
				for _, n := range license.Nodes(st) {
					if (n.Key == license.Digest{}) {
						err = fmt.Errorf("%s has no key of %s on record", name, n.Name)
					}
				}
				if len(license.Nodes(st)) != 3 {
					err = fmt.Errorf("%s knows %d nodes", name, len(license.Nodes(st)))
				}
			})
			if err == nil && !x.cfg.Keys.Signs() {
				err = fmt.Errorf("%s does not hold the CA's key", name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	stolen := s.follower().cfg.Node
	ca, err := siteca.Load(siteca.CAFolder(s.data[stolen]))
	if err != nil {
		t.Fatal(err)
	}
	open := s.token() // that the machine may have seen
	leader := s.leader()
	if err, _ := leader.vet(caller{name: "n9", generation: 1, instance: "x", key: keyOf(minted(t, ca, "n9", 1))}); err != nil {
		t.Fatalf("before the removal a certificate of the CA is not taken: %v; this test shows nothing", err)
	}
	s.remove(Removal{Node: stolen, By: "ida", Note: "stolen"})
	gone := s.nodes[stolen]
	receive(t, gone.Done())
	itself, err := siteca.OpenKeys(s.data[stolen], testCluster, stolen)
	if err != nil {
		t.Fatal(err)
	}
	delete(s.nodes, stolen)
	closeStore(t, gone)
	for name, x := range s.nodes {
		eventually(t, func() error { // it has heard of it
			var err error
			x.View(func(st *license.State) {
				if st.Head().CAOut == 0 {
					err = fmt.Errorf("%s has not heard of the removal", name)
				}
			})
			return err
		})
		var other license.Node
		x.View(func(st *license.State) {
			for _, n := range license.Nodes(st) {
				if n.Removed == 0 && n.Name != name {
					other = n
				}
			}
		})
		for what, c := range map[string]struct {
			as       *siteca.Peer
			instance string
			want     string
		}{
			"itself":                        {itself.Peer, gone.identity.Instance, "was removed"},
			"itself, in a later generation": {minted(t, ca, stolen, 7), gone.identity.Instance, "not on record"},
			"a new node":                    {minted(t, ca, "n9", 1), "x", "not on record"},
			"another member":                {minted(t, ca, other.Name, other.Generation), other.Instance, "not of the key that is on record"},
			"another member, later":         {minted(t, ca, other.Name, other.Generation+1), other.Instance, "not on record"},
		} {
			for _, kind := range []byte{streamRaft, streamRPC} {
				if got := greeted(t, x, s.at[name], c.as, c.instance, kind); !strings.Contains(got, c.want) {
					t.Errorf("%s to %s, service %d: got %q, want a refusal with %q", what, name, kind, got, c.want)
				}
			}
		}
	}
	if _, err := s.leader().signHere(otherThan(s, s.leader().cfg.Node), mustRequest(t, "n2")); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("a certificate of a new key is signed: %v", err)
	}
	// A token of before is void; with a new one a machine joins as ever.
	s.folder("n4")
	if _, err := Join(limited(t), s.joinConfig("n4", "127.0.0.1:1", open)); err == nil || !strings.Contains(err.Error(), string(license.TokenExpired)) {
		t.Errorf("a token of before the removal: got %v, want %s", err, license.TokenExpired)
	}
	s.join("n5", s.token())
	s.voters(slices.Collect(maps.Keys(s.nodes))...)
	s.do(fill(2))
	s.alike()
}

// A machine that joins under a name of before reads the log from its beginning, in which
// that name voted and the others had not been let in yet as they are now. It refuses none of
// them for what it has read so far: to be refused ends a node.
func TestWhoReadsOfLongAgoRefusesNobody(t *testing.T) {
	var disks slowDisks
	s := newSite(t, func(cfg *Config) { cfg.logFS = disks.fs })
	s.door()
	for _, name := range []string{"n2", "n3"} {
		s.join(name, s.token())
	}
	s.voters("n1", "n2", "n3")
	anew := func(name string, each time.Duration) {
		s.anew(name, func() { disks.slow(s.dirs[name]+"/log", each) })
		for range 200 { // more than are sent at once
			s.do(fill(1))
		}
	}
	anew("n2", 0)
	anew("n1", 0)                   // whoever leads now has joined later than what the log begins with
	anew("n3", 20*time.Millisecond) // and is heard of long before that is read
	for name, x := range s.nodes {
		if err := x.Err(); err != nil {
			t.Errorf("%s has ended: %v", name, err)
		}
	}
	s.alike()
}

// anew has a machine of the site removed, and another join under its name.
func (s *site) anew(name string, before func()) {
	s.t.Helper()
	s.holders()
	gone := s.nodes[name]
	s.remove(Removal{Node: name, By: "ida", Note: "anew"})
	receive(s.t, gone.Done())
	delete(s.nodes, name)
	closeStore(s.t, gone)
	s.folder(name)
	before()
	s.join(name, s.token())
	s.voters(slices.Collect(maps.Keys(s.nodes))...)
}

// A power cut takes what a node has not written of its state, not its log. A site whose nodes
// have then to read in the log who was let in last still elects a leader, by that one's vote,
// too.
func TestWhoWasLetInLastIsKnownByTheLog(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	for _, name := range []string{"n2", "n3"} {
		s.join(name, s.token())
	}
	s.voters("n1", "n2", "n3")
	s.anew("n2", func() {}) // from here on a certificate proves nothing
	s.alike()
	close := func(name string) {
		closeStore(t, s.nodes[name])
		delete(s.nodes, name)
	}
	state, old := filepath.Join(s.dirs["n1"], "state"), filepath.Join(t.TempDir(), "state")
	close("n1")
	if err := os.CopyFS(old, os.DirFS(state)); err != nil {
		t.Fatal(err)
	}
	s.open("n1", listen(t, s.at["n1"]))
	s.anew("n3", func() {})
	s.alike()
	eventually(t, func() error { // raft gives its vote to those only whose vote it has read of
		if !s.nodes["n1"].votersByName()["n3"] {
			return errors.New("n1 has not heard of n3's vote")
		}
		return nil
	})
	for _, name := range []string{"n1", "n2", "n3"} {
		close(name)
	}
	if err := errors.Join(os.RemoveAll(state), os.CopyFS(state, os.DirFS(old))); err != nil {
		t.Fatal(err)
	}
	s.open("n1", listen(t, s.at["n1"]))
	s.open("n3", listen(t, s.at["n3"]))
	s.leader()
	s.alike()
	for name, x := range s.nodes {
		if err := x.Err(); err != nil {
			t.Errorf("%s has ended: %v", name, err)
		}
	}
}

func TestWhoHasNoVoteEndsNobody(t *testing.T) {
	s := newSite(t, nil)
	s.door()
	s.join("n2", s.token())
	s.voters("n1", "n2")
	s.folder("n3")
	l := listen(t, "127.0.0.1:0")
	if _, err := Join(limited(t), s.joinConfig("n3", l.Addr().String(), s.token())); err != nil { // it is not started yet, and gets no vote
		t.Fatal(err)
	}
	leader := s.leader()
	leader.refused(&refusal{peer: "n3", text: "for what it is worth", sure: true})
	if err := leader.Err(); err != nil {
		t.Errorf("a node has ended by the word of one that does not vote: %v", err)
	}
	s.open("n3", l)
	s.voters("n1", "n2", "n3")
	leader = s.leader()
	leader.refused(&refusal{peer: otherThan(s, leader.cfg.Node), text: "was removed", sure: true})
	receive(t, leader.Done())
	if err := leader.Err(); err == nil || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("it ended with %v, want the refusal", err)
	}
}

func keyOf(p *siteca.Peer) license.Digest {
	return sha256.Sum256(p.Certificate().Leaf.RawSubjectPublicKeyInfo)
}

func otherThan(s *site, name string) string {
	for other := range s.nodes {
		if other != name {
			return other
		}
	}
	return ""
}

func mustRequest(t *testing.T, node string) []byte {
	t.Helper()
	_, csr, err := siteca.NewRequest(node, nil)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}
