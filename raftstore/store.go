package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/time/rate"

	"sitegate/license"
)

// Store is one node's replicated log and state. Its methods may be called at
// once from many goroutines.
type Store struct {
	cfg      Config
	log      *slog.Logger
	identity identity
	codec    *codec
	metrics  *metrics
	mono     func() time.Duration
	opened   time.Duration // by mono
	clock    *clock
	leases   *leaseTable

	lock    *os.File
	disk    *disk
	behind  *behind
	fsm     *fsm
	wal     *logStore
	stalls  *stalls
	space   *space
	logs    raft.LogStore // wal behind a cache
	mux     *mux          // a single node has one, too; nil: raft was not reached when this was opened
	raft    *raft.Raft
	up      chan struct{} // closed once raft is set
	batcher *batcher
	fresh   freshness
	renewer renewer
	roster  roster
	rekey   rekeying
	ahead   aheadOf

	elections *elections

	standing *standing
	losses   losses
	later    watermark    // the latest term in which another was heard to lead, where that is not this node's
	diverged atomic.Bool  // see Diverged
	doubts   atomic.Int32 // see enoughDoubts
	memory   *memory

	reign   atomic.Pointer[reign]  // not nil: this node leads and serves
	changes watermark              // moves whenever a leader comes or goes
	tenure  atomic.Pointer[tenure] // whom this node follows, or followed last

	peersMu sync.Mutex
	peers   map[string]*peer

	ctx    context.Context // ends when the store closes or halts
	cancel context.CancelCauseFunc
	groups struct {
		sync.Mutex
		closed bool
		wait   sync.WaitGroup
	}
	batches sync.WaitGroup
	stopAll context.CancelFunc // ends the batcher

	cutting sync.Mutex // held by who sets what raft leaves in the log

	haltOnce sync.Once
	halted   chan struct{}
	err      error // why, once halted is closed
	closing  sync.Once
	closed   error
}

// Open takes up the data folder and joins the other nodes. An empty folder
// begins a new cluster of cfg.Peers; one with a state goes on from there. It
// fails, with the reason, for a folder in use or of another node or cluster, and
// where the other nodes do not want this one: a second node of its name, a node
// of another cluster.
//
// OnEvents may be called before Open returns.
func Open(cfg Config) (*Store, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("the store's settings: %w", err)
	}
	s := &Store{cfg: cfg, log: cfg.Logger, mono: cfg.mono, up: make(chan struct{}), halted: make(chan struct{}), peers: map[string]*peer{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.renewer.s = s
	s.roster.seen, s.roster.ready = map[string]sighting{}, map[string]int{}
	s.roster.isOut = make(chan struct{})
	s.roster.newcomers, s.roster.atDoor = newNewcomers(), make(chan struct{}, maxNewcomers)
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.shut())
	}
	return s, nil
}

