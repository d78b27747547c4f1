package main

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/gateway"
)

// A node counts itself and whom it has heard of lately, of those that vote.
func TestNodesThatAreReachedAreCounted(t *testing.T) {
	now := time.Now()
	of := func(silent ...time.Duration) (cl gateway.Cluster) {
		cl.Node = "gw0"
		cl.Members = []gateway.Member{{Name: "gw0", Voter: true}, {Name: "learner", Reached: now}}
		for _, d := range silent {
			m := gateway.Member{Name: "gw", Voter: true}
			if d >= 0 {
				m.Reached = now.Add(-d)
			}
			cl.Members = append(cl.Members, m)
		}
		return cl
	}
	for _, test := range []struct {
		cluster         gateway.Cluster
		voters, reached int
	}{
		{of(), 1, 1},
		{of(time.Second, heardWithin), 3, 3},
		{of(time.Second, heardWithin+time.Millisecond), 3, 2},
		{of(-1, -1), 3, 1}, // never heard of
		{gateway.Cluster{Node: "gw0"}, 0, 0},
	} {
		if voters, reached := quorum(test.cluster, now); voters != test.voters || reached != test.reached {
			t.Errorf("%+v: got %d of %d, want %d of %d", test.cluster.Members, reached, voters, test.reached, test.voters)
		}
	}

	m := newNodeMetrics(&nodeLog{})
	m.bypassed = func() bool { return true }
	cl := of(time.Second, time.Hour)
	cl.TimeHeld = true
	m.cluster = func() gateway.Cluster { return cl }
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		got[f.GetName()] = f.Metric[0].GetGauge().GetValue()
	}
	want := map[string]float64{"sitegate_build_info": 1, "sitegate_bypass": 1, "sitegate_clock_held": 1, "sitegate_cluster_leading": 0, "sitegate_cluster_voters": 3,
		"sitegate_cluster_voters_reached": 2, "sitegate_state_diverged": 0}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
