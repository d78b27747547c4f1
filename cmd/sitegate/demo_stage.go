package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/signin"
	"sitegate/configs"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/siteca"
)

// What the demonstration is made of. The cloud's names exist at the proxy only.
const (
	demoUsers     = 1200
	demoAutonomy  = 72 * time.Hour
	demoAPIHost   = "entitlement.cloud.example"
	demoLoginHost = "sign-in.cloud.example"
	demoIssuer    = "https://" + demoLoginHost
	demoSite      = "site-demo"
	demoProxyUser = `CORP\svc-sitegate`
)

// stage is the real parts, on loopback: a cloud that is reached through a proxy
// only, the proxy, three nodes in processes of their own, and desktops.
type stage struct {
	dir    string
	cloud  *emulator.Emulator
	only   *emulator.OnlyFrom
	server *emulator.Server
	proxy  *proxy.Proxy
	nodes  []*demoNode

	siteCA   []byte
	cloudCA  *x509.CertPool
	mu       sync.Mutex
	desktops []*desktop
}

// demoNode is one node of the cluster: a child process of this same program.
type demoNode struct {
	name   string
	config configs.Config
	log    string // file
	cmd    *exec.Cmd
	done   chan struct{}
}

// newStage builds everything; close takes it down again, also after an error.
func newStage(ctx context.Context, dir string) (*stage, error) {
	s := &stage{dir: dir, cloudCA: x509.NewCertPool()}
	secret, password := demoSecret(), demoSecret()
	s.cloud = &emulator.Emulator{Issuer: demoIssuer, Sites: map[string]string{demoSite: secret}}
	s.cloud.Seed(demoUsers)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return s, fmt.Errorf("listening for the cloud: %w", err)
	}
	s.only = emulator.NewOnlyFrom(ln)
	if s.server, err = emulator.Serve(s.only, s.cloud, demoAPIHost, demoLoginHost); err != nil {
		return s, err
	}
	s.cloudCA.AppendCertsFromPEM(s.server.CAPEM)
	if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return s, fmt.Errorf("listening for the proxy: %w", err)
	}
	s.proxy = proxy.Start(ln, proxy.Config{
		Users:  map[string]string{demoProxyUser: password},
		Hosts:  map[string]string{demoAPIHost + ":443": s.server.Addr(), demoLoginHost + ":443": s.server.Addr()},
		Opened: s.only.Register, Closed: s.only.Unregister,
	})
	for name, content := range map[string]string{"cloud.secret": secret, "proxy.password": password, "cloud-ca.pem": string(s.server.CAPEM)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return s, fmt.Errorf("writing what the nodes need: %w", err)
		}
	}
	if err := s.writeNodes(); err != nil {
		return s, err
	}
	for _, n := range s.nodes {
		if err := n.start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

func demoSecret() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// writeNodes makes the site as "sitegate cluster init" does.
func (s *stage) writeNodes() error {
	o := initOptions{
		ID: "demo", Tempo: "lan",
		CloudURL: "https://" + demoAPIHost, SiteID: demoSite, CloudSecret: filepath.Join(s.dir, "cloud.secret"),
		Issuer: demoIssuer, Audience: emulator.UserAudience,
		Proxy: s.proxy.Addr(), ProxyUser: demoProxyUser, ProxyPasswordFile: filepath.Join(s.dir, "proxy.password"),
		ExtraCA: filepath.Join(s.dir, "cloud-ca.pem"),
	}
	ports, err := freePorts(9)
	if err != nil {
		return err
	}
	var args []string
	for i := range 3 {
		args = append(args, fmt.Sprintf("node%d=%s,api=%s,connect=%s", i+1, ports[3*i], ports[3*i+1], ports[3*i+2]))
	}
	plan, err := o.plan(args)
	if err != nil {
		return err
	}
	site := filepath.Join(s.dir, "site")
	if _, err := writeSite(site, plan); err != nil {
		return err
	}
	if s.siteCA, err = os.ReadFile(filepath.Join(site, "ca", siteca.CAFile)); err != nil {
		return fmt.Errorf("reading the site CA: %w", err)
	}
	for _, np := range plan.Nodes {
		file := filepath.Join(site, np.Name, "sitegate.yaml")
		c, _, err := configs.Load(file, func(string) string { return "" }, nil)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		s.nodes = append(s.nodes, &demoNode{name: np.Name, config: c, log: filepath.Join(s.dir, np.Name+".log")})
	}
	return nil
}

// freePorts finds addresses that nothing listens on.
func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer ln.Close() // all at once at the end, so that none comes twice
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

func (n *demoNode) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	out, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n.name, err)
	}
	defer out.Close() // the child has its own
	n.cmd = exec.CommandContext(ctx, self, "serve", "--config", filepath.Join(filepath.Dir(n.config.DataDir), "sitegate.yaml"))
	n.cmd.Stdout, n.cmd.Stderr = out, out
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(os.Interrupt) }
	n.cmd.WaitDelay = 10 * time.Second
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", n.name, err)
	}
	n.done = make(chan struct{})
	go func() {
		n.cmd.Wait() // how it ended is in its log, and seen by the steps
		close(n.done)
	}()
	return nil
}

