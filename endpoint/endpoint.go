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
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"sitegate/api"
	"sitegate/endpoint/roster"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// Gateway decides. Denials are in the answer's outcome; an error says that the
// request was not decided, and is one of the gateway's or of its context.
type Gateway interface {
	Start(context.Context, license.Start) (gateway.Answer, error)
	// StartRelayed is Start of what the vendor has signed for its own client.
	StartRelayed(context.Context, license.Start) (gateway.Answer, error)
	// StartKept is StartRelayed of what the vendor signed before, and cannot be asked of now.
	StartKept(context.Context, license.Start) (gateway.Answer, error)
	WouldRefuse(license.WouldRefuse)
	NoteObserved(gateway.Observation)
	Withheld(license.Refused)
	Learn(license.Learned)
	Revoked(license.UserID, license.Time)
	Report(context.Context, license.Report, license.ProductID) (gateway.Answer, error)
	KeepPosting(context.Context, license.KeepPosting) (gateway.Answer, error)
	ImportCheckout(context.Context, license.CheckOut) (gateway.Answer, error)
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
	BindKey(context.Context, license.BindKey) (gateway.Answer, error)
	SeeKey(context.Context, license.SeeKey) (gateway.Answer, error)
	ForgetKey(context.Context, license.ForgetKey) (gateway.Answer, error)
	AcceptKeys(context.Context, license.AcceptKeys) (gateway.Answer, error)
	AcceptShrink(context.Context, license.AcceptShrink) (gateway.Answer, error)
	Import(context.Context, license.Import) (gateway.Answer, error)
	Maintain(context.Context, license.Maintain) (gateway.Answer, error)
	LetPass(context.Context, license.LetPass) (gateway.Answer, error)
	NoteAct(context.Context, license.NoteAct) error
	EraseNames(context.Context, license.EraseNames) (gateway.Answer, error)
	ExportAudit(context.Context, license.ExportAudit) (gateway.Answer, error)
	AcceptTime(context.Context, license.AcceptTime) (gateway.Answer, error)
	Peaks(ctx context.Context, from, until license.Time, product license.ProductID) ([]license.Peak, license.Time, error)
	Refresh(context.Context) (gateway.Answer, error)
	ResendUsage(ctx context.Context, by string) (gateway.Answer, error)
	Audit(context.Context) (license.Audit, error)
	// OldestUsage is since when the usage waits that waits longest; zero: none is known.
	OldestUsage(context.Context) (license.Time, error)
	Recall(ctx context.Context, before uint64, most, look int, match func(license.Event) bool) ([]license.Event, uint64, error)
	GiveCredential(context.Context, license.GiveCredential) (gateway.Answer, error)
	UseCredential(context.Context, license.UseCredential) (gateway.Answer, error)
	EndCredential(context.Context, license.EndCredential) (gateway.Answer, error)
	SetLocalAccount(context.Context, license.SetLocalAccount) (gateway.Answer, error)
	RemoveLocalAccount(context.Context, license.RemoveLocalAccount) (gateway.Answer, error)
	AcceptRestore(context.Context, license.AcceptRestore) (gateway.Answer, error)
	Renew(context.Context, []license.Renewal) ([]license.Lease, error)
	View(func(*license.State))
	// CatchUp returns once this node knows what its site knew at the call.
	CatchUp(context.Context) error
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
	// Administrators is whose access tokens may administer; nil: nobody's.
	Administrators *AdminIssuer
	KeysDir        string   // where the issuers' keys are kept; made if it is not there
	Version        string   // of this program
	URL            string   // the base URL of this node
	Nodes          []string // base URLs of all nodes, told to clients
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
	// Pseudonym is what reports call a user or a machine; nil: by name. s is the state that
	// the caller is reading, and nil where it reads none: who reads one must not ask for
	// another, since a change that waits in between would stop the node.
	Pseudonym func(s *license.State, kind, name string) string
	// Portal is the page of the vendor's portal where licenses are assigned; empty: none is
	// named.
	Portal string
	// History is for how long what single people did and were refused can be read; zero: 90
	// days.
	History time.Duration
	// Audit reads the audit trail from this node's disk: up to limit records after one, and
	// how the trail stood when they were written. Nil: there is none to read. AuditKeep is
	// how long exported records are kept; zero: for ever.
	Audit     func(ctx context.Context, after uint64, limit int) ([]license.Audited, license.AuditTrail, error)
	AuditKeep time.Duration
	// Settings is what this node goes by now; nil: it does not say.
	Settings func() []api.NodeSetting
	// Doctor goes along this node's way out, within a minute or two; nil: it does not.
	Doctor func(context.Context) (api.DoctorReport, error)
	// Egress tells of this node's ways out; nil: it goes out directly.
	Egress func() []api.EgressStatus
	// Certificates tells of those that this node shows; nil: it does not know. SiteCA gives
	// the site CA's in PEM form, which anybody may have: two while it is replaced; nil, or
	// what gives nothing: clients are shown another one's.
	Certificates func() []api.CertificateStatus
	SiteCA       func() []byte
	// Relay carries the traffic of the vendor's own client; nil: it is not relayed.
	Relay *RelayConfig
}

