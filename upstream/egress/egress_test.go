package egress_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/upstream/egress"
)

const name = "cloud.site.test"

// listen opens a loopback port.
func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// file writes a file with a mode.
func file(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return f
}

// cloud answers "here" on TLS for name.
func cloud(t *testing.T, hosts ...string) *emulator.Server {
	t.Helper()
	s, err := emulator.Serve(listen(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }), hosts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func start(t *testing.T, cfg proxy.Config) *proxy.Proxy {
	t.Helper()
	p := proxy.Start(listen(t), cfg)
	t.Cleanup(func() { p.Close() })
	return p
}

func dialer(t *testing.T, cfg egress.Config) *egress.Dialer {
	t.Helper()
	d, err := egress.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// get fetches from name through d.
func get(t *testing.T, d *egress.Dialer) (string, error) {
	t.Helper()
	tr := d.Transport()
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+name+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%s %s", resp.Proto, b), err
}

func wantCode(t *testing.T, err error, code egress.Code, words ...string) {
	t.Helper()
	var e *egress.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error with code %s", err, code)
	}
	if e.Code != code {
		t.Errorf("got code %s (%v), want %s", e.Code, e, code)
	}
	if e.Action == "" {
		t.Errorf("%q does not say what to do", e.Message)
	}
	for _, w := range words {
		if !strings.Contains(e.Error(), w) {
			t.Errorf("got %q, want it to say %q", e.Error(), w)
		}
	}
}

func TestThroughAProxyThatAsks(t *testing.T) {
	c := cloud(t, name)
	ca := []egress.ExtraCA{{File: file(t, string(c.CAPEM), 0o644), Hosts: []string{name}}}
	for _, closes := range []bool{false, true} {
		t.Run(fmt.Sprintf("closes after 407: %v", closes), func(t *testing.T) {
			p := start(t, proxy.Config{Users: map[string]string{"svc": `p@ss:"w#rd`}, Hosts: map[string]string{name + ":443": c.Addr()},
				Offers: []string{`Negotiate`, `NTLM oRUwE6==`, `Digest realm="a, b", qop="auth,auth-int", nonce="x\"y"`}, CloseAfter407: closes})
			d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr(), Username: "svc", PasswordFile: file(t, `p@ss:"w#rd`+"\n", 0o600), Auth: []egress.Scheme{egress.Basic}}}, ExtraCA: ca})
			for range 2 {
				got, err := get(t, d)
				if want := "HTTP/2.0 here"; got != want || err != nil {
					t.Fatalf("got %q, %v, want %q", got, err, want)
				}
			}
			if s := p.Stats(); s.Challenged != 1 || s.Rejected != 0 || s.Tunnels != 2 {
				t.Errorf("got %+v, want 2 tunnels with 1 challenge: what a proxy wants is known from then on", s)
			}
		})
	}
}

func TestRawConnection(t *testing.T) {
	ln := listen(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.Copy(c, c)
			c.Close()
		}
	}()
	p := start(t, proxy.Config{Hosts: map[string]string{"echo.test:7": ln.Addr().String()}})
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}})
	c, err := d.DialContext(t.Context(), "tcp", "ECHO.test:7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tc, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("got a %T, want a *net.TCPConn", c)
	}
	io.WriteString(tc, "and back")
	tc.CloseWrite()
	if got, _ := io.ReadAll(tc); string(got) != "and back" {
		t.Errorf("got %q, want %q", got, "and back")
	}
}

// script is a proxy that answers each request on each connection with the next of its answers, then closes.
func script(t *testing.T, answers ...string) (addr string, requests func() []string) {
	t.Helper()
	ln := listen(t)
	var mu sync.Mutex
	var got []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			br := bufio.NewReader(c)
			for {
				req, err := http.ReadRequest(br)
				if err != nil {
					break
				}
				mu.Lock()
				got = append(got, req.Method+" "+req.Host+" "+req.Header.Get("Proxy-Authorization"))
				i := len(got) - 1
				mu.Unlock()
				if i >= len(answers) {
					break
				}
				io.WriteString(c, answers[i])
				if strings.Contains(answers[i], "\r\nX-Then: close") {
					break
				}
			}
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), got...) }
}

