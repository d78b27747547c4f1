package license_test

import (
	"fmt"
	"strings"

	"sitegate/license"
)

// proof takes "key K" and "via HOST" out of the line.
func (w *words) proof() license.Proof {
	p := license.Proof{Host: long(w.after("via"))}
	copy(p.Key[:], w.after("key"))
	return p
}

func sayDigest(d license.Digest) string { return strings.TrimRight(string(d[:]), "\x00") }

func sayKey(k license.MachineKey) string {
	line := fmt.Sprintf("%s by key %s", sayMachine(k.Machine), sayDigest(k.Proof.Key))
	if k.Proof.Host != "" {
		line += " via " + k.Proof.Host
	}
	return fmt.Sprintf("%s since %s, signed in %s", line, sayTime(k.Since), sayTime(k.Verified))
}
