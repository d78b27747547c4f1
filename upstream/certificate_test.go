package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator/proxy"
	"sitegate/upstream"
	"sitegate/upstream/egress"
)

// selfSigned is a certificate for hosts that ends at a time, which vouches for itself.
func selfSigned(t *testing.T, end time.Time, hosts ...string) (cert tls.Certificate, caPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Somebody's CA"}, DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
		NotBefore: end.AddDate(0, -1, 0), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A cloud that does not show a certificate that is good for it now is none: it is asked
// nothing, and gets no secret.
func TestACloudWithAnotherCertificateIsAskedNothing(t *testing.T) {
	good := time.Now().AddDate(0, 1, 0)
	expired, expiredCA := selfSigned(t, time.Now().Add(-time.Hour), apiHost, imsHost)
	foreign, _ := selfSigned(t, good, apiHost, imsHost)
	_, otherCA := selfSigned(t, good, apiHost, imsHost)
	elsewhere, elsewhereCA := selfSigned(t, good, "portal.test")
	for name, test := range map[string]struct {
		shown   tls.Certificate
		trusted string
		code    egress.Code
	}{
		"expired":         {expired, expiredCA, egress.TLSExpired},
		"foreign":         {foreign, otherCA, egress.TLSIntercepted},
		"of another host": {elsewhere, elsewhereCA, egress.TLSNameMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{test.shown}}
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.StartTLS()
			t.Cleanup(srv.Close)
			at := srv.Listener.Addr().String()
			p := proxy.Start(listen(t), proxy.Config{Hosts: map[string]string{apiHost + ":443": at, imsHost + ":443": at}})
			t.Cleanup(func() { p.Close() })
			d, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}, ExtraCA: []egress.ExtraCA{{File: file(t, test.trusted), Hosts: []string{apiHost, imsHost}}}})
			if err != nil {
				t.Fatal(err)
			}
			c, err := upstream.New(upstream.Config{API: "https://" + apiHost, Issuer: "https://" + imsHost, SiteID: "north", SecretFile: file(t, "s"), Dialer: d})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			for call, err := range calls(t, c) {
				var e *egress.Error
				if !errors.Is(err, upstream.ErrUnreachable) || !errors.As(err, &e) || e.Code != test.code {
					t.Errorf("%s: got %v, want ErrUnreachable because of %s", call, err, test.code)
				}
			}
			if n := asked.Load(); n != 0 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}
