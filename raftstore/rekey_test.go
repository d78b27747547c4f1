package raftstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
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

// rekey has whichever node leads replace the site's CA, whoever is cut off by it: the leader
// may change meanwhile.
func (s *site) rekey(note string, overlap time.Duration) {
	s.t.Helper()
	eventually(s.t, func() error {
		err := s.leader().Rekey(limited(s.t), Rekey{By: "ida", Note: note, Overlap: overlap, CutOff: true})
		var no *Refused
		if errors.As(err, &no) && strings.Contains(err.Error(), "already") { // the answer to the first try was lost
			return nil
		}
		return err
	})
}

// replaced waits until the nodes that run trust the new CA only, have certificates by it,
// and its key alone.
func (s *site) replaced(old [32]byte) {
	s.t.Helper()
	eventually(s.t, func() error {
		for name, x := range s.nodes {
			k := x.cfg.Keys
			key, err := os.ReadFile(filepath.Join(siteca.CAFolder(s.data[name]), siteca.CAKeyFile))
			switch r := x.Replacement(); {
			case k.Newest() == old || k.Pin() != k.Newest() || len(k.CAs()) != 1:
				return fmt.Errorf("%s trusts %d CAs, its own certificate is by the newest: %t", name, len(k.CAs()), k.Pin() == k.Newest())
			case r.Going() || r.Over == 0:
				return fmt.Errorf("%s says that it goes on: %v wait, %v have no key", name, r.Waits, r.Keyless)
			case err != nil || bytes.Count(key, []byte("PRIVATE")) != 2 || !k.Signs():
				return fmt.Errorf("%s does not hold the new CA's key alone: %v", name, err)
			}
		}
		return nil
	})
}

// holders waits until all nodes that run hold the CA's key.
func (s *site) holders() {
	s.t.Helper()
	eventually(s.t, func() error {
		for name, x := range s.nodes {
			if !x.cfg.Keys.Signs() {
				return fmt.Errorf("%s does not hold the CA's key", name)
			}
		}
		return nil
	})
}

// three is a site of three nodes, each of which may sign.
func three(t *testing.T) *site {
	t.Helper()
	s := newSite(t, nil)
	s.do(fill(20))
	s.door()
	s.join("n2", s.token())
	s.join("n3", s.token())
	s.voters("n1", "n2", "n3")
	s.holders()
	return s
}

// knocks says how a node takes whoever shows a certificate: nil is that it says hello.
func knocks(t *testing.T, address string, p *siteca.Peer) error {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, p.ClientTLS(""))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte{streamRPC}); err != nil {
		return err
	}
	if err := writeMessage(conn, c, hello{Protocol: protocol, Cluster: testCluster, Node: p.Node(), Instance: "x"}); err != nil {
		return err
	}
	var h hello
	return readMessage(conn, c, &h)
}

// The site's CA is replaced while one node is off: the others work on and have
// certificates by the new one at once; the old one is trusted until the node has come back
// and has one, too. Then it is worth nothing, and neither is its key.
func TestTheSiteCAIsReplacedWhileTheClusterWorks(t *testing.T) {
	s := three(t)
	off := s.follower().cfg.Node
	s.stop(off)
	leader := s.leader()
	old := leader.cfg.Keys.Newest()
	open := s.token() // void by it
	s.rekey("laptop lost", time.Hour)
	s.do(start(1, 1, "WS-1"))
	eventually(t, func() error {
		r := s.leader().Replacement()
		if !r.Going() || !slices.Equal(r.Waits, []string{off}) || !slices.Equal(r.Keyless, []string{off}) {
			return fmt.Errorf("going on %t, %v wait, %v have no key; want that it goes on for %s alone", r.Going(), r.Waits, r.Keyless, off)
		}
		return nil
	})
	eventually(t, func() error { // the leader may change
		if err := s.leader().Rekey(limited(t), Rekey{By: "ida", Note: "again", Overlap: time.Hour}); err == nil || !strings.Contains(err.Error(), "being replaced already") {
			return fmt.Errorf("a second one in between: got %v, want that it is refused", err)
		}
		return nil
	})
	// Both are trusted; but who has made a certificate with the old CA's key is nobody.
	leader = s.leader()
	var other license.Node
	leader.View(func(st *license.State) {
		for _, n := range license.Nodes(st) {
			if n.Name != leader.cfg.Node {
				other = n
			}
		}
	})
	forged := minted(t, s.ca, other.Name, other.Generation)
	if got := greeted(t, leader, s.at[leader.cfg.Node], forged, other.Instance, streamRPC); !strings.Contains(got, "not of the key that is on record") {
		t.Errorf("a certificate by the old CA's key, while both are trusted: got %q", got)
	}
	// A machine joins meanwhile, and knows both.
	s.join("n4", s.token())
	if got := len(s.nodes["n4"].cfg.Keys.CAs()); got != 2 && s.leader().rekeyNow().Going() {
		t.Errorf("who joins meanwhile trusts %d CAs, want both", got)
	}
	// A token of before tells nobody the secret any more, and whoever has that is refused.
	s.folder("n5")
	void := open
	void.Pin = leader.cfg.Keys.Newest()
	for want, token := range map[string]Token{"was replaced since": open, string(license.TokenExpired): void} {
		eventually(t, func() error {
			if _, err := Join(limited(t), s.joinConfig("n5", "127.0.0.1:1", token)); err == nil || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("a token of before: got %v, want %s", err, want)
			}
			return nil
		})
	}
	s.do(start(2, 2, "WS-2"))

	s.open(off, listen(t, s.at[off]))
	s.replaced(old)
	s.voters("n1", "n2", "n3", "n4")
	s.holders()
	s.do(start(3, 3, "WS-3"))
	s.alike()
	for name := range s.nodes {
		if err := knocks(t, s.at[name], forged); err == nil {
			t.Errorf("%s talks to a certificate by the old CA", name)
		}
		s.nodes[name].View(func(st *license.State) {
			if st.Head().CAOut != 0 {
				t.Errorf("%s still takes the CA's key for one that others have", name)
			}
		})
	}
	// And all that lasts.
	s.stop("n4")
	s.open("n4", listen(t, s.at["n4"]))
	s.do(start(4, 4, "WS-4"))
	s.replaced(old)
	eventually(t, func() error { // the leader may change
		if err := s.leader().Rekey(limited(t), Rekey{By: "ida", Note: "too soon", Overlap: time.Hour}); err == nil || !strings.Contains(err.Error(), "was replaced already") {
			return fmt.Errorf("another one within the overlap: got %v, want that it is refused", err)
		}
		return nil
	})
	before := s.nodes["n4"].cfg.Keys.Newest()
	s.rekey("and once more", time.Hour)
	s.replaced(before)
	s.alike()
}

