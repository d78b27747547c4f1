// Package egress is the one way out: every connection that leaves the site for the vendor's cloud is dialled here, so that no code path
// forgets the proxy, leaks its password or trusts a certificate that was meant for another host.
//
// A destination takes a route (exact host, or the longest suffix) to a chain of candidates: proxies (HTTP CONNECT over TCP or TLS, SOCKS5), what a
// PAC file says, or directly where a route says so in as many words. The first candidate that works is used; one that failed is left alone
// for 2 s, then 4 s, up to 60 s, and then tried by one connection; where all are bad the first is tried all the same. A refusal by a
// proxy's policy is an answer, and no other proxy is asked for another. Names of destinations are resolved by the proxy, never here,
// unless a PAC file asks for it. The proxy settings of the environment are not read.
//
// Proxies that ask who is there are answered with Negotiate, NTLM, Digest or Basic: those that are configured for this proxy, the strongest first, one
// after the other where one is offered and does not work; what has worked is sent at once from then on. A password that was rejected twice is not
// sent for ten minutes, to any proxy that has the same account, so that the account is not locked. Credentials go to the proxy that they are
// configured for and to nobody else; they are in files, which are read anew for each exchange.
//
// What goes wrong comes as an *Error with a stable code, what happened, and what to do about it and by whom. Whatever a proxy or a PAC
// file does, an answer takes a bounded time and a bounded amount of memory.
//
// For a doctor there is Check, which tries one candidate step by step and tells what it found, and Candidates, which tells what would be tried for
// a destination. Status says how each proxy is. Reload changes everything while connections go on. Run keeps an eye on proxies that do not
// work, and on the PAC file; without it all is found out by those who dial.
//
// It leaves to others: which hosts may be reached at all (endpoint), and what is said there (upstream). How a PAC file is evaluated is in
// egress/pac, Kerberos in egress/krb.
package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Dialer opens connections to the outside. It is safe for use by many goroutines. What it has open needs no closing: it keeps no connection
// of its own.
type Dialer struct {
	log     *slog.Logger
	creds   breaker // outlives a reload: a password stays rejected
	tried   attempts
	way     atomic.Pointer[way]
	loading sync.Mutex // held by Reload
}

// New checks the configuration, reads the extra CAs and makes sure that secrets can be read. It connects to nothing.
func New(cfg Config) (*Dialer, error) {
	d := &Dialer{log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))}
	if err := d.Reload(cfg); err != nil {
		return nil, err
	}
	return d, nil
}

// Reload takes another configuration, or the same one whose files have changed, for connections from now on; those that are open go on. What
// was known of proxies is forgotten, but for passwords that were rejected. With an error everything stays as it was. The logger stays that of New.
func (d *Dialer) Reload(cfg Config) error {
	d.loading.Lock()
	defer d.loading.Unlock()
	w, err := d.newWay(cfg)
	if err != nil {
		return err
	}
	d.way.Store(w)
	return nil
}

// DialContext connects to addr ("host:port") over TCP, by whatever way its route says. Directly, and through a proxy that is spoken to
// in the clear, the connection is a *net.TCPConn unless the destination spoke before it was asked. Errors are *Error, or ctx's.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("cannot dial %s: only TCP leaves the site", network)
	}
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	return d.way.Load().dial(ctx, host, port)
}

// Transport is an HTTP transport whose every connection goes out through d. The caller owns it and closes its idle connections.
func (d *Dialer) Transport() *http.Transport {
	return &http.Transport{
		Proxy:       nil, // proxies are d's business
		DialContext: d.DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.dialTLS(ctx, network, addr, "h2", "http/1.1")
		},
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        10 * time.Second, // some proxies drop idle tunnels after 10 to 15 s without a word
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
	return d.way.Load().handshake(ctx, raw, host, addr, protocols...)
}

// handshake begins TLS with the destination on raw, which it closes if that fails.
func (w *way) handshake(ctx context.Context, raw net.Conn, host, addr string, protocols ...string) (*tls.Conn, error) {
	cfg := w.roots.config(host)
	cfg.NextProtos = protocols
	c := tls.Client(raw, cfg)
	hctx, cancel := context.WithTimeout(ctx, w.cfg.TLSTimeout)
	defer cancel()
	if err := c.HandshakeContext(hctx); err != nil {
		raw.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, w.tlsError(addr, err)
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
	host, err = canonical(host)
	if err != nil {
		return "", "", fmt.Errorf("%.80q: %w", addr, err)
	}
	return host, port, nil
}

// canonical is a host name in lower case without the dot at its end, or an address.
func canonical(host string) (string, error) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || len(host) > 253 {
		return "", fmt.Errorf("a host name has 1 to 253 characters")
	}
	if net.ParseIP(host) != nil {
		return host, nil
	}
	for _, r := range host {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_') {
			return "", fmt.Errorf("a host name is made of letters, digits, dots and hyphens; write others in their xn-- form")
		}
	}
	return host, nil
}
