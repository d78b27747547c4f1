package configs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/upstream/egress"
)

// without is the shortest configuration without its way out.
func without(way string) string {
	return strings.Replace(configs.SingleNode, "egress:\n  direct: true\n", way, 1)
}

func TestWaysOut(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want egress.Config
	}{
		"one line": {"egress: {proxy: {address: \"p.example:8080\"}}\n", egress.Config{Proxies: []egress.Proxy{{Name: "proxy", Address: "p.example:8080"}}}},
		"all of it": {`egress:
  proxy:
    address: p.example:8443
    kind: https
    username: CORP\svc
    password_file: /secret/pw
    auth: [negotiate, ntlm]
    kerberos: {principal: svc@CORP.EXAMPLE, keytab_file: /secret/keytab, spn: HTTP/other.example}
    ca_file: /ca.pem
    server_name: other.example
  proxies:
    - {name: second, address: "q.example:1080", kind: socks5}
    - {address: "r.example:8080", kerberos: {cache_file: /secret/cache}}
  pac: {url: "http://wpad.example/proxy.pac"}
  routes:
    - {hosts: [.corp.example, a.example], via: [second, direct]}
    - {hosts: [b.example], via: [deny]}
    - {hosts: [c.example], via: [pac]}
    - {hosts: [d.example], via: ["r.example:8080"]}
`, egress.Config{Proxies: []egress.Proxy{
			{Name: "proxy", Kind: egress.HTTPS, Address: "p.example:8443", Username: `CORP\svc`, PasswordFile: "/secret/pw", Auth: []egress.Scheme{egress.Negotiate, egress.NTLM},
				Kerberos: &egress.Kerberos{Principal: "svc@CORP.EXAMPLE", KeytabFile: "/secret/keytab", SPN: "HTTP/other.example"}, CAFile: "/ca.pem", ServerName: "other.example"},
			{Name: "second", Kind: egress.SOCKS5, Address: "q.example:1080"},
			{Name: "r.example:8080", Address: "r.example:8080", Kerberos: &egress.Kerberos{CacheFile: "/secret/cache"}}},
			PAC: &egress.PAC{URL: "http://wpad.example/proxy.pac", Refresh: 10 * time.Minute},
			Routes: []egress.Route{{Hosts: []string{".corp.example", "a.example"}, Via: []string{"second", "direct"}}, {Hosts: []string{"b.example"}, Via: []string{"deny"}},
				{Hosts: []string{"c.example"}, Via: []string{"pac"}}, {Hosts: []string{"d.example"}, Via: []string{"r.example:8080"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := load(t, without(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Egress.Way(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
}

func TestProxyFromTheEnvironment(t *testing.T) {
	env := map[string]string{"SITEGATE_EGRESS_PROXY_ADDRESS": "p.example:8080", "SITEGATE_EGRESS_PROXY_KERBEROS_CACHE_FILE": "/c", "SITEGATE_EGRESS_PROXY_AUTH": "negotiate"}
	c, _, err := configs.Load(write(t, without("")), func(k string) string { return env[k] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Egress.Way().Proxies[0]; p.Address != "p.example:8080" || p.Kerberos.CacheFile != "/c" || p.Auth[0] != egress.Negotiate {
		t.Errorf("got %+v", p)
	}
}

func TestWaysOutThatAreWrong(t *testing.T) {
	for text, want := range map[string]string{
		"{proxy: {address: \"p.example:1\", kind: htps}}":                                                 "egress.proxy.kind: \"htps\" is not one of http, https, socks5; did you mean https?",
		"{proxy: {address: \"p.example:1\", username: u}}":                                                "egress.proxy.password_file: is missing",
		"{proxy: {address: \"http://p.example:1\"}}":                                                      "is a URL; only host:port belongs here",
		"{proxies: [{address: \"u:secret@p.example:1\"}]}":                                                "egress.proxies[1].address: has credentials in it; use egress.proxies[1].username",
		"{proxies: [{name: a, address: \"p.example:1\"}, {name: a, address: \"q.example:1\"}]}":           "egress.proxies[2].name: a is another proxy's name, too",
		"{proxies: [{name: direct, address: \"p.example:1\"}]}":                                           "has another meaning in egress.routes",
		"{proxy: {address: \"p.example:1\", auth: [ntlm]}}":                                               "egress.proxy.auth[1]: ntlm needs egress.proxy.username",
		"{proxy: {address: \"p.example:1\", auth: [negotiate]}}":                                          "negotiate needs the section egress.proxy.kerberos",
		"{proxy: {address: \"p.example:1\", auth: [bsic]}}":                                               "did you mean basic?",
		"{proxy: {address: \"10.0.0.1:1\", kerberos: {cache_file: c}}}":                                   "egress.proxy.kerberos.spn: is missing",
		"{proxy: {address: \"p.example:1\", kerberos: {keytab_file: k}}}":                                 "egress.proxy.kerberos.principal: is missing",
		"{proxy: {address: \"p.example:1\", kerberos: {principal: u, keytab_file: k}}}":                   "is not of the form user@REALM",
		"{proxy: {address: \"p.example:1\", kerberos: {principal: u@R, keytab_file: k, cache_file: c}}}":  "choose one",
		"{proxy: {address: \"p.example:1\", kerberos: {principal: u@R}}}":                                 "egress.proxy.kerberos.keytab_file: is missing",
		"{proxy: {address: \"p.example:1\", ca_file: c}}":                                                 "egress.proxy.kind: is not https",
		"{proxy: {address: \"p.example:1\", kind: socks5, auth: [basic], username: u, password_file: f}}": "is not for socks5",
		"{direct: true, pac: {file: f}}":                                                                  "egress.direct: and egress.pac are both set",
		"{pac: {file: f, url: \"http://h/p\"}}":                                                           "egress.pac.file: and egress.pac.url are both set",
		"{pac: {refresh: 1h}}":                                                                            "egress.pac.url: is missing",
		"{pac: {url: \"ftp://h/p\"}}":                                                                     "is not of the form http://host/proxy.pac",
		"{pac: {url: \"http://u:secret@h/p\"}}":                                                           "egress.pac.url: has credentials in it",
		"{pac: {url: \"http://h/p\", refresh: 1s}}":                                                       "egress.pac.refresh: is 1s",
		"{direct: true, routes: [{hosts: [a.example], via: [pac]}]}":                                      "egress.routes[1].via[1]: pac needs the section egress.pac",
		"{proxy: {name: main, address: \"p.example:1\"}, routes: [{hosts: [a.example], via: [mian]}]}":    "did you mean main?",
		"{direct: true, routes: [{hosts: [\"a.example:443\"], via: [direct]}]}":                           "egress.routes[1].hosts[1]",
		"{direct: true, routes: [{hosts: [a.example], via: [deny, direct]}]}":                             "egress.routes[1].via[1]: deny stands alone",
		"{direct: true, routes: [{hosts: [a.example]}]}":                                                  "egress.routes[1].via: is empty",
		"{routes: [{hosts: [a.example], via: [direct]}]}":                                                 "egress: says no way out",
	} {
		_, _, err := load(t, without("egress: "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: the problem repeats the password: %v", text, err)
		}
	}
}

// What check lets pass, serve must take: keys and tickets that a group can read are refused by both.
func TestKeysOfTheWayOutAreForOneUserOnly(t *testing.T) {
	file := write(t, without(`egress:
  proxy: {address: "p.example:1", kind: https, cert_file: cert.pem, key_file: proxy.key, kerberos: {cache_file: cache}}
  proxies:
    - {address: "q.example:1", kerberos: {cache_file: later}}
`))
	for _, name := range []string{"cert.pem", "proxy.key", "cache"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte("x"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := configs.Load(file, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.CheckFiles()
	for _, want := range []string{"egress.proxy.key_file: ", "egress.proxy.kerberos.cache_file: "} {
		found := false
		for line := range strings.SplitSeq(err.Error(), "\n") {
			found = found || strings.HasPrefix(line, want) && strings.Contains(line, "0600")
		}
		if !found {
			t.Errorf("got %v, want %q refused for its mode", err, want)
		}
	}
	if strings.Contains(err.Error(), "later") {
		t.Errorf("got %v, want a cache that is still to be made let pass", err)
	}
}

func TestFilesOfTheWayOut(t *testing.T) {
	file := write(t, without(`egress:
  proxy: {address: "p.example:1", kind: https, username: u, password_file: none.password, ca_file: none.pem, kerberos: {principal: u@R, keytab_file: none.keytab, config_file: none.conf}}
  pac: {file: none.pac}
`))
	c, _, err := configs.Load(file, none, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.CheckFiles()
	for key, name := range map[string]string{"egress.proxy.password_file": "none.password", "egress.proxy.ca_file": "none.pem", "egress.proxy.kerberos.keytab_file": "none.keytab",
		"egress.proxy.kerberos.config_file": "none.conf", "egress.pac.file": "none.pac"} {
		if want := key + ": there is no file " + filepath.Join(filepath.Dir(file), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
