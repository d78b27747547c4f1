package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sitegate/upstream/egress/krb"
)

// Probe is what Check tries.
type Probe struct {
	Candidate string // one of Candidates
	Address   string // host:port of the destination
	// Withhold sends no user name, password or ticket: a proxy that asks for them ends the check (Finding.Withheld).
	Withhold bool
	TLS      bool // begin TLS with the destination
	// Before, with TLS, is what is spoken before TLS begins, as STARTTLS wants it; its error ends the check and is Finding.Err. Nil: nothing is.
	Before func(c net.Conn) error
	// Speak, with TLS, has the connection to itself, for a protocol that is not HTTP, and none is offered; Then is not called. Nil: nothing is spoken.
	Speak func(c net.Conn)
	// Then, with TLS, may send requests to the destination over the one connection that was opened, one after the other. When that has ended they fail:
	// another would need the credentials again. Nil: none are sent.
	Then func(ctx context.Context, over http.RoundTripper)
	// Time bounds the whole check; zero is three times what a proxy may take to open a tunnel.
	Time time.Duration
}

// Finding is what Check found out about one candidate. The steps are in their order; what comes after one that failed was not tried.
type Finding struct {
	Candidate string
	Kind      Kind   // empty: directly
	Address   string // of the proxy

	TCP      time.Duration // to open a connection to the proxy, TLS with it included; directly: to the destination
	Remote   string        // the address it went to
	Local    string        // this server's own, as the other end sees it if nothing in between changes it
	TLSProxy *Certificate  // what the proxy itself has shown

	// Asked without credentials:
	Status  string        // of the proxy's answer; empty for SOCKS5
	Product string        // of the proxy, by its Via or Server header
	Date    time.Time     // of the proxy's clock; zero: not told
	Offers  []string      // the schemes it asks for; nil: it asks for none
	Schemes []SchemeCheck // each that it offers and the configuration allows, tried once; the password at most once in all
	// Withheld: it asks for credentials, and was shown none because the probe says so.
	Withheld bool

	// Behind it:
	TLS *Certificate // of the destination, or of what answers in its place
	Err error        // the first thing that keeps a connection from working; nil: it does
}

// SchemeCheck is one scheme tried alone.
type SchemeCheck struct {
	Scheme Scheme
	Tried  bool // else the password had been sent for a stronger one already
	Err    error
}

// Certificate is what a handshake came to.
type Certificate struct {
	Version    string // of TLS
	ALPN       string
	Subject    string
	Issuer     string
	Root       string // the last one of the chain that was verified; empty: none was
	NotAfter   time.Time
	Inspection string // the product that probably issued it in the destination's place; empty: none known
	Took       time.Duration
}

// Check tries one candidate for a destination, step by step: TCP, TLS with the proxy, CONNECT without credentials, each scheme that could be
// used, TLS with the destination, and what the probe then does. It sends a password at most once, and learns nothing from what it finds, but that a password was rejected.
// The error is for a candidate or an address that makes no sense; all else is in the Finding.
func (d *Dialer) Check(ctx context.Context, probe Probe) (Finding, error) {
	w := d.way.Load()
	host, port, err := splitAddr(probe.Address)
	if err != nil {
		return Finding{}, err
	}
	c, err := w.candidate(probe.Candidate)
	if err != nil {
		return Finding{}, fmt.Errorf("%.80q: %w", probe.Candidate, err)
	}
	addr := net.JoinHostPort(host, port)
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(probe.Time, 3*w.cfg.ConnectTimeout))
	defer cancel()
	f := Finding{Candidate: c.name()}
	var tunnel net.Conn
	switch {
	case c.p == nil:
		begun := time.Now()
		var r *reached
		if tunnel, r, err = dial(ctx, w.net, addr); err != nil {
			f.Err = directError(ctx, addr, r, err)
			return f, nil
		}
		f.TCP, f.Remote, f.Local = time.Since(begun), tunnel.RemoteAddr().String(), hostOf(tunnel.LocalAddr())
	default:
		f.Kind, f.Address = c.p.kind(), c.p.Address
		tunnel, f.Err = c.p.check(ctx, &f, addr, probe.Withhold)
	}
	if tunnel == nil {
		return f, nil
	}
	defer tunnel.Close()
	if !probe.TLS {
		return f, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = tunnel.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if probe.Before != nil {
		if f.Err = probe.Before(tunnel); f.Err != nil {
			return f, nil
		}
	}
	protocols := []string{"h2", "http/1.1"}
	if probe.Speak != nil {
		protocols = nil
	}
	var secured *tls.Conn
	secured, f.TLS, f.Err = w.checkTLS(ctx, tunnel, host, addr, protocols, false)
	if f.Err != nil && f.TLS == nil && probe.Before == nil && f.open() && w.passes(ctx, c, host, addr, protocols, true) && !w.passes(ctx, c, host, addr, protocols, false) {
		f.Err = largeHello(addr, f.Err)
	}
	switch {
	case f.Err != nil:
	case probe.Speak != nil:
		probe.Speak(secured)
	case probe.Then != nil:
		over := overOne(secured)
		probe.Then(ctx, over)
		over.CloseIdleConnections()
	}
	return f, nil
}

