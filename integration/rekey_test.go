package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/siteca"
)

// replaced waits until nodes trust no other CA than a new one, and gives its fingerprint.
func (s *Site) replaced(t *testing.T, before string, nodes ...int) (fingerprint string) {
	t.Helper()
	for _, i := range nodes {
		Eventually(t, 90*time.Second, s.Nodes[i].Name+" trusts the new CA only", func() error {
			st, err := s.Status(s.Nodes[i])
			if err != nil {
				return err
			}
			r := st.Cluster.Replacement
			if r == nil || r.Over.IsZero() || r.Fingerprint == before || len(r.Left) > 0 {
				return fmt.Errorf("it says %+v", r)
			}
			fingerprint = r.Fingerprint
			return nil
		})
	}
	return fingerprint
}

// caOf is what a node gives to anybody as the site's CA.
func (s *Site) caOf(t *testing.T, n *Node) []byte {
	t.Helper()
	resp, err := s.HTTP().Get(n.URL + api.PathCA)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s gives %s, %v", n.Name, resp.Status, err)
	}
	return text
}

// trusts has desktops from here on trust a CA.
func (s *Site) trusts(ca []byte) {
	s.CAPEM, s.CA = ca, x509.NewCertPool()
	s.CA.AppendCertsFromPEM(ca)
}

// The site's CA is replaced while desktops work and one node is off. They, and the node
// when it comes back, trust the old one, and nothing is refused to them. In the end the
// old one's key opens nothing among the nodes. Then it is replaced once more, and the
// leader is killed in the middle.
func TestTheSiteCAIsReplacedWhileDesktopsWork(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 20, busy...)
	old, err := siteca.Load(filepath.Join(s.Dir, "site", "ca"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Nodes {
		s.votes(t, i, s.Nodes[i].Name, true)
	}
	if said := s.forged(t, old, s.peerPort(t, s.Nodes[0])); len(said) == 0 {
		t.Fatal("a certificate by the CA's key is not answered while that is the site's: this test shows nothing")
	}
	work := s.shift(t, 6)
	work.more(t, "the beginning")
	off := (s.Leader(t) + 1) % 3
	on := []int{(off + 1) % 3, (off + 2) % 3}
	s.Nodes[off].Stop(t)
	work.more(t, "one node was stopped")
	s.rekeys(t, on[0], "laptop lost")
	Eventually(t, patience, "the status tells until when clients are served", func() error {
		out, err := s.operate(t, on[0], "", "members")
		if err == nil && !strings.Contains(out, "Clients that trust the old one only are served until") {
			err = fmt.Errorf("it says %q", out)
		}
		return err
	})
	for _, i := range on {
		Eventually(t, 90*time.Second, "only the node that is off waits", func() error {
			st, err := s.Status(s.Nodes[i])
			if err != nil {
				return err
			}
			if r := st.Cluster.Replacement; r == nil || strings.Join(r.Waiting, " ") != s.Nodes[off].Name || !r.Over.IsZero() {
				return fmt.Errorf("it says %+v", r)
			}
			return nil
		})
	}
	work.more(t, "the CA was replaced")
	Eventually(t, patience, "while both are trusted /ca.pem has them", func() error {
		if got := bytes.Count(s.caOf(t, s.Nodes[on[0]]), []byte("BEGIN")); got != 2 {
			return fmt.Errorf("it has %d certificates, want 2", got)
		}
		return nil
	})
	s.Start(t, off)
	s.AwaitReady(t, s.Nodes[off])
	first := s.replaced(t, "", 0, 1, 2)
	work.more(t, "the node came back")
	work.end(t)

	peer := s.peerPort(t, s.Nodes[0])
	Eventually(t, patience, "a certificate by the old CA's key is not answered", func() error {
		if said := s.forged(t, old, peer); len(said) > 0 {
			return fmt.Errorf("it is answered with %q", said)
		}
		return nil
	})
	was := s.CAPEM
	var now []byte
	Eventually(t, patience, "/ca.pem gives the new CA alone", func() error {
		if now = s.caOf(t, s.Nodes[0]); bytes.Contains(now, was) || bytes.Count(now, []byte("BEGIN")) != 1 {
			return fmt.Errorf("it gives %s", now)
		}
		return nil
	})
	block, _ := pem.Decode(now)
	if got := siteca.Fingerprint(block.Bytes); got != first {
		t.Errorf("/ca.pem gives %s, the status says %s", got, first)
	}
	for _, ca := range [][]byte{was, now} { // desktops that have the new one, and those that do not yet
		s.trusts(ca)
		s.startsAndStops(t)
	}

	leader := s.Leader(t)
	s.rekeys(t, leader, "once more")
	s.Nodes[leader].Kill()
	s.startsAndStops(t)
	s.Start(t, leader)
	s.AwaitReady(t, s.Nodes[leader])
	s.replaced(t, first, 0, 1, 2)
	s.startsAndStops(t)
	for i := range s.Nodes {
		Eventually(t, patience, "the old CA's key is gone", func() error {
			key, err := os.ReadFile(filepath.Join(siteca.CAFolder(s.data(i)), siteca.CAKeyFile))
			if err == nil && bytes.Count(key, []byte("BEGIN")) != 1 {
				return fmt.Errorf("%s keeps %d keys of CAs, want 1", s.Nodes[i].Name, bytes.Count(key, []byte("BEGIN")))
			}
			return nil
		})
	}
}

// rekeys has the site's CA replaced, as soon as all members are on record.
func (s *Site) rekeys(t *testing.T, by int, note string) {
	t.Helper()
	Eventually(t, patience, "the CA is being replaced", func() error {
		_, err := s.operate(t, by, "", "rekey", "--note", note, "--cut-off")
		if err != nil && strings.Contains(err.Error(), "being replaced already") { // the answer to the first try was lost
			return nil
		}
		return err
	})
}

// startsAndStops has a desktop work for a moment.
func (s *Site) startsAndStops(t *testing.T) {
	t.Helper()
	c := s.Client(t, emulator.UserA, "WS-CA", 0)
	Eventually(t, 60*time.Second, "a start", func() error {
		x, err := c.Start(t.Context(), emulator.ProductCapped)
		if err != nil {
			return err
		}
		return x.Stop(t.Context())
	})
}

// peerPort is where a node that cluster init has made listens for the others.
func (s *Site) peerPort(t *testing.T, n *Node) string {
	t.Helper()
	members, err := s.members(t, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.Name == n.Name {
			return m.Address
		}
	}
	t.Fatalf("%s is not a member", n.Name)
	return ""
}

// forged is what a node says to a certificate that was made with a CA's key.
func (s *Site) forged(t *testing.T, ca *siteca.CA, address string) []byte {
	t.Helper()
	cert, key, err := ca.Issue("node2", nil, true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	if _, err := conn.Write([]byte{2, 0, 1, 0xa0}); err != nil {
		return nil
	}
	said, _ := io.ReadAll(io.LimitReader(conn, 1<<10))
	return said
}
