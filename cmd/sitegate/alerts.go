package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/alert"
	"sitegate/api"
	"sitegate/configs"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/phrase"
	"sitegate/raftstore"
	"sitegate/upstream/egress"
)

// alertWays are the ways of a configuration, through the site's way out. Secrets are read
// with every message, so that a changed one needs no restart.
func alertWays(a configs.Alerts, out *egress.Dialer, log *slog.Logger) (ways []alert.Way) {
	secret := func(file string) func() (string, error) {
		return func() (string, error) { return egress.ReadSecret(file) }
	}
	if m := a.Mail; m != nil {
		ways = append(ways, &alert.Mail{Server: m.Server, Implicit: m.TLS == configs.MailImplicit, Username: m.Username, Password: secret(m.PasswordFile),
			From: m.From, To: m.To, Dial: out.DialContext, TLS: func(host string) *tls.Config { return out.TLSConfig(host) },
			Refused: func(err error) { log.Warn("the mail server takes an alert for some receivers only", "err", err) }})
	}
	client := &http.Client{Transport: out.Transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, w := range a.Webhooks {
		ways = append(ways, &alert.Webhook{As: w.Name, URL: w.URL, Secret: secret(w.SecretFile), Client: client})
	}
	return ways
}

// alertLog is the node's log as alerts see it.
type alertLog struct {
	*nodeLog
	gw *gateway.Gateway
}

// proposeTime bounds noting something of an alert.
const proposeTime = 10 * time.Second

func (l alertLog) Note(ctx context.Context, c license.NoteAlert) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	return l.gw.NoteAlert(ctx, c)
}

func (l alertLog) Told(ctx context.Context, c license.AlertTold) error { return l.noted(ctx, c) }

// noted has the site note what was sent.
func (l *nodeLog) noted(ctx context.Context, c license.Command) error {
	ctx, cancel := context.WithTimeout(ctx, proposeTime)
	defer cancel()
	out, err := l.Propose(ctx, c)
	if err == nil && out.Denial != nil {
		return fmt.Errorf("the site does not note it (%s)", out.Denial.Reason)
	}
	return err
}

// sentBy counts what was sent by ways, and what was not: both are there from the
// beginning, so that the first one that fails shows.
func sentBy(c *prometheus.CounterVec, ways []alert.Way) func(way string, err error) {
	for _, way := range ways {
		c.WithLabelValues(way.Name(), "ok")
		c.WithLabelValues(way.Name(), "failed")
	}
	return func(way string, err error) {
		result := "ok"
		if err != nil {
			result = "failed"
		}
		c.WithLabelValues(way, result).Inc()
	}
}