// Rate limits how often something may be done. The zero value is the default: 20
// a second, 60 at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Endpoint serves a node's API. New makes one; Run must run while it serves.
type Endpoint struct {
	longTyped chan struct{} // who was turned away with a long form has a place in it
	cfg       Config
	gw        Gateway
	hub       *notice.Hub
	log       *slog.Logger
	metrics   *metrics
	auth      *auth
	admins    *auth           // checks the access tokens of administrators; nil: they have none
	limits    *limits[string] // of those who are known
	strays    *strangers
	lines     *rate.Limiter // of the log, about those who are nobody or ask too much
	table     []route
	mux       *http.ServeMux
	op        *http.ServeMux
	in        *http.ServeMux // of pages that this process makes
	sockets   *sockets
	relay     *relay         // nil: nothing is relayed
	streams   atomic.Int64   // of events
	comment   time.Duration  // between the signs of life of a stream of events
	roster    *roster.Roster // what is open at the site, for who looks at it
	users     *roster.Mirror // and whom
	owned     *roster.Mirror // and what the account has
	denials   *denials
	trend     trend

	examining sync.Mutex // one at a time
	auditing  sync.Mutex // of usage
	counting  sync.Mutex // of refusals that there would have been
	importing sync.Mutex // of files
	exporting sync.Mutex // of what is kept about a person
	opened    openings

	uses      chan license.Digest // credentials whose use is to be noted
	seen      chan license.SeeKey // where keys were shown, to be noted
	passwords *passwords
	door      *doorman

	sameOrigin http.CrossOriginProtection // of what comes with a cookie, or makes one
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
	cfg.History = cmp.Or(cfg.History, 90*24*time.Hour)
	if cfg.Rate.PerSecond == 0 {
		cfg.Rate.PerSecond = 20
	}
	if cfg.Rate.Burst == 0 {
		cfg.Rate.Burst = 60
	}
	e := &Endpoint{cfg: cfg, gw: cfg.Gateway, hub: cfg.Hub, log: cfg.Logger, uses: make(chan license.Digest, 64), seen: make(chan license.SeeKey, 64), passwords: newPasswords(argonMemory, argonTime), comment: eventsComment, longTyped: make(chan struct{}, longTypedMax)}
	e.sockets = newSockets(e)
	e.roster, e.users, e.owned = roster.New(e.gw.View, e.hub, cfg.Pseudonym), roster.NewUsers(e.gw.View, e.hub, cfg.Pseudonym), roster.NewLicenses(e.gw.View, e.hub, cfg.Pseudonym)
	var err error
	if e.metrics, err = newMetrics(cfg.Registry, e.hub.Len); err != nil {
		return nil, err
	}
	if err = newSiteMetrics(cfg.Registry, cfg.Gateway, cfg.AuditKeep); err != nil {
		return nil, err
	}
	if e.auth, err = newAuth(cfg.Issuers, cfg.KeysDir, cfg.Logger, e.metrics); err != nil {
		return nil, err
	}
	e.auth.view, e.auth.clock = cfg.Gateway.View, cfg.Gateway.Now
	if a := cfg.Administrators; a != nil {
		if e.admins, err = newAuth([]Issuer{a.Issuer}, filepath.Join(cfg.KeysDir, "administrators"), cfg.Logger, e.metrics); err != nil {
			return nil, err
		}
		e.admins.claim = a.Claim
	}
	for _, a := range []*auth{e.auth, e.admins} {
		if a == nil {
			continue
		}
		for _, is := range a.issuers {
			is.view, is.catchUp = cfg.Gateway.View, cfg.Gateway.CatchUp
		}
	}
	e.limits = newLimits[string](cfg.Rate)
	e.auth.spent = func(issuer string, user license.UserID) bool {
		_, left := e.limits.peek(issuer + " " + string(user))
		return !left
	}
	e.strays = newStrangers(Rate{strangerPerSecond, strangerBurst}, Rate{strangerPace, strangerAtOnce})
	e.denials = newDenials()
	e.lines = rate.NewLimiter(50, 500) // more are at debug; the metrics count all
	e.table = e.routes()
	e.mux, e.op, e.in = http.NewServeMux(), http.NewServeMux(), http.NewServeMux()
	for _, rt := range e.table {
		pattern := rt.method + " " + rt.path
		switch rt.who {
		case user:
			e.mux.Handle(pattern, e.serve(rt, e.admit))
		case anyone:
			e.mux.Handle(pattern, e.serve(rt, e.admitAnyone))
		case byRole:
			e.byRole(rt)
		}
	}
	if e.door, err = newDoorman(e); err != nil {
		return nil, err
	}
	if cfg.Relay != nil {
		if e.relay, err = newRelay(e, *cfg.Relay); err != nil {
			return nil, err
		}
		for _, rt := range e.relay.routes() {
			e.mux.Handle(rt.method+" "+rt.path, e.relay.serve(rt))
		}
	}
	e.mux.Handle("/", e.serve(route{path: "unknown", who: anyone, do: e.notThere(e.mux)}, e.admitAnyone))
	e.op.Handle("/", e.serve(route{path: "unknown", who: anyone, do: e.notThere(e.op)}, e.admitSocket))
	unknown := route{path: "unknown", who: anyone, scopes: license.AnyScope, do: e.notThere(e.in)}
	e.in.Handle("/", e.serve(unknown, e.admitWithin(unknown)))
	return e, nil
}

