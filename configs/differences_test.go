package configs_test

import (
	"net/netip"
	"slices"
	"testing"

	"sitegate/configs"
)

func TestDifferencesOfConfigurations(t *testing.T) {
	base := func() configs.Config {
		c := configs.Default()
		c.Connect = &configs.Connect{Listen: "127.0.0.1:3128", Tunnels: 5}
		return c
	}
	for want, change := range map[string]func(*configs.Config){
		"":               func(*configs.Config) {},
		"node":           func(c *configs.Config) { c.Node = "other" },
		"connect.listen": func(c *configs.Config) { c.Connect.Listen = "127.0.0.1:3129" },
		"connect.from":   func(c *configs.Config) { c.Connect.From = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} },
		"connect.pac":    func(c *configs.Config) { c.Connect.PAC = &configs.PAC{} },
		"connect":        func(c *configs.Config) { c.Connect = nil },
		"relay":          func(c *configs.Config) { c.Relay = &configs.Relay{} },
		"egress.direct":  func(c *configs.Config) { c.Egress.Direct = !c.Egress.Direct },
		"sign_in":        func(c *configs.Config) { c.SignIn = []configs.SignIn{{Issuer: "https://issuer.example"}} },
	} {
		a, b := base(), base()
		change(&b)
		var list []string
		if want != "" {
			list = []string{want}
		}
		if got := configs.Differences(a, b); !slices.Equal(got, list) {
			t.Errorf("got %q, want %q", got, list)
		}
		if got := configs.Differences(b, a); !slices.Equal(got, list) {
			t.Errorf("the other way round: got %q, want %q", got, list)
		}
	}
}
