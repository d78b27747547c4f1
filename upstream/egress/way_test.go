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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
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

// pacServer serves what body says, and counts.
func pacServer(t *testing.T, body *atomic.Pointer[string]) (url string, fetched *atomic.Int32) {
	t.Helper()
	fetched = new(atomic.Int32)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		b := body.Load()
		if b == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
		io.WriteString(w, *b)
	})}
	ln := listen(t)
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return "http://" + ln.Addr().String() + "/proxy.pac", fetched
}

func TestPAC(t *testing.T) {
	p := (&corporate{offers: []string{`Basic realm="x"`}, user: corpUser, password: corpPass}).start(t)
	src := fmt.Sprintf(`function FindProxyForURL(url, host) { return host === "a.test" && url === "https://a.test/" ? "PROXY %s; PROXY %s" : "DIRECT" }`, dead(t), p.addr)
	var body atomic.Pointer[string]
	body.Store(&src)
	url, fetched := pacServer(t, &body)
	dir := t.TempDir()
	cfg := egress.Config{PAC: &egress.PAC{URL: url}, StateDir: dir, Proxies: []egress.Proxy{{Name: "ours", Address: p.addr, Username: corpUser, PasswordFile: file(t, corpPass, 0o600)}}}
	d := dialer(t, cfg)
	if got := fetched.Load(); got != 0 {
		t.Errorf("fetched %d times before anybody has dialled", got)
	}
	for range 3 {
		if err := echo(t, d); err != nil {
			t.Fatal(err)
		}
	}
	if got := fetched.Load(); got != 1 {
		t.Errorf("fetched %d times for three connections, want 1", got)
	}
	names, err := d.Candidates(t.Context(), "other.test:443")
	if err != nil || fmt.Sprint(names) != "[direct]" {
		t.Errorf("got %v, %v, want what the file says", names, err)
	}
	s := d.Status()
	if last := s[len(s)-1]; last.Name != "pac" || last.State != egress.Well {
		t.Errorf("got %+v, want the file well", last)
	}

	// The server is gone, and the gateway starts anew: the copy on disk is used.
	for name, broken := range map[string]*string{"gone": nil, "a page": ptr("<html>Sign in</html>"), "without the function": ptr("var x"), "endless": ptr("x = '" + strings.Repeat("x", 1<<20) + "'")} {
		body.Store(broken)
		d = dialer(t, cfg)
		if err := echo(t, d); err != nil {
			t.Errorf("%s: got %v, want the copy used", name, err)
		}
		s := d.Status()
		last := s[len(s)-1]
		if last.State != egress.Failing {
			t.Errorf("%s: got %+v, want it to be told", name, last)
		}
		wantCode(t, last.Err, egress.PACFailed, "; the copy of 20")
	}
	// Without a copy there is no way out, and never directly.
	cfg.StateDir = ""
	body.Store(nil)
	d = dialer(t, cfg)
	_, err = d.DialContext(t.Context(), "tcp", p.addr)
	wantCode(t, err, egress.PACFailed, "HTTP 404", "Nothing is connected directly")
	cfg.StateDir = filepath.Join(dir, "not there")
	body.Store(&src)
	if err := echo(t, dialer(t, cfg)); err != nil {
		t.Errorf("where no copy can be kept: got %v, want it to work all the same", err)
	}
}

func ptr(s string) *string { return &s }

func TestPACThatFailsIsNoDirectConnection(t *testing.T) {
	target := (&corporate{}).start(t)
	for name, src := range map[string]string{
		"empty":       `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : "" }`,
		"null":        `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : null }`,
		"throws":      `function FindProxyForURL(url, host) { if (host === "localhost") return "DIRECT"; throw "no" }`,
		"nonsense":    `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : "DIRECTLY" }`,
		"SOCKS4":      `function FindProxyForURL(url, host) { return host === "localhost" ? "DIRECT" : "SOCKS4 h:1" }`,
		"no function": `var x`,
	} {
		d := dialer(t, egress.Config{PAC: &egress.PAC{File: file(t, src, 0o644)}})
		c, err := d.DialContext(t.Context(), "tcp", target.addr)
		if err == nil {
			c.Close()
			t.Errorf("%s: got a connection", name)
			continue
		}
		wantCode(t, err, egress.PACFailed)
	}
	many := dialer(t, egress.Config{PAC: &egress.PAC{File: file(t, `function FindProxyForURL(url, host) { return "PROXY " + host + ":1" }`, 0o644)}})
	var last error
	for i := range 100 {
		_, last = many.Candidates(t.Context(), fmt.Sprintf("h%d.test:443", i))
	}
	wantCode(t, last, egress.PACFailed, "more than 64 proxies")
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
	for answer, blocked := range map[string]bool{
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n": false,
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                                              true,
		"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n":                                false,
		"HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\nContent-Length: 0\r\n\r\n":                         true,
		"": true,
	} {
		cert := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
		ca, _ := pemOf(t, cert)
		ln := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil && req.Header.Get("Upgrade") == "websocket" && req.Header.Get("X-More") == "yes" {
				io.WriteString(c, answer)
			}
		}()
		d := dialer(t, egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: ca, Hosts: []string{"127.0.0.1"}}}})
		err := d.CheckWebsocket(t.Context(), ln.Addr().String(), "/v1/notices", http.Header{"X-More": {"yes"}})
		switch {
		case blocked:
			wantCode(t, err, egress.WebsocketBlocked)
		case err != nil:
			t.Errorf("%q: got %v, want it not blocked", answer, err)
		}
	}
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

// A reload while the PAC file cannot be had goes on with what is known of it.
func TestReloadKeepsThePACFile(t *testing.T) {
	p := (&corporate{}).start(t)
	src := fmt.Sprintf(`function FindProxyForURL(url, host) { return "PROXY %s" }`, p.addr)
	var body atomic.Pointer[string]
	body.Store(&src)
	url, _ := pacServer(t, &body)
	cfg := egress.Config{PAC: &egress.PAC{URL: url}}
	d := dialer(t, cfg)
	if err := echo(t, d); err != nil {
		t.Fatal(err)
	}
	body.Store(nil)
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if err := echo(t, d); err != nil {
		t.Errorf("got %v, want the file that was read before", err)
	}
	until(t, "the file is told to fail", func() bool { s := d.Status(); return s[len(s)-1].State == egress.Failing })
	cfg.PAC = &egress.PAC{URL: url + "?other"}
	if err := d.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	wantCode(t, echo(t, d), egress.PACFailed) // what another file says is not this one's
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
