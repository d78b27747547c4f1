package raftstore

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sitegate/siteca"
)

// refusedWith opens a node that must not come up.
func refusedWith(t *testing.T, cfg Config, want string) {
	t.Helper()
	s, err := Open(cfg)
	if err == nil {
		closeStore(t, s)
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("opening: got error %v, want one with %q", err, want)
	}
}

func TestSecondNodeOfTheSameNameIsRefused(t *testing.T) {
	c := newCluster(t, nil)
	c.do(fill(1))
	eventually(t, func() error { // the real n2 is known to the others
		for name, s := range c.nodes {
			if name != "n2" && s.mux.lastHeard("n2").IsZero() {
				return io.ErrNoProgress
			}
		}
		return nil
	})
	cfg := c.config("n2", listen(t, "127.0.0.1:0"))
	cfg.Dir = t.TempDir()
	refusedWith(t, cfg, "running already")
	c.do(start(1, 0, "WS-1"))
	c.alike()
	c.stop("n2") // the same node may come back
	c.restart("n2")
	c.alike()
}

func TestNodeOfAnotherClusterIsRefused(t *testing.T) {
	c := newCluster(t, nil)
	c.leader()
	other := &cluster{t: t, peers: c.peers, dirs: map[string]string{"n2": t.TempDir()}, nodes: map[string]*Store{}}
	var err error
	if other.ca, err = siteca.New("0b8f7a52-95f5-4c6f-8f0e-7f3a7d0f1c11", time.Now()); err != nil {
		t.Fatal(err)
	}
	cfg := other.config("n2", listen(t, "127.0.0.1:0"))
	cfg.Cluster = other.ca.Cluster()
	refusedWith(t, cfg, "do not accept each other's certificates")

	// One site's certificates with another's id.
	cfg = c.config("n2", listen(t, "127.0.0.1:0"))
	cfg.Dir, cfg.Cluster = t.TempDir(), other.ca.Cluster()
	refusedWith(t, cfg, "is of cluster")

	// One node's certificate under another's name.
	cfg = c.config("n2", listen(t, "127.0.0.1:0"))
	cfg.Dir = t.TempDir()
	c.tls(&cfg, "n1")
	refusedWith(t, cfg, "its certificate says n1")
	c.do(fill(1))
}

func TestGarbageOnThePortDoesNoHarm(t *testing.T) {
	c := newCluster(t, nil)
	address := c.leader().cfg.Advertise
	var conf Config
	c.tls(&conf, "n2")
	client := clientTLS(conf.ClientTLS)
	stranger := client.Clone()
	stranger.GetClientCertificate = nil
	for name, talk := range map[string]func(net.Conn){
		"nothing":                      func(net.Conn) {},
		"plain text":                   func(n net.Conn) { io.WriteString(n, "GET / HTTP/1.1\r\n\r\n") },
		"no certificate":               func(n net.Conn) { tls.Client(n, stranger).Handshake() },
		"an unknown service":           func(n net.Conn) { tls.Client(n, client).Write([]byte{77}) },
		"a hello that is none":         func(n net.Conn) { tls.Client(n, client).Write([]byte{streamRPC, 0, 3, 1, 2, 3}) },
		"a hello longer than its data": func(n net.Conn) { tls.Client(n, client).Write([]byte{streamRaft, 0xff, 0xff, 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			n, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			talk(n)
		})
	}

	// A node of the cluster that goes mad after its hello.
	m := c.nodes["n2"].mux
	for name, b := range map[string][]byte{
		"a frame without end": {0xff, 0xff, 0xff, 0xff, 1, 2, 3},
		"a frame too short":   {0, 0, 0, 1, 0},
		"an unknown method":   {0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 99},
		"heartbeats of noise": {0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 1, byte(methodRenew), 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range []byte{streamRPC, streamRaft} {
				n, err := m.dial(limited(t), kind, "", address)
				if err != nil {
					t.Fatal(err)
				}
				defer n.Close()
				if _, err := n.Write(b); err != nil {
					t.Logf("the node has hung up: %v", err)
				}
			}
		})
	}
	c.do(fill(1))
	c.alike()
}
