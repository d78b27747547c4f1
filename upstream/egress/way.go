package egress

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLearned bounds the proxies that only a PAC file has named.
const maxLearned = 64

// way is a configuration at work. It is replaced as a whole; connections under way keep the one they began with.
type way struct {
	cfg     Config // with defaults
	d       *Dialer
	net     net.Dialer
	roots   roots
	proxies []*proxy
	byName  map[string]*proxy
	exact   map[string]*Route
	suffix  map[string]*Route // with the dot
	pac     *pacFile          // nil: none

	mu      sync.Mutex
	learned map[string]*proxy // by kind and address; they have no credentials
}

// candidate is one way to try: a proxy, or directly if it is nil.
type candidate struct{ p *proxy }

func (c candidate) name() string {
	if c.p == nil {
		return ViaDirect
	}
	return c.p.name()
}

func (d *Dialer) newWay(cfg Config) (*way, error) {
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, 10*time.Second)
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 20*time.Second)
	cfg.TLSTimeout = cmp.Or(cfg.TLSTimeout, 10*time.Second)
	w := &way{cfg: cfg, d: d, byName: map[string]*proxy{}, exact: map[string]*Route{}, suffix: map[string]*Route{}, learned: map[string]*proxy{},
		// Both families are tried, the second 300 ms after the first (RFC 8305).
		net: net.Dialer{Timeout: cfg.DialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}}}
	errs := []error{cfg.check()}
	var err error
	if w.roots, err = readRoots(cfg.ExtraCA); err != nil {
		errs = append(errs, err)
	}
	for _, c := range cfg.Proxies {
		p := newProxy(w, c)
		if p.tls, err = c.tlsConfig(); err != nil {
			errs = append(errs, fmt.Errorf("the proxy %s: %w", c.name(), err))
		}
		w.proxies = append(w.proxies, p)
		w.byName[c.name()] = p
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		for _, h := range r.Hosts {
			name, _ := canonical(strings.TrimPrefix(h, "."))
			if strings.HasPrefix(h, ".") {
				w.suffix["."+name] = r
			} else {
				w.exact[name] = r
			}
		}
	}
	if cfg.PAC != nil {
		w.pac = newPACFile(w, *cfg.PAC)
		if old := d.way.Load(); old != nil && old.pac != nil {
			w.pac.takeOver(old.pac)
		}
	}
	for _, p := range w.proxies {
		if slices.Contains(p.schemes, NTLM) {
			d.log.Warn("NTLM is allowed for a proxy: it is weak and on its way out, ask the proxy team for Kerberos", "proxy", p.name())
		}
	}
	return w, nil
}

// route is the most specific one for a host, or nil.
func (w *way) route(host string) *Route {
	if r := w.exact[host]; r != nil {
		return r
	}
	for at := host; ; {
		i := strings.IndexByte(at, '.')
		if i < 0 {
			return nil
		}
		if r := w.suffix[at[i:]]; r != nil {
			return r
		}
		at = at[i+1:]
	}
}

// chain is what to try for a destination, in order.
func (w *way) chain(ctx context.Context, host, port string) ([]candidate, error) {
	r := w.route(host)
	if r == nil {
		switch {
		case w.cfg.Direct:
			return []candidate{{}}, nil
		case w.pac != nil:
			return w.pac.candidates(ctx, host, port)
		}
		list := make([]candidate, len(w.proxies))
		for i, p := range w.proxies {
			list[i] = candidate{p}
		}
		return list, nil
	}
	if r.Via[0] == ViaDeny {
		return nil, &Error{Code: HostNotAllowed, Message: fmt.Sprintf("%s is not to be reached from here: a route of the configuration denies it.", net.JoinHostPort(host, port)),
			Action: "If it should be, change egress.routes in the gateway's configuration."}
	}
	if r.Via[0] == ViaPAC {
		return w.pac.candidates(ctx, host, port)
	}
	list := make([]candidate, len(r.Via))
	for i, v := range r.Via {
		list[i] = candidate{w.byName[v]}
	}
	return list, nil
}

