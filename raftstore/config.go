package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/license"
	"sitegate/raftstore/wal"
	"sitegate/siteca"
)

// Config is what a Store is made of. Dir, Node and Logger are needed; a node
// with Peers needs Cluster, Listener and both TLS configurations too.
type Config struct {
	// Dir is the node's data folder. It is made if need be and locked while open.
	Dir string
	// Node is this node's name in the cluster: it stays the same for ever.
	Node string
	// Cluster is the site's identity, a UUID. A single node may leave it empty: one
	// is drawn and kept in the data folder.
	Cluster string
	// Peers are all members of the first cluster, this node among them. Empty: this
	// node is alone, or has joined by a token (Join). They decide who is a member only
	// while the data folder is empty; later they are more addresses to look for the
	// others at.
	Peers []Peer

	// Listener takes the other nodes' connections. The Store closes it. Without one
	// the node stays alone, until Listen.
	Listener net.Listener
	// Advertise is the address under which the others reach Listener; empty is this
	// node's address in Peers.
	Advertise string
	// Keys are this node's certificate and, if it may sign, the CA's key. With them
	// newcomers are let in by token and certificates renewed.
	Keys *siteca.Keys
	// ServerTLS and ClientTLS carry this node's certificate and the cluster's CA
	// (ClientCAs and RootCAs); nil: those of Keys. A node is who its certificate's URI
	// says: sitegate://<cluster>/node/<name>. Host names are not looked at.
	ServerTLS, ClientTLS *tls.Config
	// Member: this machine has been part of a cluster, by what else is in its data
	// folder. An empty store is then one that was lost, and is refused: it has forgotten
	// what it voted for, and must not begin the cluster anew.
	Member bool
	// Hosts are the names and addresses by which clients reach this node, which a
	// renewed certificate is for.
	Hosts []string
	// Version and URL, of this program and of this node's API, are told to the others.
	Version, URL string
	// RemoveDeadAfter takes a member out that has not been heard of for so long, while
	// a majority is well; zero: never. See roster.clean.
	RemoveDeadAfter time.Duration

	// PrivacyKey is the key by which this node makes pseudonyms: while it leads it gives it
	// to who joins and has none. Empty: it has none.
	PrivacyKey []byte

	// HoldLevel keeps the cluster at the level that it is at, though all members can do a
	// higher one: the way back to an earlier version stays open.
	HoldLevel bool

	// Tempo is how soon a silent leader is replaced: default VM. One whose process
	// has ended is replaced at once.
	Tempo Tempo

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: metrics are kept but not shown

	// OnEvents hears of every event in commit order, on every node. It must not
	// block. After a restart the events since the last flush are told again.
	OnEvents func(epoch uint64, events []license.Event)
	// OnJump hears, in place of OnEvents, that a snapshot has skipped so many events
	// that they are not told: the state stands at seq now. They are in the Journal.
	OnJump func(epoch, seq uint64)
	// Serve answers requests that another node, by the name in its certificate, forwards to
	// this one while it leads. From is empty for one that this node has forwarded itself.
	Serve func(ctx context.Context, from string, request []byte) ([]byte, error)
	// Drain makes this node ready to be stopped, its clients included, as another node was
	// asked to: Store.Drain is a part of it. Nil: it is refused.
	Drain func(ctx context.Context, over time.Duration) error
	// Clock is the wall clock: default time.Now.
	Clock func() time.Time

	// FlushEvery is how often changes are written behind the log: default 100 ms.
	FlushEvery time.Duration
	// LeaseTick is how often the leader looks for leases that have run out: default
	// 250 ms.
	LeaseTick time.Duration
	// LeaderWait is how long Forward and Renew wait for a leader to be elected:
	// default 3 s.
	LeaderWait time.Duration
	// SnapshotEvery, SnapshotEntries and TrailingEntries say when the log is cut:
	// every SnapshotEvery (default 30 s) if it has grown by SnapshotEntries (default
	// 4,096), leaving TrailingEntries (default 16,384; an entry is a batch) for
	// followers to catch up from.
	SnapshotEvery   time.Duration
	SnapshotEntries uint64
	TrailingEntries uint64

	// JournalEvents is how many events the journal keeps at the least: default
	// 10,000,000. Those whose usage the cloud does not have yet are kept in any case.
	JournalEvents uint64

	// LogOnly is for measuring the log: commands are replicated and fsynced, and
	// applying them does nothing. A folder that was used so is good for nothing else.
	LogOnly bool

	// Stalls are how long a write to disk may take.
	Stalls StallLimits
	// Ballast is how many bytes in Dir are given up when the disk is low: 0 is none.
	Ballast int64
	// SpaceEvery is how often the room on the disk is looked at: default 3 s.
	SpaceEvery time.Duration

	// What a store takes from the machine it runs on, and its pace; tests and the
	// simulation put their own in its place.
	shown              tlsOf                   // what is shown to other nodes: of Keys, or ServerTLS and ClientTLS
	segment            int64                   // of the log; 0 is its own default
	logFS              func(dir string) wal.FS // the log's folder
	mono               func() time.Duration    // a clock that nobody sets
	dial               func(ctx context.Context, network, address string) (net.Conn, error)
	databases          databases
	beat, commit, look time.Duration // 0: Tempo's, 5 ms, 1 s
	compare            time.Duration // of digests; 0: 5 s
	settleIdle         time.Duration // 0: settleIdle
	statfs             func(dir string) (free, total uint64, err error)

	// fewEvents is how many events that a snapshot has skipped are still told: a
	// page of the journal, or fewer in tests.
	fewEvents uint64
	// finish is how long a hand-over waits for what is under way: finishLimit, or longer
	// in tests.
	finish time.Duration
	// askHeirs is how long the other voters have to say how far they are: askSuccessors, or
	// longer in tests.
	askHeirs time.Duration
}

