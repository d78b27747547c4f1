package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Faults are what a faulty node does to itself; the zero value is nothing.
type Faults struct {
	ClockMS   int64    `json:"clock_ms,omitempty"`   // how far its wall clock is ahead
	LeasePart int64    `json:"lease_part,omitempty"` // leases run out after this part of their time to live
	DiskMS    int64    `json:"disk_ms,omitempty"`    // how long each append to its log takes longer
	DiskFull  bool     `json:"disk_full,omitempty"`  // an append to its log fails
	ExpireMS  int64    `json:"expire_ms,omitempty"`  // how long after it was found that a lease ran out its end is proposed
	Bugs      []string `json:"bugs,omitempty"`       // mistakes planted in the program
}

func (s *Site) faultsFile(n *Node) string {
	return filepath.Join(s.Dir, n.Name+".faults.json")
}

// Fault changes what a node does to itself. It obeys within some 20 ms.
func (s *Site) Fault(t testing.TB, node int, change func(*Faults)) {
	t.Helper()
	s.fault(t, s.Nodes[node], change)
}

func (s *Site) fault(t testing.TB, n *Node, change func(*Faults)) {
	t.Helper()
	if n.faults == nil {
		n.faults = new(s.faults)
	}
	change(n.faults)
	b, err := json.Marshal(n.faults)
	if err == nil {
		err = os.WriteFile(s.faultsFile(n)+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(s.faultsFile(n)+".new", s.faultsFile(n))
	}
	if err != nil {
		t.Fatal(err)
	}
}