// Who does not come back in time has to join anew, and is told so. Nobody waits for it.
func TestWhoIsAwayTooLongJoinsAnewAfterTheCAWasReplaced(t *testing.T) {
	s := three(t)
	off := s.follower().cfg.Node
	s.stop(off)
	old := s.leader().cfg.Keys.Newest()
	s.rekey("leaked", 2*time.Second)
	s.replaced(old)
	if got := s.leader().Replacement().Left; !slices.Equal(got, []string{off}) {
		t.Errorf("left behind: got %v, want %s", got, off)
	}
	eventually(t, func() error { // it may take the others too long to say so
		x, err := s.tryOpen(off, listen(t, s.at[off]))
		if err == nil {
			closeStore(t, x)
			return errors.New("it starts again")
		}
		if !strings.Contains(err.Error(), "the site's CA was replaced") || !strings.Contains(err.Error(), "join again with a token") {
			return fmt.Errorf("it says %w; want to be told why it does not start, and what to do", err)
		}
		return nil
	})
	s.remove(Removal{Node: off, By: "ida", Note: "was away"})
	for _, dir := range []string{s.dirs[off], siteca.Folder(s.data[off]), siteca.CAFolder(s.data[off])} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	s.join(off, s.token())
	s.voters("n1", "n2", "n3")
	s.replaced(old)
	if got := s.leader().Replacement().Left; len(got) != 0 {
		t.Errorf("left behind after it has joined: got %v, want nobody", got)
	}
	s.do(start(1, 1, "WS-1"))
	s.alike()
}

// The machine that made the new CA is lost before anybody else has its key: nothing was
// signed by it, and another one takes its place.
func TestANewCAWhoseKeyIsLostIsGivenUp(t *testing.T) {
	s := three(t)
	leader := s.leader()
	old := leader.cfg.Keys.Newest()
	next := s.succeedElsewhere()
	eventually(t, func() error {
		for name, x := range s.nodes {
			if got := x.cfg.Keys.Newest(); license.Digest(got) != license.RootDigest(next.Root) {
				return fmt.Errorf("%s does not know the new CA", name)
			}
		}
		return nil
	})
	s.do(start(1, 1, "WS-1"))
	if r := s.leader().Replacement(); len(r.Waits) != 3 || len(r.Keyless) != 3 {
		t.Errorf("%v wait, %v have no key; want all three", r.Waits, r.Keyless)
	}
	eventually(t, func() error {
		return s.leader().Rekey(limited(t), Rekey{By: "ida", Note: "second try", Overlap: time.Hour})
	})
	s.replaced(old)
	for name, x := range s.nodes {
		if license.Digest(x.cfg.Keys.Newest()) == license.RootDigest(next.Root) {
			t.Errorf("%s goes by the CA whose key is lost", name)
		}
	}
	s.do(start(2, 2, "WS-2"))
	s.alike()
}

// A site that goes on from a backup of the middle of a replacement of its CA goes by one CA
// again, that of the node's own certificate, and by nothing else: who has the other one's key
// is nobody.
func TestARestoreEndsAReplacementOfTheCA(t *testing.T) {
	for name, certified := range map[string]bool{"with a certificate by the new CA": true, "with one by the CA before": false} {
		t.Run(name, func(t *testing.T) { restoreEndsAReplacement(t, certified) })
	}
}

