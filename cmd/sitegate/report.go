package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/alert"
	"sitegate/api"
	"sitegate/configs"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/phrase"
	"sitegate/report"
	"sitegate/upstream/egress"
)

const reportHelp = `
Usage: sitegate report [day|week|month] [--from TIME] [--to TIME] [--names]
                       [--language LANG] [--csv | --json] [--config FILE]

Shows what became of the licenses: peaks of use per product against what is owned,
refusals by reason, licenses that nobody has or uses, what ends soon, for how long the
vendor's cloud could not be asked, and alerts. It is of the last whole day, week (from
Monday) or month, by GMT, or from one time to another; the default is the last seven days.

It names nobody; --names adds who has never used a license and whose checkouts end.
The same is sent by mail and webhook where the configuration has a section reports:
docs/operator/reports.md.

Examples:
  sitegate report week
  sitegate report --from 2026-11-01 --to 2026-12-01 --csv > november.csv
`

func showReport(ctx context.Context, p *program, args []string) error {
	f := p.flags("report", reportHelp)
	p.configFlags(f)
	p.remoteFlags(f)
	from := f.String("from", "", "a day (2026-11-01) or a time (RFC 3339) to begin with")
	to := f.String("to", "", "likewise, to end before")
	names := f.Bool("names", false, "say who has never used a license, and whose checkouts end")
	language := f.String("language", "en", "en, fr or de")
	asCSV := f.Bool("csv", false, "print it as CSV")
	asJSON := f.Bool("json", false, "print it as JSON")
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	query := url.Values{"lang": {*language}, "names": {strconv.FormatBool(*names)}}
	lang, known := phrase.Parse(*language)
	switch {
	case len(rest) > 1 || len(rest) == 1 && !slices.Contains(report.Periods(), report.Period(rest[0])):
		return usagef("report: %q is none of day, week, month; see sitegate report --help", rest[0])
	case len(rest) == 1 && (*from != "" || *to != ""):
		return usagef("report: say %s, or --from and --to", rest[0])
	case *asCSV && *asJSON:
		return usagef("report: choose one of --csv and --json")
	case !known:
		return usagef("report: --language is en, fr or de, not %q", *language)
	case len(rest) == 1:
		query.Set("period", rest[0])
	}
	for key, value := range map[string]string{"from": *from, "to": *to} {
		if value != "" {
			query.Set(key, value)
		}
	}
	c, _, err := p.load(f)
	if err != nil {
		return err
	}
	var r api.Report
	if err := patientOperator(ctx, c, http.MethodGet, api.PathReport+"?"+query.Encode(), nil, &r); err != nil {
		return err
	}
	switch {
	case *asJSON:
		return p.json(r)
	case *asCSV:
		return report.CSV(p.stdout, r)
	}
	return report.Text(p.stdout, r, lang)
}

// reportLog is the node's log as reports see it.
type reportLog struct{ *nodeLog }

func (l reportLog) Reported(ctx context.Context, c license.NoteReport) error { return l.noted(ctx, c) }

// newReports sends the reports of a configuration, by the ways of its alerts.
func newReports(c configs.Config, l *nodeLog, gw *gateway.Gateway, called func(*license.State, string, string) string, out *egress.Dialer, registry *prometheus.Registry, log *slog.Logger) *alert.Reports {
	a, set := *c.Alerts, *c.Reports
	if a.Mail != nil && len(set.To) > 0 {
		own := *a.Mail
		own.To = set.To
		a.Mail = &own
	}
	sent := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sitegate_reports_sent_total", Help: "Reports that this node has tried to send, by way (mail, or a webhook's name) and result."}, []string{"way", "result"})
	registry.MustRegister(sent)
	ways := alertWays(a, out, log)
	lang, _ := phrase.Parse(set.Language)
	var schedules []alert.Schedule
	for _, every := range set.Every {
		p := report.Period(every)
		schedules = append(schedules, alert.Schedule{Name: every, Last: p.Last, Make: func(ctx context.Context, from, until time.Time) (alert.Message, error) {
			return reportMessage(ctx, gw, p, report.Query{From: from, Until: until, Lang: lang, Names: set.Names, Called: called})
		}})
	}
	return &alert.Reports{Log: reportLog{l}, URL: c.API.URL, Schedules: schedules, After: set.At, Ways: ways, Logger: log, Sent: sentBy(sent, ways)}
}

// reportMessage is a report to be sent.
func reportMessage(ctx context.Context, node report.Source, p report.Period, q report.Query) (alert.Message, error) {
	r, err := report.Make(ctx, node, q)
	if err != nil {
		return alert.Message{}, err
	}
	var text, table bytes.Buffer
	if err := report.Text(&text, r, q.Lang); err != nil {
		return alert.Message{}, err
	}
	if err := report.CSV(&table, r); err != nil {
		return alert.Message{}, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return alert.Message{}, fmt.Errorf("encoding the report: %w", err)
	}
	name := p.Name(q.From)
	return alert.Message{Title: report.Title(p, name, q.Lang), Text: text.String(), Report: raw, Table: table.Bytes(), TableName: "sitegate-" + name + ".csv"}, nil
}
