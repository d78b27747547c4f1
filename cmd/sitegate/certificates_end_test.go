package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/siteca"
)

// ownCertificates are those of a node that shows one by its own site CA.
func ownCertificates(t *testing.T, lines *told) (*certificates, *siteca.CA) {
	t.Helper()
	p := newPairs(t)
	keys, err := siteca.IssueOwn(t.TempDir(), "gw1", p.ca, []string{"gate.test"}, time.Now().Add(-siteca.NodeLife/2))
	if err != nil {
		t.Fatal(err)
	}
	cs, err := openCertificates(configs.Config{}, keys, slog.New(slog.NewTextHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return cs, p.ca
}

// A certificate's end is told of thirty and seven days before, once each, when it is
// there, and not any more once another one is shown.
func TestTheEndOfACertificateIsToldOf(t *testing.T) {
	lines := &told{}
	cs, ca := ownCertificates(t, lines)
	ends := cs.keys.Expires()
	const day = 24 * time.Hour
	for _, step := range []struct {
		before time.Duration
		says   string // of the log; empty: nothing
	}{
		{31 * day, ""}, {30 * day, "a certificate ends soon"}, {29 * day, ""}, {7 * day, "a certificate ends soon"}, {day, ""}, {-time.Second, "level=ERROR msg=\"a certificate has ended\""}, {-day, ""},
	} {
		cs.warn(ends.Add(-step.before))
		text := lines.take()
		if n := strings.Count(text, "\n"); step.says == "" && n != 0 || step.says != "" && (n != 1 || !strings.Contains(text, step.says) || !strings.Contains(text, "certificate=node")) {
			t.Errorf("%v before the end the log says %q, want one line with %q, or none if that is empty", step.before, text, step.says)
		}
	}
	csr, err := cs.keys.Request([]string{"gate.test"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(csr, "gw1", 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := cs.keys.Renew(cert); err != nil {
		t.Fatal(err)
	}
	if got := cs.forHost("gate.test").Leaf.NotAfter; !got.After(ends) {
		t.Errorf("after it was renewed, the certificate that is shown ends at %v, want later than %v", got, ends)
	}
	cs.warn(ends)
	if text := lines.take(); text != "" {
		t.Errorf("after it was renewed the log says %q, want nothing", text)
	}
}

// What a node shows is in its status and its metrics, and the site CA's certificate is
// for clients where they meet one by it.
func TestCertificatesInStatusAndMetrics(t *testing.T) {
	cs, ca := ownCertificates(t, &told{})
	if !bytes.Equal(cs.siteCA(), ca.CertPEM()) {
		t.Errorf("clients get %q, want the site CA's certificate", cs.siteCA())
	}
	p := newPairs(t)
	p.put(t, "first")
	own, err := openCertificates(p.config(), cs.keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got := own.siteCA(); got != nil {
		t.Errorf("clients that meet another PKI's certificate get %q, want nothing", got)
	}
	p.write(t, p.key, []byte("noise"))
	if err := own.reread(); err == nil {
		t.Error("noise was taken for a key")
	}
	found := map[string]api.CertificateStatus{}
	for _, x := range own.status() {
		found[x.Name] = x
	}
	if x := found["site-ca"]; x.Fingerprint != ca.Fingerprint() {
		t.Errorf("the site CA's fingerprint is %q, want %q", x.Fingerprint, ca.Fingerprint())
	}
	if x := found["api"]; x.File != p.cert || x.Problem == "" || x.Ends.IsZero() {
		t.Errorf("the API's certificate is %+v, want its file and what is wrong with it", x)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(own)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "sitegate_certificate_end_timestamp_seconds" {
				ends[m.Label[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	for _, name := range []string{"api", "node", "site-ca"} {
		if want := float64(found[name].Ends.Unix()); ends[name] != want {
			t.Errorf("%s ends at %v by the metrics, want %v", name, ends[name], want)
		}
	}
}

func TestCertificatesInWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		in   api.CertificateStatus
		want string
	}{
		{api.CertificateStatus{Name: "site-ca", Ends: now.AddDate(9, 0, 0), Fingerprint: "SHA256:ab"}, "site-ca, until 2035-11-22, SHA256:ab"},
		{api.CertificateStatus{Name: "api", Ends: now.AddDate(0, 0, 20), Fingerprint: "SHA256:ab", File: "a.pem"}, "api, until 2026-12-12, SHA256:ab, from a.pem: it ends in 20 days: put a new"},
		{api.CertificateStatus{Name: "node", Ends: now.AddDate(0, 0, 5), Fingerprint: "SHA256:ab"}, "node, until 2026-11-27, SHA256:ab: IT ENDS IN 5 days: it is renewed by itself"},
		{api.CertificateStatus{Name: "relay", Ends: now, Fingerprint: "SHA256:ab"}, "relay, until 2026-11-22, SHA256:ab: IT HAS ENDED: put a new"},
	} {
		if got := certificateWords(now, tt.in); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got %q, want it to begin with %q", got, tt.want)
		}
	}
}
