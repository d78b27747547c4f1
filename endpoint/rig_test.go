package endpoint

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// oneNode is a gateway of a node by itself: the real rules in memory, no cloud.
type oneNode struct {
	mu    sync.Mutex
	state *license.State
	hub   *notice.Hub
	agree bool
	news  license.Command // what Refresh finds in the cloud; nil: the cloud does not answer
	err   error           // every request fails with it
	gate  chan struct{}   // Renew waits for it, where it is set
	panic bool
	lone  bool // no leader
	// cannot: the cloud takes no moves.
	cannot bool
	audit  license.Audit
	peaks  func(from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error)
}

func newNode(t testing.TB) *oneNode {
	t.Helper()
	n := &oneNode{state: license.NewState(), hub: notice.New(0, 0), agree: true}
	n.do(t, license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level})
	return n
}

// filled is a node that has read its licenses: ada and ben have the capped
// product road, ada also flow; max is blocked, and eve has nothing.
func filled(t testing.TB) *oneNode {
	t.Helper()
	n := newNode(t)
	n.do(t, license.Mirror{Full: true, Last: true, Cursor: "c1", Changes: []license.Change{
		{User: &license.User{ID: "ada", Email: "ada@example.org", Name: "Ada", Country: "DE"}},
		{User: &license.User{ID: "ben", Email: "ben@example.org", Country: "DE"}},
		{User: &license.User{ID: "eve", Email: "eve@example.org", Country: "DE"}},
		{User: &license.User{ID: "max", Email: "max@example.org", Country: "DE", Blocked: true}},
		{Product: &license.Product{ID: "road", Name: "Road Designer", Capped: license.CappedYes}},
		{Product: &license.Product{ID: "flow", Name: "Flow Master", Capped: license.CappedYes}},
		{License: &license.License{ID: "l-1", Product: "road", Assignee: "ada"}},
		{License: &license.License{ID: "l-2", Product: "flow", Assignee: "ada"}},
		{License: &license.License{ID: "l-3", Product: "road", Assignee: "ben"}},
		{Account: &license.Account{ID: "a-1", Administrators: []license.Administrator{{Name: "Ida Nord", Email: "ida@example.org"}}}},
	}})
	return n
}

func (n *oneNode) do(t testing.TB, c license.Command) license.Outcome {
	t.Helper()
	a, err := n.apply(c)
	if err != nil || a.Outcome.Denial != nil {
		t.Fatalf("%T: %v, %+v", c, err, a.Outcome.Denial)
	}
	return a.Outcome
}

func (n *oneNode) apply(c license.Command) (gateway.Answer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.panic {
		panic("made up")
	}
	if n.err != nil {
		return gateway.Answer{}, n.err
	}
	out, events := license.Apply(n.state, license.Entry{At: license.TimeOf(time.Now()), Command: c})
	h := n.state.Head()
	n.hub.Publish(h.Epoch, events)
	return gateway.Answer{Outcome: out, Epoch: h.Epoch, Seq: h.Seq}, nil
}

// refused journals what was refused, as the gateway's leader does.
func (n *oneNode) refused(a gateway.Answer, err error, user license.UserID, m license.Machine) (gateway.Answer, error) {
	if err == nil && a.Outcome.Denial != nil {
		if _, err := n.apply(license.Refused{User: user, Machine: m, Denial: *a.Outcome.Denial}); err != nil {
			return a, err
		}
	}
	return a, err
}

func (n *oneNode) Start(_ context.Context, c license.Start) (gateway.Answer, error) {
	c.Agreed = n.agree
	a, err := n.apply(c)
	return n.refused(a, err, c.User, c.Machine)
}
func (n *oneNode) CheckOut(_ context.Context, c license.CheckOut) (gateway.Answer, error) {
	c.Agreed = n.agree
	a, err := n.apply(c)
	return n.refused(a, err, c.User, c.Machine)
}
func (n *oneNode) Stop(_ context.Context, c license.Stop) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) Return(_ context.Context, c license.Return) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) Wait(_ context.Context, c license.Wait) (gateway.Answer, error) { return n.apply(c) }
func (n *oneNode) Request(_ context.Context, c license.Request) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) LetGo(_ context.Context, c license.LetGo) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Decline(_ context.Context, c license.Decline) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) EndWait(_ context.Context, c license.EndWait) (gateway.Answer, error) {
	return n.apply(c)
}

// Refresh takes the cloud's news in, where there are some.
func (n *oneNode) Refresh(context.Context) (gateway.Answer, error) {
	n.mu.Lock()
	news := n.news
	n.news = nil
	n.mu.Unlock()
	if news == nil {
		return gateway.Answer{}, gateway.ErrCloud
	}
	return n.apply(news)
}

