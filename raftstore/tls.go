package raftstore

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"sitegate/license"
	"sitegate/siteca"
)

// certName is who a peer is, by its certificate.
type certName struct {
	cluster, node string
	generation    uint64 // see license.Node
	key           license.Digest
}

// nameOf reads the node's name from a certificate's URI:
// sitegate://<cluster>/node/<name>.
func nameOf(cert *x509.Certificate) (certName, error) {
	for _, u := range cert.URIs {
		if u.Scheme != "sitegate" {
			continue
		}
		node, ok := strings.CutPrefix(u.Path, "/node/")
		if ok && u.Host != "" && nodeName.MatchString(node) {
			generation, err := siteca.GenerationOf(cert)
			return certName{u.Host, node, generation, sha256.Sum256(cert.RawSubjectPublicKeyInfo)}, err
		}
	}
	return certName{}, errors.New("its certificate names no sitegate node (a URI sitegate://<cluster>/node/<name>)")
}

func peerName(c *tls.Conn) (certName, error) {
	certs := c.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return certName{}, errors.New("it shows no certificate")
	}
	return nameOf(certs[0])
}

// tlsOf gives what this node shows and whom it trusts, as a server and as a client: anew
// each time, since the site's CA may be replaced.
type tlsOf func() (server, client *tls.Config)

func tlsOfKeys(k *siteca.Keys) tlsOf {
	return func() (server, client *tls.Config) { return k.ServerTLS(), k.ClientTLS("") }
}

// serverTLS asks every peer for a certificate of the cluster's CA.
func serverTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	c.NextProtos = nil
	return c
}

// clientTLS trusts the cluster's CA only, and goes by the name in the
// certificate's URI instead of a host name: nodes move between addresses.
func clientTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	roots := c.RootCAs
	c.MinVersion = max(c.MinVersion, tls.VersionTLS13)
	c.NextProtos = nil
	c.InsecureSkipVerify = true // replaced by the whole check below, less the host name
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the peer shows no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		for _, cert := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(cert)
		}
		if _, err := s.PeerCertificates[0].Verify(o); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		_, err := nameOf(s.PeerCertificates[0])
		return err
	}
	return c
}

// notTrusted reports whether a connection failed because one side does not
// accept the other's certificate.
func notTrusted(err error) bool {
	var alert tls.AlertError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &alert) || errors.As(err, &cert)
}

func trustError(name, address string, err error) error {
	return fmt.Errorf("node %s at %s and this node do not accept each other's certificates (%w); use certificates of one and the same site. "+
		"Where the site's CA was replaced while this node was off for too long, or it was removed: remove it on another node, move its data folder away, and join again with a token: sitegate cluster join", name, address, err)
}
