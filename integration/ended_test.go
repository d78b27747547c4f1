package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/siteca"
)

// A node that is alone was off until its own certificate had ended. It starts all the same,
// with another one of the same key.
func TestALoneNodeStartsAfterItsCertificateHasEnded(t *testing.T) {
	t.Parallel()
	s := newLoneSite(t, 4)
	n := s.Nodes[0]
	s.startsAndStops(t)
	n.Stop(t)
	ca, err := siteca.Load(siteca.CAFolder(s.data(0)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(siteca.Folder(s.data(0)), siteca.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := siteca.RequestFor(key, n.Name, []string{"localhost", "127.0.0.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := ca.Sign(csr, n.Name, 0, time.Now().Add(-siteca.NodeLife-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(siteca.Folder(s.data(0)), siteca.CertFile), ended, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start(t, 0)
	s.AwaitReady(t, n)
	s.startsAndStops(t)
	if !strings.Contains(n.Output(), "had ended while the node was off") {
		t.Errorf("its log says nothing of a certificate that had ended; it wrote:\n%s", n.Output())
	}
	after, err := os.ReadFile(filepath.Join(siteca.Folder(s.data(0)), siteca.KeyFile))
	if err != nil || string(after) != string(key) {
		t.Errorf("it has another key: %v", err)
	}
}
