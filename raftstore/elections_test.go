package raftstore

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestElectionsAreCounted(t *testing.T) {
	now := time.Duration(0)
	e := &elections{mono: func() time.Duration { return now }}
	e.metrics = newMetrics(nothing, e.without)
	r := prometheus.NewRegistry()
	if err := e.metrics.register(r); err != nil {
		t.Fatal(err)
	}
	e.begin(4)
	for i, step := range []struct {
		after           time.Duration
		term            uint64
		leader          string
		terms, leaders  float64
		without, beside time.Duration // in all; beside: half a second later
	}{
		{2 * time.Second, 5, "n1", 1, 0, 2 * time.Second, 0}, // the first one known is no change
		{9 * time.Second, 5, "n1", 1, 0, 2 * time.Second, 0},
		{time.Second, 5, "", 1, 0, 2 * time.Second, 500 * time.Millisecond},
		{time.Second, 8, "", 4, 0, 3 * time.Second, 500 * time.Millisecond}, // two elections came to nothing
		{time.Second, 8, "n2", 4, 1, 4 * time.Second, 0},
		{time.Second, 9, "n1", 5, 2, 4 * time.Second, 0}, // handed over: nobody missed a leader
		{time.Second, 10, "n1", 6, 2, 4 * time.Second, 0},
	} {
		now += step.after
		e.see(step.term, step.leader)
		want := map[string]float64{termsTotal: step.terms, changesTotal: step.leaders, withoutTotal: step.without.Seconds()}
		if got := values(t, r); !maps.Equal(got, want) {
			t.Errorf("step %d: got %v, want %v", i, got, want)
		}
		now += 500 * time.Millisecond
		if got, want := values(t, r)[withoutTotal], (step.without + step.beside).Seconds(); got != want {
			t.Errorf("step %d: %v s without a leader half a second later, want %v", i, got, want)
		}
		now -= 500 * time.Millisecond
	}
}

// A leader that ends is a term, a change and a while without one, for both that are left.
func TestALostLeaderShowsInTheMetrics(t *testing.T) {
	registries := map[string]*prometheus.Registry{}
	c := newCluster(t, func(cfg *Config) {
		registries[cfg.Node] = prometheus.NewRegistry()
		cfg.Registerer = registries[cfg.Node]
	})
	leader := c.leader().cfg.Node
	before := map[string]map[string]float64{}
	for name := range c.nodes {
		eventually(t, func() error {
			e := c.nodes[name].elections
			e.mu.Lock()
			seen := e.leader
			e.mu.Unlock()
			if seen != leader {
				return fmt.Errorf("%s has seen %q lead, want %s", name, seen, leader)
			}
			before[name] = values(t, registries[name])
			return nil
		})
	}
	c.crash(leader)
	for name := range c.nodes {
		eventually(t, func() error {
			for what, was := range before[name] {
				if now := values(t, registries[name])[what]; now <= was {
					return fmt.Errorf("%s of %s is %v, was %v", what, name, now, was)
				}
			}
			return nil
		})
	}
}

const (
	termsTotal   = "sitegate_store_terms_total"
	changesTotal = "sitegate_store_leader_changes_total"
	withoutTotal = "sitegate_store_without_leader_seconds_total"
)

// values are those that an election moves.
func values(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]float64{}
	for _, f := range families {
		switch name := f.GetName(); name {
		case termsTotal, changesTotal, withoutTotal:
			v[name] = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return v
}