// named is the proxy that a PAC file means: the configured one of this kind and address, with its credentials, else one without.
func (w *way) named(kind Kind, addr string) (*proxy, error) {
	for _, p := range w.proxies {
		if p.kind() == kind && p.addr == addr {
			return p, nil
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := string(kind) + " " + addr
	if p := w.learned[key]; p != nil {
		return p, nil
	}
	if len(w.learned) >= maxLearned {
		return nil, fmt.Errorf("the PAC file has named more than %d proxies", maxLearned)
	}
	p := newProxy(w, Proxy{Kind: kind, Address: addr})
	host, _, _ := splitAddr(addr)
	p.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	w.learned[key] = p
	return p, nil
}

// dial tries the candidates of a destination.
func (w *way) dial(ctx context.Context, host, port string) (net.Conn, error) {
	list, err := w.chain(ctx, host, port)
	if err != nil {
		by := ViaPAC
		if resultOf(err) == string(HostNotAllowed) {
			by = ViaDeny
		}
		w.d.tried.add(by, err)
		return nil, err
	}
	var failed []failure
	var resting []candidate
	for i, c := range list {
		if c.p != nil && !c.p.health.admit(time.Now()) {
			resting = append(resting, c)
			continue
		}
		conn, err := w.try(ctx, c, len(list)-i, net.JoinHostPort(host, port))
		if err == nil {
			return conn, nil
		}
		if !passes(err) || ctx.Err() != nil {
			return nil, err
		}
		failed = append(failed, failure{c, err})
	}
	if len(resting) > 0 && resting[0] == list[0] { // nothing else works: what is first is tried whatever is known of it
		conn, err := w.try(ctx, list[0], 1, net.JoinHostPort(host, port))
		if err == nil {
			return conn, nil
		}
		if !passes(err) || ctx.Err() != nil {
			return nil, err
		}
		failed = append([]failure{{list[0], err}}, failed...)
	}
	return nil, together(failed)
}

// try dials by one candidate of so many that are left, which share the time there is.
func (w *way) try(ctx context.Context, c candidate, left int, addr string) (net.Conn, error) {
	conn, err := w.tryBy(ctx, c, left, addr)
	w.d.tried.add(w.by(c), err)
	return conn, err
}

func (w *way) tryBy(ctx context.Context, c candidate, left int, addr string) (net.Conn, error) {
	if c.p == nil {
		return w.direct(ctx, addr)
	}
	limit := w.cfg.ConnectTimeout
	if end, ok := ctx.Deadline(); ok && left > 1 {
		limit = min(limit, max(time.Until(end)/time.Duration(left), 2*time.Second))
	}
	tctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begun := time.Now()
	conn, err := c.p.connect(tctx, addr)
	if one := (*Error)(nil); errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &one) {
		err = c.p.answerError(tctx, addr, nil, err)
	}
	switch {
	case err == nil:
		c.p.worked()
	case ctx.Err() != nil && (errors.Is(ctx.Err(), context.Canceled) || time.Since(begun) < time.Second):
		c.p.health.leave() // the caller had no time: nothing is known
	case guest(ctx) != nil && !unreached(err) && (sick(err) || ctx.Err() != nil):
		c.p.health.leave() // what a desktop asked for may be what does not answer; the node's own traffic goes on by this proxy
	case sick(err) || ctx.Err() != nil:
		c.p.failed(err)
	default:
		c.p.health.answered() // it answers, if not as one would wish
	}
	return conn, err
}

type failure struct {
	c   candidate
	err error
}

// together is one error of all candidates'; its code is the first one's.
func together(failed []failure) error {
	if len(failed) == 1 {
		return failed[0].err
	}
	e := &Error{Code: APIUnreachable, Message: fmt.Sprintf("None of %d ways out worked.", len(failed))}
	var causes []error
	for i, f := range failed {
		causes = append(causes, f.err)
		var one *Error
		if errors.As(f.err, &one) {
			e.Message += fmt.Sprintf(" (%d) %s", i+1, one.Message)
			if i == 0 {
				e.Code, e.Action = one.Code, one.Action
			}
		} else {
			e.Message += fmt.Sprintf(" (%d) %s: %v.", i+1, f.c.name(), f.err)
		}
	}
	e.Err = errors.Join(causes...)
	return e
}
