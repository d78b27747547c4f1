package egress

import (
	"path/filepath"
	"testing"

	"sitegate/upstream/egress"
)

const (
	realm     = "CORP.EXAMPLE"
	principal = plain + "@" + realm
	kdcAt     = proxyIP + ":88"
)

// directory is a KDC among the proxies, with the gateway and a proxy in it.
type directory struct {
	krb5   string   // its configuration, for everybody
	keytab string   // the gateway's
	proxys string   // the proxy's keytab
	env    []string // of MIT's programs
}

// directory starts a KDC, with more in its environment.
func (w *world) directory(t *testing.T, more ...string) directory {
	t.Helper()
	d := directory{keytab: filepath.Join(w.dir, "gateway.keytab"), proxys: filepath.Join(w.dir, "http.keytab")}
	d.krb5 = w.write(t, "krb5.conf", 0o644, `[libdefaults]
	default_realm = `+realm+`
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
[realms]
	`+realm+` = {
		kdc = `+kdcAt+`
	}
[domain_realm]
	.corp.example = `+realm+`
`)
	kdc := w.write(t, "kdc.conf", 0o644, `[kdcdefaults]
	kdc_listen = `+kdcAt+`
	kdc_tcp_listen = `+kdcAt+`
[realms]
	`+realm+` = {
		database_name = `+w.dir+`/principal
		key_stash_file = `+w.dir+`/stash
		acl_file = `+w.dir+`/kadm5.acl
		max_life = 10h
	}
`)
	d.env = []string{"KRB5_CONFIG=" + d.krb5, "KRB5_KDC_PROFILE=" + kdc}
	tool := func(args ...string) { run(t, "env", append(append([]string{}, d.env...), args...)...) }
	tool("kdb5_util", "create", "-s", "-r", realm, "-P", "the database's own")
	for _, q := range []string{"addprinc -pw some-password " + principal, "addprinc -randkey HTTP/" + proxyHost, "addprinc -randkey HTTP/other.corp.example",
		"ktadd -norandkey -k " + d.keytab + " " + principal, "ktadd -k " + d.proxys + " HTTP/" + proxyHost} {
		tool("kadmin.local", "-r", realm, "-q", q)
	}
	run(t, "chown", "proxy", d.proxys)
	w.start(t, w.proxy, kdcAt, append(more, d.env...), "krb5kdc", "-n", "-r", realm)
	return d
}

func (w *world) squidWithKerberos(t *testing.T, d directory, more ...string) {
	t.Helper()
	lines := append([]string{"auth_param negotiate program /usr/bin/env KRB5_CONFIG=" + d.krb5 + " KRB5RCACHENAME=dfl:" + filepath.Join(w.dir, "squid", "rcache") +
		" /usr/lib/squid/negotiate_kerberos_auth -k " + d.proxys + " -s HTTP/" + proxyHost + "@" + realm, "auth_param negotiate children 2"}, more...)
	w.squid(t, nil, append(lines, withPassword...)...)
}

func TestWithKerberos(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "krb5kdc", "kadmin.local", "kdb5_util", "ss")
	d := w.directory(t)
	w.squidWithKerberos(t, d)
	proxy := func(k egress.Kerberos) egress.Config {
		k.ConfigFile = d.krb5
		return one(egress.Proxy{Address: proxyHost + ":3128", Kerberos: &k})
	}
	t.Run("by a keytab", func(t *testing.T) { w.reaches(t, proxy(egress.Kerberos{Principal: principal, KeytabFile: d.keytab})) })
	t.Run("by a password", func(t *testing.T) {
		c := proxy(egress.Kerberos{Principal: principal})
		c.Proxies[0].PasswordFile = w.write(t, "kerberos.password", 0o600, "some-password\n")
		w.reaches(t, c)
	})
	t.Run("by a credential cache", func(t *testing.T) {
		cache := filepath.Join(w.dir, "cache")
		w.in(t, w.node, append(append([]string{"env"}, d.env...), "kinit", "-k", "-t", d.keytab, "-c", "FILE:"+cache, principal)...)
		w.reaches(t, proxy(egress.Kerberos{CacheFile: cache}))
	})
	t.Run("to a proxy that is not known by its name", func(t *testing.T) {
		w.fails(t, proxy(egress.Kerberos{Principal: principal, KeytabFile: d.keytab, SPN: "HTTP/nobody.corp.example"}), egress.KerberosSPN)
	})
	t.Run("by the wrong password", func(t *testing.T) {
		c := proxy(egress.Kerberos{Principal: principal})
		c.Proxies[0].PasswordFile = w.write(t, "kerberos.wrong", 0o600, "another\n")
		w.fails(t, c, egress.ProxyAuthRejected)
	})
}

func TestBrokenKerberosFallsBackToBasic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "krb5kdc", "kadmin.local", "kdb5_util", "openssl", "ss")
	d := w.directory(t)
	w.squidWithKerberos(t, d, w.basicHelper(t)...)
	p := w.byPassword(t, user)
	// The ticket is for another service: the proxy does not take it.
	p.Kerberos = &egress.Kerberos{Principal: principal, KeytabFile: d.keytab, ConfigFile: d.krb5, SPN: "HTTP/other.corp.example"}
	w.reaches(t, one(p))
}
