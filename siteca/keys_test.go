package siteca_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/siteca"
)

// keysOf makes a node's keys the way a newcomer gets them.
func keysOf(t *testing.T, ca *siteca.CA, dir, node string, generation uint64, hosts []string, now time.Time) *siteca.Keys {
	t.Helper()
	key, csr, err := siteca.NewRequest(node, hosts)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(csr, node, generation, now)
	if err != nil {
		t.Fatal(err)
	}
	k, err := siteca.MakeKeys(dir, ca.Cluster(), node, ca.CertPEM(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestANodesKeyNeverLeavesIt(t *testing.T) {
	ca, dir := newCA(t, "blue"), t.TempDir()
	k := keysOf(t, ca, dir, "gw2", 3, []string{"gw2.example", "10.0.0.2"}, time.Now())
	if k.Generation() != 3 || k.Node() != "gw2" || k.Signs() {
		t.Errorf("got generation %d of %s, signs %t; want 3 of gw2, which does not sign", k.Generation(), k.Node(), k.Signs())
	}
	for _, h := range []string{"gw2.example", "10.0.0.2"} {
		if err := k.Certificate().Leaf.VerifyHostname(h); err != nil {
			t.Errorf("it does not serve %s: %v", h, err)
		}
	}
	if info, err := os.Stat(filepath.Join(siteca.Folder(dir), siteca.KeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v; want mode 0600", info.Mode(), err)
	}
	again, err := siteca.OpenKeys(dir, "blue", "gw2")
	if err != nil {
		t.Fatal(err)
	}
	if _, serverErr, clientErr := shake(t, newPeer(t, ca, "gw1").ServerTLS(), again.ClientTLS("gw1")); serverErr != nil || clientErr != nil {
		t.Errorf("it is not known by its keys: server %v, client %v", serverErr, clientErr)
	}
	if _, err := again.Sign(nil, "gw3", 1, time.Now()); !errors.Is(err, siteca.ErrNoCAKey) {
		t.Errorf("signing without the CA's key: got %v", err)
	}
	if _, err := siteca.OpenKeys(dir, "green", "gw2"); err == nil {
		t.Error("another cluster's keys were taken")
	}
	if _, err := siteca.OpenKeys(t.TempDir(), "blue", "gw2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: got %v", err)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	ca := newCA(t, "blue")
	_, good, err := siteca.NewRequest("gw2", nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), good...)
	forged[len(forged)-4] ^= 1
	many := make([]string, 40)
	for i := range many {
		many[i] = strings.Repeat("h", i+1) + ".example"
	}
	_, crowded, err := siteca.NewRequest("gw2", many)
	if err != nil {
		t.Fatal(err)
	}
	for name, csr := range map[string][]byte{"nothing": nil, "noise": []byte("-----BEGIN"), "a changed signature": forged,
		"too many hosts": crowded, "too long": make([]byte, 1<<16)} {
		if _, err := ca.Sign(csr, "gw2", 1, time.Now()); err == nil {
			t.Errorf("%s was signed", name)
		}
		if _, err := siteca.KeyDigest(csr); err == nil {
			t.Errorf("%s has a key", name)
		}
	}
	if _, err := ca.Sign(good, "no name", 1, time.Now()); err == nil {
		t.Error("a name that is none was signed")
	}
}

// A certificate is replaced while it is in use, in both directions.
func TestRenewedWhileInUse(t *testing.T) {
	now := time.Now()
	old := now.Add(-siteca.NodeLife * 3 / 4)
	ca, err := siteca.New("blue", old)
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"gw2.example"}
	k := keysOf(t, ca, t.TempDir(), "gw2", 1, hosts, old)
	gw1 := newPeer(t, ca, "gw1")
	server, client := k.ServerTLS(), k.ClientTLS("gw1") // made before the renewal
	if !k.Due(hosts, now) || k.Due(hosts, old) || !k.Due([]string{"new.example"}, old) {
		t.Errorf("due now %t, at first %t, with another host %t; want yes, no, yes", k.Due(hosts, now), k.Due(hosts, old), k.Due([]string{"new.example"}, old))
	}
	csr, err := k.Request(append(hosts, "new.example"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(csr, "gw2", 1, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Renew(cert); err != nil {
		t.Fatal(err)
	}
	if k.Due([]string{"new.example"}, now) {
		t.Errorf("still due: it ends %v", k.Expires())
	}
	seen, serverErr, clientErr := shake(t, gw1.ServerTLS(), client)
	if serverErr != nil || clientErr != nil || !seen.PeerCertificates[0].NotAfter.Equal(k.Expires()) {
		t.Errorf("calling: server %v, client %v; the end of what was shown is not %v", serverErr, clientErr, k.Expires())
	}
	if _, serverErr, clientErr := shake(t, server, gw1.ClientTLS("gw2")); serverErr != nil || clientErr != nil {
		t.Errorf("answering: server %v, client %v", serverErr, clientErr)
	}

	// Somebody else's certificate is not taken, and nothing is lost by it.
	_, other, err := siteca.NewRequest("gw2", nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := ca.Sign(other, "gw2", 1, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string][]byte{"another key's": foreign, "nothing": nil} {
		if err := k.Renew(cert); err == nil {
			t.Errorf("%s certificate was taken", name)
		}
	}
	if k.Due(hosts, now) {
		t.Error("the renewed certificate was lost")
	}
}

func TestTheCAsKeyIsHandedOn(t *testing.T) {
	ca, dir := newCA(t, "blue"), t.TempDir()
	first, err := siteca.IssueOwn(t.TempDir(), "gw1", ca, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.CAKey(); !errors.Is(err, siteca.ErrNoCAKey) {
		t.Errorf("before it was kept: got %v", err)
	}
	k := keysOf(t, ca, dir, "gw2", 1, nil, time.Now())
	if err := ca.Save(filepath.Join(t.TempDir(), "ca")); err != nil {
		t.Fatal(err)
	}
	key := caKey(t, ca)
	if err := k.TakeCAKey(caKey(t, newCA(t, "blue"))); err == nil || k.Signs() {
		t.Errorf("another CA's key was taken: %v, signs %t", err, k.Signs())
	}
	if err := k.TakeCAKey([]byte("noise")); err == nil {
		t.Error("noise was taken")
	}
	if err := k.TakeCAKey(key); err != nil || !k.Signs() {
		t.Fatalf("the CA's own key: %v, signs %t", err, k.Signs())
	}
	if info, err := os.Stat(filepath.Join(siteca.CAFolder(dir), siteca.CAKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the CA's key: %v, %v; want mode 0600", info.Mode(), err)
	}
	again, err := siteca.OpenKeys(dir, "blue", "gw2")
	if err != nil || !again.Signs() {
		t.Fatalf("after a restart: %v; want one that signs", err)
	}
	_, csr, err := siteca.NewRequest("gw3", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Sign(csr, "gw3", 1, time.Now()); err != nil {
		t.Errorf("it does not sign: %v", err)
	}
	if handed, err := again.CAKey(); err != nil || string(handed) != string(key) {
		t.Errorf("what it hands on is not what it was given: %v", err)
	}
}

func caKey(t *testing.T, ca *siteca.CA) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := ca.Save(dir); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, siteca.CAKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What an operator has put beside the configuration is taken where it ends later
// than what lies in the data folder.
func TestKeysOfAnOperatorAreAdopted(t *testing.T) {
	ca, dir, made := newCA(t, "blue"), t.TempDir(), t.TempDir()
	write := func(now time.Time) (ca0, cert, key string) {
		t.Helper()
		ca0, cert, key = filepath.Join(made, "ca.pem"), filepath.Join(made, "node.pem"), filepath.Join(made, "node.key")
		c, k, err := ca.Issue("gw1", nil, true, now)
		if err != nil {
			t.Fatal(err)
		}
		for file, b := range map[string][]byte{ca0: ca.CertPEM(), cert: c, key: k} {
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return ca0, cert, key
	}
	adopt := func(now time.Time) time.Time {
		t.Helper()
		ca0, cert, key := write(now)
		k, err := siteca.AdoptKeys(dir, "blue", "gw1", ca0, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return k.Expires()
	}
	first := adopt(time.Now())
	if again := adopt(time.Now().Add(-30 * 24 * time.Hour)); !again.Equal(first) {
		t.Errorf("one that ends earlier, %v, took the place of %v", again, first)
	}
	if later := adopt(time.Now().Add(30 * time.Minute)); !later.After(first) {
		t.Errorf("one that ends later did not take the place of %v", first)
	}
	ca = newCA(t, "blue")
	ca0, cert, key := write(time.Now().Add(50 * time.Minute))
	if _, err := siteca.AdoptKeys(dir, "blue", "gw1", ca0, cert, key); err == nil || !strings.Contains(err.Error(), "another site") {
		t.Errorf("another site's: got %v", err)
	}
}

// A newcomer has no certificate. It talks to nobody but a node of the CA it has
// the pin of, and a node does not take it for another node.
func TestNewcomerIsPinned(t *testing.T) {
	ca := newCA(t, "blue")
	gw1, stranger := newPeer(t, ca, "gw1"), newPeer(t, newCA(t, "blue"), "gw1")
	seen, serverErr, clientErr := shake(t, gw1.NewcomerTLS(), siteca.PinnedTLS(gw1.Pin(), "blue"))
	if serverErr != nil || clientErr != nil || len(seen.PeerCertificates) != 0 {
		t.Fatalf("server %v, client %v, %d certificates", serverErr, clientErr, len(seen.PeerCertificates))
	}
	for name, c := range map[string]struct{ server, client *tls.Config }{
		"another CA":            {stranger.NewcomerTLS(), siteca.PinnedTLS(gw1.Pin(), "blue")},
		"another cluster":       {gw1.NewcomerTLS(), siteca.PinnedTLS(gw1.Pin(), "green")},
		"a port for nodes only": {gw1.ServerTLS(), siteca.PinnedTLS(gw1.Pin(), "blue")},
	} {
		if _, _, clientErr := shake(t, c.server, c.client); clientErr == nil {
			t.Errorf("%s: the newcomer would have told its secret", name)
		}
	}
	block, _ := pem.Decode(ca.CertPEM())
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	cs := tls.ConnectionState{NegotiatedProtocol: siteca.NewcomerProto, PeerCertificates: []*x509.Certificate{gw1.Certificate().Leaf, root}}
	if got, err := siteca.PinnedCA(cs, gw1.Pin(), "blue"); err != nil || string(got) != string(ca.CertPEM()) {
		t.Errorf("the CA it learns is not the one it has the pin of: %v", err)
	}
}
