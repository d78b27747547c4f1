package egress

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/doctor"
	"sitegate/integration"
)

// clinic is a world with a node's configuration, which the doctor looks at.
type clinic struct {
	*world
	config string
}

// visit has the doctor look at a way out, and reads what it says, for programs and for
// people.
func (c *clinic) visit(t *testing.T, args ...string) (status int, r doctor.Report, text string) {
	t.Helper()
	bundle := filepath.Join(t.TempDir(), "bundle.zip")
	cmd := exec.Command("ip", append([]string{"netns", "exec", c.node, integration.Program(t, "sitegate"), "doctor", "--json", "--bundle", bundle, "--config", c.config}, args...)...)
	out, err := cmd.Output()
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("the doctor's report cannot be read: %v\n%s", err, out)
	}
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	if _, err := os.Stat(bundle); err != nil {
		t.Error(err)
	}
	t.Log(b.String())
	return cmd.ProcessState.ExitCode(), r, b.String()
}

// blames wants the first failure to be this one, at this hop, with what to do, and the
// table for the firewall team at the end.
func (c *clinic) blames(t *testing.T, step, of, code, words string, args ...string) doctor.Report {
	t.Helper()
	status, r, text := c.visit(t, args...)
	i := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.State == doctor.Fail })
	if i < 0 || status != 2 {
		t.Fatalf("status %d, want 2 and %s %s %s to fail", status, step, of, code)
	}
	first := r.Checks[i]
	if first.Step != step || !strings.Contains(first.Of, of) || first.Code != code || first.Action == "" || !strings.Contains(first.Found+" "+first.Action, words) {
		t.Errorf("the first failure is %+v, want %s of %s, %s, with %q", first, step, of, code, words)
	}
	if !strings.Contains(text, "For the firewall and proxy teams:") || !slices.ContainsFunc(r.Firewall, func(o doctor.Opening) bool {
		return strings.HasPrefix(o.Source, nodeIP) && strings.HasPrefix(o.Destination, proxyHost)
	}) {
		t.Errorf("the table lacks this server's way to the proxy: %+v", r.Firewall)
	}
	return r
}

// newClinic is one whose node goes by this section egress.
func newClinic(t *testing.T, w *world, egress string) *clinic {
	t.Helper()
	return &clinic{w, w.node1(t, egress)}
}

