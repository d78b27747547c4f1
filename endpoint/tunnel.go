package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Dialer opens connections the site's one way out, on behalf of desktops: of a proxied
// route it passes the name on, and resolves nothing; on a direct one it refuses what
// leads inside. via tells a proxy whom the request has come through.
type Dialer interface {
	Dial(ctx context.Context, addr, via string) (net.Conn, error)
}

// TunnelConfig is what the forward proxy is made of. Dialer is needed; zero limits take
// the defaults.
type TunnelConfig struct {
	Dialer Dialer
	// Explain says what an error of Dialer's means for a target: a stable code, and a
	// sentence for the person at the desktop, which names no account. An empty code: it
	// cannot tell. Nil: it never can.
	Explain func(err error, target string) (code, sentence string)
	// Vendor and Allow are the only targets: exact "host:port" pairs, names, not addresses. The
	// former come with this program, the latter are the site's.
	Vendor, Allow []string
	// Relayed are hosts whose requests are for the relay: they are refused with use-relay.
	Relayed []string
	// NoRelay says that this gateway does not relay: the refusal says so, and the PAC file leaves
	// Relayed to the site, but for PAC.Past.
	NoRelay bool
	// Name is this node's in the Via header; empty: sitegate.
	Name string
	// PAC makes the file that leads desktops here; nil: there is none.
	PAC *PAC
	// Clients are the networks the door is open to; nil: loopback.
	Clients   []netip.Prefix
	Max       int           // tunnels at once: default 2000
	PerClient int           // tunnels at once from one address: default 64; a /64 of IPv6 has a quarter of Max, where that is more
	Splices   int           // directions of tunnels that the kernel carries at once, with two files each, for as long as there is the Tunnel; others go through memory: default 1000
	Handshake time.Duration // to open one: default 10 s
	Idle      time.Duration // without a byte: default 10 min
	Life      time.Duration // of one tunnel: default 12 h
}

// Tunnel is the forward proxy: desktops sign in at the vendor's hosts through it
// where they have no way out of their own. It belongs on a plain HTTP listener
// and carries bytes it cannot read (CONNECT), and plain HTTP that is asked for (GET), to
// hosts that are on its list and nowhere else. The list is looked at first and always, on
// whatever way the connection then takes.
type Tunnel struct {
	name    string                // in the Via header
	now     atomic.Pointer[terms] // that the next request is dealt with by
	plain   *httputil.ReverseProxy
	splices chan struct{}
	log     *slog.Logger
	lines   *rate.Limiter // of the log, about what is refused
	metrics *metrics
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	open     int
	clients  map[string]int // tunnels by address
	networks map[string]int // and by what hostOf says of it, which is more of IPv6 alone
	visits   map[net.Conn]*visit
}

// terms are what requests are dealt with by; each one by the same to its end.
type terms struct {
	TunnelConfig
	targets *targets
}

