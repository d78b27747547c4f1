package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
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
	nodes  []*childNode

	siteCA   []byte
	cloudCA  *x509.CertPool
	mu       sync.Mutex
	desktops []*desktop
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
		s.nodes = append(s.nodes, &childNode{name: np.Name, config: c, log: filepath.Join(s.dir, np.Name+".log")})
	}
	return nil
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
