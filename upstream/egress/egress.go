// Package egress is the one way out: every connection that leaves the site for the vendor's cloud is dialled here, so that no code path
// forgets the proxy, leaks its password or trusts a certificate that was meant for another host.
//
// With a proxy, everything goes through HTTP CONNECT on it; names of destinations are never resolved here, and the proxy's credentials are
// sent to the configured proxy and to nobody else. Going out directly is only done where the configuration says so in as many words:
// a Config that names neither is refused. The proxy settings of the environment are not read.
//
// What goes wrong comes as an *Error with a stable code, what happened, and what to do about it and by whom.
//
// It knows one proxy and Basic credentials. It leaves to others: which hosts may be reached at all (endpoint), and what is said there (upstream).
package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Config is the way out. Exactly one of Proxy.Address and Direct is set.
type Config struct {
	Proxy  Proxy
	Direct bool // connect without a proxy

	// ExtraCA are certificate authorities that are trusted in addition to the system's, each for its own hosts only: an inspecting proxy's
	// root, or a private one.
	ExtraCA []ExtraCA

	DialTimeout    time.Duration // one TCP connection; zero is 10 s
	ConnectTimeout time.Duration // the whole CONNECT exchange, credentials included; zero is 20 s
	TLSTimeout     time.Duration // the TLS handshake with the destination; zero is 10 s
}

// Proxy is a forward proxy that speaks HTTP CONNECT, in the clear.
type Proxy struct {
	Address      string // host:port
	Username     string // empty: it has no credentials for this proxy
	PasswordFile string // read anew for each exchange, so that a changed password needs no restart
	Realm        string // if set, credentials are sent only to a challenge of this realm
}

// ExtraCA is a file of PEM certificates and the exact host names it is trusted for.
type ExtraCA struct {
	File  string
	Hosts []string
}

// Dialer opens connections to the outside. It is safe for use by many goroutines.
type Dialer struct {
	cfg   Config
	net   net.Dialer
	roots roots
	creds breaker
}

// New checks the configuration, reads the extra CAs and makes sure that the password can be read.
func New(cfg Config) (*Dialer, error) {
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 10*time.Second)
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 20*time.Second)
	cfg.TLSTimeout = cmp.Or(cfg.TLSTimeout, 10*time.Second)
	d := &Dialer{cfg: cfg, net: net.Dialer{Timeout: cfg.DialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}}}
	p := cfg.Proxy
	var errs []error
	switch {
	case p.Address == "" && !cfg.Direct:
		errs = append(errs, errors.New("no way out is configured: name a proxy (host:port), or say that connections go out directly"))
	case p.Address != "" && cfg.Direct:
		errs = append(errs, errors.New("both a proxy and going out directly are configured: choose one"))
	case p.Address != "":
		if _, _, err := splitAddr(p.Address); err != nil {
			errs = append(errs, fmt.Errorf("the proxy's address: %w", err))
		}
	}
	if (p.Username == "") != (p.PasswordFile == "") {
		errs = append(errs, errors.New("a proxy's user name and its password file go together: set both or neither"))
	} else if p.PasswordFile != "" {
		if _, err := ReadSecret(p.PasswordFile); err != nil {
			errs = append(errs, fmt.Errorf("the proxy's password: %w", err))
		}
	}
	if strings.ContainsAny(p.Username, ":\r\n\x00") {
		errs = append(errs, errors.New("a user name for Basic credentials has no colon and no control characters"))
	}
	var err error
	if d.roots, err = readRoots(cfg.ExtraCA); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

// DialContext connects to addr ("host:port") over TCP, through the proxy if there is one. Through a proxy the connection is a
// *net.TCPConn unless the destination spoke before it was asked. Errors are *Error, or ctx's.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("cannot dial %s: only TCP leaves the site", network)
	}
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	if d.cfg.Direct {
		c, err := d.net.DialContext(ctx, network, addr)
		if err != nil {
			return nil, directError(ctx, addr, err)
		}
		return c, nil
	}
	return d.connect(ctx, net.JoinHostPort(host, port))
}

// Transport is an HTTP transport whose every connection goes out through d. The caller owns it and closes its idle connections.
func (d *Dialer) Transport() *http.Transport {
	idle := 90 * time.Second
	if !d.cfg.Direct {
		idle = 10 * time.Second // some proxies drop idle tunnels after 10 to 15 s without a word
	}
	return &http.Transport{
		Proxy:       nil, // the proxy is d's business
		DialContext: d.DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.dialTLS(ctx, network, addr, "h2", "http/1.1")
		},
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        idle,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // a small body must not be able to become a big one
	}
}

// dialTLS is DialContext and a TLS handshake that offers the protocols.
func (d *Dialer) dialTLS(ctx context.Context, network, addr string, protocols ...string) (net.Conn, error) {
	host, _, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	raw, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg := d.TLSConfig(host)
	cfg.NextProtos = protocols
	c := tls.Client(raw, cfg)
	hctx, cancel := context.WithTimeout(ctx, d.cfg.TLSTimeout)
	defer cancel()
	if err := c.HandshakeContext(hctx); err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, tlsError(addr, err)
	}
	return c, nil
}

// splitAddr takes "host:port" apart. The host is a plain name or an IP address, so that nothing in it can end a header line.
func splitAddr(addr string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(addr)
	if err != nil {
		return "", "", fmt.Errorf("%.80q is not host:port", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", "", fmt.Errorf("%.80q: the port is a number from 1 to 65535", addr)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || len(host) > 253 {
		return "", "", fmt.Errorf("%.80q: a host name has 1 to 253 characters", addr)
	}
	if net.ParseIP(host) != nil {
		return host, port, nil
	}
	for _, r := range host {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_') {
			return "", "", fmt.Errorf("%.80q: a host name is made of letters, digits, dots and hyphens; write others in their xn-- form", addr)
		}
	}
	return host, port, nil
}
