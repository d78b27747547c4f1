package endpoint

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"sitegate/upstream/cloudapi"
)

// vendorSaying is a vendor that answers discovery, and its requests.
type vendorSaying struct {
	*httptest.Server
	answer func(w http.ResponseWriter, g cloudapi.GetURL)
	asked  []cloudapi.GetURL
}

func newVendorSaying(t *testing.T, answer func(http.ResponseWriter, cloudapi.GetURL)) *vendorSaying {
	v := &vendorSaying{answer: answer}
	v.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		g, err := cloudapi.ReadGetURL(body)
		if err != nil && r.URL.Path == cloudapi.PathDiscovery {
			t.Errorf("the vendor was asked %s: %v", body, err)
		}
		v.asked = append(v.asked, g)
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		v.answer(w, g)
	}))
	t.Cleanup(v.Close)
	return v
}

// relayTo configures the relay to a vendor at one host.
func relayTo(base string, transport http.RoundTripper) func(*Config) {
	return func(c *Config) {
		c.Relay = &RelayConfig{Transport: transport, URL: "https://licenses.example:8443", Discovery: base + cloudapi.PathDiscovery,
			Policy: base + cloudapi.DefaultPolicyPath, Posting: base + cloudapi.PathPosting, Location: base + cloudapi.PathLocation,
			AccessKey: base + pathAccessKey}
	}
}

// secured is a rig as desktops see it: over TLS, by the name of the certificate.
func secured(t testing.TB, r *rig) *rig {
	t.Helper()
	r.Server.Close()
	r.Server = httptest.NewTLSServer(r.e.Handler())
	t.Cleanup(r.Server.Close)
	return r
}

func (r *rig) getURL(t *testing.T, g cloudapi.GetURL) answer {
	t.Helper()
	return r.call(t, "", "POST", cloudapi.PathDiscovery, string(g.Message()), header{"Content-Type": "text/xml; charset=utf-8", "SOAPAction": `"` + cloudapi.ActionGetURL + `"`})
}

func TestDiscoveryNamesTheSite(t *testing.T) {
	v := newVendorSaying(t, nil)
	v.answer = func(w http.ResponseWriter, g cloudapi.GetURL) {
		named := map[string]string{strings.ToLower(cloudapi.ServicePolicy): v.URL + cloudapi.DefaultPolicyPath, "portal.url": "https://portal.vendor.example/",
			"entitlement.other.url": v.URL + "/Bentley.Entitlement.PolicyService/PolicySvcWebApi/other"}
		w.Write(append(cloudapi.GetURLAnswer(named[strings.ToLower(g.Name)]), "<!-- as it was -->"...))
	}
	r := secured(t, newRig(t, filled(t), relayTo(v.URL, v.Client().Transport)))
	const own = "https://licenses.example:8443/Bentley.Entitlement.PolicyService/PolicySvcWebApi"
	for _, c := range []struct {
		g    cloudapi.GetURL
		want string
	}{
		{cloudapi.GetURL{Name: cloudapi.ServicePolicy}, own + "/api"},
		{cloudapi.GetURL{Name: strings.ToLower(cloudapi.ServicePolicy)}, own + "/api"},
		{cloudapi.GetURL{Name: "Portal.Url"}, "https://portal.vendor.example/"},
		{cloudapi.GetURL{Name: "Entitlement.Other.Url"}, own + "/other"},
	} {
		for range 2 {
			a := r.getURL(t, c.g)
			if got, err := cloudapi.ReadGetURLAnswer(a.raw); a.StatusCode != 200 || err != nil || got != c.want {
				t.Errorf("%+v: %d %q, %v; want %q\n%s", c.g, a.StatusCode, got, err, c.want, a.raw)
			}
			if !strings.HasSuffix(string(a.raw), "<!-- as it was -->") {
				t.Errorf("%+v: the rest of the answer is another one: %s", c.g, a.raw)
			}
		}
	}
	if len(v.asked) != 4 {
		t.Errorf("the vendor was asked %d times, want once for each: %+v", len(v.asked), v.asked)
	}
}

func TestDiscoveryWithoutTheVendor(t *testing.T) {
	v := newVendorSaying(t, func(w http.ResponseWriter, _ cloudapi.GetURL) { w.WriteHeader(http.StatusServiceUnavailable) })
	r := secured(t, newRig(t, filled(t), relayTo(v.URL, v.Client().Transport)))
	a := r.getURL(t, cloudapi.GetURL{Name: cloudapi.ServicePosting})
	if got, _ := cloudapi.ReadGetURLAnswer(a.raw); got != "https://licenses.example:8443"+cloudapi.PathPosting {
		t.Errorf("a vendor that fails: %d %q, want this site's address: %s", a.StatusCode, got, a.raw)
	}
	v.Close()
	a = r.getURL(t, cloudapi.GetURL{Name: cloudapi.ServicePosting})
	if got, _ := cloudapi.ReadGetURLAnswer(a.raw); got != "https://licenses.example:8443"+cloudapi.PathPosting {
		t.Errorf("a vendor that is away: %d %q, want this site's address: %s", a.StatusCode, got, a.raw)
	}
	if a = r.getURL(t, cloudapi.GetURL{Name: "Portal.Url"}); a.StatusCode != http.StatusBadGateway || a.Header.Get("X-Sitegate-Error") != relayUnreachable {
		t.Errorf("what only the vendor knows: %d %q, want 502 %s", a.StatusCode, a.Header.Get("X-Sitegate-Error"), relayUnreachable)
	}
}

