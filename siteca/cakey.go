package siteca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The CA's key in a node's data folder.

func (k *Keys) caKeyFile() string { return filepath.Join(CAFolder(k.dir), CAKeyFile) }

// signer is a CA whose key is here, or nil. The caller holds the lock.
func (k *Keys) signer(c *x509.Certificate) *CA {
	if key := keyOf(c, k.caKeys); key != nil {
		return &CA{cluster: k.cluster, cert: c, key: key}
	}
	return nil
}

// newestSigner is the newest CA, or nil where its key is not here.
func (k *Keys) newestSigner() *CA {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signer(k.CA())
}

// Signs reports whether this node holds the newest CA's key.
func (k *Keys) Signs() bool { return k.newestSigner() != nil }

// Sign is CA.Sign of the newest CA, or ErrNoCAKey.
func (k *Keys) Sign(csr []byte, node string, generation uint64, now time.Time) ([]byte, error) {
	ca := k.newestSigner()
	if ca == nil {
		return nil, ErrNoCAKey
	}
	return ca.Sign(csr, node, generation, now)
}

// CAKey is the newest CA's key in PEM form, for another node that may sign, or ErrNoCAKey.
func (k *Keys) CAKey() ([]byte, error) {
	ca := k.newestSigner()
	if ca == nil {
		return nil, ErrNoCAKey
	}
	return keyPEM(ca.key)
}

// TakeCAKey keeps the CA's key, which must be that of a CA that is trusted here.
func (k *Keys) TakeCAKey(key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, err := parseCAKeys(key)
	if err != nil {
		return fmt.Errorf("the key of the site's CA: %w", err)
	}
	roots := k.trust.Load().roots
	i := slices.IndexFunc(roots, func(r *x509.Certificate) bool { return keyOf(r, keys) != nil })
	if i < 0 {
		return errors.New("the key of the site's CA: the key is not that of the certificate")
	}
	if taken := keyOf(roots[i], keys); keyOf(roots[i], k.caKeys) == nil {
		return k.keepCAKeys(append(slices.Clone(k.caKeys), taken))
	}
	return nil
}

// keepCAKeys writes the keys down, those of CAs that are trusted now and the last one,
// which may be of one that is to be. The caller holds the lock.
func (k *Keys) keepCAKeys(keys []*ecdsa.PrivateKey) error {
	var all []byte
	for _, key := range keys {
		b, err := keyPEM(key)
		if err != nil {
			return err
		}
		all = append(all, b...)
	}
	if there, err := os.ReadFile(k.caKeyFile()); len(keys) == 0 && errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(there, all) {
		k.caKeys = keys
		return nil
	}
	if err := replace(k.caKeyFile(), all); err != nil {
		return err
	}
	k.caKeys = keys
	return nil
}
