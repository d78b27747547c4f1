package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/siteca"
)

// initLine is a command line that makes three nodes on loopback, all settings
// given.
func initLine(t *testing.T, dir string, more ...string) []string {
	t.Helper()
	files := t.TempDir()
	ca, err := siteca.New("cloud", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cloud": "s3cret\n", "proxy": "pa\"ss: #word\n", "ca.pem": string(ca.CertPEM())} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return append([]string{
		"cluster", "init", dir, "--id", "blue",
		"gw1=127.0.0.1:7101,api=127.0.0.1:8101,connect=127.0.0.1:3101",
		"gw2=127.0.0.1:7102,api=127.0.0.1:8102,connect=127.0.0.1:3102",
		"gw3=127.0.0.1:7103,api=127.0.0.1:8103",
		"--cloud-url", "https://localhost:9443", "--site-id", "site: #1", "--cloud-secret", filepath.Join(files, "cloud"),
		"--issuer", "https://sign-in.example", "--audience", "site-gateway", "--extra-ca", filepath.Join(files, "ca.pem"),
		"--proxy", "127.0.0.1:3128", "--proxy-user", `DOM\svc`, "--proxy-password", filepath.Join(files, "proxy"),
	}, more...)
}

func TestInitWritesNodes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "site")
	status, stdout, stderr := sitegate(t, nil, initLine(t, dir)...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	ca, err := siteca.Load(filepath.Join(dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{ca.Fingerprint(), filepath.Join(dir, "gw2"), "sitegate serve --config " + filepath.Join(dir, "gw1", "sitegate.yaml")} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	for _, node := range []string{"gw1", "gw2", "gw3"} {
		file := filepath.Join(dir, node, "sitegate.yaml")
		if status, _, stderr := sitegate(t, nil, "check", "--config", file); status != 0 {
			t.Errorf("check of %s: %s", node, stderr)
		}
		c, _, err := configs.Load(file, func(string) string { return "" }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.Node != node || c.Cluster.ID != "blue" || len(c.Cluster.Peers) != 3 || len(c.API.Nodes) != 3 || c.DataDir != filepath.Join(dir, node, "data") {
			t.Errorf("%s: %+v, %+v", node, c, c.Cluster)
		}
		if c.Cloud.SiteID != "site: #1" || c.Egress.Proxy.Username != `DOM\svc` || c.Egress.ExtraCA[0].Hosts[1] != "sign-in.example" {
			t.Errorf("%s: what was given came out as %+v, %+v, %+v", node, c.Cloud, c.Egress.Proxy, c.Egress.ExtraCA)
		}
		if (c.Connect != nil) != (node != "gw3") || c.Connect != nil && c.Connect.Allow[0] != "sign-in.example:443" {
			t.Errorf("%s: connect door %+v", node, c.Connect)
		}
		peer, err := siteca.LoadPeer("blue", node, c.Cluster.CAFile, c.Cluster.CertFile, c.Cluster.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		if got := peer.Node(); got != node {
			t.Errorf("the certificate names %s, want %s", got, node)
		}
		clientTrusts(t, dir, c)
	}
	passwords, _ := os.ReadFile(filepath.Join(dir, "gw1", "proxy.password"))
	if got := string(passwords); got != "pa\"ss: #word\n" {
		t.Errorf("the proxy's password came out as %q", got)
	}
}

// clientTrusts checks that a client with the site CA accepts what a node's API
// shows.
func clientTrusts(t *testing.T, dir string, c configs.Config) {
	t.Helper()
	roots := x509.NewCertPool()
	data, err := os.ReadFile(filepath.Join(dir, "ca", "site-ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(data) {
		t.Fatal("no site CA", err)
	}
	if c.API.CertFile != "" {
		t.Errorf("the API has a certificate of its own, %s, which nobody would renew", c.API.CertFile)
	}
	pair, err := tls.LoadX509KeyPair(c.Cluster.CertFile, c.Cluster.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1"}); err != nil {
		t.Errorf("a client of %s: %v", c.API.URL, err)
	}
}

// Keys are for their owner's eyes. The CA's is where nodes that vote have it, and
// nowhere else.
func TestInitKeepsKeysApart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if status, _, stderr := sitegate(t, nil, initLine(t, dir)...); status != 0 {
		t.Fatal(stderr)
	}
	caKey, err := os.ReadFile(filepath.Join(dir, "ca", "site-ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(caKey)
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		info, _ := d.Info()
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others can look into it", path, info.Mode().Perm())
		}
		if d.IsDir() {
			return nil
		}
		data, _ := os.ReadFile(path)
		b, _ := pem.Decode(data)
		if is := b != nil && bytes.Equal(b.Bytes, block.Bytes); is != (d.Name() == "site-ca.key") {
			t.Errorf("%s is the CA's key: %t", path, is)
		}
		return nil
	})
}

func TestInitOverwritesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "site")
	if status, _, stderr := sitegate(t, nil, initLine(t, dir)...); status != 0 {
		t.Fatal(stderr)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "gw1", "node.key"))
	status, _, stderr := sitegate(t, nil, initLine(t, dir)...)
	after, _ := os.ReadFile(filepath.Join(dir, "gw1", "node.key"))
	if status != 64 || !strings.Contains(stderr, "nothing is overwritten") || !bytes.Equal(before, after) {
		t.Errorf("status %d, %s; the key changed: %v", status, stderr, !bytes.Equal(before, after))
	}
	empty := filepath.Join(parent, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sitegate(t, nil, initLine(t, empty)...); status != 0 {
		t.Errorf("an empty folder: %s", stderr)
	}
	// What does not work leaves nothing behind.
	broken := filepath.Join(parent, "broken")
	if status, _, _ := sitegate(t, nil, initLine(t, broken, "--tempo", "fast")...); status != 64 {
		t.Errorf("a tempo there is not: status %d, want 64", status)
	}
	if left, _ := filepath.Glob(filepath.Join(parent, ".sitegate-init-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(broken); err == nil {
		t.Error("a broken site was left behind")
	}
}

// Without cloud, way out and sign-in the nodes are written all the same, with
// marks where to fill them in.
func TestInitLeavesRoomToFillIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	status, stdout, stderr := sitegate(t, nil, "cluster", "init", dir, "solo=gw.example.com:7443")
	if status != 0 || !strings.Contains(stdout, "fill in what is marked") {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	file := filepath.Join(dir, "solo", "sitegate.yaml")
	status, _, stderr = sitegate(t, nil, "check", "--config", file)
	if status != 64 || !strings.Contains(stderr, "sign_in: is missing") || strings.Count(stderr, "\n") != 2 {
		t.Errorf("check: status %d, %s; want the missing sign_in and nothing else", status, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	filled := string(text)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") && (line[1] != ' ' || line[2] == ' ') {
			filled = strings.Replace(filled, line, line[1:], 1)
		}
	}
	for name, data := range map[string]string{file: filled, filepath.Join(dir, "solo", "cloud.secret"): "s3cret"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr = sitegate(t, nil, "check", "--config", file)
	if status != 0 {
		t.Fatalf("filled in as marked: %s\n%s", stderr, filled)
	}
	// A host name may mean another interface on the node itself.
	if !strings.Contains(stdout, ":8443 ") || strings.Contains(stdout, "gw.example.com:8443  (file") {
		t.Errorf("the API of a node known by name should listen on all addresses:\n%s", stdout)
	}
}

func TestInitRefusesWhatCouldNotWork(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"a=h1:1 b=h2:1", "one, three or five nodes, not 2"},
		{"a", "write it as name=host:port"},
		{"a=h1", "is not host:port"},
		{"a/b=h1:1", "is not a name"},
		{"a=h1:1,ap=h1:2", "neither api nor connect"},
		{"a=h:1 b=h:2 c=h:3", "would both listen on h:8443"},
		{"a=h1:1 A=h2:1 c=h3:1", "two nodes are called A"},
		{"a=h1:1,connect=h1:2", "needs --issuer"},
		{"a=h1:1,connect=h1:2 --issuer https://i.example --audience x", "needs --desktops"},
		{"a=h1:1 --cloud-url https://c.example", "--cloud-url, --site-id and --cloud-secret go together"},
		{"a=h1:1 --issuer https://i.example", "--issuer and --audience go together"},
		{"a=h1:1 --proxy p:1 --direct", "contradict each other"},
		{"a=h1:1 --proxy-user x --proxy-password y", "needs --proxy"},
		{"a=h1:1 --proxy http://p:1", "host:port only"},
		{"a=h1:1 --proxy p", "host:port only"},
		{"a=h1:1 --tempo fast", "lan, vm or wan"},
		{"a=h1:1 --extra-ca x", "--extra-ca needs"},
	} {
		t.Run(c.args, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "site")
			status, _, stderr := sitegate(t, nil, append([]string{"cluster", "init", dir}, strings.Fields(c.args)...)...)
			if status != 64 || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d, %q; want 64 and %q", status, stderr, c.want)
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("something was written")
			}
		})
	}
}
