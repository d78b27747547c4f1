package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sitegate/upstream/egress/pac"
)

// says is what a file says about a URL.
func says(t *testing.T, text, url, host string) (string, error) {
	t.Helper()
	s, err := pac.Compile([]byte(text), pac.Config{})
	if err != nil {
		t.Fatalf("the file is no good: %v\n%s", err, text)
	}
	list, err := s.Find(t.Context(), url, host)
	var said []string
	for _, e := range list {
		said = append(said, strings.TrimSpace(string(e.Kind)+" "+e.Address))
	}
	slices.Sort(said) // the order differs each time
	return strings.Join(said, ", "), err
}

// pacDoor is a forward proxy of three nodes that has a PAC file.
func pacDoor(t *testing.T, change func(*PAC), more ...func(*TunnelConfig)) *door {
	t.Helper()
	return newDoor(t, &wayOut{}, append([]func(*TunnelConfig){func(c *TunnelConfig) {
		c.Allow = append(c.Allow, "plain.vendor.example:80", "files.vendor.example:8443")
		c.Relayed = []string{"discovery.vendor.example", "usage.vendor.example"}
		c.PAC = &PAC{Nodes: func() []string {
			return []string{"gw3.site.example:3128", "gw1.site.example:3128", "gw2.site.example:3128"}
		}}
		if change != nil {
			change(c.PAC)
		}
	}}, more...)...)
}

const allNodes = "http gw1.site.example:3128, http gw2.site.example:3128, http gw3.site.example:3128"

func TestThePACFileLeadsVendorHostsHere(t *testing.T) {
	d := pacDoor(t, func(p *PAC) { p.Past = []string{"discovery.vendor.example"} })
	orders := map[string]bool{}
	for _, path := range []string{"/proxy.pac", "/wpad.dat", "/proxy.pac?x=1"} {
		_, _, status, h, text := d.knock(t, "GET", path, "")
		if status != "200 OK" || h.Get("Content-Type") != "application/x-ns-proxy-autoconfig" || h.Get("Cache-Control") != "private, max-age=300" {
			t.Fatalf("%s: %s, %v", path, status, h)
		}
		for _, x := range []struct{ url, host, want string }{
			{"https://login.vendor.example/", "login.vendor.example", allNodes},
			{"https://LOGIN.vendor.example/", "LOGIN.vendor.example", allNodes},
			{"https://login.vendor.example./", "login.vendor.example.", allNodes},
			{"wss://login.vendor.example/", "login.vendor.example", allNodes},
			{"https://login.vendor.example:443/a?b=http://x/", "login.vendor.example", allNodes},
			{"https://login.vendor.example", "login.vendor.example", allNodes},
			{"https://login.vendor.example?x", "login.vendor.example", allNodes},
			{"https://user@login.vendor.example/", "login.vendor.example", allNodes},
			{"http://plain.vendor.example/x.crl", "plain.vendor.example", allNodes},
			{"https://files.vendor.example:8443/", "files.vendor.example", allNodes},
			{"https://usage.vendor.example/", "usage.vendor.example", allNodes}, // and is refused here
			{"https://discovery.vendor.example/", "discovery.vendor.example", "direct"},
			{"http://login.vendor.example/", "login.vendor.example", "direct"},
			{"https://login.vendor.example:8443/", "login.vendor.example", "direct"},
			{"https://plain.vendor.example/", "plain.vendor.example", "direct"},
			{"https://evil-login.vendor.example/", "evil-login.vendor.example", "direct"},
			{"https://evil.example/login.vendor.example:443", "evil.example", "direct"},
			{"https://constructor/", "constructor", "direct"},
			{"https://[::1]:443/", "::1", "direct"},
			{"https://__proto__:443/", "__proto__", "direct"},
		} {
			if got, err := says(t, text, x.url, x.host); err != nil || got != x.want {
				t.Errorf("%s: %q, %v; want %q", x.url, got, err, x.want)
			}
		}
	}
	for range 200 {
		_, _, _, _, text := d.knock(t, "GET", "/proxy.pac", "")
		_, order, _ := strings.Cut(text, "nodes: ")
		order, _, _ = strings.Cut(order, "\n")
		orders[order] = true
	}
	if len(orders) != 6 {
		t.Errorf("the nodes came in %d orders, want all 6", len(orders))
	}
}

// The gateway itself is reached past all proxies, whatever the site says for the rest.
func TestThePACFileKnowsTheGatewaysOwnNames(t *testing.T) {
	d := pacDoor(t, func(p *PAC) {
		p.Otherwise = "PROXY old.site.example:8080"
		p.Own = func() []string {
			return []string{"Licenses.Site.example:443", "gw1.site.example:8443", "10.1.2.3:8443", "[2001:db8::7]:8443"}
		}
	})
	_, _, _, _, text := d.knock(t, "GET", "/proxy.pac", "")
	for _, x := range []struct{ url, host, want string }{
		{"https://licenses.site.example/discovery.asmx", "licenses.site.example", "direct"},
		{"https://gw1.site.example:8443/v1/sessions", "gw1.site.example", "direct"},
		{"wss://gw1.site.example:8443/v1/notices", "gw1.site.example", "direct"},
		{"https://10.1.2.3:8443/", "10.1.2.3", "direct"},
		{"https://[2001:db8::7]:8443/", "2001:db8::7", "direct"},
		{"https://[2001:db8::7]:8443/", "[2001:db8::7]", "direct"},
		{"https://gw1.site.example/", "gw1.site.example", "http old.site.example:8080"}, // somebody else's
		{"https://login.vendor.example/", "login.vendor.example", allNodes},
	} {
		if got, err := says(t, text, x.url, x.host); err != nil || got != x.want {
			t.Errorf("%s: %q, %v; want %q", x.url, got, err, x.want)
		}
	}
}

