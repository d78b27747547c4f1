// Package siteca is the site's own certificate authority: it makes the
// certificates by which the nodes of one cluster know each other, and the one a
// node shows its clients where the site has no PKI of its own to offer.
//
// A node's certificate says who it is with a URI, sitegate://CLUSTER/node/NAME,
// and both ends of a peer connection check it: a certificate of another CA, of
// another cluster under the same CA, of another node than the one that was
// dialled, or one made for clients only, is refused. Names and addresses in a
// certificate are for clients and decide nothing among peers.
//
// A node's certificate and key are its Keys, in its data folder; the certificate is
// replaced there while it is in use. The CA's key lies beside them on nodes that
// may sign, which are those that vote: see docs/decisions/0011. The CA itself is
// replaced by its Successor, and for a while both are trusted: see docs/decisions/0033.
// The package leaves to others who listens, who dials, and who may have a
// certificate.
package siteca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// How long certificates live, and how far they reach back for clocks that are
// behind.
const (
	CALife   = 10 * 365 * 24 * time.Hour
	NodeLife = 2 * 365 * 24 * time.Hour
	backdate = time.Hour
)

const scheme = "sitegate"

// CA issues certificates for one cluster.
type CA struct {
	cluster string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

// New makes a CA for a cluster, valid from an hour before now.
func New(cluster string, now time.Time) (*CA, error) {
	if !validName(cluster) {
		return nil, fmt.Errorf("%q cannot be the name of a cluster: use letters, digits, dots and dashes", cluster)
	}
	key, err := newCAKey()
	if err != nil {
		return nil, err
	}
	return newCA(cluster, "", key, now)
}

func newCAKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the site CA's key: %w", err)
	}
	return key, nil
}

// newCA has mark in its name, so that people tell it from the one before.
func newCA(cluster, mark string, key *ecdsa.PrivateKey, now time.Time) (*CA, error) {
	template := caTemplate(cluster, mark, now)
	cert, err := caCert(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &CA{cluster: cluster, cert: cert, key: key}, nil
}

func caTemplate(cluster, mark string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "sitegate site CA " + cluster + mark, Organization: []string{"sitegate"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(CALife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1, // one CA below it: the one that takes its place
		URIs:                  []*url.URL{{Scheme: scheme, Host: cluster}},
	}
}

// caCert is the certificate of a CA's key, by its own or by another CA's.
func caCert(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := sign(template, parent, key.Public(), by)
	if err != nil {
		return nil, fmt.Errorf("making the site CA's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading back the site CA's certificate: %w", err)
	}
	return cert, nil
}

// Cluster is the id in every certificate of this CA.
func (ca *CA) Cluster() string { return ca.cluster }

// CertPEM is the CA's certificate, which every node and every client may have.
func (ca *CA) CertPEM() []byte { return certPEM(ca.cert.Raw) }

// KeyPEM is the CA's key.
func (ca *CA) KeyPEM() ([]byte, error) { return keyPEM(ca.key) }

// Fingerprint is the CA's, to compare by eye or over the telephone.
func (ca *CA) Fingerprint() string { return Fingerprint(ca.cert.Raw) }

// Fingerprint is the SHA-256 of a certificate in DER form: "SHA256:ab:cd:…".
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = hex.EncodeToString([]byte{b})
	}
	return "SHA256:" + strings.Join(parts, ":")
}

func sign(template, parent *x509.Certificate, key crypto.PublicKey, by *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	return x509.CreateCertificate(rand.Reader, template, parent, key, by)
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)

func validName(s string) bool { return nameForm.MatchString(s) && !strings.Contains(s, "..") }

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseCA reads a CA from the PEM of its certificate and key.
func parseCA(cert, key []byte) (*CA, error) {
	c, err := parseCert(cert)
	if err != nil {
		return nil, err
	}
	keys, err := parseCAKeys(key)
	if err != nil {
		return nil, err
	}
	k := keyOf(c, keys)
	if k == nil {
		return nil, errors.New("the key is not that of the certificate")
	}
	cluster, ok := clusterOf(c)
	if !ok {
		return nil, errors.New("the certificate is not that of a site CA")
	}
	return &CA{cluster: cluster, cert: c, key: k}, nil
}

// parseCAKeys reads the keys in a CA's key file: two while it is made anew.
func parseCAKeys(data []byte) (keys []*ecdsa.PrivateKey, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		k, ok := parsed.(*ecdsa.PrivateKey)
		if err != nil || !ok || len(keys) == maxCAs {
			return nil, errors.New("the key cannot be read") // what a parser says of a key stays here
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("the key is not in PEM form")
	}
	return keys, nil
}

// keyOf is the certificate's key, or nil.
func keyOf(c *x509.Certificate, keys []*ecdsa.PrivateKey) *ecdsa.PrivateKey {
	for _, k := range keys {
		if k.PublicKey.Equal(c.PublicKey) {
			return k
		}
	}
	return nil
}

// maxCAs bounds the CAs in a file.
const maxCAs = 4

// parseCert is the first certificate in PEM form.
func parseCert(data []byte) (*x509.Certificate, error) {
	all, err := parseCerts(data)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func parseCerts(data []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(all) == maxCAs {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the certificate cannot be read: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no certificate in PEM form")
	}
	return all, nil
}

func clusterOf(c *x509.Certificate) (string, bool) {
	if !c.IsCA || len(c.URIs) != 1 || c.URIs[0].Scheme != scheme || c.URIs[0].Path != "" {
		return "", false
	}
	return c.URIs[0].Host, true
}