// sent is how often squid has been shown a name.
func (w *world) sent(t *testing.T, name string) int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(w.dir, "squid", "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(log)) {
		if f := strings.Fields(line); len(f) > 7 && strings.EqualFold(strings.ReplaceAll(f[7], `\\`, `\`), name) {
			n++
		}
	}
	return n
}

// sentOnce wants squid to have been shown a name once since there were so many. It
// writes its log when a tunnel is over.
func (w *world) sentOnce(t *testing.T, name string, before int) {
	t.Helper()
	integration.Eventually(t, 30*time.Second, "squid tells of the name", func() error {
		if w.sent(t, name) == before {
			return errors.New("it does not")
		}
		return nil
	})
	if n := w.sent(t, name) - before; n != 1 {
		t.Errorf("the password of %s was sent %d times, want once", name, n)
	}
}

const throughSquid = "  proxy:\n    address: " + proxyHost + ":3128\n"

func TestDoctorAtSquid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "openssl", "ss")
	w.squid(t, nil, append(w.basicHelper(t), withPassword...)...)
	who := "    username: CORP\\svc-lic\n    password_file: "
	right := w.write(t, "right.password", 0o600, password+"\n")

	t.Run("all is well", func(t *testing.T) {
		c := newClinic(t, w, throughSquid+who+right+"\n")
		before := w.sent(t, user)
		status, r, _ := c.visit(t)
		if status != 0 || r.Failed() {
			t.Errorf("status %d, want 0", status)
		}
		w.sentOnce(t, user, before)
		before++
		status, r, _ = c.visit(t, "--to", loginHost+":443")
		w.sentOnce(t, user, before)
		if status != 0 || !slices.ContainsFunc(r.Checks, func(c doctor.Check) bool { return c.Step == "token" && c.State == doctor.Pass }) {
			t.Errorf("--to the sign-in: status %d, want 0 and a token", status)
		}
	})
	t.Run("the password is wrong", func(t *testing.T) {
		c := newClinic(t, w, throughSquid+who+w.write(t, "wrong.password", 0o600, "no, it is not\n")+"\n")
		before := w.sent(t, user)
		c.blames(t, "auth", "proxy", "proxy_auth_rejected", user)
		w.sentOnce(t, user, before)
	})
	t.Run("there is no password", func(t *testing.T) {
		newClinic(t, w, throughSquid).blames(t, "auth", "proxy", "proxy_auth_required", "none are configured")
	})
	t.Run("the PAC file is not there", func(t *testing.T) {
		w.haproxy(t, "pages", "8000", "frontend pages\n mode http\n bind "+proxyIP+":8000\n http-request return status 404\n")
		newClinic(t, w, "  pac: {url: http://"+proxyHost+":8000/proxy.pac}\n"+throughSquid+who+right+"\n").blames(t, "pac", cloudHost, "pac_failed", "HTTP 404")
	})
	t.Run("there is no configuration", func(t *testing.T) {
		cmd := exec.Command(integration.Program(t, "sitegate"), "doctor", "--config", filepath.Join(w.dir, "nowhere.yaml"))
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != 2 {
			t.Errorf("status %d, want 2:\n%s", status, out)
		}
	})
	t.Run("there is no way to it", func(t *testing.T) { // the last one: nothing gets through any more
		c := newClinic(t, w, throughSquid+who+right+"\n")
		w.in(t, w.node, "ip", "link", "set", "v"+w.node[2:]+"a", "down")
		status, r, _ := c.visit(t)
		i := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.State == doctor.Fail })
		if status != 2 || i < 0 || r.Checks[i].Step != "tcp" || r.Checks[i].Code != "proxy_connect_failed" || !strings.Contains(r.Checks[i].Found, "unreachable") {
			t.Errorf("status %d, the rows are %+v, want tcp proxy_connect_failed", status, r.Checks)
		}
	})
}

// haproxy starts haproxy among the proxies, with this configuration, on a port.
func (w *world) haproxy(t *testing.T, name, port, conf string) {
	t.Helper()
	file := w.write(t, name+".cfg", 0o644, "defaults\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"+conf)
	w.start(t, w.proxy, proxyIP+":"+port, nil, "haproxy", "-db", "-f", file)
}

// A firewall that lets nothing through and says nothing.
func TestDoctorAtABlackHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := newClinic(t, w, throughSquid)
	w.in(t, w.node, "ip", "neigh", "replace", proxyIP, "lladdr", "02:00:00:00:00:01", "dev", "v"+w.node[2:]+"a")
	c.blames(t, "tcp", "proxy", "proxy_connect_timeout", "firewall team")
}

// Something on the way answers for the cloud, with a certificate of its own.
func TestDoctorUnderInspection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "haproxy", "ss")
	a := newAuthority(t, "Zscaler Root CA")
	cert, key := a.issue(t, cloudHost)
	both := w.write(t, "inspector.pem", 0o600, cert+key)
	// What the proxy takes to be the cloud is the inspector.
	w.haproxy(t, "inspector", "443", "listen inspector\n mode tcp\n bind "+proxyIP+":443 ssl crt "+both+"\n server cloud "+cloudIP+":443 ssl verify none sni str("+cloudHost+")\n")
	hosts := w.write(t, "hosts", 0o644, proxyIP+" "+cloudHost+"\n"+cloudIP+" "+loginHost+"\n")
	w.squid(t, nil, "hosts_file "+hosts, "http_access allow all")
	newClinic(t, w, throughSquid).blames(t, "certificate", cloudHost, "tls_intercepted", "inspected by Zscaler")
}

// The proxy sends whoever has not signed in to a page.
func TestDoctorAtASignInPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "ss")
	w.squid(t, nil, "acl guests src "+nodeIP, "deny_info 302:http://portal.corp.example/login?from=%i guests", "http_access deny guests", "http_access deny all")
	newClinic(t, w, throughSquid).blames(t, "connect", cloudHost, "captive_portal", "portal.corp.example")
}

func TestDoctorAtKerberos(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "krb5kdc", "kadmin.local", "kdb5_util", "ss")
	d := w.directory(t)
	w.squidWithKerberos(t, d)
	by := func(more string) string {
		return throughSquid + "    kerberos:\n      principal: " + principal + "\n      keytab_file: " + d.keytab + "\n      config_file: " + d.krb5 + "\n" + more
	}
	t.Run("all is well", func(t *testing.T) {
		status, r, _ := newClinic(t, w, by("")).visit(t)
		if status != 0 || !slices.ContainsFunc(r.Checks, func(c doctor.Check) bool {
			return c.Step == "auth" && c.Of == "proxy negotiate" && c.State == doctor.Pass
		}) {
			t.Errorf("status %d, want 0 and the ticket taken", status)
		}
		if !slices.ContainsFunc(r.Firewall, func(o doctor.Opening) bool { return o.Destination == kdcAt && o.Purpose == "Kerberos KDC" }) {
			t.Errorf("the table lacks the KDC: %+v", r.Firewall)
		}
	})
	t.Run("the proxy is not known by its name", func(t *testing.T) {
		newClinic(t, w, by("      spn: HTTP/nobody.corp.example\n")).blames(t, "auth", "proxy negotiate", "kerberos_spn", "HTTP/nobody.corp.example")
	})
}

// The KDC's clock is ten minutes ahead of the node's.
func TestDoctorAtAKDCOfAnotherTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "krb5kdc", "kadmin.local", "kdb5_util", "faketime", "ss")
	library, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1") // without the program, which leaves the KDC behind when it is killed
	if err != nil || len(library) != 1 {
		t.Fatalf("got %v, %v, want the library of faketime", library, err)
	}
	d := w.directory(t, "LD_PRELOAD="+library[0], "FAKETIME=+600s", "FAKETIME_DONT_FAKE_MONOTONIC=1")
	w.squidWithKerberos(t, d)
	newClinic(t, w, throughSquid+"    kerberos:\n      principal: "+principal+"\n      keytab_file: "+d.keytab+"\n      config_file: "+d.krb5+"\n").
		blames(t, "auth", "proxy negotiate", "kerberos_clock_skew", "time service")
}

// The node runs, and desktops come to it by a load balancer: one that leaves websockets
// alone, and one that takes out what asks for them.
func TestDoctorAtALoadBalancer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "haproxy", "ss")
	w.squid(t, nil, "http_access allow all")
	config := w.node1(t, throughSquid)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "https://127.0.0.1:8443") {
		t.Fatalf("the configuration does not say how clients reach the node:\n%s", b)
	}
	w.write(t, config, 0o600, strings.ReplaceAll(string(b), "https://127.0.0.1:8443", "https://localhost:9443"))
	c := &clinic{w, config}
	w.start(t, w.node, "127.0.0.1:8443", nil, integration.Program(t, "sitegate"), "serve", "--config", config)
	a := newAuthority(t, "Corp Load Balancers")
	cert, key := a.issue(t, "localhost")
	both := w.write(t, "balancer.pem", 0o600, cert+key)
	balancer := func(t *testing.T, more string) {
		conf := w.write(t, "balancer.cfg", 0o644, "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\nlisten balancer\n bind 127.0.0.1:9443 ssl crt "+both+"\n"+more+" server node 127.0.0.1:8443 ssl verify none\n")
		p := w.start(t, w.node, "127.0.0.1:9443", nil, "haproxy", "-db", "-f", conf)
		t.Cleanup(p.Kill)
	}
	row := func(t *testing.T, step, of string) doctor.Check {
		_, r, _ := c.visit(t)
		i := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.Step == step && strings.Contains(c.Of, of) })
		if i < 0 {
			t.Fatalf("there is no row %s of %s", step, of)
		}
		return r.Checks[i]
	}
	t.Run("that is not there", func(t *testing.T) {
		if r := row(t, "listener", "localhost:9443"); r.State != doctor.Warn || !strings.Contains(r.Found, "does not reach it") {
			t.Errorf("got %+v, want it told", r)
		}
	})
	t.Run("that leaves websockets alone", func(t *testing.T) {
		balancer(t, "")
		if r := row(t, "websocket", "localhost:9443"); r.State != doctor.Pass {
			t.Errorf("got %+v, want it to pass", r)
		}
		if r := row(t, "listener", "localhost:9443"); r.State != doctor.Warn || !strings.Contains(r.Found, "Ends on") { // of an hour's life
			t.Errorf("got %+v, want the load balancer's certificate looked at", r)
		}
	})
	t.Run("that takes them for requests like others", func(t *testing.T) {
		balancer(t, " http-request del-header Upgrade\n http-request del-header Connection\n")
		if r := row(t, "websocket", "localhost:9443"); r.State != doctor.Fail || r.Code != "websocket_blocked" || r.Action == "" {
			t.Errorf("got %+v, want websocket_blocked", r)
		}
	})
}

// Something on the way ends what is silent for a second.
func TestDoctorAtWhatEndsSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "haproxy", "ss")
	w.squid(t, nil, "http_access allow all")
	conf := w.write(t, "hasty.cfg", 0o644, "defaults\n mode tcp\n timeout connect 5s\n timeout client 1s\n timeout server 1s\nlisten hasty\n bind "+proxyIP+":8000\n server squid "+squidAt+"\n")
	w.start(t, w.proxy, proxyIP+":8000", nil, "haproxy", "-db", "-f", conf)
	for by, want := range map[string]struct {
		status int
		state  doctor.State
	}{"3128": {0, doctor.Pass}, "8000": {1, doctor.Warn}} {
		c := newClinic(t, w, "  proxy:\n    address: "+proxyHost+":"+by+"\n")
		status, r, _ := c.visit(t, "--hold", "3s")
		i := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.Step == "hold" })
		if i < 0 || r.Checks[i].State != want.state || status != want.status {
			t.Errorf("by port %s: status %d, %+v, want %d and %s", by, status, r.Checks, want.status, want.state)
		}
	}
}
