package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sitegate/api"
	"sitegate/client"
)

// options are the flags, and what stands in their place where none is given.
type options struct {
	config        string
	gateways      []string
	domain        string
	ca            string
	tokenFile     string
	keyring       string
	notify        string
	machineKey    string
	tpm           string
	machineName   string
	machineID     string
	clientVersion string
	lang          string
	timeout       time.Duration
	verbose       bool

	json      bool
	product   string
	version   string
	killAfter time.Duration
	wait      bool
	request   bool
	decline   bool
	anyway    bool
	until     string
	duration  time.Duration
	issuer    issuerOptions

	dir    string   // of what seat keeps; empty: there is no such place
	read   []string // settings files that were
	origin func() (string, bool)

	keyless bool // do not go by this computer's key
}

// defaults are what holds before flags and settings.
func (s *seat) defaults() options {
	return options{timeout: 15 * time.Second, dir: configDir(s.getenv), origin: s.origin}
}

// language is en, fr or de, as the locale has it.
func language(getenv func(string) string) string {
	for _, k := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(k); v != "" {
			if len(v) >= 2 && (v[:2] == "fr" || v[:2] == "de") {
				return v[:2]
			}
			break
		}
	}
	return "en"
}

// common adds the flags of all commands. What was set before stays the default.
func (o *options) common(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.gateways, "gateway", o.gateways, "`URL`s of the gateway's nodes, with commas between (SITEGATE_GATEWAY)")
	fs.StringVar(&o.domain, "domain", o.domain, "`DOMAIN` whose SRV record _sitegate._tcp names the nodes, where --gateway does not (SITEGATE_DOMAIN)")
	fs.StringVar(&o.ca, "ca", o.ca, "`FILE` with the authority the nodes' certificates come from, in PEM (SITEGATE_CA)")
	fs.StringVar(&o.config, "config", o.config, "`FILE` with settings, instead of the computer's and the user's (SITEGATE_SEAT_CONFIG)")
	fs.StringVar(&o.tokenFile, "token-file", o.tokenFile, "`FILE` with the access token, readable by you alone (SITEGATE_TOKEN_FILE)")
	fs.StringVar(&o.keyring, "keyring", o.keyring, "seal the token with a key in the system's keyring: auto, on, off (SITEGATE_KEYRING)")
	fs.StringVar(&o.notify, "notify", o.notify, "show notices on the desktop as well: auto, off (SITEGATE_NOTIFY)")
	fs.StringVar(&o.machineName, "machine-name", o.machineName, "`NAME` of this computer that others see (default the host name)")
	fs.StringVar(&o.machineID, "machine-id", o.machineID, "`ID` of this computer (default made once and kept)")
	fs.StringVar(&o.machineKey, "machine-key", o.machineKey, "where this computer's key is made: auto, tpm, file (SITEGATE_MACHINE_KEY)")
	fs.StringVar(&o.tpm, "tpm", o.tpm, "`PATH` of the TPM's device or socket (default the system's own) (SITEGATE_TPM)")
	fs.StringVar(&o.clientVersion, "client-version", o.clientVersion, "`VERSION` of the CONNECTION Client this speaks for")
	fs.StringVar(&o.lang, "lang", o.lang, "`LANGUAGE` of the sentences: en, fr, de (default the locale's)")
	fs.DurationVar(&o.timeout, "timeout", o.timeout, "how long to look for a gateway")
	fs.BoolVar(&o.verbose, "verbose", o.verbose, "say on stderr what goes on")
}

func jsonFlag(fs *pflag.FlagSet, o *options) {
	fs.BoolVar(&o.json, "json", false, "print JSON")
}

// open makes the client that the options describe.
func (s *seat) open(ctx context.Context, o *options) (*client.Client, error) {
	return s.openAs(ctx, o, s.tokens(o))
}

// openAs is open for whom the token file has signed in.
func (s *seat) openAs(ctx context.Context, o *options, tokens *tokenFile) (*client.Client, error) {
	if err := s.locate(ctx, o); err != nil {
		return nil, err
	}
	for _, g := range o.gateways {
		if u, err := url.Parse(strings.TrimSpace(g)); err == nil && u.Scheme == "http" {
			return nil, usagef("gateway %s is not https, and an access token would travel in the clear: write https://%s", plain(u.Redacted()), u.Host)
		}
	}
	if o.timeout <= 0 {
		return nil, usagef("--timeout must be more than nothing")
	}
	if o.tokenFile == "" {
		return nil, usagef("where is the access token? Give --token-file FILE, or sign in with: seat login")
	}
	cfg := client.Config{Nodes: o.gateways, Client: o.clientVersion, Lang: o.lang}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, usagef("reading --ca: %w", err)
		}
		cfg.CA = pem
	}
	switch _, err := tokens.load(ctx); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{status: exitDenied, err: err}
	case err != nil:
		return nil, usagef("%w", err)
	}
	cfg.Token = tokens.Token
	m, err := o.machine()
	if err != nil {
		return nil, usagef("%w", err)
	}
	cfg.Machine = m
	if err := s.withKey(&cfg, o); err != nil {
		return nil, keyError(err)
	}
	if o.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(s.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
}

// locate finds the gateway where nobody has said which.
func (s *seat) locate(ctx context.Context, o *options) error {
	if len(o.gateways) > 0 {
		return nil
	}
	found, err := s.discover(ctx, o)
	if err != nil {
		return &exitError{status: exitUnavailable, err: err, next: []string{"Give --gateway https://HOST:PORT, or set SITEGATE_GATEWAY; IT knows it."}}
	}
	if len(found) == 0 {
		return usagef("where is the gateway? Give --gateway https://HOST:PORT, set SITEGATE_GATEWAY, or have IT name it in %s", s.settingsPlace(o))
	}
	o.gateways = found
	return nil
}

// settingsPlace is the file that IT would write.
func (s *seat) settingsPlace(o *options) string {
	files, _ := s.settingsFiles(o)
	if len(files) == 0 {
		return "seat.yaml"
	}
	return files[0]
}

// ask opens a client for one question, within the time the options allow.
func (s *seat) ask(ctx context.Context, o *options, question func(context.Context, *client.Client) error) error {
	c, err := s.open(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err = question(ctx, c)
	s.sayByKey(c, new(bool), func(text string) { s.sayf("%s", text) })
	return err
}

// machine is this computer; on a server for many users the one that the user comes
// from (KB0019679), with the id that seat would have there under the same home.
func (o *options) machine() (api.Machine, error) {
	m := api.Machine{ID: o.machineID, Name: o.machineName}
	if m.Name != "" && m.ID != "" {
		return m, nil
	}
	var host string
	if o.origin != nil {
		host, _ = o.origin()
	}
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil {
			return m, err
		}
	}
	if m.Name == "" {
		m.Name = host
	}
	var err error
	if m.ID == "" {
		m.ID, err = o.keptID(host)
	}
	return m, err
}
