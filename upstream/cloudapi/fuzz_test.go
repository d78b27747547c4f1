package cloudapi

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// Whatever desktops post and the vendor answers is read within its bounds or refused: what is
// read of it names no more than there is.
func FuzzDesktop(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `null`, `""`, `[{"ProductId":1,"FeatureId":"2"}]`, `{"machineName":"WS-101","productIds":[1]}`, "a.b.c\nQUJD\n", "\"MIIB\"",
		`{"url":"https://x.blob.example/a?sig=b"}`, "1,2,3,4,5,ada,ws,,,,,,,,,,,,,,\n", `{"ProductId":1,"ProductId":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, list := range []bool{false, true} {
			if runs, err := ReadRuns(b, list); err == nil && len(runs) > len(b)+1 {
				t.Fatalf("%d runs are read of %d bytes", len(runs), len(b))
			}
		}
		if file, err := ReadCheckoutFile(b); err == nil && file.Certificate == nil {
			t.Fatalf("a checkout file without a certificate is read: %q", b)
		}
		if c, err := ReadCertificateAnswer(b); err == nil && c == nil {
			t.Fatalf("no certificate is read of %q, and no error", b)
		}
		if list := ReadUsageFile(b, 5); len(list) > 5 {
			t.Fatalf("%d users of a file, want 5 at most", len(list))
		}
		ReadPolicyRequest(b)
		ReadEntitlementRequest(b)
		ReadEntitlementAnswer(b)
		ReadLocation(b)
	})
}

// FuzzSigned: of all that is shown as the vendor's receipt, only what the vendor has signed as
// one is read.
func FuzzSigned(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	receipt := UsageFileReceipt{Site: "c", Number: 7, SHA256: strings.Repeat("0", 64), Accepted: 2, Refused: []RefusedLine{{"r-1", "too old"}}, At: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	signed, err := Sign(KindReceipt, receipt, key)
	other, err2 := Sign(KindManifest, receipt, key)
	if err := errors.Join(err, err2); err != nil {
		f.Fatal(err)
	}
	for _, s := range []Signed{signed, other, {Document: signed.Document}, {Signature: signed.Signature}, {}} {
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Signed
		if json.Unmarshal(b, &s) != nil {
			return
		}
		var got UsageFileReceipt
		if err := s.Open(KindReceipt, key.Public(), &got); err == nil && !bytes.Equal(s.Document, signed.Document) {
			t.Errorf("%q is taken for the vendor's", s.Document)
		}
	})
}
