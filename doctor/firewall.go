package doctor

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"sitegate/configs"
)

// Opening is a row for the firewall or proxy team.
type Opening struct {
	Source      string `json:"source"`
	Destination string `json:"destination"` // host:port
	Protocol    string `json:"protocol"`
	Purpose     string `json:"purpose"`
}

const (
	openTLS     = "TCP, TLS"
	openConnect = "TCP, CONNECT"
	exempt      = "; no TLS inspection"
)

// firewall is all that a node needs to be let through, as its configuration says.
func (x *examination) firewall(ctx context.Context, hops []*hop) []Opening {
	var list []Opening
	add := func(source, destination, protocol, purpose string) {
		o := Opening{source, destination, protocol, purpose}
		if destination != "" && !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	four, six := x.sources()
	here := strings.Join(append(four, six...), " ")
	if here == "" {
		here = "this server"
	}
	for _, h := range hops {
		if !h.direct() {
			add(here, h.proxy.Address, protocolOf(h), called(h.name))
		}
	}
	for _, p := range x.Way.Proxies {
		if !slices.ContainsFunc(hops, func(h *hop) bool { return h.name == proxyName(p) }) {
			add(here, p.Address, protocolOf(&hop{proxy: p}), called(proxyName(p)))
		}
	}
	outwardBy := func(addr, protocol, purpose string, by []*hop) {
		if len(by) == 0 {
			add("the way out", addr, protocol, purpose)
		}
		for _, h := range by {
			source := here
			if !h.direct() {
				source = called(h.name)
			}
			add(source, addr, protocol, purpose)
		}
	}
	outward := func(addr, purpose string, by []*hop) { outwardBy(addr, openTLS, purpose+exempt, by) }
	ways := func(addr string) (by []*hop) { // of what is not tried
		if x.Way.PAC == nil && x.dialer != nil {
			names, _ := x.dialer.Candidates(ctx, addr)
			for _, n := range names {
				by = append(by, &hop{name: n})
			}
		}
		return by
	}
	for i := range x.destinations {
		d := &x.destinations[i]
		by := slices.DeleteFunc(slices.Clone(hops), func(h *hop) bool { return !slices.Contains(h.to, d) })
		switch {
		case d.mail == nil:
			outward(d.addr, d.purpose, by)
		case d.mail.TLS == configs.MailImplicit:
			outwardBy(d.addr, "TCP, SMTP over TLS", d.purpose, by)
		default:
			outwardBy(d.addr, "TCP, SMTP with STARTTLS", d.purpose, by)
		}
	}
	if x.Settings.Usage.Way == "csv" {
		for _, host := range x.Settings.Usage.UploadHosts {
			if strings.HasPrefix(host, ".") {
				outward("*"+host+":443", "usage files (PUT)", ways("any"+host+":443")) // a name that is not known yet
			}
		}
	}
	for _, k := range x.kdcs() {
		add(here, k, "TCP", "Kerberos KDC")
	}
	if p := x.Way.PAC; p != nil && p.URL != "" {
		if u, err := url.Parse(p.URL); err == nil {
			port, protocol := "80", "TCP, HTTP"
			if u.Scheme == "https" {
				port, protocol = "443", openTLS
			}
			add(here, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), protocol, "PAC file")
		}
	}
	x.inside(here, add)
	return list
}

// logServers are the protocols of log servers that are not this machine's own.
var logServers = map[string]string{"udp": "UDP, syslog", "tcp": "TCP, syslog", "tls": "TCP, syslog over TLS"}

// inside are the rows within the site: nodes, log server, time, names, desktops.
func (x *examination) inside(here string, add func(source, destination, protocol, purpose string)) {
	if s := x.Status; s != nil && len(s.Cluster.Members) > 1 {
		for _, m := range s.Cluster.Members {
			if m.Name != s.Node {
				add(here, m.Address, openTLS, "peer "+m.Name+", both ways")
			}
		}
	} else if cl := x.Settings.Cluster; cl != nil {
		for _, p := range cl.Peers {
			if p.Name != x.Settings.Node {
				add(here, p.Address, openTLS, "peer "+p.Name+", both ways")
			}
		}
	}
	if network, address := x.Settings.Log.SyslogServer(); x.Settings.Log.Target == configs.LogSyslog && logServers[network] != "" {
		add(here, address, logServers[network], "log server")
	}
	add(here, "the site's time servers:123", "UDP, NTP", "time")
	add(here, "the site's DNS servers:53", "UDP and TCP", "names")
	add("desktops", cmp.Or(hostPort(x.Settings.API.URL), x.Settings.API.Listen), openTLS, "this gateway")
	if cn := x.Settings.Connect; cn != nil {
		add("desktops", cn.Listen, openConnect, "sign-in pages, by this gateway")
	}
}

// called is a proxy's name among other things. The only one is often called just that.
func called(name string) string {
	if name == "proxy" {
		return "the proxy"
	}
	return "proxy " + name
}

func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
}

func protocolOf(h *hop) string {
	kind := h.proxy.Kind
	for _, f := range h.found {
		kind = cmp.Or(f.Kind, kind)
	}
	switch kind {
	case "https":
		return "TCP, CONNECT in TLS"
	case "socks5":
		return "TCP, SOCKS5"
	}
	return openConnect
}

// kdcs are those of the realms that the configuration names, as far as krb5.conf says where they are.
func (x *examination) kdcs() []string {
	var list []string
	for _, p := range x.Way.Proxies {
		if p.Kerberos == nil {
			continue
		}
		_, realm, _ := strings.Cut(p.Kerberos.Principal, "@")
		found := []string{"KDCs of " + cmp.Or(realm, "the realm") + ":88"}
		if f, err := os.Open(cmp.Or(p.Kerberos.ConfigFile, "/etc/krb5.conf")); err == nil {
			if named := kdcsOf(io.LimitReader(f, 1<<20), realm); len(named) > 0 {
				found = named
			}
			_ = f.Close() // it was only read
		}
		for _, k := range found {
			if !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
	}
	return list
}

// kdcsOf reads the KDCs of a realm from a krb5.conf.
func kdcsOf(r io.Reader, realm string) []string {
	var list []string
	section, block := "", ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "["):
			section, block = strings.Trim(line, "[] "), ""
		case strings.HasPrefix(value, "{"):
			block = key
		case line == "}":
			block = ""
		case section == "realms" && block == realm && key == "kdc" && value != "":
			host := strings.Fields(value)[0]
			if _, _, err := net.SplitHostPort(host); err != nil {
				host = net.JoinHostPort(strings.Trim(host, "[]"), "88")
			}
			list = append(list, host)
		}
	}
	return list
}