func (s *Store) open() (err error) {
	s.opened = s.mono()
	if s.codec, err = newCodec(); err != nil {
		return err
	}
	s.leases = newLeaseTable(s.mono)
	s.fresh.pace = rate.NewLimiter(checksPerSecond, checksAtOnce)
	s.elections = &elections{mono: s.mono}
	s.metrics = newMetrics(func() float64 { return float64(s.leases.size()) }, s.elections.without)
	s.elections.metrics = s.metrics
	s.clock = &clock{wall: s.cfg.Clock, mono: s.mono, alarm: func(text string, by time.Duration) {
		s.log.Warn("the time of this site", "state", text, "off_ms", by.Milliseconds())
	}}
	s.stalls = newStalls(s.cfg.Stalls, s.log, s.mono)
	s.stalls.slow, s.stalls.stop = s.slowDisk, s.deadDisk
	if s.lock, err = lockDir(s.cfg.Dir); err != nil {
		return err
	}
	s.space = &space{dir: s.cfg.Dir, want: s.cfg.Ballast, stat: s.cfg.statfs, log: s.log, metrics: s.metrics, at: DiskSpace{Ballast: ballastSize(s.cfg.Dir)}}
	if _, err := s.space.look(); err != nil { // before anything is mapped into memory
		return err
	}
	if s.cfg.Member {
		if err := notLost(s.cfg.Dir, s.cfg.Node, s.cfg.Cluster); err != nil {
			return err
		}
	}
	if s.identity, err = identify(s.cfg.Dir, s.cfg.Node, s.cfg.Cluster); err != nil {
		return err
	}
	if s.identity, err = s.identity.summed(filepath.Join(s.cfg.Dir, identityFile)); err != nil {
		return err
	}
	if s.memory, err = openMemory(s.cfg.Dir); err != nil {
		return err
	}
	if err := s.openState(); err != nil {
		return err
	}
	if err := s.followCA(); err != nil {
		return err
	}
	if err := s.openLog(); err != nil {
		return err
	}
	pos, _ := s.disk.position()
	if err := alignLog(s.wal, pos, s.log); err != nil {
		return err
	}
	if err := unbegin(s.wal, pos); err != nil {
		return err
	}
	if err := s.readAhead(); err != nil {
		return err
	}
	if s.logs, err = raft.NewLogCache(logCache, s.wal); err != nil {
		return fmt.Errorf("setting up the log's cache: %w", err)
	}
	transport, err := s.transport()
	if err != nil {
		return err
	}
	s.standing = newStanding(&witness{transport, s.memory.note}, s.wal.inTerm, s.overtaken)
	if err := s.startRaft(s.standing); err != nil {
		return errors.Join(err, s.standing.Close())
	}
	if err := s.metrics.register(s.cfg.Registerer); err != nil {
		return err
	}
	s.start()
	return nil
}

func (s *Store) openLog() (err error) {
	dir := filepath.Join(s.cfg.Dir, "log")
	if err := makeDir(dir); err != nil {
		return err
	}
	fs := s.cfg.logFS(dir)
	if planted(bugLostSync) {
		fs = unsynced{fs}
	}
	s.wal, err = openLog(fs, s.cfg.segment, s.log, s.metrics, s.stalls, s.halt)
	return err
}

// logCache is how many recent entries followers are served from memory. They may be
// 256 KiB each, and stay there.
const logCache = 128

// manyUsers are those of a state whose reading takes so much memory that it is given
// back at once.
const manyUsers = 10_000

func (s *Store) openState() error {
	d, l, err := openDisk(filepath.Join(s.cfg.Dir, "state"), s.cfg.databases, s.codec, s.log)
	if err != nil {
		return err
	}
	s.disk = d
	d.keep.events = s.cfg.JournalEvents
	d.room = s.space.room
	if l.state.Counts().Users > manyUsers {
		s.spawn(debug.FreeOSMemory) // what reading the state took
	}
	if l.pos.Cluster != "" && l.pos.Cluster != s.identity.Cluster {
		return fmt.Errorf("the state in %s is of cluster %s, this node is of %s; set the right folder, or the right cluster", s.cfg.Dir, l.pos.Cluster, s.identity.Cluster)
	}
	s.fsm = &fsm{codec: s.codec, log: s.log, metrics: s.metrics, disk: d, leases: s.leases, clock: s.clock,
		cluster: s.identity.Cluster, tell: s.observe, jump: s.jumped, few: s.cfg.fewEvents, halt: s.halt, logOnly: s.cfg.LogOnly, state: l.state, pos: l.pos}
	s.fsm.applied.raise(l.pos.Index)
	s.fsm.snaps = &snapshots{ctx: s.ctx, disk: d, codec: s.codec, log: s.log, cluster: s.identity.Cluster, halt: s.halt, builts: map[string]built{}}
	s.behind = newBehind(d, s.metrics, s.stalls, s.cfg.settleIdle, s.halt, s.fsm.applied.get)
	s.fsm.behind = s.behind
	s.clock.seen(l.state.Head().Now)
	return nil
}

