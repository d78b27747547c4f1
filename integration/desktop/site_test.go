package desktop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator/proxy"
	"sitegate/integration"
	"sitegate/integration/desktop"
	"sitegate/upstream/cloudapi"
)

// The names that desktops of a site know. The site's DNS leads both to its nodes.
const (
	siteName      = "licenses.site.example"
	discoveryHost = "discovery.vendor.example"
)

// site is a site of real nodes that relay what its desktops say.
type site struct {
	*integration.Site
	t     *testing.T
	trust *x509.CertPool // of its desktops
	first atomic.Int32   // the node that its DNS names first
}

func newSite(t *testing.T, nodes int, env ...string) *site {
	t.Helper()
	return newSiteWith(t, nodes, "", env...)
}

// newSiteWith is newSite with nodes whose config files go on with these settings.
func newSiteWith(t *testing.T, nodes int, settings string, env ...string) *site {
	t.Helper()
	s := &site{t: t}
	dir := t.TempDir()
	ca := s.discoveryCertificate(dir)
	vendor := "https://" + integration.CloudHost
	s.Site = integration.NewSiteWith(t, nodes, 20, settings, append([]string{
		"SITEGATE_RELAY_URL=https://" + siteName,
		"SITEGATE_RELAY_CERT_FILE=" + filepath.Join(dir, "discovery.pem"), "SITEGATE_RELAY_KEY_FILE=" + filepath.Join(dir, "discovery.key"),
		"SITEGATE_RELAY_DISCOVERY_URL=" + vendor + cloudapi.PathDiscovery,
		"SITEGATE_RELAY_POLICY_URL=" + vendor + cloudapi.DefaultPolicyPath,
		"SITEGATE_RELAY_POSTING_URL=" + vendor + cloudapi.PathPosting,
		"SITEGATE_RELAY_LOCATION_URL=" + vendor + cloudapi.PathLocation,
		"SITEGATE_RELAY_ACCESS_KEY_URL=" + vendor + "/Bentley.ULAS.AccessKeyService/AccessKeySvcWebApi",
		"SITEGATE_RELAY_UPLOAD_HOSTS=" + integration.CloudHost,
	}, env...)...)
	s.Cloud.UploadHost = integration.CloudHost
	s.trust = x509.NewCertPool()
	s.trust.AppendCertsFromPEM(s.CAPEM)
	s.trust.AppendCertsFromPEM(ca)
	return s
}

// discoveryCertificate makes the certificate for the discovery host, by a CA that
// desktops trust for nothing else.
func (s *site) discoveryCertificate(dir string) (ca []byte) {
	s.t.Helper()
	must := func(err error) {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	now := time.Now()
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Discovery at this site"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.AddDate(0, 0, 30), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{discoveryHost}}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: discoveryHost}, DNSNames: []string{discoveryHost},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), caKey)
	must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "discovery.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(os.WriteFile(filepath.Join(dir, "discovery.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
}

// way is a desktop's way to its services: by the site's names, to the first node that
// takes the connection, and to nothing else.
func (s *site) way() *http.Client {
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.trust, MinVersion: tls.VersionTLS12}, ExpectContinueTimeout: 5 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != siteName+":443" && addr != discoveryHost+":443" {
				return nil, fmt.Errorf("there is no way from a desktop to %s", addr)
			}
			var failed error
			for i := range s.Nodes {
				u, err := url.Parse(s.Nodes[(int(s.first.Load())+i)%len(s.Nodes)].URL)
				if err != nil {
					return nil, err
				}
				c, err := new(net.Dialer).DialContext(ctx, network, u.Host)
				if err == nil {
					return c, nil
				}
				failed = errors.Join(failed, err)
			}
			return nil, failed
		}}
	s.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Timeout: 60 * time.Second, Transport: t}
}

// desk is a machine with a user at it, whose clock the test can put forward.
type desk struct {
	*desktop.Client
	s      *site
	config desktop.Config
	ahead  time.Duration
}

