package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
)

// logBook keeps log lines for a test to read.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBook) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// rig is an endpoint that runs, on loopback.
type rig struct {
	*httptest.Server
	node   *oneNode
	issuer *realIssuer
	e      *Endpoint
	log    *logBook
	reg    *prometheus.Registry
	stop   func() // Run, and wait for it
}

func newRig(t testing.TB, node *oneNode, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{node: node, issuer: newRealIssuer(t), log: &logBook{}, reg: prometheus.NewRegistry()}
	cfg := Config{Gateway: node, Hub: node.hub, Logger: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registry: r.reg, Issuers: []Issuer{{URL: r.issuer.URL, Audience: "site-gateway", Client: r.issuer.Client()}},
		KeysDir: filepath.Join(t.TempDir(), "keys"), Version: "1.2.3", Nodes: []string{"https://n1.example:8443"},
		Rate: Rate{PerSecond: 1000, Burst: 1000}, Audit: node.audited, AuditKeep: 400 * 24 * time.Hour}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if r.e, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); r.e.Run(ctx) }()
	r.stop = func() { cancel(); <-ran }
	r.Server = httptest.NewServer(r.e.Handler())
	t.Cleanup(func() { r.stop(); r.Close() })
	return r
}

// answer is what came back.
type answer struct {
	*http.Response
	raw []byte
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.raw, v); err != nil {
		t.Fatalf("the answer %s: %v", a.raw, err)
	}
}

func (a answer) problem(t testing.TB) api.Problem {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != api.ProblemType {
		t.Fatalf("Content-Type %q; want %q: %d %s", got, api.ProblemType, a.StatusCode, a.raw)
	}
	var p api.Problem
	a.into(t, &p)
	return p
}

type header map[string]string

// call sends a request as a user; body is JSON as text, or a value to encode.
func (r *rig) call(t testing.TB, user, method, path string, body any, headers ...header) answer {
	t.Helper()
	var rd io.Reader
	if s, ok := body.(string); ok {
		rd = strings.NewReader(s)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		rd = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL+path, rd)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+r.issuer.token(t, user))
	}
	for _, h := range headers {
		for k, v := range h {
			req.Header.Set(k, v)
		}
	}
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, raw}
}

// want calls and expects a status.
func (r *rig) want(t testing.TB, status int, user, method, path string, body any, headers ...header) answer {
	t.Helper()
	a := r.call(t, user, method, path, body, headers...)
	if a.StatusCode != status {
		t.Fatalf("%s %s as %s: %d, want %d: %s", method, path, user, a.StatusCode, status, a.raw)
	}
	return a
}

func newUUID(t testing.TB) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

var (
	ws101 = api.Machine{ID: "m-101", Name: "WS-101"}
	ws202 = api.Machine{ID: "m-202", Name: "WS-202"}
)

// metric is the value of a counter or gauge, summed over its labels that match
// "name=value" pairs.
func (r *rig) metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := map[string]bool{}
			for _, l := range m.GetLabel() {
				has[fmt.Sprintf("%s=%s", l.GetName(), l.GetValue())] = true
			}
			match := true
			for _, l := range labels {
				match = match && has[l]
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not come about within a minute: %s", what)
		}
	}
}
