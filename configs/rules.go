package configs

import (
	"io"
	"log/slog"

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

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// Logger writes to w what a validated Log asks for.
func (l Log) Logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: levels[l.Level]}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
