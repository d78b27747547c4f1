// Package endpoint is what comes in: the HTTP API of a node, its websocket of
// notices, its CONNECT door to the vendor's hosts, and the operator's socket.
//
// The API is one table (routes.go). A handler says what is special to it; who is
// calling, limits, decoding, problems, logging and metrics are in one place
// (handle.go). Every answer, every log line and every problem carries the same
// request id. Access tokens are checked here, offline, against keys that are kept
// on disk, so that a restart without a link to the cloud lets people in; they are
// never logged.
//
// The package decides nothing: it asks the gateway. A denial, like an error,
// becomes a problem document by one table (problem.go), with the sentences of
// phrase. It leaves to others: TLS and listening (the command), the way out
// (egress).
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// Gateway decides. Denials are in the answer's outcome; an error says that the
// request was not decided, and is one of the gateway's or of its context.
type Gateway interface {
	Start(context.Context, license.Start) (gateway.Answer, error)
	Stop(context.Context, license.Stop) (gateway.Answer, error)
	CheckOut(context.Context, license.CheckOut) (gateway.Answer, error)
	Return(context.Context, license.Return) (gateway.Answer, error)
	Wait(context.Context, license.Wait) (gateway.Answer, error)
	EndWait(context.Context, license.EndWait) (gateway.Answer, error)
	Request(context.Context, license.Request) (gateway.Answer, error)
	LetGo(context.Context, license.LetGo) (gateway.Answer, error)
	Decline(context.Context, license.Decline) (gateway.Answer, error)
	Release(context.Context, license.Release) (gateway.Answer, error)
	WriteOff(context.Context, license.WriteOff) (gateway.Answer, error)
	Move(context.Context, license.Move) (gateway.Answer, error)
	Block(context.Context, license.Block) (gateway.Answer, error)
	Unblock(context.Context, license.Unblock) (gateway.Answer, error)
	ReleaseUser(context.Context, license.ReleaseUser) (gateway.Answer, error)
	SignOut(context.Context, license.SignOut) (gateway.Answer, error)
	AcceptShrink(context.Context, license.AcceptShrink) (gateway.Answer, error)
	Import(context.Context, license.Import) (gateway.Answer, error)
	Maintain(context.Context, license.Maintain) (gateway.Answer, error)
	AcceptTime(context.Context, license.AcceptTime) (gateway.Answer, error)
	Peaks(ctx context.Context, from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error)
	Refresh(context.Context) (gateway.Answer, error)
	ResendUsage(ctx context.Context, by string) (gateway.Answer, error)
	Audit(context.Context) (license.Audit, error)
	AcceptRestore(context.Context, license.AcceptRestore) (gateway.Answer, error)
	Renew(context.Context, []license.Renewal) ([]license.Lease, error)
	View(func(*license.State))
	Now() license.Time // the cluster's, also while nothing is decided
	Cluster() gateway.Cluster
	Disk() gateway.Disk
	// Diverged: the nodes differ, and nothing new is granted.
	Diverged() bool
}

// Config is what an Endpoint is made of. Gateway, Hub, Logger, Issuers and
// KeysDir are needed, and Cluster for the operator's socket.
type Config struct {
	Gateway Gateway
	Cluster Cluster
	Hub     *notice.Hub // that the gateway's events are published to
	Logger  *slog.Logger
	// Registry takes the metrics and is what /metrics shows; nil: one of its own.
	Registry *prometheus.Registry
	Issuers  []Issuer // whose access tokens are taken
	KeysDir  string   // where the issuers' keys are kept; made if it is not there
	Version  string   // of this program
	URL      string   // the base URL of this node
	Nodes    []string // base URLs of all nodes, told to clients
	// OtherNodes are the base URLs of nodes that have come since, as they are known now;
	// nil: none.
	OtherNodes func() []string
	// MetricsAllow are the networks /metrics is for; nil: loopback.
	MetricsAllow []netip.Prefix
	Rate         Rate // of one identity's requests
	// MaxNotices is how many notice connections this node takes, so that requests still get
	// in; zero: any number.
	MaxNotices int
	// Backups tells of this node's scheduled backups; nil: it makes none.
	Backups func() *api.BackupStatus
	// Pseudonym is what reports call a user or a machine; nil: by name.
	Pseudonym func(kind, name string) string
	// Egress tells of this node's ways out; nil: it goes out directly.
	Egress func() []api.EgressStatus
}

