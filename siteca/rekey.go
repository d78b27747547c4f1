package siteca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A CA is replaced by its successor, which has a key of its own. For some time the one
// before vouches for the successor's key: who trusts only that one, a desktop or a node
// that was off, still believes what the successor has signed, as long as the voucher is
// shown along with it (RFC 4210, 4.4: "new with old").

// Succession is a CA that takes another one's place. All of it is public.
type Succession struct {
	Root    []byte // the successor's certificate, in DER form
	Before  []byte // that of the CA whose place it takes
	Voucher []byte // the successor's key, certified by the one before
}

// successor makes the CA that takes this one's place; it is vouched for until then, or
// until this one ends.
func (ca *CA) successor(now, until time.Time) (next *CA, s Succession, err error) {
	key, err := newCAKey()
	if err != nil {
		return nil, s, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, s, fmt.Errorf("encoding a key: %w", err)
	}
	sum := sha256.Sum256(public)
	mark := " " + hex.EncodeToString(sum[:3])
	if next, err = newCA(ca.cluster, mark, key, now); err != nil {
		return nil, s, err
	}
	t := caTemplate(ca.cluster, mark, now)
	t.NotAfter = until
	if t.NotAfter.After(ca.cert.NotAfter) {
		t.NotAfter = ca.cert.NotAfter
	}
	t.MaxPathLen, t.MaxPathLenZero = 0, true
	voucher, err := caCert(t, ca.cert, key, ca.key)
	if err != nil {
		return nil, s, err
	}
	return next, Succession{Root: next.cert.Raw, Before: ca.cert.Raw, Voucher: voucher.Raw}, nil
}

// Succeed makes the CA that is to take the place of the site's, and keeps its key here:
// nothing is signed by it before Trust says that it is trusted. Where another was
// about to take that place, that one is given up. ErrNoCAKey: the key of the CA whose
// place it is to take is not here.
func (k *Keys) Succeed(now, until time.Time) (Succession, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	roots := k.trust.Load().roots
	ca := k.signer(roots[len(roots)-1])
	if ca == nil {
		return Succession{}, ErrNoCAKey
	}
	next, s, err := ca.successor(now, until)
	if err != nil {
		return s, err
	}
	return s, k.keepCAKeys(append(k.keysOf(roots), next.key))
}

// keysOf are the keys of these CAs that are here. The caller holds the lock.
func (k *Keys) keysOf(roots []*x509.Certificate) (keys []*ecdsa.PrivateKey) {
	for _, r := range roots {
		if key := keyOf(r, k.caKeys); key != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// AsOf is as of when the CAs are trusted that are; zero: as the node was made.
func (k *Keys) AsOf() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asOf
}

// Trust has this node trust these CAs, the newest first, in DER form, and no others; the
// keys of others go. It is as of some time, and what is of an earlier one than what is
// trusted already changes nothing: a state that is behind, because its log is read anew, would
// drop a CA that it does not know yet, and the only key of it. It is an error, and nothing
// changes, where the node's own certificate is by none of them.
func (k *Keys) Trust(asOf int64, ders ...[]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if asOf < k.asOf {
		return nil
	}
	before := k.trust.Load()
	if slices.EqualFunc(before.roots, ders, func(r *x509.Certificate, der []byte) bool { return bytes.Equal(r.Raw, der) }) {
		return nil
	}
	var roots []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("a CA that is to be trusted cannot be read: %w", err)
		}
		roots = append(roots, c)
	}
	t, err := newTrust(k.cluster, roots...)
	if err != nil {
		return err
	}
	if err := k.verifyOwn(t, k.Certificate()); err != nil {
		return err
	}
	if err := k.keepAsOf(asOf); err != nil { // first: no earlier state counts from here on
		return err
	}
	// A crash in between leaves no key without a CA that is trusted: such a file is refused.
	if dropped := slices.ContainsFunc(before.roots, func(r *x509.Certificate) bool { return !slices.ContainsFunc(roots, r.Equal) }); dropped {
		if err := k.keepCAKeys(k.keysOf(roots)); err != nil {
			return err
		}
	}
	if err := replace(filepath.Join(CAFolder(k.dir), CAFile), t.pem()); err != nil {
		return err
	}
	k.trust.Store(t)
	return nil
}

// TakenAsOf notes as of when the CAs are trusted that a newcomer was told of.
func (k *Keys) TakenAsOf(asOf int64) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keepAsOf(asOf)
}

func (k *Keys) keepAsOf(asOf int64) error {
	if asOf == k.asOf {
		return nil
	}
	if err := replace(filepath.Join(CAFolder(k.dir), AsOfFile), strconv.AppendInt(nil, asOf, 10)); err != nil {
		return err
	}
	k.asOf = asOf
	return nil
}

func readAsOf(dataDir string) (int64, error) {
	file := filepath.Join(CAFolder(dataDir), AsOfFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	asOf := int64(0)
	if err == nil {
		asOf, err = strconv.ParseInt(string(text), 10, 64)
	}
	if err != nil {
		return 0, fmt.Errorf("reading as of when the site CA is trusted, %s: %w; take the file away: the node finds out from its state", file, err)
	}
	return asOf, nil
}

// Vouched is a certificate with the voucher for the CA that it is by, in PEM form.
func Vouched(cert, voucher []byte) []byte { return append(cert, certPEM(voucher)...) }
