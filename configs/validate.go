package configs

import (
	"cmp"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sitegate/license"
)

// Validate checks what can be known from the settings alone, and returns
// Problems: all of them. It opens nothing; CheckFiles does.
func (c Config) Validate() error {
	var p Problems
	p.name("node", c.Node)
	if c.DataDir == "" {
		p.add("data_dir", "is missing; name the folder that this node keeps everything in")
	}
	if c.Cluster != nil {
		c.Cluster.validate(&p, c.Node)
	}
	c.API.validate(&p)
	if c.Connect != nil {
		c.Connect.validate(&p, c)
	}
	if c.Cloud != nil {
		c.Cloud.validate(&p)
	}
	if c.Relay != nil {
		c.Relay.validate(&p, c)
	}
	c.Egress.validate(&p, c.Cloud != nil || c.Connect != nil || c.Relay != nil || c.Administrators != nil || c.Alerts != nil || len(c.SignIn) > 0)
	if len(c.SignIn) == 0 {
		p.add("sign_in", "is missing; without an issuer nobody can sign in: list at least one with issuer and audience")
	}
	p.signIn(c.SignIn)
	if c.Administrators != nil {
		c.Administrators.validate(&p, c.SignIn)
	}
	c.Rules.validate(&p)
	c.Limits.validate(&p)
	if c.Backup != nil {
		c.Backup.validate(&p)
	}
	c.Disk.validate(&p)
	c.Audit.validate(&p)
	c.Usage.validate(&p, c.Cloud != nil)
	if c.Alerts != nil {
		c.Alerts.validate(&p)
	}
	if c.Reports != nil {
		c.Reports.validate(&p, c.Alerts)
	}
	c.Privacy.validate(&p)
	c.Log.validate(&p)
	p.apart(c)
	return p.err()
}

// minDead is the least that a node must have been silent before it may be taken out.
const minDead = time.Minute

func (cl *Cluster) validate(p *Problems, node string) {
	if cl.Tempo != "" {
		p.oneOf("cluster.tempo", cl.Tempo, "lan", "vm", "wan")
	}
	if cl.Listen != "" {
		p.address("cluster.listen", cl.Listen, bind)
	}
	if cl.RemoveDeadAfter != 0 {
		p.duration("cluster.remove_dead_after", cl.RemoveDeadAfter, minDead, 365*24*time.Hour)
	}
	if cl.Made() {
		cl.validateMade(p, node)
		return
	}
	if cl.Advertise != "" {
		p.address("cluster.advertise", cl.Advertise, reach)
	} else if cl.Listen != "" {
		p.add("cluster.advertise", "is missing; cluster.listen takes every address of this machine, so say by which the other nodes reach it: name:port")
	}
}

// validateMade is for the section that cluster init writes.
func (cl *Cluster) validateMade(p *Problems, node string) {
	p.name("cluster.id", cl.ID)
	if n := len(cl.Peers); n != 1 && n != 3 && n != 5 {
		p.add("cluster.peers", "lists %d nodes; a cluster has one, three or five: an even number survives no more failures than one node fewer", n)
	}
	names, addresses := map[string]bool{}, map[string]bool{}
	for i, peer := range cl.Peers {
		key := keyf("cluster.peers[%d]", i+1)
		p.name(key+".name", peer.Name)
		p.address(key+".address", peer.Address, reach)
		if name := strings.ToLower(peer.Name); names[name] {
			p.add(key+".name", "%s is listed twice; every node needs a name of its own", peer.Name)
		} else {
			names[name] = true
		}
		if addresses[peer.Address] {
			p.add(key+".address", "%s is another node's address, too", peer.Address)
		}
		addresses[peer.Address] = true
	}
	i := slices.IndexFunc(cl.Peers, func(q Peer) bool { return q.Name == node })
	switch {
	case i < 0 && len(cl.Peers) > 0:
		p.add("cluster.peers", "this node, %s, is not among them; add it, or set node to the name it has there", node)
	case i >= 0 && cl.Advertise != "" && cl.Advertise != cl.Peers[i].Address:
		p.add("cluster.advertise", "differs from this node's address in cluster.peers, %s; leave it out", cl.Peers[i].Address)
	}
	for _, f := range []struct{ key, file, what string }{
		{"cluster.ca_file", cl.CAFile, "the site CA's certificate"},
		{"cluster.cert_file", cl.CertFile, "this node's certificate"},
		{"cluster.key_file", cl.KeyFile, "this node's key"},
	} {
		if f.file == "" {
			p.add(f.key, "is missing; name the file of %s (sitegate cluster init writes it)", f.what)
		}
	}
}

func (a *API) validate(p *Problems) {
	p.address("api.listen", a.Listen, bindAny)
	if a.URL != "" {
		p.url("api.url", a.URL, false)
	} else if host, port, err := net.SplitHostPort(a.Listen); err == nil && port != "0" && !reachable(a.Listen) {
		p.add("api.url", "is missing; api.listen takes every address of this machine (%s), so say by which clients reach it: https://name:%s", cmp.Or(host, "all"), port)
	}
	for i, u := range a.Nodes {
		p.url(keyf("api.nodes[%d]", i+1), u, false)
	}
	if a.URL != "" && !slices.Contains(a.Nodes, a.URL) {
		p.add("api.nodes", "lacks this node's own URL, %s; list the URLs of all nodes", mask(a.URL))
	}
	p.together("api.cert_file", a.CertFile, "api.key_file", a.KeyFile)
}

