package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A node whose password the proxy rejects sends it twice and no more, says so in its
// status, and takes that back when the password was corrected, without a restart.
func TestARejectedPasswordIsToldAndTakenBack(t *testing.T) {
	t.Parallel()
	s := NewSite(t, 1, 5)
	n := s.Nodes[0]
	file := filepath.Join(filepath.Dir(n.Config), "proxy.password")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lockouts := func(want int) func() error {
		return func() error {
			st, err := s.Status(n)
			if err != nil || len(st.Lockouts) != want {
				return fmt.Errorf("%+v, %w", st.Lockouts, err)
			}
			if want > 0 && (st.Lockouts[0].Node != n.Name || st.Lockouts[0].Proxy != "proxy") {
				return fmt.Errorf("%+v", st.Lockouts)
			}
			return nil
		}
	}
	Eventually(t, time.Minute, "nothing is wrong at first", lockouts(0))

	before := s.Proxy.Stats().Rejected
	if err := os.WriteFile(file, []byte("not the password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, status, err := n.knock(t); err != nil || !strings.Contains(status, " 502 ") {
			t.Fatalf("the door says %q, %v, want 502 with a wrong password", status, err)
		}
	}
	if sent := s.Proxy.Stats().Rejected - before; sent != 2 {
		t.Errorf("the wrong password was sent %d times, want twice", sent)
	}
	Eventually(t, time.Minute, "the status tells of it", lockouts(1))

	if err := os.WriteFile(file, right, 0o600); err != nil {
		t.Fatal(err)
	}
	// The sign-in speaks TLS and says nothing first: that the door opens is enough.
	if _, status, err := n.knock(t); err != nil || status != "HTTP/1.1 200 Connection Established" {
		t.Errorf("the door says %q, %v, want it open with the right password at once", status, err)
	}
	Eventually(t, time.Minute, "the status tells of it no more", lockouts(0))
	st, err := s.Status(n)
	if err != nil || len(st.Egress) != 1 || st.Egress[0].State != "well" {
		t.Errorf("got %+v, %v, want the proxy well", st.Egress, err)
	}
}
