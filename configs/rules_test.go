package configs_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/license"
)

func TestRulesBecomeTheSitesSettings(t *testing.T) {
	c, _, err := load(t, configs.SingleNode+"rules: {session_scope: license, lease_ttl: 10m, autonomy_capped: 0s, checkouts: off, checkout_max: 14d, checkout_default: 3d, v8i: pass}\n")
	if err != nil {
		t.Fatal(err)
	}
	got, zero := c.Rules.Settings(), time.Duration(0)
	want := license.Settings{SessionScope: license.ScopeLicense, CheckoutScope: license.ScopeLicense, LeaseTTL: 10 * time.Minute,
		AutonomyCapped: &zero, NoCheckouts: true, CheckoutMax: 14 * 24 * time.Hour, CheckoutDefault: 3 * 24 * time.Hour, SaveGrace: license.DefaultSaveGrace, PassV8i: true,
		TakeoverGrace: license.DefaultTakeoverGrace}
	if !license.SettingsEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDefaultRulesAreTheRulesOwnDefaults(t *testing.T) {
	got := configs.Default().Rules.Settings()
	if got.TTL() != new(license.Settings).TTL() || got.SaveGrace != license.DefaultSaveGrace || got.CheckoutDefault != license.DefaultCheckout ||
		got.SessionScope != license.ScopeUser || got.CheckoutScope != license.ScopeLicense || got.AutonomyCapped != nil || got.PassV8i {
		t.Errorf("got %+v", got)
	}
}

func TestTakeoverAndModesBecomeTheSitesSettings(t *testing.T) {
	c, _, err := load(t, configs.SingleNode+`rules:
  takeover: grace
  takeover_grace: 5m
  modes:
    - {network: 10.20.0.0/16, mode: observe}
    - {product: "1234", network: "fd00::/8", mode: on}
`)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Rules.Settings()
	want := []license.Mode{{Network: "10.20.0.0/16", Observe: true}, {Product: "1234", Network: "fd00::/8"}}
	if got.Takeover != license.TakeoverGrace || got.TakeoverGrace != 5*time.Minute || !slices.Equal(got.Modes, want) {
		t.Errorf("got %+v; want a takeover with 5m of grace and the modes %+v", got, want)
	}
	// What is valid here is taken by the rules.
	if d := license.Check(license.NewState(), 1, license.Configure{Settings: got}); d != nil {
		t.Errorf("the rules refuse the settings: %s", d.Reason)
	}
}

func TestHostsBecomeTheSitesSettings(t *testing.T) {
	c, _, err := load(t, configs.SingleNode+"rules:\n  hosts: [TS-1, ts-2.corp.example]\n")
	if err != nil {
		t.Fatal(err)
	}
	got := c.Rules.Settings()
	if want := []string{"TS-1", "ts-2.corp.example"}; !slices.Equal(got.Hosts, want) {
		t.Errorf("got %q, want %q", got.Hosts, want)
	}
	if d := license.Check(license.NewState(), 1, license.Configure{Settings: got}); d != nil {
		t.Errorf("the rules refuse the settings: %s", d.Reason)
	}
	if _, _, err = load(t, configs.SingleNode+"rules:\n  hosts: [TS-1, \"\", "+strings.Repeat("x", license.MaxName+1)+"]\n"); err == nil {
		t.Fatal("got no problem, want two")
	}
	for _, want := range []string{"rules.hosts[2]", "rules.hosts[3]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %.300v; want %s named in it", err, want)
		}
	}
}

func TestBadTakeoversAndModesAreNamed(t *testing.T) {
	_, _, err := load(t, configs.SingleNode+`rules:
  takeover: grab
  takeover_grace: 61m
  modes:
    - {network: 10.0.0.0/8, mode: maybe}
    - {network: 10.0.0.0/8, mode: on}
    - {network: "::ffff:10.0.0.0/104", mode: on}
`)
	if err == nil {
		t.Fatal("got no problem, want five")
	}
	for _, want := range []string{"rules.takeover", "rules.takeover_grace", "rules.modes[1].mode", "rules.modes[2]", "rules.modes[3].network"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %s named in it", err, want)
		}
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(configs.Log{Level: "warn", Format: "json"}.Handler(&b, nil))
	log.Info("too quiet")
	log.Warn("loud enough", "node", "gw1")
	if got := b.String(); strings.Contains(got, "too quiet") || !strings.Contains(got, `"msg":"loud enough","node":"gw1"`) {
		t.Errorf("got %s", got)
	}
}
