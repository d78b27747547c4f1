package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/alert"
	"sitegate/configs"
	"sitegate/license"
	"sitegate/upstream/egress"
)

// inbox is a way that keeps what it is given.
type inbox chan alert.Message

func (inbox) Name() string { return "chat" }

func (b inbox) Send(ctx context.Context, m alert.Message) error {
	select {
	case b <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A node that leads sends the report that is due, with text, table and numbers, and it is
// noted, so that the next leader does not.
func TestANodeSendsItsReports(t *testing.T) {
	file := writeSingle(t)
	gw, store, end := nodeAt(t, file, time.Now())
	t.Cleanup(end)
	l := &nodeLog{}
	l.store.Store(store)
	c := configs.Default()
	c.Alerts = &configs.Alerts{Webhooks: []configs.Webhook{{Name: "chat", URL: "https://127.0.0.1:9/x", SecretFile: "none"}}}
	c.Reports = &configs.Reports{Every: []string{"day"}, Language: "fr"}
	out, err := egress.New(egress.Config{Direct: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	r := newReports(c, l, gw, nil, out, registry, slog.New(slog.DiscardHandler))
	if len(r.Ways) != 1 || r.Ways[0].Name() != "chat" || len(r.Schedules) != 1 {
		t.Fatalf("got the ways %v and %d schedules, want those of the configuration", r.Ways, len(r.Schedules))
	}
	box := make(inbox, 1)
	r.Ways = []alert.Way{box}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	long := license.NoteReport{Name: "day", Way: "chat", Through: license.TimeOf(time.Now().Add(-72 * time.Hour))}
	if err := (reportLog{l}).Reported(ctx, long); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	var m alert.Message
	select {
	case m = <-box:
	case <-ctx.Done():
		t.Fatal("no report")
	}
	if !strings.HasPrefix(m.Title, "Rapport du 2") || !strings.Contains(m.Text, "Produits") || !strings.HasPrefix(string(m.Table), "section,item") || !strings.Contains(string(m.Report), `"products":[]`) || m.Key == "" {
		t.Errorf("got %+v", m)
	}
	for {
		var through license.Time
		l.View(func(s *license.State) {
			for _, mark := range s.Head().Reports {
				through = mark.Through
			}
		})
		if through > long.Through {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal("that it was sent is not noted within a minute")
		case <-time.After(10 * time.Millisecond):
		}
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "sitegate_reports_sent_total" {
		t.Errorf("got %v, %v; want the tries to be counted", families, err)
	}
}
