package configs_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/license"
)

func TestRulesBecomeTheSitesSettings(t *testing.T) {
	c, _, err := load(t, configs.SingleNode+"rules: {session_scope: license, lease_ttl: 10m, autonomy_capped: 0s, checkout_max: 14d, checkout_default: 3d, v8i: pass}\n")
	if err != nil {
		t.Fatal(err)
	}
	got, zero := c.Rules.Settings(), time.Duration(0)
	want := license.Settings{SessionScope: license.ScopeLicense, CheckoutScope: license.ScopeLicense, LeaseTTL: 10 * time.Minute,
		AutonomyCapped: &zero, CheckoutMax: 14 * 24 * time.Hour, CheckoutDefault: 3 * 24 * time.Hour, SaveGrace: license.DefaultSaveGrace, PassV8i: true}
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

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log := configs.Log{Level: "warn", Format: "json"}.Logger(&b)
	log.Info("too quiet")
	log.Warn("loud enough", "node", "gw1")
	if got := b.String(); strings.Contains(got, "too quiet") || !strings.Contains(got, `"msg":"loud enough","node":"gw1"`) {
		t.Errorf("got %s", got)
	}
}
