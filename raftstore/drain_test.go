package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// grown is a site of three voters.
func grown(t *testing.T, change func(*Config)) *site {
	t.Helper()
	s := newSite(t, change)
	s.door()
	for i, name := range []string{"n2", "n3"} {
		s.join(name, s.token())
		s.voters([]string{"n1", "n2", "n3"}[:i+2]...)
	}
	return s
}

func patient(c *Config) { c.askHeirs = patience } // however busy this machine is

// Who drains all nodes at the same moment is left with one that could lead, and it leads.
func TestNodesDrainedAtOnceLeaveOneThatLeads(t *testing.T) {
	s := grown(t, patient)
	var group sync.WaitGroup
	for _, x := range s.nodes {
		group.Go(func() {
			if err := x.Drain(limited(t)); err != nil && !errors.As(err, new(*Refused)) {
				t.Errorf("draining %s: %v", x.cfg.Node, err)
			}
		})
	}
	group.Wait()
	left := 0
	for _, x := range s.nodes {
		if !x.roster.drained.Load() {
			left++
		}
	}
	if left == 0 {
		t.Fatal("all nodes are drained")
	}
	eventually(t, func() error {
		if x := s.leader(); x.roster.drained.Load() {
			return fmt.Errorf("%s leads, which is drained", x.cfg.Node)
		}
		return nil
	})
}

// Where all that are left are drained one of them leads, and goes on: a node that joins gets its
// vote, and then the lead.
func TestADrainedNodeLeadsWhereNoOtherCould(t *testing.T) {
	s := grown(t, patient)
	for _, name := range []string{"n1", "n2"} {
		if err := s.nodes[name].Drain(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	s.crash("n3")
	eventually(t, func() error { // that holds the key, by which others join
		if x := s.leader(); x.cfg.Node != "n1" {
			return errors.Join(fmt.Errorf("%s leads", x.cfg.Node), x.StepDown(limited(t)))
		}
		return nil
	})
	s.join("n4", s.token())
	eventually(t, func() error {
		if x := s.leader(); x.cfg.Node != "n4" {
			return fmt.Errorf("%s leads", x.cfg.Node)
		}
		return nil
	})
}

// A voter that does not answer in time counts as it was when it was last heard of.
func TestDrainingGoesByTheLastWordOfWhoIsSilent(t *testing.T) {
	s := grown(t, func(c *Config) { c.askHeirs = -1 }) // hardly anybody answers in time
	leader := s.leader()
	var others []*Store
	for _, x := range s.nodes {
		if x != leader {
			others = append(others, x)
		}
	}
	for _, x := range others {
		eventually(t, func() error { return x.Drain(limited(t)) })
	}
	eventually(t, func() error {
		for _, x := range others {
			if said, _ := leader.sightingOf(x.cfg.Node); !said.Drained {
				return fmt.Errorf("%s has not said that it is drained", x.cfg.Node)
			}
		}
		return nil
	})
	for range 20 {
		if err := leader.MayDrain(limited(t)); !errors.As(err, new(*Refused)) || !strings.Contains(err.Error(), "drained already") {
			t.Fatalf("the last that could lead: got %v", err)
		}
	}
	// One that is refused when it was drained before stays so.
	leader.roster.drained.Store(true)
	x := others[0]
	eventually(t, func() error {
		if err := x.Drain(limited(t)); !errors.As(err, new(*Refused)) || !x.roster.drained.Load() {
			return fmt.Errorf("drained again: got %v, drained %t", err, x.roster.drained.Load())
		}
		return nil
	})
}

// Why another node is not drained is said so that IT can act on it.
func TestWhyAnotherNodeIsNotDrained(t *testing.T) {
	s := grown(t, func(c *Config) {
		c.Drain = func(context.Context, time.Duration) error { return errors.New("it is still starting") }
	})
	from := s.leader()
	for _, over := range []time.Duration{0, time.Hour} {
		for name := range s.nodes {
			if err := from.DrainOther(limited(t), name, over); !errors.As(err, new(*Refused)) || strings.Contains(err.Error(), "earlier version") {
				t.Errorf("%s over %v: got %v, want it refused", name, over, err)
			}
		}
	}
	var refused *Refused
	err := notDrained("gw2", &remoteError{"gw2", "node request 99 is not known here; is this node older?"})
	if !errors.As(err, &refused) || refused.text != "gw2 is of an earlier version: drain it on its own machine." {
		t.Errorf("a node that does not know how: got %v", err)
	}
}
