package egress_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sitegate/emulator/proxy"
	"sitegate/upstream/egress"
)

func TestPrivateAddressesAreKnown(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.255.0.9": true, "::1": true, "0.0.0.0": true, "0.1.2.3": true, "::": true, "10.1.2.3": true, "172.16.0.1": true, "172.32.0.1": false,
		"192.168.4.4": true, "169.254.169.254": true, "fe80::1": true, "fe80::1%eth0": true, "fd00::7": true, "fec0::1": true, "100.64.0.1": true, "100.128.0.1": false,
		"224.0.0.1": true, "ff02::1": true, "255.255.255.255": true, "240.0.0.1": true, "198.18.0.1": true, "198.20.0.1": false, "192.0.0.8": true,
		"::ffff:10.0.0.1": true, "::ffff:8.8.8.8": false, "::8.8.8.8": true, "64:ff9b::808:808": true, "64:ff9b:1::808:808": true, "2002:808:808::1": true,
		"2001::1": true, "2001:4860:4860::8888": false, "8.8.8.8": false, "2606:4700::1111": false,
	} {
		if got := egress.Private(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: private is %t, want %t", text, got, want)
		}
	}
	if !egress.Private(netip.Addr{}) {
		t.Error("no address at all is not private")
	}
}

// A guest is not led to a private address by a name, whatever else the route would try; the node itself may go there, and a guest where it is allowed.
func TestAGuestIsNotLedInside(t *testing.T) {
	ln := listen(t)
	met := make(chan struct{}, 8)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
			met <- struct{}{}
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	to := net.JoinHostPort("localhost", port)
	p := start(t, proxy.Config{Hosts: map[string]string{to: ln.Addr().String()}})
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "main", Address: p.Addr()}}, Routes: []egress.Route{{Hosts: []string{"localhost"}, Via: []string{"direct", "main"}}}})

	c, err := d.DialGuest(t.Context(), "tcp", to, egress.Guest{})
	var e *egress.Error
	if !errors.As(err, &e) || e.Code != egress.PrivateAddress {
		t.Fatalf("got %v, %v; want %s", c, err, egress.PrivateAddress)
	}
	if n := p.Stats().Connects; n != 0 {
		t.Errorf("the proxy was asked %d times for what was refused", n)
	}
	select {
	case <-met:
		t.Error("it was connected to all the same")
	default:
	}
	if c, err = d.DialContext(t.Context(), "tcp", to); err != nil {
		t.Fatalf("the node itself: %v", err)
	}
	c.Close()
	var asked []netip.AddrPort
	c, err = d.DialGuest(t.Context(), "tcp", to, egress.Guest{Admit: func(a netip.AddrPort) error { asked = append(asked, a); return nil }})
	if err != nil {
		t.Fatalf("where it is allowed: %v", err)
	}
	c.Close()
	if want := netip.MustParseAddrPort(ln.Addr().String()); len(asked) == 0 || asked[len(asked)-1] != want {
		t.Errorf("asked about %v, want at last %v", asked, want)
	}
}

// A proxy is told whom a guest's request has come through, and nothing of the kind of the node's own.
func TestAProxyIsToldTheVia(t *testing.T) {
	ln := listen(t)
	heads := make(chan http.Header, 2)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(time.Minute))
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				heads <- r.Header
				c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			}
			c.Close()
		}
	}()
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: ln.Addr().String()}}})
	if c, err := d.DialGuest(t.Context(), "tcp", "a.site.test:443", egress.Guest{Via: "1.1 desk, 1.1 sitegate-n1"}); err != nil {
		t.Fatal(err)
	} else {
		c.Close()
	}
	if got := (<-heads).Values("Via"); len(got) != 1 || got[0] != "1.1 desk, 1.1 sitegate-n1" {
		t.Errorf("the proxy was told %q", got)
	}
	if c, err := d.DialContext(t.Context(), "tcp", "a.site.test:443"); err != nil {
		t.Fatal(err)
	} else {
		c.Close()
	}
	if got := (<-heads).Values("Via"); len(got) != 0 {
		t.Errorf("of the node's own request the proxy was told %q", got)
	}
	if _, err := d.DialGuest(t.Context(), "tcp", "a.site.test:443", egress.Guest{Via: "x\r\nProxy-Authorization: y"}); err == nil {
		t.Error("a Via of two lines was sent")
	}
}

// A destination that desktops ask for, and that a proxy does not answer for, or answers for with nonsense, says nothing about the proxy: the node's
// own traffic goes on by it. A proxy that cannot be reached is left alone, whoever found out.
func TestAGuestsDestinationIsNotTheProxysFault(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Minute))
				br := bufio.NewReader(c)
				switch r, err := http.ReadRequest(br); {
				case err != nil:
				case strings.HasPrefix(r.Host, "silent."):
					io.Copy(io.Discard, br)
				case strings.HasPrefix(r.Host, "odd."):
					io.WriteString(c, "what?\r\n\r\n")
				default:
					io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
				}
			}()
		}
	}()
	d := dialer(t, egress.Config{ConnectTimeout: 5 * time.Second, Proxies: []egress.Proxy{{Name: "first", Address: ln.Addr().String()}}})
	for to, want := range map[string]egress.Code{"silent.site.test:443": egress.ProxyNoAnswer, "odd.site.test:443": egress.ProxyBadAnswer} {
		_, err := d.DialGuest(t.Context(), "tcp", to, egress.Guest{})
		wantCode(t, err, want)
		if s := d.Status()[0]; s.State == egress.Resting {
			t.Errorf("%s: the proxy is %+v, want it used as before", to, s)
		}
		if c, err := d.DialContext(t.Context(), "tcp", "fine.site.test:443"); err != nil {
			t.Errorf("after %s, the node itself: %v", to, err)
		} else {
			c.Close()
		}
	}
	if _, err := d.DialContext(t.Context(), "tcp", "silent.site.test:443"); err == nil || d.Status()[0].State != egress.Resting {
		t.Errorf("what the node itself found: %v, %+v, want it resting", err, d.Status()[0])
	}
	gone := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "gone", Address: dead(t)}}})
	if _, err := gone.DialGuest(t.Context(), "tcp", "fine.site.test:443", egress.Guest{}); err == nil || gone.Status()[0].State != egress.Resting {
		t.Errorf("one that cannot be reached: %v, %+v, want it resting", err, gone.Status()[0])
	}
}
