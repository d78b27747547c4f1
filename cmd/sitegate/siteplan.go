package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"text/template"

	"sitegate/configs"
)

// sitePlan is what cluster init writes.
type sitePlan struct {
	initOptions
	Nodes []nodePlan
}

// nodePlan is one node of it: its name and where its doors are.
type nodePlan struct {
	Name, Peer, API, Connect string // Connect may be empty
}

// plan reads the nodes of the command line, and refuses what could not work.
func (o initOptions) plan(args []string) (*sitePlan, error) {
	plan := &sitePlan{initOptions: o}
	doors := map[string]string{}
	for _, a := range args {
		n, err := parseNode(a)
		if err != nil {
			return nil, usagef("cluster init: %q: %w", a, err)
		}
		for _, door := range []string{n.Peer, n.API, n.Connect} {
			if other, taken := doors[door]; taken && door != "" {
				return nil, usagef("cluster init: %s and %s would both listen on %s: give each a port of its own", other, n.Name, door)
			}
			doors[door] = n.Name
		}
		plan.Nodes = append(plan.Nodes, n)
	}
	if n := len(plan.Nodes); n != 1 && n != 3 && n != 5 {
		return nil, usagef("cluster init: a cluster has one, three or five nodes, not %d: an even number survives no more failures than one node fewer", n)
	}
	names := map[string]bool{}
	for _, n := range plan.Nodes {
		if names[strings.ToLower(n.Name)] {
			return nil, usagef("cluster init: two nodes are called %s", n.Name)
		}
		names[strings.ToLower(n.Name)] = true
	}
	return plan, plan.check()
}

func (plan *sitePlan) check() error {
	given := func(names ...string) (some, all bool) {
		all = true
		for _, s := range names {
			some, all = some || s != "", all && s != ""
		}
		return some, all
	}
	cloud, whole := given(plan.CloudURL, plan.SiteID, plan.CloudSecret)
	if cloud && !whole {
		return usagef("cluster init: --cloud-url, --site-id and --cloud-secret go together")
	}
	if some, all := given(plan.Issuer, plan.Audience); some && !all {
		return usagef("cluster init: --issuer and --audience go together")
	}
	if some, all := given(plan.ProxyUser, plan.ProxyPasswordFile); some && !all {
		return usagef("cluster init: --proxy-user and --proxy-password go together")
	}
	if !slices.Contains([]string{"lan", "vm", "wan"}, plan.Tempo) {
		return usagef("cluster init: --tempo is lan, vm or wan, not %q", plan.Tempo)
	}
	if _, _, err := net.SplitHostPort(plan.Proxy); plan.Proxy != "" && err != nil { // not shown: there may be a password in it
		return usagef("cluster init: --proxy is host:port only: no https://, no user name")
	}
	if plan.Proxy != "" && plan.Direct {
		return usagef("cluster init: --proxy and --direct contradict each other")
	}
	if plan.ProxyUser != "" && plan.Proxy == "" {
		return usagef("cluster init: --proxy-user needs --proxy")
	}
	if plan.ExtraCA != "" && len(plan.hostsOutside()) == 0 {
		return usagef("cluster init: --extra-ca needs --cloud-url or --issuer, whose hosts it is trusted for")
	}
	for _, n := range plan.Nodes {
		switch {
		case n.Connect == "":
		case plan.Issuer == "":
			return usagef("cluster init: a connect door needs --issuer: it leads to sign-in pages")
		case len(plan.Desktops) == 0 && !isLoopback(n.Connect):
			return usagef("cluster init: a connect door at %s needs --desktops: the networks that may use it", n.Connect)
		}
	}
	return nil
}

// complete reports whether the nodes can start as they are written.
func (plan *sitePlan) complete() bool {
	return plan.CloudURL != "" && plan.Issuer != "" && (plan.Proxy != "" || plan.Direct)
}

