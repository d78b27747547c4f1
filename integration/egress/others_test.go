package egress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"sitegate/integration"
	"sitegate/upstream/egress"
)

func TestThroughTinyproxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "tinyproxy", "ss")
	const at = proxyIP + ":8888"
	conf := w.write(t, "tinyproxy.conf", 0o644, "Port 8888\nListen "+proxyIP+"\nTimeout 60\nMaxClients 20\nBasicAuth "+plain+" pass-word\nConnectPort 443\n")
	w.start(t, w.proxy, at, nil, "tinyproxy", "-d", "-c", conf)
	p := egress.Proxy{Address: at, Username: plain, PasswordFile: w.write(t, "proxy.password", 0o600, "pass-word\n")}
	w.reaches(t, one(p))
	p.PasswordFile = w.write(t, "wrong.password", 0o600, "no\n")
	w.fails(t, one(p), egress.ProxyAuthRejected)
}

func TestThroughSOCKS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "microsocks", "danted", "ss")
	t.Run("with a password", func(t *testing.T) {
		const at = proxyIP + ":1080"
		w.start(t, w.proxy, at, nil, "microsocks", "-i", proxyIP, "-p", "1080", "-u", user, "-P", password)
		p := egress.Proxy{Kind: egress.SOCKS5, Address: at, Username: user, PasswordFile: w.write(t, "proxy.password", 0o600, password+"\n")}
		w.reaches(t, one(p))
		p.PasswordFile = w.write(t, "wrong.password", 0o600, "no\n")
		w.fails(t, one(p), egress.ProxyAuthRejected)
	})
	t.Run("without", func(t *testing.T) {
		const at = proxyIP + ":1081"
		conf := w.write(t, "danted.conf", 0o644, "logoutput: stderr\ninternal: "+proxyIP+" port = 1081\nexternal: "+innerIP+"\nsocksmethod: none\nclientmethod: none\n"+
			"user.privileged: root\nuser.unprivileged: nobody\nclient pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 port = 443 }\n")
		w.start(t, w.proxy, at, nil, "danted", "-f", conf, "-p", filepath.Join(w.dir, "danted.pid"))
		w.reaches(t, one(egress.Proxy{Kind: egress.SOCKS5, Address: at}))
	})
}

// A proxy that is spoken to within TLS and wants a certificate: haproxy in front of
// squid.
func TestThroughTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "haproxy", "squid", "openssl", "ss")
	w.squid(t, nil, append(w.basicHelper(t), withPassword...)...)
	const at = proxyIP + ":8443"
	a := newAuthority(t, "Corp Proxies")
	ca := w.write(t, "proxy-ca.pem", 0o644, a.pem)
	cert, key := a.issue(t, proxyHost)
	front := w.write(t, "haproxy.pem", 0o600, cert+key)
	conf := w.write(t, "haproxy.cfg", 0o644, "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\nlisten front\n bind "+at+
		" ssl crt "+front+" ca-file "+ca+" verify required\n server squid "+squidAt+"\n")
	w.start(t, w.proxy, at, nil, "haproxy", "-db", "-f", conf)
	cert, key = a.issue(t, "gateway")
	p := w.byPassword(t, user)
	p.Kind, p.Address, p.CAFile = egress.HTTPS, proxyHost+":8443", ca
	p.CertFile, p.KeyFile = w.write(t, "gateway.pem", 0o644, cert), w.write(t, "gateway.key", 0o600, key)
	w.reaches(t, one(p))
	t.Run("without a certificate", func(t *testing.T) {
		p := p
		p.CertFile, p.KeyFile = "", ""
		w.fails(t, one(p), egress.ProxyTLSFailed)
	})
	t.Run("whose authority is not known", func(t *testing.T) {
		p := p
		p.CAFile = ""
		w.fails(t, one(p), egress.ProxyTLSFailed)
	})
	t.Run("that is spoken to in the clear", func(t *testing.T) {
		p := w.byPassword(t, user)
		p.Address = proxyHost + ":8443"
		for _, r := range w.ask(t, 1, one(p)) {
			if r.Status != 0 || r.Code != string(egress.ProxyBadAnswer) && r.Code != string(egress.ProxyTLSFailed) && r.Code != string(egress.ProxyConnectFailed) && r.Code != string(egress.ProxyNoAnswer) {
				t.Errorf("%+v, want an error of the proxy", r)
			}
		}
	})
}

// The first proxy goes, and comes back.
func TestAnotherProxyTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "tinyproxy", "ss")
	start := func(port string) *integration.Process {
		conf := w.write(t, "tinyproxy-"+port+".conf", 0o644, "Port "+port+"\nListen "+proxyIP+"\nTimeout 60\nMaxClients 20\nConnectPort 443\n")
		return w.start(t, w.proxy, proxyIP+":"+port, nil, "tinyproxy", "-d", "-c", conf)
	}
	start("8889")
	c := egress.Config{Proxies: []egress.Proxy{{Name: "north", Address: proxyIP + ":8888"}, {Name: "south", Address: proxyIP + ":8889"}}}
	w.reaches(t, c)
	first := start("8888")
	w.reaches(t, c)
	first.Kill()
	w.reaches(t, c)
}

// authority is a private CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{c, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

func (a authority) issue(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: a.cert.NotBefore,
		NotAfter: a.cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder}))
}
