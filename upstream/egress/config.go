package egress

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Config is the way out. One of Proxies, PAC and Direct is needed; the simplest are one proxy, and Direct.
type Config struct {
	Proxies []Proxy
	Routes  []Route // for some destinations; the most specific one counts
	PAC     *PAC
	// Direct connects without a proxy wherever no route says otherwise. It goes with neither Proxies nor PAC: with those,
	// routes name what is reached directly.
	Direct bool

	// ExtraCA are certificate authorities that are trusted in addition to the system's, each for its own hosts only: an inspecting proxy's
	// root, or a private one.
	ExtraCA []ExtraCA

	StateDir string // an existing folder for the last good copy of the PAC file; empty: none is kept
	Probe    string // host:port that Run tries proxies with, best the cloud's; empty: they are tried by those who dial
	// Hosts are the host:port of all that this gateway has to reach: whoever is asked to let one of them through is asked for the others, too. Nil: only for that one.
	Hosts  []string
	Logger *slog.Logger // nil discards

	DialTimeout    time.Duration // one TCP connection; zero is 10 s
	ConnectTimeout time.Duration // one candidate, from TCP to tunnel, credentials included; zero is 20 s
	TLSTimeout     time.Duration // the TLS handshake with the destination, or with a proxy; zero is 10 s
}

// Kind is how a proxy is spoken to.
type Kind string

// Kinds of proxies. The zero Kind is HTTP.
const (
	HTTP   Kind = "http"   // CONNECT in the clear
	HTTPS  Kind = "https"  // CONNECT within TLS
	SOCKS5 Kind = "socks5" // RFC 1928, with the user name and password of RFC 1929
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{HTTP, HTTPS, SOCKS5} }

// Scheme is a way to show a proxy who one is.
type Scheme string

// Schemes.
const (
	Negotiate Scheme = "negotiate" // Kerberos, in SPNEGO
	NTLM      Scheme = "ntlm"      // NTLMv2; only where it is asked for
	Digest    Scheme = "digest"
	Basic     Scheme = "basic"
)

// Schemes are all of them, the strongest first.
func Schemes() []Scheme { return []Scheme{Negotiate, NTLM, Digest, Basic} }

// Proxy is a forward proxy.
type Proxy struct {
	Name    string // what routes and Status call it; empty takes Address
	Kind    Kind
	Address string // host:port

	Username     string // such as CORP\svc-lic; empty: it has no password for this proxy
	PasswordFile string // read anew for each exchange, so that a changed password needs no restart
	Realm        string // if set, Basic and Digest are answered only where the challenge has this realm
	// Auth are the schemes that may be used here. Nil: Negotiate if Kerberos is set, Digest and Basic if Username is; NTLM only if it is named.
	Auth     []Scheme
	Kerberos *Kerberos

	// Of an HTTPS proxy: CAs that are trusted for it beside the system's, the certificate shown to it, and the name in its own
	// certificate where that is not the host of Address.
	CAFile, CertFile, KeyFile string
	ServerName                string
}

// Kerberos is who the gateway is in a Kerberos realm, by exactly one of keytab, credential cache, and the proxy's PasswordFile. On Windows, none
// of them is the account that the service runs as.
type Kerberos struct {
	Principal  string // svc-lic@CORP.EXAMPLE; a credential cache has its own
	KeytabFile string
	CacheFile  string // a file cache, as kinit -c FILE: makes; somebody else renews it
	ConfigFile string // empty is /etc/krb5.conf
	SPN        string // of the proxy; empty is HTTP/ and the host of its address
}

// Route says how some hosts are reached.
type Route struct {
	Hosts []string // exact names or addresses, or .suffix for all names below
	// Via are names of proxies in the order they are tried, and these words: "direct"; "pac", alone: what the PAC file says; "deny", alone: not at all.
	Via []string
}

// Words of Route.Via that are no names of proxies.
const (
	ViaDirect = "direct"
	ViaPAC    = "pac"
	ViaDeny   = "deny"
)

// PAC is a proxy auto-configuration file, for what no route is for. Exactly one of URL and File is set.
type PAC struct {
	URL     string // http or https, fetched directly
	File    string
	Refresh time.Duration // how often it is looked at again; zero is 10 min
}

// ExtraCA is a file of PEM certificates and the exact host names it is trusted for.
type ExtraCA struct {
	File  string
	Hosts []string
}

// check is all that is wrong with a configuration, as far as that can be told without a network.
func (c Config) check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case len(c.Proxies) == 0 && c.PAC == nil && !c.Direct:
		add("no way out is configured: name a proxy (host:port) or a PAC file, or say that connections go out directly")
	case c.Direct && (len(c.Proxies) > 0 || c.PAC != nil):
		add("both a proxy and going out directly are configured: choose one, and name what else is reached directly in a route")
	}
	names := map[string]bool{}
	for _, p := range c.Proxies {
		for _, err := range p.check() {
			errs = append(errs, fmt.Errorf("the proxy %s: %w", p.name(), err))
		}
		if names[p.name()] {
			add("the proxy %s is there twice", p.name())
		}
		names[p.name()] = true
	}
	for i, r := range c.Routes {
		for _, err := range r.check(names, c.PAC != nil) {
			errs = append(errs, fmt.Errorf("route %d: %w", i+1, err))
		}
	}
	if c.PAC != nil {
		if err := c.PAC.check(); err != nil {
			errs = append(errs, fmt.Errorf("the PAC file: %w", err))
		}
	}
	if c.Probe != "" {
		if _, _, err := splitAddr(c.Probe); err != nil {
			add("what proxies are tried with: %w", err)
		}
	}
	return errors.Join(errs...)
}

