package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSettings is the most that a settings file may hold, in bytes.
const maxSettings = 64 << 10

// settings are a file that IT deploys, or the user's own: what would otherwise be
// flags. Each key is that of the flag, with what belongs to the sign-in apart.
type settings struct {
	Gateway       []string `yaml:"gateway"`        // URLs of the gateway's nodes
	Domain        string   `yaml:"domain"`         // whose SRV records name them
	CA            string   `yaml:"ca"`             // file with the site's authority, in PEM
	ClientVersion string   `yaml:"client_version"` // of the CONNECTION Client
	Lang          string   `yaml:"lang"`           // en, fr, de
	Keyring       string   `yaml:"keyring"`        // auto, on, off
	Notify        string   `yaml:"notify"`         // auto, off
	MachineKey    string   `yaml:"machine_key"`    // auto, tpm, file
	TPM           string   `yaml:"tpm"`            // its device or socket
	SignIn        struct {
		Issuer   string `yaml:"issuer"`
		ClientID string `yaml:"client_id"`
		Proxy    string `yaml:"proxy"` // the gateway's CONNECT door
		CA       string `yaml:"ca"`
	} `yaml:"sign_in"`
}

// settingsFiles are where settings are looked for: the computer's, then the user's,
// key by key. One that is named stands alone.
func (s *seat) settingsFiles(o *options) (files []string, must bool) {
	if named := first(o.config, s.getenv("SITEGATE_SEAT_CONFIG")); named != "" {
		return []string{named}, true
	}
	if at := s.computer; at != "" {
		files = append(files, filepath.Join(at, "seat.yaml"))
	}
	if o.dir != "" {
		files = append(files, o.keeps("seat.yaml"))
	}
	return files, false
}

// computerDir is where IT puts what is for all users of a computer.
func computerDir(getenv func(string) string) string {
	switch runtime.GOOS {
	case "windows":
		if dir := getenv("ProgramData"); dir != "" {
			return filepath.Join(dir, "sitegate")
		}
		return ""
	case "darwin":
		return "/Library/Application Support/sitegate"
	}
	return "/etc/sitegate"
}

// readSettings reads them all; the later file wins, key by key.
func (s *seat) readSettings(o *options) (settings, error) {
	var all settings
	files, must := s.settingsFiles(o)
	for _, path := range files {
		err := all.read(path)
		if errors.Is(err, fs.ErrNotExist) && !must {
			continue
		}
		if err != nil {
			return all, usagef("settings: %w", err)
		}
		o.read = append(o.read, path)
	}
	return all, nil
}

func (t *settings) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err != nil {
		return err
	}
	if len(b) > maxSettings {
		return fmt.Errorf("%s is too large for a settings file", path)
	}
	gateway, domain := t.Gateway, t.Domain
	t.Gateway, t.Domain = nil, ""
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(t); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(t.Gateway) == 0 && t.Domain == "" { // it says nothing of where the gateway is
		t.Gateway, t.Domain = gateway, domain
	}
	for key, v := range map[string]string{"keyring": t.Keyring, "notify": t.Notify} {
		switch v {
		case "", "auto", "on", "off":
		default:
			return fmt.Errorf("%s: %s is %q: write auto, on or off", path, key, v)
		}
	}
	if !keyKind(t.MachineKey) {
		return fmt.Errorf("%s: machine_key is %q: write auto, tpm or file", path, t.MachineKey)
	}
	for _, p := range []*string{&t.CA, &t.SignIn.CA} { // beside the file, if it says no more
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return nil
}

// settle fills in what no flag has said: from the environment, then from the
// settings, then what is usual.
func (s *seat) settle(o *options, flagged func(name string) bool) error {
	set, err := s.readSettings(o)
	if err != nil {
		return err
	}
	for _, x := range []struct {
		flag, env string
		to        *string
		set       string
		usual     string
	}{
		{"domain", "SITEGATE_DOMAIN", &o.domain, set.Domain, ""},
		{"ca", "SITEGATE_CA", &o.ca, set.CA, ""},
		{"token-file", "SITEGATE_TOKEN_FILE", &o.tokenFile, "", o.usualTokenFile()},
		{"client-version", "", &o.clientVersion, set.ClientVersion, ""},
		{"lang", "", &o.lang, set.Lang, language(s.getenv)},
		{"keyring", "SITEGATE_KEYRING", &o.keyring, set.Keyring, "auto"},
		{"notify", "SITEGATE_NOTIFY", &o.notify, set.Notify, "auto"},
		{"machine-key", "SITEGATE_MACHINE_KEY", &o.machineKey, set.MachineKey, "auto"},
		{"tpm", "SITEGATE_TPM", &o.tpm, set.TPM, ""},
		{"issuer", "", &o.issuer.url, set.SignIn.Issuer, ""},
		{"client-id", "", &o.issuer.clientID, set.SignIn.ClientID, ""},
		{"proxy", "", &o.issuer.proxy, set.SignIn.Proxy, ""},
		{"issuer-ca", "", &o.issuer.ca, set.SignIn.CA, ""},
	} {
		if flagged(x.flag) {
			continue
		}
		var env string
		if x.env != "" {
			env = s.getenv(x.env)
		}
		*x.to = first(env, x.set, x.usual)
	}
	s.lang = o.lang
	switch v := s.getenv("SITEGATE_GATEWAY"); {
	case flagged("gateway"):
	case flagged("domain"): // which stands above a gateway that is named further down
	case v != "":
		o.gateways = strings.Split(v, ",")
	case s.getenv("SITEGATE_DOMAIN") != "":
	default:
		o.gateways = set.Gateway
	}
	if !keyKind(o.machineKey) {
		return usagef("--machine-key %q: it is auto, tpm or file", o.machineKey)
	}
	for flag, v := range map[string]string{"keyring": o.keyring, "notify": o.notify} {
		if v != "auto" && v != "on" && v != "off" {
			return usagef("--%s %q: it is auto, on or off", flag, v)
		}
	}
	return nil
}

func (o *options) usualTokenFile() string {
	if o.dir == "" {
		return ""
	}
	return o.keeps("token.json")
}

// first is the first that is not empty.
func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
