package endpoint

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"sitegate/upstream/cloudapi"
)

// signers are the certificates that the vendor signs policies with, as its own service
// names them over the way out. The newest is tried first.
type signers struct {
	from   http.RoundTripper
	url    string
	heard  func(answer []byte) // of each answer with a certificate; nil: nobody
	pinned []*x509.Certificate // always believed
	asking chan struct{}       // room for one who reads

	mu     sync.Mutex
	known  []signer
	tried  time.Time // the last reading ended, and
	failed error     // so; nil: it was read
}

type signer struct {
	cert *x509.Certificate
	seen time.Time // the vendor named it last
}

// The bounds of signers.
const (
	maxSigners    = 8
	signersAtMost = 10 * time.Second   // between two readings that policies ask for
	signerFresh   = 24 * time.Hour     // not read again before
	signerLife    = 7 * 24 * time.Hour // believed without the vendor naming it again, as long as a policy is good
	signerTime    = 10 * time.Second   // for one reading
)

func newSigners(from http.RoundTripper, url string, pinned []*x509.Certificate) *signers {
	return &signers{from: from, url: url, pinned: pinned, asking: make(chan struct{}, 1)}
}

// verify says whether the vendor has signed the policy, and by which certificate. A signature
// that none of the known certificates has made has them read again.
func (s *signers) verify(ctx context.Context, p *cloudapi.SignedPolicy) (by *x509.Certificate, err error) {
	by, old, err := s.check(p)
	if err == nil && !old {
		return by, nil
	}
	if again := s.read(ctx); again != nil {
		if err == nil {
			return by, nil // it is good by what was known
		}
		return nil, fmt.Errorf("%w; the vendor's certificate could not be read: %w", err, again)
	}
	by, _, err = s.check(p)
	return by, err
}

// check tries the certificates that are known. old: it is good, and they should be read
// again.
func (s *signers) check(p *cloudapi.SignedPolicy) (by *x509.Certificate, old bool, err error) {
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	for _, c := range s.pinned {
		if p.Verify(c) == nil {
			return c, false, nil
		}
	}
	err = errors.New("no certificate of the vendor's is known")
	now := time.Now()
	for _, c := range known {
		if !c.believed(now) {
			continue
		}
		if err = p.Verify(c.cert); err == nil {
			return c.cert, now.Sub(c.seen) > signerFresh, nil
		}
	}
	return nil, false, err
}

// signsWith reports whether a certificate is the one that the vendor signs with now, as far as is
// known without reading it again: what was verified by it is still verified.
func (s *signers) signsWith(cert *x509.Certificate) bool {
	if slices.Contains(s.pinned, cert) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	return len(s.known) > 0 && s.known[0].believed(now) && now.Sub(s.known[0].seen) <= signerFresh && s.known[0].cert.Equal(cert)
}

// believed reports whether what it has signed is.
func (c signer) believed(now time.Time) bool {
	return now.Sub(c.seen) <= signerLife && !now.After(c.cert.NotAfter)
}

// read asks the vendor for the certificate, unless that was done just now: then it
// comes to what came of that. So one reading is enough for all who wait.
func (s *signers) read(ctx context.Context) error {
	select {
	case s.asking <- struct{}{}:
		defer func() { <-s.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	lately, failed := time.Since(s.tried) < signersAtMost, s.failed
	s.mu.Unlock()
	if lately {
		return failed
	}
	timed, cancel := context.WithTimeout(ctx, signerTime)
	defer cancel()
	cert, err := s.fetch(timed)
	if err != nil && ctx.Err() != nil {
		return err // it says something of who asked, and nothing of the vendor
	}
	s.mu.Lock()
	s.tried, s.failed = time.Now(), err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.keep(cert)
	return nil
}

func (s *signers) fetch(ctx context.Context) (*x509.Certificate, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.from.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, cloudapi.MaxSOAP+1))
	if err != nil {
		return nil, err
	}
	cert, err := cloudapi.ReadCertificateAnswer(body)
	if err == nil && s.heard != nil {
		s.heard(body)
	}
	return cert, err
}

// seed has certificates believed that the vendor named before a restart: the newest one is
// read again at the first policy, the older ones are believed for as long as they would have
// been without one. Nothing is to be had from an answer that is damaged.
func (s *signers) seed(newest []byte, older []keptSigner) {
	var known []signer
	for _, k := range append([]keptSigner{{newest, time.Now().Add(-signerFresh)}}, older...) {
		if cert, err := cloudapi.ReadCertificateAnswer(k.answer); err == nil {
			known = append(known, signer{cert, k.named})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = known
}

// keep notes that the vendor has named a certificate now.
func (s *signers) keep(cert *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = nil
	list := []signer{{cert, time.Now()}}
	for _, c := range s.known {
		if !c.cert.Equal(cert) && len(list) < maxSigners {
			list = append(list, c)
		}
	}
	s.known = list
}

// judgeCertificate takes note of the certificate that is passed on.
func (rl *relay) judgeCertificate(_ *exchange, resp *http.Response, body []byte) ([]byte, error) {
	if resp.StatusCode >= 500 && rl.kept != nil && rl.kept.certificate() != nil {
		return nil, &relayError{code: relayBadAnswer, detail: resp.Status}
	}
	if resp.StatusCode != http.StatusOK {
		return body, nil
	}
	cert, err := cloudapi.ReadCertificateAnswer(body)
	if err != nil {
		return nil, &relayError{code: relayBadAnswer, err: err}
	}
	rl.signers.keep(cert)
	rl.keepCertificate(body)
	return body, nil
}
