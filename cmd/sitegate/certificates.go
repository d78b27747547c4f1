package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/configs"
	"sitegate/siteca"
)

const (
	// lookAtCertificates is how often a node looks whether the files of a certificate
	// have changed. A file that is found broken is told of at the second look, so that
	// one which is being replaced is not.
	lookAtCertificates = 20 * time.Second
	// certificateBytes bounds such a file.
	certificateBytes = 1 << 20
)

// certificates are what the doors show: the files that the site has named, read anew
// when they change, and the node's own certificate where it has named none.
type certificates struct {
	api, relay *certificateFiles // nil: there are none
	keys       *siteca.Keys
	log        *slog.Logger
	broken     *prometheus.Desc
	ends       *prometheus.Desc
	warned     map[string]warning // of run
}

// openCertificates reads what the configuration names. What is wrong with it then is an
// error; what is wrong with it later changes nothing of what is shown.
func openCertificates(c configs.Config, keys *siteca.Keys, log *slog.Logger) (*certificates, error) {
	cs := &certificates{keys: keys, log: log, warned: map[string]warning{},
		ends:   prometheus.NewDesc("sitegate_certificate_end_timestamp_seconds", "When a certificate ends that this node shows (api, relay, node), or that of the site CA (site-ca), in seconds since 1970.", []string{"certificate"}, nil),
		broken: prometheus.NewDesc("sitegate_certificate_files_broken", "1 while the files of a certificate cannot be used as they are now, and the one that was read before is shown; else 0.", []string{"certificate"}, nil)}
	var err error
	if c.API.CertFile != "" {
		if cs.api, err = openCertificateFiles("api", c.API.CertFile, c.API.KeyFile); err != nil {
			return nil, fmt.Errorf("the API's certificate (api.cert_file, api.key_file): %w", err)
		}
	}
	if r := c.Relay; r != nil && r.CertFile != "" {
		if cs.relay, err = openCertificateFiles("relay", r.CertFile, r.KeyFile); err != nil {
			return nil, fmt.Errorf("the certificate for the discovery host (relay.cert_file, relay.key_file): %w", err)
		}
	}
	return cs, nil
}

// forHost is what is shown to who asks for a host by name: the relay's certificate for
// the names that are in it, and for all others the API's.
func (cs *certificates) forHost(host string) *tls.Certificate {
	if cs.relay != nil && host != "" {
		if pair := cs.relay.shown.Load(); pair.Leaf.VerifyHostname(host) == nil {
			return pair
		}
	}
	if cs.api != nil {
		return cs.api.shown.Load()
	}
	return cs.keys.Certificate()
}

func (cs *certificates) files() (all []*certificateFiles) {
	for _, f := range []*certificateFiles{cs.api, cs.relay} {
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// run looks at the files every now and then, until ctx ends.
func (cs *certificates) run(ctx context.Context) {
	tick := time.NewTicker(lookAtCertificates)
	defer tick.Stop()
	for {
		cs.warn(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, f := range cs.files() {
				_ = f.look(false, cs.log) // the log says what is wrong
			}
		}
	}
}

// reread takes the files as they are now. What is wrong with one leaves what it shows.
func (cs *certificates) reread() error {
	var wrong []error
	for _, f := range cs.files() {
		wrong = append(wrong, f.look(true, cs.log))
	}
	return errors.Join(wrong...)
}

// Describe is of prometheus.Collector.
func (cs *certificates) Describe(to chan<- *prometheus.Desc) { to <- cs.broken; to <- cs.ends }

// Collect is of prometheus.Collector.
func (cs *certificates) Collect(to chan<- prometheus.Metric) {
	for _, f := range cs.files() {
		value := 0.0
		if f.problem() != nil {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(cs.broken, prometheus.GaugeValue, value, f.name)
	}
	for _, x := range cs.status() {
		to <- prometheus.MustNewConstMetric(cs.ends, prometheus.GaugeValue, float64(x.Ends.Unix()), x.Name)
	}
}

// certificateFiles are a certificate and its key, in files that are replaced while a
// node runs.
type certificateFiles struct {
	name, cert, key string
	shown           atomic.Pointer[tls.Certificate] // the last good one; never nil

	mu    sync.Mutex // guards the rest, and one look at a time
	now   [sha256.Size]byte
	wrong error  // with the files at the last look; nil: they are what is shown
	told  string // of it in the log
}

func openCertificateFiles(name, cert, key string) (*certificateFiles, error) {
	f := &certificateFiles{name: name, cert: cert, key: key}
	data, digest, err := f.read()
	if err != nil {
		return nil, err
	}
	pair, err := f.pair(data)
	if err != nil {
		return nil, err
	}
	f.now = digest
	f.shown.Store(pair)
	return f, nil
}

// look shows what is in the files, if that is another pair than before and good. asked:
// somebody waits for the answer, and hears of what is wrong again.
func (f *certificateFiles) look(asked bool, log *slog.Logger) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, digest, err := f.read()
	if err == nil && digest == f.now {
		f.wrong, f.told = nil, ""
		return nil
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = f.pair(data)
	}
	if err == nil {
		err = usableNow(pair, time.Now())
	}
	if err != nil {
		err = fmt.Errorf("%s and %s: %w", f.cert, f.key, err)
		if asked || f.wrong != nil && f.wrong.Error() == err.Error() && f.told != err.Error() {
			log.Error("the files of a certificate cannot be used: the one of before is shown", "certificate", f.name, "ends", f.shown.Load().Leaf.NotAfter, "err", err)
			f.told = err.Error()
		}
		f.wrong = err
		return err
	}
	f.shown.Store(pair)
	f.now, f.wrong, f.told = digest, nil, ""
	log.Info("a certificate was read anew and is shown from now on", "certificate", f.name, "file", f.cert,
		"ends", pair.Leaf.NotAfter, "fingerprint", siteca.Fingerprint(pair.Leaf.Raw))
	return nil
}

func (f *certificateFiles) problem() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wrong
}

// read is what is in the two files, and a digest of it. It does not go by their times,
// which copies and restored files bring along.
func (f *certificateFiles) read() (data [2][]byte, digest [sha256.Size]byte, err error) {
	both := sha256.New()
	for i, file := range []string{f.cert, f.key} {
		if data[i], err = readBounded(file, certificateBytes); err != nil {
			return data, digest, err
		}
		if len(data[i]) > certificateBytes {
			return data, digest, fmt.Errorf("%s has more than %d bytes, which is no certificate and no key", file, certificateBytes)
		}
		one := sha256.Sum256(data[i])
		both.Write(one[:])
	}
	return data, [sha256.Size]byte(both.Sum(nil)), nil
}

func (f *certificateFiles) pair(data [2][]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(data[0], data[1])
	if err != nil {
		return nil, fmt.Errorf("they are not a certificate and its key: %w", err)
	}
	return &pair, nil
}

// usableNow says why a client would not take a certificate that is to replace another.
func usableNow(pair *tls.Certificate, now time.Time) error {
	switch leaf := pair.Leaf; {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate begins only at %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate has ended, at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
