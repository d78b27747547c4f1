package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/emulator"
	"sitegate/emulator/proxy"
)

const (
	cloudHost  = "cloud.site.test"
	signInHost = "sign-in.site.test"
	user       = `CORP\svc-licenses`
	password   = `p@ss:"w#rd`
)

// site is a cloud and a sign-in behind a proxy, and a node's configuration.
type site struct {
	dir   string
	proxy *proxy.Proxy
	text  string // of the configuration
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// newSite is one where all is well. The cloud and the sign-in are answered by the handlers, nil by the emulator.
func newSite(t *testing.T, cloud, signIn http.Handler, cfg proxy.Config) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	var ca []byte
	addr := map[string]string{}
	for host, h := range map[string]http.Handler{cloudHost: cloud, signInHost: signIn} {
		if h == nil {
			h = &emulator.Emulator{Issuer: "https://" + signInHost, Sites: map[string]string{"site-1": "cloud-secret-1"}}
		}
		srv, err := emulator.Serve(listen(t), h, host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Close() })
		ca = append(ca, srv.CAPEM...)
		addr[host+":443"] = srv.Addr()
	}
	if cfg.Hosts == nil {
		cfg.Hosts = addr
	}
	s.proxy = proxy.Start(listen(t), cfg)
	t.Cleanup(func() { s.proxy.Close() })
	s.file(t, "ca.pem", string(ca))
	s.file(t, "cloud.secret", "cloud-secret-1\n")
	s.file(t, "proxy.password", password+"\n")
	s.text = fmt.Sprintf(`
node: gw1
data_dir: data
cloud: {url: "https://%s", site_id: site-1, secret_file: cloud.secret}
sign_in: [{issuer: "https://%s", audience: site-gateway}]
egress:
  proxy: {name: main, address: "%s", username: 'CORP\svc-licenses', password_file: proxy.password}
  extra_ca: [{file: ca.pem, hosts: [%s, %s]}]
`, cloudHost, signInHost, s.proxy.Addr(), cloudHost, signInHost)
	return s
}

func (s *site) file(t *testing.T, name, text string) string {
	t.Helper()
	f := filepath.Join(s.dir, name)
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// config reads the site's configuration.
func (s *site) config(t *testing.T) Config {
	t.Helper()
	file := s.file(t, "sitegate.yaml", s.text)
	c, origins, err := configs.Load(file, func(string) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Version: "v1", File: file, Settings: c, Origins: origins, Way: c.Egress.Way(),
		Lookup:    func(context.Context, string) ([]string, error) { return nil, errors.New("there is no DNS here") },
		Addresses: func() ([]net.Addr, error) { return []net.Addr{&net.IPNet{IP: net.IPv4(10, 1, 2, 3)}}, nil },
		Routes:    func() (four, six []string, known bool) { return []string{"10.1.2.1 (eth0)"}, nil, true },
		Synced:    func() (synced, known bool) { return true, true }}
}

// states are the rows in short: step, state and code.
func states(r Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s %s %s\n", c.State, strings.TrimSpace(c.Step+" "+c.Of), c.Code)
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// find is the row of a step about something.
func find(t *testing.T, r Report, step, of string) Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Step == step && strings.Contains(c.Of, of) {
			return c
		}
	}
	t.Fatalf("no row of %s about %q in\n%s", step, of, states(r))
	return Check{}
}

func TestAllIsWellAndTheSecretIsShownOnce(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{Users: map[string]string{user: password}})
	r := Run(t.Context(), s.config(t))
	want := `PASS config
PASS settings
PASS clock
SKIP node
PASS network
SKIP dns
PASS tcp main
PASS asks main
PASS auth main basic
PASS connect cloud.site.test:443 by main
PASS certificate cloud.site.test:443 by main
PASS answer cloud.site.test:443 by main
PASS latency cloud.site.test:443 by main
SKIP connect sign-in.site.test:443 by main
SKIP listener 127.0.0.1:8443
`
	if got := strings.Replace(states(r), "WARN latency", "PASS latency", 1); got != want || r.Failed() { // a busy machine is slow
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if c := find(t, r, "connect", signInHost); !strings.Contains(c.Action, "--to sign-in.site.test:443") {
		t.Errorf("got %+v, want it to say how the other one is tried", c)
	}
	if st := s.proxy.Stats(); st.Tunnels != 1 || st.Rejected != 0 {
		t.Errorf("got %+v, want the credentials shown once", st)
	}

	c := s.config(t)
	c.To = signInHost + ":443"
	r = Run(t.Context(), c)
	if c := find(t, r, "answer", signInHost); c.State != Pass || !strings.Contains(c.Found, "keys") {
		t.Errorf("got %+v, want the sign-in's keys to have come", c)
	}
	if c := find(t, r, "connect", cloudHost); c.State != Skip {
		t.Errorf("got %+v, want the cloud left alone", c)
	}
	if st := s.proxy.Stats(); st.Tunnels != 2 {
		t.Errorf("got %+v, want one more tunnel", st)
	}
}

