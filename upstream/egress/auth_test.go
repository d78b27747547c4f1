package egress_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"sitegate/upstream/egress"
	"sitegate/upstream/egress/krb/krbtest"
)

const (
	corpUser = `CORP\svc-lic`
	corpPass = "p@ss: \"wörd\"%\\,"
	spn      = "HTTP/proxy.corp.test"
)

// all is a proxy with everything configured, and NTLM allowed.
func all(t *testing.T, addr string, service *krbtest.Service) egress.Proxy {
	t.Helper()
	p := egress.Proxy{Address: addr, Username: corpUser, PasswordFile: file(t, corpPass, 0o600), Auth: egress.Schemes()}
	if service == nil {
		service = krbtest.New(t, spn, "127.0.0.1:1")
	}
	p.Kerberos = &egress.Kerberos{CacheFile: service.CacheFile, ConfigFile: service.ConfigFile, SPN: spn}
	return p
}

// echo sends something through a tunnel and reads it back.
func echo(t *testing.T, d *egress.Dialer) error {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", "a.test:443")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, raw := c.(*net.TCPConn); !raw {
		t.Errorf("got a %T, want a *net.TCPConn", c)
	}
	if _, err := io.WriteString(c, "there"); err != nil {
		return err
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "there" {
		t.Errorf("got %q, %v from the tunnel, want what was sent", b, err)
	}
	return nil
}

// What comes in each of the first tunnels, with the number of the connection; every later tunnel is asked for like the last one.
func TestSchemes(t *testing.T) {
	digest := `Digest realm="r", nonce="NONCE", qop="auth"`
	tests := []struct {
		name  string
		proxy *corporate
		auth  []egress.Scheme // nil: all
		want  []string
	}{
		{"squid with Basic", &corporate{offers: []string{`Basic realm="Squid proxy-caching web server"`}}, nil, []string{"1, 1 Basic", "2 Basic"}},
		{"squid with Digest", &corporate{offers: []string{digest}}, nil, []string{"1, 1 Digest", "2 Digest"}},
		{"squid with Digest numbers for two requests", &corporate{offers: []string{digest}, nonces: 2}, nil, []string{"1, 1 Digest", "2 Digest", "3 Digest, 3 Digest", "4 Digest", "5 Digest, 5 Digest"}},
		{"NTLM on a connection that is kept", &corporate{offers: []string{"NTLM"}}, nil, []string{"1, 1 NTLM, 1 NTLM", "2 NTLM, 2 NTLM"}},
		{"Cisco closes after the first 407", &corporate{offers: []string{"NTLM", `Basic realm="Cisco IronPort Web Security Appliance"`}, closeFirst: true}, nil, []string{"1, 2 NTLM, 2 NTLM", "3 NTLM, 3 NTLM"}},
		{"Cisco takes the first message for enough", &corporate{offers: []string{"NTLM"}, type1Is200: true}, nil, []string{"1, 1 NTLM", "2 NTLM"}},
		{"Blue Coat with all in one header, weakest first", &corporate{offers: []string{`Basic realm="a, b", ` + digest + `, NTLM`}, closeFirst: true}, nil, []string{"1, 2 NTLM, 2 NTLM", "3 NTLM, 3 NTLM"}},
		{"NTLM that speaks SPNEGO falls through to Basic", &corporate{offers: []string{"NTLM", `Basic realm="x"`}, type2: "NTLM oRUwE6ADCgEBoQwGCisGAQQBgjcCAgo="}, nil, []string{"1, 1 NTLM, 2 Basic", "3 Basic"}},
		{"NTLM that is not gone on with falls through to Digest", &corporate{offers: []string{"NTLM", digest}, type2: "NTLM"}, nil, []string{"1, 1 NTLM, 2 Digest", "3 Digest"}},
		{"NTLM on connections that are never kept falls through", &corporate{offers: []string{"NTLM", `Basic realm="x"`}, closeAll: true}, nil, []string{"1, 2 NTLM, 3 Basic", "4 Basic"}},
		{"Negotiate that takes no ticket falls through", &corporate{offers: []string{"Negotiate", `Basic realm="x"`}}, nil, []string{"1, 1 Negotiate, 2 Basic", "3 Basic"}},
		{"NTLM is not used unless it is named", &corporate{offers: []string{"NTLM", `Basic realm="x"`}}, []egress.Scheme{}, []string{"1, 1 Basic", "2 Basic"}},
		{"only what is allowed", &corporate{offers: []string{"Negotiate", "NTLM", digest, `Basic realm="x"`}}, []egress.Scheme{egress.Digest}, []string{"1, 1 Digest", "2 Digest"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.proxy
			p.user, p.password = corpUser, corpPass
			p.start(t)
			cfg := all(t, p.addr, p.service)
			if tt.auth != nil {
				cfg.Kerberos, cfg.Auth = nil, tt.auth
				if len(tt.auth) == 0 {
					cfg.Auth = nil
				}
			}
			d := dialer(t, egress.Config{Proxies: []egress.Proxy{cfg}})
			for i, want := range tt.want {
				if err := echo(t, d); err != nil {
					t.Fatalf("tunnel %d: %v", i+1, err)
				}
				if got := p.requests(); got != want {
					t.Errorf("tunnel %d: got %s, want %s", i+1, got, want)
				}
			}
		})
	}
}

