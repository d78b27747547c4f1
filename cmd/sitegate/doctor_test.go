package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/doctor"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

// writeDoctor writes the configuration of a node behind a proxy that lets it through, and is that proxy's.
func writeDoctor(t *testing.T) (file string, p *proxy.Proxy) {
	t.Helper()
	dir := t.TempDir()
	ports := make([]net.Listener, 2)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = ln
	}
	cloud, err := emulator.Serve(ports[0], &emulator.Emulator{Issuer: "https://cloud.test", Sites: map[string]string{"site-1": "s3cret-of-the-site"}}, "cloud.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	p = proxy.Start(ports[1], proxy.Config{Hosts: map[string]string{"cloud.test:443": cloud.Addr()}})
	t.Cleanup(func() { p.Close() })
	for name, text := range map[string]string{"ca.pem": string(cloud.CAPEM), "cloud.secret": "s3cret-of-the-site\n", "sitegate.yaml": `
data_dir: .
cloud: {url: "https://cloud.test", site_id: site-1, secret_file: cloud.secret}
sign_in: [{issuer: "https://cloud.test", audience: site-gateway}]
egress:
  proxy: {address: "` + p.Addr() + `"}
  extra_ca: [{file: ca.pem, hosts: [cloud.test]}]
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "sitegate.yaml"), p
}

func TestDoctor(t *testing.T) {
	file, p := writeDoctor(t)
	status, stdout, stderr := sitegate(t, nil, "doctor", "--config", file)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "0 failed") || !strings.Contains(stdout, "PASS  answer cloud.test:443 by proxy") || !strings.Contains(stdout, "PASS  token cloud.test:443 by proxy") || !strings.Contains(stdout, "does not run on this machine") {
		t.Errorf("status %d, %s\n%s", status, stderr, stdout)
	}
	if lines := strings.Split(strings.TrimSpace(stdout), "\n"); !strings.HasPrefix(lines[len(lines)-1], "desktops") {
		t.Errorf("it ends with %q, want the table", lines[len(lines)-1])
	}
	answerAt(t, file, statusOf(api.Status{Node: "node1", Time: at, Link: api.LinkState{Up: true}, Egress: []api.EgressStatus{{Name: "proxy", Kind: "http", Address: p.Addr(), State: "well"}}}))
	zip := filepath.Join(t.TempDir(), "b.zip")
	status, stdout, stderr = sitegate(t, nil, "doctor", "--json", "--bundle", zip, "--config", file)
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 1 || !r.Running || r.Failed() || // the node that answers for this test has no door for desktops
		!slices.ContainsFunc(r.Checks, func(c doctor.Check) bool { return c.Step == "listener" && c.State == doctor.Warn }) || len(r.Checks) < 8 || len(r.Firewall) < 4 {
		t.Errorf("status %d, %v, %s: got %+v", status, err, stderr, r)
	}
	if _, err := os.Stat(zip); err != nil {
		t.Error(err)
	}
	p.Close()
	status, stdout, stderr = sitegate(t, nil, "doctor", "--config", file)
	if status != 2 || !strings.Contains(stdout, "FIRST  tcp proxy (proxy_connect_refused)") || !strings.Contains(stderr, "something failed") {
		t.Errorf("without the proxy: status %d, %s\n%s", status, stderr, stdout)
	}
}

func TestDoctorThatCannotRun(t *testing.T) {
	file, _ := writeDoctor(t)
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"doctor --config /nowhere/sitegate.yaml", "there is no configuration"},
		{"doctor --bundl f", "did you mean --bundle?"},
		{"doctor now", `"now" is too much`},
		{"doctor --hold 1h", "--hold is 0 to 2m"},
		{"doctor --to elsewhere.test:443 --config " + file, "one of the configuration's destinations"},
		{"doctor --bundle " + there + " --config " + file, "making the bundle"},
	} {
		status, stdout, stderr := sitegate(t, nil, strings.Fields(c.args)...)
		if status != 2 || stdout != "" && !strings.Contains(c.args, "--bundle ") || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: status %d, %q, %q; want 2 and %q", c.args, status, stdout, stderr, c.want)
		}
	}
	if status, _, _ := sitegate(t, nil, "doctor", "--help"); status != 0 {
		t.Errorf("--help: status %d", status)
	}
}
