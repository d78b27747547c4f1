package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/emulator/proxy"
	"sitegate/upstream/egress"
)

// dead is an address where nobody listens.
func dead(t *testing.T) string {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen: " + what)
		}
	}
}

func TestFailover(t *testing.T) {
	second := (&corporate{}).start(t)
	first := dead(t)
	cfg := egress.Config{Proxies: []egress.Proxy{{Name: "first", Address: first}, {Name: "second", Address: second.addr}}}
	d := dialer(t, cfg)
	for range 3 {
		if err := echo(t, d); err != nil {
			t.Fatal(err)
		}
	}
	s := d.Status()
	if s[0].State != egress.Resting || s[0].Err == nil || !s[0].Until.After(s[0].Since) || s[1].State != egress.Well {
		t.Errorf("got %+v, want the first resting and the second well", s)
	}
	wantCode(t, s[0].Err, egress.ProxyConnectRefused)
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if s := d.Status(); s[0].State != egress.Unknown || s[0].Err != nil {
		t.Errorf("after a reload: got %+v, want nothing known", s[0])
	}
}

// What came of each try is counted, by the proxy and the code; what a PAC file names goes under one name.
func TestAttemptsAreCounted(t *testing.T) {
	open := start(t, proxy.Config{Hosts: map[string]string{"a.test:1": listen(t).Addr().String()}})
	pac := file(t, "function FindProxyForURL(u, h) { if (h == 'b.test') throw 'no'; return 'PROXY "+open.Addr()+"' }", 0o600)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "dead", Address: dead(t)}, {Name: "denies", Address: start(t, proxy.Config{}).Addr()}}, PAC: &egress.PAC{File: pac},
		Routes: []egress.Route{{Hosts: []string{"d.test"}, Via: []string{"dead", "denies"}}, {Hosts: []string{"n.test"}, Via: []string{"deny"}}}})
	for _, addr := range []string{"a.test:1", "a.test:1", "b.test:1", "d.test:1", "n.test:1"} {
		if c, err := d.DialContext(t.Context(), "tcp", addr); err == nil {
			c.Close()
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = d.DialContext(canceled, "tcp", "a.test:1")
	want := "[{dead proxy_connect_refused 1} {denies proxy_denied 1} {deny host_not_allowed 1} {pac canceled 1} {pac ok 2} {pac pac_failed 1}]"
	if got := fmt.Sprint(d.Attempts()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Where all are bad the first is still tried, and comes back as soon as it works.
func TestAllAreBad(t *testing.T) {
	ln := listen(t)
	addr := ln.Addr().String()
	ln.Close()
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "first", Address: addr}, {Address: dead(t)}}})
	err := echo(t, d)
	wantCode(t, err, egress.ProxyConnectRefused, "None of 2 ways out worked", addr)
	for range 2 {
		wantCode(t, echo(t, d), egress.ProxyConnectRefused)
	}
	ln, err = net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("the port is somebody else's by now: %v", err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		br := bufio.NewReader(c)
		if _, err := http.ReadRequest(br); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			io.Copy(c, br)
		}
	}()
	if err := echo(t, d); err != nil {
		t.Errorf("while all rest: got %v, want the first one tried", err)
	}
	if s := d.Status(); s[0].State != egress.Well {
		t.Errorf("got %+v, want the first well", s[0])
	}
}

// What a proxy denies, no other is asked for; and it is not ill for it.
func TestNobodyGoesAroundADenial(t *testing.T) {
	addr, _ := script(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	second := (&corporate{}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: addr}, {Address: second.addr}}})
	wantCode(t, echo(t, d), egress.ProxyDenied)
	if got := second.requests(); got != "" {
		t.Errorf("the second was asked: %s", got)
	}
	if s := d.Status()[0]; s.State == egress.Resting {
		t.Errorf("got %+v, want it not resting", s)
	}
}

// A proxy that takes connections and says nothing does not use up the time of the next.
func TestSilentProxyLeavesTimeForTheNext(t *testing.T) {
	second := (&corporate{}).start(t)
	ln := listen(t) // never answers
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: ln.Addr().String()}, {Address: second.addr}}, ConnectTimeout: 3 * time.Second})
	if err := echo(t, d); err != nil {
		t.Fatal(err)
	}
	s := d.Status()[0]
	wantCode(t, s.Err, egress.ProxyNoAnswer)
	if s.State != egress.Resting {
		t.Errorf("got %+v, want it resting", s)
	}
}

func TestDirectByRoute(t *testing.T) {
	target := (&corporate{}).start(t) // anything that listens
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "p", Address: dead(t)}}, Routes: []egress.Route{{Hosts: []string{"127.0.0.1"}, Via: []string{egress.ViaDirect}}}})
	c, err := d.DialContext(t.Context(), "tcp", target.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, err = d.DialContext(t.Context(), "tcp", "127.0.0.2:443")
	wantCode(t, err, egress.ProxyConnectRefused)
}

// pemOf writes certificate and key of a pair.
func pemOf(t *testing.T, pair tls.Certificate) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})), 0o644),
		file(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
}

