package egress

import (
	"fmt"
	"testing"

	"sitegate/upstream/egress"
)

// Addresses of the sixth version between gateway and proxies. To reach the first kind a
// system prefers it to IPv4, and IPv4 to the second kind (RFC 6724).
const (
	global = "2001:db8:7::"
	local  = "fd07::"
)

// A proxy whose name has an address of each family is reached though the first one of them
// leads nowhere, whichever that is.
func TestOneFamilyLeadsNowhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		six         string // the prefix
		alive, dead string // addresses of the proxy
	}{
		"IPv6, which is tried first": {global, proxyIP, global + "2"},
		"IPv4, which is tried first": {local, local + "2", proxyIP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "tinyproxy", "ss")
			near, far := "v"+w.node[2:]+"a", "v"+w.node[2:]+"b"
			w.in(t, w.node, "ip", "address", "add", c.six+"1/64", "dev", near, "nodad")
			w.in(t, w.proxy, "ip", "address", "add", c.six+"2/64", "dev", far, "nodad")
			w.write(t, "/etc/netns/"+w.node+"/hosts", 0o644, fmt.Sprintf("127.0.0.1 localhost\n%s %s\n%s2 %s\n", proxyIP, proxyHost, c.six, proxyHost))
			conf := w.write(t, "tinyproxy.conf", 0o644, "Port 8888\nListen "+c.alive+"\nTimeout 60\nMaxClients 20\nConnectPort 443\n")
			at := c.alive
			if c.alive != proxyIP {
				at = "[" + c.alive + "]"
			}
			w.start(t, w.proxy, at+":8888", nil, "tinyproxy", "-d", "-c", conf)
			// What is sent there comes to nobody: there is no answer, and no refusal either.
			w.in(t, w.node, "ip", "neigh", "replace", c.dead, "lladdr", "02:00:00:00:00:01", "dev", near)
			w.reaches(t, one(egress.Proxy{Address: proxyHost + ":8888"}))
			t.Run("and so does the other", func(t *testing.T) {
				w.in(t, w.node, "ip", "neigh", "replace", c.alive, "lladdr", "02:00:00:00:00:01", "dev", near)
				w.fails(t, one(egress.Proxy{Address: proxyHost + ":8888"}), egress.ProxyConnectTimeout)
			})
		})
	}
}
