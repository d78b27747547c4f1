package endpoint

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/license"
)

// siteMetrics are what every node knows of its site, read from the state when they are
// asked for. They are collected together, so that they are of one moment.
type siteMetrics struct {
	view  func(func(*license.State))
	now   func() license.Time
	keep  time.Duration // how long exported records of the audit trail are kept
	descs map[string]*prometheus.Desc
}

func newSiteMetrics(r prometheus.Registerer, gw Gateway, keep time.Duration) error {
	m := &siteMetrics{view: gw.View, now: gw.Now, keep: keep, descs: map[string]*prometheus.Desc{}}
	add := func(name, help string, labels ...string) {
		m.descs[name] = prometheus.NewDesc("sitegate_"+name, help, labels, nil)
	}
	add("link_state", "The link to the cloud: 1 for the state it is in, 0 for the others.", "state")
	add("link_contact_timestamp_seconds", "When the cloud last answered, in seconds since 1970; 0 is never.")
	add("link_since_timestamp_seconds", "When the link came into its state, in seconds since 1970; 0 is never.")
	add("cloud_offers", "What the cloud offers to the site: 1 where it does, 0 where it does not; what nobody has asked for is not there.", "what")
	add("mirror_read_timestamp_seconds", "When the cloud's list was last read to its end, in seconds since 1970; 0 is never.")
	add("mirror_records", "Records of the mirror.", "kind")
	add("mirror_malformed", "Records of the cloud's that could not be understood.")
	add("mirror_held", "1 while more than half of the cloud's list is missing, and is held back.")
	add("sessions", "Sessions that run.", "provisional")
	add("checkouts", "Checkouts that are out.")
	add("usage_waiting_records", "Usage records that the cloud has not acknowledged yet.")
	add("usage_refused_records", "Usage records that the cloud has refused for good, and that are kept apart.")
	add("usage_backlog_level", "How much of the room for usage that waits is taken. 0: less than half, 1: half, 2: four fifths, 3: all, and nothing new is granted.")
	add("audit_records", "Records of the audit trail that are kept.")
	add("audit_names", "Names and reasons that the audit trail knows, of 250000 at most: whoever comes then is nameless in it.")
	add("audit_unexported_records", "Records of the audit trail that were not exported yet.")
	add("audit_oldest_timestamp_seconds", "No record of the audit trail that is kept is older, in seconds since 1970; 0: there is none.")
	add("audit_overdue", "1 while records of the audit trail are older than they are to be kept, and cannot be dropped, since they were not exported.")
	return r.Register(m)
}

// Describe is of prometheus.Collector.
func (m *siteMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		to <- d
	}
}

// Collect is of prometheus.Collector.
func (m *siteMetrics) Collect(to chan<- prometheus.Metric) {
	var h license.Head
	var n license.Counts
	var malformed, refused int
	var waiting uint64
	var names int
	m.view(func(s *license.State) {
		h, n, malformed = s.Head(), s.Counts(), s.QuarantinedCount()
		names = license.VeilCount(s)
		waiting, refused = s.UsageWaiting(), len(license.AllSetAside(s))
	})
	tell := func(name string, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(m.descs[name], prometheus.GaugeValue, v, labels...)
	}
	is := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	tell("usage_waiting_records", float64(waiting))
	audit := auditStatus(h.Audit, names, m.now(), m.keep)
	tell("audit_records", float64(audit.Kept))
	tell("audit_names", float64(names))
	tell("audit_unexported_records", float64(audit.Number-audit.Exported))
	tell("audit_oldest_timestamp_seconds", seconds(h.Audit.Since))
	tell("audit_overdue", is(audit.Overdue))
	tell("usage_refused_records", float64(refused))
	tell("usage_backlog_level", float64(h.Backlog.Level))
	for _, state := range license.LinkConditions() {
		tell("link_state", is(h.Link.Condition() == state), state)
	}
	for what, x := range map[string]license.Capability{"feed": h.Cloud.Feed, "holds": h.Cloud.Holds, "moves": h.Cloud.Moves, "books": h.Cloud.Books} {
		if x.Offered != license.OfferUnknown {
			tell("cloud_offers", is(x.Offered == license.OfferYes), what)
		}
	}
	tell("link_contact_timestamp_seconds", seconds(h.Link.Contact))
	tell("link_since_timestamp_seconds", seconds(h.Link.Since))
	tell("mirror_read_timestamp_seconds", seconds(h.Link.Read))
	for kind, v := range map[string]int{"user": n.Users, "product": n.Products, "license": n.Licenses, "assignment": n.Assigned} {
		tell("mirror_records", float64(v), kind)
	}
	tell("mirror_malformed", float64(malformed))
	tell("mirror_held", is(h.Held.Since != 0))
	tell("sessions", float64(n.Provisional), "true")
	tell("sessions", float64(n.Sessions-n.Provisional), "false")
	tell("checkouts", float64(n.Checkouts))
}

// seconds is a moment as Prometheus has it.
func seconds(t license.Time) float64 {
	if t == 0 {
		return 0
	}
	return float64(t.Std().UnixMilli()) / float64(time.Second/time.Millisecond)
}
