package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What does not resolve is told with who was asked: a wrong DNS server is as likely as a wrong name.
func TestUnresolvedNamesWhoWasAsked(t *testing.T) {
	for want, err := range map[string]error{
		"there is no such name (asked: 10.1.1.5:53)":   &net.DNSError{Err: "no such host", Server: "10.1.1.5:53", IsNotFound: true},
		"no DNS server answers (asked: 10.1.1.5:53)":   &net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Server: "10.1.1.5:53", IsTimeout: true}},
		"server misbehaving (asked: [2001:db8::5]:53)": &net.DNSError{Err: "server misbehaving", Server: "[2001:db8::5]:53"},
	} {
		if got, ok := Unresolved(err); !ok || got != want {
			t.Errorf("%v: got %q, %v, want %q", err, got, ok, want)
		}
	}
	if _, ok := Unresolved(&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}); ok {
		t.Error("a silent address was taken for a name that does not resolve")
	}
	got := nameservers(strings.NewReader("# nameserver 9.9.9.9\nsearch corp.example\nnameserver 10.1.1.5\nnameserver no\nnameserver fe80::5%eth0\noptions timeout:1\nnameserver 10.1.1.7\nnameserver 10.1.1.8\n"))
	if strings.Join(got, " ") != "10.1.1.5 fe80::5%eth0 10.1.1.7" {
		t.Errorf("got %v of resolv.conf", got)
	}
}

// A DNS that does not answer is no proxy that does not answer.
func TestASilentDNSIsNotTheProxy(t *testing.T) {
	p := &proxy{Proxy: Proxy{Address: "proxy.corp.test:8080"}, host: "proxy.corp.test"}
	err := p.dialError(t.Context(), &reached{took: 10 * time.Second}, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Name: "proxy.corp.test", Server: "10.1.1.5:53", IsTimeout: true}})
	if e := (*Error)(nil); !errors.As(err, &e) || e.Code != ProxyDNSFailed || !strings.Contains(e.Message, "asked: 10.1.1.5:53") {
		t.Errorf("got %v, want proxy_dns_failed and the server", err)
	}
}

// What went wrong is told at once: no name is looked up for it, which may take as long again.
func TestTellingAFailureLooksNoNameUp(t *testing.T) {
	var asked atomic.Int32
	system := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = system })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked.Add(1)
		return nil, os.ErrDeadlineExceeded
	}}
	p := &proxy{Proxy: Proxy{Address: "proxy.corp.test:8080"}, host: "proxy.corp.test"}
	for what, err := range map[string]error{
		"no DNS server answers": &net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Name: "proxy.corp.test", IsTimeout: true}},
		"no answer after":       &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
		"no route":              &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH},
	} {
		for _, got := range []error{p.dialError(t.Context(), new(reached), err), directError(t.Context(), p.Address, new(reached), err)} {
			if !strings.Contains(got.Error(), what) {
				t.Errorf("got %q, want %q in it", got, what)
			}
		}
		if n := asked.Swap(0); n != 0 {
			t.Errorf("%s: DNS was asked %d times to tell it, want never", what, n)
		}
	}
}

// A desktop's connection to what does not answer is told by the address that was tried, too.
func TestASilentAddressOfAGuestIsNamed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	late := &Guest{Admit: func(netip.AddrPort) error { <-ctx.Done(); return nil }}
	_, err := new(way).direct(context.WithValue(ctx, guestKey{}, late), "localhost:9")
	if err == nil || !strings.Contains(err.Error(), ":9): no answer after") {
		t.Errorf("got %v, want the address behind localhost", err)
	}
}

// Nothing that answers has a sentence for the firewall team: from where, to where.
func TestASilentAddressIsNamed(t *testing.T) {
	silent := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	r := &reached{addrs: []string{"[::1]:8080", "127.0.0.1:8080"}, took: 10 * time.Second}
	p := &proxy{Proxy: Proxy{Address: "proxy.corp.test:8080"}, host: "proxy.corp.test"}
	for what, err := range map[string]error{"proxy": p.dialError(t.Context(), r, silent), "destination": directError(t.Context(), "proxy.corp.test:8080", r, silent)} {
		for _, words := range []string{"proxy.corp.test:8080 ([::1]:8080, 127.0.0.1:8080): no answer after 10 s", "127.0.0.1 to 127.0.0.1:8080", "(TCP)"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s: got %q, want %q in it", what, err, words)
			}
		}
	}
	p.Address = "127.0.0.1:8080"
	if err := p.dialError(t.Context(), &reached{addrs: []string{"127.0.0.1:8080"}}, silent); strings.Contains(err.Error(), "(127.0.0.1") {
		t.Errorf("got %q: the address stands twice", err)
	}
}

// What a dial tries is known afterwards, by each family.
func TestADialKnowsWhatItTried(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	c, r, err := dial(t.Context(), net.Dialer{}, addr)
	if err != nil || strings.Join(r.tried(), " ") != addr {
		t.Fatalf("got %v, %v", r.tried(), err)
	}
	c.Close()
	if _, ok := c.(*net.TCPConn); !ok {
		t.Errorf("got a %T, which cannot splice", c)
	}
	ln.Close()
	if _, r, err = dial(t.Context(), net.Dialer{}, addr); err == nil || strings.Join(r.tried(), " ") != addr {
		t.Errorf("got %v, %v, want the address that refuses", r.tried(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, r, err = dial(ctx, net.Dialer{}, addr); err == nil || r.tried() != nil {
		t.Errorf("got %v, %v, want nothing tried", r.tried(), err)
	}
}

// Whoever is asked to let one of the vendor's hosts through is asked for all that go the same way, once.
func TestAllThatIsNeededIsAskedForAtOnce(t *testing.T) {
	d, err := New(Config{Proxies: []Proxy{{Name: "main", Address: "p1.test:1"}, {Name: "signin", Address: "p2.test:1"}},
		Hosts:  []string{"cloud.test:443", "sign-in.test:443", "usage.test:443", "mail.corp.test:587"},
		Routes: []Route{{Hosts: []string{"sign-in.test"}, Via: []string{"signin"}}, {Hosts: []string{".corp.test"}, Via: []string{ViaDirect}}}})
	if err != nil {
		t.Fatal(err)
	}
	w := d.way.Load()
	for _, x := range []struct{ proxy, addr, want string }{
		{"main", "usage.test:443", "usage.test:443, cloud.test:443"},
		{"signin", "sign-in.test:443", "sign-in.test:443, cloud.test:443, usage.test:443"},
		{"main", "portal.test:443", "portal.test:443"}, // a desktop's
	} {
		if got := w.needs(w.byName[x.proxy], x.addr); got != x.want {
			t.Errorf("%s for %s: got %q, want %q", x.proxy, x.addr, got, x.want)
		}
	}
	if got, want := w.inspected("usage.test"), "usage.test, cloud.test, sign-in.test"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := w.inspected("portal.test"); got != "portal.test" {
		t.Errorf("got %q for a desktop's host", got)
	}
}
