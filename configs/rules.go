package configs

import (
	"sitegate/license"
)

var scopes = map[string]license.Scope{"user": license.ScopeUser, "license": license.ScopeLicense}

var takeovers = map[string]license.TakeoverPolicy{"refuse": license.TakeoverRefuse, "ask": license.TakeoverAsk, "grace": license.TakeoverGrace}

// Settings is what a validated Rules proposes for the site.
func (r Rules) Settings() license.Settings {
	var modes []license.Mode
	for _, m := range r.Modes {
		mode := license.Mode{Product: license.ProductID(m.Product), Observe: m.Mode == "observe"}
		if m.Network.IsValid() {
			mode.Network = m.Network.Masked().String()
		}
		modes = append(modes, mode)
	}
	return license.Settings{
		SessionScope:     scopes[r.SessionScope],
		CheckoutScope:    scopes[r.CheckoutScope],
		LeaseTTL:         r.LeaseTTL,
		AutonomyCapped:   r.AutonomyCapped,
		AutonomyUncapped: r.AutonomyUncapped,
		NoCheckouts:      r.Checkouts == "off",
		CheckoutMax:      r.CheckoutMax,
		CheckoutDefault:  r.CheckoutDefault,
		SaveGrace:        r.SaveGrace,
		PassV8i:          r.V8i == "pass",
		MachineKeys:      r.MachineKeys,
		Hosts:            r.Hosts,
		Takeover:         takeovers[r.Takeover],
		TakeoverGrace:    r.TakeoverGrace,
		Modes:            modes,
	}
}
