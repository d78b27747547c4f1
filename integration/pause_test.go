package integration

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/license"
)

// pausedLease is what is left of a lease of three minutes in these tests.
const (
	pausedPart  = 60
	pausedLease = license.DefaultLeaseTTL / pausedPart
)

// sleeper is a desktop whose heartbeats a test sends by hand.
func (s *Site) sleeper(t *testing.T, node int) (d *crewDesktop, id string) {
	t.Helper()
	s.historyRecords(t, []string{"sleeper"})
	d = &crewDesktop{s: s, node: node, id: "WS-1", token: s.Token(t, "sleeper"), http: s.HTTP()}
	id = uuid.Must(uuid.NewV7()).String()
	if err := d.ask(context.Background(), http.MethodPost, api.PathSessions,
		map[string]any{"id": id, "product": emulator.ProductCapped, "machine": api.Machine{ID: d.id, Name: d.id}}); err != nil {
		t.Fatal(err)
	}
	return d, id
}

func (d *crewDesktop) beat(id string) error {
	return d.ask(context.Background(), http.MethodPost, api.PathSessions+"/"+id+"/heartbeat", map[string]any{"machine": api.Machine{ID: d.id, Name: d.id}})
}

// sessions is how many sessions a node knows.
func (s *Site) sessions(t *testing.T, node int) int {
	t.Helper()
	st, err := s.Status(s.Nodes[node])
	if err != nil {
		t.Fatal(err)
	}
	return st.Counts.Sessions
}

func TestFirstBeatAfterASleepCounts(t *testing.T) {
	t.Parallel()
	s := NewFaultySite(t, 1, 10, Faults{LeasePart: pausedPart})
	d, id := s.sleeper(t, 0)
	s.Nodes[0].Pause()
	nap(t.Context(), pausedLease+2*time.Second)
	s.Nodes[0].Resume()
	awake := time.Now()
	if err := d.beat(id); err != nil {
		t.Fatalf("the first heartbeat after the pause: %v", err)
	}
	beat := time.Now()
	Eventually(t, pausedLease+10*time.Second, "the session expires when nobody renews it any more", func() error {
		if n := s.sessions(t, 0); n != 0 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	if ran := time.Since(awake); time.Since(beat) < pausedLease-100*time.Millisecond {
		t.Errorf("the session expired %v after the pause, want a full lease of %v after the heartbeat", ran, pausedLease)
	}
}

func TestSleepCountsForNobody(t *testing.T) {
	t.Parallel()
	s := NewFaultySite(t, 1, 10, Faults{LeasePart: pausedPart})
	s.sleeper(t, 0)
	s.Nodes[0].Pause()
	nap(t.Context(), pausedLease+2*time.Second)
	s.Nodes[0].Resume()
	awake := time.Now()
	Eventually(t, pausedLease+10*time.Second, "the session expires", func() error {
		if n := s.sessions(t, 0); n != 0 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	if ran := time.Since(awake); ran < pausedLease-500*time.Millisecond {
		t.Errorf("the session expired %v after the pause, want a full lease of %v", ran, pausedLease)
	}
}

func TestBeatsGoOnWhileTheLeaderSleeps(t *testing.T) {
	t.Parallel()
	s := NewFaultySite(t, 3, 10, Faults{LeasePart: pausedPart})
	leader := s.Leader(t)
	d, id := s.sleeper(t, (leader+1)%3)
	s.Nodes[leader].Pause()
	paused := time.Now()
	resumed := false
	for n := 0; time.Since(paused) < 3*pausedLease; n++ { // through the nodes that are awake, and then through all
		if !resumed && time.Since(paused) > pausedLease+time.Second {
			s.Nodes[leader].Resume()
			resumed = true
		}
		d.node = (leader + 1 + n%2) % 3
		if resumed {
			d.node = n % 3
		}
		if err := d.beat(id); err != nil {
			t.Fatalf("%v after the leader was paused, a heartbeat through %s: %v", time.Since(paused), s.Nodes[d.node].Name, err)
		}
		nap(t.Context(), pausedLease/6)
	}
	for i, n := range s.Nodes {
		if got := s.sessions(t, i); got != 1 {
			t.Errorf("%s has %d sessions, want 1", n.Name, got)
		}
	}
}