func TestBytesBehindTheAnswer(t *testing.T) {
	addr, _ := script(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 299 Fine\r\nX-Then: close\r\n\r\nearly ")
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: addr}}})
	c, err := d.DialContext(t.Context(), "tcp", "a.test:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(interface{ CloseWrite() error }).CloseWrite()
	var got bytes.Buffer
	if _, err := io.Copy(&got, c); err != nil || got.String() != "early " {
		t.Errorf("got %q, %v, want the bytes that came with the answer", &got, err)
	}
}

func TestProxyAnswers(t *testing.T) {
	const basic = "Basic c3ZjOnB3" // svc:pw
	long := strings.Repeat("x", 20<<10)
	tests := []struct {
		name    string
		answers []string
		user    bool
		realm   string
		code    egress.Code
		words   []string
		sent    []string // credentials, request by request
	}{
		{"denied", []string{"HTTP/1.1 403 Forbidden\r\nVia: 1.1 edge\r\nContent-Length: 28\r\n\r\n<b>Blocked\x00\nby</b> <i>policy</i>"}, true, "", egress.ProxyDenied, []string{"403 Forbidden", "Via: 1.1 edge", "Blocked by", "a.test:1"}, []string{""}},
		{"cannot reach", []string{"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n"}, true, "", egress.APIUnreachable, []string{"504"}, []string{""}},
		{"no credentials", []string{"HTTP/1.1 407 X\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"}, false, "", egress.ProxyAuthRequired, []string{"Negotiate, NTLM", "none are configured"}, []string{""}},
		{"other scheme", []string{"HTTP/1.1 407 X\r\nProxy-Authenticate: Negotiate, NTLM\r\nContent-Length: 0\r\n\r\n"}, true, "", egress.ProxyAuthRequired, []string{"Negotiate, NTLM", "Basic"}, []string{""}},
		{"no challenge", []string{"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n"}, true, "", egress.ProxyAuthRequired, []string{"nothing was sent"}, []string{""}},
		{"other realm", []string{"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"lobby, left\"\r\nContent-Length: 0\r\n\r\n"}, true, "plant", egress.ProxyAuthRequired, []string{"lobby, left", "plant"}, []string{""}},
		{"rejected", []string{"HTTP/1.1 407 X\r\nProxy-Authenticate: basic realm=r\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=r\r\nContent-Length: 0\r\n\r\n"}, true, "", egress.ProxyAuthRejected, []string{"svc"}, []string{"", basic}},
		{"closes without a word", []string{"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\nX-Then: close\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"}, true, "", egress.ProxyDenied, nil, []string{"", basic}},
		{"endless body before the retry", []string{"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\n\r\n" + long, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"}, true, "", egress.ProxyDenied, nil, []string{"", basic}},
		{"endless header", []string{"HTTP/1.1 200 OK\r\nX: " + long}, true, "", egress.ProxyBadAnswer, []string{"more than"}, []string{""}},
		{"not HTTP", []string{"220 mail ready\r\n"}, true, "", egress.ProxyBadAnswer, nil, []string{""}},
		{"TLS", []string{"\x15\x03\x01\x00\x02\x02\x46"}, true, "", egress.ProxyTLSFailed, nil, []string{""}},
		{"nothing", nil, true, "", egress.ProxyBadAnswer, nil, []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, requests := script(t, tt.answers...)
			p := egress.Proxy{Address: addr, Realm: tt.realm}
			if tt.user {
				p.Username, p.PasswordFile = "svc", file(t, "pw", 0o600)
			}
			_, err := dialer(t, egress.Config{Proxies: []egress.Proxy{p}}).DialContext(t.Context(), "tcp", "a.test:1")
			wantCode(t, err, tt.code, tt.words...)
			for _, secret := range []string{"c3ZjOnB3", "svc:pw", "<b>", "\x00"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q says %q", err, secret)
				}
			}
			want := []string{}
			for _, s := range tt.sent {
				want = append(want, "CONNECT a.test:1 "+s)
			}
			if got := requests(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got requests %q, want %q", got, want)
			}
		})
	}
}