// kill ends the node as a power cut would.
func (n *demoNode) kill() {
	n.cmd.Process.Kill()
	<-n.done
}

// stop asks the node to end, and ends it if it does not.
func (n *demoNode) stop() {
	n.cmd.Process.Signal(os.Interrupt)
	select {
	case <-n.done:
	case <-time.After(5 * time.Second):
		n.kill()
	}
}

func (n *demoNode) status(ctx context.Context) (api.Status, error) {
	var s api.Status
	select {
	case <-n.done:
		return s, fmt.Errorf("%s has ended; its log is %s", n.name, n.log)
	default:
	}
	return s, operator(ctx, n.config, http.MethodGet, api.PathStatus, nil, &s)
}

// leader finds the node that leads, by the word of any that answers.
func (s *stage) leader(ctx context.Context) (*demoNode, error) {
	var found *demoNode
	err := until(ctx, func() error {
		for _, n := range s.nodes {
			seen, err := n.status(ctx)
			if err != nil {
				continue
			}
			for _, l := range s.nodes {
				if l.name == seen.Cluster.Leader {
					found = l
					return nil
				}
			}
		}
		return errors.New("no node knows a leader")
	})
	return found, err
}

// close ends everything that was started.
func (s *stage) close() {
	for _, d := range s.desktops {
		d.Close()
	}
	var nodes sync.WaitGroup
	for _, n := range s.nodes {
		if n.done != nil {
			nodes.Go(n.stop)
		}
	}
	nodes.Wait()
	if s.proxy != nil {
		s.proxy.Close()
	}
	if s.server != nil {
		s.server.Close()
	}
}

// desktop is one machine with one user signed in. It hears every notice.
type desktop struct {
	*client.Client
	email string
	token func(context.Context) (string, error)

	mu     sync.Mutex
	heard  []heard
	more   chan struct{} // closed and replaced with each notice
	missed atomic.Int32
}

type heard struct {
	api.Notice
	at time.Time
}

// desktop signs a user in, through the CONNECT door of a node and the proxy
// behind it, and starts a client for a machine.
func (s *stage) desktop(ctx context.Context, user, machine, version string) (*desktop, error) {
	u, ok := s.cloud.User(user)
	if !ok {
		return nil, fmt.Errorf("the cloud has no user %s", user)
	}
	i := len(s.desktops) % len(s.nodes)
	door := &url.URL{Scheme: "http", Host: s.nodes[i].config.Connect.Listen}
	tokens, err := signin.SignIn(ctx, signin.Config{Issuer: demoIssuer, Proxy: door, Roots: s.cloudCA}, u.Email, emulator.Password(user))
	if err != nil {
		return nil, fmt.Errorf("signing %s in through %s: %w", u.Email, door, err)
	}
	d := &desktop{email: u.Email, more: make(chan struct{}), token: func(context.Context) (string, error) { return tokens.Access, nil }}
	var nodes []string
	for j := range s.nodes {
		nodes = append(nodes, s.nodes[(i+j)%len(s.nodes)].config.API.URL)
	}
	d.Client, err = client.New(client.Config{
		Nodes: nodes, CA: s.siteCA, Token: d.token, Client: version,
		Machine: api.Machine{ID: "machine-" + machine, Name: machine},
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.desktops = append(s.desktops, d)
	s.mu.Unlock()
	w := d.Watch(context.Background())
	go d.listen(w)
	select {
	case <-w.Ready():
		return d, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s could not open its websocket: %w", machine, ctx.Err())
	}
}

// listen keeps what is heard, until the client is closed.
func (d *desktop) listen(w *client.Watcher) {
	for n := range w.Notices() {
		if n.Kind == client.KindGap {
			d.missed.Add(1)
		}
		d.mu.Lock()
		d.heard = append(d.heard, heard{n, time.Now()})
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
	}
}

// gaps is how often notices were missed.
func (d *desktop) gaps() int { return int(d.missed.Load()) }

// expect waits, when what it returns is called, for a notice that was heard after
// expect was.
func (d *desktop) expect(match func(api.Notice) bool) func(context.Context) (time.Time, error) {
	d.mu.Lock()
	from := len(d.heard)
	d.mu.Unlock()
	return func(ctx context.Context) (time.Time, error) {
		for {
			d.mu.Lock()
			news, more := d.heard[from:], d.more
			from = len(d.heard)
			d.mu.Unlock()
			for _, n := range news {
				if match(n.Notice) {
					return n.at, nil
				}
			}
			select {
			case <-more:
			case <-ctx.Done():
				return time.Time{}, fmt.Errorf("no such notice: %w", ctx.Err())
			}
		}
	}
}

// tail returns the end of a node's log, for when a step failed.
func (n *demoNode) tail() string {
	f, err := os.Open(n.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const last = 4 << 10
	if info, err := f.Stat(); err == nil && info.Size() > last {
		f.Seek(-last, io.SeekEnd)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
