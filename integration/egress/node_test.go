package egress

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/integration"
)

// A whole node behind a proxy that wants Kerberos reaches its cloud; when the proxy is
// gone it says so, and when it is back it goes on by itself.
func TestANodeBehindKerberos(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "krb5kdc", "kadmin.local", "kdb5_util", "ss")
	d := w.directory(t)
	w.squidWithKerberos(t, d)
	config := w.node1(t, "  proxy:\n    address: "+proxyHost+":3128\n    kerberos:\n      principal: "+principal+"\n      keytab_file: "+d.keytab+"\n      config_file: "+d.krb5+"\n")
	w.start(t, w.node, "127.0.0.1:8443", nil, integration.Program(t, "sitegate"), "serve", "--config", config)
	status := func() (st api.Status, err error) {
		out, err := exec.Command("ip", "netns", "exec", w.node, integration.Program(t, "sitegate"), "status", "--json", "--config", config).Output()
		if err == nil {
			err = json.Unmarshal(out, &st)
		}
		return st, err
	}
	up := func() error {
		st, err := status()
		if err != nil || !st.Link.Up || !st.Mirror.Filled {
			return fmt.Errorf("%+v, mirror filled %t, %v", st.Link, st.Mirror.Filled, err)
		}
		return nil
	}
	integration.Eventually(t, time.Minute, "the link is up and the mirror full", up)
	w.in(t, w.proxy, "ip", "link", "set", "v"+w.node[2:]+"b", "down")
	integration.Eventually(t, time.Minute, "the link is down, with a reason", func() error {
		st, err := status()
		if err != nil || st.Link.Up || len(st.Egress) != 1 || st.Egress[0].Code == "" {
			return fmt.Errorf("%+v, %+v, %v", st.Link, st.Egress, err)
		}
		return nil
	})
	w.in(t, w.proxy, "ip", "link", "set", "v"+w.node[2:]+"b", "up")
	integration.Eventually(t, time.Minute, "the link is up again", up)
}

// node1 writes the configuration of a node with this section egress, but for the
// cloud's CA.
func (w *world) node1(t *testing.T, egress string) (config string) {
	t.Helper()
	password := w.write(t, "unused.password", 0o600, "unused\n")
	home, err := os.MkdirTemp(w.dir, "node")
	if err != nil {
		t.Fatal(err)
	}
	site := filepath.Join(home, "site")
	run(t, integration.Program(t, "sitegate"), "cluster", "init", site, "node1=127.0.0.1:7001,api=127.0.0.1:8443,connect=127.0.0.1:8081",
		"--cloud-url", "https://"+cloudHost, "--site-id", "site-7", "--cloud-secret", filepath.Join(w.dir, "cloud.secret"), "--issuer", "https://"+loginHost,
		"--audience", "site-gateway", "--proxy", proxyHost+":3128", "--proxy-user", "unused", "--proxy-password", password, "--extra-ca", w.ca)
	config = filepath.Join(site, "node1", "sitegate.yaml")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), "egress:\n")
	_, after, more := strings.Cut(rest, "  extra_ca:\n")
	if !ok || !more {
		t.Fatalf("the configuration has no section egress with an extra CA:\n%s", b)
	}
	return w.write(t, config, 0o600, before+"egress:\n"+egress+"  extra_ca:\n"+after)
}
