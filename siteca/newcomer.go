package siteca

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// NewcomerProto is the ALPN name by which somebody without a certificate asks a
// node's peer port to be let in.
const NewcomerProto = "sitegate-join/1"

// NewcomerTLS is for those who connect without a certificate and speak
// NewcomerProto. It shows, along with the node's own, the certificate of the CA that that is by.
func (p *Peer) NewcomerTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{NewcomerProto},
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := *p.pair.Load()
			c.Certificate = append(c.Certificate[:1:1], p.Issuer().Raw)
			return &c, nil
		},
	}
}

// PinnedTLS is the newcomer's side: it goes on only with a node of that cluster
// whose CA has the pin.
func PinnedTLS(pin [32]byte, cluster string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{NewcomerProto},
		// There is no CA to trust yet, and no host name to go by: the pin and the
		// cluster's id are checked in place of both.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := pinned(cs, pin, cluster)
			return err
		},
	}
}

// PinnedCA is the CA's certificate, in PEM form, that the other end of a pinned
// connection has shown.
func PinnedCA(cs tls.ConnectionState, pin [32]byte, cluster string) ([]byte, error) {
	root, err := pinned(cs, pin, cluster)
	if err != nil {
		return nil, err
	}
	return certPEM(root.Raw), nil
}

func pinned(cs tls.ConnectionState, pin [32]byte, cluster string) (*x509.Certificate, error) {
	if cs.NegotiatedProtocol != NewcomerProto {
		return nil, errors.New("what answers there lets nobody in: is it the peer port of a node?")
	}
	for _, c := range cs.PeerCertificates[min(1, len(cs.PeerCertificates)):] {
		if sha256.Sum256(c.Raw) != pin {
			continue
		}
		if id, ok := clusterOf(c); !ok || id != cluster {
			return nil, fmt.Errorf("the join token is of cluster %s, its CA is %q", cluster, c.Subject.CommonName)
		}
		t, err := newTrust(cluster, c)
		if err != nil {
			return nil, err
		}
		return c, t.verify(cs.PeerCertificates[:1], cluster, "", x509.ExtKeyUsageServerAuth)
	}
	return nil, errors.New("what answers there is not a node of the join token's cluster: its certificate is by another CA, or the site's was replaced since: ask for a new token")
}
