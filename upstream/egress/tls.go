package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// roots are the trust anchors of hosts that have others than the system's.
type roots map[string]*x509.CertPool

// readRoots reads the files of extra CAs; all problems at once.
func readRoots(extra []ExtraCA) (roots, error) {
	r := roots{}
	var errs []error
	for _, x := range extra {
		pem, err := readCertificates(x.File)
		if err != nil {
			errs = append(errs, fmt.Errorf("an extra CA: %w", err))
			continue
		}
		if len(x.Hosts) == 0 {
			errs = append(errs, fmt.Errorf("the extra CA %s is for no host: name the hosts it is trusted for", x.File))
		}
		for _, h := range x.Hosts {
			host, err := canonical(h)
			if err != nil || strings.Contains(h, ":") {
				errs = append(errs, fmt.Errorf("the extra CA %s: %q is not an exact host name", x.File, h))
				continue
			}
			if r[host] == nil {
				r[host] = systemRoots()
			}
			if !r[host].AppendCertsFromPEM(pem) {
				errs = append(errs, fmt.Errorf("the extra CA %s has no PEM certificate", x.File))
				break
			}
		}
	}
	return r, errors.Join(errs...)
}

const maxCertificates = 4 << 20 // bytes of a file

func readCertificates(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertificates+1))
	if err == nil && len(b) > maxCertificates {
		err = fmt.Errorf("%s is larger than %d bytes", file, maxCertificates)
	}
	return b, err
}

func systemRoots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool() // a system without any
	}
	return pool
}

// config is for a handshake with host: the system's trust anchors, and the extra ones that are configured for this host.
func (r roots) config(host string) *tls.Config {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	return &tls.Config{ServerName: name, RootCAs: r[name], MinVersion: tls.VersionTLS12}
}

// TLSConfig is for a handshake with host: the system's trust anchors, and the extra ones that are configured for this host.
func (d *Dialer) TLSConfig(host string) *tls.Config { return d.way.Load().roots.config(host) }

// tlsConfig is for the handshake with the proxy itself; nil where there is none.
func (p Proxy) tlsConfig() (*tls.Config, error) {
	if p.Kind != HTTPS {
		return nil, nil
	}
	name := p.ServerName
	if name == "" {
		name, _, _ = splitAddr(p.Address)
	}
	cfg := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	var errs []error
	if p.CAFile != "" {
		pem, err := readCertificates(p.CAFile)
		cfg.RootCAs = systemRoots()
		if err != nil {
			errs = append(errs, err)
		} else if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, fmt.Errorf("%s has no PEM certificate", p.CAFile))
		}
	}
	if p.CertFile != "" && p.KeyFile != "" {
		if _, err := readPrivate(p.KeyFile, maxKeys); err != nil {
			errs = append(errs, err)
		} else if pair, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile); err != nil {
			errs = append(errs, fmt.Errorf("%s and %s are not a certificate and its key: %w", p.CertFile, p.KeyFile, err))
		} else {
			cfg.Certificates = []tls.Certificate{pair}
		}
	}
	return cfg, errors.Join(errs...)
}
