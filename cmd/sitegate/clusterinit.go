package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"sitegate/configs"
	"sitegate/siteca"
	"sitegate/upstream/egress"
)

const initHelp = `
Usage: sitegate cluster init DIR NAME=HOST:PORT[,api=HOST:PORT][,connect=HOST:PORT]...

Writes everything that one, three or five nodes need to form a cluster into DIR:
a site CA in DIR/ca, and for each node a folder DIR/NAME with its configuration,
certificate and keys, to be copied to its machine as it is. HOST:PORT is where the
other nodes reach it; api is where clients do (default: port 8443 of the same
host); connect opens a door for sign-in pages there. DIR must not exist yet, or be
empty.

Files that are named here are copied into the nodes' folders. What is left out of
cloud, sign-in and the way out is to be filled in by hand before a node starts.

Example:
  sitegate cluster init site \
    gw1=10.20.0.1:7443,connect=10.20.0.1:3128 \
    gw2=10.20.0.2:7443,connect=10.20.0.2:3128 \
    gw3=10.20.0.3:7443,connect=10.20.0.3:3128 \
    --cloud-url https://entitlements.example.com --site-id site-4711 --cloud-secret cloud.secret \
    --issuer https://sign-in.example.com --audience site-gateway --desktops 10.20.0.0/16 \
    --proxy proxy.example.com:8080 --proxy-user svc-sitegate --proxy-password proxy.password
`

// initOptions are the flags of cluster init.
type initOptions struct {
	ID, Tempo                           string
	CloudURL, SiteID, CloudSecret       string
	Issuer, Audience                    string
	Proxy, ProxyUser, ProxyPasswordFile string
	Direct                              bool
	ExtraCA                             string
	Desktops                            []string
}

func (o *initOptions) add(f *pflag.FlagSet) {
	f.StringVar(&o.ID, "id", "", "the cluster's id (default: a random one)")
	f.StringVar(&o.Tempo, "tempo", "vm", "how soon a silent node is given up: lan, vm or wan")
	f.StringVar(&o.CloudURL, "cloud-url", "", "the vendor's cloud")
	f.StringVar(&o.SiteID, "site-id", "", "this site's id there")
	f.StringVar(&o.CloudSecret, "cloud-secret", "", "file with this site's secret there")
	f.StringVar(&o.Issuer, "issuer", "", "who vouches for users: an OpenID Connect issuer")
	f.StringVar(&o.Audience, "audience", "", "what its access tokens must be made out to")
	f.StringVar(&o.Proxy, "proxy", "", "host:port of the forward proxy that is the way out")
	f.StringVar(&o.ProxyUser, "proxy-user", "", "user name for the proxy")
	f.StringVar(&o.ProxyPasswordFile, "proxy-password", "", "file with the password for the proxy")
	f.BoolVar(&o.Direct, "direct", false, "the way out is without a proxy")
	f.StringVar(&o.ExtraCA, "extra-ca", "", "PEM file of a CA to trust for the cloud and the issuer, and for nothing else")
	f.StringSliceVar(&o.Desktops, "desktops", nil, "networks that may use the connect doors")
}

func clusterInit(_ context.Context, p *program, args []string) error {
	f := p.flags("cluster init", initHelp)
	var o initOptions
	o.add(f)
	rest, err := p.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) < 2 {
		return usagef("cluster init: name a folder and the nodes; see sitegate cluster init --help")
	}
	dir := filepath.Clean(rest[0])
	if o.ID == "" {
		o.ID = uuid.NewString()
	}
	plan, err := o.plan(rest[1:])
	if err != nil {
		return err
	}
	fingerprint, err := writeSite(dir, plan)
	if err != nil {
		return err
	}
	p.tellInit(dir, plan, fingerprint)
	return nil
}