func (n *oneNode) AcceptRestore(_ context.Context, c license.AcceptRestore) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Release(_ context.Context, c license.Release) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) WriteOff(_ context.Context, c license.WriteOff) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Move(_ context.Context, c license.Move) (gateway.Answer, error) {
	c.Agreed, c.Cannot = n.agree, n.cannot
	return n.apply(c)
}
func (n *oneNode) Block(_ context.Context, c license.Block) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) Unblock(_ context.Context, c license.Unblock) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) ReleaseUser(_ context.Context, c license.ReleaseUser) (gateway.Answer, error) {
	return n.apply(c)
}
func (n *oneNode) SignOut(_ context.Context, c license.SignOut) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Peaks(_ context.Context, from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error) {
	return n.peaks(from, until, product)
}

func (n *oneNode) ResendUsage(_ context.Context, by string) (gateway.Answer, error) {
	var c license.SettleUsage
	n.View(func(s *license.State) {
		for _, x := range license.AllSetAside(s) {
			c.Records = append(c.Records, x.Usage.Record)
		}
	})
	c.By = by
	return n.apply(c)
}

func (n *oneNode) Audit(context.Context) (license.Audit, error) { return n.audit, nil }

func (n *oneNode) AcceptShrink(_ context.Context, c license.AcceptShrink) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Import(_ context.Context, c license.Import) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Maintain(_ context.Context, c license.Maintain) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) AcceptTime(_ context.Context, c license.AcceptTime) (gateway.Answer, error) {
	return n.apply(c)
}

func (n *oneNode) Renew(ctx context.Context, rs []license.Renewal) ([]license.Lease, error) {
	n.mu.Lock()
	err, gate := n.err, n.gate
	n.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	var out []license.Lease
	n.View(func(s *license.State) {
		for _, r := range rs {
			out = append(out, license.Renew(s, license.TimeOf(time.Now()), r))
		}
	})
	return out, nil
}

func (n *oneNode) View(f func(*license.State)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.state)
}

// Now runs an hour ahead of the entries: nothing has been decided for that long.
func (n *oneNode) Now() license.Time { return license.TimeOf(time.Now()).Add(time.Hour) }

func (n *oneNode) Diverged() bool { return false }

func (n *oneNode) Disk() gateway.Disk {
	return gateway.Disk{Free: 6 << 30, Total: 100 << 30, Warn: true}
}

func (n *oneNode) Cluster() gateway.Cluster {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := gateway.Cluster{Node: "n1", Leader: "n1", Term: 3, Index: 42,
		Members: []gateway.Member{{Name: "n1", Address: "127.0.0.1:7001", Voter: true}}}
	if n.lone {
		c.Leader = ""
	}
	return c
}

func (n *oneNode) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

// realIssuer is an OpenID Connect issuer on loopback that signs with ES256.
type realIssuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  []jose.JSONWebKey // private
	reads int               // of its keys
	down  bool
}

func newRealIssuer(t testing.TB) *realIssuer {
	t.Helper()
	is := &realIssuer{}
	is.rotate(t, "k1")
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is.mu.Lock()
		defer is.mu.Unlock()
		switch {
		case is.down:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			json.NewEncoder(w).Encode(map[string]string{"issuer": is.URL, "jwks_uri": is.URL + "/keys"})
		default:
			is.reads++
			var set jose.JSONWebKeySet
			for _, k := range is.keys {
				set.Keys = append(set.Keys, k.Public())
			}
			json.NewEncoder(w).Encode(set)
		}
	}))
	t.Cleanup(is.Close)
	return is
}

func (is *realIssuer) rotate(t testing.TB, kid string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = []jose.JSONWebKey{{Key: k, KeyID: kid, Algorithm: "ES256", Use: "sig"}}
}

func (is *realIssuer) set(f func()) {
	is.mu.Lock()
	defer is.mu.Unlock()
	f()
}

// claims are what a test may want to change of a token.
type claims struct {
	Issuer   string           `json:"iss"`
	Subject  string           `json:"sub,omitempty"`
	Audience string           `json:"aud"`
	Expiry   *jwt.NumericDate `json:"exp,omitempty"`
	Before   *jwt.NumericDate `json:"nbf,omitempty"`
	Email    string           `json:"email"`
	Verified any              `json:"email_verified,omitempty"`
}

// token signs a token for a user, good for an hour unless changed.
func (is *realIssuer) token(t testing.TB, user string, change ...func(*claims, *jose.SignerOptions, *jose.SigningKey)) string {
	t.Helper()
	is.mu.Lock()
	key := jose.SigningKey{Algorithm: jose.ES256, Key: is.keys[0]}
	is.mu.Unlock()
	opts := (&jose.SignerOptions{}).WithType("at+jwt")
	c := claims{Issuer: is.URL, Subject: user, Audience: "site-gateway", Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)), Email: user + "@example.org"}
	for _, f := range change {
		f(&c, opts, &key)
	}
	s, err := jose.NewSigner(key, opts)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

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
		Rate: Rate{PerSecond: 1000, Burst: 1000}}
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
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not come about within 10 s: %s", what)
		}
	}
}
