package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/icholy/digest"
)

// proxy is a forward proxy and what is known of it.
type proxy struct {
	Proxy
	w       *way
	host    string // of its address
	addr    string // host:port
	schemes []Scheme
	tls     *tls.Config // of kind HTTPS
	tickets tickets     // nil: no Kerberos
	health  health

	mu      sync.Mutex
	known   Scheme            // what worked last; empty: nothing, or it asks for nothing
	unasked bool              // the last tunnel came about without credentials
	broken  map[Scheme]bool   // offered, and failed since
	nonce   *digest.Challenge // of Digest, to use again
	count   int               // how often it was
}

func newProxy(w *way, c Proxy) *proxy {
	p := &proxy{Proxy: c, w: w, schemes: c.schemes(), broken: map[Scheme]bool{}}
	if host, port, err := splitAddr(c.Address); err == nil {
		p.host, p.addr = host, net.JoinHostPort(host, port)
	}
	if c.Kerberos != nil {
		p.tickets = newTickets(c, &w.d.creds)
	}
	return p
}

func (p *proxy) kind() Kind {
	if p.Kind == "" {
		return HTTP
	}
	return p.Kind
}

// connect opens a tunnel to addr through the proxy.
func (p *proxy) connect(ctx context.Context, addr string) (net.Conn, error) {
	if p.kind() == SOCKS5 {
		return p.socks(ctx, addr)
	}
	x := &exchange{p: p, addr: addr, allowed: p.schemes}
	defer x.close()
	return x.run(ctx)
}

// open connects to the proxy itself.
func (p *proxy) open(ctx context.Context) (net.Conn, error) {
	c, r, err := dial(ctx, p.w.net, p.addr)
	if err != nil {
		return nil, p.dialError(ctx, r, err)
	}
	if p.kind() != HTTPS {
		return c, nil
	}
	t := tls.Client(c, p.tls)
	hctx, cancel := context.WithTimeout(ctx, p.w.cfg.TLSTimeout)
	defer cancel()
	if err := t.HandshakeContext(hctx); err != nil {
		c.Close()
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		return nil, p.tlsError(err)
	}
	return t, nil
}

// worked notes that a tunnel was opened.
func (p *proxy) worked() {
	if p.health.ok() {
		p.w.d.log.Info("the proxy works again", "proxy", p.name())
	}
}

// failed notes that the proxy itself does not work.
func (p *proxy) failed(err error) {
	if p.health.fail(err) {
		p.w.d.log.Warn("the proxy does not work, and is left alone for a while where there is another way", "proxy", p.name(), "err", err)
	}
}

// remember notes the scheme that opened a tunnel.
func (p *proxy) remember(s Scheme) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = s
	delete(p.broken, s)
}

// asks notes whether the proxy asks for credentials, or has opened a tunnel without any.
func (p *proxy) asks(so bool) {
	p.mu.Lock()
	p.unasked = !so
	p.mu.Unlock()
	if !so && p.Username != "" {
		p.w.d.creds.unasked(p.addr, p.Username)
	}
}

// doubt notes that a scheme did not work, so that others are tried before it.
func (p *proxy) doubt(s Scheme) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken[s] = true
	if p.known == s {
		p.known = ""
	}
}

// secret asks for leave to use the password.
func (p *proxy) secret(ctx context.Context) (*credential, error) {
	password, err := ReadSecret(p.PasswordFile)
	if err != nil {
		return nil, &Error{Code: ProxySecretUnusable, Err: err, Message: fmt.Sprintf("The password for the proxy %s cannot be read: %v.", p.Address, err),
			Action: "Put the password into the file, readable by the gateway's user only."}
	}
	c, err := p.w.d.creds.acquire(ctx, p.addr, p.Username, password)
	if locked := (*lockedError)(nil); errors.As(err, &locked) {
		return nil, p.lockedError(p.Username, locked)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &Error{Code: APIUnreachable, Err: err,
			Message: fmt.Sprintf("The proxy %s has not answered in time to the one connection that tries out user %s's password.", p.Address, p.Username),
			Action:  "Ask the proxy team whether its own link is up."}
	}
	return c, err
}

func (p *proxy) lockedError(user string, locked *lockedError) error {
	return &Error{Code: ProxyAuthRejected, Err: locked,
		Message: fmt.Sprintf("The proxy %s has rejected user %s twice; this password is not sent before %s, to keep the account from being locked.", p.Address, user, locked.until.UTC().Format(time.RFC3339)),
		Action:  "Correct the password file: a changed password is tried at once."}
}

// settle gives back the leave to use a password, and tells administrators when it is not sent any more.
func (p *proxy) settle(c *credential, v verdict) {
	if until, locked := p.w.d.creds.settle(c, v); locked {
		p.w.d.log.Error("a proxy rejects the configured password: it is not sent for a while, so that the account is not locked", "proxy", p.name(), "account", c.user, "until", until)
	}
}
