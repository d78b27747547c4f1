// Package gateway is what a node does: it asks the rules, and while its node
// leads it runs the site's errands towards the cloud.
//
// A request takes one path, downward: check it against this site's state, which
// refuses at once what another machine of the site holds; ask the cloud, which
// may know of a machine elsewhere; propose, to be decided anew when the entry is
// applied. Any node takes any request and passes it to the leader. Errands
// (mirror, holds, usage, what is due) run on the leader only and stop with its
// leadership.
//
// The package leaves to others: who is calling and how an answer is worded
// (endpoint, phrase), how commands are replicated and leases counted (raftstore),
// and how the cloud is reached (upstream). The interfaces it needs of them are
// Log and Cloud.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sitegate/license"
)

// Log is the replicated log and the state it leads to. Its methods may be called
// at once from many goroutines.
type Log interface {
	// Propose decides and carries out a command: it returns once a majority has
	// fsynced the entry and this node, the leader, has applied it. ErrNotLeader:
	// nothing was done. Any other error: it is not known whether it was.
	Propose(ctx context.Context, c license.Command) (license.Outcome, error)
	// Fresh returns once a majority has confirmed, by an exchange begun after the
	// call, that this node still leads, and everything committed before the call
	// has been applied: what View shows then is as fresh as a write. ErrNotLeader
	// otherwise.
	Fresh(ctx context.Context) error
	// CatchUp returns once this node, leading or not, has applied everything that was
	// committed at the call. ErrNoLeader: there is nobody to say how much that is.
	CatchUp(ctx context.Context) error
	// View reads the applied state. f must not keep or change anything of it.
	View(f func(s *license.State))
	// Now is the cluster's time: what a command proposed now would be stamped.
	Now() license.Time
	// Renew counts heartbeats, on whichever node; it answers after the leader has
	// acknowledged. The leases are in the order of the renewals.
	Renew(ctx context.Context, r []license.Renewal) ([]license.Lease, error)
	// Forward carries a request to the leader's gateway and its answer back.
	// ErrNoLeader: there is none, nothing was done.
	Forward(ctx context.Context, request []byte) ([]byte, error)
	// Journal returns up to limit events after a seq, in order, as far as they are
	// fsynced on this node.
	Journal(ctx context.Context, after uint64, limit int) ([]license.Event, error)
	// Peaks returns the peaks that were kept of the days from one on and before another, of
	// one product or, where it is empty, of all. Once there are most of them it ends with
	// that day, and reached is where to go on; else it is until.
	Peaks(ctx context.Context, from, until license.Time, product license.ProductID, most int) (peaks []license.Peak, reached license.Time, err error)
	// Leading reports whether this node leads and may serve, and in which term.
	Leading() (term uint64, ok bool)
	// Lead calls f while this node leads, with a context that ends with its
	// leadership. It returns when ctx ends and f has returned.
	Lead(ctx context.Context, f func(ctx context.Context)) error
	// Cluster tells of the members.
	Cluster() Cluster
	// AcceptTime makes the nodes' wall clocks the cluster's time, on the leader, and
	// returns what time it was before, and is now. ErrNotLeader: nothing was done.
	AcceptTime(ctx context.Context) (before, now license.Time, err error)
}

// Cluster is what a node knows of its cluster.
type Cluster struct {
	Node    string // this node's name
	Leader  string // empty: none is known
	Term    uint64
	Index   uint64 // applied here
	Members []Member
	// TimeHeld: this node's wall clock is off, and is not followed.
	TimeHeld bool
}

// Member is one node of the cluster.
type Member struct {
	Name    string
	Address string // of its peer port
	Voter   bool
	// Reached is when this node last heard of it; zero is never, or itself.
	Reached time.Time
}

// Cloud is the vendor's entitlement service as the site sees it. Errors say that
// it could not be asked; a *license.Denial is its answer.
type Cloud interface {
	// Changes reads the change feed after a cursor, waiting up to wait for news.
	Changes(ctx context.Context, cursor string, wait time.Duration) (license.Page, error)
	// Hold asks the cloud to keep a hold. Nil, nil: agreed.
	Hold(ctx context.Context, f license.Fence, h license.CloudHold) (*license.Denial, error)
	// Release gives one hold back.
	Release(ctx context.Context, f license.Fence, h license.CloudHold) error
	// RenewHolds renews everything the site holds, from its full list, and returns
	// what the cloud does not agree to.
	RenewHolds(ctx context.Context, f license.Fence, holds []license.CloudHold) ([]license.HoldConflict, error)
	// SendUsage delivers usage records; key makes a repeated delivery harmless. With a
	// nil error the cloud has dealt with some of them, from the first on.
	SendUsage(ctx context.Context, key string, usage []license.Usage) (license.Delivery, error)
	// Ping reports whether the cloud answers.
	Ping(ctx context.Context) error
}

