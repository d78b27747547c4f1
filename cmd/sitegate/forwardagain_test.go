package main

import (
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
	"sitegate/emulator/proxy"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/notice"
	"sitegate/upstream/egress"
)

// The section connect is taken anew while tunnels go on; its address waits for a restart, and
// what is wrong changes nothing.
func TestTheForwardProxyIsTakenAnew(t *testing.T) {
	const first, second = "first.site.test:443", "second.site.test:443"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo := listenEcho(t).Addr().String()
	p := proxy.Start(ln, proxy.Config{Hosts: map[string]string{first: echo, second: echo}})
	defer p.Close()
	c := configs.Default()
	c.DataDir = t.TempDir()
	c.Egress.Proxy = &configs.Proxy{Address: p.Addr()}
	c.Connect = &configs.Connect{Listen: "127.0.0.1:3128", Allow: []string{first}, Relayed: configs.RelayedRefuse, Tunnels: 10, TunnelsEach: 10, Otherwise: "DIRECT"}
	log := slog.New(slog.DiscardHandler)
	out, err := egress.New(wayOut(c, log))
	if err != nil {
		t.Fatal(err)
	}
	ep, err := endpoint.New(endpoint.Config{Gateway: gateway.New(gateway.Config{Log: &nodeLog{}, Logger: log}), Hub: notice.New(0, 0), Logger: log, KeysDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	none := func() []api.ClusterMember { return nil }
	tunnel, err := ep.Tunnel(forwardProxy(c, "", out, none))
	if err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: tunnel, ReadHeaderTimeout: time.Minute}
	go srv.Serve(door)
	t.Cleanup(func() { srv.Close(); tunnel.Close() })
	connect := func(target, want string) net.Conn {
		t.Helper()
		x, err := net.Dial("tcp", door.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { x.Close() })
		x.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(x, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
		head := make([]byte, len("HTTP/1.1 200 Connection Established\r\n\r\n")) // a refusal's is longer
		if _, err := io.ReadFull(x, head); err != nil || !strings.HasPrefix(string(head), "HTTP/1.1 "+want) {
			t.Errorf("%s: the door says %q, %v, want %s", target, head, err, want)
		}
		return x
	}
	next := c
	r := &reloading{again: func() (setting, error) { return setting{Config: next}, nil }, begun: setting{Config: c}, dialer: out, log: log}
	r.also = append(r.also, (&forwarding{running: c, out: out, members: none, tunnel: tunnel}).again)
	take := func(change func(*configs.Connect)) (api.Reloaded, error) {
		cn := *next.Connect
		change(&cn)
		next.Connect = &cn
		return r.take()
	}

	old := connect(first, "200")
	connect(second, "403")
	now, err := take(func(cn *configs.Connect) { cn.Allow, cn.Listen = []string{second}, "127.0.0.1:3129" })
	if err != nil || !slices.Equal(now.Waits, []string{"connect.listen"}) {
		t.Errorf("got %+v, %v, want that connect.listen alone waits", now, err)
	}
	connect(first, "403")
	connect(second, "200")
	if _, err := take(func(cn *configs.Connect) { cn.Allow = []string{"10.0.0.1:443"} }); err == nil || !strings.Contains(err.Error(), "10.0.0.1:443") {
		t.Errorf("an address on the list: %v, want an error that names it", err)
	}
	connect(second, "200")
	if _, err := take(func(cn *configs.Connect) { cn.Allow, cn.TunnelsEach = []string{first}, 3 }); err != nil {
		t.Error(err)
	}
	connect(first, "429") // three are open
	if _, err := take(func(cn *configs.Connect) {
		cn.TunnelsEach = 10
		cn.From = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}); err != nil {
		t.Error(err)
	}
	connect(first, "403")
	next.Connect = nil
	if now, err := r.take(); err != nil || !slices.Equal(now.Waits, []string{"connect"}) {
		t.Errorf("without the section: got %+v, %v, want that it waits", now, err)
	}
	b := make([]byte, 2)
	if _, err := old.Write([]byte("on")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(old, b); err != nil || string(b) != "on" {
		t.Errorf("the tunnel that was open gives %q, %v, want it to go on", b, err)
	}
}