// Peer is a member of the first cluster.
type Peer struct {
	Name    string
	Address string // host:port of its peer listener
}

// Tempo is how soon a silent leader is replaced. Half of the nodes' pauses and
// delays must stay well below it.
type Tempo string

// The tempos.
const (
	LAN Tempo = "lan" // 200 ms
	VM  Tempo = "vm"  // 500 ms: virtual machines that are paused for moments, slow disks
	WAN Tempo = "wan" // 1 s: nodes in several places
)

func (t Tempo) heartbeat() time.Duration {
	switch t {
	case LAN:
		return 200 * time.Millisecond
	case WAN:
		return time.Second
	default:
		return 500 * time.Millisecond
	}
}

var nodeName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62})$`)

// complete fills in the defaults and reports everything that is wrong.
func (c *Config) complete() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		bad("no data folder is set")
	}
	if !nodeName.MatchString(c.Node) {
		bad("node name %q: use 1 to 63 letters, digits, dots, dashes or underscores", c.Node)
	}
	if c.Cluster != "" && !nodeName.MatchString(c.Cluster) {
		bad("cluster id %q: use a UUID", c.Cluster)
	}
	if c.Tempo == "" {
		c.Tempo = VM
	}
	if c.Tempo != LAN && c.Tempo != VM && c.Tempo != WAN {
		bad("tempo %q: use lan, vm or wan", c.Tempo)
	}
	if keys := c.Keys; keys != nil && c.ServerTLS == nil {
		c.shown = tlsOfKeys(keys)
		c.ServerTLS, c.ClientTLS = c.shown()
	} else if server, client := c.ServerTLS, c.ClientTLS; server != nil && client != nil {
		c.shown = func() (*tls.Config, *tls.Config) { return server, client }
	}
	if c.Keys != nil && c.Keys.Generation() > 0 {
		c.Member = true
	}
	if len(c.Peers) > 0 {
		problems = append(problems, c.completePeers())
	} else if c.Listener != nil && (c.ServerTLS == nil || c.ClientTLS == nil || c.Cluster == "") {
		bad("nodes with a listener need the cluster's id and TLS certificates for both directions")
	}
	if c.Logger == nil {
		bad("no logger is set")
	}
	if c.Clock == nil {
		c.Clock = wallClock
	}
	if c.mono == nil {
		c.mono = monotonic()
	}
	def(&c.FlushEvery, 100*time.Millisecond)
	def(&c.LeaseTick, 250*time.Millisecond)
	def(&c.LeaderWait, 3*time.Second)
	def(&c.SnapshotEvery, 30*time.Second)
	def(&c.SnapshotEntries, 4096)
	def(&c.TrailingEntries, 16384)
	def(&c.Stalls.StepDown, 2*time.Second)
	def(&c.Stalls.Halt, 10*time.Second)
	def(&c.JournalEvents, 10_000_000)
	def(&c.finish, finishLimit)
	def(&c.askHeirs, askSuccessors)
	def(&c.fewEvents, MaxJournal)
	def(&c.SpaceEvery, 3*time.Second)
	if c.statfs == nil {
		c.statfs = diskSpace
	}
	if c.logFS == nil {
		c.logFS = wal.OS
	}
	def(&c.beat, c.Tempo.heartbeat())
	def(&c.commit, 5*time.Millisecond)
	def(&c.look, time.Second)
	def(&c.compare, 5*time.Second)
	def(&c.settleIdle, settleIdle)
	if c.databases == nil {
		c.databases = badgers{}
	}
	return errors.Join(problems...)
}

func (c *Config) completePeers() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for _, p := range c.Peers {
		if !nodeName.MatchString(p.Name) {
			bad("peer name %q: use 1 to 63 letters, digits, dots, dashes or underscores", p.Name)
		}
		if _, _, err := net.SplitHostPort(p.Address); err != nil {
			bad("peer %s: address %q is not host:port: %w", p.Name, p.Address, err)
		}
		if seen[p.Name] || seen[p.Address] {
			bad("peer %s at %s is listed twice", p.Name, p.Address)
		}
		seen[p.Name], seen[p.Address] = true, true
		if p.Name == c.Node && c.Advertise == "" {
			c.Advertise = p.Address
		}
	}
	if !seen[c.Node] {
		bad("node %s is not among its own peers", c.Node)
	}
	if c.Cluster == "" {
		bad("nodes with peers need the cluster's id")
	}
	if c.Listener == nil || c.ServerTLS == nil || c.ClientTLS == nil {
		bad("nodes with peers need a listener and TLS certificates for both directions")
	}
	return errors.Join(problems...)
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// makeDir makes a folder that only this user reads.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder %s: %w", dir, err)
	}
	return nil
}