func (p Proxy) name() string {
	if p.Name == "" {
		return p.Address
	}
	return p.Name
}

func (p Proxy) check() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	host, _, err := splitAddr(p.Address)
	if err != nil {
		add("its address: %w", err)
	}
	if slices.Contains([]string{ViaDirect, ViaPAC, ViaDeny}, p.Name) {
		add("its name has another meaning in routes")
	}
	if p.Kind != "" && !slices.Contains(Kinds(), p.Kind) {
		add("its kind %q is none of %v", p.Kind, Kinds())
	}
	if p.PasswordFile != "" {
		if _, err := ReadSecret(p.PasswordFile); err != nil {
			add("its password: %w", err)
		}
	}
	k := p.Kerberos
	if p.PasswordFile == "" && p.Username != "" || p.Username == "" && p.PasswordFile != "" && (k == nil || k.Principal == "") {
		add("a proxy's user name and its password file go together: set both or neither")
	}
	if strings.ContainsAny(p.Username, "\r\n\x00") {
		add("a user name has no control characters")
	}
	if strings.Contains(p.Username, ":") && slices.Contains(p.schemes(), Basic) {
		add("a user name for Basic credentials has no colon")
	}
	for _, s := range p.Auth {
		if !slices.Contains(Schemes(), s) {
			add("%q is no scheme: they are %v", s, Schemes())
		} else if s == Negotiate && k == nil {
			add("Negotiate needs Kerberos to be configured")
		} else if s != Negotiate && p.Username == "" {
			add("%s needs a user name and a password file", s)
		}
	}
	if p.Kind == SOCKS5 && (k != nil || len(p.Auth) > 0) {
		add("SOCKS5 knows a user name and a password only")
	}
	if p.Kind == SOCKS5 && len(p.Username) > 255 {
		add("a user name for SOCKS5 has at most 255 bytes")
	}
	if p.Kind != HTTPS && (p.CAFile != "" || p.CertFile != "" || p.ServerName != "") {
		add("only a proxy of kind https has certificates")
	}
	if (p.CertFile == "") != (p.KeyFile == "") {
		add("a client certificate and its key go together")
	}
	if k != nil {
		errs = append(errs, k.check(host, p.PasswordFile != "")...)
	}
	return errs
}

func (k Kerberos) check(host string, password bool) (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	sources := 0
	for _, set := range []bool{k.KeytabFile != "", k.CacheFile != "", password} {
		if set {
			sources++
		}
	}
	switch {
	case sources == 0 && runtime.GOOS != "windows":
		add("Kerberos needs a keytab, a credential cache or a password file")
	case k.KeytabFile != "" && k.CacheFile != "":
		add("Kerberos takes a keytab or a credential cache: choose one")
	}
	for _, f := range []string{k.KeytabFile, k.CacheFile} {
		if f == "" {
			continue
		}
		if _, err := readPrivate(f, maxKeys); err != nil && (f != k.CacheFile || !errors.Is(err, fs.ErrNotExist)) { // who makes the cache may come later
			errs = append(errs, err)
		}
	}
	if sources > 0 && k.CacheFile == "" {
		if user, realm, ok := strings.Cut(k.Principal, "@"); !ok || user == "" || realm == "" {
			add("the Kerberos principal %q is not of the form user@REALM", k.Principal)
		}
	}
	if k.SPN == "" && net.ParseIP(host) != nil {
		add("Kerberos knows proxies by name: its address is a number, so give its service name, such as HTTP/proxy.corp.example")
	}
	return errs
}

// schemes are what may be used here, the strongest first.
func (p Proxy) schemes() []Scheme {
	var list []Scheme
	for _, s := range Schemes() {
		switch {
		case p.Auth != nil:
			if slices.Contains(p.Auth, s) {
				list = append(list, s)
			}
		case s == Negotiate && p.Kerberos != nil, (s == Digest || s == Basic) && p.Username != "":
			list = append(list, s)
		}
	}
	return list
}

func (r Route) check(names map[string]bool, pac bool) (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(r.Hosts) == 0 {
		add("it is for no host: list exact names, or .suffix")
	}
	for _, h := range r.Hosts {
		if _, err := canonical(strings.TrimPrefix(h, ".")); err != nil {
			add("%.80q: %w", h, err)
		}
	}
	if len(r.Via) == 0 {
		add("it leads nowhere: name proxies, or direct, pac or deny")
	}
	for _, v := range r.Via {
		switch {
		case v == ViaDirect || names[v]:
		case v == ViaPAC || v == ViaDeny:
			if len(r.Via) > 1 {
				add("%s stands alone", v)
			}
			if v == ViaPAC && !pac {
				add("there is no PAC file")
			}
		default:
			add("there is no proxy %q", v)
		}
	}
	return errs
}

func (p PAC) check() error {
	switch {
	case (p.URL == "") == (p.File == ""):
		return errors.New("it is at a URL or in a file: set one of them")
	case p.File != "":
		_, err := os.Stat(p.File)
		return err
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("its URL is not of the form http://host/path")
	}
	if u.User != nil {
		return errors.New("its URL has credentials in it; take them out")
	}
	return nil
}
