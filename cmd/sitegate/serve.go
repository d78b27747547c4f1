package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
	"sitegate/raftstore"
	"sitegate/upstream"
	"sitegate/upstream/egress"
)

const serveHelp = `
Usage: sitegate serve [--config FILE]

Runs this machine's node until SIGTERM or SIGINT: it then hands over, finishes
what is under way, and ends with status 0. With SIGHUP it reads the configuration
anew and takes the way out (egress) from it, passwords and certificates included,
and the certificate files that it shows, without closing anything, and opens its log
anew (log.target file); the rest of a changed configuration waits for a restart. It also notices by itself, within a minute,
that certificate files have changed.

Example:
  sitegate serve --config /etc/sitegate/sitegate.yaml
`

// shutdownTime bounds how long a node takes to end once it has been asked to.
const shutdownTime = 15 * time.Second

func serve(ctx context.Context, p *program, args []string) error {
	f := p.flags("serve", serveHelp)
	p.configFlags(f)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	again := func() (s setting, err error) {
		s.file, _ = f.GetString("config")
		s.Config, s.from, err = p.loadChecked(f)
		return s, err
	}
	s, err := again()
	if err != nil {
		return err
	}
	logs, err := openLog(s.Log, p.stderr)
	if err != nil {
		return err
	}
	defer logs.close()
	return runNode(ctx, s, again, logs)
}

