package siteca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Issue makes a key and a certificate for a node, valid for NodeLife from an hour
// before now and never longer than the CA. hosts are the names and addresses by
// which clients reach it. A peer's certificate names the node to other nodes and
// serves clients as well; one that is not a peer's serves clients only.
func (ca *CA) Issue(node string, hosts []string, peer bool, now time.Time) (cert, key []byte, err error) {
	if !validName(node) {
		return nil, nil, fmt.Errorf("%q cannot be the name of a node: use letters, digits, dots and dashes", node)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making the key of %s: %w", node, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: node, Organization: []string{"sitegate " + ca.cluster}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(NodeLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(ca.cert.NotAfter) {
		template.NotAfter = ca.cert.NotAfter
	}
	if peer {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		template.URIs = []*url.URL{nodeURI(ca.cluster, node)}
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := sign(template, ca.cert, k, ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("making the certificate of %s: %w", node, err)
	}
	if key, err = keyPEM(k); err != nil {
		return nil, nil, err
	}
	return certPEM(der), key, nil
}

func nodeURI(cluster, node string) *url.URL {
	return &url.URL{Scheme: scheme, Host: cluster, Path: "/node/" + node}
}
