package main

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"sitegate/api"
	"sitegate/siteca"
)

// The names of certificates that are nobody's files.
const (
	certificateNode = "node"
	certificateCA   = "site-ca"
)

// When it is told that a certificate ends.
const (
	endsSoon     = 30 * 24 * time.Hour
	endsVerySoon = 7 * 24 * time.Hour
)

// status tells of all certificates that this node shows, to clients and to other nodes,
// and of the site CA's.
func (cs *certificates) status() (all []api.CertificateStatus) {
	of := func(name string, c *x509.Certificate) api.CertificateStatus {
		return api.CertificateStatus{Name: name, Ends: c.NotAfter, Fingerprint: siteca.Fingerprint(c.Raw)}
	}
	for _, f := range cs.files() {
		x := of(f.name, f.shown.Load().Leaf)
		x.File = f.cert
		if err := f.problem(); err != nil {
			x.Problem = err.Error()
		}
		all = append(all, x)
	}
	if cs.keys != nil {
		all = append(all, of(certificateNode, cs.keys.Certificate().Leaf), of(certificateCA, cs.keys.CA()))
	}
	return all
}

// siteCA is the site CA's certificate in PEM form where clients meet a certificate by it,
// else nil. While it is replaced there are two, the new one first.
func (cs *certificates) siteCA() []byte {
	if cs.api != nil || cs.keys == nil {
		return nil
	}
	return cs.keys.CAPEM()
}

// warning is what was last told of a certificate's end.
type warning struct {
	ends  time.Time
	stage int // of stageOf
}

// stageOf is how pressing it is that a certificate ends: 0 not, 1 within thirty days, 2
// within seven, 3 it has ended.
func stageOf(ends, now time.Time) int {
	switch left := ends.Sub(now); {
	case left <= 0:
		return 3
	case left <= endsVerySoon:
		return 2
	case left <= endsSoon:
		return 1
	}
	return 0
}

// warn tells once of each stage that a certificate's end comes to.
func (cs *certificates) warn(now time.Time) {
	for _, x := range cs.status() {
		w := warning{x.Ends, stageOf(x.Ends, now)}
		before := cs.warned[x.Name]
		cs.warned[x.Name] = w
		if w.stage == 0 || before.ends.Equal(w.ends) && before.stage >= w.stage {
			continue
		}
		attrs := []any{slog.String("certificate", x.Name), slog.Time("ends", x.Ends), slog.String("next", afterEnd(x.Name))}
		if w.stage == 3 {
			cs.log.Error("a certificate has ended", attrs...)
		} else {
			cs.log.Warn("a certificate ends soon", attrs...)
		}
	}
}

// afterEnd is what to do about a certificate that ends.
func afterEnd(name string) string {
	switch name {
	case certificateNode:
		return "it is renewed by itself while a leader with the site CA's key is reached; the log says why not"
	case certificateCA:
		return "replace the site CA, sitegate cluster rekey, in time to bring the new one to the clients: see docs/operator/tls.md"
	}
	return "put a new certificate and its key in place of the files; the node notices"
}

// certificateWords tell of a certificate in a line of the status.
func certificateWords(now time.Time, x api.CertificateStatus) string {
	words := fmt.Sprintf("%s, until %s, %s", x.Name, x.Ends.UTC().Format("2006-01-02"), x.Fingerprint)
	if x.File != "" {
		words += ", from " + x.File
	}
	switch stageOf(x.Ends, now) {
	case 3:
		words += ": IT HAS ENDED: "
	case 2:
		words += ": IT ENDS IN " + span(x.Ends.Sub(now)) + ": "
	case 1:
		words += ": it ends in " + span(x.Ends.Sub(now)) + ": "
	default:
		return words
	}
	return words + afterEnd(x.Name)
}
