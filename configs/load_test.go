package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"sitegate/configs"
)

func TestFileThenEnvironmentThenFlags(t *testing.T) {
	file := write(t, configs.SingleNode+"node: from-file\nlog: {level: warn, format: json}\nlimits: {burst: 50}\n")
	env := map[string]string{
		"SITEGATE_NODE": "from-env", "SITEGATE_LOG_LEVEL": "error", "SITEGATE_API_METRICS_FROM": "10.0.0.0/8, 192.0.2.7",
		"SITEGATE_RULES_AUTONOMY_CAPPED": "2d", "SITEGATE_CONNECT_LISTEN": "127.0.0.1:3128", "SITEGATE_CONNECT_ALLOW": "a.example:443,b.example:8443",
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	configs.AddFlags(flags)
	if err := flags.Parse([]string{"--node=from-flag", "--data-dir", "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	c, origins, err := configs.Load(file, func(k string) string { return env[k] }, flags)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range c.Settings(origins) {
		got[s.Key] = s.Value + " | " + s.Origin.String()
	}
	dir := filepath.Dir(file)
	for key, want := range map[string]string{
		"node":                       "from-flag | flag --node",
		"data_dir":                   "elsewhere | flag --data-dir",
		"log.level":                  "error | environment SITEGATE_LOG_LEVEL",
		"log.format":                 "json | file " + file + ":11",
		"limits.burst":               "50 | file " + file + ":12",
		"limits.requests_per_second": "20 | default",
		"api.metrics_from":           "10.0.0.0/8, 192.0.2.7/32 | environment SITEGATE_API_METRICS_FROM",
		"api.url":                    "https://127.0.0.1:8443 | from api.listen",
		"rules.autonomy_capped":      "2d | environment SITEGATE_RULES_AUTONOMY_CAPPED",
		"connect.allow":              "a.example:443, b.example:8443 | environment SITEGATE_CONNECT_ALLOW",
		"cloud.secret_file":          filepath.Join(dir, "cloud.secret") + " | file " + file + ":5",
		"cloud.issuer":               "https://sign-in.example.com | from sign_in[1].issuer",
		"cloud.ask_timeout":          "5s | default",
		"sign_in[1]":                 "issuer=https://sign-in.example.com audience=site-gateway emails_verified=false | file " + file + ":9",
	} {
		if got[key] != want {
			t.Errorf("%s = %s, want %s", key, got[key], want)
		}
	}
	if *c.Rules.AutonomyCapped != 48*time.Hour {
		t.Errorf("autonomy_capped = %v, want 48h", *c.Rules.AutonomyCapped)
	}
}

// One look must show everything that is wrong, each with its key, its line and
// the way out.
func TestAllProblemsAtOnce(t *testing.T) {
	_, _, err := load(t, `nod: gw1
data_dir: [a, b]
cluster:
  id: "blue site"
  tempo: fast
  peers:
    - {name: gw1, address: "gw1:7443"}
    - {name: gw1, address: "gw1:7443"}
api:
  listen: 0.0.0.0:8443
  cert_file: api.pem
  listn: 1
connect:
  listen: 0.0.0.0:3128
  allow: [sign-in.example.com, "192.0.2.7:443"]
cloud:
  url: http://cloud.example
  ask_timeout: 90
rules:
  lease_ttl: 5s
  lease_ttl: 6s
  session_scope: users
limits: {burst: many}
log: {level: inf, format: text}
`)
	var problems configs.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, want Problems", err)
	}
	text := err.Error()
	for _, want := range []string{
		`sitegate.yaml:1: nod: there is no such key; did you mean node?`,
		`sitegate.yaml:2: data_dir: a list stands where one value belongs`,
		`sitegate.yaml:4: cluster.id: "blue site" is not a name`,
		`sitegate.yaml:5: cluster.tempo: "fast" is not one of lan, vm, wan`,
		`sitegate.yaml:7: cluster.peers: lists 2 nodes; a cluster has one, three or five`,
		`sitegate.yaml:8: cluster.peers[2].name: gw1 is listed twice`,
		`cluster.peers: this node, node1, is not among them`,
		`cluster.key_file: is missing`,
		`sitegate.yaml:12: api.listn: there is no such key; did you mean listen?`,
		`api.url: is missing; api.listen takes every address`,
		`api.key_file: is missing; it goes together with api.cert_file`,
		`sitegate.yaml:15: connect.allow[1]: "sign-in.example.com" is not host:port`,
		`sitegate.yaml:15: connect.allow[2]: "192.0.2.7:443": an address is no name`,
		`connect.from: is empty, so only this machine could use the door`,
		`sitegate.yaml:17: cloud.url: "http://cloud.example" is not https`,
		`cloud.site_id: is missing`,
		`cloud.secret_file: is missing`,
		`sitegate.yaml:18: cloud.ask_timeout: "90" is not a duration such as 180s`,
		`egress: says no way out`,
		`sign_in: is missing`,
		`sitegate.yaml:21: rules.lease_ttl: is given twice, first in line 20`,
		`sitegate.yaml:20: rules.lease_ttl: is 5s; it is from 3m to 1h`,
		`sitegate.yaml:22: rules.session_scope: "users" is not one of user, license; did you mean user?`,
		`sitegate.yaml:23: limits.burst: "many" is not a whole number`,
		`sitegate.yaml:24: log.level: "inf" is not one of debug, info, warn, error; did you mean info?`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no problem says %q in\n%s", want, text)
		}
	}
}