// Rate limits how often something may be done. The zero value is the default: 20
// a second, 60 at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Endpoint serves a node's API. New makes one; Run must run while it serves.
type Endpoint struct {
	cfg     Config
	gw      Gateway
	hub     *notice.Hub
	log     *slog.Logger
	metrics *metrics
	auth    *auth
	limits  *limits
	strays  *limits       // requests without a valid token, by address
	lines   *rate.Limiter // of the log, about those who are nobody or ask too much
	table   []route
	mux     *http.ServeMux
	op      *http.ServeMux
	sockets *sockets
	streams atomic.Int64 // of events
}

// New checks the config, reads the keys that were kept, and makes the endpoint.
func New(cfg Config) (*Endpoint, error) {
	var problems []error
	if cfg.Gateway == nil || cfg.Hub == nil || cfg.Logger == nil {
		problems = append(problems, errors.New("endpoint: Gateway, Hub and Logger must be set"))
	}
	if cfg.Rate.PerSecond < 0 || cfg.Rate.Burst < 0 {
		problems = append(problems, fmt.Errorf("endpoint: the rate limit %v is negative", cfg.Rate))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.MetricsAllow == nil {
		cfg.MetricsAllow = Loopback()
	}
	if cfg.Rate.PerSecond == 0 {
		cfg.Rate.PerSecond = 20
	}
	if cfg.Rate.Burst == 0 {
		cfg.Rate.Burst = 60
	}
	e := &Endpoint{cfg: cfg, gw: cfg.Gateway, hub: cfg.Hub, log: cfg.Logger}
	e.sockets = newSockets(e)
	var err error
	if e.metrics, err = newMetrics(cfg.Registry, e.hub.Len); err != nil {
		return nil, err
	}
	if err = newSiteMetrics(cfg.Registry, cfg.Gateway.View); err != nil {
		return nil, err
	}
	if e.auth, err = newAuth(cfg.Issuers, cfg.KeysDir, cfg.Logger, e.metrics); err != nil {
		return nil, err
	}
	e.limits = newLimits(cfg.Rate)
	e.strays = newLimits(Rate{PerSecond: 50, Burst: 500}) // an address can be a whole floor behind NAT
	e.lines = rate.NewLimiter(50, 500)                    // more are at debug; the metrics count all
	e.table = e.routes()
	e.mux, e.op = http.NewServeMux(), http.NewServeMux()
	for _, rt := range e.table {
		mux := e.mux
		if rt.who == operator {
			mux = e.op
		}
		mux.Handle(rt.method+" "+rt.path, e.serve(rt))
	}
	e.mux.Handle("/", e.serve(route{path: "unknown", who: anyone, do: e.notThere(e.mux)}))
	e.op.Handle("/", e.serve(route{path: "unknown", who: operator, do: e.notThere(e.op)}))
	return e, nil
}

// Run keeps the issuers' keys fresh and the websockets alive until ctx ends; then
// it closes the websockets, whose clients go to other nodes, and waits for them.
func (e *Endpoint) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, is := range e.auth.issuers {
		wg.Go(func() { is.run(ctx) })
	}
	wg.Go(func() { e.sockets.run(ctx) })
	wg.Wait()
	return ctx.Err()
}

// Handler serves the clients' API, /openapi.yaml, /healthz, /readyz and
// /metrics. The websocket needs HTTP/1.1.
func (e *Endpoint) Handler() http.Handler { return e.front(e.mux) }

// Operator serves what operators may do, without asking who calls: it belongs on
// a unix socket that only they can open.
func (e *Endpoint) Operator() http.Handler { return e.front(e.op) }

// Loopback is this very machine.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// within reports whether a remote address is in one of the networks.
func within(networks []netip.Prefix, remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// host is the address of a remote address, without its port.
func host(remote string) string {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().String()
	}
	return strings.TrimSpace(remote)
}

// callTimeout bounds how long a request may take to be decided.
const callTimeout = 10 * time.Second
