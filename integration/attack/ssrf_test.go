package attack

import (
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/upstream/cloudapi"
)

// TestTheForwardProxyReachesNothingInside: by whatever name, number or port, the door leads
// to what is on its list and nowhere else.
func TestTheForwardProxyReachesNothingInside(t *testing.T) {
	t.Parallel()
	s := single(t)
	n := s.Nodes[0]
	api := strings.TrimPrefix(n.URL, "https://")
	_, port, _ := net.SplitHostPort(api)
	for _, to := range []string{api, "localhost:" + port, "LOCALHOST.:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port, "2130706433:" + port, "0x7f000001:" + port, "0177.0.0.1:" + port,
		"127.1:" + port, "0.0.0.0:" + port, "[fe80::1%25lo]:" + port, "169.254.169.254:80", "169.254.169.254:443", "10.0.0.1:443", "metadata.google.internal:80",
		integration.CloudHost + ":443", integration.CloudHost + ":22", integration.LoginHost + ":80", integration.LoginHost + ":0", integration.LoginHost + ":443:80",
		"user@" + integration.LoginHost + ":443", integration.LoginHost + ".attacker.example:443", "attacker.example#" + integration.LoginHost + ":443",
		integration.LoginHost + "\x00.attacker.example:443", "xn--" + integration.LoginHost + ":443", strings.Repeat("a.", 200) + "example:443"} {
		a := knock(t, n).send("CONNECT " + to + " HTTP/1.1\r\nHost: " + integration.LoginHost + ":443\r\n\r\n").answer()
		if a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
			t.Errorf("CONNECT %q: got %d %.300s, want 403 or 400", to, a.status, a.body)
		}
		if a.status == http.StatusProxyAuthRequired || a.header.Get("Proxy-Authenticate") != "" {
			t.Errorf("CONNECT %q: a password is asked for that there is none of", to)
		}
	}
	for _, line := range []string{"GET http://" + api + "/metrics HTTP/1.1", "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1", "POST http://localhost/ HTTP/1.1", "GET ftp://localhost/ HTTP/1.1",
		"GET file:///etc/passwd HTTP/1.1", "GET /%2e%2e/etc/passwd HTTP/1.1", "PUT /proxy.pac HTTP/1.1", "TRACE / HTTP/1.1"} {
		a := knock(t, n).send(line + "\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").answer()
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s: got %d %.300s, want it refused", line, a.status, a.body)
		}
		a.discreet(t)
	}
}

// TestNamesThatLeadInsideAreRefused: a name that is on the list and resolves to this machine, as
// its owner's DNS may say from one day to the next, is not connected to where the way
// out is direct: what is dialled is the address that was looked at.
func TestNamesThatLeadInsideAreRefused(t *testing.T) {
	t.Parallel()
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	visits := visited(t, inside)
	_, port, _ := net.SplitHostPort(inside.Addr().String())
	s := integration.NewSiteWithoutLinks(t, 1, 3)
	n := s.Nodes[0]
	n.Stop(t)
	direct(t, n, "localhost:"+port)
	s.Start(t, 0)
	s.AwaitReady(t, n)
	a := knock(t, n).send("CONNECT localhost:" + port + " HTTP/1.1\r\nHost: localhost\r\n\r\n").answer()
	if a.status != http.StatusForbidden || a.header.Get("X-Sitegate-Error") != "private_address" {
		t.Errorf("got %d %s %.300s, want 403 private_address", a.status, a.header.Get("X-Sitegate-Error"), a.body)
	}
	if n := visits(); n != 0 {
		t.Errorf("something inside was connected to %d times", n)
	}
}

// visited tells who has come to a listener until then: who comes first is accepted first,
// and last comes the test itself.
func visited(t *testing.T, ln net.Listener) func() int {
	t.Helper()
	came := make(chan string, 100)
	go func() {
		defer close(came)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			came <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	return func() (n int) {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for from := range came {
			if from == c.LocalAddr().String() {
				break
			}
			n++
		}
		return n
	}
}

// direct has a node go out directly, and puts a name on the list of its forward proxy.
func direct(t *testing.T, n *integration.Node, name string) {
	t.Helper()
	b, err := os.ReadFile(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^  allow: .*$`).ReplaceAllString(string(b), `  allow: ["`+name+`"]`)
	if at := strings.Index(text, "\negress:\n"); at >= 0 {
		rest := text[at+1:]
		end := len(rest)
		for i := strings.IndexByte(rest, '\n') + 1; i < len(rest); { // to the next section
			line, _, _ := strings.Cut(rest[i:], "\n")
			if line != "" && line[0] != ' ' && line[0] != '#' {
				end = i
				break
			}
			i += len(line) + 1
		}
		text = text[:at+1] + "egress:\n  direct: true\n" + rest[end:]
	}
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRedirectsOfTheVendorAreNotFollowed: an answer that sends elsewhere never becomes a request there.
func TestRedirectsOfTheVendorAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := integration.NewSite(t, 1, 3, relayed()...)
	n := s.Nodes[0]
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	visits := visited(t, elsewhere)
	s.Cloud.SetFault(emulator.Fault{Prefix: "/Bentley", Status: http.StatusTemporaryRedirect, Location: "http://" + elsewhere.Addr().String() + "/inside"})
	a := dial(t, s, n).send(request("GET " + cloudapi.DefaultPolicyPath + cloudapi.PathSigningCertificate + " HTTP/1.1")).answer()
	if a.status < 400 || strings.Contains(a.body, "inside") || strings.HasPrefix(a.header.Get("Location"), "http://127") {
		t.Errorf("got %d to %q: %.300s; want it refused", a.status, a.header.Get("Location"), a.body)
	}
	if n := visits(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}
