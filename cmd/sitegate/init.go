package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/configs"
	"sitegate/upstream/egress"
)

const nodeInitHelp = `
Usage: sitegate init [--config FILE] [--force] [FLAGS]

Writes the configuration of a node, with a comment for every setting, and next to it the
files with the secrets that it names, for this user's eyes only. At a terminal it asks a
few questions; with any other flag than --config and --force it asks nothing, and takes
the rest as it is by default. What cannot work is said at once, and nothing is written
then. What is there already is only replaced with --force.

For a cluster of three or five nodes see sitegate cluster init; a node can join others later.

Examples:
  sitegate init --config site/sitegate.yaml
  sitegate init --config site/sitegate.yaml --address gw1.example.com:8443 --direct \
    --cloud-url https://entitlements.example.com --site-id site-4711 --cloud-secret letter.secret \
    --issuer https://sign-in.example.com
`

// defaultAudience is what access tokens for a gateway are made out to, where nobody says
// anything else.
const defaultAudience = "site-gateway"

// nodeAnswers is what init is told, by flags or by answers.
type nodeAnswers struct {
	Node, Address, DataDir        string
	CloudURL, SiteID, CloudSecret string // CloudSecret is a file
	Issuer, Audience              string
	Proxy, ProxyUser              string
	ProxyPassword                 string // a file
	PAC                           string
	Direct                        bool
	ExtraCA                       string // a file

	secrets map[string]string // that were typed, by the name of their file
}

func (a *nodeAnswers) add(f *pflag.FlagSet) {
	f.StringVar(&a.Node, "node", "", "name of this node (default: that of this machine)")
	f.StringVar(&a.Address, "address", "127.0.0.1:8443", "host:port by which desktops reach it")
	f.StringVar(&a.DataDir, "data-dir", "", "folder of what it keeps (default: data, next to the configuration; /var/lib/sitegate for one in /etc)")
	f.StringVar(&a.CloudURL, "cloud-url", "", "the vendor's cloud, as in the vendor's letter")
	f.StringVar(&a.SiteID, "site-id", "", "this site's id there")
	f.StringVar(&a.CloudSecret, "cloud-secret", "", "file with this site's secret there, which is copied")
	f.BoolVar(&a.Direct, "direct", false, "the way out is without a proxy")
	f.StringVar(&a.Proxy, "proxy", "", "host:port of the forward proxy that is the way out")
	f.StringVar(&a.ProxyUser, "proxy-user", "", "user name for the proxy")
	f.StringVar(&a.ProxyPassword, "proxy-password", "", "file with the password for the proxy, which is copied")
	f.StringVar(&a.PAC, "pac", "", "URL of the PAC file that says the way out")
	f.StringVar(&a.ExtraCA, "extra-ca", "", "PEM file of a CA to trust for the cloud and the issuer, and for nothing else, which is copied")
	f.StringVar(&a.Issuer, "issuer", "", "who vouches for users: an OpenID Connect issuer")
	f.StringVar(&a.Audience, "audience", defaultAudience, "what its access tokens must be made out to")
}

