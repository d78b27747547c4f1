package desktop_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/integration/desktop"
)

// cloud is the stand-in of the vendor, without a gateway before it.
type cloud struct {
	*emulator.Emulator
	t   *testing.T
	url string
	out *http.Client
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{Emulator: &emulator.Emulator{Issuer: "https://sign-in.cloud.example"}, t: t}
	c.Seed(10)
	server := httptest.NewTLSServer(c.Emulator)
	t.Cleanup(server.Close)
	c.url, c.out = server.URL, server.Client()
	return c
}

// desk is a machine of a user.
func (c *cloud) desk(user, machine string, saml bool) *desktop.Client {
	c.t.Helper()
	who, err := c.UserToken(c.Issuer, user, time.Hour)
	scheme := "Bearer "
	if saml {
		who, err = c.SAMLToken(user, time.Hour)
		scheme = "SAML "
	}
	if err != nil {
		c.t.Fatal(err)
	}
	d, err := desktop.New(desktop.Config{Folder: c.t.TempDir(), Discovery: c.url + "/discovery.asmx", HTTP: c.out, Version: "23.0.1.25", Machine: machine,
		User: user, Login: "ana", Authorization: func() string { return scheme + who }, RealTime: true})
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// The two stand-ins, which were written apart, have understood the same.
func TestTheClientAndTheEmulatorUnderstandEachOther(t *testing.T) {
	c := newCloud(t)
	capped, plain := desktop.Product{ID: emulator.ProductCapped, Version: "24.0.1.10"}, desktop.Product{ID: emulator.ProductUncapped, Version: "24.0.1.10"}
	ws1, ws2 := c.desk(emulator.UserA, "WS-101.corp.example", false), c.desk(emulator.UserA, "WS-202", true)

	first := ws1.Start(t.Context(), capped)
	check(t, "the first machine", first.Status(), desktop.Ok)
	check(t, "it says", first.Message(), "License Type: Practitioner")
	second := ws2.Start(t.Context(), capped)
	check(t, "the second machine", second.Status(), desktop.AccessDenied)
	if says := second.Message(); !strings.Contains(says, `"WS-101`) {
		t.Errorf("it says %q, want the name of the other machine", says)
	}
	for _, d := range []*desktop.Client{ws1, ws2} {
		check(t, "what is not capped", d.Start(t.Context(), plain).Status(), desktop.Ok)
	}
	if got, err := ws2.Entitled(t.Context(), capped); err != nil || got != "Denied" {
		t.Errorf("a web application on the second: %s, %v; want Denied", got, err)
	}
	check(t, "what nobody has", ws1.Start(t.Context(), desktop.Product{ID: "9999"}).Status(), desktop.NotEntitled)

	check(t, "its end is taken", first.Stop(t.Context()), true)
	check(t, "machines active in the cloud", len(c.DesktopHolds()), 0)
	check(t, "then the second", ws2.Start(t.Context(), capped).Status(), desktop.Ok)
	check(t, "and the first once more", ws1.Start(t.Context(), capped).Status(), desktop.AccessDenied)
	last := c.Postings()
	check(t, "a posting's host", last[0].Host, "WS-101")
	check(t, "its version", last[0].Version, 24_0000_0001_0010)
}

func TestACheckoutOfTheEmulatorIsImported(t *testing.T) {
	c := newCloud(t)
	file, err := c.CheckoutFile(emulator.UserA, "WS-101", time.Now().AddDate(0, 0, 5), emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	capped := desktop.Product{ID: emulator.ProductCapped, Version: "24.0.1.10"}
	check(t, "on another machine", c.desk(emulator.UserA, "WS-202", false).ImportCheckout(file), desktop.WrongMachine)
	d := c.desk(emulator.UserA, "ws-101", false)
	check(t, "where it belongs", d.ImportCheckout(file), desktop.Imported)
	c.SetFault(emulator.Fault{Cut: true})
	a := d.Start(t.Context(), capped)
	check(t, "without a link", a.Status(), desktop.Ok)
	check(t, "its logs wait", a.Stop(t.Context()), false)
	c.ClearFaults()
	check(t, "on another machine, by the cloud", c.desk(emulator.UserA, "WS-202", false).Start(t.Context(), capped).Status(), desktop.AccessDenied)
}

func TestFilesOfUseReachTheEmulator(t *testing.T) {
	c := newCloud(t)
	who, err := c.UserToken(c.Issuer, emulator.UserB, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(c.url)
	c.UploadHost = u.Host
	now := time.Now()
	d, err := desktop.New(desktop.Config{Folder: t.TempDir(), Discovery: c.url + "/discovery.asmx", HTTP: c.out, Machine: "WS-7", User: emulator.UserB,
		Authorization: func() string { return "Bearer " + who }, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	a := d.Start(t.Context(), desktop.Product{ID: emulator.ProductUncapped, Version: "24.0.1.10"})
	for range 150 {
		now = now.Add(time.Minute)
		a.Tick(t.Context())
	}
	check(t, "the rest is taken", a.Stop(t.Context()), true)
	rows := c.UsageRows()
	check(t, "rows", len(rows), 3)
	for _, r := range rows {
		check(t, "the session", r[13], a.Correlation())
		check(t, "the machine", r[6], "WS-7")
	}
}
