package main

import (
	"errors"
	"log/slog"
	"net"
	"net/url"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/doctor"
	"sitegate/gateway"
	"sitegate/upstream/egress"
)

// wayOut is the way out of a node: what its configuration says, with the cloud as what proxies are tried with, and all that is to be let through together.
func wayOut(c configs.Config, log *slog.Logger) egress.Config {
	w := c.Egress.Way()
	w.StateDir, w.Logger, w.Hosts = c.DataDir, log, doctor.Destinations(c)
	if c.Cloud != nil {
		if u, err := url.Parse(c.Cloud.URL); err == nil {
			port := u.Port()
			if port == "" {
				port = "443"
			}
			w.Probe = net.JoinHostPort(u.Hostname(), port)
		}
	}
	return w
}

// egressStatus is how the ways out are, as the API tells it.
func egressStatus(list []egress.ProxyStatus) []api.EgressStatus {
	var out []api.EgressStatus
	for _, s := range list {
		e := api.EgressStatus{Name: s.Name, Kind: string(s.Kind), Address: s.Address, State: string(s.State), Since: s.Since, Until: s.Until, Scheme: string(s.Scheme)}
		if e.Kind == "" {
			e.Kind = egress.ViaPAC
		}
		if s.Err != nil {
			e.Problem = s.Err.Error()
		}
		if one := (*egress.Error)(nil); errors.As(s.Err, &one) {
			e.Code = string(one.Code)
		}
		out = append(out, e)
	}
	return out
}

// secretsOf are the secrets of the ways out, as the gateway watches them.
func secretsOf(list []egress.ProxyStatus) []gateway.Secret {
	var secrets []gateway.Secret
	for _, s := range list {
		if s.HasSecret {
			secrets = append(secrets, gateway.Secret{Proxy: s.Name, Stopped: s.Secret == egress.SecretStopped, Taken: s.Secret == egress.SecretTaken || s.Secret == egress.SecretUnasked, Until: s.SecretUntil})
		}
	}
	return secrets
}

// blamed is what a desktop is told of an error of the way out.
func blamed(err error, target string) (code, sentence string) {
	var e *egress.Error
	if !errors.As(err, &e) {
		return "", ""
	}
	return string(e.Code), e.ForDesktop(target)
}