func TestProxyWithinTLS(t *testing.T) {
	server, client := certificate(t, "proxy.corp.test", time.Now().Add(time.Hour)), certificate(t, "svc-lic", time.Now().Add(time.Hour))
	ca, _ := pemOf(t, server)
	cert, key := pemOf(t, client)
	clients := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(client.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	clients.AddCert(leaf)
	p := (&corporate{offers: []string{`Basic realm="x"`}, user: corpUser, password: corpPass,
		tls: &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}}).start(t)
	good := egress.Proxy{Kind: egress.HTTPS, Address: p.addr, Username: corpUser, PasswordFile: file(t, corpPass, 0o600), CAFile: ca, CertFile: cert, KeyFile: key, ServerName: "proxy.corp.test"}
	dial := func(change func(*egress.Proxy)) error {
		q := good
		change(&q)
		c, err := dialer(t, egress.Config{Proxies: []egress.Proxy{q}}).DialContext(t.Context(), "tcp", "a.test:443")
		if err != nil {
			return err
		}
		defer c.Close()
		io.WriteString(c, "there")
		b := make([]byte, 5)
		_, err = io.ReadFull(c, b)
		return err
	}
	if err := dial(func(*egress.Proxy) {}); err != nil {
		t.Error(err)
	}
	wantCode(t, dial(func(q *egress.Proxy) { q.CAFile = "" }), egress.ProxyTLSFailed, "ca_file")
	wantCode(t, dial(func(q *egress.Proxy) { q.ServerName = "other.test" }), egress.ProxyTLSFailed, "another name")
	plain := (&corporate{}).start(t)
	wantCode(t, dial(func(q *egress.Proxy) { q.Address = plain.addr }), egress.ProxyTLSFailed, "kind to http")
}

func TestSignInPages(t *testing.T) {
	for name, answer := range map[string]string{
		"a redirect": "HTTP/1.1 302 Found\r\nLocation: https://portal.corp.test/login?token=secret\r\nContent-Length: 0\r\n\r\n",
		"511":        "HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n",
	} {
		addr, _ := script(t, answer)
		err := echo(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: addr}}}))
		wantCode(t, err, egress.CaptivePortal)
		if strings.Contains(err.Error(), "secret") || name == "a redirect" && !strings.Contains(err.Error(), "portal.corp.test") {
			t.Errorf("%s: got %q, want the host of the page and no more", name, err)
		}
	}
	plain := listen(t)
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n<html>Sign in</html>")
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(plain.Addr().String())
	d := dialer(t, egress.Config{Direct: true})
	tr := d.Transport()
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:"+port+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tr.RoundTrip(req)
	wantCode(t, err, egress.CaptivePortal, "no TLS")
}

// A reload takes the new way for new connections; what is open goes on.
func TestReload(t *testing.T) {
	first, second := (&corporate{}).start(t), (&corporate{}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: first.addr}}})
	old, err := d.DialContext(t.Context(), "tcp", "a.test:443")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := d.Reload(egress.Config{}); err == nil {
		t.Fatal("a configuration without a way out was taken")
	}
	if err := echo(t, d); err != nil || first.requests() != "1, 2" {
		t.Errorf("after a reload that failed: got %v, want the old way", err)
	}
	if err := d.Reload(egress.Config{Proxies: []egress.Proxy{{Address: second.addr}}}); err != nil {
		t.Fatal(err)
	}
	if err := echo(t, d); err != nil {
		t.Fatal(err)
	}
	if got := first.requests() + "|" + second.requests(); got != "|1" {
		t.Errorf("got %s, want the second asked", got)
	}
	io.WriteString(old, "on")
	b := make([]byte, 2)
	if _, err := io.ReadFull(old, b); err != nil || string(b) != "on" {
		t.Errorf("the old tunnel gives %q, %v, want it to go on", b, err)
	}
}