// hostsOutside are the hosts of the cloud and the issuer.
func (plan *sitePlan) hostsOutside() []string {
	var hosts []string
	for _, s := range []string{plan.CloudURL, plan.Issuer} {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" && (len(hosts) == 0 || hosts[0] != u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// signIn is the issuer's host:port.
func (plan *sitePlan) signIn() string {
	u, err := url.Parse(plan.Issuer)
	if err != nil {
		return plan.Issuer // the check of the configuration names it
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
}

func parseNode(s string) (nodePlan, error) {
	name, rest, ok := strings.Cut(s, "=")
	if !ok {
		return nodePlan{}, fmt.Errorf("write it as name=host:port")
	}
	if !configs.ValidName(name) {
		return nodePlan{}, fmt.Errorf("%q is not a name of letters, digits, dots and dashes", name)
	}
	parts := strings.Split(rest, ",")
	n := nodePlan{Name: name, Peer: parts[0]}
	host, _, err := net.SplitHostPort(n.Peer)
	if err != nil || host == "" {
		return nodePlan{}, fmt.Errorf("%q is not host:port", n.Peer)
	}
	n.API = net.JoinHostPort(host, "8443")
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		if h, _, err := net.SplitHostPort(value); err != nil || h == "" {
			return nodePlan{}, fmt.Errorf("%q is not %s=host:port", part, cmp.Or(key, "api"))
		}
		switch key {
		case "api":
			n.API = value
		case "connect":
			n.Connect = value
		default:
			return nodePlan{}, fmt.Errorf("%q is neither api nor connect", key)
		}
	}
	return n, nil
}

// hosts are the names that clients and peers reach the node by.
func (n nodePlan) hosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	seen := map[string]bool{"": true, "localhost": true, "127.0.0.1": true, "::1": true}
	for _, a := range []string{n.API, n.Peer} {
		if h, _, _ := net.SplitHostPort(a); !seen[h] {
			seen[h] = true
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// listenOn is where a node listens to be reached at address. A host name may
// stand for another machine's address, or lead to loopback on its own machine, so
// there it is every address.
func listenOn(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return address
	}
	return ":" + port
}

func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// config is the text of a node's configuration.
func (plan *sitePlan) config(n nodePlan) (string, error) {
	var b strings.Builder
	err := configTemplate.Execute(&b, map[string]any{
		"Plan": plan, "Node": n, "SignIn": plan.signIn(), "Hosts": plan.hostsOutside(),
	})
	if err != nil {
		return "", fmt.Errorf("writing the configuration of %s: %w", n.Name, err)
	}
	return b.String(), nil
}

var configTemplate = template.Must(template.New("sitegate.yaml").Funcs(template.FuncMap{
	"q":      quote,
	"listen": listenOn,
}).Parse(`# Node {{.Node.Name}} of cluster {{.Plan.ID}}. "sitegate check" tells what each setting comes to.

node: {{q .Node.Name}}
data_dir: data

cluster:
  id: {{q .Plan.ID}}
  tempo: {{q .Plan.Tempo}}
  listen: {{q (listen .Node.Peer)}}
  peers:
{{- range .Plan.Nodes}}
    - {name: {{q .Name}}, address: {{q .Peer}}}
{{- end}}
  ca_file: site-ca.pem
  cert_file: node.pem
  key_file: node.key
  ca_key_file: site-ca.key

api:
  listen: {{q (listen .Node.API)}}
  url: {{q (print "https://" .Node.API)}}
  nodes:
{{- range .Plan.Nodes}}
    - {{q (print "https://" .API)}}
{{- end}}

# The key of pseudonyms, the same on all nodes.
privacy:
  key_file: privacy.key
{{if .Node.Connect}}
connect:
  listen: {{q (listen .Node.Connect)}}
  allow: [{{q .SignIn}}]
  nodes:
{{- range .Plan.Nodes}}{{if .Connect}}
    - {{q .Connect}}
{{- end}}{{end}}
{{- if .Plan.Desktops}}
  from: [{{range $i, $d := .Plan.Desktops}}{{if $i}}, {{end}}{{q $d}}{{end}}]
{{- end}}
{{end}}
{{if .Plan.CloudURL -}}
cloud:
  url: {{q .Plan.CloudURL}}
  site_id: {{q .Plan.SiteID}}
  secret_file: cloud.secret
{{else -}}
# Fill in: what the vendor's letter says; the secret goes into a file with mode 0600.
#cloud:
#  url: https://entitlements.example.com
#  site_id: site-4711
#  secret_file: cloud.secret
{{end}}
{{if or .Plan.Proxy .Plan.Direct .Hosts -}}
egress:
{{- if .Plan.Proxy}}
  proxy:
    address: {{q .Plan.Proxy}}
{{- if .Plan.ProxyUser}}
    username: {{q .Plan.ProxyUser}}
    password_file: proxy.password
{{- end}}
{{- else if .Plan.Direct}}
  direct: true
{{- else}}
  # Fill in: the proxy's address, or direct: true.
{{- end}}
{{- if .Plan.ExtraCA}}
  extra_ca:
    - file: extra-ca.pem
      hosts: [{{range $i, $h := .Hosts}}{{if $i}}, {{end}}{{q $h}}{{end}}]
{{- end}}
{{else -}}
# Fill in: the way out, through a proxy or with direct: true.
#egress:
#  proxy: {address: proxy.example.com:8080}
{{end}}
{{if .Plan.Issuer -}}
sign_in:
  - issuer: {{q .Plan.Issuer}}
    audience: {{q .Plan.Audience}}
{{else -}}
# Fill in: who vouches for users.
#sign_in:
#  - {issuer: https://sign-in.example.com, audience: site-gateway}
{{end}}`))

// quote writes a string as YAML reads it back, whatever is in it: JSON's strings
// are YAML's.
func quote(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}
