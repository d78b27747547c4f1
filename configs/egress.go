package configs

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"sitegate/upstream/egress"
)

// mainProxy is what routes call egress.proxy.
const mainProxy = "proxy"

// keyedProxy is a proxy with its place in the configuration.
type keyedProxy struct {
	key string
	Proxy
}

// all are the proxies in the order they are tried, each with a name.
func (e *Egress) all() []keyedProxy {
	var list []keyedProxy
	if e.Proxy != nil {
		q := keyedProxy{"egress.proxy", *e.Proxy}
		if q.Name == "" {
			q.Name = mainProxy
		}
		list = append(list, q)
	}
	for i, q := range e.Proxies {
		if q.Name == "" {
			q.Name = q.Address
		}
		list = append(list, keyedProxy{keyf("egress.proxies[%d]", i+1), q})
	}
	return list
}

// Way is the way out as the dialer takes it. The rest of an egress.Config is not the operator's to set.
func (e *Egress) Way() egress.Config {
	out := egress.Config{Direct: e.Direct}
	for _, q := range e.all() {
		p := egress.Proxy{Name: q.Name, Kind: egress.Kind(q.Kind), Address: q.Address, Username: q.Username, PasswordFile: q.PasswordFile, Realm: q.Realm,
			CAFile: q.CAFile, CertFile: q.CertFile, KeyFile: q.KeyFile, ServerName: q.ServerName}
		for _, a := range q.Auth {
			p.Auth = append(p.Auth, egress.Scheme(a))
		}
		if q.Kerberos != nil {
			k := egress.Kerberos(*q.Kerberos)
			p.Kerberos = &k
		}
		out.Proxies = append(out.Proxies, p)
	}
	if e.PAC != nil {
		p := egress.PAC(*e.PAC)
		out.PAC = &p
	}
	for _, r := range e.Routes {
		out.Routes = append(out.Routes, egress.Route(r))
	}
	for _, ca := range e.ExtraCA {
		out.ExtraCA = append(out.ExtraCA, egress.ExtraCA(ca))
	}
	return out
}

func (e *Egress) validate(p *Problems, needed bool) {
	proxies := e.all()
	switch {
	case len(proxies) > 0 && e.Direct:
		p.add("egress.direct", "and egress.proxy are both set; choose one, and name in egress.routes what else is reached directly")
	case e.PAC != nil && e.Direct:
		p.add("egress.direct", "and egress.pac are both set; choose one, and name in egress.routes what else is reached directly")
	case len(proxies) == 0 && e.PAC == nil && !e.Direct && (needed || len(e.Routes) > 0):
		p.add("egress", "says no way out, and the cloud and the issuers of sign_in need one: set egress.proxy.address, egress.pac.url, or egress.direct: true")
	}
	names := map[string]bool{}
	for _, q := range proxies {
		q.validate(p)
		if names[q.Name] {
			p.add(q.key+".name", "%s is another proxy's name, too", mask(q.Name))
		}
		names[q.Name] = true
	}
	if e.PAC != nil {
		e.PAC.validate(p, "egress.pac")
	}
	for i, r := range e.Routes {
		r.validate(p, keyf("egress.routes[%d]", i+1), names, e.PAC != nil)
	}
	for i, x := range e.ExtraCA {
		key := keyf("egress.extra_ca[%d]", i+1)
		if x.File == "" {
			p.add(key+".file", "is missing; name a file of PEM certificates")
		}
		if len(x.Hosts) == 0 {
			p.add(key+".hosts", "is empty; list the hosts it is trusted for: none is trusted for all")
		}
		for j, h := range x.Hosts {
			if !hostname(h) {
				p.add(keyf("%s.hosts[%d]", key, j+1), "%q is not a host name without port", mask(h))
			}
		}
	}
}

func (q keyedProxy) validate(p *Problems) {
	if strings.Contains(q.Address, "@") {
		p.add(q.key+".address", "has credentials in it; use %s.username and %s.password_file", q.key, q.key)
	} else {
		p.address(q.key+".address", q.Address, reach)
	}
	if slices.Contains([]string{egress.ViaDirect, egress.ViaPAC, egress.ViaDeny}, q.Name) {
		p.add(q.key+".name", "%s has another meaning in egress.routes; choose another name", q.Name)
	}
	kinds := make([]string, 0, 3)
	for _, k := range egress.Kinds() {
		kinds = append(kinds, string(k))
	}
	if q.Kind != "" {
		p.oneOf(q.key+".kind", q.Kind, kinds...)
	}
	if q.Kerberos == nil || q.Kerberos.Principal == "" || q.Username != "" {
		p.together(q.key+".username", q.Username, q.key+".password_file", q.PasswordFile)
	}
	if strings.ContainsAny(q.Username, ":\r\n\x00") {
		p.add(q.key+".username", "has a colon or a line break, which Basic credentials cannot carry; the password goes into a file of its own")
	}
	q.validateAuth(p)
	if https := q.Kind == string(egress.HTTPS); !https && (q.CAFile != "" || q.CertFile != "" || q.ServerName != "") {
		p.add(q.key+".kind", "is not https, and only such a proxy has certificates; set it, or take ca_file, cert_file and server_name out")
	}
	p.together(q.key+".cert_file", q.CertFile, q.key+".key_file", q.KeyFile)
	if q.ServerName != "" && !hostname(q.ServerName) {
		p.add(q.key+".server_name", "%q is not a host name", mask(q.ServerName))
	}
}

