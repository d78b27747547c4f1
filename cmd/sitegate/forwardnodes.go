package main

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"strings"

	"sitegate/api"
	"sitegate/configs"
)

// ownNames are the host:port that desktops ask the gateway itself at.
func ownNames(c configs.Config, members []api.ClusterMember) (list []string) {
	bases := append([]string{c.API.URL}, c.API.Nodes...)
	if c.Relay != nil {
		bases = append(bases, c.Relay.URL)
	}
	for _, m := range members {
		bases = append(bases, m.URL)
	}
	for _, base := range bases {
		if at := hostPortIn(base); at != "" {
			list = append(list, at)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// siteDoors are the host:port of all nodes for clients and for their peers, as far as they have
// said so. No desktop has business there by way of the forward proxy.
func siteDoors(members []api.ClusterMember) (list []string) {
	for _, m := range members {
		for _, at := range []string{m.Address, hostPortIn(m.URL)} {
			if at != "" {
				list = append(list, strings.ToLower(at))
			}
		}
	}
	return list
}

// hostPortIn is the host:port of a base URL; empty: it has none.
func hostPortIn(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
}

// proxyNodes are the forward proxies of all nodes, as far as they can be told: those that
// the configuration names, or the hosts of all nodes; and the hosts of nodes that have come
// since. Nodes that are drained, or have been removed, are not among them, unless there
// would be none.
func proxyNodes(c configs.Config, members []api.ClusterMember) []string {
	list := slices.Clone(c.Connect.Nodes)
	_, port, err := net.SplitHostPort(c.Connect.Listen)
	chosen := err == nil && port != "0"
	add := func(host string) {
		if at := net.JoinHostPort(host, port); chosen && host != "" && !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	if len(list) == 0 {
		for _, base := range c.API.Nodes {
			add(hostIn(base))
		}
	}
	all := slices.Clone(list)
	gone := removedHosts(c, members)
	list = slices.DeleteFunc(list, func(at string) bool {
		host, _, err := net.SplitHostPort(at)
		there := func(drained bool) bool {
			return slices.ContainsFunc(members, func(m api.ClusterMember) bool { return m.Drained == drained && hostIn(m.URL) == host })
		}
		return err == nil && !there(false) && (there(true) || slices.Contains(gone, host))
	})
	for _, m := range members {
		// Of those that were there when the list was written, it says who has the door.
		if written := m.Self || peer(c, m.Name) || slices.Contains(c.API.Nodes, m.URL); !m.Drained && (len(c.Connect.Nodes) == 0 || !written) {
			add(hostIn(m.URL))
		}
	}
	if len(list) == 0 {
		return all
	}
	return list
}

// removedHosts are the hosts of api.nodes that are no member's any more. None, as long as a
// member has not said where it is, or one of the configuration says that it is elsewhere: then
// a host may be another name of it.
func removedHosts(c configs.Config, members []api.ClusterMember) (gone []string) {
	for _, base := range c.API.Nodes {
		gone = append(gone, hostIn(base))
	}
	listed := slices.Clone(gone)
	for _, m := range members {
		host := hostIn(m.URL)
		if host == "" || peer(c, m.Name) && !slices.Contains(listed, host) {
			return nil
		}
		gone = slices.DeleteFunc(gone, func(h string) bool { return h == host })
	}
	if len(members) == 0 {
		return nil
	}
	return gone
}

// peer reports whether the configuration names a node.
func peer(c configs.Config, node string) bool {
	return node == c.Node || c.Cluster != nil && slices.ContainsFunc(c.Cluster.Peers, func(p configs.Peer) bool { return p.Name == node })
}

// hostIn is the host of a base URL; empty: it has none.
func hostIn(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