// transport connects to the other nodes; to nobody, while this one has no door.
func (s *Store) transport() (nodeTransport, error) {
	s.mux = &mux{
		self:  hello{Protocol: protocol, Cluster: s.identity.Cluster, Node: s.cfg.Node, Instance: s.identity.Instance, Founders: s.identity.Founders},
		codec: s.codec, log: s.log, serve: s.serveRPC, newcomer: s.newcome, vet: s.vet, nameAt: s.nameAt, listed: s.listed,
		progress: s.progress, seen: s.memory.all, lapsed: s.lapsed,
		dials:     net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 4}},
		via:       s.cfg.dial,
		strangers: map[room]int{}, lines: rate.NewLimiter(refusalLines, refusalLinesAtOnce), toRaft: make(chan net.Conn),
		conns: map[net.Conn]*caller{}, known: map[string]*known{},
	}
	s.mux.ctx, s.mux.cancel = context.WithCancel(context.Background())
	var at []string
	for _, p := range s.acquaintances() {
		at = append(at, p.Address)
	}
	s.mux.expect(at)
	if s.cfg.Listener != nil {
		// Who starts at the same time is answered at once; requests wait for raft.
		if err := s.mux.open(s.cfg.Listener, s.cfg.Advertise, s.cfg.shown, s.newcomerTLS(s.cfg.Keys)); err != nil {
			return nil, err
		}
		if err := s.introduce(); err != nil {
			return nil, err
		}
	}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: raftLayer{s.mux}, MaxPool: poolSize, Timeout: 5 * time.Second, Logger: raftLog(s.log), ServerAddressProvider: addresses{s},
		// No pipelining: when a pipeline ends while raft 1.7.3 is sending on it, sender
		// and reader wait for each other for good, and with them this follower's
		// replication and raft's shutdown. Entries are batches; one at a time is enough.
		MaxRPCsInFlight: 1,
	}), nil
}

// introduce says hello to every peer that answers, before this node takes part
// in anything.
func (s *Store) introduce() error {
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	var refused, strange []error
	welcome := false
	for _, p := range s.acquaintances() {
		group.Go(func() {
			c, err := s.mux.dial(ctx, streamRPC, p.Name, p.Address)
			mu.Lock()
			defer mu.Unlock()
			var r *refusal
			switch {
			case err == nil:
				welcome = true
				c.Close()
			case errors.As(err, &r) && r.sure:
				refused = append(refused, err)
			case errors.As(err, &r):
				strange = append(strange, err)
			default:
				s.log.Info("a peer does not answer yet", "peer", p.Name, "address", p.Address, "err", err)
			}
		})
	}
	group.Wait()
	if len(refused) > 0 {
		return errors.Join(refused...)
	}
	if len(strange) > 0 && !welcome {
		return errors.Join(strange...)
	}
	for _, err := range strange {
		s.log.Error("a peer does not accept this node", "err", err)
	}
	return nil
}

func (s *Store) startRaft(transport raft.Transport) error {
	beat := s.cfg.beat
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(s.cfg.Node)
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = beat, beat, beat/2
	conf.CommitTimeout = s.cfg.commit
	conf.SnapshotInterval, conf.SnapshotThreshold, conf.TrailingLogs = s.cfg.SnapshotEvery, s.cfg.SnapshotEntries, s.cfg.TrailingEntries
	conf.NoSnapshotRestoreOnStart = true
	conf.NoLegacyTelemetry = true
	conf.Logger = raftLog(s.log)
	known, err := raft.HasExistingState(s.logs, s.wal, s.fsm.snaps)
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if !known && !s.identity.Joined && !s.several() {
		if err := raft.BootstrapCluster(conf, s.logs, s.wal, s.fsm.snaps, transport, s.firstMembers()); err != nil {
			return fmt.Errorf("beginning a new cluster: %w", err)
		}
	}
	s.wal.applied = s.fsm.applied.get
	s.wal.running.Store(true)
	if s.raft, err = raft.NewRaft(conf, s.fsm, s.logs, s.wal, s.fsm.snaps, transport); err != nil {
		return fmt.Errorf("starting raft: %w", err)
	}
	close(s.up)
	return nil
}

