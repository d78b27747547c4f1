package console

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
)

// oldProxy stands for the site's own proxy: whatever is asked of it, it says who it is.
func oldProxy(t *testing.T) (addr string, connects *atomic.Int32) {
	t.Helper()
	connects = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			if strings.HasPrefix(r.RequestURI, integration.LoginHost) {
				connects.Add(1)
			}
			http.Error(w, "not from here", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "the site's own proxy, asked for %s", r.URL.Host)
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), connects
}

// siteWithPAC is a site whose own PAC file leads to its own proxy.
func siteWithPAC(t *testing.T, nodes int) (s *integration.Site, astray *atomic.Int32) {
	t.Helper()
	needs(t, "chromium")
	old, astray := oldProxy(t)
	file := filepath.Join(t.TempDir(), "proxy.pac")
	own := fmt.Sprintf("// the site's own\nfunction FindProxyForURL(url, host) { if (isPlainHostName(host)) { return \"DIRECT\"; } return \"PROXY %s\"; }\n", old)
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	return integration.NewSiteWithoutLinks(t, nodes, 20, "SITEGATE_CONNECT_PAC_FILE="+file, "SITEGATE_RELAY_URL=https://licenses.site.example"), astray
}

// shown is the certificate that a host shows by a node's forward proxy.
func shown(t *testing.T, n *integration.Node, host string) *x509.Certificate {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(n.Door, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n", host, host)
	if line, err := bufio.NewReaderSize(c, 64).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatalf("%q, %v", line, err)
	}
	secured := tls.Client(c, &tls.Config{ServerName: host, InsecureSkipVerify: true}) // whose it is, the browser will ask
	if err := secured.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return secured.ConnectionState().PeerCertificates[0]
}

// A browser finds the sign-in by the PAC file that a node serves, the site's own proxy for
// all else, and a page that says what to do for what is relayed. Two nodes of three
// die, and it goes on by the third.
func TestABrowserSignsInByThePACFile(t *testing.T) {
	t.Parallel()
	s, astray := siteWithPAC(t, 3)
	back := make(chan url.Values, 1)
	desktop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/signed-in" {
			io.WriteString(w, "You are signed in.")
			select {
			case back <- r.URL.Query():
			default:
			}
		}
	}))
	defer desktop.Close()
	b := newChromium(t, s.Nodes[0].Door+"/proxy.pac", shown(t, s.Nodes[0], integration.LoginHost))
	p := b.page(t)

	if e := p.open("http://news.example/"); e != "" {
		t.Fatalf("the rest of the world: %s", e)
	}
	p.shows("the site's own proxy, asked for news.example")
	if e := p.open("http://buddi.bentley.com/discovery.asmx"); e != "" && e != "net::ERR_HTTP_RESPONSE_CODE_FAILURE" {
		t.Fatalf("a relayed host: %s", e)
	}
	p.shows("Forbidden", "Ask IT to have the licensing client of this computer led to the gateway", "use-relay")
	if e := p.open("https://connect-ulastm.bentley.com/"); e != "net::ERR_TUNNEL_CONNECTION_FAILED" {
		t.Errorf("a relayed host over TLS: %q, want no tunnel", e)
	}

	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	redirect := desktop.URL + "/signed-in"
	signIn := integration.Issuer + "/connect/authorize?" + url.Values{"client_id": {emulator.DesktopClient}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"s-1"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode()
	user := s.Cloud.Users()[5]
	for _, n := range s.Nodes[:2] {
		n.Kill()
	}
	if e := p.open(signIn); e != "" {
		t.Fatalf("the sign-in: %s", e)
	}
	p.shows("Sign in", "E-mail")
	fill := func(password string) {
		t.Helper()
		p.run(fmt.Sprintf(`(() => { document.querySelector("[name=email]").value = %q; document.querySelector("[name=password]").value = %q; document.querySelector("button").click() })()`, user.Email, password), nil)
	}
	fill("wrong")
	p.shows("The e-mail address or the password is wrong.")
	fill(emulator.Password(user.ID))
	p.shows("You are signed in.")
	got := <-back
	if got.Get("state") != "s-1" || got.Get("code") == "" {
		t.Fatalf("the browser came back with %v", got)
	}
	if n := astray.Load(); n != 0 {
		t.Errorf("the site's own proxy was asked for the sign-in %d times", n)
	}

	// What it came back with is good for a token, by the forward proxy too.
	door, _ := url.Parse(s.Nodes[2].Door)
	pem, err := os.ReadFile(filepath.Join(s.Dir, "cloud-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	out := &http.Client{Timeout: patience, Transport: &http.Transport{Proxy: http.ProxyURL(door), DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	resp, err := out.PostForm(integration.Issuer+"/connect/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {emulator.DesktopClient}, "code": {got.Get("code")},
		"redirect_uri": {redirect}, "code_verifier": {verifier}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil || token.AccessToken == "" {
		t.Fatalf("%s, %v: no token", resp.Status, err)
	}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Nodes[2].URL+api.PathMe, nil)
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	me, err := s.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer me.Body.Close()
	if me.StatusCode == http.StatusUnauthorized {
		t.Errorf("the node does not take the token: %s", me.Status)
	}
}

// curl goes through a node's forward proxy, and is told why where it does not get through.
func TestCurlGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	curl := needs(t, "curl")
	s := integration.NewSiteWithoutLinks(t, 1, 5)
	n := s.Nodes[0]
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), curl, append([]string{"--silent", "--show-error", "--max-time", "60", "--cacert", filepath.Join(s.Dir, "cloud-ca.pem"), "--noproxy", ""}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		out, _ := cmd.CombinedOutput() // what came is what is asked
		return string(out)
	}
	for _, x := range []struct {
		what string
		args []string
		want []string
	}{
		{"the sign-in", []string{"--proxy", n.Door, integration.Issuer + "/.well-known/openid-configuration"}, []string{`"issuer":"` + integration.Issuer + `"`}},
		{"a host that is not on the list", []string{"--proxy", n.Door, "--include", "https://other.example/"}, []string{"HTTP/1.1 403 Forbidden", "X-Sitegate-Error: host_not_allowed"}},
		{"a relayed host", []string{"--proxy", n.Door, "--include", "https://buddi.bentley.com/"}, []string{"HTTP/1.1 403 Forbidden", "X-Sitegate-Error: use-relay"}},
		{"an address", []string{"--proxy", n.Door, "--include", "https://10.0.0.1/"}, []string{"HTTP/1.1 403 Forbidden", "X-Sitegate-Error: host_not_allowed"}},
		{"the node itself", []string{"--proxy", n.Door, "--include", "--proxytunnel", n.Door}, []string{"HTTP/1.1 403 Forbidden", "X-Sitegate-Error: host_not_allowed"}},
		{"plain HTTP", []string{"--proxy", n.Door, "--include", "http://other.example/x"}, []string{"HTTP/1.1 403 Forbidden", "other.example:80 is not on this license gateway's list", "ask IT to add"}},
		{"the PAC file", []string{"--include", n.Door + "/wpad.dat"}, []string{"HTTP/1.1 200 OK", "Content-Type: application/x-ns-proxy-autoconfig", "PROXY " + strings.TrimPrefix(n.Door, "http://"), `"ims.bentley.com:443":1`}},
	} {
		out := run(x.args...)
		for _, want := range x.want {
			if !strings.Contains(strings.ReplaceAll(out, "\r", ""), want) {
				t.Errorf("%s: curl says\n%s\nwant %q in it", x.what, out, want)
			}
		}
	}
}