var errEnded = errors.New("the connection that was opened for this has ended")

// overOne is a transport that has one connection and opens no other.
func overOne(c *tls.Conn) *http.Transport {
	var taken atomic.Bool
	return &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errEnded },
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
			if taken.Swap(true) {
				return nil, errEnded
			}
			return c, nil
		},
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

// check looks at a proxy; the tunnel is nil if there is none.
func (p *proxy) check(ctx context.Context, f *Finding, addr string, withhold bool) (net.Conn, error) {
	begun := time.Now()
	c, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	f.TCP, f.Remote, f.Local = time.Since(begun), c.RemoteAddr().String(), hostOf(c.LocalAddr())
	if t, ok := c.(*tls.Conn); ok {
		f.TLSProxy = certificateOf(t.ConnectionState(), f.TCP)
	}
	if p.kind() == SOCKS5 {
		c.Close()
		if withhold && p.Username != "" {
			f.Withheld = true
			return nil, nil
		}
		return p.socks(ctx, addr)
	}
	l := newLeg(c)
	resp, err := l.ask(ctx, addr, "")
	if err != nil {
		c.Close()
		return nil, p.answerError(ctx, addr, l, err)
	}
	f.Status, f.Product = printable(resp.Status, 80), strings.TrimSuffix(strings.TrimPrefix(via(resp), " ("), ")")
	f.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode/100 == 2 {
		return l.tunnel(), nil
	}
	defer c.Close()
	if resp.StatusCode != http.StatusProxyAuthRequired {
		return nil, p.denied(addr, p.from(c.LocalAddr(), ""), resp, l.text(resp, nil))
	}
	offers := parseChallenges(resp.Header.Values("Proxy-Authenticate"))
	for _, o := range offers {
		f.Offers = append(f.Offers, o.scheme)
	}
	if withhold {
		f.Withheld = true
		return nil, nil
	}
	return p.checkSchemes(ctx, f, addr, offers)
}

// checkSchemes tries each scheme by itself. The first tunnel is kept.
func (p *proxy) checkSchemes(ctx context.Context, f *Finding, addr string, offers []challenge) (tunnel net.Conn, err error) {
	shown := false // the password
	for _, s := range p.schemes {
		if !slices.ContainsFunc(offers, func(o challenge) bool { return strings.EqualFold(o.scheme, string(s)) }) {
			continue
		}
		check := SchemeCheck{Scheme: s}
		password := s != Negotiate || p.Kerberos != nil && p.Kerberos.KeytabFile == "" && p.Kerberos.CacheFile == "" && p.PasswordFile != ""
		if !password || !shown {
			check.Tried, shown = true, shown || password
			x := &exchange{p: p, addr: addr, allowed: []Scheme{s}, only: true}
			conn, one := x.run(ctx)
			x.close()
			check.Err = one
			if k := (*krb.Error)(nil); s == Negotiate && errors.As(one, &k) && k.Kind == krb.Unreachable {
				shown = false // no KDC has seen the password
			}
			if one == nil && tunnel == nil {
				tunnel = conn
			} else if one == nil {
				conn.Close()
			} else if err == nil {
				err = one
			}
		}
		f.Schemes = append(f.Schemes, check)
	}
	if tunnel != nil {
		return tunnel, nil
	}
	if err == nil {
		err = p.answerable(p.schemes, offers)
	}
	return nil, err
}

