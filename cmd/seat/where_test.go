package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// etc writes a settings file for all users of the rig's computer.
func (r *rig) etc(text string) string {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Join(r.dir, "etc"), 0o755); err != nil {
		r.t.Fatal(err)
	}
	return r.file(filepath.Join("etc", "seat.yaml"), text)
}

// without takes what the environment says away.
func (r *rig) without(names ...string) {
	for _, n := range names {
		delete(r.env, n)
	}
}

func TestSettingsStandBehindEnvironmentAndFlags(t *testing.T) {
	r := newRig(t)
	gateway := r.env["SITEGATE_GATEWAY"]
	r.without("SITEGATE_GATEWAY", "SITEGATE_CA")
	path := r.etc("gateway: [" + gateway + "]\nca: ../ca.pem # beside this file\nlang: de\nnotify: off\n")
	r.expect(r.seat("status"), 0, ann)

	if err := os.MkdirAll(filepath.Join(r.dir, ".config", "sitegate"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.file(".config/sitegate/seat.yaml", "gateway: [https://127.0.0.1:1]\n")
	r.expect(r.seat("status", "--timeout", "200ms"), 69) // the user's own wins
	r.expect(r.seat("status", "--config", path), 0, ann) // but for one that is named
	r.env["SITEGATE_GATEWAY"] = gateway
	r.expect(r.seat("status"), 0, ann)
	r.expect(r.seat("status", "--timeout", "200ms", "--gateway", "https://127.0.0.1:1"), 69)
}

func TestSettingsThatAreWrongSayWhere(t *testing.T) {
	r := newRig(t)
	for text, want := range map[string]string{
		"gatway: [x]\n":                           "gatway",
		"gateway: {a: b}\n":                       "line 1",
		"keyring: perhaps\n":                      "auto, on or off",
		strings.Repeat("# all is said\n", 10_000): "too large",
	} {
		path := r.etc(text)
		r.expect(r.seat("status"), 64, want, path)
	}
	r.expect(r.seat("version"), 0, "seat ")
	r.expect(r.seat("status", "--config", filepath.Join(r.dir, "none.yaml")), 64, "none.yaml")
	r.etc("")
	r.expect(r.seat("status"), 0, ann)
	r.expect(r.seat("status", "--keyring", "perhaps"), 64, "--keyring")
}

// dns answers for one name.
func dns(t *testing.T, want string, records ...*net.SRV) func(context.Context, string) (string, []*net.SRV, error) {
	return func(_ context.Context, name string) (string, []*net.SRV, error) {
		if name != want {
			t.Errorf("asked for %s, want %s", name, want)
		}
		if len(records) == 0 {
			return "", nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
		return "_sitegate._tcp.site.example.", records, nil
	}
}

func TestGatewayIsFoundByItsRecord(t *testing.T) {
	r := newRig(t)
	u, err := url.Parse(r.env["SITEGATE_GATEWAY"])
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	r.without("SITEGATE_GATEWAY")
	here := &net.SRV{Target: "127.0.0.1.", Port: uint16(port)} // not a name, but it leads to the test's gateway
	r.lookup = dns(t, "_sitegate._tcp.127.0.0.1.", here)
	r.expect(r.seat("status", "--domain", "127.0.0.1"), 0, ann)

	r.lookup = dns(t, "_sitegate._tcp.site.example.", &net.SRV{Target: "gw.evil.example.", Port: 443})
	r.expect(r.seat("status", "--domain", "site.example"), 69, "gw.evil.example, which is not in that domain")
	r.lookup = dns(t, "_sitegate._tcp.site.example.", &net.SRV{Target: ".", Port: 0})
	r.expect(r.seat("status", "--domain", "site.example."), 69, "names no gateway")
	r.lookup = dns(t, "_sitegate._tcp.site.example.")
	r.expect(r.seat("status", "--domain", "site.example"), 69, "there is no such record", "--gateway")
}

// A domain is looked up where it is named above a gateway, and not where beside one.
func TestDomainWinsOverAGatewayFurtherDown(t *testing.T) {
	r := newRig(t)
	r.without("SITEGATE_GATEWAY")
	r.lookup = dns(t, "_sitegate._tcp.site.example.") // there is none: it was asked
	const elsewhere = "no such record"
	r.etc("gateway: [" + r.srv.URL + "]\n")
	r.expect(r.seat("status"), 0, ann)
	r.expect(r.seat("status", "--domain", "site.example"), 69, elsewhere)
	r.env["SITEGATE_DOMAIN"] = "site.example"
	r.expect(r.seat("status"), 69, elsewhere)
	r.expect(r.seat("status", "--gateway", r.srv.URL), 0, ann)
	r.env["SITEGATE_GATEWAY"] = r.srv.URL
	r.expect(r.seat("status"), 0, ann)
	r.expect(r.seat("status", "--domain", "site.example"), 69, elsewhere)
	r.without("SITEGATE_GATEWAY", "SITEGATE_DOMAIN")

	if err := os.MkdirAll(filepath.Join(r.dir, ".config", "sitegate"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.file(".config/sitegate/seat.yaml", "domain: site.example\n")
	r.expect(r.seat("status"), 69, elsewhere)
	r.file(".config/sitegate/seat.yaml", "lang: de\n")
	r.expect(r.seat("status"), 0, ann)
}

// A network can call itself what it likes: without a domain that IT has named, or the
// site's own authority, nobody asks it where the gateway is.
func TestGatewayIsNotTakenFromAStrangersNetwork(t *testing.T) {
	r := newRig(t)
	r.without("SITEGATE_GATEWAY", "SITEGATE_CA")
	r.lookup = func(context.Context, string) (string, []*net.SRV, error) {
		t.Error("the network was asked")
		return "", nil, nil
	}
	r.expect(r.seat("status"), 64, "where is the gateway?", "seat.yaml")
}

// On a server for many users the machine is the one that the user comes from, under
// the id that seat has there if the home is the same.
func TestMachineIsTheOneItsUserComesFrom(t *testing.T) {
	r := newRig(t)
	r.origin = "WS-77"
	o := r.build(nil, nil).defaults()
	m, err := o.machine()
	if err != nil || m.Name != "WS-77" {
		t.Fatalf("machine %+v, %v; want WS-77", m, err)
	}
	if id, err := o.keptID("ws-77"); err != nil || m.ID != id {
		t.Errorf("its id is %q (%v), want %q as on WS-77 itself", m.ID, err, id)
	}
	r.expect(r.seat("status"), 0, "this machine", "WS-77")
	r.expect(r.seat("status", "--machine-name", "CAD-9"), 0, "CAD-9")
}
