package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/gateway"
	"sitegate/license"
)

// heardWithin is how lately a node must have been heard of to count as reached: several
// times what nodes are silent for at the slowest tempo.
const heardWithin = 10 * time.Second

// nodeMetrics are what a node knows of its cluster and its clock, read when it is asked
// for.
type nodeMetrics struct {
	cluster  func() gateway.Cluster
	leading  func() (term uint64, ok bool)
	diverged func() bool
	bypassed func() bool

	build, leads, voters, reached, held, unlike, bypass *prometheus.Desc
}

// newNodeMetrics are those of a node whose log is open by the time they are read.
func newNodeMetrics(l *nodeLog) *nodeMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sitegate_"+name, help, labels, nil)
	}
	bypassed := func() (lasts bool) {
		l.View(func(s *license.State) { lasts = license.BypassAt(s, l.Now()).Until != 0 })
		return lasts
	}
	return &nodeMetrics{cluster: l.Cluster, leading: l.Leading, diverged: l.diverged, bypassed: bypassed,
		build:   desc("build_info", "1, with the version of the program.", "version"),
		leads:   desc("cluster_leading", "1 where this node leads and may serve, else 0."),
		voters:  desc("cluster_voters", "Nodes that vote, by the latest configuration that this node knows."),
		reached: desc("cluster_voters_reached", "Of the nodes that vote, those that this node has heard of in the last 10 s, itself included."),
		held:    desc("clock_held", "1 while this node's wall clock is too far from the site's time to be followed, and waits for sitegate time accept; else 0."),
		unlike:  desc("state_diverged", "1 while the nodes were found to have different states, and no majority has the same; else 0."),
		bypass:  desc("bypass", "1 while somebody has the site withhold nothing of what it relays (sitegate bypass), else 0.")}
}

// Describe is of prometheus.Collector.
func (m *nodeMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.build, m.leads, m.voters, m.reached, m.held, m.unlike, m.bypass} {
		to <- d
	}
}

// Collect is of prometheus.Collector.
func (m *nodeMetrics) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	cl := m.cluster()
	_, leads := m.leading()
	voters, reached := quorum(cl, time.Now())
	tell(m.build, 1, buildVersion())
	tell(m.leads, is(leads))
	tell(m.voters, float64(voters))
	tell(m.reached, float64(reached))
	tell(m.held, is(cl.TimeHeld))
	tell(m.unlike, is(m.diverged()))
	tell(m.bypass, is(m.bypassed()))
}

// quorum counts the nodes that vote, and those of them that are reached.
func quorum(cl gateway.Cluster, now time.Time) (voters, reached int) {
	for _, n := range cl.Members {
		if !n.Voter {
			continue
		}
		voters++
		if n.Name == cl.Node || !n.Reached.IsZero() && now.Sub(n.Reached) <= heardWithin {
			reached++
		}
	}
	return voters, reached
}