// newTerms are those of a configuration.
func newTerms(cfg TunnelConfig) (*terms, error) {
	if cfg.Dialer == nil {
		return nil, errors.New("tunnel: Dialer must be set")
	}
	list, err := newTargets(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Clients == nil {
		cfg.Clients = Loopback()
	}
	fallback(&cfg.Name, "sitegate")
	fallback(&cfg.Max, 2000)
	fallback(&cfg.PerClient, 64)
	fallback(&cfg.Splices, 1000)
	fallback(&cfg.Handshake, 10*time.Second)
	fallback(&cfg.Idle, 10*time.Minute)
	fallback(&cfg.Life, 12*time.Hour)
	return &terms{cfg, list}, nil
}

// Tunnel makes the forward proxy. An entry of the lists that could never match, or
// that is an address, is an error.
func (e *Endpoint) Tunnel(cfg TunnelConfig) (*Tunnel, error) {
	now, err := newTerms(cfg)
	if err != nil {
		return nil, err
	}
	t := &Tunnel{name: now.Name, splices: make(chan struct{}, now.Splices), log: e.log, lines: e.lines, metrics: e.metrics, clients: map[string]int{}, networks: map[string]int{}, visits: map[net.Conn]*visit{}}
	t.now.Store(now)
	t.plain = t.newPlain()
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Again looks whether another configuration could be taken; take has what is asked from then on
// dealt with by it. What is open stays so, with the limits it was opened with, also where
// the new lists would not let it through, and counts towards the new limits. Name and
// Splices stay as they were.
func (t *Tunnel) Again(cfg TunnelConfig) (take func(), err error) {
	now, err := newTerms(cfg)
	if err != nil {
		return nil, err
	}
	return func() { t.now.Store(now) }, nil
}

func fallback[T int | time.Duration | string](v *T, otherwise T) {
	var zero T
	if *v <= zero {
		*v = otherwise
	}
}

// Close ends all tunnels and waits until they have ended. No new ones are opened.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
	return nil
}

// trip is one request on its way through the forward proxy.
type trip struct {
	terms                    *terms
	id, client, target, rule string
	network                  string // hostOf the client
	begun                    time.Time
}

// attrs are what every line of the log about it begins with.
func (x *trip) attrs(more ...any) []any {
	return append([]any{"id", x.id, "client", x.client, "host", x.target, "rule", x.rule}, more...)
}

// ServeHTTP opens a tunnel, passes plain HTTP on, or gives the PAC file; or says why not.
func (t *Tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	heard(r)
	hurry(w, r)
	x := &trip{terms: t.now.Load(), id: requestID(r), client: host(r.RemoteAddr), network: hostOf(r.RemoteAddr), begun: time.Now()}
	w.Header().Set("X-Request-Id", x.id)
	inside := within(x.terms.Clients, r.RemoteAddr)
	if !inside || crowdedAt(r.Context()) {
		w.Header().Set("Connection", "close") // a tunnel is no answer, and stays
	}
	if !inside {
		t.refuse(w, r, x.id, &refusal{http.StatusForbidden, clientNotAllowed,
			"This license gateway does not take connections from your network.\nAsk IT to add it to the gateway's client networks.\n"}, nil)
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		t.connect(w, r, x)
	case r.URL.IsAbs():
		t.forward(w, r, x)
	default:
		t.page(w, r, x)
	}
}

// connect opens a tunnel. It returns once that is open: what served the request is not
// needed for the hours that a tunnel may be there.
func (t *Tunnel) connect(w http.ResponseWriter, r *http.Request, x *trip) {
	no := t.admit(r, r.RequestURI, x)
	if no != nil {
		t.refuse(w, r, x.id, no, nil)
		return
	}
	up, err := t.dial(r.Context(), x, t.via(r))
	if err != nil {
		t.leave(x)
		t.refuse(w, r, x.id, t.failed(r.Context(), err, x), err)
		return
	}
	dialled := time.Since(x.begun).Milliseconds()
	down, early, err := accept(w, x.terms.Handshake)
	if err != nil {
		up.Close()
		t.leave(x)
		t.metrics.tunnels.WithLabelValues("hijack_failed").Inc()
		t.log.Warn("tunnel refused", x.attrs("reason", "hijack_failed", "err", err)...)
		return
	}
	by := up.RemoteAddr().String()
	t.metrics.tunnels.WithLabelValues("opened").Inc()
	t.metrics.open.Inc()
	t.log.Debug("tunnel opened", x.attrs("by", by, "dial_ms", dialled)...)
	name, _, _ := strings.Cut(x.target, ":")
	p := &pipe{down: down, up: up, host: name, splices: t.splices, idle: x.terms.Idle, life: x.terms.Life}
	p.over = func() {
		t.metrics.open.Dec()
		t.metrics.tunnelled.WithLabelValues("up").Add(float64(p.sent))
		t.metrics.tunnelled.WithLabelValues("down").Add(float64(p.received))
		attrs := x.attrs("up", p.sent, "down", p.received, "by", by, "dial_ms", dialled, "ms", time.Since(x.begun).Milliseconds(), "reason", p.reason)
		level := slog.LevelInfo
		if p.reason == pipeOtherName {
			t.metrics.tunnels.WithLabelValues(pipeOtherName).Inc()
			attrs = append(attrs, "sni", printable(p.named), "ech", p.ech)
			if t.lines.Allow() {
				level = slog.LevelWarn
			}
		}
		t.log.Log(context.Background(), level, "tunnel closed", attrs...)
		t.leave(x)
	}
	p.start(t.ctx, early)
}

// dial connects to a target within the time for it, while the client is there.
func (t *Tunnel) dial(ctx context.Context, x *trip, via string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, x.terms.Handshake)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	return x.terms.Dialer.Dial(ctx, x.target, via)
}

// maxHops is how many proxies a request may have come through.
const maxHops = 10

// hops are those a request has come through.
func hops(r *http.Request) []string {
	var list []string
	for _, line := range r.Header.Values("Via") {
		for hop := range strings.SplitSeq(line, ",") {
			list = append(list, strings.TrimSpace(printable(hop)))
		}
	}
	return list
}

