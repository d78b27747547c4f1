package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sitegate/emulator"
)

// NewMachine sets up a new machine that is not among the site's nodes: its configuration, and
// in Door where its peer port will be.
func (s *Site) NewMachine(t testing.TB, name string) *Node {
	t.Helper()
	ports := FreePorts(t, 2)
	dir := filepath.Join(s.Dir, "site", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	n := &Node{Name: name, URL: "https://" + ports[0], IP: "127.0.0.1", Door: ports[1], Config: filepath.Join(dir, "sitegate.yaml")}
	file := func(name string) string { return filepath.Join(s.Dir, name) }
	text := fmt.Sprintf(`node: %s
data_dir: data
api: {listen: "%s"}
cloud: {url: "https://%s", site_id: %s, secret_file: %q}
egress:
  proxy: {address: "%s", username: %q, password_file: %q}
  extra_ca: [{file: %q, hosts: [%s, %s]}]
sign_in: [{issuer: %q, audience: %s}]
`, name, ports[0], CloudHost, SiteID, file("cloud.secret"), s.Proxy.Addr(), ProxyUser, file("proxy.password"),
		file("cloud-ca.pem"), CloudHost, LoginHost, Issuer, emulator.UserAudience)
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}
