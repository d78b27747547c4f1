package siteca

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// ErrNoCAKey: this node does not hold the key of the site's CA.
var ErrNoCAKey = errors.New("this node does not hold the key of the site's CA")

// Keys are what a node has to show who it is, as it lies in its data folder: its
// key, its certificate, the CA's certificate, and the CA's key where the node may
// sign. While the CA is replaced there are two of it, the newest first. Its methods may
// be called at once from many goroutines.
//
//	DIR/cluster/node.pem, node.key    the node's own
//	DIR/ca/site-ca.pem, site-ca.key   the site's
//	DIR/ca/trusted-as-of              as of when these are trusted, once the CA was replaced
type Keys struct {
	*Peer
	dir string

	mu     sync.Mutex
	caKeys []*ecdsa.PrivateKey // of CAs, as they are in their file; those of others are not used
	asOf   int64               // see Trust
}

// Folder is where a node's own pair lies in a data folder, CAFolder where the CA's
// files do.
func Folder(dataDir string) string   { return filepath.Join(dataDir, "cluster") }
func CAFolder(dataDir string) string { return filepath.Join(dataDir, "ca") }

// OpenKeys reads a node's keys from its data folder. An error that is fs.ErrNotExist
// says that there are none.
func OpenKeys(dataDir, cluster, node string) (*Keys, error) {
	own := Folder(dataDir)
	p, err := LoadPeer(cluster, node, filepath.Join(CAFolder(dataDir), CAFile), filepath.Join(own, CertFile), filepath.Join(own, KeyFile))
	if err != nil {
		return nil, err
	}
	k := &Keys{Peer: p, dir: dataDir}
	if k.asOf, err = readAsOf(dataDir); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(k.caKeyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		k.caKeys, err = parseCAKeys(key)
	}
	if err == nil && !slices.ContainsFunc(p.trust.Load().roots, func(r *x509.Certificate) bool { return keyOf(r, k.caKeys) != nil }) {
		err = errors.New("the key is not that of the certificate")
	}
	if err != nil {
		return nil, fmt.Errorf("the site CA in %s: %w", CAFolder(dataDir), err)
	}
	return k, nil
}

// MakeKeys puts a pair that was made elsewhere into a data folder, with the CA's
// certificate; what was there of the node's own is replaced.
func MakeKeys(dataDir, cluster, node string, ca, cert, key []byte) (*Keys, error) {
	if _, err := NewPeer(cluster, node, ca, cert, key); err != nil {
		return nil, err
	}
	if err := keepCA(dataDir, ca); err != nil {
		return nil, err
	}
	own := Folder(dataDir)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of certificates: %w", err)
	}
	// A crash between the two leaves a key without its certificate, which is made
	// anew.
	if err := replace(filepath.Join(own, CertFile), nil); err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(own, KeyFile), key); err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(own, CertFile), cert); err != nil {
		return nil, err
	}
	return OpenKeys(dataDir, cluster, node)
}

// keepCA puts the CA's certificate into a data folder, unless another one is there.
func keepCA(dataDir string, ca []byte) error {
	file := filepath.Join(CAFolder(dataDir), CAFile)
	there, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(CAFolder(dataDir), 0o700); err != nil {
			return fmt.Errorf("making the folder of the site CA: %w", err)
		}
		return replace(file, ca)
	case err != nil:
		return fmt.Errorf("reading the site CA: %w", err)
	}
	old, err := parseCerts(there)
	if err != nil {
		return fmt.Errorf("the site CA in %s: %w", file, err)
	}
	if c, err := parseCert(ca); err != nil || !slices.ContainsFunc(old, c.Equal) {
		return fmt.Errorf("%s is that of another site: move the data folder's ca away if this machine is to be part of this one", file)
	}
	return nil
}

// WriteFile writes a file for its owner alone, as a whole or not at all; its folder is
// made if need be.
func WriteFile(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("making the folder of %s: %w", file, err)
	}
	return replace(file, data)
}

// ClusterOf is the cluster of the CA whose certificate is in a file; empty: there is
// no such file.
func ClusterOf(caFile string) (string, error) {
	data, err := os.ReadFile(caFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the site CA: %w", err)
	}
	c, err := parseCert(data)
	if err != nil {
		return "", fmt.Errorf("the site CA in %s: %w", caFile, err)
	}
	id, ok := clusterOf(c)
	if !ok {
		return "", fmt.Errorf("%s is not the certificate of a site CA", caFile)
	}
	return id, nil
}

// replace writes a file for its owner alone and gives it its name in one step; nil
// removes it.
func replace(file string, data []byte) error {
	if data == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replacing %s: %w", file, err)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, errors.Join(err, os.Remove(f.Name())))
	}
	if d, err := os.Open(filepath.Dir(file)); err == nil { // the name is to survive a power cut
		d.Sync()
		d.Close()
	}
	return nil
}

// NewRequest makes a key for a node, in PEM form, and asks for a certificate of it.
func NewRequest(node string, hosts []string) (key, csr []byte, err error) {
	k, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	if key, err = keyPEM(k); err != nil {
		return nil, nil, err
	}
	csr, err = request(k, node, hosts)
	return key, csr, err
}

// RequestFor asks for a certificate of a key that NewRequest has made before.
func RequestFor(key []byte, node string, hosts []string) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("the node's key is not in PEM form")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	k, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("the node's key cannot be read")
	}
	return request(k, node, hosts)
}

// Request asks for a new certificate of the key in use, for these hosts.
func (k *Keys) Request(hosts []string) ([]byte, error) {
	key, ok := k.Certificate().PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the node's key is not an ECDSA key")
	}
	return request(key, k.node, hosts)
}

func request(key *ecdsa.PrivateKey, node string, hosts []string) ([]byte, error) {
	t := &x509.CertificateRequest{Subject: pkix.Name{CommonName: node}}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, fmt.Errorf("asking for a certificate for %s: %w", node, err)
	}
	return csr, nil
}

// Due reports whether the certificate is to be renewed: a third of its life is
// left, it lacks one of the hosts, or it is not by the newest CA.
func (k *Keys) Due(hosts []string, now time.Time) bool {
	leaf := k.Certificate().Leaf
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if k.Pin() != k.Newest() {
		return true
	}
	if now.After(leaf.NotAfter.Add(-life / 3)) {
		// Where the CA itself ends, another certificate ends no later.
		return leaf.NotAfter.Before(k.CA().NotAfter)
	}
	for _, h := range hosts {
		if leaf.VerifyHostname(h) != nil {
			return true
		}
	}
	return false
}

// Renew keeps a new certificate of the key in use, and shows it from now on.
func (k *Keys) Renew(cert []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	own := Folder(k.dir)
	key, err := os.ReadFile(filepath.Join(own, KeyFile))
	if err != nil {
		return fmt.Errorf("reading the node's key: %w", err)
	}
	p, err := NewPeer(k.cluster, k.node, k.CAPEM(), cert, key)
	if err != nil {
		return fmt.Errorf("a renewed certificate: %w", err)
	}
	if err := replace(filepath.Join(own, CertFile), cert); err != nil {
		return err
	}
	k.pair.Store(p.Certificate())
	return nil
}

// Generation is that of the certificate in use.
func (k *Keys) Generation() uint64 {
	n, err := GenerationOf(k.Certificate().Leaf)
	if err != nil {
		return 0
	}
	return n
}

// KeyDigest is the SHA-256 of the public key in use, as of KeyDigest of a request.
func (k *Keys) KeyDigest() [32]byte {
	return sha256.Sum256(k.Certificate().Leaf.RawSubjectPublicKeyInfo)
}
