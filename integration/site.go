package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

// The names of a Site's cloud, which exist at its proxy only, and those by which the site is
// known to both.
const (
	CloudHost = "entitlement.cloud.example"
	LoginHost = "sign-in.cloud.example"
	Issuer    = "https://" + LoginHost

	SiteID    = "site-7"
	ProxyUser = `CORP\svc-sitegate`
)

// Site is a whole site on loopback: the cloud's stand-in and the proxy that is
// the only way to it, in this process, and nodes as processes of their own.
type Site struct {
	Dir   string
	Cloud *emulator.Emulator
	Proxy *proxy.Proxy
	Nodes []*Node
	CA    *x509.CertPool // of the nodes' certificates
	CAPEM []byte
	Env   []string // of nodes that are started from now on

	direct   bool   // nodes have no Link
	faulty   bool   // nodes obey Fault
	faults   Faults // what every node begins with
	program  string // that every node begins with; empty: this revision's
	settings string // that config files go on with
}

// Node is one node of a Site. Its peers reach it through Link, if it has one,
// where they are known by the address each of them has of its own.
type Node struct {
	Name, IP, URL, Door, Config string
	Link                        *Link
	*Process                    // the latest

	faults  *Faults  // what it was told last; nil: nothing yet
	program string   // that it runs when it is started next
	env     []string // of its own
}

// NewSite starts a site of one, three or five nodes with that many users in its cloud,
// and returns once every node is ready. env are settings beyond its config files.
func NewSite(t testing.TB, nodes, users int, env ...string) *Site {
	t.Helper()
	s := &Site{Env: env}
	s.begin(t, nodes, users)
	return s
}

// NewSiteWith is NewSite with nodes whose config files go on with these settings.
func NewSiteWith(t testing.TB, nodes, users int, settings string, env ...string) *Site {
	t.Helper()
	s := &Site{Env: env, settings: settings}
	s.begin(t, nodes, users)
	return s
}

// NewSiteWithoutLinks is NewSite with nodes that reach each other directly: the
// peer port of a node that was killed refuses connections, where a link takes
// them and hangs up.
func NewSiteWithoutLinks(t testing.TB, nodes, users int, env ...string) *Site {
	t.Helper()
	s := &Site{Env: env, direct: true}
	s.begin(t, nodes, users)
	return s
}

// NewFaultySite is NewSite with nodes that obey Fault.
func NewFaultySite(t testing.TB, nodes, users int, faults Faults, env ...string) *Site {
	t.Helper()
	s := &Site{Env: env, faulty: true, faults: faults}
	s.begin(t, nodes, users)
	return s
}

// NewSiteOf is NewSiteWithoutLinks with nodes that run another program at first.
func NewSiteOf(t testing.TB, program string, nodes, users int, env ...string) *Site {
	t.Helper()
	s := &Site{Env: env, direct: true, program: program}
	s.begin(t, nodes, users)
	return s
}

// NewCloud starts the cloud and the proxy of a site that has no nodes yet.
func NewCloud(t testing.TB, users int) *Site {
	t.Helper()
	s := &Site{Dir: t.TempDir(), direct: true}
	s.openCloud(t, users)
	return s
}

func (s *Site) begin(t testing.TB, nodes, users int) {
	t.Helper()
	s.Dir = t.TempDir()
	s.openCloud(t, users)
	s.write(t, nodes)
	for i := range s.Nodes {
		s.Start(t, i)
	}
	for _, n := range s.Nodes {
		s.AwaitReady(t, n)
	}
}