func (s *site) desk(user, machine string, more ...func(*desktop.Config)) *desk {
	s.t.Helper()
	token := s.Token(s.t, user)
	d := &desk{s: s, config: desktop.Config{Folder: s.t.TempDir(), Discovery: "https://" + discoveryHost + "/discovery.asmx", HTTP: s.way(),
		Defaults: map[string]string{desktop.PolicyService: "https://past-the-gateway.example/api"}, Version: "23.0.1.25", Machine: machine, User: user, Login: `CORP\user`,
		Authorization: func() string { return "Bearer " + token }, RealTime: true}}
	d.config.Now = func() time.Time { return time.Now().Add(d.ahead) }
	for _, change := range more {
		change(&d.config)
	}
	d.reboot()
	return d
}

// saml has the user come with a SAML token.
func (s *site) saml(user string) func(*desktop.Config) {
	s.t.Helper()
	token, err := s.Cloud.SAMLToken(user, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return func(c *desktop.Config) { c.Authorization = func() string { return "SAML " + token } }
}

func version(v string) func(*desktop.Config) { return func(c *desktop.Config) { c.Version = v } }

// reboot starts the client anew on what the machine has kept.
func (d *desk) reboot() {
	d.s.t.Helper()
	var err error
	if d.Client, err = desktop.New(d.config); err != nil {
		d.s.t.Fatal(err)
	}
}

// start starts a product, and checks what its user sees. A user who does not see it tries
// again for a while: a site on a slow machine may have no leader at that moment.
func (d *desk) start(product string, want desktop.Status) (a *desktop.Application) {
	d.s.t.Helper()
	integration.Eventually(d.s.t, 45*time.Second, fmt.Sprintf("%s on %s", product, d.config.Machine), func() error {
		a = d.Start(d.s.t.Context(), desktop.Product{ID: product, Version: "24.0.1.10"})
		return d.sees(a, want)
	})
	return a
}

func (d *desk) sees(a *desktop.Application, want desktop.Status) error {
	if got := a.Status(); got != want {
		return fmt.Errorf("its user sees %v (%s), want %v", got, a.Message(), want)
	}
	return nil
}

// refresh has a product ask for its policy again, and checks what its user sees then.
func (d *desk) refresh(a *desktop.Application, want desktop.Status) {
	d.s.t.Helper()
	integration.Eventually(d.s.t, 45*time.Second, "refreshed on "+d.config.Machine, func() error {
		a.Refresh(d.s.t.Context())
		return d.sees(a, want)
	})
}

// stop ends a product, and sees that all that it posted was taken.
func (d *desk) stop(a *desktop.Application) {
	d.s.t.Helper()
	taken := a.Stop(d.s.t.Context())
	integration.Eventually(d.s.t, 45*time.Second, "what was posted on "+d.config.Machine+" is taken", func() error {
		if taken = taken || a.SendLogs(d.s.t.Context()); !taken {
			return errors.New("it is not")
		}
		return nil
	})
}

// pass puts the machine's clock forward in steps of an hour, and lets the product do
// what is due.
func (d *desk) pass(a *desktop.Application, hours int) {
	for range hours {
		d.ahead += time.Hour
		a.Tick(d.s.t.Context())
	}
}

// link cuts the site's way to the vendor, or mends it, and waits until the site knows.
func (s *site) link(state proxy.Link, want string) {
	s.t.Helper()
	s.Proxy.SetLink(state)
	integration.Eventually(s.t, 90*time.Second, "the site knows that its link is "+want, func() error {
		st, err := s.Status(s.Nodes[s.Leader(s.t)])
		if err == nil && st.Link.State != want {
			err = fmt.Errorf("it says %s", st.Link.State)
		}
		return err
	})
}

// sitegate runs the operator's command on a node's machine.
func (s *site) sitegate(node int, args ...string) string {
	s.t.Helper()
	status, stdout, stderr := s.Tool(s.t, s.Nodes[node], args...)
	if status != 0 {
		s.t.Errorf("sitegate %v: status %d, %s", args, status, stderr)
	}
	return stdout
}

// logged waits until a node has logged a line with all of these in it.
func (s *site) logged(parts ...string) {
	s.t.Helper()
	integration.Eventually(s.t, 20*time.Second, fmt.Sprintf("a line with %q in a node's log", parts), func() error {
		for _, n := range s.Nodes {
			for line := range strings.Lines(n.Output()) {
				all := true
				for _, p := range parts {
					all = all && strings.Contains(line, p)
				}
				if all {
					return nil
				}
			}
		}
		return errors.New("there is none")
	})
}

func TestMain(m *testing.M) {
	code := m.Run()
	integration.RemovePrograms()
	os.Exit(code)
}