func (b *Backup) validate(p *Problems) {
	if b.Folder == "" {
		p.add("backup.folder", "is missing; name a folder that is there, best on another disk than data_dir")
	}
	if b.Every < 10*time.Minute || b.Every > 31*24*time.Hour {
		p.add("backup.every", "is %s; choose 10m to 31d", b.Every)
	}
	if b.Keep < 2 || b.Keep > 10_000 {
		p.add("backup.keep", "is %d; choose 2 to 10000: the newest alone may turn out to be no good", b.Keep)
	}
}

func (cl *Cloud) validate(p *Problems) {
	p.url("cloud.url", cl.URL, true)
	if cl.Issuer != "" {
		p.url("cloud.issuer", cl.Issuer, true)
	}
	if cl.SiteID == "" {
		p.add("cloud.site_id", "is missing; it is in the vendor's letter about this site's gateway")
	}
	if cl.SecretFile == "" {
		p.add("cloud.secret_file", "is missing; put the site's secret into a file that only this service can read, and name it")
	}
	if cl.PortalURL != "" {
		p.url("cloud.portal_url", withoutFragment(cl.PortalURL), true) // which a browser keeps to itself
	}
	p.duration("cloud.ask_timeout", cl.AskTimeout, time.Second, 30*time.Second)
	if n := cl.Requests; n != 0 && (n < 10 || n > 100_000) {
		p.add("cloud.requests", "is %d; it is from 10 to 100000 in 30 seconds, or 0 where the vendor has set no limit", n)
	}
}

func (r *Rules) validate(p *Problems) {
	p.oneOf("rules.session_scope", r.SessionScope, "user", "license")
	p.oneOf("rules.checkout_scope", r.CheckoutScope, "user", "license")
	p.duration("rules.lease_ttl", r.LeaseTTL, license.DefaultLeaseTTL, license.MaxLeaseTTL)
	p.oneOf("rules.checkouts", r.Checkouts, "on", "off")
	p.oneOf("rules.v8i", r.V8i, "refuse", "pass")
	p.duration("rules.save_grace", r.SaveGrace, time.Minute, 2*time.Hour)
	p.oneOf("rules.takeover", r.Takeover, "refuse", "ask", "grace")
	p.duration("rules.takeover_grace", r.TakeoverGrace, license.MinTakeoverGrace, license.MaxTakeoverGrace)
	r.validateModes(p)
	r.validateHosts(p)
	const year = 366 * 24 * time.Hour
	p.duration("rules.checkout_max", r.CheckoutMax, 0, year)
	p.duration("rules.checkout_default", r.CheckoutDefault, time.Minute, year)
	if r.AutonomyCapped != nil {
		p.duration("rules.autonomy_capped", *r.AutonomyCapped, 0, year)
	}
	if r.AutonomyUncapped != nil {
		p.duration("rules.autonomy_uncapped", *r.AutonomyUncapped, 0, year)
	}
}

func (r *Rules) validateHosts(p *Problems) {
	if len(r.Hosts) > license.MaxHosts {
		p.add("rules.hosts", "has %d entries; %d are the most", len(r.Hosts), license.MaxHosts)
	}
	for i, h := range r.Hosts {
		key := keyf("rules.hosts[%d]", i+1)
		switch {
		case h == "":
			p.add(key, "is empty; write the server's name as it says it itself (hostname), or leave it out")
		case len(h) > license.MaxName || !utf8.ValidString(h):
			p.add(key, "is longer than %d bytes or no UTF-8, which no server's name is", license.MaxName)
		}
	}
}

func (r *Rules) validateModes(p *Problems) {
	if len(r.Modes) > license.MaxModes {
		p.add("rules.modes", "has %d entries; %d are the most", len(r.Modes), license.MaxModes)
	}
	type about struct {
		product string
		network netip.Prefix
	}
	first := map[about]int{}
	for i, m := range r.Modes {
		key := keyf("rules.modes[%d]", i+1)
		p.oneOf(key+".mode", m.Mode, "on", "observe")
		if len(m.Product) > license.MaxName {
			p.add(key+".product", "is longer than %d bytes, which no product's id is", license.MaxName)
		}
		if m.Network.Addr().Is4In6() {
			p.add(key+".network", "%v is an IPv4 network written as IPv6; write it as IPv4", m.Network)
		}
		at := about{m.Product, m.Network.Masked()}
		if j, twice := first[at]; twice {
			p.add(key, "is for the same product and network as rules.modes[%d]; keep one", j)
			continue
		}
		first[at] = i + 1
	}
}