// A password that was rejected stays so over a reload, until it is changed.
func TestReloadForgetsNoRejection(t *testing.T) {
	p := (&corporate{offers: []string{`Basic realm="x"`}, user: corpUser, password: "right"}).start(t)
	password := file(t, "wrong", 0o600)
	cfg := egress.Config{Proxies: []egress.Proxy{{Address: p.addr, Username: corpUser, PasswordFile: password}}}
	d := dialer(t, cfg)
	for range 2 {
		wantCode(t, echo(t, d), egress.ProxyAuthRejected)
	}
	p.requests()
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	wantCode(t, echo(t, d), egress.ProxyAuthRejected, "is not sent before")
	if got := p.requests(); strings.Contains(got, "Basic") {
		t.Errorf("got %s, want no password", got)
	}
	if err := os.WriteFile(password, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := echo(t, d); err != nil {
		t.Errorf("the corrected password: %v", err)
	}
}

// Run finds out what does not work, and what works again, without anybody who dials.
func TestRun(t *testing.T) {
	good := (&corporate{}).start(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "bad", Address: dead(t)}, {Name: "good", Address: good.addr}}, Probe: "a.test:443"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	until(t, "both proxies are known", func() bool {
		s := d.Status()
		return s[0].State == egress.Resting && s[1].State == egress.Well
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	if got := good.requests(); !strings.HasPrefix(got, "1") {
		t.Errorf("got %q, want one request", got)
	}
}

func TestCheck(t *testing.T) {
	cert := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	ca, _ := pemOf(t, cert)
	ln := listen(t)
	srv := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}}, ErrorLog: log.New(io.Discard, "", 0)}
	go srv.ServeTLS(ln, "", "")
	t.Cleanup(func() { srv.Close() })
	addr := ln.Addr().String()
	f, err := dialer(t, egress.Config{Direct: true}).Check(t.Context(), egress.Probe{Candidate: egress.ViaDirect, Address: addr, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.Err, egress.TLSIntercepted)
	if f.TLS == nil || f.TLS.Root != "" || f.TLS.Issuer != "CN=127.0.0.1" || f.Remote != addr {
		t.Errorf("got %+v and %+v, want the certificate that is not trusted", f, f.TLS)
	}
	d := dialer(t, egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: ca, Hosts: []string{"127.0.0.1"}}}})
	f, err = d.Check(t.Context(), egress.Probe{Candidate: egress.ViaDirect, Address: addr, TLS: true})
	if err != nil || f.Err != nil || f.TLS.Root != "CN=127.0.0.1" || f.TLS.ALPN != "h2" || f.TLS.Version != "TLS 1.3" {
		t.Errorf("got %+v and %+v, %v, want it verified", f, f.TLS, err)
	}
	d = dialer(t, egress.Config{Proxies: []egress.Proxy{{Name: "p", Address: dead(t)}}})
	f, err = d.Check(t.Context(), egress.Probe{Candidate: "p", Address: "a.test:443", TLS: true})
	if err != nil || f.TCP != 0 || f.TLS != nil {
		t.Errorf("got %+v, %v, want nothing after TCP", f, err)
	}
	wantCode(t, f.Err, egress.ProxyConnectRefused)
}

func TestWebsockets(t *testing.T) {
	for answer, words := range map[string]string{
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n":           "",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                                                        "the answer has lost its Upgrade header",
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n":                                          "",
		"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: 0\r\n\r\n": "the request has lost its Upgrade header",
		"HTTP/1.1 400 No required certificate\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n":    "400 No required certificate",
		"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n":                                      "the request has lost its Upgrade header",
		"HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\nContent-Length: 0\r\n\r\n":                                   "200 OK (Via: 1.1 edge)",
		"": "the connection is cut",
	} {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if req, err := http.ReadRequest(bufio.NewReader(there)); err == nil && req.Header.Get("Upgrade") == "websocket" && req.Header.Get("Authorization") == "" {
				io.WriteString(there, answer)
			}
		}()
		err := egress.AskWebsocket(t.Context(), here, "gw1.test:8443", "/v1/notices")
		here.Close()
		switch {
		case words != "":
			wantCode(t, err, egress.WebsocketBlocked, words, "gw1.test:8443")
		case err != nil:
			t.Errorf("%q: got %v, want it not blocked", answer, err)
		}
	}
}

// A node that is slowed, or is not there behind what answers, does not show that websockets
// are blocked.
func TestWebsocketsOfWhichNothingIsKnown(t *testing.T) {
	for _, status := range []string{"429 Too Many Requests", "503 Service Unavailable"} {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				io.WriteString(there, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			}
		}()
		wantCode(t, egress.AskWebsocket(t.Context(), here, "gw1.test:8443", "/v1/notices"), egress.APIUnreachable, status, "gw1.test:8443")
		here.Close()
	}
}

// What is never answered ends with the time there is.
func TestAWebsocketThatIsNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		defer here.Close()
		go io.Copy(io.Discard, there)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		wantCode(t, egress.AskWebsocket(ctx, here, "gw1.test:8443", "/v1/notices"), egress.WebsocketBlocked, "no answer")
	})
}

// Whoever issues the certificate in the destination's place is named.
func TestInspectionIsNamed(t *testing.T) {
	cert := inspected(t, name, "Zscaler Intermediate Root CA (zscalertwo.net)")
	ln := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	srv := &http.Server{Handler: http.NotFoundHandler()}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	p := forward(t, ln.Addr().String())
	_, err := get(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p}}}))
	wantCode(t, err, egress.TLSIntercepted, "inspected by Zscaler", name, "extra_ca")
}

func TestNTLMIsWarnedOf(t *testing.T) {
	password := file(t, corpPass, 0o600)
	for _, auth := range [][]egress.Scheme{nil, {egress.NTLM}} {
		log := new(strings.Builder)
		dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: "p.test:1", Username: corpUser, PasswordFile: password, Auth: auth}}, Logger: slog.New(slog.NewTextHandler(log, nil))})
		if got := strings.Contains(log.String(), "NTLM is allowed"); got != (auth != nil) {
			t.Errorf("%v: the log says %q", auth, log)
		}
	}
}