// runNode is all the wiring of a node, once, from the disk upwards. It is taken
// down in the opposite order, after the leadership was handed over: the doors
// close and clients are sent elsewhere, the leader's errands end, the log and
// the state are written and closed.
func runNode(ctx context.Context, s setting, again func() (setting, error), logs *logTarget) (err error) {
	c := s.Config
	if err := openDataFolder(c.DataDir); err != nil {
		return err
	}
	names, err := openPseudonyms(c)
	if err != nil {
		return err
	}
	recent := newRecentLog(logs.handler)
	log := names.logger(slog.New(slog.NewMultiHandler(logs.handler, recent)).With("node", c.Node))
	registry := prometheus.NewRegistry()
	registry.MustRegister(logs)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// The way out, and the cloud behind it. From here on SIGHUP means to read its
	// settings anew.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	dialer, err := egress.New(wayOut(c, log))
	if err != nil {
		return fmt.Errorf("the way out (egress): %w", err)
	}
	registry.MustRegister(newWayOutMetrics(dialer))
	rereads := &reloading{again: again, begun: s, taken: s, dialer: dialer, log: log, reopen: logs.reopen}
	var cloud gateway.Cloud
	if c.Cloud != nil {
		client, err := upstream.New(upstream.Config{API: c.Cloud.URL, Issuer: c.Cloud.Issuer, SiteID: c.Cloud.SiteID,
			SecretFile: c.Cloud.SecretFile, Dialer: dialer, Requests: c.Cloud.Requests, Logger: log, Usage: upstream.UsageConfig{Way: c.Usage.UsageWay(), Posting: c.Usage.PostingURL,
				Location: c.Usage.LocationURL, UploadHosts: c.Usage.UploadHosts, UltimateID: c.Usage.UltimateID, Posted: postedTo(c)}})
		if err != nil {
			return fmt.Errorf("the cloud: %w", err)
		}
		defer client.Close()
		cloud = client
	}

	// What the node decides, and who is told. The hub hears of every event the log
	// applies, from the first.
	node := &nodeLog{}
	hub := notice.New(0, 0)
	var verifier atomic.Pointer[endpoint.Endpoint] // there is one before a door opens
	gw := gateway.New(gateway.Config{Verify: verifyBy(&verifier), Administers: administersBy(&verifier), IssuerKeys: keysBy(&verifier), Log: node, Cloud: cloud, Logger: log, AskTimeout: askTimeout(c), Settings: c.SiteSettings(), Disk: node.disk, Diverged: node.diverged,
		AuditKeep: c.Audit.Retention, History: c.Privacy.History, Backlog: node.backlog, BacklogMost: c.Usage.Room(), UsageWay: c.Usage.UsageWay(),
		Secrets: func() []gateway.Secret { return secretsOf(dialer.Status()) }})

	rereads.also = append(rereads.also, modesAgain(gw.SetModes))

	// Who this node is to others, and the log and its state.
	peers, err := openPeering(c, log)
	if err != nil {
		return err
	}
	sc, err := storeConfig(c, peers, log, registry)
	if err != nil {
		return err
	}
	sc.Serve, sc.PrivacyKey = gw.Serve, names.givenKey()
	var up atomic.Pointer[clusterOps]
	sc.Drain = drainBy(&up)
	var telling sync.Mutex
	sc.OnEvents = func(epoch uint64, events []license.Event) {
		gw.Observe(events) // first: who is told that something is free asks for it at once
		telling.Lock()
		hub.Publish(epoch, events)
		telling.Unlock()
	}
	sc.OnJump = func(epoch, seq uint64) {
		telling.Lock()
		hub.Reset(epoch, seq) // those who listen read anew
		telling.Unlock()
	}
	store, err := raftstore.Open(sc)
	if err != nil {
		return fmt.Errorf("opening the node's log and state in %s: %w", c.DataDir, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		err = errors.Join(err, store.Close(ctx))
	}()
	node.store.Store(store)
	registry.MustRegister(newNodeMetrics(node))
	names.lookIn(node.View, node.tryView)
	beginHub(hub, store, &telling)

	if sc.Listener != nil && !peers.kept { // from now on an empty store is one that was lost
		if err := peers.write(c); err != nil {
			return err
		}
	}

	// The doors.
	left := make(chan struct{})
	ops := &clusterOps{c: c, store: store, log: log, left: sync.OnceFunc(func() { close(left) })}
	ec := endpointConfig(c, gw, hub, log, registry, dialer)
	if ec.Relay != nil {
		if ec.Relay.Signers, err = vendorSigners(c.Relay.SignerFile); err != nil {
			return err
		}
	}
	ec.Cluster, ec.OtherNodes = ops, ops.urls
	if names != nil {
		ec.Pseudonym = names.shown
	}
	ec.Audit, ec.AuditKeep = store.Audit, c.Audit.Retention
	ec.History = c.Privacy.History
	ec.MaxNotices = mostFiles() * 7 / 8
	ec.Settings, ec.Doctor = rereads.settings, rereads.examine
	ec.Egress = func() []api.EgressStatus { return egressStatus(dialer.Status()) }
	var scheduled *backups
	if c.Backup != nil {
		if scheduled, err = newBackups(store, c.Node, *c.Backup, log, registry); err != nil {
			return err
		}
		ec.Backups = scheduled.status
	}
	certs, err := openCertificates(c, peers.keys, log)
	if err != nil {
		return err
	}
	registry.MustRegister(certs)
	rereads.certificates = certs
	ec.Certificates, ec.SiteCA = certs.status, certs.siteCA
	ep, err := endpoint.New(ec)
	if err != nil {
		return err
	}
	verifier.Store(ep)
	carried, err := newUsageDoor(c, gw, peers.keys, ep.Refuse, log)
	if err != nil {
		return err
	}
	bundles := &debugging{setting: rereads.examined, node: &debugNode{log: recent, store: store, gw: gw, members: ops.Members, registry: registry}}
	addRoutes(ep.Administer, nodeRoutes{
		debug:      bundles.give(ep, log),
		takeBackup: ep.Recorded("backup-taken", giveBackup(store, ep.Refuse, log)),
		makeBackup: ep.Recorded("backup-made", backUpNow(scheduled, ep.Refuse, log)),
		reload:     ep.Noted("configuration-reloaded", rereads.onDemand(ep.Refuse)),
	}, carried)
	doors, err := openDoors(c, peers.Listen, ep, certs.forHost, dialer, rereads, ops.Members, registry, log)
	if err != nil {
		return err
	}
	ops.leaving, ops.staying, ops.drain = ep.Leaving, ep.Staying, func(over time.Duration) { ep.Drain(over); doors.drain() }
	up.Store(ops)
	defer doors.close()

	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, gctx := errgroup.WithContext(work)
	g.Go(func() error {
		collect(gctx, func() (filling bool) {
			store.View(func(s *license.State) { h := s.Head(); filling = !h.Filled && h.Cursor != "" })
			return filling
		})
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			log.Info("node is going down")
			sendAway(ep, func() { handOver(store, log) })
			stop()
		case <-gctx.Done():
		}
		return nil
	})
	g.Go(func() error { return untilDone(gctx, gw.Run(gctx)) })
	g.Go(func() error { return untilDone(gctx, dialer.Run(gctx)) })
	g.Go(func() error { rereads.run(gctx, hangups); return nil })
	g.Go(func() error { certs.run(gctx); return nil })
	g.Go(func() error { return untilDone(gctx, ep.Run(gctx)) })
	g.Go(func() error { return offerFirstAccount(gctx, c, ep, store, logs.people, log) })
	if scheduled != nil {
		g.Go(func() error { return scheduled.run(gctx) })
	}
	if c.Alerts != nil {
		watch := newAlerts(c, node, gw, store, dialer, certs, scheduled, registry, log)
		g.Go(func() error { return untilDone(gctx, watch.Run(gctx)) })
	}
	if c.Reports != nil {
		reports := newReports(c, node, gw, ec.Pseudonym, dialer, registry, log)
		g.Go(func() error { return untilDone(gctx, reports.Run(gctx)) })
	}
	for _, d := range doors {
		g.Go(func() error { return d.run(gctx) })
	}
	g.Go(func() error {
		select {
		case <-store.Done():
			return fmt.Errorf("this node has stopped: %w", store.Err())
		case <-left:
			return errLeft
		case <-gctx.Done():
			return nil
		}
	})
	log.Info("node is up", "api", c.API.URL, "listen", doors.api().String(), "data_dir", c.DataDir)
	err = g.Wait()
	if errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// verifyBy has the gateway ask the endpoint for whom a caller of another node speaks. Until
// there is an endpoint, this node cannot say.
func verifyBy(ep *atomic.Pointer[endpoint.Endpoint]) func(context.Context, string) (gateway.Who, error) {
	return func(ctx context.Context, shown string) (gateway.Who, error) {
		e := ep.Load()
		if e == nil {
			return gateway.Who{}, gateway.ErrNotReady
		}
		return e.Who(ctx, shown)
	}
}

// administersBy is verifyBy for administrators.
func administersBy(ep *atomic.Pointer[endpoint.Endpoint]) func(context.Context, string) (gateway.Administrator, error) {
	return func(ctx context.Context, shown string) (gateway.Administrator, error) {
		e := ep.Load()
		if e == nil {
			return gateway.Administrator{}, gateway.ErrNotReady
		}
		return e.Administers(ctx, shown)
	}
}

// keysBy has the gateway ask the endpoint for the issuers' keys.
func keysBy(ep *atomic.Pointer[endpoint.Endpoint]) func() []gateway.IssuerKeys {
	return func() []gateway.IssuerKeys {
		if e := ep.Load(); e != nil {
			return e.IssuerKeys()
		}
		return nil
	}
}

// sendAway tells the clients to go elsewhere, hands over meanwhile (until there is
// another leader, this one still answers), and gives the clients the time to go.
func sendAway(ep *endpoint.Endpoint, handOver func()) {
	window := ep.Window()
	ep.Leaving(window)
	handOver()
	if window > 0 {
		over := window + window/2
		ep.Drain(over)
		gone, cancel := context.WithTimeout(context.Background(), over+time.Second)
		defer cancel()
		ep.Gone(gone)
	}
}

// handOverTime bounds looking for a successor.
const handOverTime = 2 * time.Second

// handOver makes another node the leader, if this one is and there is another.
func handOver(store *raftstore.Store, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	if len(store.Cluster().Members) < 2 {
		return
	}
	if err := store.StepDown(ctx); err != nil && !errors.Is(err, raftstore.ErrNotLeader) {
		log.Warn("no other node could be made the leader", "err", err)
	}
}

// errLeft ends a node that is not part of its cluster any more.
var errLeft = errors.New("this node has left its cluster")

// untilDone drops the error of something that ended because it was asked to.
func untilDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// beginHub tells the hub where the state it has not heard of stands.
func beginHub(hub *notice.Hub, store *raftstore.Store, telling *sync.Mutex) {
	var head license.Head
	store.View(func(s *license.State) { head = s.Head() })
	telling.Lock()
	defer telling.Unlock()
	if hub.Position().Before(notice.Token{Epoch: head.Epoch, Seq: head.Seq}) {
		hub.Reset(head.Epoch, head.Seq)
	}
}

func askTimeout(c configs.Config) time.Duration {
	if c.Cloud == nil {
		return 0
	}
	return c.Cloud.AskTimeout
}

func storeConfig(c configs.Config, p peering, log *slog.Logger, registry *prometheus.Registry) (raftstore.Config, error) {
	sc := raftstore.Config{Dir: storeDir(c), Node: c.Node, Version: buildVersion(), Logger: log, Registerer: registry,
		Cluster: p.cluster, Keys: p.keys, Member: p.kept, Hosts: clientHosts(c), URL: c.API.URL,
		Tempo: raftstore.Tempo(p.Tempo), Advertise: p.Advertise, Ballast: int64(c.Disk.BallastMB) << 20}
	if c.Cluster != nil {
		sc.RemoveDeadAfter, sc.HoldLevel = c.Cluster.RemoveDeadAfter, c.Cluster.HoldLevel
		for _, q := range c.Cluster.Peers {
			sc.Peers = append(sc.Peers, raftstore.Peer(q))
		}
	}
	if p.Listen == "" {
		return sc, nil
	}
	var err error
	if sc.Listener, err = net.Listen("tcp", p.Listen); err != nil {
		return sc, cannotListen("the other nodes", "cluster.listen", err)
	}
	return sc, nil
}

func endpointConfig(c configs.Config, gw *gateway.Gateway, hub *notice.Hub, log *slog.Logger, registry *prometheus.Registry, dialer *egress.Dialer) endpoint.Config {
	ec := endpoint.Config{Gateway: gw, Hub: hub, Logger: log, Registry: registry, KeysDir: filepath.Join(c.DataDir, "keys"),
		Version: buildVersion(), URL: c.API.URL, Nodes: c.API.Nodes, MetricsAllow: c.API.MetricsFrom,
		Rate: endpoint.Rate{PerSecond: c.Limits.RequestsPerSecond, Burst: c.Limits.Burst}}
	if c.Cloud != nil {
		ec.Portal = c.Cloud.PortalURL
	}
	out := &http.Client{Transport: dialer.Transport(), Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, s := range c.SignIn {
		is := endpoint.Issuer{URL: s.Issuer, Audience: s.Audience, UserClaim: s.UserClaim, EmailsVerified: s.EmailsVerified, Client: out}
		for _, d := range s.Domains {
			is.Domains = append(is.Domains, strings.ToLower(d))
		}
		ec.Issuers = append(ec.Issuers, is)
	}
	if a := c.Administrators; a != nil {
		ec.Administrators = administrators(*a, out)
	}
	if r := c.Relay; r != nil {
		way := dialer.Transport()
		way.MaxIdleConnsPerHost = way.MaxIdleConns // one host has nearly all of it
		ec.Relay = &endpoint.RelayConfig{Transport: way, URL: r.URL, Discovery: r.DiscoveryURL, Policy: r.PolicyURL, Posting: r.PostingURL,
			Location: r.LocationURL, AccessKey: r.AccessKeyURL, UploadHosts: r.UploadHosts, Region: r.Region, Audiences: r.Audiences, KeptDir: filepath.Join(c.DataDir, "policies")}
	}
	return ec
}

// postedTo is where the postings go that were taken over from the vendor's own clients.
func postedTo(c configs.Config) string {
	if c.Relay == nil {
		return c.Usage.PostingURL
	}
	return c.Relay.PostingURL
}