func TestCredentialsAreRefusedAndNeverRepeated(t *testing.T) {
	c, origins, err := load(t, `
cloud: {url: "https://bob:hunter2@cloud.example", site_id: s, secret_file: f}
egress:
  proxy: {address: "bob:hunter2@proxy.example:8080"}
sign_in: [{issuer: "https://bob:hunter2@[::1", audience: a}]
api: {listen: "bob:hunter2@127.0.0.1:8443"}
`)
	if err == nil {
		t.Fatal("credentials were accepted")
	}
	for _, s := range c.Settings(origins) {
		if strings.Contains(s.Value, "hunter2") {
			t.Errorf("%s shows the password: %s", s.Key, s.Value)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the problems repeat the password:\n%v", err)
	}
	for _, want := range []string{"cloud.url: has credentials in it", "egress.proxy.address: has credentials in it", "sign_in[1].issuer", "api.listen"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no problem about %q in\n%v", want, err)
		}
	}
}

func TestWhatIsNoConfiguration(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not YAML":       {"node: [a\n", "this is not YAML"},
		"a list":         {"- node\n", "a list stands where keys"},
		"two documents":  {"node: a\n---\nnode: b\n", "more after the first document"},
		"a reference":    {"node: &n gw1\ndata_dir: *n\n", "refers to another place"},
		"a merge":        {"log: {<<: {level: info}}\n", "log.<<: there is no such key"},
		"nothing given":  {"node:\n", "has no value"},
		"a large one":    {strings.Repeat("# x\n", 100_000), "larger than 256 KiB"},
		"unknown prefix": {"api: {metrics_from: [10.0.0.0.0/8]}\n", "is not a network such as"},
		"host bits":      {"api: {metrics_from: [10.0.0.9/8]}\n", "write 10.0.0.0/8"},
		"long list":      {"api: {nodes: [" + strings.Repeat("a,", 300) + "]}\n", "256 are the most"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something with %q", err, c.want)
			}
		})
	}
	if _, _, err := configs.Load(filepath.Join(t.TempDir(), "none.yaml"), none, nil); err == nil || !strings.Contains(err.Error(), "there is no configuration at") {
		t.Errorf("a missing file: got %v", err)
	}
}

func TestEnvironmentCannotSetListsOfSections(t *testing.T) {
	_, _, err := configs.Load(write(t, configs.SingleNode), func(k string) string {
		return map[string]string{"SITEGATE_SIGN_IN": "x", "SITEGATE_LIMITS_BURST": "x"}[k]
	}, nil)
	for _, want := range []string{"environment SITEGATE_SIGN_IN: sign_in: has entries", "environment SITEGATE_LIMITS_BURST: limits.burst: \"x\" is not a whole number"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestCluster(t *testing.T) {
	c, origins, err := load(t, threeNodes)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cluster.Listen != "127.0.0.1:7101" || c.Cluster.Advertise != "127.0.0.1:7101" || c.Cluster.Tempo != "vm" {
		t.Errorf("got %+v, want listen and advertise of node1's address and tempo vm", c.Cluster)
	}
	if got := origins["cluster.listen"].String(); got != "from cluster.advertise" {
		t.Errorf("listen came %s", got)
	}
	for name, change := range map[string]struct{ old, new, want string }{
		"two nodes":       {"    - {name: node3, address: \"127.0.0.1:7103\"}\n", "", "lists 2 nodes"},
		"same door":       {"listen: 127.0.0.1:8101", "listen: 127.0.0.1:7101", "every door needs a port of its own"},
		"other advertise": {"id: blue", "id: blue\n  advertise: 127.0.0.1:7999", "differs from this node's address"},
		"wildcard peer":   {"127.0.0.1:7103", "0.0.0.0:7103", "names no machine that others could connect to"},
		"own URL missing": {"nodes: [https://127.0.0.1:8101, ", "nodes: [", "lacks this node's own URL"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(threeNodes, change.old, change.new, 1)
			if text == threeNodes {
				t.Fatal("nothing was changed")
			}
			if _, _, err := load(t, text); err == nil || !strings.Contains(err.Error(), change.want) {
				t.Errorf("got %v, want something with %q", err, change.want)
			}
		})
	}
}

const threeNodes = `node: node1
data_dir: data
cluster:
  id: blue
  peers:
    - {name: node1, address: "127.0.0.1:7101"}
    - {name: node2, address: "127.0.0.1:7102"}
    - {name: node3, address: "127.0.0.1:7103"}
  ca_file: ca.pem
  cert_file: node.pem
  key_file: node.key
api:
  listen: 127.0.0.1:8101
  nodes: [https://127.0.0.1:8101, https://127.0.0.1:8102]
sign_in: [{issuer: "https://127.0.0.1:9443", audience: a}]
egress: {direct: true}
`

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"180s": 180 * time.Second, "0s": 0, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "15m": 15 * time.Minute} {
		if got, err := configs.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "90", "0", "-5s", "1d-1h", "5 s", "99999d", "d"} {
		if got, err := configs.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestCheckFilesNamesEveryFileThatCannotServe(t *testing.T) {
	file := write(t, configs.SingleNode+"api: {cert_file: a.pem, key_file: a.key}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "cloud.secret"), []byte("s3cret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, _, err := configs.Load(file, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.CheckFiles()
	for _, want := range []string{"cloud.secret_file: " + c.Cloud.SecretFile + " can be read by others", "api.cert_file: there is no file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	c.DataDir = "/" + strings.Repeat("d", 100)
	if err := c.CheckFiles(); err == nil || !strings.Contains(err.Error(), "data_dir: is too long by 12 bytes") {
		t.Errorf("a long folder: got %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the problems repeat the secret: %v", err)
	}
}
