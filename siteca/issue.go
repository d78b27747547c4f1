package siteca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Issue makes a key and a certificate for a node, valid for NodeLife from an hour
// before now and never longer than the CA. hosts are the names and addresses by
// which clients reach it. A peer's certificate names the node to other nodes and
// serves clients as well; one that is not a peer's serves clients only.
func (ca *CA) Issue(node string, hosts []string, peer bool, now time.Time) (cert, key []byte, err error) {
	k, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	t := ca.template(node, hosts, now)
	if peer {
		ca.asPeer(t, node, 0)
	}
	if cert, err = ca.certify(node, t, k.Public()); err != nil {
		return nil, nil, err
	}
	if key, err = keyPEM(k); err != nil {
		return nil, nil, err
	}
	return cert, key, nil
}

// Sign makes a peer's certificate for a node that keeps its key to itself: csr is
// what its Keys.Request gave. Nothing but the key and the hosts are taken from it;
// who the node is, and in which generation, is for the caller to have made sure of.
func (ca *CA) Sign(csr []byte, node string, generation uint64, now time.Time) ([]byte, error) {
	r, err := parseRequest(csr)
	if err != nil {
		return nil, err
	}
	hosts := slices.Clone(r.DNSNames)
	for _, ip := range r.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	t := ca.template(node, hosts, now)
	ca.asPeer(t, node, generation)
	return ca.certify(node, t, r.PublicKey)
}

// The bounds of a request for a certificate.
const (
	maxRequest = 8 << 10
	maxHosts   = 32
)

func parseRequest(csr []byte) (*x509.CertificateRequest, error) {
	if len(csr) > maxRequest {
		return nil, fmt.Errorf("a request for a certificate has %d bytes, at most %d", len(csr), maxRequest)
	}
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, fmt.Errorf("a request for a certificate cannot be read: %w", err)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("a request for a certificate is not by the key that it names: %w", err)
	}
	if k, ok := r.PublicKey.(*ecdsa.PublicKey); !ok || k.Curve != elliptic.P256() {
		return nil, errors.New("a request for a certificate names a key that is not ECDSA on P-256, which a node's is")
	}
	if n := len(r.DNSNames) + len(r.IPAddresses); n > maxHosts {
		return nil, fmt.Errorf("a request for a certificate names %d hosts, at most %d", n, maxHosts)
	}
	for _, h := range r.DNSNames {
		if len(h) > 253 || h == "" {
			return nil, errors.New("a request for a certificate names a host that is none")
		}
	}
	return r, nil
}

// KeyDigest is the SHA-256 of the public key that a request for a certificate
// names: whose request it is. It refuses a request that Sign would refuse.
func KeyDigest(csr []byte) ([32]byte, error) {
	r, err := parseRequest(csr)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(r.RawSubjectPublicKeyInfo), nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a node's key: %w", err)
	}
	return k, nil
}

func (ca *CA) template(node string, hosts []string, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: node, Organization: []string{"sitegate " + ca.cluster}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(NodeLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(ca.cert.NotAfter) {
		t.NotAfter = ca.cert.NotAfter
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return t
}

func (ca *CA) asPeer(t *x509.Certificate, node string, generation uint64) {
	t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	t.URIs = []*url.URL{nodeURI(ca.cluster, node, generation)}
}

func (ca *CA) certify(node string, t *x509.Certificate, key crypto.PublicKey) ([]byte, error) {
	if !validName(node) {
		return nil, fmt.Errorf("%q cannot be the name of a node: use letters, digits, dots and dashes", node)
	}
	der, err := sign(t, ca.cert, key, ca.key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of %s: %w", node, err)
	}
	return certPEM(der), nil
}

func nodeURI(cluster, node string, generation uint64) *url.URL {
	u := &url.URL{Scheme: scheme, Host: cluster, Path: "/node/" + node}
	if generation > 0 {
		u.RawQuery = "generation=" + strconv.FormatUint(generation, 10)
	}
	return u
}

// GenerationOf is how many machines had been let in under the node's name when
// its certificate was made; zero where it was made with the cluster.
func GenerationOf(cert *x509.Certificate) (uint64, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].RawQuery == "" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(cert.URIs[0].RawQuery, "generation=")
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("the certificate of %q says %q, which this version does not understand", cert.Subject.CommonName, cert.URIs[0].RawQuery)
	}
	return n, nil
}