// open says whether the way to the destination took no credentials, so that it may be gone again.
func (f *Finding) open() bool {
	return f.Kind == "" || len(f.Offers) == 0 && strings.HasPrefix(f.Status, "2")
}

// passes says whether TLS with the destination, once more, comes about, or gets as far as its certificate, where the first packet is small, or as large as it is: a key exchange
// that is safe from quantum computers makes it larger than one packet of the network's, and there are boxes that wait for what they take to be the whole, or drop it.
func (w *way) passes(ctx context.Context, c candidate, host, addr string, protocols []string, small bool) bool {
	var raw net.Conn
	var err error
	if c.p == nil {
		raw, err = w.net.DialContext(ctx, "tcp", addr)
	} else {
		raw, err = c.p.check(ctx, new(Finding), addr, true)
	}
	if err != nil || raw == nil {
		return false
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, seen, err := w.checkTLS(ctx, raw, host, addr, protocols, small)
	return err == nil || seen != nil
}

// largeHello is about a destination with which TLS begins by a small packet only.
func largeHello(addr string, err error) error {
	return &Error{Code: TLSFailed, Err: err, Message: fmt.Sprintf("TLS with %s does not begin, unless its first packet is small: something on the way drops the large one of a post-quantum key exchange (X25519MLKEM768).", addr),
		Action: fmt.Sprintf("Ask the firewall and proxy teams to update what looks into TLS there, or to exempt %s. Until then run the node with GODEBUG=tlsmlkem=0 in its environment.", addr)}
}

// checkTLS looks at the destination's certificate, and reads it even if it is not trusted. small keeps the first packet so.
func (w *way) checkTLS(ctx context.Context, raw net.Conn, host, addr string, protocols []string, small bool) (*tls.Conn, *Certificate, error) {
	begun := time.Now()
	var seen tls.ConnectionState
	cfg := w.roots.config(host)
	cfg.NextProtos = protocols
	if small {
		cfg.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	}
	roots := cfg.RootCAs
	cfg.InsecureSkipVerify = true // it is verified below, after it has been noted down
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		seen = s
		if len(s.PeerCertificates) == 0 {
			return errors.New("it shows no certificate")
		}
		opts := x509.VerifyOptions{Roots: roots, DNSName: host, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		chains, err := s.PeerCertificates[0].Verify(opts)
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
		}
		seen.VerifiedChains = chains
		return nil
	}
	c := tls.Client(raw, cfg)
	hctx, cancel := context.WithTimeout(ctx, w.cfg.TLSTimeout)
	defer cancel()
	err := c.HandshakeContext(hctx)
	found := certificateOf(seen, time.Since(begun))
	if err != nil {
		return nil, found, w.tlsError(addr, err)
	}
	found.ALPN = c.ConnectionState().NegotiatedProtocol
	return c, found, nil
}

func certificateOf(s tls.ConnectionState, took time.Duration) *Certificate {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	leaf := s.PeerCertificates[0]
	c := &Certificate{Version: tls.VersionName(s.Version), ALPN: s.NegotiatedProtocol, Subject: printable(leaf.Subject.String(), 200), Issuer: printable(leaf.Issuer.String(), 200),
		NotAfter: leaf.NotAfter, Inspection: inspector(leaf), Took: took}
	if n := len(s.VerifiedChains); n > 0 {
		chain := s.VerifiedChains[0]
		c.Root = printable(chain[len(chain)-1].Subject.String(), 200)
	}
	return c
}

// Lookup resolves a name as this system does for a connection to a proxy: addresses, in no order.
func Lookup(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}
