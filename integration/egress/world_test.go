package egress

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/integration"
	"sitegate/upstream/egress"
)

// The names of the world; each is known only where it can be reached.
const (
	cloudHost = "entitlement.cloud.example"
	loginHost = "sign-in.cloud.example"
	proxyHost = "proxy.corp.example"

	nodeIP  = "10.231.7.1" // from which only the proxies are seen
	proxyIP = "10.231.7.2"
	innerIP = "10.231.8.1" // the proxies, as the cloud sees them
	cloudIP = "10.231.8.2"
)

// mustEnv has what cannot be tested fail, and not be skipped.
const mustEnv = "SITEGATE_TEST_EGRESS_MUST"

// world is three network namespaces in a row: the gateway, the proxies, the cloud.
type world struct {
	dir                string
	node, proxy, cloud string
	ca                 string // file of the cloud's CA
}

func newWorld(t *testing.T, programs ...string) *world {
	t.Helper()
	skip := t.Skipf
	if os.Getenv(mustEnv) != "" {
		skip = t.Fatalf
	}
	if os.Geteuid() != 0 {
		skip("network namespaces need root")
	}
	for _, p := range append([]string{"ip"}, programs...) {
		if _, err := exec.LookPath(p); err != nil {
			skip("%s is not installed; see .ci/run for the packages", p)
		}
	}
	// Programs that run as users of their own have to get in.
	dir, err := os.MkdirTemp("", "sitegate-egress-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("sg%06x", rand.IntN(1<<24))
	w := &world{dir: dir, node: id + "n", proxy: id + "p", cloud: id + "c"}
	w.namespace(t, w.node, proxyIP+" "+proxyHost)
	w.namespace(t, w.proxy, proxyIP+" "+proxyHost, cloudIP+" "+cloudHost+" "+loginHost)
	w.namespace(t, w.cloud)
	w.wire(t, w.node, nodeIP, w.proxy, proxyIP)
	w.wire(t, w.proxy, innerIP, w.cloud, cloudIP)
	w.serveCloud(t)
	return w
}

// namespace makes a network namespace with a hosts file of its own.
func (w *world) namespace(t *testing.T, name string, hosts ...string) {
	t.Helper()
	run(t, "ip", "netns", "add", name)
	etc := filepath.Join("/etc/netns", name)
	t.Cleanup(func() {
		run(t, "ip", "netns", "delete", name)
		os.RemoveAll(etc)
	})
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	w.write(t, filepath.Join(etc, "hosts"), 0o644, "127.0.0.1 localhost\n"+strings.Join(hosts, "\n")+"\n")
	w.write(t, filepath.Join(etc, "resolv.conf"), 0o644, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
	w.in(t, name, "ip", "link", "set", "lo", "up")
}

func (w *world) wire(t *testing.T, a, addrA, b, addrB string) {
	t.Helper()
	near, far := "v"+a[2:]+"a", "v"+a[2:]+"b"
	run(t, "ip", "link", "add", near, "netns", a, "type", "veth", "peer", "name", far, "netns", b)
	w.in(t, a, "ip", "address", "add", addrA+"/24", "dev", near)
	w.in(t, b, "ip", "address", "add", addrB+"/24", "dev", far)
	w.in(t, a, "ip", "link", "set", near, "up")
	w.in(t, b, "ip", "link", "set", far, "up")
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// in runs a program in a namespace.
func (w *world) in(t *testing.T, namespace string, args ...string) string {
	t.Helper()
	return run(t, "ip", append([]string{"netns", "exec", namespace}, args...)...)
}

// start starts a program in a namespace, and waits until it listens.
func (w *world) start(t *testing.T, namespace, listens string, env []string, args ...string) *integration.Process {
	t.Helper()
	p := integration.StartProcess(t, filepath.Base(args[0]), env, "ip", append([]string{"netns", "exec", namespace}, args...)...)
	host, port, err := net.SplitHostPort(listens)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	integration.Eventually(t, 30*time.Second, args[0]+" listens on "+listens, func() error {
		if p.Ended() {
			t.Fatalf("%s has ended; it wrote:\n%s", args[0], p.Output())
		}
		out, err := exec.Command("ip", "netns", "exec", namespace, "ss", "-Hltn", "src", host, "sport", "=", ":"+port).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if len(bytes.TrimSpace(out)) == 0 {
			return fmt.Errorf("it does not; it wrote:\n%s", p.Output())
		}
		return nil
	})
	return p
}

// write writes a file; a name without a folder is in the world's.
func (w *world) write(t *testing.T, name string, mode os.FileMode, content string) (path string) {
	t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(w.dir, name)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func (w *world) serveCloud(t *testing.T) {
	t.Helper()
	secret := w.write(t, "cloud.secret", 0o600, "the site's secret")
	w.ca = filepath.Join(w.dir, "cloud-ca.pem")
	w.start(t, w.cloud, cloudIP+":443", nil, integration.Program(t, "cloudemu"), "--listen", cloudIP+":443", "--hosts", cloudHost+","+loginHost,
		"--issuer", "https://"+loginHost, "--ca-out", w.ca, "--site", "site-7:"+secret, "--users", "20")
}

// ask asks the cloud for its sign-in's metadata from the gateway's namespace, some times.
func (w *world) ask(t *testing.T, times int, cfg egress.Config) []result {
	t.Helper()
	cfg.ExtraCA = []egress.ExtraCA{{File: w.ca, Hosts: []string{cloudHost, loginHost}}}
	todo, err := json.Marshal(task{Config: cfg, URL: "https://" + loginHost + "/.well-known/openid-configuration", Times: times})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", w.node, self)
	cmd.Env = append(os.Environ(), childEnv+"="+string(todo))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("asking: %v\n%s", err, errs.String())
	}
	var results []result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil {
		t.Fatalf("reading %s: %v", out.String(), err)
	}
	return results
}

// reaches asks three times, and wants answers.
func (w *world) reaches(t *testing.T, cfg egress.Config) {
	t.Helper()
	for i, r := range w.ask(t, 3, cfg) {
		if r.Status != 200 {
			t.Errorf("time %d: %+v, want an answer", i+1, r)
		}
	}
}

// fails asks so many times, and wants these errors.
func (w *world) fails(t *testing.T, cfg egress.Config, codes ...egress.Code) {
	t.Helper()
	for i, r := range w.ask(t, len(codes), cfg) {
		if r.Status != 0 || r.Code != string(codes[i]) {
			t.Errorf("time %d: %+v, want %s", i+1, r, codes[i])
		}
	}
}
