package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/notice"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

func TestGuestsAreNotLedInside(t *testing.T) {
	g := &guestDialer{private: []netip.Prefix{netip.MustParsePrefix("10.30.7.0/24"), netip.MustParsePrefix("127.0.0.0/8")}, ports: []uint16{8443, 3128},
		own: func() []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("10.30.7.1"), netip.MustParseAddr("203.0.113.9")}
		}}
	for at, allowed := range map[string]bool{
		"8.8.8.8:443": true, "10.0.0.1:443": false, "10.30.7.8:443": true, "10.30.7.8:3128": true, // another node's
		"10.30.7.1:443": true, "10.30.7.1:3128": false, "203.0.113.9:8443": false, "203.0.113.9:443": true, "127.0.0.1:3128": false, "127.0.0.1:443": true,
		"[::1]:443": false, "169.254.169.254:80": false,
	} {
		if err := g.admit(netip.MustParseAddrPort(at), g.doors()); (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed %t", at, err, allowed)
		}
	}
	if own := ownAddresses(); !slices.Contains(own, netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("this machine has %v", own)
	}
}

// A node that has joined listens for the others where its data folder says, not its
// configuration; neither that nor what other nodes listen on is led to, by address or by name.
func TestGuestsAreNotLedToTheSitesNodes(t *testing.T) {
	out, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	c := configs.Default()
	c.API.Listen = "0.0.0.0:8443"
	c.Connect = &configs.Connect{Listen: "0.0.0.0:3128", Private: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}}
	members := func() []api.ClusterMember {
		return []api.ClusterMember{{Name: "node1", Self: true, Address: "10.30.7.1:8300", URL: "https://10.30.7.1:8443"},
			{Name: "node2", Address: "10.30.7.2:8300", URL: "https://Gate-2.site.test"}, {Name: "node3", Address: "[fd00::3]:8300"}}
	}
	g := forwardProxy(c, "127.0.0.1:8301", out, members).Dialer.(*guestDialer)
	for at, allowed := range map[string]bool{"127.0.0.1:8301": false, "127.0.0.1:8443": false, "127.0.0.1:3128": false, "127.0.0.1:443": true,
		"10.30.7.1:8300": false, "10.30.7.2:8300": false, "10.30.7.1:8443": false, "10.30.7.2:443": true, "10.30.7.3:8300": true, "[fd00::3]:8300": false} {
		if err := g.admit(netip.MustParseAddrPort(at), g.doors()); (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed %t", at, err, allowed)
		}
	}
	var e *egress.Error
	if _, err := g.Dial(t.Context(), "gate-2.site.test:443", ""); !errors.As(err, &e) || e.Code != egress.PrivateAddress || !strings.Contains(e.Error(), "gateway itself") {
		t.Errorf("by its name: %v, want %s", err, egress.PrivateAddress)
	}
}

// connectDoor is the CONNECT door as a node has it: behind what bounds its connections,
// with the way out behind it.
func connectDoor(t testing.TB, out *egress.Dialer, allow string) string {
	t.Helper()
	return connectDoorWith(t, out, allow, 0)
}

// connectDoorWith is one of which the kernel carries so many directions at once.
func connectDoorWith(t testing.TB, out *egress.Dialer, allow string, splices int) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	gw := gateway.New(gateway.Config{Log: &nodeLog{}, Logger: log})
	ep, err := endpoint.New(endpoint.Config{Gateway: gw, Hub: notice.New(0, 0), Logger: log, KeysDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := ep.Tunnel(endpoint.TunnelConfig{Dialer: &guestDialer{out: out}, Explain: blamed, Allow: []string{allow}, Splices: splices})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: tunnel, ReadHeaderTimeout: time.Minute}
	go srv.Serve(newCrowd(log).limit(ln))
	t.Cleanup(func() { srv.Close(); tunnel.Close() })
	return ln.Addr().String()
}

// drain is a server that reads all there is, and then sends as much back.
func drain(tb testing.TB) string {
	tb.Helper()
	return listens(tb, func(c net.Conn) {
		n, err := io.Copy(io.Discard, c)
		block := make([]byte, 64<<10)
		for left := n; left > 0 && err == nil; left -= int64(len(block)) {
			_, err = c.Write(block[:min(left, int64(len(block)))])
		}
	}).Addr().String()
}

// A CONNECT to a name that leads to this machine is refused with a page that says what to
// ask for, and connects to nothing.
func TestANameThatLeadsInsideIsRefused(t *testing.T) {
	out, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	at := drain(t)
	_, port, _ := net.SplitHostPort(at)
	target := "localhost:" + port
	c, err := net.Dial("tcp", connectDoor(t, out, target))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, target)
	var head []string
	for in := bufio.NewScanner(c); in.Scan(); {
		head = append(head, in.Text())
	}
	said := strings.Join(head, "\n")
	if !strings.HasPrefix(said, "HTTP/1.1 403 Forbidden\n") || !strings.Contains(said, "X-Sitegate-Error: private_address") || !strings.Contains(said, "connect.private") {
		t.Errorf("the door says\n%s", said)
	}
}

func TestWhatTheForwardProxyIsMadeOf(t *testing.T) {
	out, err := egress.New(egress.Config{Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	c := configs.Default()
	c.Connect = &configs.Connect{Listen: "127.0.0.1:3128", VendorHosts: true, Relayed: configs.RelayedRefuse, Tunnels: 7, TunnelsEach: 3}
	none := func() []api.ClusterMember { return nil }
	got := forwardProxy(c, "", out, none)
	if !slices.Equal(got.Vendor, cloudapi.SignInHosts()) || !slices.Equal(got.Relayed, cloudapi.RelayedHosts()) || got.PAC.Past != nil || got.Max != 7 || got.PerClient != 3 || !strings.HasPrefix(got.Name, "sitegate-node1-") || !got.NoRelay {
		t.Errorf("got %+v", got)
	}
	c.Relay = &configs.Relay{}
	if forwardProxy(c, "", out, none).NoRelay {
		t.Error("with the section relay: it does not relay")
	}
	c.Connect.Relayed = configs.RelayedDirect
	if got = forwardProxy(c, "", out, none); !slices.Equal(got.Relayed, cloudapi.RelayedHosts()) || !slices.Equal(got.PAC.Past, cloudapi.RelayedHosts()) {
		t.Errorf("direct: %+v", got)
	}
	c.Connect.Relayed = configs.RelayedTunnel
	if got = forwardProxy(c, "", out, none); got.Relayed != nil || !slices.Contains(got.Vendor, "buddi.bentley.com:443") {
		t.Errorf("tunnel: %+v", got)
	}
	var e *egress.Error
	c.Connect.PAC = &configs.PAC{File: t.TempDir() + "/none.pac"}
	if _, err := forwardProxy(c, "", out, none).PAC.Site(t.Context()); !errors.As(err, &e) || e.Code != egress.PACFailed {
		t.Errorf("a file that is not there: %v", err)
	}
}