func initNode(ctx context.Context, p *program, args []string) error {
	f := p.flags("init", nodeInitHelp)
	f.String("config", cmp.Or(p.getenv("SITEGATE_CONFIG"), defaultConfig), "the file to write; the environment's SITEGATE_CONFIG sets it, too")
	force := f.Bool("force", false, "replace what is there")
	var a nodeAnswers
	a.add(f)
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	file, _ := f.GetString("config")
	file = filepath.Clean(file)
	a.defaults(file)
	if _, err := os.Lstat(file); err == nil && !*force {
		return usagef("init: %s is there already, and is not replaced without --force", file)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for %s: %w", file, err)
	}
	told := false
	f.Visit(func(g *pflag.Flag) { told = told || g.Name != "config" && g.Name != "force" })
	if !told {
		t := p.terminal()
		if t == nil {
			return usagef("init: there is no terminal to ask questions at: say it all with flags; see sitegate init --help")
		}
		for _, name := range []string{fileCloudSecret, fileProxyPassword} { // before the answers would be lost
			if there := filepath.Join(filepath.Dir(file), name); exists(there) && !*force {
				return usagef("init: %s is there already, and is not replaced without --force: put it elsewhere, or say it all with flags, which can name it", there)
			}
		}
		if err := a.ask(ctx, t); err != nil {
			return err
		}
	}
	if err := a.check(); err != nil {
		return err
	}
	written, err := a.write(file, *force)
	if err != nil {
		return err
	}
	for _, w := range written {
		fmt.Fprintf(p.stdout, "written: %s\n", w)
	}
	if a.CloudURL == "" {
		fmt.Fprintln(p.stdout, "\nNo cloud is set: nothing is mirrored, and nobody can be granted anything, until it is (cloud).")
	}
	fmt.Fprintf(p.stdout, "\nNext, as the user that the node is to run as, whom these files belong to:\n  sitegate check --config %[1]s\n  sitegate doctor --config %[1]s\n  sitegate serve --config %[1]s\n", file)
	return nil
}

// defaults fills in what depends on this machine, and on where the file is.
func (a *nodeAnswers) defaults(file string) {
	if a.Node == "" {
		a.Node = "node1"
		if name, err := os.Hostname(); err == nil {
			if name, _, _ = strings.Cut(name, "."); configs.ValidName(name) {
				a.Node = name
			}
		}
	}
	if a.DataDir == "" {
		a.DataDir = "data"
		if strings.HasPrefix(file, "/etc/") {
			a.DataDir = configs.Default().DataDir
		}
	}
}

// check finds what is missing, or does not go together. The rest the configuration's own
// checks find.
func (a *nodeAnswers) check() error {
	ways := 0
	for _, set := range []bool{a.Direct, a.Proxy != "", a.PAC != ""} {
		if set {
			ways++
		}
	}
	given := func(names ...string) (some, all bool) {
		n := 0
		for _, s := range names {
			n += min(len(s), 1)
		}
		return n > 0, n == len(names)
	}
	someCloud, allCloud := given(a.CloudURL, a.SiteID, a.CloudSecret+a.secrets[fileCloudSecret])
	someUser, allUser := given(a.ProxyUser, a.ProxyPassword+a.secrets[fileProxyPassword])
	switch {
	case ways == 0:
		return usagef("init: say the way out: --direct, --proxy host:port or --pac URL")
	case a.Direct && ways > 1:
		return usagef("init: --direct contradicts --proxy and --pac")
	case someCloud && !allCloud:
		return usagef("init: --cloud-url, --site-id and --cloud-secret go together")
	case someUser && !allUser:
		return usagef("init: --proxy-user and --proxy-password go together")
	case someUser && a.Proxy == "":
		return usagef("init: --proxy-user needs --proxy")
	case a.Issuer == "":
		return usagef("init: --issuer is missing: without an issuer nobody can sign in")
	}
	return nil
}

// The names of the files next to the configuration.
const (
	fileCloudSecret   = "cloud.secret"
	fileProxyPassword = "proxy.password"
	fileExtraCA       = "extra-ca.pem"
)

// values are what the configuration says beyond the defaults.
func (a *nodeAnswers) values() []configs.Value {
	list := []configs.Value{{Key: "node", Text: a.Node}, {Key: "data_dir", Text: a.DataDir}}
	add := func(key, text string) { list = append(list, configs.Value{Key: key, Text: text}) }
	add("api.listen", listenOn(a.Address))
	add("api.url", "https://"+a.Address)
	if a.CloudURL != "" {
		add("cloud.url", a.CloudURL)
		add("cloud.site_id", a.SiteID)
		add("cloud.secret_file", fileCloudSecret)
	}
	if a.Direct {
		list = append(list, configs.Value{Key: "egress.direct", Text: "true", Raw: true})
	}
	if a.Proxy != "" {
		add("egress.proxy.address", a.Proxy)
	}
	if a.ProxyUser != "" {
		add("egress.proxy.username", a.ProxyUser)
		add("egress.proxy.password_file", fileProxyPassword)
	}
	if a.PAC != "" {
		add("egress.pac.url", a.PAC)
	}
	if a.ExtraCA != "" {
		list = append(list, configs.Value{Key: "egress.extra_ca", Text: a.extraCA(), Raw: true})
	}
	add("sign_in.issuer", a.Issuer)
	add("sign_in.audience", a.Audience)
	return list
}

