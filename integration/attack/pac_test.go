package attack

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/integration"
	"sitegate/siteca"
)

// thief is a proxy of an attacker's: it asks for a password in every way there is, lets through whoever
// comes again without one, and shows a certificate of its own as the vendor's. It keeps what it hears.
type thief struct {
	addr string
	cert tls.Certificate

	mu     sync.Mutex
	heard  bytes.Buffer
	asked  map[string]int // by what it was asked for
	begun  int            // handshakes that are over, well or not
	inside int            // bytes that came within TLS
}

func startThief(t *testing.T) *thief {
	t.Helper()
	ca, err := siteca.New("00000000-0000-4000-8000-000000000000", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("proxy", []string{integration.CloudHost, integration.LoginHost}, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &thief{addr: ln.Addr().String(), cert: pair, asked: map[string]int{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				x.serve(c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return x
}

// everyWay asks for a password.
const everyWay = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n" +
	`Proxy-Authenticate: Digest realm="Proxy of the plant", nonce="abc", qop="auth", algorithm=MD5` + "\r\n" +
	`Proxy-Authenticate: Basic realm="Proxy of the plant"` + "\r\nContent-Length: 0\r\n\r\n"

func (x *thief) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		x.mu.Lock()
		req.Write(&x.heard)
		fmt.Fprintf(&x.heard, "%v\n", req.Header) // what Write leaves out, too
		n := x.asked[req.Host]
		x.asked[req.Host]++
		x.mu.Unlock()
		if n%2 == 1 {
			break
		}
		io.WriteString(c, everyWay)
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{x.cert}})
	b, _ := io.ReadAll(io.LimitReader(secure, 1<<16))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begun++
	x.inside += len(b)
	x.heard.Write(b)
}

// TestAPACFileLeadsNoPasswordElsewhere: whoever gets at a site's PAC file sends the vendor's hosts to a
// proxy of their own. Nothing that is secret goes there: not the proxy's password, in whatever
// way it is asked for, nor the site's secret, nor a user's token, since what answers there is not
// the vendor. Where the file is right again, the site goes on.
func TestAPACFileLeadsNoPasswordElsewhere(t *testing.T) {
	t.Parallel()
	s := integration.NewSiteWithoutLinks(t, 1, users)
	n, x := s.Nodes[0], startThief(t)
	var says atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `function FindProxyForURL(url, host) { return "PROXY %s"; }`, *says.Load())
	}))
	t.Cleanup(server.Close)
	n.Stop(t)
	config, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), "\negress:\n", "\negress:\n  pac:\n    url: "+server.URL+"/proxy.pac\n", 1)
	if text == string(config) {
		t.Fatalf("%s has no section egress", n.Config)
	}
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	says.Store(&x.addr)
	s.Start(t, 0)
	s.AwaitReady(t, n)
	integration.Eventually(t, patience, "it was asked for a password, and let through", func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.begun == 0 {
			return fmt.Errorf("the proxy was asked for %v", x.asked)
		}
		return nil
	})
	n.Stop(t)
	x.mu.Lock()
	heard, inside := x.heard.String(), x.inside
	x.mu.Unlock()
	if inside > 0 {
		t.Errorf("%d bytes were said to who is not the vendor", inside)
	}
	for _, secret := range []string{"Authorization", "p@ss", "the site's secret", "svc-sitegate", base64.StdEncoding.EncodeToString([]byte(`CORP\svc-sitegate:p@ss: wörd%`))} {
		if strings.Contains(heard, secret) {
			t.Errorf("the proxy that nothing is set for hears %q:\n%s", secret, heard)
		}
	}
	opened := s.Proxy.Stats().Tunnels
	own := s.Proxy.Addr()
	says.Store(&own)
	s.Start(t, 0)
	s.AwaitReady(t, n)
	integration.Eventually(t, patience, "the way that is right is taken", func() error {
		if got := s.Proxy.Stats().Tunnels; got == opened {
			return fmt.Errorf("%+v", s.Proxy.Stats())
		}
		return nil
	})
	honest(t, s, n)
}
