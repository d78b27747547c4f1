package doctor

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"sitegate/upstream/egress"
)

// redactor takes out of texts what is secret or personal.
type redactor struct {
	secrets *strings.Replacer
	urls    *regexp.Regexp // addresses that are credentials themselves, at their hosts; nil: none
	users   *regexp.Regexp // accounts of the configuration; nil: none
	places  *regexp.Regexp // its paths, and what is below them; nil: none
}

var (
	mailLike   = regexp.MustCompile(`[\p{L}\p{N}._%+-]+@[\p{L}\p{N}.-]+`)
	domainLike = regexp.MustCompile(`[\p{L}\p{N}_.-]+\\[\p{L}\p{N}_.$-]+`) // CORP\somebody
	// Within an entry of a list, as settings are shown.
	fileEntry    = regexp.MustCompile(`\b([a-z_]*file)=(\S+)`)
	accountEntry = regexp.MustCompile(`\b(username|principal)=(\S+)`)

	pathLike = regexp.MustCompile(`(?:[A-Za-z]:)?[/\\](?:[\p{L}\p{N} ._-]+[/\\])+[\p{L}\p{N}._-]+`)
)

// redactorOf knows the secrets, accounts and paths of a configuration.
func redactorOf(c Config) *redactor {
	var secrets, users, places, hosts []string
	secret := func(file string) {
		if file == "" {
			return
		}
		if s, err := egress.ReadSecret(file); err == nil && len(s) >= 3 { // a shorter one is in every text
			secrets = append(secrets, s)
		}
	}
	address := func(text string) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return
		}
		hosts = append(hosts, regexp.QuoteMeta(u.Host))
		for _, s := range []string{u.RequestURI(), u.Path} { // as where a host sends on to another one
			if len(s) >= leastToken {
				secrets = append(secrets, s)
			}
		}
	}
	user := func(name string) {
		if name == "" {
			return
		}
		_, short, domain := strings.Cut(name, `\`)
		if !domain {
			short = name
		}
		short, _, _ = strings.Cut(short, "@")
		for _, n := range []string{name, short} {
			if len(n) >= 2 {
				users = append(users, regexp.QuoteMeta(n))
			}
		}
	}
	if c.Settings.Cloud != nil {
		secret(c.Settings.Cloud.SecretFile)
	}
	if a := c.Settings.Administrators; a != nil {
		secret(a.ClientSecretFile)
	}
	secret(c.Settings.Privacy.KeyFile)
	if a := c.Settings.Alerts; a != nil {
		if a.Mail != nil {
			secret(a.Mail.PasswordFile)
			user(a.Mail.Username)
		}
		for _, w := range a.Webhooks {
			secret(w.SecretFile)
			address(w.URL)
		}
	}
	if p := c.Settings.Egress.PAC; p != nil {
		address(p.URL)
	}
	if cn := c.Settings.Connect; cn != nil && cn.PAC != nil {
		address(cn.PAC.URL)
	}
	for _, p := range c.Way.Proxies {
		secret(p.PasswordFile)
		user(p.Username)
		if p.Kerberos != nil {
			user(p.Kerberos.Principal)
		}
	}
	place := func(path string) {
		if len(path) > 3 {
			places = append(places, regexp.QuoteMeta(path))
		}
	}
	for _, s := range c.Settings.Settings(c.Origins) {
		if isPath(s.Key) {
			place(s.Value)
		}
		for _, m := range fileEntry.FindAllStringSubmatch(s.Value, -1) {
			place(m[2])
		}
	}
	place(c.File)
	if home, err := os.UserHomeDir(); err == nil {
		place(home)
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may begin with another
	var masked []string
	for _, s := range secrets {
		masked = append(masked, s, "(secret)")
	}
	r := &redactor{secrets: strings.NewReplacer(masked...)}
	if len(hosts) > 0 {
		r.urls = regexp.MustCompile(`(?i)(https?://)(?:[^\s"'/@]*@)?(` + strings.Join(hosts, "|") + `)[/?#][^\s"'<>]*`)
	}
	if len(users) > 0 {
		r.users = regexp.MustCompile(`(?i)\b(?:` + strings.Join(users, "|") + `)\b`)
	}
	if len(places) > 0 {
		slices.SortFunc(places, func(a, b string) int { return len(b) - len(a) })
		r.places = regexp.MustCompile(`(?:` + strings.Join(places, "|") + `)[^\s'":;,]*`)
	}
	return r
}

// leastToken is how long the path of an address is at least that is looked for without its
// host: a shorter one is no token, and may be part of another path.
const leastToken = 16

// withoutSecrets is s without secrets. Of an address that is a credential, as a chat's
// webhook, its host is left.
func (cl *redactor) withoutSecrets(s string) string {
	if cl.urls != nil {
		s = cl.urls.ReplaceAllString(s, "$1$2/…")
	}
	return cl.secrets.Replace(s)
}

// text is s without what is secret or personal.
func (cl *redactor) text(s string) string {
	s = cl.withoutSecrets(s)
	if cl.places != nil {
		s = cl.places.ReplaceAllString(s, "(file)")
	}
	return maskPaths(cl.withoutAccounts(s))
}

// withoutAccounts is s without e-mail addresses and accounts.
func (cl *redactor) withoutAccounts(s string) string {
	s = mailLike.ReplaceAllString(s, "(account)")
	s = domainLike.ReplaceAllString(s, "(account)")
	if cl.users != nil {
		s = cl.users.ReplaceAllString(s, "(account)")
	}
	return s
}

// maskPaths takes out paths, and leaves addresses of the network.
func maskPaths(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		if !strings.Contains(w, "://") {
			words[i] = pathLike.ReplaceAllString(w, "(file)")
		}
	}
	return strings.Join(words, " ")
}

// value is a setting's, where it may be known.
func (cl *redactor) value(key, value string) string {
	switch name := key[strings.LastIndexByte(key, '.')+1:]; {
	case value == "":
		return ""
	case isPath(key):
		return "(file)"
	case name == "username" || name == "principal" || name == "ultimate_id":
		return "(set)"
	}
	value = accountEntry.ReplaceAllString(fileEntry.ReplaceAllString(value, "$1=(file)"), "$1=(set)")
	return cl.text(value)
}

// isPath says whether a setting is a place on this machine.
func isPath(key string) bool {
	name := key[strings.LastIndexByte(key, '.')+1:]
	return strings.HasSuffix(name, "_file") || name == "file" || name == "folder" || name == "data_dir"
}
