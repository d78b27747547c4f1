package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/emulator/proxy"
	"sitegate/upstream/egress"
)

// listenEcho answers each piece of what it is sent with the same, until the test ends.
func listenEcho(t *testing.T) net.Listener {
	t.Helper()
	return listens(t, func(c net.Conn) {
		io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) // without a pipe of the kernel's
	})
}

// listens serves who comes, until the test ends.
func listens(tb testing.TB, serve func(net.Conn)) net.Listener {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return ln
}

// With SIGHUP the way out is taken from the configuration anew; a wrong one changes nothing, and what is open stays open.
func TestHangupTakesTheWayOutAnew(t *testing.T) {
	echo := listenEcho(t)
	var proxies []*proxy.Proxy
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := proxy.Start(ln, proxy.Config{Hosts: map[string]string{"a.test:1": echo.Addr().String()}})
		defer p.Close()
		proxies = append(proxies, p)
	}
	way := func(address string) configs.Config {
		return configs.Config{Egress: configs.Egress{Proxy: &configs.Proxy{Address: address}}, DataDir: t.TempDir()}
	}
	log := slog.New(slog.DiscardHandler)
	d, err := egress.New(wayOut(way(proxies[0].Addr()), log))
	if err != nil {
		t.Fatal(err)
	}
	old, err := d.DialContext(t.Context(), "tcp", "a.test:1")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()

	next, asked := make(chan configs.Config, 1), make(chan struct{}, 1)
	again := func() (setting, error) {
		defer func() { asked <- struct{}{} }()
		select {
		case c := <-next:
			return setting{Config: c}, nil
		default:
			return setting{}, errors.New("a line is wrong")
		}
	}
	hangups := make(chan os.Signal)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); (&reloading{again: again, dialer: d, log: log}).run(ctx, hangups) }()
	hangups <- syscall.SIGHUP
	<-asked
	next <- way("no port")
	hangups <- syscall.SIGHUP
	<-asked
	next <- way(proxies[1].Addr())
	hangups <- syscall.SIGHUP
	<-asked
	cancel()
	<-done
	c, err := d.DialContext(t.Context(), "tcp", "a.test:1")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if first, second := proxies[0].Stats().Tunnels, proxies[1].Stats().Tunnels; first != 1 || second != 1 {
		t.Errorf("got %d and %d tunnels, want one each", first, second)
	}
	b := make([]byte, 2)
	if _, err := old.Write([]byte("on")); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Read(b); err != nil || string(b) != "on" {
		t.Errorf("the old connection gives %q, %v, want it to go on", b, err)
	}
}

func TestWayOutIsTriedWithTheCloud(t *testing.T) {
	for url, want := range map[string]string{"https://cloud.example": "cloud.example:443", "https://cloud.example:8443/x": "cloud.example:8443"} {
		if got := wayOut(configs.Config{Cloud: &configs.Cloud{URL: url}}, nil).Probe; got != want {
			t.Errorf("%s: got %s, want %s", url, got, want)
		}
	}
}

func TestWaysOutInWords(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	denied := &egress.Error{Code: egress.ProxyConnectRefused, Message: "It is refused.", Action: "Ask."}
	for _, tt := range []struct {
		in   egress.ProxyStatus
		want string
	}{
		{egress.ProxyStatus{Name: "p", Kind: egress.HTTP, Address: "p.example:1", State: egress.Well, Scheme: egress.Negotiate}, "proxy http p.example:1, works with negotiate|"},
		{egress.ProxyStatus{Name: "p", Kind: egress.SOCKS5, Address: "p.example:1", State: egress.Unknown}, "socks5 p.example:1, not used yet|"},
		{egress.ProxyStatus{Name: "p", Kind: egress.HTTP, Address: "p.example:1", State: egress.Resting, Since: now.Add(-3 * time.Minute), Err: denied}, "DOES NOT WORK since 3 min ago|It is refused. Ask."},
		{egress.ProxyStatus{Name: "p", Kind: egress.HTTP, Address: "p.example:1", State: egress.Locked, Until: now}, "HAS REJECTED the configured secret, which is not sent before 2026-11-22T12:00:00Z|"},
		{egress.ProxyStatus{Name: "pac", Address: "http://h/p", State: egress.Failing}, "pac http://h/p, CANNOT BE USED as it is now|"},
	} {
		one := egressStatus([]egress.ProxyStatus{tt.in})[0]
		words, more := egressWords(now, one)
		if got := words + "|" + more; !strings.HasSuffix(got, tt.want) {
			t.Errorf("got %s, want %s", got, tt.want)
		}
		known := false
		for _, s := range api.EgressStates {
			known = known || s == one.State
		}
		if !known || (tt.in.Err != nil) != (one.Code != "") {
			t.Errorf("got %+v, want a state of the contract, and a code with a problem", one)
		}
	}
}