// several: a new cluster would be of more than this node.
func (s *Store) several() bool { return len(s.cfg.Peers) > 1 }

// firstMembers is the same list on every node of a new cluster.
func (s *Store) firstMembers() raft.Configuration {
	var c raft.Configuration
	if len(s.cfg.Peers) == 0 {
		at := cmp.Or(s.cfg.Advertise, s.cfg.Node) // no address: it has no door yet
		c.Servers = []raft.Server{{ID: raft.ServerID(s.cfg.Node), Address: raft.ServerAddress(at)}}
	}
	for _, p := range s.cfg.Peers {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(p.Name), Address: raft.ServerAddress(p.Address)})
	}
	return c
}

func (s *Store) start() {
	s.batcher = newBatcher(s.codec, s.metrics, s.raft, s.clock.stamp)
	ctx, stop := context.WithCancel(context.Background())
	s.stopAll = stop
	s.batches.Go(func() { s.batcher.run(ctx) })
	if !s.identity.Joined && s.several() && s.raft.LastIndex() == 0 {
		s.spawn(s.founding)
	}
	s.spawn(s.watch)
	s.spawn(s.flushing)
	s.spawn(s.tidying)
	s.spawn(func() { s.wal.prepare(s.ctx.Done()) })
	s.spawn(func() { s.stalls.watch(s.ctx.Done()) })
	s.spawn(s.watchSpace)
	s.spawn(s.look)
	s.spawn(s.keepRoster)
	s.spawn(s.comparing)
	s.spawn(s.remembering)
}

// flushing writes the state behind the log, now and then, and keeps what is left
// of the log to a bounded size.
func (s *Store) flushing() {
	tick := time.NewTicker(s.cfg.FlushEvery)
	defer tick.Stop()
	measure := time.NewTicker(10 * time.Second)
	defer measure.Stop()
	for {
		select {
		case <-tick.C:
			s.fsm.seal()
		case <-measure.C:
			s.trim()
		case <-s.ctx.Done():
			return
		}
	}
}

// trim tells raft how many entries to leave in the log; not while the log is cut, which may
// take long and sets that again.
func (s *Store) trim() {
	if !s.cutting.TryLock() {
		return
	}
	defer s.cutting.Unlock()
	conf := s.raft.ReloadableConfig()
	conf.TrailingLogs = s.wal.trailing(s.cfg.TrailingEntries)
	if err := s.raft.ReloadConfig(conf); err != nil {
		s.log.Warn("the length of the log could not be set", "err", err)
	}
}

// spawn runs f unless the store is closing; Close waits for it.
func (s *Store) spawn(f func()) bool {
	s.groups.Lock()
	defer s.groups.Unlock()
	if s.groups.closed {
		return false
	}
	s.groups.wait.Go(f)
	return true
}

// halt stops the node for good where going on would be guessing: Done is closed
// and Err tells why. The store must still be closed.
func (s *Store) halt(err error) {
	s.haltOnce.Do(func() {
		s.err = err
		s.log.Error("this node has stopped", "err", err)
		s.cancel(err) // from here on it does not lead
		close(s.halted)
		s.spawn(func() {
			<-s.up
			if s.raft != nil {
				_ = s.raft.Shutdown().Error() // never one; it closes the transport
			}
		})
	})
}

// refused hears that a peer will not have this node. It does not end by the word of a member
// that has no vote: that one knows less of the site than this node.
func (s *Store) refused(r *refusal) {
	sure := r.sure && !(s.running() && slices.ContainsFunc(s.configured(), func(m member) bool { return m.name == r.peer && !m.voter }))
	if sure && s.roster.leaving.Load() {
		s.out()
		return
	}
	if sure {
		s.halt(r)
		return
	}
	s.log.Error("a peer does not accept this node", "err", r)
}

