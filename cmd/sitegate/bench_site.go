package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/emulator"
	"sitegate/load"
	"sitegate/load/desk"
	"sitegate/siteca"
	"sitegate/upstream/cloudapi"
)

// benchSite is what a measurement is made on: a cluster of child processes with a
// cloud of its own, or one that runs already.
type benchSite struct {
	o     *benchFlags
	tls   *tls.Config
	addrs []string // host:port of the nodes, the leader first where it is known
	users []desk.User

	// Of a cluster of its own; empty with --url.
	dir    string
	remove func()
	cloud  *emulator.Emulator
	vendor *benchVendor // in front of the cloud, where the nodes relay
	server *emulator.Server
	nodes  []*childNode
	net    *benchNet // between the nodes, where it can be cut

	// From the start of the nodes until they had the whole mirror: the time, and what the
	// first of them computed for it, and the most memory that it had by then.
	fillTook, fillCPU time.Duration
	fillPeak          uint64
}

const (
	benchSecret  = "bench"
	benchSiteID  = "site-bench"
	benchToken   = 4 * time.Hour // the users' access tokens
	benchStartIn = 2 * time.Minute
)

// newBenchSite starts or finds the site. close ends it, also after an error.
func newBenchSite(ctx context.Context, o *benchFlags) (*benchSite, error) {
	s := &benchSite{o: o, remove: func() {}}
	if len(o.url) > 0 {
		return s, s.find()
	}
	ctx, cancel := context.WithTimeout(ctx, benchStartIn+time.Duration(o.users)*time.Millisecond)
	defer cancel()
	if err := s.write(); err != nil {
		return s, err
	}
	o.tell("starting %s for %s", count(o.nodes, "node"), count(o.users, "user"))
	began := time.Now()
	for _, n := range s.nodes {
		if err := n.start(context.WithoutCancel(ctx)); err != nil { // close ends it
			return s, err
		}
	}
	alive, done := s.alive(ctx)
	defer done()
	if err := s.filled(alive); err != nil {
		return s, s.explain(err)
	}
	s.fillTook, s.fillCPU, s.fillPeak = time.Since(began), load.ProcessCPU(s.nodes[0].cmd.Process.Pid), processPeak(s.nodes[0].cmd.Process.Pid)
	if err := s.signIn(ctx); err != nil {
		return s, s.explain(err)
	}
	return s, nil
}