// writeSite writes it all into a folder beside dir, which then takes dir's name:
// it is there as a whole or not at all.
func writeSite(dir string, plan *sitePlan) (fingerprint string, err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", usagef("cluster init: there is something in %s already, and nothing is overwritten: name another folder", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("looking into %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("making a folder for the site: %w", err)
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".sitegate-init-")
	if err != nil {
		return "", fmt.Errorf("making a folder for the site: %w", err)
	}
	defer os.RemoveAll(work)
	now := time.Now()
	ca, err := siteca.New(plan.ID, now)
	if err != nil {
		return "", err
	}
	if err := ca.Save(filepath.Join(work, "ca")); err != nil {
		return "", err
	}
	privacyKey := newPrivacyKey()
	for _, n := range plan.Nodes {
		if err := plan.writeNode(filepath.Join(work, n.Name), n, ca, privacyKey, now); err != nil {
			return "", err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("replacing the empty folder %s: %w", dir, err)
	}
	if err := os.Rename(work, dir); err != nil {
		return "", fmt.Errorf("naming the folder %s: %w", dir, err)
	}
	return ca.Fingerprint(), nil
}

func (plan *sitePlan) writeNode(dir string, n nodePlan, ca *siteca.CA, privacyKey []byte, now time.Time) error {
	cert, key, err := ca.Issue(n.Name, n.hosts(), true, now)
	if err != nil {
		return err
	}
	if err := siteca.WritePair(dir, siteca.CertFile, cert, siteca.KeyFile, key); err != nil {
		return err
	}
	text, err := plan.config(n)
	if err != nil {
		return err
	}
	caKey, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	files := map[string][]byte{siteca.CAFile: ca.CertPEM(), siteca.CAKeyFile: caKey, "sitegate.yaml": []byte(text), "privacy.key": privacyKey}
	for name, from := range map[string]string{"cloud.secret": plan.CloudSecret, "proxy.password": plan.ProxyPasswordFile} {
		if from == "" {
			continue
		}
		secret, err := egress.ReadSecret(from)
		if err != nil {
			return usagef("cluster init: reading a secret: %w", err)
		}
		files[name] = []byte(secret + "\n")
	}
	if plan.ExtraCA != "" {
		if files["extra-ca.pem"], err = os.ReadFile(plan.ExtraCA); err != nil {
			return usagef("cluster init: reading the CA for the cloud: %w", err)
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return fmt.Errorf("writing the files of %s: %w", n.Name, err)
		}
	}
	if !plan.complete() {
		return nil // its operator has to fill it in first
	}
	file := filepath.Join(dir, "sitegate.yaml")
	c, _, err := configs.Load(file, func(string) string { return "" }, nil)
	if err == nil {
		c.DataDir = "" // where it will be, nobody knows yet
		err = c.CheckFiles()
	}
	if err != nil {
		return usagef("cluster init: the configuration of %s would not work:\n%s", n.Name, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	}
	return nil
}

func (p *program) tellInit(dir string, plan *sitePlan, fingerprint string) {
	fmt.Fprintf(p.stdout, "Cluster %s, site CA %s\n\n", plan.ID, fingerprint)
	for _, n := range plan.Nodes {
		fmt.Fprintf(p.stdout, "  %s  copy to the machine of %s\n", filepath.Join(dir, n.Name), n.Peer)
	}
	fmt.Fprintf(p.stdout, "  %s  keep safe: its key can make nodes, and every node that votes holds it\n", filepath.Join(dir, "ca"))
	fmt.Fprintf(p.stdout, "  %s  give to clients: the nodes' certificates are by this CA\n\n", filepath.Join(dir, "ca", siteca.CAFile))
	file := filepath.Join(dir, plan.Nodes[0].Name, "sitegate.yaml")
	if plan.complete() {
		fmt.Fprintf(p.stdout, "Next, on each node:\n  sitegate serve --config %s\n", file)
		return
	}
	fmt.Fprintf(p.stdout, "Next, on each node: fill in what is marked in its configuration, then\n  sitegate check --config %s\n  sitegate serve --config %s\n", file, file)
}