// The rest is as the site's own file has it, whichever way that defines its function, and
// nothing in it takes the vendor's hosts away or reaches ours.
func TestThePACFileChainsToTheSites(t *testing.T) {
	for name, site := range map[string]string{
		"a function":           `function FindProxyForURL(url, host) { return rule(host) } function rule(h) { return isPlainHostName(h) ? "DIRECT" : "PROXY old.site.example:8080" }`,
		"a variable":           `var FindProxyForURL = function (url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" };`,
		"a constant":           `const FindProxyForURL = (url, host) => host === "intra" ? "DIRECT" : "PROXY old.site.example:8080";`,
		"a let":                `let FindProxyForURL = function (url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" };`,
		"without declaring":    `FindProxyForURL = function (url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" };`,
		"this":                 `this.FindProxyForURL = function (url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" };`,
		"strict":               `"use strict"; function FindProxyForURL(url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" }`,
		"a comment at the end": `function FindProxyForURL(url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" } // the end`,
		"names like ours": `var key = 1, ours = {}, self = 2, found = 3, nodes = "x";
			function FindProxyForURL(url, host) { return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" }`,
		"one that calls itself": `function FindProxyForURL(url, host) { if (host.length > 30) { return FindProxyForURL(url, "x.y") } return host === "intra" ? "DIRECT" : "PROXY old.site.example:8080" }`,
	} {
		t.Run(name, func(t *testing.T) {
			d := pacDoor(t, func(p *PAC) { p.Site = func(context.Context) (string, error) { return site, nil } })
			_, _, _, _, text := d.knock(t, "GET", "/proxy.pac", "")
			for _, x := range []struct{ url, host, want string }{
				{"https://login.vendor.example/", "login.vendor.example", allNodes},
				{"https://intra/", "intra", "direct"},
				{"https://news.example/", "news.example", "http old.site.example:8080"},
				{"https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example/", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", "http old.site.example:8080"},
				{"https://login.vendor.example/", "login.vendor.example", allNodes},
			} {
				if got, err := says(t, text, x.url, x.host); err != nil || got != x.want {
					t.Errorf("%s: %q, %v; want %q", x.url, got, err, x.want)
				}
			}
		})
	}
}

// A site's file that breaks in a client breaks for what is not the vendor's, as it would by
// itself; the vendor's hosts are reached.
func TestTheSitesFileMayBreak(t *testing.T) {
	for name, site := range map[string]string{
		"at once":      `missing(); function FindProxyForURL(url, host) { return "DIRECT" }`,
		"when asked":   `function FindProxyForURL(url, host) { return missing() }`,
		"no function":  `var FindProxyForURL = 7;`,
		"nothing said": `function FindProxyForURL(url, host) { }`,
	} {
		d := pacDoor(t, func(p *PAC) { p.Site = func(context.Context) (string, error) { return site, nil } })
		_, _, _, _, text := d.knock(t, "GET", "/proxy.pac", "")
		if got, err := says(t, text, "https://login.vendor.example/", "login.vendor.example"); err != nil || got != allNodes {
			t.Errorf("%s: %q, %v; want the vendor's hosts by the nodes", name, got, err)
		}
		if got, err := says(t, text, "https://news.example/", "news.example"); err == nil {
			t.Errorf("%s: %q for the rest, want an error", name, got)
		}
	}
}

func TestThereIsNoPACFileWithoutTheSites(t *testing.T) {
	d := pacDoor(t, func(p *PAC) {
		p.Site = func(context.Context) (string, error) { return "", errors.New("http://wpad/ is away") }
	})
	_, _, status, h, body := d.knock(t, "GET", "/proxy.pac", "")
	if status != "503 Service Unavailable" || h.Get("Retry-After") == "" || h.Get("X-Sitegate-Error") != "pac_failed" || strings.Contains(body, "wpad") {
		t.Errorf("%s, %v, %q", status, h, body)
	}
	if d.lines(`"reason":"pac_failed"`, "http://wpad/ is away") != 1 {
		t.Errorf("the log has %s", d.r.log.String())
	}
	fixed := pacDoor(t, func(p *PAC) { p.Otherwise, p.Nodes = "PROXY old.site.example:8080; DIRECT", nil })
	_, _, _, _, text := fixed.knock(t, "GET", "/proxy.pac", "")
	if got, err := says(t, text, "https://news.example/", "news.example"); err != nil || got != "direct, http old.site.example:8080" {
		t.Errorf("%q, %v; want what is said for the rest", got, err)
	}
	if got, err := says(t, text, "https://login.vendor.example/", "login.vendor.example"); err != nil || got != fmt.Sprint("http ", fixed.addr) {
		t.Errorf("%q, %v; want the address that was asked", got, err)
	}
}
