// Package doctor goes along a node's way out step by step and says which hop is to blame, what for, and whom to ask for what.
//
// It looks at the configuration and its files, this server's clock and addresses, the names of the proxies, the PAC file, each proxy (TCP, TLS, what it
// asks for, each scheme that could answer), and through them at each destination of the vendor's: whether it lets through, whose certificate comes back, and
// whether the vendor answers and not a sign-in page or something that keeps its answers, takes this site's secret, and is quick enough, whether the mail server of alerts speaks TLS and answers, and, where the node runs, what desktops come to. What a step needs and did not work makes it SKIP, so that the first FAIL is the one to look at.
// At the end stands what a firewall team has to open.
//
// It promises to be harmless. It writes nothing but the bundle that it is asked for. A proxy is shown its secret once at most in a run: the first destination
// that goes through it (Config.To) is asked with it, the others without, and what a proxy then does not answer is SKIP. A secret that the
// running node has stopped sending is not sent. The site's own secret is shown once, to the sign-in that the configuration names and nobody else. No mail is sent, and nobody signs in at the mail server. Every step and the whole have an end.
//
// It leaves to others how a hop is tried (upstream/egress), where the configuration and the node's status are from, and the exit status (cmd/sitegate).
package doctor

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/upstream/egress"
)

// Config is what is examined.
type Config struct {
	Version  string // of this program
	File     string // where the configuration is from
	Settings configs.Config
	Origins  configs.Origins
	Way      egress.Config // the way out that Settings come to; its logger and state folder are not used
	Status   *api.Status   // what the running node says of itself; nil: it does not answer
	Silent   error         // why there is no Status
	To       string        // host:port of the destination that the secrets are used for; empty: the first
	Timeout  time.Duration // of all, without Hold; zero is a minute

	// Hold is for how long a connection to the cloud is left without a word, to see whether it is still there then; zero: that is not tried.
	Hold time.Duration

	// Reach connects to this site's own addresses, as a desktop would; nil: what desktops are shown is not looked at.
	Reach  func(ctx context.Context, addr string) (net.Conn, error)
	SiteCA []byte // certificates that desktops trust beside the system's, in PEM

	Lookup    func(ctx context.Context, host string) ([]string, error) // nil: as this system does
	Addresses func() ([]net.Addr, error)                               // of this server; nil: as this system does
	Routes    func() (four, six []string, known bool)                  // default routes of this server; nil: as this system does
	Synced    func() (synced, known bool)                              // whether a time service keeps the clock; nil: as this system does
}

// State is how a check has ended.
type State string

// States. Only Fail is a failure.
const (
	Pass State = "PASS"
	Warn State = "WARN" // it works, and may not go on to
	Fail State = "FAIL"
	Skip State = "SKIP" // not tried, or not needed
)

// Check is one step and what it found.
type Check struct {
	Step   string `json:"step"`             // config, settings, clock, node, network, dns, route, pac, tcp, tls, asks, auth, connect, certificate, answer, token, latency, hold, listener, websocket, allow
	Of     string `json:"of,omitempty"`     // the proxy, the destination, or both
	State  State  `json:"state"`            //
	Code   string `json:"code,omitempty"`   // of a failure; see egress.Code
	Found  string `json:"found"`            // a sentence
	Action string `json:"action,omitempty"` // what to do, and who
}

// Report is what the doctor says.
type Report struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version"`
	Config   string    `json:"config"` // the file
	Node     string    `json:"node"`
	Running  bool      `json:"running"` // the node answers
	Checks   []Check   `json:"checks"`
	Firewall []Opening `json:"firewall"`
}

// Failed reports whether something has.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.State == Fail })
}

// Warned reports whether something is to be seen to.
func (r Report) Warned() bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return c.State == Warn })
}

const (
	wholeTime   = time.Minute
	hopTime     = 8 * time.Second  // one connection, and one handshake
	proxyTime   = 10 * time.Second // a proxy's answer; three of them bound one check
	lookupTime  = 5 * time.Second
	answerTime  = 8 * time.Second
	maxSkew     = time.Minute
	atOnce      = 8
	maxAttempts = 48 // pairs of a destination and a way to it
	maxAnswer   = 64 << 10
)

// examination is one run.
type examination struct {
	Config
	dialer       *egress.Dialer
	destinations []destination
	clocks       []clockReading
	asked        atomic.Bool // the sign-in has been shown the site's secret
	report       Report
}

// Run examines c. It ends within Timeout, or when ctx does; what was not reached by then is FAIL or SKIP.
func Run(ctx context.Context, c Config) Report {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, wholeTime)+c.Hold)
	defer cancel()
	if c.Lookup == nil {
		c.Lookup = egress.Lookup
	}
	if c.Addresses == nil {
		c.Addresses = net.InterfaceAddrs
	}
	if c.Routes == nil {
		c.Routes = defaultRoutes
	}
	if c.Synced == nil {
		c.Synced = keptClock
	}
	c.Way.StateDir, c.Way.Logger, c.Way.Hosts = "", nil, Destinations(c.Settings)
	c.Way.DialTimeout, c.Way.TLSTimeout, c.Way.ConnectTimeout = hopTime, hopTime, proxyTime
	x := &examination{Config: c, destinations: destinationsOf(c.Settings)}
	x.report = Report{At: time.Now().UTC(), Version: c.Version, Config: c.File, Node: c.Settings.Node, Running: c.Status != nil}
	x.configuration()
	x.settings()
	later := len(x.report.Checks) // the clock's place: what others' clocks say is known at the end
	x.node()
	x.network()
	names := len(x.report.Checks) // the names' place: before the PAC file, which is at one of them
	hops := x.hops(ctx)
	led := slices.Clone(x.report.Checks[names:])
	x.report.Checks = x.report.Checks[:names]
	x.names(ctx, hops)
	x.report.Checks = append(x.report.Checks, led...)
	x.wayOut(ctx, hops)
	x.listener(ctx)
	x.allowed()
	x.report.Checks = slices.Insert(x.report.Checks, later, x.clock())
	x.report.Firewall = x.firewall(ctx, hops)
	return x.report
}

func (x *examination) add(c Check) { x.report.Checks = append(x.report.Checks, c) }
