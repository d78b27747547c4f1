package siteca

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Peer is what a node needs to talk to the other nodes of its cluster.
type Peer struct {
	cluster, node string
	trust         atomic.Pointer[trust]           // of now; a CA that is made anew changes it
	pair          atomic.Pointer[tls.Certificate] // in use; a renewed one takes its place
}

// errEnded: a certificate's time is over.
var errEnded = errors.New("it has ended: a node that was off for that long joins anew, with a token")

// NewPeer reads the site CA's certificate (the newest first, where two are trusted) and a node's certificate and key, all
// in PEM form, and makes sure that they belong together and to this node.
func NewPeer(cluster, node string, ca, cert, key []byte) (*Peer, error) {
	roots, err := parseCerts(ca)
	if err != nil {
		return nil, fmt.Errorf("the site CA: %w", err)
	}
	t, err := newTrust(cluster, roots...)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of %s: %w", node, err)
	}
	p := &Peer{cluster: cluster, node: node}
	p.trust.Store(t)
	p.pair.Store(&pair)
	if err := p.verifyOwn(t, &pair); err != nil {
		return nil, err
	}
	return p, nil
}

// verifyOwn makes sure that a certificate is this node's, by one of these CAs.
func (p *Peer) verifyOwn(t *trust, pair *tls.Certificate) error {
	chain := []*x509.Certificate{pair.Leaf}
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("this node's own certificate: what follows it: %w", err)
		}
		chain = append(chain, c)
	}
	if err := t.verify(chain, p.cluster, p.node, x509.ExtKeyUsageClientAuth); err != nil {
		return fmt.Errorf("this node's own certificate: %w", err)
	}
	return nil
}

// LoadPeer is NewPeer from files.
func LoadPeer(cluster, node, caFile, certFile, keyFile string) (*Peer, error) {
	var data [3][]byte
	for i, file := range []string{caFile, certFile, keyFile} {
		var err error
		if data[i], err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("reading the node's certificates: %w", err)
		}
	}
	return NewPeer(cluster, node, data[0], data[1], data[2])
}

// Node is the name this peer goes by.
func (p *Peer) Node() string { return p.node }

// Cluster is the id of its cluster.
func (p *Peer) Cluster() string { return p.cluster }

// Expires is when its certificate does.
func (p *Peer) Expires() time.Time { return p.pair.Load().Leaf.NotAfter }

// Certificate is the one in use now, which serves clients as well.
func (p *Peer) Certificate() *tls.Certificate { return p.pair.Load() }

func (p *Peer) serve(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.pair.Load(), nil }

func (p *Peer) call(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.pair.Load(), nil }

// ServerTLS accepts nodes of this cluster and nobody else; NodeOf tells which one
// has connected. Like ClientTLS, it shows whichever certificate is in use when
// somebody connects; whom it trusts is of when it was called.
func (p *Peer) ServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         p.serve,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              p.trust.Load().pool,
		SessionTicketsDisabled: true, // each connection shows its certificate
		VerifyConnection: func(cs tls.ConnectionState) error {
			return p.trust.Load().verify(cs.PeerCertificates, p.cluster, "", x509.ExtKeyUsageClientAuth)
		},
	}
}

// ClientTLS connects to the node of that name and to nothing else; the address
// that was dialled does not count. With an empty name it connects to any node of
// this cluster, and the caller asks NodeOf which one it is.
func (p *Peer) ClientTLS(node string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetClientCertificate: p.call,
		RootCAs:              p.trust.Load().pool,
		// The standard check is of the host name. VerifyConnection checks the chain
		// and the node's name in its place, on every connection.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			return p.trust.Load().verify(cs.PeerCertificates, p.cluster, node, x509.ExtKeyUsageServerAuth)
		},
	}
}

func leaf(cs tls.ConnectionState) *x509.Certificate {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	return cs.PeerCertificates[0]
}

// NodeOf is the node at the other end of a verified peer connection.
func NodeOf(cs tls.ConnectionState) (cluster, node string, err error) {
	cert := leaf(cs)
	if cert == nil {
		return "", "", errors.New("the other end showed no certificate")
	}
	return nameOf(cert)
}

func nameOf(cert *x509.Certificate) (cluster, node string, err error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != scheme {
		return "", "", fmt.Errorf("the certificate of %q is not a node's", cert.Subject.CommonName)
	}
	node, ok := strings.CutPrefix(cert.URIs[0].Path, "/node/")
	if !ok || !validName(node) {
		return "", "", fmt.Errorf("the certificate of %q names no node", cert.Subject.CommonName)
	}
	return cert.URIs[0].Host, node, nil
}