func TestWrongPassword(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{Users: map[string]string{user: "another"}, Offers: []string{`Digest realm="r", nonce="n", qop="auth"`}})
	r := Run(t.Context(), s.config(t))
	if c := find(t, r, "auth", "main digest"); c.State != Fail || c.Code != "proxy_auth_rejected" || c.Action == "" {
		t.Errorf("got %+v, want it rejected, and what to do", c)
	}
	if c := find(t, r, "auth", "main basic"); c.State != Skip {
		t.Errorf("got %+v, want the same password not sent again by another scheme", c)
	}
	if c := find(t, r, "connect", cloudHost); c.State != Skip {
		t.Errorf("got %+v, want it skipped after that", c)
	}
	if st := s.proxy.Stats(); st.Rejected != 1 || !r.Failed() {
		t.Errorf("got %+v, want one rejection", st)
	}
}

// What the running node has stopped sending is not sent by the doctor either.
func TestLockedSecretIsNotSent(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{Users: map[string]string{user: "another"}})
	c := s.config(t)
	now := time.Now()
	c.Status = &api.Status{Node: "gw1", Time: now, Egress: []api.EgressStatus{{Name: "main", Kind: "http", Address: s.proxy.Addr(), State: "locked", Until: now.Add(time.Minute)}}}
	r := Run(t.Context(), c)
	if c := find(t, r, "auth", "main"); c.State != Skip || !strings.Contains(c.Found, "has rejected") {
		t.Errorf("got %+v, want it skipped", c)
	}
	if st := s.proxy.Stats(); st.Rejected != 0 || st.Tunnels != 0 || st.Challenged == 0 {
		t.Errorf("got %+v, want questions without credentials only", st)
	}
	if c := find(t, r, "node", "gw1"); c.State != Warn || !r.Running {
		t.Errorf("got %+v, want the node's link to be seen to", c)
	}
}

func TestEachHopIsBlamedForItsOwn(t *testing.T) {
	html := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html>Welcome to the guest network</html>")
	})
	late := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			h.ServeHTTP(w, r)
		})
	}
	for name, tt := range map[string]struct {
		cloud  http.Handler
		proxy  proxy.Config
		change func(*site)
		step   string
		of     string
		code   string
		words  string
	}{
		"the proxy is not there":            {change: func(s *site) { s.proxy.Close() }, step: "tcp", of: "main", code: "proxy_connect_refused"},
		"the proxy denies it":               {proxy: proxy.Config{Hosts: map[string]string{}}, step: "connect", of: cloudHost, code: "proxy_denied", words: "allow CONNECT"},
		"nobody vouches for it":             {change: func(s *site) { s.text = strings.ReplaceAll(s.text, "hosts: ["+cloudHost+", ", "hosts: [") }, step: "certificate", of: cloudHost, code: "tls_intercepted"},
		"a page comes instead":              {cloud: html, step: "answer", of: cloudHost, code: "captive_portal"},
		"it sends elsewhere":                {cloud: http.RedirectHandler("https://portal.test/login?token=t", http.StatusFound), step: "answer", of: cloudHost, code: "captive_portal", words: "portal.test"},
		"the clock is wrong":                {cloud: late(&emulator.Emulator{}), step: "clock", code: "clock_skew_api", words: "ahead of cloud.site.test"},
		"it is said to speak TLS":           {change: func(s *site) { s.text = strings.ReplaceAll(s.text, "{name: main,", "{name: main, kind: https,") }, step: "tls", of: "main", code: "proxy_tls_failed"},
		"the password can be read by all":   {change: func(s *site) { _ = os.Chmod(filepath.Join(s.dir, "proxy.password"), 0o644) }, step: "config", of: "egress.proxy.password_file", words: "0600"},
		"the proxy offers what is not here": {proxy: proxy.Config{Offers: []string{"NTLM"}, OnlyOffers: true}, step: "auth", of: "main", code: "proxy_auth_required", words: "NTLM"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.cloud, nil, tt.proxy)
			if tt.change != nil {
				tt.change(s)
			}
			r := Run(t.Context(), s.config(t))
			var first Check
			for _, c := range r.Checks {
				if c.State == Fail {
					first = c
					break
				}
			}
			if first.Step != tt.step || !strings.Contains(first.Of, tt.of) || first.Code != tt.code || first.Action == "" || !strings.Contains(first.Found+" "+first.Action, tt.words) {
				t.Errorf("the first failure is %+v, want %s of %q, %s, with %q\n%s", first, tt.step, tt.of, tt.code, tt.words, states(r))
			}
		})
	}
}

