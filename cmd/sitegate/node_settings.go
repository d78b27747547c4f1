package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/doctor"
)

// setting is what a node's configuration is read into: what it says, where that is set, and
// the file that it is from.
type setting struct {
	configs.Config
	from configs.Origins
	file string
}

// settings is what the node goes by: what it has begun with, and of what reloading takes,
// the last that was taken.
func (r *reloading) settings() []api.NodeSetting {
	r.mu.Lock()
	begun, taken := r.begun, r.taken
	r.mu.Unlock()
	list := []api.NodeSetting{}
	add := func(s setting, reload bool) {
		for _, x := range s.Settings(s.from) {
			if takenAnew(x.Key) == reload {
				list = append(list, api.NodeSetting{Key: x.Key, Value: x.Value, From: x.Origin.String(), Reload: reload})
			}
		}
	}
	add(begun, false)
	add(taken, true)
	return list
}

// examined is what the node goes by now.
func (r *reloading) examined() setting {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// doctor is what the doctor examines: the configuration, and what the node says of itself.
func (s setting) doctor(ctx context.Context) doctor.Config {
	d := doctor.Config{Version: buildVersion(), File: s.file, Settings: s.Config, Origins: s.from, Way: wayOut(s.Config, slog.New(slog.DiscardHandler))}
	var st api.Status
	if d.Silent = operator(ctx, s.Config, http.MethodGet, api.PathStatus, nil, &st); d.Silent == nil {
		d.Status, d.Reach, d.SiteCA = &st, reachSite, siteCAOf(s.Config)
	}
	return d
}

// examine is what "sitegate doctor" does, by the node itself and of what it goes by now.
func (r *reloading) examine(ctx context.Context) (api.DoctorReport, error) {
	found := doctor.Run(ctx, r.examined().doctor(ctx))
	if err := ctx.Err(); err != nil {
		return api.DoctorReport{}, fmt.Errorf("examining the way out: %w", err)
	}
	out := api.DoctorReport{At: found.At, Version: found.Version, Config: found.Config, Node: found.Node, Running: found.Running,
		Checks: make([]api.DoctorCheck, 0, len(found.Checks)), Firewall: make([]api.FirewallOpening, 0, len(found.Firewall))}
	for _, c := range found.Checks {
		out.Checks = append(out.Checks, api.DoctorCheck{Step: c.Step, Of: c.Of, State: string(c.State), Code: c.Code, Found: c.Found, Action: c.Action})
	}
	for _, o := range found.Firewall {
		out.Firewall = append(out.Firewall, api.FirewallOpening(o))
	}
	return out, nil
}