func (s *Site) openCloud(t testing.TB, users int) {
	t.Helper()
	s.Cloud = &emulator.Emulator{Issuer: Issuer, Sites: map[string]string{SiteID: "the site's secret"}}
	s.Cloud.Seed(users)
	gate := emulator.NewOnlyFrom(listen(t))
	server, err := emulator.Serve(gate, s.Cloud, CloudHost, LoginHost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s.Proxy = proxy.Start(listen(t), proxy.Config{
		Users:  map[string]string{ProxyUser: "p@ss: wörd%"},
		Hosts:  map[string]string{CloudHost + ":443": server.Addr(), LoginHost + ":443": server.Addr()},
		Opened: gate.Register, Closed: gate.Unregister,
	})
	t.Cleanup(func() { s.Proxy.Close() })
	for name, content := range map[string]string{"cloud.secret": "the site's secret", "proxy.password": "p@ss: wörd%", "cloud-ca.pem": string(server.CAPEM)} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// FreePorts finds addresses that nothing listens on.
func FreePorts(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		addrs = append(addrs, freePortOn(t, "127.0.0.1"))
	}
	return addrs
}

// given are the ports that this process has given out.
var given sync.Map

// freePortOn finds an address of this machine that nothing listens on. Its port is
// not one of those that systems take for outgoing connections (from 32768 on, or
// 49152): one of these could have it before the node that it is for.
func freePortOn(t testing.TB, ip string) string {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		if ln, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port))); err == nil {
			ln.Close()
			return net.JoinHostPort(ip, strconv.Itoa(port))
		}
	}
	t.Fatalf("no free port on %s", ip)
	return ""
}

// Partition keeps everything that one node sends to its peers from another, until
// Heal. The other way is open.
func (s *Site) Partition(from, to int) {
	s.Nodes[to].Link.Swallow(s.Nodes[from].IP, false)
	s.Nodes[from].Link.Swallow(s.Nodes[to].IP, true)
}

// Heal ends every partition.
func (s *Site) Heal() {
	for _, n := range s.Nodes {
		n.Link.Mend()
	}
}

// write makes the nodes' folders with "sitegate cluster init". Each node's peer
// address is the near end of a link to where it really listens, if it has one.
func (s *Site) write(t testing.TB, nodes int) {
	t.Helper()
	ports := FreePorts(t, 2*nodes)
	args := []string{"cluster", "init", filepath.Join(s.Dir, "site")}
	for i := range nodes {
		n := &Node{Name: fmt.Sprintf("node%d", i+1), IP: fmt.Sprintf("127.0.1.%d", i+1), URL: "https://" + ports[2*i], Door: "http://" + ports[2*i+1]}
		peer := freePortOn(t, n.IP)
		if !s.direct {
			n.Link = NewLink(t, peer)
			peer = n.Link.Addr()
		}
		n.Config = filepath.Join(s.Dir, "site", n.Name, "sitegate.yaml")
		args = append(args, fmt.Sprintf("%s=%s,api=%s,connect=%s", n.Name, peer, ports[2*i], ports[2*i+1]))
		s.Nodes = append(s.Nodes, n)
	}
	args = append(args, "--cloud-url", "https://"+CloudHost, "--site-id", SiteID, "--cloud-secret", filepath.Join(s.Dir, "cloud.secret"),
		"--issuer", Issuer, "--audience", emulator.UserAudience,
		"--proxy", s.Proxy.Addr(), "--proxy-user", ProxyUser, "--proxy-password", filepath.Join(s.Dir, "proxy.password"),
		"--extra-ca", filepath.Join(s.Dir, "cloud-ca.pem"))
	if out, err := exec.Command(s.programOf(t, new(Node)), args...).CombinedOutput(); err != nil {
		t.Fatalf("cluster init: %v\n%s", err, out)
	}
	for _, n := range s.Nodes {
		if err := appendTo(n.Config, s.settings); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.CAPEM, err = os.ReadFile(filepath.Join(s.Dir, "site", "ca", "site-ca.pem")); err != nil {
		t.Fatal(err)
	}
	s.CA = x509.NewCertPool()
	s.CA.AppendCertsFromPEM(s.CAPEM)
}

func appendTo(file, text string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(before, text...), 0o600)
}

// programOf is the sitegate of a node's machine.
func (s *Site) programOf(t testing.TB, n *Node) string {
	t.Helper()
	switch {
	case n.program != "":
		return n.program
	case s.program != "":
		return s.program
	case s.faulty:
		return FaultyProgram(t)
	}
	return Program(t, "sitegate")
}

// Start starts a node, or starts it again.
func (s *Site) Start(t testing.TB, i int) {
	t.Helper()
	s.start(t, s.Nodes[i])
}

func (s *Site) start(t testing.TB, n *Node) {
	t.Helper()
	env := append(slices.Clone(s.Env), n.env...)
	if n.Link != nil {
		env = append([]string{"SITEGATE_CLUSTER_LISTEN=" + n.Link.to, "SITEGATE_CLUSTER_ADVERTISE=" + n.Link.Addr()}, env...)
	}
	if s.faulty {
		env = append(env, "SITEGATE_FAULTS="+s.faultsFile(n))
		s.fault(t, n, func(*Faults) {})
	}
	n.Process = StartProcess(t, n.Name, env, s.programOf(t, n), "serve", "--config", n.Config)
}