// A way out on which nothing comes back ends with the time there is.
func TestBlackHoleEnds(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	s.proxy.SetLink(proxy.BlackHole)
	c := s.config(t)
	c.Timeout = 300 * time.Millisecond
	r := Run(t.Context(), c)
	if !r.Failed() || find(t, r, "tcp", "main").Step == "" {
		t.Errorf("got no failure:\n%s", states(r))
	}
}

func TestPACFile(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	pac := s.file(t, "proxy.pac", fmt.Sprintf(`function FindProxyForURL(url, host) { if (host == %q) return "PROXY %s"; throw "no"; }`, cloudHost, s.proxy.Addr()))
	s.text = s.text[:strings.Index(s.text, "  proxy:")] + "  pac: {file: " + pac + "}\n  extra_ca: [{file: ca.pem, hosts: [" + cloudHost + "]}]\n"
	r := Run(t.Context(), s.config(t))
	if c := find(t, r, "answer", cloudHost); c.State != Pass {
		t.Errorf("got %+v, want the cloud to answer by the proxy that the file names", c)
	}
	if c := find(t, r, "pac", signInHost); c.State != Fail || c.Code != "pac_failed" {
		t.Errorf("got %+v, want it told that the file fails", c)
	}
}

func TestNamesAreLookedUpOnlyWhereTheyAreNeeded(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{})
	s.text = strings.ReplaceAll(s.text, s.proxy.Addr(), "proxy.corp.invalid:1")
	c := s.config(t)
	var asked []string
	c.Lookup = func(_ context.Context, host string) ([]string, error) {
		asked = append(asked, host)
		return nil, errors.New("no such host")
	}
	x := &examination{Config: c, destinations: destinationsOf(c.Settings)}
	x.configuration()
	x.names(t.Context(), x.hops(t.Context()))
	if row := find(t, x.report, "dns", "proxy.corp.invalid"); row.State != Fail || fmt.Sprint(asked) != "[proxy.corp.invalid]" {
		t.Errorf("got %+v after looking up %v, want the proxy's name alone, and that it fails", row, asked)
	}
}

func TestWhatIsNoSOCKS5(t *testing.T) {
	ln := listen(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	s := newSite(t, nil, nil, proxy.Config{})
	s.text = strings.ReplaceAll(strings.ReplaceAll(s.text, s.proxy.Addr(), ln.Addr().String()), "{name: main,", "{name: main, kind: socks5,")
	r := Run(t.Context(), s.config(t))
	if c := find(t, r, "tcp", "main"); c.State != Pass {
		t.Errorf("got %+v, want a connection", c)
	}
	if c := find(t, r, "asks", "main"); c.State != Fail || c.Action == "" {
		t.Errorf("got %+v, want it to fail", c)
	}
	if c := find(t, r, "auth", "main"); c.State != Skip {
		t.Errorf("got %+v, want it skipped", c)
	}
}

// A strong scheme that is offered and broken is told, and does not hide that a weaker one works and the destination is denied.
func TestWeakerSchemeWorksAndTheDestinationIsDenied(t *testing.T) {
	s := newSite(t, nil, nil, proxy.Config{Users: map[string]string{user: password}, Hosts: map[string]string{}, Offers: []string{"Negotiate"}})
	conf, keytab := s.file(t, "krb5.conf", "[libdefaults]\n dns_lookup_kdc = false\n"), s.file(t, "k.keytab", "\x05\x02")
	s.text = strings.ReplaceAll(s.text, "{name: main,", "{name: main, kerberos: {principal: svc@CORP.TEST, keytab_file: "+keytab+", config_file: "+conf+", spn: HTTP/p},")
	r := Run(t.Context(), s.config(t))
	if c := find(t, r, "auth", "main negotiate"); c.State != Warn || c.Code == "" {
		t.Errorf("got %+v, want a warning", c)
	}
	if c := find(t, r, "auth", "main basic"); c.State != Pass {
		t.Errorf("got %+v, want it to work", c)
	}
	if c := find(t, r, "connect", cloudHost); c.State != Fail || c.Code != "proxy_denied" {
		t.Errorf("got %+v, want the denial", c)
	}
	if !r.Failed() {
		t.Error("nothing failed")
	}
}