func TestRelayRefusesWhatIsNotSound(t *testing.T) {
	v := newVendorSaying(t, func(http.ResponseWriter, cloudapi.GetURL) { t.Error("the vendor was asked") })
	r := secured(t, newRig(t, filled(t), relayTo(v.URL, v.Client().Transport)))
	sound := string(cloudapi.GetURL{Name: "Portal.Url"}.Message())
	xml := header{"Content-Type": "text/xml; charset=utf-8"}
	for name, c := range map[string]struct {
		path, body string
		headers    header
		change     func(*http.Request)
		status     int
		code       string
	}{
		"entities":          {body: `<!DOCTYPE x [<!ENTITY a "b">]>` + sound, status: 400, code: "malformed"},
		"10 MB":             {body: sound + strings.Repeat(" ", 10<<20), status: 413, code: relayTooLarge},
		"half a message":    {body: sound[:len(sound)/2], status: 400, code: "malformed"},
		"no XML":            {body: sound, headers: header{"Content-Type": "application/json"}, status: 415, code: relayMediaType},
		"compressed":        {body: sound, headers: header{"Content-Encoding": "gzip"}, status: 415, code: relayMediaType},
		"a query":           {path: cloudapi.PathDiscovery + "?op=GetUrl", body: sound, status: 400, code: "malformed"},
		"an underscore":     {body: sound, headers: header{"X_Forwarded_For": "10.0.0.1"}, status: 400, code: "malformed"},
		"come by before":    {body: sound, headers: header{"Via": "1.1 squid, " + r.e.relay.via()}, status: 508, code: relayLoop},
		"for another host":  {body: sound, change: func(q *http.Request) { q.Host = "buddi.example" }, status: 421, code: relayMisdirected},
		"a path in escapes": {path: "/discovery%2easmx", body: sound, status: 400, code: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.path
			if path == "" {
				path = cloudapi.PathDiscovery
			}
			q, err := http.NewRequest("POST", r.URL+path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range []header{xml, c.headers} {
				for k, v := range h {
					q.Header[k] = []string{v}
				}
			}
			if c.change != nil {
				c.change(q)
			}
			resp, err := r.Client().Do(q)
			if name == "10 MB" && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
				return // it was hung up on before it had sent all
			}
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.Header.Get("X-Sitegate-Error"); resp.StatusCode != c.status || got != c.code {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, got, c.status, c.code)
			}
			eventually(t, "one line about it", func() bool {
				return strings.Count(r.log.String(), `"level":"INFO","msg":"request","id":"`+resp.Header.Get("X-Request-Id")+`"`) == 1
			})
		})
	}
}

// On the wire, too: what the connection was made to (SNI) is what may be asked on it.
func TestAConnectionsNameHoldsForWhatIsAskedOnIt(t *testing.T) {
	v := newVendorSaying(t, func(http.ResponseWriter, cloudapi.GetURL) {})
	r := secured(t, newRig(t, filled(t), relayTo(v.URL, v.Client().Transport)))
	trust := r.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com" // which the server's certificate is for
	named := &http.Transport{TLSClientConfig: trust}
	t.Cleanup(named.CloseIdleConnections)
	for host, misdirected := range map[string]bool{"example.com": false, "buddi.example": true} {
		q, err := http.NewRequestWithContext(t.Context(), "POST", r.URL+cloudapi.PathDiscovery, bytes.NewReader(cloudapi.GetURL{Name: "Portal.Url"}.Message()))
		if err != nil {
			t.Fatal(err)
		}
		q.Host = host
		q.Header.Set("Content-Type", "text/xml; charset=utf-8")
		resp, err := (&http.Client{Transport: named}).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.StatusCode == http.StatusMisdirectedRequest; got != misdirected {
			t.Errorf("asked for %s on a connection to example.com: %s", host, resp.Status)
		}
	}
}

func TestNameOfTheConnectionDecidesTheHost(t *testing.T) {
	for _, c := range []struct {
		sni, host string
		want      bool
	}{
		{"buddi.example", "buddi.example", false},
		{"buddi.example", "Buddi.Example.:443", false},
		{"buddi.example", "other.example", true},
		{"", "10.1.2.3:8443", false},
		{"", "[::1]:8443", false},
		{"", "buddi.example", true},
	} {
		r := &http.Request{Host: c.host, TLS: &tls.ConnectionState{ServerName: c.sni}}
		if got := misdirected(r); got != c.want {
			t.Errorf("a connection to %q, a request for %q: misdirected is %t, want %t", c.sni, c.host, got, c.want)
		}
	}
}
