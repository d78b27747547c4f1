package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
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
		pem, err := os.ReadFile(x.File)
		if err != nil {
			errs = append(errs, fmt.Errorf("an extra CA: %w", err))
			continue
		}
		if len(x.Hosts) == 0 {
			errs = append(errs, fmt.Errorf("the extra CA %s is for no host: name the hosts it is trusted for", x.File))
		}
		for _, h := range x.Hosts {
			host, _, err := splitAddr(h + ":443")
			if err != nil || strings.Contains(h, ":") {
				errs = append(errs, fmt.Errorf("the extra CA %s: %q is not an exact host name", x.File, h))
				continue
			}
			if r[host] == nil {
				if r[host], err = x509.SystemCertPool(); err != nil {
					r[host] = x509.NewCertPool() // a system without any
				}
			}
			if !r[host].AppendCertsFromPEM(pem) {
				errs = append(errs, fmt.Errorf("the extra CA %s has no PEM certificate", x.File))
				break
			}
		}
	}
	return r, errors.Join(errs...)
}

// TLSConfig is for a handshake with host: the system's trust anchors, and the extra ones that are configured for this host.
func (d *Dialer) TLSConfig(host string) *tls.Config {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	return &tls.Config{ServerName: name, RootCAs: d.roots[name], MinVersion: tls.VersionTLS12}
}