// extraCA is the CA with the hosts of the cloud and the issuer.
func (a *nodeAnswers) extraCA() string {
	var hosts []string
	for _, s := range []string{a.CloudURL, a.Issuer} {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" && !slices.Contains(hosts, u.Hostname()) {
			hosts = append(hosts, u.Hostname())
		}
	}
	list, _ := json.Marshal(hosts) // strings can be
	return fmt.Sprintf("[{file: %s, hosts: %s}]", fileExtraCA, list)
}

// files are what is to be written, by name.
func (a *nodeAnswers) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, secret := range a.secrets {
		files[name] = []byte(secret + "\n")
	}
	for name, from := range map[string]string{fileCloudSecret: a.CloudSecret, fileProxyPassword: a.ProxyPassword} {
		if from == "" {
			continue
		}
		secret, err := egress.ReadSecret(from)
		if err != nil {
			return nil, usagef("init: reading a secret: %w", err)
		}
		files[name] = []byte(secret + "\n")
	}
	if a.ExtraCA != "" {
		pem, err := os.ReadFile(a.ExtraCA)
		if err != nil {
			return nil, usagef("init: reading the CA for the cloud: %w", err)
		}
		files[fileExtraCA] = pem
	}
	return files, nil
}

// write writes the configuration and its files, and returns their names. They are tried in
// a folder of their own first: what cannot work leaves nothing. The configuration comes
// last, so that one that is there has its files.
func (a *nodeAnswers) write(file string, force bool) ([]string, error) {
	text, err := configs.Write(a.values())
	if err != nil {
		return nil, usagef("init: %w", err)
	}
	files, err := a.files()
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(file)
	names := make([]string, 0, len(files)+1)
	for name := range files {
		if exists(filepath.Join(dir, name)) && !force && !sameFile(filepath.Join(dir, name), a.CloudSecret, a.ProxyPassword, a.ExtraCA) {
			return nil, usagef("init: %s is there already, and is not replaced without --force", filepath.Join(dir, name))
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = append(names, filepath.Base(file))
	files[filepath.Base(file)] = []byte(text)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a folder for the configuration: %w", err)
	}
	work, err := os.MkdirTemp(dir, ".sitegate-init-")
	if err != nil {
		return nil, fmt.Errorf("making a folder to try the configuration in: %w", err)
	}
	defer os.RemoveAll(work)
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(work, name), data, 0o600); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	c, _, err := configs.Load(filepath.Join(work, filepath.Base(file)), func(string) string { return "" }, nil)
	if err == nil {
		if !filepath.IsAbs(a.DataDir) {
			c.DataDir = filepath.Join(dir, a.DataDir)
		}
		err = c.CheckFiles()
	}
	if err != nil {
		return nil, usagef("init: this would not work, and nothing was written:\n%s", strings.ReplaceAll(err.Error(), work+string(filepath.Separator), ""))
	}
	written := make([]string, len(names))
	for i, name := range names {
		written[i] = filepath.Join(dir, name)
		if err := os.Rename(filepath.Join(work, name), written[i]); err != nil {
			return nil, fmt.Errorf("naming %s: %w", written[i], err)
		}
	}
	return written, nil
}

// exists reports whether there is something of that name.
func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// sameFile reports whether a file is one of others.
func sameFile(file string, others ...string) bool {
	about, err := os.Stat(file)
	return err == nil && slices.ContainsFunc(others, func(o string) bool {
		other, err := os.Stat(o)
		return o != "" && err == nil && os.SameFile(about, other)
	})
}
