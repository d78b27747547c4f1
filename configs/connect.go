package configs

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

// Connect is the forward proxy through which desktops reach sign-in pages and portals: for
// a list of exact destinations, and with a PAC file that leads to it.
type Connect struct {
	Listen string         `key:"listen"`
	Allow  []string       `key:"allow"` // host:port, exactly; besides the vendor's
	From   []netip.Prefix `key:"from"`  // who may use it; empty: this machine only
	// VendorHosts adds the vendor's sign-in, portal and agreement hosts to Allow.
	VendorHosts bool `key:"vendor_hosts"`
	// Relayed is what becomes of the hosts that decide who may work (discovery, entitlement,
	// usage): refuse, with use-relay; direct, the same, while the PAC file leads past all
	// proxies to them, for sites whose DNS has them at the gateway; or tunnel, past
	// all that the gateway enforces.
	Relayed string `key:"relayed"`
	// Private are networks of private addresses that names on the list may lead to where
	// the way out is direct.
	Private []netip.Prefix `key:"private"`
	// Tunnels is how many there may be at once, TunnelsEach from one address.
	Tunnels     int `key:"tunnels"`
	TunnelsEach int `key:"tunnels_each"`
	// Nodes are the forward proxies of all nodes, host:port, for the PAC file; those of
	// nodes that none of them is at are the host of the node's URL and the port of Listen.
	Nodes []string `key:"nodes"`
	// PAC is the site's own file, which decides for what is not the vendor's; without it
	// Otherwise is said there.
	PAC       *PAC   `key:"pac"`
	Otherwise string `key:"otherwise"`
}

// What may become of relayed hosts.
const (
	RelayedRefuse = "refuse"
	RelayedDirect = "direct"
	RelayedTunnel = "tunnel"
)

func (cn *Connect) defaults() {
	cn.VendorHosts, cn.Relayed, cn.Otherwise = true, RelayedRefuse, "DIRECT"
	cn.Tunnels, cn.TunnelsEach = 2000, 64
}

// RelayedHosts are those that decide who may work: the vendor's, and those of the section
// relay.
func (c Config) RelayedHosts() []string {
	list := cloudapi.RelayedHosts()
	if r := c.Relay; r != nil {
		for _, address := range []string{r.DiscoveryURL, r.PolicyURL, r.PostingURL, r.LocationURL, r.AccessKeyURL} {
			u, err := url.Parse(address)
			if err != nil {
				continue
			}
			if target, err := cloudapi.ParseTarget(net.JoinHostPort(u.Hostname(), "443")); err == nil { // an address is not tunnelled to anyway
				list = append(list, strings.TrimSuffix(target, ":443"))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ConnectVendor are the destinations of the forward proxy that come with this program.
func (c Config) ConnectVendor() (list []string) {
	if c.Connect.VendorHosts {
		list = cloudapi.SignInHosts()
	}
	if c.Connect.Relayed == RelayedTunnel {
		for _, h := range c.RelayedHosts() {
			list = append(list, net.JoinHostPort(h, "443"))
		}
	}
	return list
}

// ConnectTargets are all that the forward proxy leads to.
func (c Config) ConnectTargets() []string { return append(c.ConnectVendor(), c.Connect.Allow...) }

func (cn *Connect) validate(p *Problems, c Config) {
	p.address("connect.listen", cn.Listen, bindAny)
	p.oneOf("connect.relayed", cn.Relayed, RelayedRefuse, RelayedDirect, RelayedTunnel)
	if len(c.ConnectTargets()) == 0 {
		p.add("connect.allow", "is empty; list the host:port pairs of the sign-in pages, set connect.vendor_hosts, or take the section out")
	}
	for i, a := range cn.Allow {
		key := keyf("connect.allow[%d]", i+1)
		before := len(*p)
		p.address(key, a, reach)
		if len(*p) > before {
			continue
		}
		target, err := cloudapi.ParseTarget(a) // as the forward proxy will
		host, _, _ := net.SplitHostPort(target)
		switch {
		case err != nil:
			p.add(key, "%q: %v; the door opens to names only, as the sign-in pages have them", a, err)
		case cn.Relayed != RelayedTunnel && slices.Contains(c.RelayedHosts(), host):
			p.add(key, "%s decides who may work, and is relayed, not tunnelled to; take it out, or set connect.relayed: tunnel, which lets desktops past all that this gateway enforces", host)
		}
	}
	if cn.VendorHosts && cn.Relayed != RelayedTunnel {
		for _, target := range cloudapi.SignInHosts() {
			if host, _, _ := net.SplitHostPort(target); slices.Contains(c.RelayedHosts(), host) {
				p.add("connect.vendor_hosts", "brings %s, which the section relay names, too: what is relayed is not tunnelled to; correct the address in relay, or set connect.vendor_hosts: false", target)
			}
		}
	}
	if host, _, err := net.SplitHostPort(cn.Listen); err == nil && len(cn.From) == 0 && !loopback(host) {
		p.add("connect.from", "is empty, so only this machine could use the door at %s; list the networks of your desktops", cn.Listen)
	}
	for i, n := range cn.From {
		if n.IsValid() && n.Bits() == 0 {
			p.add(keyf("connect.from[%d]", i+1), "%s lets everybody in; list the networks of your desktops", n)
		}
	}
	for i, n := range cn.Private {
		if n.IsValid() && n.Bits() == 0 {
			p.add(keyf("connect.private[%d]", i+1), "%s is every address; list the networks that the hosts of connect.allow are in", n)
		}
	}
	if cn.Tunnels < 1 || cn.Tunnels > 100_000 {
		p.add("connect.tunnels", "is %d; it is from 1 to 100000", cn.Tunnels)
	}
	if cn.TunnelsEach < 1 || cn.TunnelsEach > 100_000 { // above tunnels it bounds nothing, as its default does beside few
		p.add("connect.tunnels_each", "is %d; it is from 1 to 100000", cn.TunnelsEach)
	}
	for i, n := range cn.Nodes {
		p.address(keyf("connect.nodes[%d]", i+1), n, reach)
	}
	if cn.PAC != nil {
		cn.PAC.validate(p, "connect.pac")
	}
	if err := egress.CheckAnswer(cn.Otherwise); err != nil {
		p.add("connect.otherwise", "%q is no answer of a PAC file, as DIRECT or PROXY proxy.example.com:8080", mask(cn.Otherwise))
	}
}

func (cn *Connect) checkFiles(p *Problems) {
	if cn.PAC != nil {
		p.readable("connect.pac.file", cn.PAC.File)
	}
}