// Done is closed when the node has stopped by itself; Err tells why.
func (s *Store) Done() <-chan struct{} { return s.halted }

// Err is why the node has stopped by itself, or nil.
func (s *Store) Err() error {
	select {
	case <-s.halted:
		return s.err
	default:
		return nil
	}
}

// View reads the applied state. f must not keep or change anything of it, nor
// call the Store, but for Now.
func (s *Store) View(f func(st *license.State)) {
	s.fsm.mu.RLock()
	defer s.fsm.mu.RUnlock()
	f(s.fsm.state)
}

// TryView is View where the state is free to be read; false: a change is under way or
// waits, and f was not called. It never waits, so that who reads the state already, or
// changes it, may call it.
func (s *Store) TryView(f func(st *license.State)) bool {
	if !s.fsm.mu.TryRLock() {
		return false
	}
	defer s.fsm.mu.RUnlock()
	f(s.fsm.state)
	return true
}

// Now is the cluster's time: what a command proposed now would be stamped.
func (s *Store) Now() license.Time { return s.clock.now() }

// Flush returns once everything applied here before the call is in the state on
// disk, its events in the journal.
func (s *Store) Flush(ctx context.Context) error { return s.fsm.flush(ctx) }

// Close hands over the leadership, lets what is under way finish, and stops:
// no new proposals, raft, the last flush, the databases. ctx bounds handing over
// and finishing, not the rest; but a node that has stopped because its disk hangs
// is not waited for. A second call waits for the first.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() {
		if s.raft.State() == raft.Leader && s.voters() > 1 && s.Err() == nil {
			if err := s.StepDown(ctx); err != nil {
				s.log.Info("the leadership could not be handed over", "err", err)
			}
		}
		s.stopAll()
		finished := make(chan struct{})
		go func() { s.batches.Wait(); close(finished) }()
		select {
		case <-finished:
		case <-ctx.Done():
		case <-time.After(2 * time.Second): // without a majority it never would
		}
		shut := make(chan error, 1)
		go func() { shut <- s.shut() }()
		for s.closed = errStuck; s.closed == errStuck; {
			select {
			case s.closed = <-shut:
			case <-time.After(2 * time.Second):
				if s.stalls.stuck() {
					return
				}
			}
		}
	})
	return s.closed
}

// errStuck leaves to the end of the process what cannot be closed.
var errStuck = errors.New("a write to disk never ended, so that files were left open")

// shut ends what open has begun, as far as it has come.
func (s *Store) shut() error {
	s.cancel(ErrClosed)
	s.groups.Lock()
	s.groups.closed = true
	s.groups.Unlock()
	var err error
	if s.raft != nil {
		down := s.raft.Shutdown()
		if s.mux != nil {
			s.mux.close() // raft waits for what it has on the wire
		}
		err = down.Error()
	} else if s.mux != nil {
		s.mux.close()
	}
	if s.raft == nil {
		close(s.up)
	}
	s.groups.wait.Wait()
	if s.batcher != nil {
		s.batcher.abandon()
		s.batches.Wait()
	}
	switch full := s.space != nil && s.space.full.Load(); {
	case full && s.behind != nil:
		s.behind.abandon() // closing the database would write it
	case s.behind != nil:
		s.fsm.seal()
		s.behind.close()
		fallthrough
	case s.disk != nil && !full:
		err = errors.Join(err, s.disk.close())
	}
	if s.wal != nil {
		err = errors.Join(err, s.wal.Close())
	}
	if s.memory != nil {
		err = errors.Join(err, s.memory.save())
	}
	if s.mux == nil && s.cfg.Listener != nil {
		err = errors.Join(err, s.cfg.Listener.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
