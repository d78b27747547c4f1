package cloudapi

import (
	"testing"
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
