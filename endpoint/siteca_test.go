package endpoint

import (
	"testing"
	"time"

	"sitegate/api"
)

// Anybody may have the site CA's certificate where clients are to trust it; elsewhere
// there is none.
func TestTheSiteCAIsForAnybody(t *testing.T) {
	const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
	r := newRig(t, filled(t), func(c *Config) { c.SiteCA = func() []byte { return []byte(pem) } })
	a := r.want(t, 200, "", "GET", api.PathCA, nil)
	if got := string(a.raw); got != pem || a.Header.Get("Content-Type") != "application/x-pem-file" {
		t.Errorf("got %q as %q, want the certificate as it is", got, a.Header.Get("Content-Type"))
	}
	own := newRig(t, filled(t))
	if p := own.want(t, 404, "", "GET", api.PathCA, nil).problem(t); p.Code != api.CodeNotFound {
		t.Errorf("got %q, want %q", p.Code, api.CodeNotFound)
	}
}

func TestStatusTellsTheCertificates(t *testing.T) {
	want := api.CertificateStatus{Name: "api", Ends: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Fingerprint: "SHA256:ab", File: "api.pem", Problem: "it does not fit"}
	_, it := operated(t, filled(t))
	it.e.cfg.Certificates = func() []api.CertificateStatus { return []api.CertificateStatus{want} }
	var s api.Status
	it.want(t, 200, "", "GET", api.PathStatus, nil).into(t, &s)
	if len(s.Certificates) != 1 || s.Certificates[0] != want {
		t.Errorf("got %+v, want %+v", s.Certificates, want)
	}
}
