package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"sitegate/license"
)

// Gateway answers requests on every node and runs the site's errands on the
// leader. New makes one; Run works until its context ends.
type Gateway struct {
	log        Log
	cloud      Cloud
	logger     *slog.Logger
	askTimeout time.Duration
	settings   *settings
	disk       func() Disk // may be nil
	diverged   func() bool // may be nil

	backlog     func() uint64 // may be nil
	backlogMost uint64
	secrets     func() []Secret // may be nil
	issuerKeys  func() []IssuerKeys
	verify      func(context.Context, string) (Who, error)
	auditKeep   time.Duration
	history     time.Duration
	peakMemory  int
	administers func(context.Context, string) (Administrator, error)

	begun sync.Mutex
	term  uint64 // the last leadership that was begun; begun guards it

	users     keyLock
	order     atomic.Uint64    // of requests to the cloud
	refusals  *refusals        // of this leadership
	observed  *refusals        // that were only observed, of this node
	withheld  *refusals        // of what relayed traffic is not given, of this node
	learning  *learning        // of relayed traffic
	revoked   *revocations     // by the vendor, as this node has heard
	spared    *coalesced       // of those, the site's
	seen      chan Observation // at this node, to be told to the leader
	observing *observing       // what they come to, on the leader
	link      *link
	holds     *holds
	asks      *breaker // of holds
	resend    again    // usage
	aside     aside    // usage that was refused for good
	oldest    oldest   // of the usage that waits
	offers    offers
	way       license.UsageWay
	reread    again // the feed

	notVouched rarely // forwarded requests that are not their callers'
}

// atOnce is how many proposals an errand has under way.
const atOnce = 64

// New makes a Gateway; it does nothing by itself before Run.
func New(cfg Config) *Gateway {
	if cfg.AskTimeout == 0 {
		cfg.AskTimeout = defaultAskTimeout
	}
	g := &Gateway{log: cfg.Log, cloud: cfg.Cloud, logger: cfg.Logger, askTimeout: cfg.AskTimeout, settings: newSettings(cfg.Settings), disk: cfg.Disk, diverged: cfg.Diverged, backlog: cfg.Backlog, backlogMost: cfg.BacklogMost, secrets: cfg.Secrets, issuerKeys: cfg.IssuerKeys, verify: cfg.Verify, administers: cfg.Administers, auditKeep: cfg.AuditKeep, history: cfg.History, peakMemory: peakMemory, way: cfg.UsageWay,
		refusals: newRefusals(cfg.Logger), observed: newRefusals(cfg.Logger), withheld: newRefusals(cfg.Logger), learning: newLearning(), revoked: newRevocations(), spared: newCoalesced(), seen: make(chan Observation, observationsWait), observing: newObserving(), resend: newAgain(), aside: newAside(), oldest: newOldest(), offers: offers{wake: make(chan struct{}, 1)}, reread: newAgain(),
		notVouched: rarely{window: rate.Sometimes{Interval: notVouchedEvery}}}
	g.link, g.asks = newLink(g), &breaker{}
	g.holds = newHolds(g)
	return g
}

// Run runs the leader's errands whenever this node leads, until ctx ends.
func (g *Gateway) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.observed.run(ctx, g.tellObserved) })
	wg.Go(func() { g.withheld.run(ctx, g.tellWithheld) })
	wg.Go(func() { g.tellSeen(ctx) })
	wg.Go(func() { g.learn(ctx) })
	wg.Go(func() { g.revoke(ctx) })
	if g.issuerKeys != nil {
		wg.Go(func() { g.watchKeys(ctx) })
	}
	if g.secrets != nil {
		wg.Go(func() { g.watchSecrets(ctx) })
	}
	return g.log.Lead(ctx, g.lead)
}

// lead runs the errands of one leadership and returns when all have ended.
func (g *Gateway) lead(ctx context.Context) {
	errands := []func(context.Context){g.configure, g.settle, g.remind, g.refuseJournal, g.keepHistory}
	if g.auditKeep > 0 {
		errands = append(errands, g.trimAudit)
	}
	if g.backlog != nil {
		errands = append(errands, g.watchBacklog)
	}
	g.begin()
	if g.cloud != nil {
		errands = append(errands, g.link.run, g.mirror, g.holds.run, g.outbox, g.resendAsides, g.reclaim, g.tellOffers)
	}
	var wg sync.WaitGroup
	for _, errand := range errands {
		wg.Go(func() { errand(ctx) })
	}
	wg.Wait()
}

// begin reports whether this node leads, and makes ready for a new leadership:
// its first request may come before its errands run.
func (g *Gateway) begin() bool {
	term, leading := g.log.Leading()
	if !leading {
		return false
	}
	g.begun.Lock()
	defer g.begun.Unlock()
	if term > g.term {
		g.term = term
		g.link.begin()
		g.holds.lead()
		g.asks.begin()
		g.offers.begin(g.way)
		g.observing.begin()
	}
	return true
}

func (g *Gateway) refuseJournal(ctx context.Context) {
	g.refusals.run(ctx, func(ctx context.Context, c license.Command) error {
		_, err := g.log.Propose(ctx, c)
		return err
	})
}

// settle proposes what time alone makes happen, once a second.
func (g *Gateway) settle(ctx context.Context) {
	for pause(ctx, time.Second) {
		now := g.log.Now()
		var due []license.Command
		g.log.View(func(s *license.State) { due = license.Due(s, now) })
		_ = g.proposeAll(ctx, due) // what was not done is due again
	}
}

// proposeAll proposes commands that do not depend on each other, many at a time,
// so that they share entries of the log, and none after the first error.
func (g *Gateway) proposeAll(ctx context.Context, commands []license.Command) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, c := range commands {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			_, err := g.log.Propose(ctx, c)
			return err
		})
	}
	return group.Wait()
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
