package siteca_test

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/siteca"
)

func newCA(t *testing.T, cluster string) *siteca.CA {
	t.Helper()
	ca, err := siteca.New(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func newPeer(t *testing.T, ca *siteca.CA, node string) *siteca.Peer {
	t.Helper()
	cert, key, err := ca.Issue(node, nil, true, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := siteca.NewPeer(ca.Cluster(), node, ca.CertPEM(), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shake connects the two ends over loopback and says what each of them made of it.
func shake(t *testing.T, server, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	deadline := time.Now().Add(5 * time.Second)
	done := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer raw.Close()
		c := tls.Server(raw, server)
		_ = c.SetDeadline(deadline)
		if err = c.Handshake(); err == nil {
			seen = c.ConnectionState()
			_, err = c.Write([]byte("k"))
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, client)
	_ = c.SetDeadline(deadline)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // TLS 1.3 tells a client of its refusal only now
	} else {
		raw.Close()
	}
	err = <-done
	return seen, err, clientErr
}

func TestPeersKnowEachOther(t *testing.T) {
	ca := newCA(t, "blue")
	a, b := newPeer(t, ca, "gw1"), newPeer(t, ca, "gw2")
	seen, serverErr, clientErr := shake(t, a.ServerTLS(), b.ClientTLS("gw1"))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server: %v, client: %v", serverErr, clientErr)
	}
	cluster, node, err := siteca.NodeOf(seen)
	if cluster != "blue" || node != "gw2" || err != nil || seen.Version != tls.VersionTLS13 {
		t.Errorf("the server saw %s of %s (%v) with TLS %x; want gw2 of blue with TLS 1.3", node, cluster, err, seen.Version)
	}
}

func TestWhoIsRefused(t *testing.T) {
	ca := newCA(t, "blue")
	gw1, gw2 := newPeer(t, ca, "gw1"), newPeer(t, ca, "gw2")
	stranger := newPeer(t, newCA(t, "blue"), "gw2") // the same names, by another CA

	// A certificate that serves clients, used to call a peer.
	cert, key, err := ca.Issue("gw2", []string{"127.0.0.1"}, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := siteca.NewPeer("blue", "gw2", ca.CertPEM(), cert, key); err == nil {
		t.Error("a certificate for clients only was taken for a peer's")
	}
	servingPair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	serving := gw2.ClientTLS("gw1")
	serving.GetClientCertificate, serving.Certificates = nil, []tls.Certificate{servingPair}

	anonymous := gw2.ClientTLS("gw1")
	anonymous.GetClientCertificate = nil
	old := gw2.ClientTLS("gw1")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	for name, c := range map[string]struct {
		server, client *tls.Config
		refuses        string // server or client
		want           string
	}{
		"a foreign CA calls":           {gw1.ServerTLS(), stranger.ClientTLS("gw1"), "client", "not one of cluster blue"},
		"a foreign CA calls, trusting": {gw1.ServerTLS(), trusting(stranger.ClientTLS("gw1")), "server", "unknown authority"},
		"a foreign CA answers":         {stranger.ServerTLS(), gw1.ClientTLS("gw2"), "client", "not one of cluster blue"},
		"another node answers":         {gw1.ServerTLS(), gw2.ClientTLS("gw3"), "client", "this is node gw1, not gw3"},
		"a foreign CA answers anybody": {stranger.ServerTLS(), gw1.ClientTLS(""), "client", "not one of cluster blue"},
		"a client's certificate calls": {gw1.ServerTLS(), serving, "server", "incompatible key usage"},
		"no certificate":               {gw1.ServerTLS(), anonymous, "server", "didn't provide a certificate"},
		"TLS 1.2":                      {gw1.ServerTLS(), old, "server", "unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			_, serverErr, clientErr := shake(t, c.server, c.client)
			got := clientErr
			if c.refuses == "server" {
				got = serverErr
			}
			if got == nil || !strings.Contains(got.Error(), c.want) {
				t.Errorf("the %s said %v, want something with %q (server: %v, client: %v)", c.refuses, got, c.want, serverErr, clientErr)
			}
		})
	}
}

// trusting takes away the client's own checks, as an attacker would.
func trusting(c *tls.Config) *tls.Config {
	c.VerifyConnection = nil
	return c
}

// One CA key used for two clusters must still keep them apart: the id in the
// certificate decides.
func TestAnotherClusterUnderTheSameKeyIsRefused(t *testing.T) {
	blue := newCA(t, "blue")
	gw1 := newPeer(t, blue, "gw1")
	cert, key, err := siteca.IssueAs(blue, "green", "gw2", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	client := gw1.ClientTLS("gw1")
	client.GetClientCertificate, client.Certificates = nil, []tls.Certificate{pair}
	_, serverErr, _ := shake(t, gw1.ServerTLS(), client)
	if serverErr == nil || !strings.Contains(serverErr.Error(), "node gw2 belongs to cluster green, not to blue") {
		t.Errorf("got %v, want a refusal that names both clusters", serverErr)
	}
	if _, err := siteca.NewPeer("green", "gw2", blue.CertPEM(), cert, key); err == nil || !strings.Contains(err.Error(), "not that of the cluster green") {
		t.Errorf("another cluster's CA: got %v", err)
	}
}

func TestExpired(t *testing.T) {
	ca, err := siteca.New("blue", time.Now().Add(-siteca.NodeLife-2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("gw1", nil, true, time.Now().Add(-siteca.NodeLife-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := siteca.NewPeer("blue", "gw1", ca.CertPEM(), cert, key); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v, want expired", err)
	}
}

func TestFilesAreForTheirOwnerAndNotOverwritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca := newCA(t, "blue")
	if err := ca.Save(dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, siteca.CAKeyFile): 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", file, info.Mode().Perm(), err, want)
		}
	}
	if err := ca.Save(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("saved twice: got %v", err)
	}
	again, err := siteca.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Fingerprint() != ca.Fingerprint() || again.Cluster() != "blue" {
		t.Errorf("read back %s of %s, want %s of blue", again.Fingerprint(), again.Cluster(), ca.Fingerprint())
	}
	newPeer(t, again, "gw1") // what was read back can issue

	if _, _, err := siteca.Ensure(dir, "green", time.Now()); err == nil || !strings.Contains(err.Error(), "is that of blue") {
		t.Errorf("another cluster's CA: got %v", err)
	}
	if err := os.Rename(filepath.Join(dir, siteca.CAFile), filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if err := newCA(t, "blue").Save(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "other", siteca.CAFile), filepath.Join(dir, siteca.CAFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := siteca.Load(dir); err == nil || !strings.Contains(err.Error(), "not that of the certificate") {
		t.Errorf("a key and a certificate of two CAs: got %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	ca := newCA(t, "blue")
	block, _ := pem.Decode(ca.CertPEM())
	got := ca.Fingerprint()
	if got != siteca.Fingerprint(block.Bytes) || len(got) != len("SHA256:")+32*3-1 {
		t.Errorf("got %s", got)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", "a/b", "a b", "-a", "a..b", strings.Repeat("a", 64)} {
		if _, err := siteca.New(name, time.Now()); err == nil {
			t.Errorf("a cluster may be called %q", name)
		}
		if _, _, err := newCA(t, "blue").Issue(name, nil, true, time.Now()); err == nil {
			t.Errorf("a node may be called %q", name)
		}
	}
}

// TestHalfACAIsLeftAlone: where the CA's key was taken away, as it should be, or
// the certificate got lost, nothing is written beside what is left.
func TestHalfACAIsLeftAlone(t *testing.T) {
	for _, lost := range []string{siteca.CAFile, siteca.CAKeyFile} {
		t.Run(lost, func(t *testing.T) {
			dir := t.TempDir()
			if _, _, err := siteca.Ensure(dir, "site", time.Now()); err != nil {
				t.Fatal(err)
			}
			away := filepath.Join(t.TempDir(), lost)
			if err := os.Rename(filepath.Join(dir, lost), away); err != nil {
				t.Fatal(err)
			}
			_, _, err := siteca.Ensure(dir, "site", time.Now())
			if err == nil || !strings.Contains(err.Error(), lost) || !strings.Contains(err.Error(), "back") {
				t.Errorf("got %v, want an error that names %s and what to do", err, lost)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
				t.Errorf("got files %v, %v; want only what was left", files, err)
			}
			if err := os.Rename(away, filepath.Join(dir, lost)); err != nil {
				t.Fatal(err)
			}
			if _, created, err := siteca.Ensure(dir, "site", time.Now()); err != nil || created {
				t.Errorf("with both files again: got created %t, %v", created, err)
			}
		})
	}
}
