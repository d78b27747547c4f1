package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Server answers on TLS with a certificate of a CA made for it alone. It runs until Close.
type Server struct {
	// CAPEM is the CA's certificate: what a gateway has to trust for these hosts, and for no other.
	CAPEM []byte

	srv  *http.Server
	ln   net.Listener
	done chan struct{}
}

// Serve answers with h on ln for the host names, which may be IP addresses. It takes over ln.
func Serve(ln net.Listener, h http.Handler, hosts ...string) (*Server, error) {
	caPEM, cert, err := freshCA(hosts)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %v: %w", hosts, err)
	}
	s := &Server{CAPEM: caPEM, ln: ln, done: make(chan struct{}), srv: &http.Server{
		Handler:           h,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes that fail are the caller's to report
	}}
	go func() {
		defer close(s.done)
		s.srv.ServeTLS(ln, "", "") // returns when Close is called
	}()
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close ends all connections and the listener.
func (s *Server) Close() error {
	err := s.srv.Close()
	<-s.done
	return err
}

// freshCA makes a CA and a certificate of it for hosts, both good for 90 days.
func freshCA(hosts []string) (caPEM []byte, leaf tls.Certificate, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, leaf, err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Emulated Cloud CA " + rand.Text()[:6]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 90),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, MaxPathLenZero: true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, leaf, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, leaf, err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Emulated Cloud"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, leaf, err
	}
	caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return caPEM, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
