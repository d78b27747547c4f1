package doctor

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"sitegate/configs"
)

// destination is what a node has to reach by the way out.
type destination struct {
	addr    string // host:port
	purpose string
	cloud   string // the cloud's address, if it is there: it is asked whether it is one
	issuer  string // likewise the sign-in
	signIn  bool
	mail    *configs.Mail // it is the mail server; nil: it speaks HTTP
}

// destinationsOf are all that are known by name: the cloud first, whose answers matter most.
func destinationsOf(c configs.Config) []destination {
	var list []destination
	add := func(address, purpose string) *destination {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" {
			return new(destination)
		}
		port := u.Port()
		if port == "" {
			port = "443"
		}
		addr := net.JoinHostPort(strings.ToLower(u.Hostname()), port)
		i := slices.IndexFunc(list, func(d destination) bool { return d.addr == addr })
		if i < 0 {
			list, i = append(list, destination{addr: addr, purpose: purpose}), len(list)
		} else if !strings.Contains(list[i].purpose, purpose) {
			list[i].purpose += ", " + purpose
		}
		return &list[i]
	}
	if c.Cloud != nil {
		add(c.Cloud.URL, "vendor's cloud").cloud = strings.TrimSuffix(c.Cloud.URL, "/")
		if d := add(c.Cloud.Issuer, "sign-in"); d.addr != "" {
			d.issuer, d.signIn = strings.TrimSuffix(c.Cloud.Issuer, "/"), true
		}
	}
	for _, s := range c.SignIn {
		d := add(s.Issuer, "sign-in")
		d.signIn = true
		if d.issuer == "" {
			d.issuer = strings.TrimSuffix(s.Issuer, "/")
		}
	}
	switch c.Usage.Way {
	case "realtime":
		add(c.Usage.PostingURL, "usage")
	case "csv":
		add(c.Usage.LocationURL, "usage")
		for _, h := range c.Usage.UploadHosts {
			if !strings.HasPrefix(h, ".") {
				add("https://"+h, "usage files (PUT)")
			}
		}
	}
	if c.Alerts != nil {
		for _, w := range c.Alerts.Webhooks {
			add(w.URL, "alerts (webhook "+w.Name+")")
		}
		if m := c.Alerts.Mail; m != nil {
			list = append(list, destination{addr: strings.ToLower(m.Server), purpose: "alerts (mail)", mail: m})
		}
	}
	return list
}

// host is a destination's, for sentences.
func (d destination) host() string {
	host, _, _ := net.SplitHostPort(d.addr)
	return host
}

// Destinations are the host:port of all that a node has to reach outside the site, as far as its configuration names them.
func Destinations(c configs.Config) []string {
	var list []string
	for _, d := range destinationsOf(c) {
		list = append(list, d.addr)
	}
	return list
}
