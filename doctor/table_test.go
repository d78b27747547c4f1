package doctor

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/emulator/proxy"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/*.txt anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What is handed to the firewall team follows from the configuration alone.
func TestFirewallTable(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	conf := s.file(t, "krb5.conf", `[libdefaults]
 default_realm = CORP.EXAMPLE
[realms]
 OTHER.EXAMPLE = {
  kdc = no.other.example
 }
 CORP.EXAMPLE = {
  kdc = dc1.corp.example
  kdc = dc2.corp.example:1088
  admin_server = dc1.corp.example
 }
`)
	keytab := s.file(t, "k.keytab", "\x05\x02")
	s.text = `
node: gw1
data_dir: data
cluster:
  id: c1
  peers: [{name: gw1, address: "gw1.corp.example:7443"}, {name: gw2, address: "gw2.corp.example:7443"}]
api: {listen: 0.0.0.0:8443, url: "https://gw1.corp.example:8443"}
connect: {listen: 0.0.0.0:3128, allow: ["sign-in.example:443"], from: [10.0.0.0/8]}
cloud: {url: "https://cloud.example", site_id: site-1, secret_file: cloud.secret}
sign_in: [{issuer: "https://sign-in.example", audience: site-gateway}]
usage: {way: csv, location_url: "https://location.example", upload_hosts: [.blob.example, put.example], ultimate_id: "1"}
alerts: {mail: {server: "mail.corp.example:587", from: gate@corp.example, to: [desk@corp.example]}}
egress:
  proxies:
    - {name: north, address: "p1.corp.example:8080", kerberos: {principal: svc@CORP.EXAMPLE, keytab_file: ` + keytab + `, config_file: ` + conf + `}}
    - {name: south, address: "p2.corp.example:1080", kind: socks5}
  routes:
    - {hosts: [sign-in.example, mail.corp.example], via: [direct]}
`
	file := s.file(t, "sitegate.yaml", s.text)
	c, origins, _ := configs.Load(file, func(string) string { return "" }, nil) // the cluster's certificates are not there
	x := &examination{Config: Config{Settings: c, Origins: origins, Way: c.Egress.Way(), Addresses: addresses}, destinations: destinationsOf(c)}
	x.configuration()
	if x.dialer == nil {
		t.Fatalf("the way out is not in order: %+v", x.report.Checks)
	}
	r := Report{Firewall: x.firewall(t.Context(), x.hops(t.Context()))}
	var b bytes.Buffer
	if err := r.table(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.String())
}

func addresses() ([]net.Addr, error) {
	return []net.Addr{&net.IPNet{IP: net.IPv4(10, 1, 2, 3)}, &net.IPNet{IP: net.IPv4(127, 0, 0, 1)}, &net.IPNet{IP: net.ParseIP("2001:db8::3")}, &net.IPNet{IP: net.ParseIP("fe80::1")}}, nil
}

func TestText(t *testing.T) {
	r := Report{At: time.Unix(0, 0), Version: "v1", Config: "/etc/sitegate/sitegate.yaml", Node: "gw1", Running: true, Checks: []Check{
		{Step: "config", State: Pass, Found: "In order."},
		{Step: "tcp", Of: "main", State: Fail, Code: "proxy_connect_timeout", Found: "Cannot open TCP to the proxy p1.corp.example:8080: no answer.", Action: strings.Repeat("Ask the firewall team to allow this server's address to reach it. ", 2)},
		{Step: "connect", Of: "cloud.example:443 by main", State: Skip, Found: "Not tried: the proxy comes first."},
		{Step: "listener", State: Warn, Found: "Ends soon.", Action: "Get a new one."},
	}, Firewall: []Opening{{"10.1.2.3", "p1.corp.example:8080", "TCP, CONNECT", "proxy main"}}}
	var b bytes.Buffer
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "text.txt", b.String())
	for line := range strings.Lines(b.String()) {
		if len([]rune(line)) > width+1 {
			t.Errorf("the line has %d characters: %s", len([]rune(line)), line)
		}
	}
}

func TestClock(t *testing.T) {
	cloud, far := clockReading{"cloud", time.Second, false}, clockReading{"cloud", -2 * time.Minute, false}
	for _, tt := range []struct {
		clocks []clockReading
		held   bool
		kept   string // by a time service: yes, no, or empty: not known
		want   string
	}{
		{nil, false, "", "SKIP"},
		{nil, false, "yes", "SKIP A time service keeps it"},
		{nil, false, "no", "WARN No time service keeps it"},
		{[]clockReading{cloud}, false, "", "PASS of those of cloud."},
		{[]clockReading{cloud, {"p", 0, true}, {"p", 0, true}, {"login", 0, false}}, false, "no", "PASS of those of cloud, login, p. No time service"},
		{[]clockReading{{"p", -2 * time.Minute, true}}, false, "", "WARN"},
		{[]clockReading{{"p", 2 * time.Minute, true}, far}, false, "yes", "FAIL clock_skew_api 120 s behind cloud"},
		{[]clockReading{far, {"login", 0, false}}, false, "", "FAIL clock_skew_api 120 s behind cloud's. It is within a minute of those of login."},
		{[]clockReading{cloud}, true, "", "WARN"},
	} {
		x := &examination{clocks: tt.clocks, Config: Config{Status: &api.Status{TimeHeld: tt.held}, Synced: func() (bool, bool) { return tt.kept == "yes", tt.kept != "" }}}
		c := x.clock()
		got := fmt.Sprint(c.State, " ", c.Code, " ", c.Found)
		state, words, _ := strings.Cut(tt.want, " ")
		if code, rest, ok := strings.Cut(words, " "); ok && code == "clock_skew_api" {
			words = rest
		}
		if !strings.HasPrefix(got, state) || !strings.Contains(got, words) || (c.State == Fail) != (c.Code != "") || (c.State == Warn || c.State == Fail) && c.Action == "" {
			t.Errorf("%+v: got %s, want %s", tt.clocks, got, tt.want)
		}
	}
}

// The running node's own view of its peers and of its configuration.
func TestNode(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	c := s.config(t)
	now := time.Now()
	c.Status = &api.Status{Node: "gw1", Time: now, Link: api.LinkState{Up: true}, Cluster: api.ClusterStatus{Members: []api.Member{
		{Name: "gw1", Address: "10.0.0.1:7443"}, {Name: "gw2", Address: "10.0.0.2:7443", Reached: now.Add(-time.Second)}, {Name: "gw3", Address: "10.0.0.3:7443", Reached: now.Add(-5 * time.Minute)}}},
		Egress: []api.EgressStatus{{Name: "old", Kind: "http", Address: "10.0.0.9:8080", State: "well"}}}
	x := &examination{Config: c}
	x.node()
	if got := states(x.report); got != "PASS node gw1\nWARN node gw1\nFAIL node peers\n" {
		t.Errorf("got\n%s", got)
	}
	if c := find(t, x.report, "node", "peers"); !strings.Contains(c.Found, "gw3") || strings.Contains(c.Found, "gw2") {
		t.Errorf("got %+v, want gw3 alone", c)
	}
}
