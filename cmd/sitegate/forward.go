package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/upstream/egress"
)

// forwardProxy is what the forward proxy of a node is made of. peer is where the node listens
// for the others, which the configuration of one that has joined does not say; empty: nowhere.
// members are all nodes of the cluster, as they are now.
func forwardProxy(c configs.Config, peer string, out *egress.Dialer, members func() []api.ClusterMember) endpoint.TunnelConfig {
	cn := c.Connect
	guests := &guestDialer{out: out, private: cn.Private, ports: portsOf(c.API.Listen, cn.Listen, peer), own: ownAddresses, site: func() []string { return siteDoors(members()) }}
	t := endpoint.TunnelConfig{Dialer: guests, Explain: blamed,
		Vendor: c.ConnectVendor(), Allow: cn.Allow, Clients: cn.From, Max: min(cn.Tunnels, mostTunnels()), PerClient: cn.TunnelsEach, Splices: mostSplices(), Name: hopName(c.Node),
		PAC: &endpoint.PAC{Nodes: func() []string { return proxyNodes(c, members()) }, Own: func() []string { return ownNames(c, members()) }, Otherwise: cn.Otherwise}}
	if cn.Relayed != configs.RelayedTunnel {
		t.Relayed, t.NoRelay = c.RelayedHosts(), c.Relay == nil
	}
	if cn.Relayed == configs.RelayedDirect {
		t.PAC.Past = t.Relayed
	}
	if cn.PAC != nil {
		t.PAC.Site = out.SitePAC(egress.PAC(*cn.PAC), endpoint.PACMark).Text
	}
	return t
}

// hopName is this process's in the Via header, and nobody else's: two sites of one firm may
// have nodes of one name, and one of them the other's proxy.
func hopName(node string) string { return "sitegate-" + node + "-" + rand.Text()[:8] }

// mostTunnels and mostSplices share an eighth of the files that this process may have open. Each
// tunnel has one on the other side, which the crowd does not count, and, as long as the kernel
// carries a direction of it, two more for that: 3/32 and 2 times 1/64 of all.
func mostTunnels() int { return max(1, mostFiles()/8) }

func mostSplices() int { return max(1, mostFiles()/48) }

// guestDialer is the way out on behalf of desktops: a name does not lead them to a private
// address, unless that is allowed, nor ever to this node itself, or to where another one of the
// site listens for clients and for its peers.
type guestDialer struct {
	out     *egress.Dialer
	private []netip.Prefix
	ports   []uint16 // that this node listens on
	own     func() []netip.Addr
	site    func() []string // host:port of all nodes' doors; nil: they are not known
}

func (g *guestDialer) Dial(ctx context.Context, addr, via string) (net.Conn, error) {
	doors := g.doors()
	if slices.Contains(doors, addr) { // whoever resolves it
		return nil, &egress.Error{Code: egress.PrivateAddress, Message: addr + " is a node of this license gateway itself.", Action: "Take it out of connect.allow: desktops reach the gateway past all proxies."}
	}
	return g.out.DialGuest(ctx, "tcp", addr, egress.Guest{Via: via, Admit: func(a netip.AddrPort) error { return g.admit(a, doors) }})
}

func (g *guestDialer) doors() []string {
	if g.site == nil {
		return nil
	}
	return g.site()
}

// admit says why an address that a name leads to is not connected to.
func (g *guestDialer) admit(a netip.AddrPort, doors []string) error {
	if slices.Contains(doors, a.String()) {
		return fmt.Errorf("%s is a node of this gateway", a)
	}
	if slices.Contains(g.ports, a.Port()) && (a.Addr().IsLoopback() || a.Addr().IsUnspecified() || slices.Contains(g.own(), a.Addr())) {
		return fmt.Errorf("%s is this gateway itself", a)
	}
	if egress.Private(a.Addr()) && !slices.ContainsFunc(g.private, func(n netip.Prefix) bool { return n.Contains(a.Addr()) }) {
		return fmt.Errorf("%s is a private address", a.Addr())
	}
	return nil
}

// portsOf are the ports of addresses that a node listens on, as far as they were chosen.
func portsOf(listens ...string) (ports []uint16) {
	for _, at := range listens {
		if _, port, err := net.SplitHostPort(at); err == nil {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

// ownAddresses are this machine's, as they are now.
func ownAddresses() (list []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				list = append(list, ip.Unmap())
			}
		}
	}
	return list
}
