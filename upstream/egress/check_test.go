package egress_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/emulator/proxy"
	"sitegate/upstream/egress"
	"sitegate/upstream/egress/krb/krbtest"
)

// A probe asks the destination over the connection that it opened, and shows the password once for all that.
func TestCheckAsksOverItsOneConnection(t *testing.T) {
	c := cloud(t, name)
	p := start(t, proxy.Config{Users: map[string]string{"svc": "p"}, Hosts: map[string]string{name + ":443": c.Addr()}})
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "p", Address: p.Addr(), Username: "svc", PasswordFile: file(t, "p\n", 0o600)}},
		ExtraCA: []egress.ExtraCA{{File: file(t, string(c.CAPEM), 0o644), Hosts: []string{name}}}})
	probe := egress.Probe{Candidate: "p", Address: name + ":443", TLS: true}
	var answers []string
	probe.Then = func(ctx context.Context, over http.RoundTripper) {
		for _, host := range []string{name, name, "other.test"} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := over.RoundTrip(req)
			if err != nil {
				answers = append(answers, "none")
				continue
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			answers = append(answers, string(b))
		}
	}
	f, err := d.Check(t.Context(), probe)
	if err != nil || f.Err != nil || f.Withheld || len(answers) != 3 || answers[0] != "here" || answers[1] != "here" || answers[2] != "none" {
		t.Fatalf("got %+v, %v and the answers %q, want two of the destination, and none of another host", f, err, answers)
	}
	if s := p.Stats(); s.Tunnels != 1 || s.Connects != 3 {
		t.Errorf("got %+v, want one question without credentials, one that is asked again with them, and one tunnel", s)
	}

	answers, probe.Withhold = nil, true
	f, err = d.Check(t.Context(), probe)
	if err != nil || f.Err != nil || !f.Withheld || f.TLS != nil || answers != nil || len(f.Offers) != 1 {
		t.Errorf("got %+v, %v and the answers %q, want it to end at the question for credentials", f, err, answers)
	}
	if s := p.Stats(); s.Tunnels != 1 || s.Rejected != 0 {
		t.Errorf("got %+v, want no credentials shown", s)
	}
}

// A password that tickets are made of is shown to the KDC, and then to no proxy; but where there is no KDC it has been shown to nobody.
func TestCheckCountsTheKDC(t *testing.T) {
	p := start(t, proxy.Config{Users: map[string]string{"svc": "p"}, Hosts: map[string]string{}, Offers: []string{"Negotiate"}})
	service := krbtest.New(t, spn, dead(t))
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "p", Address: p.Addr(), Username: "svc", PasswordFile: file(t, "p\n", 0o600),
		Kerberos: &egress.Kerberos{Principal: krbtest.Principal, ConfigFile: service.ConfigFile, SPN: spn}}}})
	f, err := d.Check(t.Context(), egress.Probe{Candidate: "p", Address: name + ":443"})
	if err != nil || len(f.Schemes) != 2 || f.Schemes[0].Err == nil || !f.Schemes[1].Tried {
		t.Fatalf("got %+v, %v, want Basic tried after a KDC that there is not", f, err)
	}
	wantCode(t, f.Schemes[1].Err, egress.ProxyDenied)
}

// small lets a TLS handshake begin by a first packet of at most this many bytes, and drops who sends more.
const small = 1000

// Something on the way drops large first packets: it is told from all else that keeps TLS from beginning, where the tunnel took no credentials.
func TestALargeFirstPacketIsDropped(t *testing.T) {
	cert := certificate(t, name, time.Now().Add(time.Hour))
	ca, _ := pemOf(t, cert)
	ln := listen(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				first := make([]byte, 4096)
				n, err := c.Read(first)
				if err != nil || n > small {
					return
				}
				over := tls.Server(&begun{c, first[:n]}, &tls.Config{Certificates: []tls.Certificate{cert}})
				_ = over.Handshake()
				_, _ = io.Copy(io.Discard, over)
			}()
		}
	}()
	for asks, words := range map[bool]string{false: "GODEBUG=tlsmlkem=0", true: "TLS handshake"} {
		cfg := proxy.Config{Hosts: map[string]string{name + ":443": ln.Addr().String()}}
		if asks {
			cfg.Users = map[string]string{"svc": "pw-4711"}
		}
		p := start(t, cfg)
		d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "p", Address: p.Addr(), Username: "svc", PasswordFile: file(t, "pw-4711\n", 0o600)}}, ExtraCA: []egress.ExtraCA{{File: ca, Hosts: []string{name}}}})
		f, err := d.Check(t.Context(), egress.Probe{Candidate: "p", Address: name + ":443", TLS: true})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, f.Err, egress.TLSFailed, words)
		if got := strings.Contains(f.Err.Error(), "X25519MLKEM768"); got == asks {
			t.Errorf("the proxy asks: %v; got %v", asks, f.Err)
		}
		if s := p.Stats(); asks && s.Tunnels != 1 {
			t.Errorf("got %+v, want the password shown once", s)
		}
	}
}

// That TLS failed once does not show that large first packets are dropped.
func TestAHandshakeThatFailedOnce(t *testing.T) {
	cert := certificate(t, name, time.Now().Add(time.Hour))
	ca, _ := pemOf(t, cert)
	ln := listen(t)
	go func() {
		for first := true; ; first = false {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if first {
				c.Close()
				continue
			}
			go func() {
				defer c.Close()
				over := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
				_ = over.Handshake()
				_, _ = io.Copy(io.Discard, over)
			}()
		}
	}()
	p := start(t, proxy.Config{Hosts: map[string]string{name + ":443": ln.Addr().String()}})
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "p", Address: p.Addr()}}, ExtraCA: []egress.ExtraCA{{File: ca, Hosts: []string{name}}}})
	f, err := d.Check(t.Context(), egress.Probe{Candidate: "p", Address: name + ":443", TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	if f.Err == nil || strings.Contains(f.Err.Error(), "X25519MLKEM768") {
		t.Errorf("got %v, want that TLS failed, and no cause", f.Err)
	}
}

// begun is a connection of which the first bytes have been read.
type begun struct {
	net.Conn
	first []byte
}

func (c *begun) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