// alive ends with ctx, and as soon as a node does.
func (s *benchSite) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	for _, n := range s.nodes {
		go func() {
			defer cancel()
			select {
			case <-n.done:
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// find takes a cluster that runs.
func (s *benchSite) find() error {
	for _, u := range s.o.url {
		parsed, _ := url.Parse(u) // checked with the flags
		addr := parsed.Host
		if parsed.Port() == "" {
			addr = net.JoinHostPort(addr, "443")
		}
		s.addrs = append(s.addrs, addr)
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if s.o.ca != "" {
		pem, err := os.ReadFile(s.o.ca)
		if err != nil {
			return usagef("%s: reading --ca: %w", s.o.name, err)
		}
		if s.tls.RootCAs = x509.NewCertPool(); !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return usagef("%s: --ca %s holds no certificate in PEM", s.o.name, s.o.ca)
		}
	}
	f, err := os.Open(s.o.tokens)
	if err != nil {
		return usagef("%s: reading --tokens: %w", s.o.name, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(s.users) < s.o.users {
		if token := strings.TrimSpace(lines.Text()); token != "" {
			s.users = append(s.users, desk.User{Token: token, Product: s.o.product})
		}
	}
	if err := lines.Err(); err != nil {
		return usagef("%s: reading --tokens: %w", s.o.name, err)
	}
	if len(s.users) == 0 {
		return usagef("%s: there is no token in %s", s.o.name, s.o.tokens)
	}
	return nil
}

// write makes the cloud, its users, and the nodes' folders, as cluster init does.
func (s *benchSite) write() error {
	var err error
	if s.dir, s.remove, err = tempDir(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the cloud: %w", err)
	}
	at := "https://" + ln.Addr().String()
	s.cloud = &emulator.Emulator{Issuer: at, Sites: map[string]string{benchSiteID: benchSecret}, TokenTTL: benchToken}
	s.fillCloud()
	var answering http.Handler = s.cloud
	if s.o.relay {
		s.vendor = &benchVendor{cloud: s.cloud}
		answering = s.vendor
	}
	if s.server, err = emulator.Serve(ln, answering, "127.0.0.1"); err != nil {
		return err
	}
	secret, ca := filepath.Join(s.dir, "cloud.secret"), filepath.Join(s.dir, "cloud-ca.pem")
	if err := errors.Join(os.WriteFile(secret, []byte(benchSecret), 0o600), os.WriteFile(ca, s.server.CAPEM, 0o600)); err != nil {
		return fmt.Errorf("writing what the nodes need: %w", err)
	}
	o := initOptions{ID: "bench", Tempo: cmp.Or(s.o.tempo, "lan"), CloudURL: at, SiteID: benchSiteID, CloudSecret: secret,
		Issuer: at, Audience: emulator.UserAudience, Direct: true, ExtraCA: ca}
	ports, err := freePorts(2 * s.o.nodes)
	if err != nil {
		return err
	}
	if s.o.links || s.o.roundTrip > 0 {
		s.net = newBenchNet(s.o.roundTrip)
	}
	var args []string
	for i := range s.o.nodes {
		peer := ports[2*i]
		if s.net != nil {
			if peer, err = s.net.door(benchPeer(i, ports[2*i])); err != nil {
				return fmt.Errorf("opening a link to a node: %w", err)
			}
		}
		args = append(args, fmt.Sprintf("node%d=%s,api=%s", i+1, peer, ports[2*i+1]))
	}
	plan, err := o.plan(args)
	if err != nil {
		return err
	}
	site := filepath.Join(s.dir, "site")
	if _, err := writeSite(site, plan); err != nil {
		return err
	}
	pem, err := os.ReadFile(filepath.Join(site, "ca", siteca.CAFile))
	if err != nil {
		return fmt.Errorf("reading the site CA: %w", err)
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	s.tls.RootCAs.AppendCertsFromPEM(pem)
	for i, np := range plan.Nodes {
		file := filepath.Join(site, np.Name, "sitegate.yaml")
		if s.o.relay {
			if err := addRelay(file, at); err != nil {
				return err
			}
		}
		c, _, err := configs.Load(file, func(string) string { return "" }, nil)
		if err != nil {
			return fmt.Errorf("reading the configuration of %s: %w", np.Name, err)
		}
		n := &childNode{name: np.Name, config: c, log: filepath.Join(s.dir, np.Name+".log")}
		if s.net != nil {
			listen := benchPeer(i, ports[2*i])
			n.ip, _, _ = net.SplitHostPort(listen)
			n.env = []string{"SITEGATE_CLUSTER_LISTEN=" + listen, "SITEGATE_CLUSTER_ADVERTISE=" + c.Cluster.Advertise}
		}
		s.nodes = append(s.nodes, n)
	}
	return nil
}

// benchPeer is where the i-th node listens for the others behind a link: at an address of
// its own, by which a link knows it.
func benchPeer(i int, free string) string {
	_, port, _ := net.SplitHostPort(free)
	return fmt.Sprintf("127.0.1.%d:%s", i+1, port)
}

// addRelay has a node relay to a cloud.
func addRelay(file, cloud string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading a node's configuration: %w", err)
	}
	text = fmt.Appendf(text, "\nrelay:\n  url: https://licenses.bench.example\n  discovery_url: %[1]s%[2]s\n  policy_url: %[1]s%[3]s\n  posting_url: %[1]s%[4]s\n"+
		"  location_url: %[1]s%[5]s\n  access_key_url: %[1]s/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi\n", cloud,
		cloudapi.PathDiscovery, cloudapi.DefaultPolicyPath, cloudapi.PathPosting, cloudapi.PathLocation)
	return os.WriteFile(file, text, 0o600)
}

// fillCloud gives the cloud's account as many users, each with a license of a year.
func (s *benchSite) fillCloud() {
	s.cloud.Seed(3)
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -30)
	for i := range s.o.users {
		id := benchUser(i)
		s.cloud.PutUser(cloudapi.User{ID: id, Email: id + "@bench.example", Name: "User " + id, Country: "FR"})
		s.cloud.PutLicense(cloudapi.License{ID: "l-" + id, ProductID: emulator.ProductCapped, Kind: cloudapi.LicenseVirtuoso,
			StartsAt: start, EndsAt: start.AddDate(1, 0, 0), AssignedTo: id, AssignedAt: &start})
	}
}

func benchUser(i int) string { return fmt.Sprintf("b-%07d", i) }

// filled waits until every node has the whole mirror, and puts the leader first.
func (s *benchSite) filled(ctx context.Context) error {
	leader, err := leaderOf(ctx, s.nodes)
	if err != nil {
		return err
	}
	for _, n := range s.nodes {
		if err := until(ctx, func() error {
			seen, err := n.status(ctx)
			if err == nil && (!seen.Mirror.Filled || seen.Counts.Assigned < s.o.users) {
				err = fmt.Errorf("%s has %d of %d licenses", n.name, seen.Counts.Assigned, s.o.users)
			}
			return err
		}); err != nil {
			return err
		}
	}
	s.lead(leader)
	return nil
}

// lead puts the leader's address first.
func (s *benchSite) lead(leader *childNode) {
	s.addrs = s.addrs[:0]
	for _, n := range s.nodes {
		s.addrs = append(s.addrs, n.config.API.Listen)
	}
	i := slices.Index(s.nodes, leader)
	s.addrs[0], s.addrs[i] = s.addrs[i], s.addrs[0]
}

// signIn makes every user's token, and has every node that is asked check it, as
// after the morning's sign-in.
func (s *benchSite) signIn(ctx context.Context) error {
	signed := cmp.Or(s.o.signed, s.o.users)
	for i := range signed {
		token, err := s.cloud.UserToken(s.cloud.Issuer, benchUser(i), benchToken)
		if err != nil {
			return err
		}
		s.users = append(s.users, desk.User{Token: token, Product: emulator.ProductCapped})
	}
	if s.vendor != nil {
		if err := s.vendor.sign(s.users); err != nil {
			return err
		}
	}
	return s.eachUser(ctx, min(signed, 50_000), s.asked(), func(c *desk.Conn, i int) error {
		var status int
		var err error
		for range 5 { // a node that all come to at once may let a handshake go
			if status, _, err = c.Do(http.MethodGet, api.PathSessions+"/"+desk.NewID(), s.users[i].Token, nil); err == nil {
				break
			}
		}
		if err == nil && status != http.StatusNotFound {
			err = fmt.Errorf("user %d: answered %d, want 404", i, status)
		}
		return err
	})
}

// asked are the addresses that the load goes to.
func (s *benchSite) asked() []string {
	if s.o.at == "all" {
		return s.addrs
	}
	return s.addrs[:1]
}

// eachUser calls f for the first n users at each of the addresses, over a few
// connections.
func (s *benchSite) eachUser(ctx context.Context, n int, addrs []string, f func(c *desk.Conn, i int) error) error {
	const conns = 64
	group, ctx := errgroup.WithContext(ctx)
	for _, addr := range addrs {
		for k := range min(conns, n) {
			group.Go(func() error {
				c := s.conn(addr)
				defer c.Close()
				for i := k; i < n; i += conns {
					if ctx.Err() != nil {
						return context.Cause(ctx)
					}
					if err := f(c, i); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	return group.Wait()
}

func (s *benchSite) conn(addr string) *desk.Conn { return &desk.Conn{Addr: addr, TLS: s.tls} }

// alone cuts the nodes off from the cloud, and waits until the leader has noticed:
// the site then decides by the account's terms. The sign-in stays.
func (s *benchSite) alone(ctx context.Context) error {
	if len(s.nodes) == 0 || s.o.confirm {
		return nil
	}
	s.cloud.SetFault(emulator.Fault{Prefix: cloudapi.Base, Cut: true})
	if u, ok := s.cloud.User(emulator.UserA); ok {
		s.cloud.PutUser(u) // the question for news that is held open ends, and the next one fails
	}
	ctx, cancel := context.WithTimeout(ctx, benchStartIn)
	defer cancel()
	leader, err := leaderOf(ctx, s.nodes)
	if err != nil {
		return err
	}
	return until(ctx, func() error {
		seen, err := leader.status(ctx)
		if err == nil && seen.Link.Up {
			err = errors.New("the link to the cloud is still up")
		}
		return err
	})
}

// usage is what a run costs: processor time, and entries of the log.
type usage struct {
	nodes, self time.Duration
	index       uint64
	known       bool
}

func (s *benchSite) usage(ctx context.Context) usage {
	u := usage{self: selfCPU(), known: len(s.nodes) > 0}
	for _, n := range s.nodes {
		u.nodes += load.ProcessCPU(n.cmd.Process.Pid)
		if seen, err := n.status(ctx); err == nil {
			u.index = max(u.index, seen.Cluster.Index)
		}
	}
	return u
}

// note adds what a run has cost since before.
func (s *benchSite) note(ctx context.Context, l *load.Line, before usage) {
	now := s.usage(ctx)
	if !now.known || l.Count == 0 {
		return
	}
	grown := now.index - before.index
	l.LogEntries = &grown
	l.CPU = float64((now.nodes - before.nodes).Microseconds()) / float64(l.Count)
	l.Driver = float64((now.self - before.self).Microseconds()) / float64(l.Count)
}

// explain adds the end of the nodes' logs to an error.
func (s *benchSite) explain(err error) error {
	for _, n := range s.nodes {
		err = fmt.Errorf("%w\n\nThe end of the log of %s:\n%s", err, n.name, n.tail())
	}
	return err
}

// explained is explain, where there is something to explain.
func (s *benchSite) explained(err error) error {
	if err == nil {
		return nil
	}
	return s.explain(err)
}

// close ends everything that was started and removes its folder.
func (s *benchSite) close() {
	var nodes sync.WaitGroup
	for _, n := range s.nodes {
		if n.done != nil {
			nodes.Go(n.stop)
		}
	}
	nodes.Wait()
	if s.net != nil {
		s.net.close()
	}
	if s.server != nil {
		s.server.Close()
	}
	s.remove()
}
