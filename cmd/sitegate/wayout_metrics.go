package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/upstream/egress"
)

// wayOutMetrics is how the way out is, read when it is asked for. Its labels are names
// of the configuration, and words of a few.
type wayOutMetrics struct {
	dialer                                               *egress.Dialer
	attempts, state, rest, stopped, until, stops, pacAge *prometheus.Desc
}

func newWayOutMetrics(d *egress.Dialer) *wayOutMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sitegate_egress_"+name, help, labels, nil)
	}
	return &wayOutMetrics{dialer: d,
		attempts: desc("attempts_total", "Connections that were tried, by the proxy (direct: none, pac: one that only the PAC file names, deny: a route) and the result: ok, canceled, other, or the code of what went wrong.", "by", "result"),
		state:    desc("proxy_state", "How a proxy is, or the PAC file (pac): 1 for the state it is in, 0 for the others.", "proxy", "state"),
		rest:     desc("proxy_rest_seconds", "For how long a proxy that failed is still left alone, in seconds; 0: it is not.", "proxy"),
		stopped:  desc("secret_stopped", "1 while a proxy has rejected the configured secret too often and has accepted none since.", "proxy"),
		until:    desc("secret_wait_seconds", "For how long a rejected secret is not sent to a proxy, in seconds; 0: it is.", "proxy"),
		stops:    desc("secret_stops_total", "How often a secret was rejected once too often, and was not sent for a while so that its account is not locked."),
		pacAge:   desc("pac_age_seconds", "Age of the PAC file that is in use, since it was last read and good, in seconds. There is none where no PAC file is in use."),
	}
}

// Describe is of prometheus.Collector.
func (m *wayOutMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.attempts, m.state, m.rest, m.stopped, m.until, m.stops, m.pacAge} {
		to <- d
	}
}

// proxyStates are those of the metric.
var proxyStates = []egress.State{egress.Unknown, egress.Well, egress.Resting, egress.Locked, egress.Failing}

// Collect is of prometheus.Collector.
func (m *wayOutMetrics) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	left := func(until time.Time) float64 { return max(time.Until(until).Seconds(), 0) }
	for _, a := range m.dialer.Attempts() {
		tell(m.attempts, prometheus.CounterValue, float64(a.Count), a.By, a.Result)
	}
	for _, s := range m.dialer.Status() {
		if s.Learned {
			continue // the PAC file may name ever others
		}
		for _, state := range proxyStates {
			tell(m.state, prometheus.GaugeValue, is(s.State == state), s.Name, string(state))
		}
		if s.Kind == "" {
			if !s.Since.IsZero() {
				tell(m.pacAge, prometheus.GaugeValue, max(time.Since(s.Since).Seconds(), 0))
			}
			continue
		}
		var rest time.Time
		if s.State == egress.Resting {
			rest = s.Until
		}
		tell(m.rest, prometheus.GaugeValue, left(rest), s.Name)
		tell(m.stopped, prometheus.GaugeValue, is(s.Secret == egress.SecretStopped), s.Name)
		tell(m.until, prometheus.GaugeValue, left(s.SecretUntil), s.Name)
	}
	tell(m.stops, prometheus.CounterValue, float64(m.dialer.Stops()))
}
