package egress_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/upstream/egress"
)

// socksServer is RFC 1928 with or without RFC 1929; the reply is what it says to CONNECT.
func socksServer(t *testing.T, user, password string, reply byte) (addr string, asked func() []string) {
	t.Helper()
	ln := listen(t)
	var mu sync.Mutex
	var list []string
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer c.Close()
		read := func(n int) []byte {
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err != nil {
				return make([]byte, n)
			}
			return b
		}
		methods := read(int(read(2)[1]))
		switch {
		case user == "":
			c.Write([]byte{5, 0})
		case strings.Contains(string(methods), "\x02"):
			c.Write([]byte{5, 2})
			got := string(read(int(read(2)[1])))
			if got += ":" + string(read(int(read(1)[0]))); got != user+":"+password {
				c.Write([]byte{1, 1})
				return
			}
			c.Write([]byte{1, 0})
		default:
			c.Write([]byte{5, 0xff})
			return
		}
		head := read(4)
		host := ""
		switch head[3] {
		case 1:
			host = net.IP(read(4)).String()
		case 3:
			host = string(read(int(read(1)[0])))
		case 4:
			host = net.IP(read(16)).String()
		}
		port := read(2)
		mu.Lock()
		list = append(list, fmt.Sprintf("%d %s:%d", head[3], host, int(port[0])<<8|int(port[1])))
		mu.Unlock()
		// The address and the destination's first bytes in one packet: they must not be lost.
		c.Write([]byte{5, reply, 0, 3, 4, 'h', 'o', 's', 't', 0, 80})
		if reply == 0 {
			io.Copy(c, c)
		}
	}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), list...) }
}

func TestSOCKS5(t *testing.T) {
	password := file(t, corpPass, 0o600)
	with := func(addr string) egress.Proxy {
		return egress.Proxy{Kind: egress.SOCKS5, Address: addr, Username: corpUser, PasswordFile: password}
	}
	addr, asked := socksServer(t, corpUser, corpPass, 0)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{with(addr)}})
	if err := echo(t, d); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"192.0.2.7:80", "[2001:db8::7]:8080"} {
		c, err := d.DialContext(t.Context(), "tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if got, want := fmt.Sprint(asked()), "[3 a.test:443 1 192.0.2.7:80 4 2001:db8::7:8080]"; got != want {
		t.Errorf("got %s, want %s: names are the proxy's to resolve", got, want)
	}
	open, _ := socksServer(t, "", "", 0)
	if err := echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{with(open)}})); err != nil {
		t.Errorf("one that asks nobody: %v", err)
	}

	other, _ := socksServer(t, corpUser, "another", 0)
	d = dialer(t, egress.Config{Proxies: []egress.Proxy{with(other)}})
	for range 3 {
		wantCode(t, echo(t, d), egress.ProxyAuthRejected, corpUser)
	}
	wantCode(t, echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Kind: egress.SOCKS5, Address: other}}})), egress.ProxyAuthRequired)
	for reply, code := range map[byte]egress.Code{2: egress.ProxyDenied, 4: egress.APIUnreachable, 5: egress.APIUnreachable, 99: egress.APIUnreachable} {
		addr, _ := socksServer(t, "", "", reply)
		wantCode(t, echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Kind: egress.SOCKS5, Address: addr}}})), code)
	}
	wantCode(t, echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Kind: egress.SOCKS5, Address: (&corporate{}).start(t).addr}}, ConnectTimeout: 300 * time.Millisecond})), egress.ProxyNoAnswer)
	mail, _ := script(t)
	wantCode(t, echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Kind: egress.SOCKS5, Address: mail}}, ConnectTimeout: 300 * time.Millisecond})), egress.ProxyNoAnswer)
}