func TestKerberos(t *testing.T) {
	service := krbtest.New(t, spn, "127.0.0.1:1")
	p := (&corporate{offers: []string{"NTLM", "Negotiate"}, service: service, user: corpUser, password: corpPass}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{all(t, p.addr, service)}})
	for i, want := range []string{"1, 1 Negotiate", "2 Negotiate", "3 Negotiate"} { // the service refuses a token that it has seen
		if err := echo(t, d); err != nil {
			t.Fatalf("tunnel %d: %v", i+1, err)
		}
		if got := p.requests(); got != want {
			t.Errorf("tunnel %d: got %s, want %s", i+1, got, want)
		}
	}
	if s := d.Status(); len(s) != 1 || s[0].State != egress.Well || s[0].Scheme != egress.Negotiate {
		t.Errorf("got %+v, want one that is well with Negotiate", s)
	}
}

func TestKerberosThatDoesNotWork(t *testing.T) {
	service := krbtest.New(t, spn, "127.0.0.1:1")
	p := (&corporate{offers: []string{"Negotiate"}}).start(t)
	cfg := egress.Proxy{Address: p.addr, Kerberos: &egress.Kerberos{CacheFile: service.CacheFile, ConfigFile: service.ConfigFile, SPN: spn}}
	wantCode(t, echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{cfg}})), egress.ProxyAuthRejected, "Negotiate", "keytab")
	service.Age(t)
	wantCode(t, echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{cfg}})), egress.ProxySecretUnusable, "too old")
	if got := p.requests(); got != "1, 1 Negotiate, 2" {
		t.Errorf("got %s", got)
	}
}

// A KDC that does not take the password is asked twice, however many proxies and connections there are.
func TestPasswordThatTheKDCRejects(t *testing.T) {
	ln := listen(t)
	asked := make(chan struct{}, 100)
	go krbtest.KDC(ln, 24 /* KDC_ERR_PREAUTH_FAILED */, asked)
	service := krbtest.New(t, spn, ln.Addr().String())
	p := (&corporate{offers: []string{"Negotiate", `Basic realm="x"`}, user: corpUser, password: "another"}).start(t)
	cfg := egress.Proxy{Address: p.addr, Username: corpUser, PasswordFile: file(t, corpPass, 0o600),
		Kerberos: &egress.Kerberos{Principal: krbtest.Principal, ConfigFile: service.ConfigFile, SPN: spn}}
	log := new(strings.Builder)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{cfg}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	for range 4 {
		wantCode(t, echo(t, d), egress.ProxyAuthRejected)
	}
	if got := strings.Count(p.requests(), "Basic"); got != 1 {
		t.Errorf("the proxy got the password %d times after the KDC had rejected it once, want 1: two in all", got)
	}
	if s := d.Status()[0]; s.State != egress.Locked || s.Err == nil {
		t.Errorf("got %+v, want it locked", s)
	}
	if !strings.Contains(log.String(), "it is not sent for a while") || strings.Contains(log.String(), "wörd") {
		t.Errorf("the log says %q, want that the password is not sent, and not which", log)
	}
}

// That a proxy lets the node through without a secret ends it that the secret is not sent; so it does for a node that was started since.
func TestALockoutIsOverWhenTheProxyAsksForNothing(t *testing.T) {
	p := (&corporate{offers: []string{`Basic realm="x"`}, user: corpUser, password: "another"}).start(t)
	cfg := egress.Config{Proxies: []egress.Proxy{all(t, p.addr, nil)}}
	cfg.Proxies[0].Auth, cfg.Proxies[0].Kerberos = []egress.Scheme{egress.Basic}, nil
	d, later := dialer(t, cfg), dialer(t, cfg)
	for range 2 {
		wantCode(t, echo(t, d), egress.ProxyAuthRejected)
	}
	if s := d.Status()[0]; s.Secret != egress.SecretStopped {
		t.Fatalf("after two rejections: got %+v, want it not to be sent", s)
	}
	p.mu.Lock()
	p.open = true
	p.mu.Unlock()
	for name, d := range map[string]*egress.Dialer{"the same node": d, "one that was started since": later} {
		if err := echo(t, d); err != nil {
			t.Fatal(err)
		}
		if s := d.Status()[0]; s.Secret != egress.SecretUnasked || s.State != egress.Well || !s.HasSecret || !s.SecretUntil.IsZero() {
			t.Errorf("%s: got %+v, want it well, and its secret not asked for", name, s)
		}
	}
	p.mu.Lock()
	p.open = false
	p.mu.Unlock()
	wantCode(t, echo(t, later), egress.ProxyAuthRejected)
	if s := later.Status()[0]; s.Secret == egress.SecretUnasked {
		t.Errorf("got %+v, want it known that the proxy asks again", s)
	}
}