// ownConditions are what a node knows of its own machine: disk, clock, certificates and
// backups.
func ownConditions(l *nodeLog, certs func() []api.CertificateStatus, late func() bool, lang phrase.Lang, now time.Time) (list []alert.Condition) {
	cl := l.Cluster()
	add := func(k alert.Kind, more, detail string, args ...any) {
		list = append(list, alert.Condition{Kind: k, Subject: cl.Node + more, Detail: alert.Detail(lang, detail, args...)})
	}
	switch d := l.disk(); {
	case d.Low:
		add(alert.Disk, "", "disk-low", cl.Node, d.Free>>20)
	case d.Warn:
		add(alert.Disk, "", "disk-warn", cl.Node, d.Free>>20, d.Total>>20)
	}
	if cl.TimeHeld {
		add(alert.ClockOff, "", "clock", cl.Node, now.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	for _, c := range certs() {
		if stageOf(c.Ends, now) > 0 {
			add(alert.Certificate, "/"+c.Name, "certificate", c.Name, cl.Node, c.Ends.UTC().Format("2006-01-02 15:04 UTC"))
		}
	}
	if late() {
		add(alert.BackupOverdue, "", "backup", cl.Node)
	}
	return list
}

// newAlerts watches for what administrators are to be told of, and tells them.
func newAlerts(c configs.Config, l *nodeLog, gw *gateway.Gateway, store *raftstore.Store, out *egress.Dialer, certs *certificates, scheduled *backups, registry *prometheus.Registry, log *slog.Logger) *alert.Watch {
	m := newAlertMetrics(l.View)
	registry.MustRegister(m, m.sent)
	ways := alertWays(*c.Alerts, out, log)
	lang, _ := phrase.Parse(c.Alerts.Language)
	late := func() bool { return scheduled != nil && scheduled.late() }
	return alert.New(alert.Config{Log: alertLog{l, gw}, Node: c.Node, URL: c.API.URL, Ways: ways, After: c.Alerts.After, Language: lang, Logger: log,
		Own: func() []alert.Condition { return ownConditions(l, certs.status, late, lang, time.Now()) },
		Health: func() alert.Health {
			cl := l.Cluster()
			h := alert.Health{Diverged: store.Diverged()}
			h.Voters, h.Reached = quorum(cl, time.Now())
			for _, n := range cl.Members {
				h.Members = append(h.Members, n.Name)
			}
			return h
		},
		Sent: sentBy(m.sent, ways)})
}

// alertMetrics are the alerts that last, read from the state, and what was sent.
type alertMetrics struct {
	view func(func(*license.State))
	desc *prometheus.Desc
	sent *prometheus.CounterVec
}

func newAlertMetrics(view func(func(*license.State))) *alertMetrics {
	return &alertMetrics{view: view, desc: prometheus.NewDesc("sitegate_alerts", "Alerts that last, by kind.", []string{"kind"}, nil),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sitegate_alerts_sent_total", Help: "Messages of alerts that this node has tried to send, by way (mail, or a webhook's name) and result."}, []string{"way", "result"})}
}

// Describe is of prometheus.Collector.
func (m *alertMetrics) Describe(to chan<- *prometheus.Desc) { to <- m.desc }

// Collect is of prometheus.Collector.
func (m *alertMetrics) Collect(to chan<- prometheus.Metric) {
	n := map[alert.Kind]int{}
	m.view(func(s *license.State) {
		for _, a := range s.Head().Alerts {
			if a.Over == 0 {
				n[alert.Kind(a.Kind)]++
			}
		}
	})
	for _, k := range alert.Kinds() {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, float64(n[k]), string(k))
	}
}

func alerts(ctx context.Context, p *program, args []string) error {
	return p.dispatch(ctx, "sitegate alert", []command{
		{"test", "send a test by every way of the section alerts", alertTest},
	}, args)
}

const alertTestHelp = `
Usage: sitegate alert test [--way NAME] [--config FILE]

Sends a test from this machine, by mail and to every webhook that the section alerts
of the configuration has, or by one of them, and says what became of it. The node need
not run; it leaves by the same way out.

Exit status: 0 where all was taken, 1 where something was not.

Example:
  sitegate alert test --way mail
`

func alertTest(ctx context.Context, p *program, args []string) error {
	f := p.flags("alert test", alertTestHelp)
	p.configFlags(f)
	only := f.String("way", "", "mail, or the name of a webhook; the default is all")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	c, _, err := p.loadChecked(f)
	if err != nil {
		return err
	}
	if c.Alerts == nil {
		return usagef("alert test: the configuration has no section alerts; docs/operator/alerts.md shows one")
	}
	out, err := egress.New(wayOut(c, slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("the way out (egress): %w", err)
	}
	lang, _ := phrase.Parse(c.Alerts.Language)
	m := alert.Trial(c.Node, c.API.URL, lang, time.Now())
	var names []string
	failed := 0
	for _, way := range alertWays(*c.Alerts, out, slog.New(slog.NewTextHandler(p.stderr, nil))) {
		if names = append(names, way.Name()); *only != "" && *only != way.Name() {
			continue
		}
		where := "its receiver has taken it"
		var refused error
		if mail, ok := way.(*alert.Mail); ok {
			host, _, _ := net.SplitHostPort(mail.Server)
			where = fmt.Sprintf("%s has taken it for %s", host, count(len(mail.To), "receiver"))
			mail.Refused = func(err error) { refused = err }
		}
		if err := way.Send(ctx, m); err != nil {
			failed++
			fmt.Fprintf(p.stdout, "%s: FAILED: %v\n", way.Name(), err)
			continue
		}
		if refused != nil {
			failed++
			fmt.Fprintf(p.stdout, "%s: REFUSED for some of its receivers: %v\n", way.Name(), refused)
			continue
		}
		fmt.Fprintf(p.stdout, "%s: sent; %s.\n", way.Name(), where)
		if *only != "" {
			return nil
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%s could not be sent; sitegate doctor says more of the way out", count(failed, "test"))
	case *only != "":
		return usagef("alert test: there is no way %q; there are %v", *only, names)
	}
	return nil
}
