package endpoint

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/license"
	"sitegate/upstream/cloudapi"
)

// consoleName is what the browser knows the nodes by; the test server's certificate has it.
const consoleName = "gw.example.com"

// codeRig is two nodes of a site, under one name, a browser, and the emulated issuer.
type codeRig struct {
	cloud   *emulator.Emulator
	vendor  *httptest.Server
	nodes   [2]*rig
	at      atomic.Int32 // the node that the browser gets to
	browser *http.Client
	back    string // where the issuer last led back to
}

func newCodeRig(t *testing.T, secret string) *codeRig {
	t.Helper()
	c := &codeRig{cloud: &emulator.Emulator{Consoles: []string{"https://" + consoleName + backPath}, ConsoleSecret: secret}}
	c.vendor = httptest.NewTLSServer(c.cloud)
	t.Cleanup(c.vendor.Close)
	c.cloud.Issuer = c.vendor.URL
	c.cloud.SetAccount(cloudapi.Account{ID: "a-1", Name: "Acme"})
	c.role(t, "desk")
	node := filled(t)
	node.onTime = true
	for i := range c.nodes {
		c.nodes[i] = secured(t, newRig(t, node, func(cfg *Config) {
			is := Issuer{URL: c.vendor.URL, Audience: emulator.AdminAudience, Client: c.vendor.Client()}
			cfg.Administrators = &AdminIssuer{Issuer: is, Claim: "roles", Roles: map[string]license.Authority{"looks": license.Viewer, "desk": license.Operator},
				Code: &CodeFlow{ClientID: emulator.ConsoleClient}}
			if secret != "" {
				cfg.Administrators.Code.Secret = func() (string, error) { return secret, nil }
			}
			cfg.Cluster = &fewNodes{}
		}))
		c.nodes[i].readIssuer(t)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	trust := c.nodes[0].Client().Transport.(*http.Transport).Clone() // one certificate is all test servers'
	trust.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == consoleName+":443" {
			addr = c.nodes[c.at.Load()].Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	trust.DisableKeepAlives = true
	t.Cleanup(trust.CloseIdleConnections)
	c.browser = &http.Client{Transport: trust, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c
}

// readIssuer waits until the administrators' issuer has been read.
func (r *rig) readIssuer(t *testing.T) {
	t.Helper()
	is := r.e.admins.issuers[r.e.cfg.Administrators.URL]
	eventually(t, "the issuer is read", func() bool {
		is.mu.Lock()
		defer is.mu.Unlock()
		return is.about.Issuer != ""
	})
}

// role has the issuer say of ida what she may.
func (c *codeRig) role(t *testing.T, roles ...string) {
	t.Helper()
	c.cloud.PutUser(cloudapi.User{ID: "ida", Email: "ida@example.org", Name: "Ida", Country: "DE", Roles: roles})
}

func (c *codeRig) do(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := c.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, raw}
}

func (c *codeRig) get(t *testing.T, to string) answer {
	t.Helper()
	if strings.HasPrefix(to, "/") {
		to = "https://" + consoleName + to
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", to, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.do(t, req)
}

// atIssuer begins, signs ida in at the issuer, and is where that leads back to.
func (c *codeRig) atIssuer(t *testing.T, next string) string {
	t.Helper()
	begun := c.get(t, beginPath+"?next="+url.QueryEscape(next))
	if to := begun.Header.Get("Location"); begun.StatusCode != 303 || !strings.HasPrefix(to, c.vendor.URL+"/connect/authorize?") {
		t.Fatalf("begun: %d to %q: %s", begun.StatusCode, to, begun.raw)
	}
	page := c.get(t, begun.Header.Get("Location"))
	_, tx, _ := strings.Cut(string(page.raw), `name="tx" value="`)
	tx, _, _ = strings.Cut(tx, `"`)
	form := url.Values{"tx": {tx}, "email": {"ida@example.org"}, "password": {emulator.Password("ida")}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", c.vendor.URL+"/connect/authorize", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a := c.do(t, req)
	c.back = a.Header.Get("Location")
	if a.StatusCode != 302 || !strings.HasPrefix(c.back, "https://"+consoleName+backPath+"?") {
		t.Fatalf("the issuer answered %d to %q: %s", a.StatusCode, c.back, a.raw)
	}
	return c.back
}

// By the issuer somebody is signed in on all nodes, also where another one than the one that
// they began at ends it, and has the role that the issuer gives them then.
func TestTheIssuerSignsIn(t *testing.T) {
	for name, secret := range map[string]string{"a public client": "", "with a secret": "s3cret & more"} {
		t.Run(name, func(t *testing.T) {
			c := newCodeRig(t, secret)
			page := c.get(t, signInPath+"?next=%2Fconsole%2Fpeople%3Fq%3Da")
			if u, _ := url.Parse(c.vendor.URL); !strings.Contains(string(page.raw), "Sign in with "+u.Host) || !strings.Contains(string(page.raw), `href="`+beginPath+`?next=%2Fconsole%2Fpeople%3Fq%3Da"`) {
				t.Errorf("the page does not lead to the issuer: %s", page.raw)
			}
			back := c.atIssuer(t, "/console/people?q=a")
			c.at.Store(1)
			a := c.get(t, back)
			if a.StatusCode != 303 || a.Header.Get("Location") != "/console/people?q=a" {
				t.Fatalf("back: %d to %q: %s", a.StatusCode, a.Header.Get("Location"), a.raw)
			}
			cookie := signedIn(t, a)
			if !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
				t.Errorf("the cookie is %+v", cookie)
			}
			for i, r := range c.nodes {
				c.at.Store(int32(i))
				if a := c.get(t, api.PathStatus); a.StatusCode != 200 {
					t.Errorf("at node %d: %d %s", i, a.StatusCode, a.raw)
				}
				if a := c.get(t, api.PathAccounts); a.StatusCode != 403 {
					t.Errorf("an operator at what is for admins, at node %d: %d", i, a.StatusCode)
				}
				r.want(t, 200, "", "GET", api.PathStatus, nil, cookieOf(cookie))
				code, _ := url.Parse(back)
				if log := r.log.String(); strings.Contains(log, code.Query().Get("code")) || strings.Contains(log, cookie.Value[4:30]) || secret != "" && strings.Contains(log, secret) {
					t.Error("a secret is in the log")
				}
			}
			r := c.nodes[0]
			r.want(t, 204, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{By: "x", Note: "left"}, cookieOf(cookie))
			var blocks api.List[api.Block]
			r.want(t, 200, "", "GET", api.PathBlocks, nil, cookieOf(cookie)).into(t, &blocks)
			if len(blocks.Items) != 1 || blocks.Items[0].By != "ida@example.org" {
				t.Errorf("recorded %+v, want by ida@example.org", blocks.Items)
			}

			// The next sign-in has the role of then, and ends the one before.
			c.role(t, "looks")
			last := signedIn(t, c.get(t, c.atIssuer(t, "")))
			r.want(t, 403, "", "POST", "/v1/users/ben/block", api.ReleaseRequest{Note: "left"}, cookieOf(last))
			r.want(t, 401, "", "GET", api.PathStatus, nil, cookieOf(cookie))
			r.form(t, signOutPath, nil, cookieOf(last))
			c.nodes[1].want(t, 401, "", "GET", api.PathStatus, nil, cookieOf(last))

			// And none without a role.
			c.role(t, "somebody")
			if a := c.get(t, c.atIssuer(t, "")); a.StatusCode != 403 || !strings.Contains(string(a.raw), "no role") || hasSignIn(a) {
				t.Errorf("without a role: %d %s", a.StatusCode, a.raw)
			}
		})
	}
}

func hasSignIn(a answer) bool {
	for _, c := range a.Cookies() {
		if c.Name == signInCookie && c.Value != "" {
			return true
		}
	}
	return false
}

// A code is good once, and in the browser that has begun only.
func TestACodeIsGoodOnceAndInItsBrowser(t *testing.T) {
	c := newCodeRig(t, "")
	back := c.atIssuer(t, "")
	other := c.nodes[0].want(t, 400, "", "GET", strings.TrimPrefix(back, "https://"+consoleName), nil, header{"Accept-Language": "de"})
	if hasSignIn(other) || !strings.Contains(string(other.raw), "Beginnen Sie noch einmal") {
		t.Errorf("in another browser: %d %s", other.StatusCode, other.raw)
	}
	here := &url.URL{Scheme: "https", Host: consoleName, Path: "/"}
	kept := c.browser.Jar.Cookies(here)
	if len(kept) != 1 || kept[0].Name != begunCookie {
		t.Fatalf("the browser has %v", kept)
	}
	signedIn(t, c.get(t, back))
	if a := c.get(t, back); a.StatusCode != 400 || hasSignIn(a) {
		t.Errorf("once more: %d %s", a.StatusCode, a.raw)
	}
	c.browser.Jar.SetCookies(here, []*http.Cookie{{Name: begunCookie, Value: kept[0].Value, Path: "/", Secure: true}}) // as a thief of both could
	if a := c.get(t, back); a.StatusCode != 400 || hasSignIn(a) || !strings.Contains(string(a.raw), "Begin again") {
		t.Errorf("once more, with the cookie: %d %s", a.StatusCode, a.raw)
	}
}