// via is what is told of the way of a request from here on.
func (t *Tunnel) via(r *http.Request) string {
	plain := func(c rune) rune {
		if c >= 0x7f {
			return '?'
		}
		return c
	}
	return strings.Map(plain, strings.Join(append(hops(r), "1.1 "+t.name), ", "))
}

// admit looks at what is asked for, and counts it; who is admitted leaves.
func (t *Tunnel) admit(r *http.Request, asked string, x *trip) (no *refusal) {
	if list := hops(r); len(list) > maxHops || slices.ContainsFunc(list, func(h string) bool {
		f := strings.Fields(h)
		return len(f) > 1 && f[1] == t.name
	}) {
		return &refusal{http.StatusLoopDetected, proxyLoop, "This request has been at this license gateway before: a proxy sends back what it gets.\nAsk IT to look at the proxy that the gateway uses.\n"}
	}
	if x.target, x.rule, no = x.terms.targets.look(asked); no != nil {
		return no
	}
	return t.enter(x)
}

// failed is the answer to a client who is in a context, and whose target was not reached:
// where one of the two has gone, nothing else is to blame.
func (t *Tunnel) failed(in context.Context, err error, x *trip) *refusal {
	switch {
	case t.ctx.Err() != nil:
		return going()
	case in.Err() != nil:
		return &refusal{http.StatusBadGateway, clientGone, "You have hung up.\n"}
	}
	return blame(err, x)
}

func going() *refusal {
	return &refusal{http.StatusServiceUnavailable, goingAway, "This license gateway is going. Try again.\n"}
}

// blame is the answer to a client whose target could not be reached: which hop is to
// blame, as far as the way out can tell, and whom to ask for what. The rest, accounts
// and proxies among it, is in the log under its id.
func blame(err error, x *trip) *refusal {
	no := &refusal{http.StatusBadGateway, dialFailed, "The license gateway could not connect to " + x.target + "."}
	late := errors.Is(err, context.DeadlineExceeded)
	if late {
		no.status, no.code = http.StatusGatewayTimeout, dialTimeout
	}
	if x.terms.Explain != nil {
		if code, sentence := x.terms.Explain(err, x.target); code != "" {
			no.code, no.text = code, sentence
		}
	}
	if no.code == hostNotAllowed || no.code == privateAddress {
		no.status = http.StatusForbidden
	}
	no.text += "\nThe gateway's log tells which hop failed and why, under " + x.id + ".\n"
	return no
}

// networkShare is the part of all tunnels that a /64 may have: one computer has as many
// addresses in it as it likes, and yet a floor of desktops may be in it.
const networkShare = 4

// enter counts a tunnel.
func (t *Tunnel) enter(x *trip) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return going()
	case t.open >= x.terms.Max:
		return &refusal{http.StatusServiceUnavailable, tooManyTunnels, "This license gateway has as many tunnels open as it may. Try again later.\n"}
	case t.clients[x.client] >= x.terms.PerClient:
		return &refusal{http.StatusTooManyRequests, tooManyTunnels, "Your machine has as many tunnels open as it may. Close some, or try again later.\n"}
	case t.networks[x.network] >= max(x.terms.PerClient, x.terms.Max/networkShare):
		return &refusal{http.StatusTooManyRequests, tooManyTunnels, "The machines of your network have as many tunnels open as they may. Close some, or try again later.\n"}
	}
	t.open++
	t.clients[x.client]++
	t.networks[x.network]++
	t.wg.Add(1)
	return nil
}

func (t *Tunnel) leave(x *trip) {
	t.mu.Lock()
	t.open--
	if t.clients[x.client]--; t.clients[x.client] == 0 {
		delete(t.clients, x.client)
	}
	if t.networks[x.network]--; t.networks[x.network] == 0 {
		delete(t.networks, x.network)
	}
	t.mu.Unlock()
	t.wg.Done()
}

// accept takes the client's connection over, together with what it has sent
// already, and answers exactly what clients of CONNECT expect.
func accept(w http.ResponseWriter, within time.Duration) (net.Conn, []byte, error) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early := make([]byte, buf.Reader.Buffered())
	_, err = buf.Reader.Read(early)
	if len(early) == 0 {
		err = nil
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(within))
	}
	if err == nil {
		_, err = conn.Write([]byte("HTTP/1.1 200 Connection Established\r\n\r\n"))
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, early, nil
}
