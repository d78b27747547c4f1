package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/gateway"
	"sitegate/upstream/egress"
)

// wayOut is the way out of a node: what its configuration says, with the cloud as what proxies are tried with.
func wayOut(c configs.Config, log *slog.Logger) egress.Config {
	w := c.Egress.Way()
	w.StateDir, w.Logger = c.DataDir, log
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
			secrets = append(secrets, gateway.Secret{Proxy: s.Name, Stopped: s.Secret == egress.SecretStopped, Taken: s.Secret == egress.SecretTaken, Until: s.SecretUntil})
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

// rereadWayOut takes the way out from the configuration anew, whenever hangups says so, until ctx ends. What is wrong with it changes nothing.
func rereadWayOut(ctx context.Context, hangups <-chan os.Signal, again func() (configs.Config, error), dialer *egress.Dialer, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		c, err := again()
		if err == nil {
			err = dialer.Reload(wayOut(c, log))
		}
		if err != nil {
			log.Error("the configuration was read anew and is wrong: the way out stays as it was", "err", err)
			continue
		}
		log.Info("the way out is as the configuration now says", "proxies", len(c.Egress.Way().Proxies), "pac", c.Egress.PAC != nil, "direct", c.Egress.Direct)
	}
}
