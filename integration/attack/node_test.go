package attack

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"sitegate/integration"
	"sitegate/siteca"
)

// peerOf is where a node listens for the others, and what it shows them.
func peerOf(t *testing.T, n *integration.Node) (address string, shown *siteca.Peer) {
	t.Helper()
	text, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`\{name: "` + n.Name + `", address: "([^"]+)"\}`).FindSubmatch(text)
	id := regexp.MustCompile(`(?m)^  id: "([^"]+)"`).FindSubmatch(text)
	if at == nil || id == nil {
		t.Fatalf("%s does not say where %s listens, and of which cluster it is", n.Config, n.Name)
	}
	dir := filepath.Dir(n.Config)
	shown, err = siteca.LoadPeer(string(id[1]), n.Name, filepath.Join(dir, "site-ca.pem"), filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(at[1]), shown
}

// issued is a certificate that a CA gives for a name, as a node of a cluster.
func issued(t *testing.T, ca *siteca.CA, node string, peer bool) tls.Certificate {
	t.Helper()
	cert, key, err := ca.Issue(node, []string{"127.0.0.1"}, peer, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestStrangersAreNoNodes: who comes to a node's port for nodes with a certificate of another
// cluster, of a CA of their own under this cluster's id, or for clients only, or with none,
// hears not one byte; who has a node's key and talks nonsense disturbs nobody.
func TestStrangersAreNoNodes(t *testing.T) {
	t.Parallel()
	s := cluster(t)
	to, shown := peerOf(t, s.Nodes[0])
	cas := map[string]*siteca.CA{}
	for what, id := range map[string]string{"of another cluster": "00000000-0000-4000-8000-000000000000", "of a CA that took this cluster's id": shown.Cluster()} {
		ca, err := siteca.New(id, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		cas[what] = ca
	}
	certs := map[string][]tls.Certificate{"no certificate": nil}
	for what, ca := range cas {
		certs["a node "+what] = []tls.Certificate{issued(t, ca, "node2", true)}
		certs["a server "+what] = []tls.Certificate{issued(t, ca, "node2", false)}
	}
	for what, pair := range certs {
		for _, service := range []byte{1, 2} { // the log's and the nodes' own calls: a hello is expected
			w := over(t, tls.Client(connect(t, to, address(t)), &tls.Config{Certificates: pair, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}))
			w.send(string([]byte{service, 0, 1, 0xa0}))
			said, err := io.ReadAll(io.LimitReader(w.r, 1<<10))
			if len(said) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s at service %d: got %q, %v; want to be hung up on without a word", what, service, said, err)
			}
		}
	}
	_, second := peerOf(t, s.Nodes[1]) // its key was stolen, and not its data folder
	stolen := over(t, tls.Client(connect(t, to, address(t)), second.ClientTLS(s.Nodes[0].Name))).send("\x02\x00\x01\xa0")
	if said, err := io.ReadAll(io.LimitReader(stolen.r, 1<<10)); len(said) == 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a hello without a name, by a node's certificate: got %q, %v; want to be told why it is refused, and to be hung up on", said, err)
	}
	for _, bytes := range []string{"\x01", "\x02", "\x01\x00\x00\x00\x01\xa0", "\x02\xff\xff\xff\xff", "\x01\x00\x00\x00\x04\x00\x00\x00\x00", "\x07", "GET / HTTP/1.1\r\n\r\n"} {
		conn := connect(t, to, address(t))
		over(t, tls.Client(conn, second.ClientTLS(s.Nodes[0].Name))).send(bytes)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	for _, n := range s.Nodes {
		honest(t, s, n)
	}
}
