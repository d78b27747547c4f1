package doctor

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"sitegate/upstream/egress"
)

// redactor takes out of texts what is secret or personal.
type redactor struct {
	secrets *strings.Replacer
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
	var secrets, users, places []string
	secret := func(file string) {
		if file == "" {
			return
		}
		if s, err := egress.ReadSecret(file); err == nil && len(s) >= 3 { // a shorter one is in every text
			secrets = append(secrets, s, "(secret)")
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
		}
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
	r := &redactor{secrets: strings.NewReplacer(secrets...)}
	if len(users) > 0 {
		r.users = regexp.MustCompile(`(?i)\b(?:` + strings.Join(users, "|") + `)\b`)
	}
	if len(places) > 0 {
		slices.SortFunc(places, func(a, b string) int { return len(b) - len(a) })
		r.places = regexp.MustCompile(`(?:` + strings.Join(places, "|") + `)[^\s'":;,]*`)
	}
	return r
}

// text is s without what is secret or personal.
func (cl *redactor) text(s string) string {
	s = cl.secrets.Replace(s)
	if cl.places != nil {
		s = cl.places.ReplaceAllString(s, "(file)")
	}
	s = mailLike.ReplaceAllString(s, "(account)")
	s = domainLike.ReplaceAllString(s, "(account)")
	if cl.users != nil {
		s = cl.users.ReplaceAllString(s, "(account)")
	}
	return maskPaths(s)
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
