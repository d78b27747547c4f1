package siteca

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// IssueOwn makes the keys of a node that holds the CA's key, in its data folder.
func IssueOwn(dataDir, node string, ca *CA, hosts []string, now time.Time) (*Keys, error) {
	cert, key, err := ca.Issue(node, hosts, true, now)
	if err != nil {
		return nil, err
	}
	return MakeKeys(dataDir, ca.cluster, node, ca.CertPEM(), cert, key)
}

// AdoptKeys are the keys in a data folder, or those that its operator has made and
// named, where they end later or the folder has none: they are copied into it.
func AdoptKeys(dataDir, cluster, node, caFile, certFile, keyFile string) (*Keys, error) {
	kept, err := OpenKeys(dataDir, cluster, node)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errEnded) {
		return nil, err
	}
	made, err := LoadPeer(cluster, node, caFile, certFile, keyFile)
	switch {
	case kept != nil && (err != nil || !made.Expires().After(kept.Expires())):
		return kept, nil
	case err != nil:
		return nil, err
	}
	var data [3][]byte
	for i, file := range []string{caFile, certFile, keyFile} {
		if data[i], err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("reading the node's certificates: %w", err)
		}
	}
	return MakeKeys(dataDir, cluster, node, data[0], data[1], data[2])
}

// RenewOwn renews the certificate in the data folder of a node that holds the CA's key
// and was off while its certificate ended: it may be the only node there is. Name,
// generation and key stay. A certificate that is wrong in any other way than by its time
// is left as it is.
func RenewOwn(dataDir, cluster, node string, hosts []string, now time.Time) (*Keys, error) {
	own := Folder(dataDir)
	ca, err := Load(CAFolder(dataDir))
	if err != nil {
		return nil, err
	}
	var data [2][]byte
	for i, file := range []string{CertFile, KeyFile} {
		if data[i], err = os.ReadFile(filepath.Join(own, file)); err != nil {
			return nil, fmt.Errorf("reading the node's certificates: %w", err)
		}
	}
	pair, err := tls.X509KeyPair(data[0], data[1])
	if err != nil {
		return nil, fmt.Errorf("the certificate of %s: %w", node, err)
	}
	leaf := pair.Leaf
	if !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter) {
		return nil, errors.New("this node's own certificate has not ended")
	}
	if err := leaf.CheckSignatureFrom(ca.cert); err != nil {
		return nil, fmt.Errorf("this node's own certificate: %w", err)
	}
	switch id, name, err := nameOf(leaf); {
	case err != nil:
		return nil, err
	case id != cluster || name != node:
		return nil, fmt.Errorf("this node's own certificate is that of node %s of cluster %s", name, id)
	}
	generation, err := GenerationOf(leaf)
	if err != nil {
		return nil, err
	}
	csr, err := RequestFor(data[1], node, hosts)
	if err != nil {
		return nil, err
	}
	cert, err := ca.Sign(csr, node, generation, now)
	if err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(own, CertFile), cert); err != nil {
		return nil, err
	}
	return OpenKeys(dataDir, cluster, node)
}
