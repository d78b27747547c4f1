package egress

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitegate/upstream/egress"
)

func TestThroughSquid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lines   func(w *world, t *testing.T) []string
		user    string
		schemes []egress.Scheme
	}{
		"by Basic":  {func(w *world, t *testing.T) []string { return w.basicHelper(t) }, user, nil},
		"by Digest": {func(w *world, t *testing.T) []string { return w.digestHelper(t) }, plain, nil},
		"by the stronger of two": {func(w *world, t *testing.T) []string {
			return append(w.digestHelper(t), w.basicHelper(t)...)
		}, plain, nil},
		"by NTLM": {func(*world, *testing.T) []string {
			return []string{"auth_param ntlm program /usr/lib/squid/ntlm_fake_auth", "auth_param ntlm children 2"}
		}, user, []egress.Scheme{egress.NTLM}},
		"by Basic, where Negotiate is offered and broken": {func(w *world, t *testing.T) []string {
			return append([]string{"auth_param negotiate program /usr/lib/squid/negotiate_kerberos_auth -k /nowhere", "auth_param negotiate children 2"}, w.basicHelper(t)...)
		}, user, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "squid", "openssl", "ss")
			w.squid(t, nil, append(c.lines(w, t), withPassword...)...)
			w.reaches(t, one(w.byPassword(t, c.user, c.schemes...)))
		})
	}
}

func TestSquidSaysNo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "squid", "openssl", "ss")
	w.squid(t, nil, append(w.basicHelper(t), "acl login dstdomain "+loginHost, "acl known proxy_auth REQUIRED", "http_access deny known login", "http_access allow known", "http_access deny all")...)
	t.Run("by its policy", func(t *testing.T) { w.fails(t, one(w.byPassword(t, user)), egress.ProxyDenied) })
	t.Run("without credentials", func(t *testing.T) {
		w.fails(t, one(egress.Proxy{Address: proxyHost + ":3128"}), egress.ProxyAuthRequired)
	})
	t.Run("to a wrong password, which is sent twice and no more", func(t *testing.T) {
		p := w.byPassword(t, user)
		p.PasswordFile = w.write(t, "wrong.password", 0o600, "no, it is not\n")
		w.fails(t, one(p), egress.ProxyAuthRejected, egress.ProxyAuthRejected, egress.ProxyAuthRejected, egress.ProxyAuthRejected)
		log, err := os.ReadFile(filepath.Join(w.dir, "squid", "access.log"))
		if err != nil {
			t.Fatal(err)
		}
		if sent := strings.Count(string(log), strings.ToLower(`corp\svc-lic`)) + strings.Count(string(log), `CORP%5Csvc-lic`); sent > 3 { // one of them by its policy
			t.Errorf("the password was sent more than twice:\n%s", log)
		}
	})
	t.Run("there is no way around it", func(t *testing.T) {
		for _, r := range w.ask(t, 1, egress.Config{Direct: true}) {
			if r.Status != 0 || r.Code == "" {
				t.Errorf("directly: %+v, want an error with a code", r)
			}
		}
	})
}