// Run keeps the issuers' keys fresh and the websockets alive until ctx ends; then
// it closes the websockets, whose clients go to other nodes, and waits for them.
func (e *Endpoint) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, a := range []*auth{e.auth, e.admins} {
		if a == nil {
			continue
		}
		for _, is := range a.issuers {
			wg.Go(func() { is.run(ctx) })
		}
	}
	wg.Go(func() { e.sockets.run(ctx) })
	wg.Go(func() { e.noteUses(ctx) })
	wg.Go(func() { e.notePlaces(ctx) })
	wg.Go(func() { e.followTrend(ctx) })
	wg.Go(func() { e.denials.run(ctx, e.noteDenied) })
	if e.relay != nil {
		wg.Go(func() { e.relay.run(ctx) })
	}
	wg.Wait()
	e.roster.Close()
	e.users.Close()
	e.owned.Close()
	return ctx.Err()
}

// Handler serves the API, to users and to administrators who show who they are, with
// /openapi.yaml, /healthz, /readyz and /metrics. The websocket needs HTTP/1.1.
func (e *Endpoint) Handler() http.Handler { return e.front(e.mux) }

// Operator serves what administrators may do, without asking who calls: it belongs on a
// unix socket that only they can open. WithSocketUser tells who they are.
func (e *Endpoint) Operator() http.Handler { return e.front(e.op) }

// Within serves the routes for administrators to what this process makes pages of for one
// of them, who was let in before: AdministratorOf the request's context.
func (e *Endpoint) Within() http.Handler { return e.front(e.in) }

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
