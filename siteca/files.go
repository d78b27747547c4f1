package siteca

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The files of a CA and of a node, in their folders.
const (
	CAFile    = "site-ca.pem"
	CAKeyFile = "site-ca.key"
	CertFile  = "node.pem"
	KeyFile   = "node.key"
)

// Load reads a CA from its files in dir.
func Load(dir string) (*CA, error) {
	cert, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, fmt.Errorf("reading the site CA: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, CAKeyFile))
	if err != nil {
		return nil, fmt.Errorf("reading the site CA's key: %w", err)
	}
	ca, err := parseCA(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the site CA in %s: %w", dir, err)
	}
	return ca, nil
}

// Save writes the CA's certificate and key into dir, which is made if need be. It
// overwrites nothing.
func (ca *CA) Save(dir string) error {
	key, err := keyPEM(ca.key)
	if err != nil {
		return err
	}
	return WritePair(dir, CAFile, ca.CertPEM(), CAKeyFile, key)
}

// WritePair writes a certificate and its key into dir, which is made for its
// owner alone if need be. It overwrites nothing; the key comes first, so that no
// certificate lies there without one.
func WritePair(dir, certFile string, cert []byte, keyFile string, key []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of certificates: %w", err)
	}
	if err := writeNew(filepath.Join(dir, keyFile), key); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, certFile), cert)
}

func writeNew(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and nothing is overwritten: %w", file, err)
	} else if err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// Ensure is the CA in dir, made for the cluster if there is none yet. Half a CA is
// an error, and is left as it is.
func Ensure(dir, cluster string, now time.Time) (ca *CA, created bool, err error) {
	ca, err = Load(dir)
	if err == nil {
		if ca.cluster != cluster {
			return nil, false, fmt.Errorf("the site CA in %s is that of %s, not of %s", dir, ca.cluster, cluster)
		}
		return ca, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	for _, pair := range [][2]string{{CAFile, CAKeyFile}, {CAKeyFile, CAFile}} {
		there, lost := pair[0], pair[1]
		if _, gone := os.Lstat(filepath.Join(dir, there)); !errors.Is(gone, fs.ErrNotExist) {
			return nil, false, fmt.Errorf("the site CA in %s has its %s, but not its %s: put it back, "+
				"or move the other away as well and a new CA is made, whose certificate all clients need: %w", dir, there, lost, err)
		}
	}
	if ca, err = New(cluster, now); err != nil {
		return nil, false, err
	}
	return ca, true, ca.Save(dir)
}

// renewBefore is how long before its end a certificate is made anew.
const renewBefore = 30 * 24 * time.Hour

// EnsureServing is the certificate in dir that a node shows its clients, made or
// made anew if there is none, if it is not of this CA, lacks one of hosts, or
// ends within 30 days.
func (ca *CA) EnsureServing(dir, node string, hosts []string, now time.Time) (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile)
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && ca.serves(pair, hosts, now) {
		return pair, nil
	}
	cert, key, err := ca.Issue(node, hosts, false, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	for _, old := range []string{certFile, keyFile} {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return tls.Certificate{}, fmt.Errorf("replacing an old certificate: %w", err)
		}
	}
	if err := WritePair(dir, CertFile, cert, KeyFile, key); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

func (ca *CA) serves(pair tls.Certificate, hosts []string, now time.Time) bool {
	lacks := func(h string) bool { return pair.Leaf.VerifyHostname(h) != nil }
	return pair.Leaf.CheckSignatureFrom(ca.cert) == nil &&
		now.Before(pair.Leaf.NotAfter.Add(-renewBefore)) && !slices.ContainsFunc(hosts, lacks)
}
