package egress_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/upstream/egress"
)

// rude is a server that says what it wants to whoever connects, and counts the bytes
// that it got rid of.
type rude struct {
	addr    string
	written atomic.Int64
	came    atomic.Int32
}

func beRude(t *testing.T, wrap func(net.Conn) net.Conn, say func(w io.Writer)) *rude {
	t.Helper()
	ln := listen(t)
	r := &rude{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.came.Add(1)
			wg.Go(func() {
				defer c.Close()
				if wrap != nil {
					c = wrap(c)
				}
				if _, err := c.Read(make([]byte, 4096)); err != nil { // what it is asked
					return
				}
				say(writerFunc(func(b []byte) (int, error) {
					n, err := c.Write(b)
					r.written.Add(int64(n))
					return n, err
				}))
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return r
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// most is a gigabyte: what somebody says who does not stop.
const most = 1 << 30

// endless says a begin and then a gigabyte, until nobody listens.
func endless(begin, more string) func(io.Writer) {
	block := bytes.Repeat([]byte(more), 64<<10/len(more))
	return func(w io.Writer) {
		_, err := io.WriteString(w, begin)
		for n := 0; n < most && err == nil; n += len(block) {
			_, err = w.Write(block)
		}
	}
}

func says(text string) func(io.Writer) {
	return func(w io.Writer) { io.WriteString(w, text) }
}

// slowly says one byte after the other, and has never said all.
func slowly(text string) func(io.Writer) {
	return func(w io.Writer) {
		for i := 0; ; i++ {
			if _, err := io.WriteString(w, text[i%len(text):i%len(text)+1]); err != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

// within is a proxy within TLS that shows a certificate.
func within(pair tls.Certificate) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}) }
}

// Whatever a proxy says, a connection through it comes to a named error in a bounded
// time, with a bounded part of it read and kept, and to nobody else.
func TestProxiesThatDoNotBehave(t *testing.T) {
	const page = "<!doctype html><html><h1>It works!</h1></html>"
	challenge := "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"r\"\r\nContent-Length: 1073741824\r\n\r\n"
	for name, tt := range map[string]struct {
		say   func(io.Writer)
		pair  *tls.Certificate
		code  egress.Code
		words string
	}{
		"garbage":                        {say: says(strings.Repeat("\xfe\xdc\xba\x98 ", 500)), code: egress.ProxyBadAnswer},
		"a page without a head":          {say: says(page), code: egress.ProxyBadAnswer},
		"a page that is a refusal":       {say: says("HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n" + page), code: egress.ProxyDenied, words: "It works!"},
		"200 with a page":                {say: says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 46\r\n\r\n" + page), code: egress.CaptivePortal, words: "speaks no TLS"},
		"200 with an error":              {say: says("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + `{"error":"denied"}`), code: egress.CaptivePortal},
		"200 and then nothing":           {say: says("HTTP/1.1 200 OK\r\n\r\n"), code: egress.TLSFailed},
		"a redirect":                     {say: says("HTTP/1.1 302 Found\r\nLocation: http://portal.test/?user=anna\r\nContent-Length: 0\r\n\r\n"), code: egress.CaptivePortal, words: "portal.test"},
		"a gigabyte of garbage":          {say: endless("", "x"), code: egress.ProxyBadAnswer, words: "more than"},
		"a gigabyte of a header":         {say: endless("HTTP/1.1 200 OK\r\nX: ", "x"), code: egress.ProxyBadAnswer, words: "more than"},
		"a gigabyte of headers":          {say: endless("HTTP/1.1 407 X\r\n", "Proxy-Authenticate: NTLM\r\n"), code: egress.ProxyBadAnswer, words: "more than"},
		"a gigabyte of a refusal":        {say: endless("HTTP/1.1 403 No\r\nContent-Length: 1073741824\r\n\r\n", "no "), code: egress.ProxyDenied, words: "no no"},
		"a gigabyte behind a question":   {say: endless(challenge, "x"), code: egress.ProxyAuthRejected},
		"a gigabyte behind a tunnel":     {say: endless("HTTP/1.1 200 OK\r\n\r\n", "x"), code: egress.CaptivePortal},
		"a gigabyte of patience":         {say: endless("", "HTTP/1.1 102 Processing\r\n\r\n"), code: egress.ProxyBadAnswer, words: "working on it"},
		"a byte now and then":            {say: slowly("HTTP/1.1 200 OK and then some more of it"), code: egress.ProxyNoAnswer, words: "in time"},
		"a byte now and then of garbage": {say: slowly("garbage"), code: egress.ProxyNoAnswer},
		"nothing but an end":             {say: says(""), code: egress.ProxyBadAnswer},
		"a certificate that has expired": {say: says(""), pair: new(certificate(t, "proxy.test", time.Now().Add(-time.Hour))), code: egress.ProxyTLSFailed, words: "expired"},
		"a foreign certificate":          {say: says(""), pair: new(inspected(t, "proxy.test", "Nobody's CA")), code: egress.ProxyTLSFailed, words: "Nobody's CA"},
		"a certificate of another name":  {say: says(""), pair: new(certificate(t, "other.test", time.Now().Add(time.Hour))), code: egress.ProxyTLSFailed, words: "another name"},
	} {
		t.Run(name, func(t *testing.T) {
			p := egress.Proxy{Username: "svc", PasswordFile: file(t, "pw", 0o600)}
			var wrap func(net.Conn) net.Conn
			if tt.pair != nil {
				wrap, p.Kind, p.ServerName = within(*tt.pair), egress.HTTPS, "proxy.test"
				if !strings.Contains(name, "foreign") {
					p.CAFile, _ = pemOf(t, *tt.pair)
				}
			}
			r := beRude(t, wrap, tt.say)
			p.Address = r.addr
			d := dialer(t, egress.Config{Proxies: []egress.Proxy{p}, ConnectTimeout: 500 * time.Millisecond, TLSTimeout: 500 * time.Millisecond})
			if !strings.Contains(name, "now and then") {
				d = dialer(t, egress.Config{Proxies: []egress.Proxy{p}}) // as it is: the error is no matter of time
			}
			client := &http.Client{Transport: d.Transport(), Timeout: time.Minute}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, err := client.Get("https://cloud.site.test/")
			runtime.ReadMemStats(&after)
			if err == nil {
				resp.Body.Close()
				t.Fatal("got an answer")
			}
			wantCode(t, err, tt.code, strings.Fields(tt.words)...)
			if strings.ContainsAny(err.Error(), "<\r\n") || len(err.Error()) > 2000 || strings.Contains(err.Error(), "anna") {
				t.Errorf("it says %q: what a proxy has written is clipped, and is no markup", err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
				t.Errorf("%d MB were allocated for it", n>>20)
			}
			if n := r.written.Load(); n > 64<<20 { // what the system keeps between the two is some of it
				t.Errorf("%d MB of it were taken", n>>20)
			}
			if n := r.came.Load(); n > 4 {
				t.Errorf("it was connected to %d times", n)
			}
		})
	}
}

// So it is with whoever has the PAC file.
func TestPACServersThatDoNotBehave(t *testing.T) {
	good := "function FindProxyForURL(u, h) { return 'DIRECT' }"
	var self string
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		words  string
	}{
		"a page":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Sign in</html>") }, "web page"},
		"an error":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, good, http.StatusForbidden) }, "HTTP 403"},
		"JSON":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"error": "denied"}`) }, "no JavaScript"},
		"a gigabyte": {func(w http.ResponseWriter, _ *http.Request) { endless(good, "// more\n")(w) }, "larger than"},
		"a circle":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, self, http.StatusFound) }, "redirected more than"},
		"a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, "not of the web"},
		"other's TLS": {nil, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(tt.answer)
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			if tt.answer == nil {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			self = srv.URL + "/proxy.pac"
			d := dialer(t, egress.Config{PAC: &egress.PAC{URL: self}})
			c, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:9")
			if err == nil {
				c.Close()
				t.Fatal("got a connection")
			}
			wantCode(t, err, egress.PACFailed, strings.Fields(tt.words)...)
		})
	}
}
