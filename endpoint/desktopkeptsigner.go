package endpoint

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
)

// keptSigner is an answer of the vendor's with a certificate that is not its newest any more.
// What it has signed is believed for a while yet (signerLife), which a restart must not change.
type keptSigner struct {
	answer []byte
	named  time.Time // by the vendor, last: it is the time of the file, too
}

const (
	keptOlder = keptCertificate + "-" // begins the names of their files
	maxOlder  = 3                     // beside the newest
	keptTouch = time.Hour             // how much a restart may take off the time for which the newest is believed
)

// good is its certificate, as long as that is good and the vendor has named it lately enough;
// nil: it is not.
func (s keptSigner) good(now time.Time) *x509.Certificate {
	cert, err := cloudapi.ReadCertificateAnswer(s.answer)
	if err != nil || !now.Before(cert.NotAfter) || now.Sub(s.named) > signerLife {
		return nil
	}
	return cert
}

func (s keptSigner) name() string { return keptOlder + hash128(string(s.answer)) }

// olderThan are those of a list that are to be kept beside the newest: the last ones, as long
// as they are good.
func olderThan(newest []byte, list []keptSigner, now time.Time) []keptSigner {
	list = slices.DeleteFunc(slices.Clone(list), func(s keptSigner) bool {
		return s.good(now) == nil || bytes.Equal(s.answer, newest)
	})
	slices.SortStableFunc(list, func(a, b keptSigner) int { return b.named.Compare(a.named) })
	list = slices.CompactFunc(list, func(a, b keptSigner) bool { return bytes.Equal(a.answer, b.answer) })
	return list[:min(len(list), maxOlder)]
}

// readOlder reads one of their files. One that cannot be read, or is not what its name
// says, goes: it is written again when the vendor changes its certificate.
func (k *keptPolicies) readOlder(name string, info fs.FileInfo) {
	path := filepath.Join(k.dir, name)
	var b []byte
	err := errors.New("it is larger than an answer may be")
	if info.Size() <= cloudapi.MaxSOAP {
		b, err = os.ReadFile(path)
	}
	older := keptSigner{b, info.ModTime()}
	if err == nil && older.name() != name {
		err = errors.New("it is damaged")
	}
	if err != nil {
		k.log.Warn("an older certificate of the vendor's is not used: policies that it signed do not hold while the link is down", "path", path, "err", errors.Join(err, os.Remove(path)))
		return
	}
	k.older = append(k.older, older)
}

// keepCertificate keeps the vendor's answer with its certificate, which all policies are
// verified with, and beside it the ones before.
func (k *keptPolicies) keepCertificate(answer []byte) error {
	k.mu.Lock()
	same, now := bytes.Equal(k.signers, answer), time.Now()
	if !same {
		k.older = olderThan(answer, append(k.older, keptSigner{k.signers, k.named}), now)
	}
	touch := same && !k.unsaved && now.Sub(k.touched) > keptTouch
	k.signers, k.named = answer, now
	if touch || !same {
		k.touched = now
	}
	k.mu.Unlock()
	switch {
	case touch:
		return os.Chtimes(filepath.Join(k.dir, keptCertificate), now, now)
	case same:
		return nil
	}
	return k.saveCertificate()
}

// saveCertificate writes the certificates that are kept; run tries again what failed. The
// newest is written last: until then the one before is in its place.
func (k *keptPolicies) saveCertificate() error {
	k.writing.Lock()
	defer k.writing.Unlock()
	older := k.olderCertificates()
	var errs []error
	for _, s := range older {
		errs = append(errs, k.writeOlder(s))
	}
	err := errors.Join(append(errs, k.writeNewest(), k.removeOlder(older))...)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsaved = err != nil
	return err
}

// writeNewest writes the newest, with the time when the vendor named it: that of writing it may
// be earlier than when the one before was named, since file systems go by a coarser clock.
func (k *keptPolicies) writeNewest() error {
	k.mu.Lock()
	answer, named := k.signers, k.named
	k.mu.Unlock()
	if err := k.write(keptCertificate, answer); err != nil {
		return err
	}
	return os.Chtimes(filepath.Join(k.dir, keptCertificate), named, named)
}

func (k *keptPolicies) writeOlder(s keptSigner) error {
	path := filepath.Join(k.dir, s.name())
	if _, err := os.Stat(path); err == nil {
		return os.Chtimes(path, s.named, s.named)
	}
	if err := k.write(s.name(), s.answer); err != nil {
		return err
	}
	return os.Chtimes(path, s.named, s.named)
}

// removeOlder removes the files of those that are kept no more.
func (k *keptPolicies) removeOlder(but []keptSigner) error {
	all, err := os.ReadDir(k.dir)
	if err != nil {
		return err
	}
	for _, f := range all {
		if name := f.Name(); strings.HasPrefix(name, keptOlder) && !slices.ContainsFunc(but, func(s keptSigner) bool { return s.name() == name }) {
			err = errors.Join(err, os.Remove(filepath.Join(k.dir, name)))
		}
	}
	return err
}

// saveAgain writes the certificates where they could not be written before. Their trouble was
// told then.
func (k *keptPolicies) saveAgain() {
	k.mu.Lock()
	again := k.unsaved
	k.mu.Unlock()
	if again {
		_ = k.saveCertificate()
	}
}

// certificate is the vendor's answer with its certificate, or nil.
func (k *keptPolicies) certificate() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signers
}

// olderCertificates are those before it, the last one first.
func (k *keptPolicies) olderCertificates() []keptSigner {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.older
}

// signed reports whether one of the certificates that are kept has signed a policy.
func (k *keptPolicies) signed(p *cloudapi.SignedPolicy, now time.Time) bool {
	if cert, err := cloudapi.ReadCertificateAnswer(k.certificate()); err == nil && p.Verify(cert) == nil {
		return true
	}
	return slices.ContainsFunc(k.olderCertificates(), func(s keptSigner) bool {
		cert := s.good(now)
		return cert != nil && p.Verify(cert) == nil
	})
}
