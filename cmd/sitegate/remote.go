package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"sitegate/configs"
	"sitegate/upstream/egress"
)

// remote is a node that is asked over the network, with an API token, instead of the one
// on this machine. The zero value is none.
type remote struct {
	url   string
	token string
	ca    *x509.CertPool // nil: the system's
}

type remoteKey struct{}

// withRemote has whoever asks a node with this context ask the one that p has been told
// of, once the flags are read.
func withRemote(ctx context.Context, p *program) context.Context {
	return context.WithValue(ctx, remoteKey{}, p)
}

// remoteOf is the node to ask over the network, if it is to be.
func remoteOf(ctx context.Context) (remote, bool) {
	p, ok := ctx.Value(remoteKey{}).(*program)
	if !ok || p.remote.url == "" {
		return remote{}, false
	}
	return p.remote, true
}

// remoteFlags adds what it takes to ask another machine's node.
func (p *program) remoteFlags(f *pflag.FlagSet) {
	f.String("url", p.getenv("SITEGATE_URL"), "ask the node at this https URL, not the one on this machine; or SITEGATE_URL")
	f.String("token-file", p.getenv("SITEGATE_TOKEN_FILE"), "the file with the API token to ask it with; or SITEGATE_TOKEN_FILE")
	f.String("ca-file", p.getenv("SITEGATE_CA_FILE"), "the certificate of the site's CA, where this machine does not trust it; or SITEGATE_CA_FILE")
}

// readRemote reads the flags of remoteFlags, where f has them.
func (p *program) readRemote(f *pflag.FlagSet) error {
	if f.Lookup("url") == nil {
		return nil
	}
	at, _ := f.GetString("url")
	file, _ := f.GetString("token-file")
	ca, _ := f.GetString("ca-file")
	if at == "" {
		return nil
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return usagef("--url: %q is not https://host:port", at)
	}
	if file == "" {
		return usagef("--url needs --token-file: make a token with sitegate token create, on the machine of a node")
	}
	r := remote{url: "https://" + u.Host}
	if r.token, err = egress.ReadSecret(file); err != nil {
		return usagef("--token-file: %w", err)
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return usagef("--ca-file: %w", err)
		}
		if r.ca = x509.NewCertPool(); !r.ca.AppendCertsFromPEM(pem) {
			return usagef("--ca-file: %s holds no certificate in PEM form", ca)
		}
	}
	p.remote = r
	return nil
}

// reachSite connects to an address of this site's own, without a proxy, as a desktop would.
func reachSite(ctx context.Context, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// ask sends a request to the node.
func (r remote) ask(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, body)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.ca}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
	}
	resp, err := client.Do(req)
	if err != nil {
		if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
			return nil, &exitError{exitUnavailable, fmt.Errorf("asking %s: %w; give the site CA's certificate with --ca-file", r.url, err)}
		}
		return nil, &exitError{exitUnavailable, fmt.Errorf("asking %s: %w", r.url, err)}
	}
	return resp, nil
}

// loadOrDefault is load where a node on another machine may be asked, which takes no
// configuration here.
func (p *program) loadOrDefault(f *pflag.FlagSet) (configs.Config, configs.Origins, error) {
	file, _ := f.GetString("config")
	if p.remote.url != "" && !f.Changed("config") {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return configs.Default(), nil, nil
		}
	}
	c, origins, err := configs.Load(file, p.getenv, f, p.environ...)
	return c, origins, configError(file, err)
}
