package siteca

import (
	"bytes"
	"crypto/ecdsa"
	"slices"
	"testing"
	"time"
)

// FuzzRequest: whatever a machine that joins asks to be certified, and whatever it shows for a
// certificate, is refused, or is what a node's is.
func FuzzRequest(f *testing.F) {
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	ca, err := New("site", time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	cert, _, err := ca.Issue("gw1", []string{"gw1.example"}, false, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRequest(b); err == nil {
			if _, ok := r.PublicKey.(*ecdsa.PublicKey); !ok || len(r.DNSNames)+len(r.IPAddresses) > maxHosts {
				t.Fatalf("a request for %d hosts by a key of %T passes", len(r.DNSNames)+len(r.IPAddresses), r.PublicKey)
			}
		}
		if c, err := parseCert(b); err == nil && c == nil {
			t.Fatal("no certificate is read, and no error")
		}
	})
}

// FuzzCAKeys: whatever another node answers for the CA's key, or the file has, is read as
// keys that are written as they were read, or refused.
func FuzzCAKeys(f *testing.F) {
	ca, err := New("blue", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	key, err := keyPEM(ca.key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key)
	f.Add(append(bytes.Clone(key), key...))
	f.Add(key[:len(key)/2])
	f.Add(ca.CertPEM())
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseCAKeys(b)
		if err != nil {
			return
		}
		var all []byte
		for _, k := range keys {
			text, err := keyPEM(k)
			if err != nil {
				t.Fatalf("a key that was read cannot be written: %v", err)
			}
			all = append(all, text...)
		}
		again, err := parseCAKeys(all)
		if err != nil || !slices.EqualFunc(keys, again, func(a, b *ecdsa.PrivateKey) bool { return a.Equal(b) }) {
			t.Fatalf("%d keys are written as %d others, %v", len(keys), len(again), err)
		}
	})
}
