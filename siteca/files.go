package siteca

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files of a CA and of a node, in their folders.
const (
	CAFile    = "site-ca.pem"
	CAKeyFile = "site-ca.key"
	AsOfFile  = "trusted-as-of" // beside them, once the CA was replaced: see Keys.Trust
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