func (q keyedProxy) validateAuth(p *Problems) {
	schemes := make([]string, 0, 4)
	for _, s := range egress.Schemes() {
		schemes = append(schemes, string(s))
	}
	for i, a := range q.Auth {
		key := keyf("%s.auth[%d]", q.key, i+1)
		switch p.oneOf(key, a, schemes...); {
		case a == string(egress.Negotiate) && q.Kerberos == nil:
			p.add(key, "negotiate needs the section %s.kerberos", q.key)
		case a != string(egress.Negotiate) && slices.Contains(schemes, a) && q.Username == "":
			p.add(key, "%s needs %s.username and %s.password_file", a, q.key, q.key)
		}
	}
	if q.Kind == string(egress.SOCKS5) && (len(q.Auth) > 0 || q.Kerberos != nil) {
		p.add(q.key+".auth", "is not for socks5, which knows a user name and a password only")
	}
	k := q.Kerberos
	if k == nil {
		return
	}
	key := q.key + ".kerberos"
	if k.KeytabFile != "" && k.CacheFile != "" {
		p.add(key+".cache_file", "and keytab_file are both set; choose one")
	}
	if user, realm, ok := strings.Cut(k.Principal, "@"); k.Principal != "" && (!ok || user == "" || realm == "") {
		p.add(key+".principal", "%q is not of the form user@REALM", k.Principal)
	} else if k.Principal == "" && (k.KeytabFile != "" || k.CacheFile == "" && q.PasswordFile != "") {
		p.add(key+".principal", "is missing; it is of the form user@REALM, with the realm in capitals")
	}
	if k.KeytabFile == "" && k.CacheFile == "" && q.PasswordFile == "" && runtime.GOOS != "windows" {
		p.add(key+".keytab_file", "is missing; name a keytab, cache_file, or %s.password_file", q.key)
	}
	if host, _, err := net.SplitHostPort(q.Address); err == nil && net.ParseIP(host) != nil && k.SPN == "" {
		p.add(key+".spn", "is missing; Kerberos knows proxies by name, and the address is a number: HTTP/name.of.the.proxy")
	}
}

func (c *PAC) validate(p *Problems, key string) {
	switch u, err := url.Parse(c.URL); {
	case c.URL == "" && c.File == "":
		p.add(key+".url", "is missing; name the PAC file's URL, or %s.file", key)
	case c.URL != "" && c.File != "":
		p.add(key+".file", "and %s.url are both set; choose one", key)
	case c.URL == "":
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.add(key+".url", "%q is not of the form http://host/proxy.pac", mask(c.URL))
	case u.User != nil:
		p.add(key+".url", "has credentials in it; take them out")
	}
	p.duration(key+".refresh", c.Refresh, time.Minute, 24*time.Hour)
}

func (r Route) validate(p *Problems, key string, names map[string]bool, pac bool) {
	if len(r.Hosts) == 0 {
		p.add(key+".hosts", "is empty; list exact names, or .suffix for all names below it")
	}
	for i, h := range r.Hosts {
		if !hostname(strings.TrimPrefix(h, ".")) {
			p.add(keyf("%s.hosts[%d]", key, i+1), "%q is neither a host name without port nor .suffix", mask(h))
		}
	}
	if len(r.Via) == 0 {
		p.add(key+".via", "is empty; list names of proxies, or direct, pac or deny")
	}
	for i, v := range r.Via {
		at := keyf("%s.via[%d]", key, i+1)
		alone := v == egress.ViaPAC || v == egress.ViaDeny
		switch {
		case alone && len(r.Via) > 1:
			p.add(at, "%s stands alone", v)
		case v == egress.ViaPAC && !pac:
			p.add(at, "pac needs the section egress.pac")
		case alone || v == egress.ViaDirect || names[v]:
		default:
			known := []string{egress.ViaDirect, egress.ViaPAC, egress.ViaDeny}
			for n := range names {
				known = append(known, n)
			}
			slices.Sort(known)
			p.oneOf(at, v, known...)
		}
	}
}

func (e *Egress) checkFiles(p *Problems) {
	for _, q := range e.all() {
		p.secret(q.key+".password_file", q.PasswordFile)
		p.certificates(q.key+".ca_file", q.CAFile)
		p.pair(q.key+".cert_file", q.CertFile, q.KeyFile)
		private := func(name, file string, later bool) {
			if file == "" {
				return
			}
			if err := egress.CheckPrivate(file); err != nil && !(later && errors.Is(err, fs.ErrNotExist)) {
				p.add(q.key+"."+name, "%v", fileError(err))
			}
		}
		private("key_file", q.KeyFile, true) // that it is there, pair has said
		if k := q.Kerberos; k != nil {
			private("kerberos.keytab_file", k.KeytabFile, false)
			private("kerberos.cache_file", k.CacheFile, true) // who makes it may come later
			p.readable(q.key+".kerberos.config_file", k.ConfigFile)
		}
	}
	if e.PAC != nil {
		p.readable("egress.pac.file", e.PAC.File)
	}
	for i, x := range e.ExtraCA {
		p.certificates(keyf("egress.extra_ca[%d].file", i+1), x.File)
	}
}

func (p *Problems) readable(key, file string) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		p.add(key, "%v", fileError(err))
		return
	}
	_ = f.Close() // only opened to see whether it can be
}
