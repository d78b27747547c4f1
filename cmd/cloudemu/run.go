package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sitegate/emulator"
	"sitegate/emulator/proxy"
	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

const help = `
Usage: cloudemu --site ID:FILE [FLAGS]

Serves a stand-in for the vendor's cloud on this machine, to try a gateway with:
its site interface, its sign-in, and what the vendor's desktop clients ask for
(discovery, signed policies, entitlements, usage), with made-up users, products and
licenses. What goes wrong is set at the control address. It prints its addresses,
a few users with their passwords, and "ready". What it knows is gone when it ends.
Never let it be reached from outside.

Example:
  cloudemu --site site-1:cloud.secret --ca-out cloud-ca.pem

Flags:
`

// options are the flags.
type options struct {
	listen, control string
	hosts           []string
	users           int
	caOut           string
	sites           []string
	issuer          string
	proxy           string
	proxyUser       string
}

// run serves until ctx ends. It returns 0 then, 64 for wrong flags, 1 for anything that does not work.
func run(ctx context.Context, args []string, _ func(string) string, stdout, stderr io.Writer) int {
	var o options
	f := pflag.NewFlagSet("cloudemu", pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stdout, strings.TrimLeft(help, "\n"), f.FlagUsages()) }
	f.StringVar(&o.listen, "listen", "127.0.0.1:9443", "address of the cloud, on TLS")
	f.StringVar(&o.control, "control", "127.0.0.1:9444", "address of the knobs, plain HTTP and without a password: loopback only")
	f.StringSliceVar(&o.hosts, "hosts", []string{"localhost", "127.0.0.1"}, "names in the cloud's certificate")
	f.IntVar(&o.users, "users", 1000, "how many users to make up")
	f.StringVar(&o.caOut, "ca-out", "", "file for the certificate of the CA that was made for the cloud")
	f.StringArrayVar(&o.sites, "site", nil, "a site's gateway, as id:file-with-its-secret; may be given several times")
	f.StringVar(&o.issuer, "issuer", "", "address of the sign-in, as in tokens (default https:// and the host that is asked)")
	f.StringVar(&o.proxy, "proxy", "", "address of a forward proxy; with one, the cloud is reached through it only")
	f.StringVar(&o.proxyUser, "proxy-user", "", "who may use the proxy, as name:file-with-the-password")
	if err := f.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return 0
	} else if err != nil {
		fmt.Fprintf(stderr, "cloudemu: %v; see cloudemu --help\n", err)
		return 64
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "cloudemu: %q is not a flag; see cloudemu --help\n", f.Arg(0))
		return 64
	}
	if err := o.check(); err != nil {
		fmt.Fprintln(stderr, "cloudemu:", err)
		return 64
	}
	if err := serve(ctx, o, stdout, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "cloudemu:", err)
		return 1
	}
	return 0
}

// check says what is wrong with the flags themselves.
func (o options) check() error {
	issuer, err := url.Parse(o.issuer)
	host, _, controlErr := net.SplitHostPort(o.control)
	ip := net.ParseIP(host)
	switch {
	case o.issuer != "" && (err != nil || issuer.Scheme != "https" || issuer.Host == ""):
		return errors.New("--issuer: write it as https://host or https://host:port")
	case controlErr != nil:
		return fmt.Errorf("--control %s: write it as host:port", o.control)
	case host != "localhost" && (ip == nil || !ip.IsLoopback()):
		return fmt.Errorf("--control %s: whoever reaches it can do anything, so it is on a loopback address only, such as 127.0.0.1", o.control)
	case o.users < 3:
		return fmt.Errorf("--users %d: there are three at least", o.users)
	case o.proxyUser != "" && o.proxy == "":
		return errors.New("--proxy-user needs --proxy")
	}
	for _, s := range append([]string{o.proxyUser}, o.sites...) {
		if name, file, _ := strings.Cut(s, ":"); s != "" && (name == "" || file == "") {
			return fmt.Errorf("%q: write it as name:file", s)
		}
	}
	return nil
}

func serve(ctx context.Context, o options, stdout io.Writer, log *slog.Logger) error {
	cloud := &emulator.Emulator{Issuer: o.issuer, Sites: map[string]string{}, Log: log}
	for _, s := range o.sites {
		id, secret, err := readPair(s)
		if err != nil {
			return fmt.Errorf("--site %s: %w", id, err)
		}
		cloud.Sites[id] = secret
	}
	cloud.Seed(o.users)

	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	if o.proxy != "" {
		cfg := proxy.Config{Hosts: map[string]string{}}
		for _, h := range o.hosts {
			cfg.Hosts[strings.ToLower(net.JoinHostPort(h, port))] = ln.Addr().String()
			cfg.Hosts[strings.ToLower(net.JoinHostPort(h, "443"))] = ln.Addr().String()
		}
		if o.proxyUser != "" {
			user, password, err := readPair(o.proxyUser)
			if err != nil {
				ln.Close()
				return fmt.Errorf("--proxy-user %s: %w", user, err)
			}
			cfg.Users = map[string]string{user: password}
		}
		gate := emulator.NewOnlyFrom(ln)
		ln = gate
		cfg.Opened, cfg.Closed = gate.Register, gate.Unregister
		pln, err := net.Listen("tcp", o.proxy)
		if err != nil {
			ln.Close()
			return err
		}
		p := proxy.Start(pln, cfg)
		defer p.Close()
		fmt.Fprintln(stdout, "proxy    ", p.Addr())
	}
	srv, err := emulator.Serve(ln, cloud, o.hosts...)
	if err != nil {
		ln.Close()
		return err
	}
	defer srv.Close()
	if o.caOut != "" {
		if err := os.WriteFile(o.caOut, srv.CAPEM, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(stdout, "ca       ", o.caOut)
	}

	cln, err := net.Listen("tcp", o.control)
	if err != nil {
		return err
	}
	control := &http.Server{Handler: cloud.Control(), ReadHeaderTimeout: 5 * time.Second}
	broken := make(chan error, 1)
	go func() { broken <- control.Serve(cln) }()
	defer func() { control.Close(); <-broken }()

	for _, h := range o.hosts {
		fmt.Fprintf(stdout, "cloud     https://%s\n", net.JoinHostPort(h, port))
		fmt.Fprintf(stdout, "discovery https://%s%s\n", net.JoinHostPort(h, port), cloudapi.PathDiscovery)
	}
	fmt.Fprintf(stdout, "control   http://%s\n", cln.Addr())
	for _, id := range []string{emulator.UserA, emulator.UserB, emulator.UserAdmin} {
		u, _ := cloud.User(id)
		fmt.Fprintf(stdout, "user      %s %s %s\n", u.ID, u.Email, emulator.Password(u.ID))
	}
	fmt.Fprintf(stdout, "ready     %d users, %d products, %d licenses\n", len(cloud.Users()), len(cloud.Products()), len(cloud.Licenses()))
	select {
	case <-ctx.Done():
		return nil
	case err := <-broken:
		broken <- err
		return err
	}
}

// readPair takes name:file apart and reads the secret in the file.
func readPair(s string) (name, secret string, err error) {
	name, file, _ := strings.Cut(s, ":")
	secret, err = egress.ReadSecret(file)
	return name, secret, err
}