func TestWrongPasswordDoesNotLockTheAccount(t *testing.T) {
	p := start(t, proxy.Config{Users: map[string]string{"svc": "right"}, Hosts: map[string]string{"a.test:1": listen(t).Addr().String()}})
	password := file(t, "wrong", 0o600)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr(), Username: "svc", PasswordFile: password}}})
	var wg sync.WaitGroup
	var codes atomic.Int32
	for range 20 {
		wg.Go(func() {
			_, err := d.DialContext(t.Context(), "tcp", "a.test:1")
			if e := (*egress.Error)(nil); errors.As(err, &e) && e.Code == egress.ProxyAuthRejected {
				codes.Add(1)
			}
		})
	}
	wg.Wait()
	if got := codes.Load(); got != 20 {
		t.Errorf("got %d rejections told, want 20", got)
	}
	if got := p.Stats().Rejected; got != 2 {
		t.Errorf("the wrong password was sent %d times, want 2", got)
	}
	if err := os.WriteFile(password, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := d.DialContext(t.Context(), "tcp", "a.test:1")
	if err != nil {
		t.Fatalf("the corrected password: got %v, want a connection", err)
	}
	c.Close()
}

func TestNoProxyThere(t *testing.T) {
	noName := strings.Repeat("p", 64) + ".test" // no resolver needs asking: a label has at most 63 characters
	ln := listen(t)
	ln.Close()
	_, err := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: ln.Addr().String()}}}).DialContext(t.Context(), "tcp", "a.test:1")
	wantCode(t, err, egress.ProxyConnectRefused)
	_, err = dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: noName + ":3128"}}}).DialContext(t.Context(), "tcp", "a.test:1")
	wantCode(t, err, egress.ProxyDNSFailed, noName)
	_, err = dialer(t, egress.Config{Direct: true}).DialContext(t.Context(), "tcp", ln.Addr().String())
	wantCode(t, err, egress.APIUnreachable)
}

func TestSilentProxy(t *testing.T) {
	p := start(t, proxy.Config{Hosts: map[string]string{"a.test:1": listen(t).Addr().String()}})
	p.SetLink(proxy.BlackHole)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}, ConnectTimeout: 50 * time.Millisecond})
	_, err := d.DialContext(t.Context(), "tcp", "a.test:1")
	wantCode(t, err, egress.ProxyNoAnswer, "in time")

	d = dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := d.DialContext(ctx, "tcp", "a.test:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestCertificates(t *testing.T) {
	good, other := cloud(t, name), cloud(t, "elsewhere.test")
	goodCA, otherCA := file(t, string(good.CAPEM), 0o644), file(t, string(other.CAPEM), 0o644)
	through := func(addr string, cas ...egress.ExtraCA) error {
		p := start(t, proxy.Config{Hosts: map[string]string{name + ":443": addr}})
		_, err := get(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}, ExtraCA: cas}))
		return err
	}
	wantCode(t, through(good.Addr()), egress.TLSIntercepted, "Emulated Cloud CA")
	wantCode(t, through(good.Addr(), egress.ExtraCA{File: goodCA, Hosts: []string{"www." + name, "site.test"}}), egress.TLSIntercepted)
	wantCode(t, through(other.Addr(), egress.ExtraCA{File: otherCA, Hosts: []string{name}}), egress.TLSNameMismatch)
	if err := through(good.Addr(), egress.ExtraCA{File: goodCA, Hosts: []string{name}}); err != nil {
		t.Errorf("with its CA: got %v, want an answer", err)
	}

	old := expired(t)
	p := start(t, proxy.Config{Hosts: map[string]string{name + ":443": old}})
	_, err := get(t, dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}}))
	wantCode(t, err, egress.TLSExpired, "clock")
}

// expired serves a certificate for name that is over.
func expired(t *testing.T) string {
	t.Helper()
	ln := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{certificate(t, name, time.Now().Add(-time.Hour))}})
	srv := &http.Server{Handler: http.NotFoundHandler()}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