func restoreEndsAReplacement(t *testing.T, certified bool) {
	s := newSite(t, nil)
	s.do(fill(20))
	s.door()
	s.join("n2", s.token())
	s.join("n3", s.token())
	s.voters("n1", "n2", "n3")
	s.holders()
	old := s.leader().cfg.Keys.Newest()
	if certified {
		s.stop(s.follower().cfg.Node) // for which the replacement waits
		s.rekey("laptop lost", time.Hour)
	} else {
		s.succeedElsewhere()
	}
	var leader *Store
	eventually(t, func() error {
		leader = s.leader()
		k := leader.cfg.Keys
		if r := leader.Replacement(); !r.Going() || len(k.CAs()) != 2 || (k.Pin() == old) == certified {
			return fmt.Errorf("going on: %t, %d CAs are trusted, its own certificate is by the old one: %t", r.Going(), len(k.CAs()), k.Pin() == old)
		}
		return nil
	})
	file, _ := backupOf(t, leader)
	node, at := leader.cfg.Node, s.at[leader.cfg.Node]
	for name := range s.nodes {
		s.stop(name)
	}
	if err := os.Rename(s.dirs[node], s.dirs[node]+"-before"); err != nil {
		t.Fatal(err)
	}
	keys, err := siteca.OpenKeys(s.data[node], testCluster, node)
	if err != nil {
		t.Fatal(err)
	}
	own, others := keys.Pin(), slices.DeleteFunc(slices.Clone(keys.CAs()), func(c *x509.Certificate) bool { return sha256.Sum256(c.Raw) == keys.Pin() })
	if _, err := Restore(Beginning{Dir: s.dirs[node], Node: node, Address: at, Generation: keys.Generation(), Cluster: testCluster, Logger: testLog(t, node)}, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	settled := func() {
		t.Helper()
		eventually(t, func() error {
			k := s.nodes[node].cfg.Keys
			key, err := os.ReadFile(filepath.Join(siteca.CAFolder(s.data[node]), siteca.CAKeyFile))
			if k.Pin() != own || k.Newest() != own || len(k.CAs()) != 1 || k.Trusts(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: others[0].Raw})) {
				return fmt.Errorf("%d CAs are trusted, its own the newest: %t", len(k.CAs()), k.Newest() == own)
			}
			if err != nil || bytes.Count(key, []byte("PRIVATE")) != 2 || !k.Signs() {
				return fmt.Errorf("it does not hold its CA's key alone: %v\n%d keys", err, bytes.Count(key, []byte("PRIVATE"))/2)
			}
			return nil
		})
	}
	s.open(node, listen(t, at))
	settled()
	if r := s.leader().Replacement(); r.Going() || len(r.Root) > 0 {
		t.Errorf("the restored site speaks of a replacement: %+v", r)
	}
	// It is so after one more start, others join, and the CA can be replaced again.
	eventually(t, func() error { return s.leader().Flush(limited(t)) })
	s.stop(node)
	s.open(node, listen(t, at))
	settled()
	s.join("n4", s.token())
	s.voters(node, "n4")
	s.holders()
	s.rekey("once more", time.Hour)
	s.replaced(own)
}

// succeedElsewhere has the log name a new CA, whose key is in a folder that no node has.
func (s *site) succeedElsewhere() license.Rekey {
	s.t.Helper()
	leader := s.leader()
	lost := s.t.(*testing.T).TempDir()
	data := s.data[leader.cfg.Node]
	for _, folder := range []string{siteca.Folder(data), siteca.CAFolder(data)} {
		below, err := filepath.Rel(data, folder)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(lost, below)), 0o700)
		}
		if err == nil {
			err = os.CopyFS(filepath.Join(lost, below), os.DirFS(folder))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	elsewhere, err := siteca.OpenKeys(lost, testCluster, leader.cfg.Node)
	if err != nil {
		s.t.Fatal(err)
	}
	next, err := elsewhere.Succeed(time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	c := license.Rekey{Root: next.Root, Before: next.Before, Voucher: next.Voucher, Until: leader.Now().Add(time.Hour), By: "ida", Note: "first try"}
	s.do(c)
	return c
}

// Which CA a site goes by after it was restored, the data folder says.
func TestALoneNodeReplacesItsCA(t *testing.T) {
	s := newSite(t, nil)
	old := s.leader().cfg.Keys.Newest()
	for _, r := range []Rekey{{By: "ida", Overlap: time.Hour}, {Note: "leaked", Overlap: time.Hour}, {By: "ida", Note: "leaked"}, {By: "ida", Note: "leaked", Overlap: 2 * license.MaxOverlap}} {
		var no *Refused
		if err := s.leader().Rekey(limited(t), r); !errors.As(err, &no) {
			t.Errorf("%+v: got %v, want a refusal", r, err)
		}
	}
	s.rekey("leaked", time.Hour)
	s.replaced(old)
	s.stop("n1")
	s.open("n1", nil)
	s.replaced(old)
	s.door()
	s.join("n2", s.token())
	s.voters("n1", "n2")
	s.do(fill(2))
	s.alike()
}