// The errors of a request that was not decided.
var (
	// ErrNotLeader is for callers inside the cluster: ask the leader.
	ErrNotLeader = errors.New("this node does not lead the cluster")
	// ErrNoLeader: no majority answers; nothing was done.
	ErrNoLeader = errors.New("the cluster has no leader: most of its nodes cannot reach each other")
	// ErrUnknown: the leader was lost while it decided. The same request with the
	// same id finds out.
	ErrUnknown = errors.New("the node that was deciding this was lost; ask again with the same id")
	// ErrCloud: the vendor's cloud was to be asked now, and does not answer.
	ErrCloud = errors.New("the vendor's cloud does not answer")
	// ErrNotReady: the mirror has not been read once; nobody can be decided on.
	ErrNotReady = errors.New("this site has not read its licenses from the cloud yet")
	// ErrDiskLow: the leader's disk is nearly full, so nothing new is granted. What
	// runs goes on, and stops as ever.
	ErrDiskLow = errors.New("the disk of the node that leads is nearly full")
	// ErrDiverged: the nodes have different states, and no majority has the same, so
	// nothing new is granted. What runs goes on, and stops as ever.
	ErrDiverged = errors.New("the nodes of the site do not agree on its state")
)

// Config is what a Gateway is made of. All fields but Cloud are needed.
type Config struct {
	Log    Log
	Cloud  Cloud // nil: there is no cloud to ask, as in a sealed site
	Logger *slog.Logger
	// AskTimeout is how long a start waits for the cloud: default 5 s.
	AskTimeout time.Duration
	// Settings are what this node's config file proposes for the site.
	Settings license.Settings
	// Disk is how much room this node's disk has; nil: it is not known.
	Disk func() Disk
	// Diverged reports whether the nodes were found to have different states, with no
	// majority for any of them; nil: they were not.
	Diverged func() bool
	// Backlog is how many bytes of this node's journal are kept for usage that is not
	// with the cloud, and BacklogMost how many there may be before nothing new is granted;
	// zero: as many as there are. Nil: it is not known.
	Backlog     func() uint64
	BacklogMost uint64
	// UsageWay is how this node sends usage to the cloud while it leads.
	UsageWay license.UsageWay
	// AuditKeep is how long records of the audit trail are kept that were exported; zero:
	// for ever.
	AuditKeep time.Duration
	// History is for how long events are kept; zero: as long as there is room. Then only what
	// was counted of them is.
	History time.Duration
	// Secrets are those that this node is configured to show to proxies; nil: there are
	// none. The administrators are told of one that is not sent any more.
	Secrets func() []Secret
	// IssuerKeys are those of the issuers that this node asks, which it tells the site of; nil:
	// it does not know yet.
	IssuerKeys func() []IssuerKeys
	// Verify finds out for whom speaks what a caller has shown to another node: a token, or
	// an access token, a space, and the proof of a machine's key. ErrCaller: for nobody. Nil:
	// other nodes are believed.
	Verify func(ctx context.Context, shown string) (Who, error)
	// Administers finds out whose an administrator's credential is that was shown to another
	// node. ErrCaller: nobody's. It is needed where Verify is.
	Administers func(ctx context.Context, shown string) (Administrator, error)
}

// Secret is what has become of the secret that a node shows to a proxy. It is neither
// stopped nor taken where nothing is known of it yet.
type Secret struct {
	Proxy   string    // its name
	Stopped bool      // rejected too often; none was taken since
	Taken   bool      // or it does without
	Until   time.Time // of a stopped one: not sent before this
}

// Disk is the room in a node's data folder.
type Disk struct {
	Free, Total uint64 // bytes; both zero where it is not known
	Warn        bool   // it is filling up
	Low         bool   // nothing new is granted while this node leads
}