func TestConfig(t *testing.T) {
	ok := file(t, "pw", 0o600)
	tests := []struct {
		name string
		cfg  egress.Config
		want string
	}{
		{"no way out", egress.Config{}, "no way out"},
		{"both", egress.Config{Direct: true, Proxies: []egress.Proxy{{Address: "p:1"}}}, "choose one"},
		{"a URL", egress.Config{Proxies: []egress.Proxy{{Address: "http://p:3128"}}}, "host:port"},
		{"a header line", egress.Config{Proxies: []egress.Proxy{{Address: "p\r\nX:1"}}}, "host"},
		{"half a credential", egress.Config{Proxies: []egress.Proxy{{Address: "p:1", Username: "u"}}}, "both or neither"},
		{"open file", egress.Config{Proxies: []egress.Proxy{{Address: "p:1", Username: "u", PasswordFile: file(t, "pw", 0o640)}}}, "0600"},
		{"two lines", egress.Config{Proxies: []egress.Proxy{{Address: "p:1", Username: "u", PasswordFile: file(t, "a\nb", 0o600)}}}, "more than one line"},
		{"colon", egress.Config{Proxies: []egress.Proxy{{Address: "p:1", Username: "u:v", PasswordFile: ok}}}, "colon"},
		{"CA for all", egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: ok}}}, "no host"},
		{"CA without certificates", egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: ok, Hosts: []string{"a.test"}}}}, "no PEM"},
		{"CA for a wildcard", egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: ok, Hosts: []string{"*.test"}}}}, "exact host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := egress.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

func TestAddressesThatEndNoLine(t *testing.T) {
	addr, requests := script(t)
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: addr}}})
	for _, a := range []string{"a.test", "a.test:0", "a.test:70000", "a b:1", "a\r\nX-Y: z:1", "user@a.test:1", ":1", "bücher.test:1"} {
		if _, err := d.DialContext(t.Context(), "tcp", a); err == nil {
			t.Errorf("%q: got a connection, want an error", a)
		}
	}
	if _, err := d.DialContext(t.Context(), "udp", "a.test:1"); err == nil {
		t.Error("udp: got a connection, want an error")
	}
	if got := requests(); len(got) != 0 {
		t.Errorf("the proxy was asked %q, want nothing", got)
	}
}

// A proxy's page may show the whole request: no error, and so no log, has the
// password in it.
func TestARefusalThatRepeatsTheCredentials(t *testing.T) {
	const password = `p@ss<w0rd`
	sent := base64.StdEncoding.EncodeToString([]byte("svc:" + password))
	page := "Denied. Your request: Proxy-Authorization: Basic " + sent + " that is " + password + " or p@ss&lt;w0rd."
	addr, requests := script(t, "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
		fmt.Sprintf("HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s", len(page), page))
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: addr, Username: "svc", PasswordFile: file(t, password, 0o600)}}})
	_, err := get(t, d)
	wantCode(t, err, egress.ProxyDenied, "Denied. Your request")
	if got := strings.Join(requests(), ""); !strings.Contains(got, sent) {
		t.Fatalf("got requests %q, want one with credentials", got)
	}
	if strings.Contains(err.Error(), sent) || strings.Contains(err.Error(), "w0rd") {
		t.Errorf("got %q, want it without the password", err)
	}
}

// A refusal says what to ask the proxy team for: all hosts at once, and whom the proxy sees here.
func TestARefusalSaysWhatToAskFor(t *testing.T) {
	p := start(t, proxy.Config{Users: map[string]string{`CORP\svc`: "pw-4711"}, Hosts: map[string]string{}})
	d := dialer(t, egress.Config{Proxies: []egress.Proxy{{Address: p.Addr(), Username: `CORP\svc`, PasswordFile: file(t, "pw-4711\n", 0o600)}}, Hosts: []string{"cloud.test:443", "login.test:443"}})
	_, err := d.DialContext(t.Context(), "tcp", "cloud.test:443")
	wantCode(t, err, egress.ProxyDenied, "allow CONNECT to cloud.test:443, login.test:443 for 127.0.0.1 (account CORP\\svc)", "Blocked by policy", "demo-proxy")
	var e *egress.Error
	if errors.As(err, &e) && strings.Contains(e.ForDesktop("cloud.test:443"), "CORP") {
		t.Error("a desktop is told the account")
	}
}
