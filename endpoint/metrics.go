package endpoint

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sitegate/api"
	"sitegate/license"
)

// metrics are what the endpoint counts. All labels are bounded: routes, statuses
// and reasons, never a user.
type metrics struct {
	requests      *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	denials       *prometheus.CounterVec
	refusedTokens *prometheus.CounterVec
	limited       prometheus.Counter
	keyReads      *prometheus.CounterVec
	keysHeld      *prometheus.GaugeVec

	accepted  *prometheus.CounterVec
	closed    *prometheus.CounterVec
	sent      prometheus.Counter
	stages    *prometheus.HistogramVec
	beats     *prometheus.CounterVec
	auths     *prometheus.CounterVec
	tunnels   *prometheus.CounterVec
	open      prometheus.Gauge
	tunnelled *prometheus.CounterVec
	withheld  *prometheus.CounterVec
	relayed   *prometheus.CounterVec
	stood     *prometheus.CounterVec
	refused   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, connected func() int) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("sitegate_http_requests_total", "Requests by route and status.", "route", "status"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sitegate_http_request_seconds",
			Help: "Time to answer a request, in seconds.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"route"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sitegate_start_stage_seconds",
			Help: "Time of the stages of a start or checkout, in seconds: check by the site's rules, asking the cloud, commit by a majority, and the way to the leader and back.", Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"stage"}),
		denials:       counter("sitegate_http_denials_total", "Denials told to clients, by reason.", "reason"),
		refusedTokens: counter("sitegate_http_tokens_refused_total", "Access tokens that were not taken, by reason.", "reason"),
		limited:       prometheus.NewCounter(prometheus.CounterOpts{Name: "sitegate_http_limited_total", Help: "Requests over the rate limit of their identity."}),
		keyReads:      counter("sitegate_issuer_key_reads_total", "Readings of issuers' keys, by result.", "result"),
		keysHeld: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sitegate_issuer_keys_held",
			Help: "1 while an issuer lists keys that the site does not know, and none that it does: they wait for sitegate trust accept."}, []string{"issuer"}),
		accepted:  counter("sitegate_notices_accepted_total", "Notice connections accepted, by whether what was missed followed.", "recovered"),
		closed:    counter("sitegate_notices_closed_total", "Notice connections that ended, by close code; 0 is the client or the network.", "code"),
		sent:      prometheus.NewCounter(prometheus.CounterOpts{Name: "sitegate_notices_sent_total", Help: "Notices written to connections."}),
		beats:     counter("sitegate_notices_beats_total", "Heartbeats on notice connections, by result.", "result"),
		auths:     counter("sitegate_notices_tokens_total", "Access tokens renewed on notice connections, by result.", "result"),
		tunnels:   counter("sitegate_tunnels_total", "CONNECT requests, by result.", "result"),
		open:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "sitegate_tunnels_open", Help: "Tunnels that are open."}),
		tunnelled: counter("sitegate_tunnel_bytes_total", "Bytes through tunnels, by direction as the client sees it.", "direction"),
		relayed:   counter("sitegate_relay_allowed_total", "Products that the vendor allowed its own client, by what became of it here.", "as"),
		withheld:  counter("sitegate_relay_withheld_total", "Policies that the vendor allowed and this site withheld, by reason, and by whether the client may work on all the same (offline).", "reason", "offline"),
		stood:     counter("sitegate_relay_instead_total", "Requests of the vendor's own client that were answered here because the vendor did not, by route.", "route"),
		refused:   counter("sitegate_relay_failed_total", "Requests of the vendor's own client that were answered with an error of this gateway's, withheld policies apart, by code.", "code"),
	}
	// What is there from the beginning shows its first increase, too.
	for _, as := range []string{relayedStarted, relayedRenewed, relayedObserved, relayedLearned, relayedCheckout, relayedByKey} {
		m.relayed.WithLabelValues(as)
	}
	for _, offline := range []string{"false", "true"} {
		m.withheld.WithLabelValues(string(license.MachineActive), offline)
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sitegate_notices_connections", Help: "Notice connections that are open."},
		func() float64 { return float64(connected()) })
	var errs []error
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.stages, m.denials, m.refusedTokens, m.limited, m.keyReads, m.keysHeld,
		m.accepted, m.closed, m.sent, m.beats, m.auths, m.tunnels, m.open, m.tunnelled, m.withheld, m.relayed, m.stood, m.refused, gauge} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols {
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}

func result(err error) string {
	if err != nil {
		return "failed"
	}
	return "ok"
}

// showMetrics serves /metrics to those networks it is for.
func (e *Endpoint) showMetrics() func(*call) (reply, error) {
	h := promhttp.HandlerFor(e.cfg.Registry, promhttp.HandlerOpts{})
	return func(c *call) (reply, error) {
		if !within(e.cfg.MetricsAllow, c.r.RemoteAddr) {
			return reply{}, &trouble{code: api.CodeForbidden}
		}
		h.ServeHTTP(c.w, c.r)
		return reply{done: true}, nil
	}
}