// Two rejections in one exchange are two; the scheme that was not reached comes first when the time is over.
func TestFallingThroughDoesNotLockTheAccount(t *testing.T) {
	p := (&corporate{offers: []string{"NTLM", `Digest realm="r", nonce="NONCE", qop="auth"`, `Basic realm="x"`}, user: corpUser, password: "another"}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{all(t, p.addr, nil)}})
	wantCode(t, echo(t, d), egress.ProxyAuthRejected, corpUser, "NTLM")
	wantCode(t, echo(t, d), egress.ProxyAuthRejected)
	if got, want := p.requests(), "1, 1 NTLM, 1 NTLM, 2 Digest, 3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Credentials are for the proxy that they are configured for.
func TestCredentialsStayWhereTheyBelong(t *testing.T) {
	stranger := (&corporate{offers: []string{"NTLM", `Basic realm="x"`}, user: corpUser, password: corpPass}).start(t)
	own := (&corporate{offers: []string{`Basic realm="x"`}, user: corpUser, password: corpPass}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{all(t, own.addr, nil)},
		PAC: &egress.PAC{File: file(t, fmt.Sprintf(`function FindProxyForURL(url, host) { return "PROXY %s; PROXY %s" }`, stranger.addr, own.addr), 0o644)}})
	if err := echo(t, d); err != nil {
		t.Fatal(err)
	}
	if got := stranger.requests(); got != "1" {
		t.Errorf("the stranger got %s, want one request with nothing", got)
	}
	if got := own.requests(); got != "1, 1 Basic" {
		t.Errorf("the proxy that is configured got %s", got)
	}
}

func TestCheckTriesEachSchemeOnce(t *testing.T) {
	p := (&corporate{offers: []string{"Negotiate", "NTLM", `Basic realm="x"`}, user: corpUser, password: "another"}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{all(t, p.addr, nil)}})
	f, err := d.Check(t.Context(), egress.Probe{Candidate: p.addr, Address: "a.test:443"})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.Err, egress.ProxyAuthRejected)
	var got []string
	for _, s := range f.Schemes {
		got = append(got, fmt.Sprint(s.Scheme, " ", s.Tried, " ", s.Err != nil))
	}
	if want := "[negotiate true true ntlm true true basic false false]"; fmt.Sprint(got) != want || fmt.Sprint(f.Offers) != "[Negotiate NTLM Basic]" || f.Product != "Server: corporate (edge/5.7)" {
		t.Errorf("got %v, want %v, with all that is offered: %+v", got, want, f)
	}
	if s := p.requests(); strings.Count(s, "NTLM") != 2 || strings.Contains(s, "Basic") {
		t.Errorf("got %s, want the password used once", s)
	}

	right := (&corporate{offers: []string{"NTLM", `Basic realm="x"`}, user: corpUser, password: corpPass}).start(t)
	d = dialer(t, egress.Config{Proxies: []egress.Proxy{all(t, right.addr, nil)}})
	if f, err := d.Check(t.Context(), egress.Probe{Candidate: right.addr, Address: "a.test:443"}); err != nil || f.Err != nil || len(f.Schemes) != 2 || f.Schemes[0].Err != nil || f.TCP <= 0 {
		t.Errorf("got %+v, %v, want NTLM to work", f, err)
	}
	if _, err := d.Check(t.Context(), egress.Probe{Candidate: "nobody", Address: "a.test:443"}); err == nil {
		t.Error("a candidate that there is not: got no error")
	}
}

func TestSecretsAreForTheGatewaysEyes(t *testing.T) {
	service := krbtest.New(t, spn, "127.0.0.1:1")
	if err := os.Chmod(service.CacheFile, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := egress.New(egress.Config{Proxies: []egress.Proxy{all(t, "p.test:1", service)}})
	if err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("got %v, want the credential cache refused", err)
	}
	if e := (*egress.Error)(nil); errors.As(err, &e) {
		t.Error("a configuration's fault has no code")
	}
}