// errEnded says that a node has ended by itself.
var errEnded = errors.New("it has ended")

// errDiffer says that nodes that have applied the same do not have the same state.
var errDiffer = errors.New("the nodes' states differ")

// whole says which node has ended by itself: it wraps errEnded, and errDiffer where
// the node has ended since its state is another.
func (s *Site) whole() error {
	for _, n := range s.Nodes {
		switch {
		case !n.Ended():
		case strings.Contains(n.Output(), "the state of this node is not that of the other nodes"):
			return fmt.Errorf("%s: %w: %w", n.Name, errEnded, errDiffer)
		default:
			return fmt.Errorf("%s: %w; it wrote:\n%s", n.Name, errEnded, n.Output())
		}
	}
	return nil
}

// AwaitReady waits until a node answers requests.
func (s *Site) AwaitReady(t testing.TB, n *Node) {
	t.Helper()
	Eventually(t, 30*time.Second, n.Name+" is ready", func() error {
		if n.Ended() {
			return fmt.Errorf("%w; it wrote:\n%s", errEnded, n.Output())
		}
		return s.ready(n)
	})
}

func (s *Site) ready(n *Node) error {
	resp, err := s.HTTP().Get(n.URL + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, b)
	}
	return nil
}

// Tool runs sitegate with a node's configuration and returns its exit status and what
// it wrote.
func (s *Site) Tool(t testing.TB, n *Node, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return s.toolAlone(t, n, append(args, "--config", n.Config)...)
}

// toolAlone is Tool without the configuration.
func (s *Site) toolAlone(t testing.TB, n *Node, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	status, stdout, stderr, err := s.run(s.programOf(t, n), args...)
	if err != nil {
		t.Fatal(err)
	}
	return status, stdout, stderr
}

// run is toolAlone of a program, for any goroutine: the error says that it could not be run.
func (s *Site) run(program string, args ...string) (status int, stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), s.Env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return 0, "", "", fmt.Errorf("sitegate %q: %w", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String(), nil
}

// HTTP is a plain client that trusts the nodes.
func (s *Site) HTTP() *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.CA, MinVersion: tls.VersionTLS12}}}
}

// Status asks a node over its operator's socket.
func (s *Site) Status(n *Node) (api.Status, error) {
	var st api.Status
	return st, s.Ask(n, api.PathStatus, &st)
}

// Ask reads something from a node over its operator's socket.
func (s *Site) Ask(n *Node, path string, into any) error {
	resp, err := s.operator(n).Get("http://operator" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// operator is a client of a node's operator's socket.
func (s *Site) operator(n *Node) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(filepath.Dir(n.Config), "data", "operator.sock"))
		}}}
}

// Leader is the index of the node that leads, by the word of one that answers.
func (s *Site) Leader(t testing.TB) int {
	t.Helper()
	found := -1
	Eventually(t, 15*time.Second, "a leader", func() error {
		for _, n := range s.Nodes {
			if n.Ended() {
				continue
			}
			st, err := s.Status(n)
			if err != nil {
				continue
			}
			for i, l := range s.Nodes {
				if l.Name == st.Cluster.Leader && !l.Ended() {
					found = i
					return nil
				}
			}
		}
		return fmt.Errorf("no node knows one")
	})
	return found
}

// Token is an access token of a user, as the cloud's sign-in makes them.
func (s *Site) Token(t testing.TB, user string) string {
	t.Helper()
	token, err := s.Cloud.UserToken(Issuer, user, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Client is a client for a machine of a user, that begins at one node; it ends
// with the test.
func (s *Site) Client(t testing.TB, user, machine string, first int) *client.Client {
	t.Helper()
	token := s.Token(t, user)
	var nodes []string
	for i := range s.Nodes {
		nodes = append(nodes, s.Nodes[(first+i)%len(s.Nodes)].URL)
	}
	c, err := client.New(client.Config{Nodes: nodes, CA: s.CAPEM, Client: "25.00.01.10",
		Machine: api.Machine{ID: "machine-" + machine, Name: machine},
		Token:   func(context.Context) (string, error) { return token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
