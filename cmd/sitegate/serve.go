package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
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
	"sitegate/siteca"
	"sitegate/upstream"
	"sitegate/upstream/egress"
)

const serveHelp = `
Usage: sitegate serve [--config FILE]

Runs this machine's node until SIGTERM or SIGINT: it then hands over, finishes
what is under way, and ends with status 0. With SIGHUP it reads the configuration
anew and takes the way out (egress) from it, passwords and certificates included,
without closing anything; the rest of a changed configuration waits for a restart.

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
	c, _, err := p.loadChecked(f)
	if err != nil {
		return err
	}
	lines := newLogWriter(p.stderr)
	defer lines.close()
	again := func() (configs.Config, error) {
		c, _, err := p.loadChecked(f)
		return c, err
	}
	return runNode(ctx, c, again, c.Log.Logger(lines))
}

// runNode is all the wiring of a node, once, from the disk upwards. It is taken
// down in the opposite order, after the leadership was handed over: the doors
// close and clients are sent elsewhere, the leader's errands end, the log and
// the state are written and closed.
func runNode(ctx context.Context, c configs.Config, again func() (configs.Config, error), log *slog.Logger) (err error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w; give it to the user that sitegate runs as, or set another data_dir", err)
	}
	names, err := openPseudonyms(c)
	if err != nil {
		return err
	}
	log = names.logger(log.With("node", c.Node))
	registry := prometheus.NewRegistry()
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
	rereads := &reloading{again: again, dialer: dialer, log: log}
	var cloud gateway.Cloud
	if c.Cloud != nil {
		client, err := upstream.New(upstream.Config{API: c.Cloud.URL, Issuer: c.Cloud.Issuer, SiteID: c.Cloud.SiteID,
			SecretFile: c.Cloud.SecretFile, Dialer: dialer, Requests: c.Cloud.Requests, Logger: log, Usage: upstream.UsageConfig{Way: c.Usage.UsageWay(), Posting: c.Usage.PostingURL,
				Location: c.Usage.LocationURL, UploadHosts: c.Usage.UploadHosts, UltimateID: c.Usage.UltimateID}})
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
	gw := gateway.New(gateway.Config{Log: node, Cloud: cloud, Logger: log, AskTimeout: askTimeout(c), Settings: c.Rules.Settings(), Disk: node.disk, Diverged: node.diverged,
		Backlog: node.backlog, BacklogMost: c.Usage.Room(), UsageWay: c.Usage.UsageWay(),
		Secrets: func() []gateway.Secret { return secretsOf(dialer.Status()) }})

	// Who this node is to others, and the log and its state.
	peers, err := openPeering(c, log)
	if err != nil {
		return err
	}
	sc, err := storeConfig(c, peers, log, registry)
	if err != nil {
		return err
	}
	sc.Serve = gw.Serve
	var telling sync.Mutex
	sc.OnEvents = func(epoch uint64, events []license.Event) {
		telling.Lock()
		hub.Publish(epoch, events)
		telling.Unlock()
		gw.Observe(events)
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
	names.lookIn(node.View)
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
	ec.Cluster, ec.OtherNodes = ops, ops.urls
	if names != nil {
		ec.Pseudonym = names.name
	}
	ec.MaxNotices = mostFiles() * 7 / 8
	ec.Egress = func() []api.EgressStatus { return egressStatus(dialer.Status()) }
	var scheduled *backups
	if c.Backup != nil {
		if scheduled, err = newBackups(store, c.Node, *c.Backup, log, registry); err != nil {
			return err
		}
		ec.Backups = scheduled.status
	}
	ep, err := endpoint.New(ec)
	if err != nil {
		return err
	}
	certificate, err := servingCertificate(c, peers.keys)
	if err != nil {
		return err
	}
	carried, err := newUsageDoor(c, gw, peers.keys, log)
	if err != nil {
		return err
	}
	doors, err := openDoors(c, ep, store, certificate, dialer, carried, rereads, registry, log)
	if err != nil {
		return err
	}
	ops.leaving, ops.staying, ops.drain = ep.Leaving, ep.Staying, func(over time.Duration) { ep.Drain(over); doors.drain() }
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
	g.Go(func() error { return untilDone(gctx, ep.Run(gctx)) })
	if scheduled != nil {
		g.Go(func() error { return scheduled.run(gctx) })
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
	out := &http.Client{Transport: dialer.Transport(), Timeout: 15 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, s := range c.SignIn {
		ec.Issuers = append(ec.Issuers, endpoint.Issuer{URL: s.Issuer, Audience: s.Audience, Client: out})
	}
	return ec
}

// servingCertificate is what the API shows: the configured one, or the node's own,
// which is renewed while it is in use.
func servingCertificate(c configs.Config, keys *siteca.Keys) (func() *tls.Certificate, error) {
	if c.API.CertFile == "" {
		return keys.Certificate, nil
	}
	pair, err := tls.LoadX509KeyPair(c.API.CertFile, c.API.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("the API's certificate (api.cert_file, api.key_file): %w", err)
	}
	return func() *tls.Certificate { return &pair }, nil
}
