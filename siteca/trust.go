package siteca

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// trust is whom a node believes: the site's CA, and the one before it while that is
// replaced, the newest first. It is not changed; another takes its place.
type trust struct {
	roots []*x509.Certificate
	pool  *x509.CertPool
}

func newTrust(cluster string, roots ...*x509.Certificate) (*trust, error) {
	t := &trust{pool: x509.NewCertPool()}
	for _, r := range roots {
		if slices.ContainsFunc(t.roots, r.Equal) {
			continue
		}
		t.roots = append(t.roots, r)
		if id, ok := clusterOf(r); !ok || id != cluster {
			return nil, fmt.Errorf("the site CA is %q, not that of the cluster %s", r.Subject.CommonName, cluster)
		}
		t.pool.AddCert(r)
	}
	return t, nil
}

func (t *trust) newest() *x509.Certificate { return t.roots[0] }

// issuerOf is the CA that a certificate is by, or nil.
func (t *trust) issuerOf(c *x509.Certificate) *x509.Certificate {
	for _, r := range t.roots {
		if bytes.Equal(c.AuthorityKeyId, r.SubjectKeyId) {
			return r
		}
	}
	return nil
}

// verify checks a certificate and what was shown along with it against these CAs and
// the cluster; node may be empty for any of its nodes. Who does not know the newest CA
// yet knows it by the certificate that the one before has given it.
func (t *trust) verify(chain []*x509.Certificate, cluster, node string, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 || chain[0] == nil {
		return errors.New("the other end showed no certificate")
	}
	cert, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:min(len(chain), maxCAs)] {
		between.AddCert(c)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: t.pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		if time.Now().After(cert.NotAfter) {
			err = errors.Join(errEnded, err)
		}
		return fmt.Errorf("the certificate of %q is not one of cluster %s: %w", cert.Subject.CommonName, cluster, err)
	}
	id, name, err := nameOf(cert)
	switch {
	case err != nil:
		return err
	case id != cluster:
		return fmt.Errorf("node %s belongs to cluster %s, not to %s", name, id, cluster)
	case node != "" && name != node:
		return fmt.Errorf("this is node %s, not %s: check the addresses in cluster.peers", name, node)
	}
	return nil
}

// Issuer is the CA that the certificate in use is by, the newest where that cannot be told.
// It is not to be changed.
func (p *Peer) Issuer() *x509.Certificate {
	t := p.trust.Load()
	if r := t.issuerOf(p.pair.Load().Leaf); r != nil {
		return r
	}
	return t.newest()
}

// Pin is the SHA-256 of the certificate of the CA that this node's own is by: a newcomer
// has it from the join token, and knows by it whom it talks to before it says anything.
func (p *Peer) Pin() [32]byte { return sha256.Sum256(p.Issuer().Raw) }

// Newest is the SHA-256 of the newest CA's certificate. Where it is not Pin, the site's
// CA is being replaced, and this node has no certificate by the new one yet.
func (p *Peer) Newest() [32]byte { return sha256.Sum256(p.trust.Load().newest().Raw) }

// CA is the newest CA's certificate. It is not to be changed.
func (p *Peer) CA() *x509.Certificate { return p.trust.Load().newest() }

// CAs are those that are trusted, the newest first. They are not to be changed.
func (p *Peer) CAs() []*x509.Certificate { return p.trust.Load().roots }

// Trusts reports whether a CA, by its certificate in PEM form, is trusted.
func (p *Peer) Trusts(ca []byte) bool {
	c, err := parseCert(ca)
	return err == nil && slices.ContainsFunc(p.CAs(), c.Equal)
}

// CAPEM are the certificates of the CAs that are trusted, the newest first.
func (p *Peer) CAPEM() []byte { return p.trust.Load().pem() }

func (t *trust) pem() []byte {
	var all []byte
	for _, r := range t.roots {
		all = append(all, certPEM(r.Raw)...)
	}
	return all
}
