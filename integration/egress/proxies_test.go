package egress

import (
	"crypto/md5" // what Digest is made of
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/integration"
	"sitegate/upstream/egress"
)

// Who the gateway is to the proxies, as awkward as directories make them; squid loses a
// backslash in the name where the scheme is Digest.
const (
	user     = `CORP\svc-lic`
	plain    = "svc-lic"
	password = `p@ss: "wörd"%\`
	squidAt  = proxyIP + ":3128"
)

// squid starts squid with these lines about who may use it.
func (w *world) squid(t *testing.T, env []string, lines ...string) *integration.Process {
	t.Helper()
	home := filepath.Join(w.dir, "squid")
	run(t, "install", "-d", "-o", "proxy", home)
	conf := append([]string{"http_port " + squidAt, "visible_hostname " + proxyHost, "hosts_file /etc/hosts", "pid_filename " + home + "/squid.pid",
		"cache_log " + home + "/cache.log", "access_log stdio:" + home + "/access.log", "cache deny all", "coredump_dir " + home, "shutdown_lifetime 0 seconds",
		"acl CONNECT method CONNECT", "acl safe port 443", "http_access deny !CONNECT", "http_access deny !safe"}, lines...)
	file := w.write(t, "squid.conf", 0o644, strings.Join(conf, "\n")+"\n")
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"access.log", "cache.log"} {
				b, err := os.ReadFile(filepath.Join(home, name))
				t.Logf("squid's %s (%v):\n%s", name, err, b)
			}
		}
	})
	return w.start(t, w.proxy, squidAt, env, "squid", "-N", "-n", strings.TrimRight(w.proxy, "p"), "-f", file)
}

// withPassword lets in who has one.
var withPassword = []string{"acl known proxy_auth REQUIRED", "http_access allow known", "http_access deny all"}

// basicHelper has squid know the password by Basic.
func (w *world) basicHelper(t *testing.T) []string {
	hash := strings.TrimSpace(run(t, "openssl", "passwd", "-1", "-salt", "sitegate", password))
	file := w.write(t, "passwords", 0o644, user+":"+hash+"\n"+plain+":"+hash+"\n")
	return []string{"auth_param basic casesensitive on", "auth_param basic program /usr/lib/squid/basic_ncsa_auth " + file, "auth_param basic children 2", "auth_param basic realm corp", "auth_param basic utf8 off"}
}

func (w *world) digestHelper(t *testing.T) []string {
	sum := md5.Sum([]byte(plain + ":corp:" + password))
	file := w.write(t, "digests", 0o644, fmt.Sprintf("%s:corp:%x\n", plain, sum))
	return []string{"auth_param digest program /usr/lib/squid/digest_file_auth -c " + file, "auth_param digest children 2", "auth_param digest realm corp"}
}

// byPassword is squid with a user name and the password.
func (w *world) byPassword(t *testing.T, name string, schemes ...egress.Scheme) egress.Proxy {
	t.Helper()
	return egress.Proxy{Address: proxyHost + ":3128", Username: name, PasswordFile: w.write(t, "proxy.password", 0o600, password+"\n"), Auth: schemes}
}

func one(p egress.Proxy) egress.Config { return egress.Config{Proxies: []egress.Proxy{p}} }