func (l *Limits) validate(p *Problems) {
	if !(l.RequestsPerSecond >= 1 && l.RequestsPerSecond <= 10_000) || math.IsNaN(l.RequestsPerSecond) {
		p.add("limits.requests_per_second", "is %v; it is from 1 to 10000, for each identity", l.RequestsPerSecond)
	}
	if l.Burst < 5 || l.Burst > 10_000 {
		p.add("limits.burst", "is %d; it is from 5 to 10000: a desktop that connects again asks a few things at once", l.Burst)
	}
}

func (d *Disk) validate(p *Problems) {
	if d.BallastMB < 0 || d.BallastMB > 4096 {
		p.add("disk.ballast_mb", "is %d; it is from 0 (none) to 4096", d.BallastMB)
	}
}

func (a *Audit) validate(p *Problems) {
	if a.Retention != 0 {
		p.duration("audit.retention", a.Retention, 24*time.Hour, 100*365*24*time.Hour)
	}
}

// apart makes sure that no two doors of this node are one.
func (p *Problems) apart(c Config) {
	doors := map[string]string{c.API.Listen: "api.listen"}
	check := func(key, listen string) {
		if _, port, err := net.SplitHostPort(listen); err != nil || port == "0" {
			return
		}
		if other, taken := doors[listen]; taken {
			p.add(key, "%s is %s, too; every door needs a port of its own", listen, other)
		}
		doors[listen] = key
	}
	if c.Connect != nil {
		check("connect.listen", c.Connect.Listen)
	}
	if c.Cluster != nil {
		check("cluster.listen", c.Cluster.Listen)
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)

// ValidName reports whether s can be the name of a node or a cluster.
func ValidName(s string) bool { return nameForm.MatchString(s) && !strings.Contains(s, "..") }

func (p *Problems) name(key, s string) {
	switch {
	case s == "":
		p.add(key, "is missing; give it a name of letters, digits, dots and dashes")
	case !ValidName(s):
		p.add(key, "%q is not a name of at most 63 letters, digits, dots and dashes", mask(s))
	}
}

func (p *Problems) oneOf(key, s string, these ...string) {
	if slices.Contains(these, s) {
		return
	}
	hint := ""
	if near := Nearest(s, these); near != "" && s != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	p.add(key, "%q is not one of %s%s", mask(s), strings.Join(these, ", "), hint)
}

func (p *Problems) duration(key string, d, least, most time.Duration) {
	if d < least || d > most {
		p.add(key, "is %s; it is from %s to %s", formatDuration(d), formatDuration(least), formatDuration(most))
	}
}

func (p *Problems) together(keyA, a, keyB, b string) {
	switch {
	case a != "" && b == "":
		p.add(keyB, "is missing; it goes together with %s", keyA)
	case a == "" && b != "":
		p.add(keyA, "is missing; it goes together with %s", keyB)
	}
}

// purpose is what an address is for.
type purpose int

const (
	reach   purpose = iota // others connect to it: a host and a port
	bind                   // listened on: the host may be left out
	bindAny                // as bind, and port 0 takes a free one
)

func (p *Problems) address(key, s string, use purpose) {
	host, port, err := net.SplitHostPort(s)
	n, numErr := strconv.ParseUint(port, 10, 16)
	switch {
	case s == "":
		p.add(key, "is missing; it is host:port")
	case strings.Contains(s, "//"):
		p.add(key, "%q is a URL; only host:port belongs here", mask(s))
	case err != nil || numErr != nil:
		p.add(key, "%q is not host:port", mask(s))
	case n == 0 && use != bindAny:
		p.add(key, "%q has port 0; name the port that others connect to", s)
	case use == reach && !reachable(s) && n != 0:
		p.add(key, "%q names no machine that others could connect to", s)
	case host != "" && !hostname(host):
		p.add(key, "%q is neither a host name nor an address", mask(host))
	}
}

// url checks a base URL: https, a host, nothing that could hold a secret.
func (p *Problems) url(key, s string, path bool) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		p.add(key, "is missing; it is of the form https://host:port")
	case err != nil || u.Host == "" || !hostname(u.Hostname()):
		p.add(key, "%q is not of the form https://host:port", mask(s))
	case u.User != nil:
		p.add(key, "has credentials in it; take them out")
	case u.Scheme != "https":
		p.add(key, "%q is not https; nothing is sent in the clear", s)
	case u.RawQuery != "" || u.Fragment != "" || !path && strings.Trim(u.Path, "/") != "":
		p.add(key, "%q has more than scheme, host and port; take the rest out", s)
	case !path && u.Path != "":
		p.add(key, "%q ends with a slash; take it out", s)
	}
}

// withoutFragment is a URL but for what comes after #, if that is as it may be.
func withoutFragment(s string) string {
	if u, err := url.Parse(s); err != nil || u.Fragment == "" {
		return s
	}
	s, _, _ = strings.Cut(s, "#")
	return s
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func hostname(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == ""
	}
	return len(h) <= 253 && hostForm.MatchString(h)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// reachable reports whether others can connect to an address as it stands.
func reachable(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "0" {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err != nil || !a.IsUnspecified()
}
