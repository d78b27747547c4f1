package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"sitegate/license"
)

// Dialer opens connections the site's one way out; of a proxied route it passes
// the name on and resolves nothing.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// TunnelConfig is what the CONNECT door is made of. Dialer and Allow are needed;
// zero limits take the defaults.
type TunnelConfig struct {
	Dialer Dialer
	// Explain says what an error of Dialer's means for a target: a stable code, and a
	// sentence for the person at the desktop, which names no account. An empty code: it
	// cannot tell. Nil: it never can.
	Explain func(err error, target string) (code, sentence string)
	// Allow are the only targets: exact "host:port" pairs, names, not addresses.
	Allow []string
	// Clients are the networks the door is open to; nil: loopback.
	Clients   []netip.Prefix
	Max       int           // tunnels at once: default 1000
	PerClient int           // tunnels at once from one address: default 64
	Handshake time.Duration // to open one: default 10 s
	Idle      time.Duration // without a byte: default 10 min
	Life      time.Duration // of one tunnel: default 12 h
}

// Tunnel is the CONNECT door: desktops sign in at the vendor's hosts through it
// where they have no way out of their own. It belongs on a plain HTTP listener
// and carries bytes it cannot read, to hosts that are on its list and nowhere
// else. The list is looked at first and always, on whatever way the connection
// then takes.
type Tunnel struct {
	cfg     TunnelConfig
	allow   map[string]bool
	log     *slog.Logger
	lines   *rate.Limiter // of the log, about what is refused
	metrics *metrics
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	open    int
	clients map[string]int
}

// Tunnel makes the CONNECT door. An entry of the list that could never match, or
// that is an address, is an error.
func (e *Endpoint) Tunnel(cfg TunnelConfig) (*Tunnel, error) {
	t := &Tunnel{cfg: cfg, allow: map[string]bool{}, log: e.log, lines: e.lines, metrics: e.metrics, clients: map[string]int{}}
	if cfg.Dialer == nil {
		return nil, errors.New("tunnel: Dialer must be set")
	}
	for _, entry := range cfg.Allow {
		target, err := parseTarget(entry)
		if err != nil {
			return nil, fmt.Errorf("tunnel: the allowed target %q: %w", entry, err)
		}
		t.allow[target] = true
	}
	if t.cfg.Clients == nil {
		t.cfg.Clients = Loopback()
	}
	fallback(&t.cfg.Max, 1000)
	fallback(&t.cfg.PerClient, 64)
	fallback(&t.cfg.Handshake, 10*time.Second)
	fallback(&t.cfg.Idle, 10*time.Minute)
	fallback(&t.cfg.Life, 12*time.Hour)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

func fallback[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
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

// hostNotAllowed is the code of a target that is denied here, by the list or by a route.
const hostNotAllowed = "host_not_allowed"

// refusal is an answer of the door: a page for a person, and a word for a program.
type refusal struct {
	status int
	code   string
	text   string
}

// ServeHTTP opens a tunnel, or says why not: never 407, which would make clients
// ask for a password that there is none of.
func (t *Tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hurry(w, r)
	id, begun := requestID(r), time.Now()
	w.Header().Set("X-Request-Id", id)
	target, no := t.check(r)
	if no == nil {
		no = t.enter(host(r.RemoteAddr))
	}
	if no != nil {
		t.refuse(w, r, id, no, nil)
		return
	}
	defer t.leave(host(r.RemoteAddr))

	ctx, cancel := context.WithTimeout(r.Context(), t.cfg.Handshake)
	stop := context.AfterFunc(t.ctx, cancel)
	up, err := t.cfg.Dialer.Dial(ctx, "tcp", target)
	stop()
	cancel()
	if err != nil {
		t.refuse(w, r, id, t.blame(err, target, id), err)
		return
	}
	defer up.Close()
	dialled := time.Since(begun)
	down, early, err := t.accept(w)
	if err != nil {
		t.metrics.tunnels.WithLabelValues("hijack_failed").Inc()
		t.log.Warn("tunnel refused", "id", id, "client", host(r.RemoteAddr), "host", target, "reason", "hijack_failed", "err", err)
		return
	}
	defer down.Close()
	t.metrics.tunnels.WithLabelValues("opened").Inc()
	t.metrics.open.Inc()
	p := &pipe{down: down, up: up, idle: t.cfg.Idle, life: t.cfg.Life}
	p.run(t.ctx, early)
	t.metrics.open.Dec()
	t.metrics.tunnelled.WithLabelValues("up").Add(float64(p.sent))
	t.metrics.tunnelled.WithLabelValues("down").Add(float64(p.received))
	t.log.Info("tunnel closed", "id", id, "client", host(r.RemoteAddr), "host", target, "up", p.sent, "down", p.received,
		"by", up.RemoteAddr().String(), "dial_ms", dialled.Milliseconds(), "ms", time.Since(begun).Milliseconds(), "reason", p.reason)
}

// blame is the answer to a client whose target could not be reached: which hop is to
// blame, as far as the way out can tell, and whom to ask for what. The rest, accounts
// and proxies among it, is in the log under id.
func (t *Tunnel) blame(err error, target, id string) *refusal {
	no := &refusal{http.StatusBadGateway, "dial_failed", "The license gateway could not connect to " + target + "."}
	late := errors.Is(err, context.DeadlineExceeded)
	if late {
		no.status, no.code = http.StatusGatewayTimeout, "dial_timeout"
	}
	if t.cfg.Explain != nil {
		if code, sentence := t.cfg.Explain(err, target); code != "" {
			no.code, no.text = code, sentence
		}
	}
	if no.code == hostNotAllowed {
		no.status = http.StatusForbidden
	}
	no.text += "\nThe gateway's log tells which hop failed and why, under " + id + ".\n"
	return no
}

// check looks at who asks, and for what.
func (t *Tunnel) check(r *http.Request) (target string, no *refusal) {
	if !within(t.cfg.Clients, r.RemoteAddr) {
		return "", &refusal{http.StatusForbidden, "client_not_allowed",
			"This license gateway does not take connections from your network.\nAsk IT to add it to the gateway's client networks.\n"}
	}
	if r.Method != http.MethodConnect {
		return "", &refusal{http.StatusMethodNotAllowed, "method_not_allowed",
			"This is the CONNECT door of the license gateway; it is no general proxy.\n"}
	}
	target, err := parseTarget(r.RequestURI)
	if err != nil {
		return "", &refusal{http.StatusForbidden, hostNotAllowed, "The license gateway connects to names on its list only: " + err.Error() + ".\n"}
	}
	if !t.allow[target] {
		return "", &refusal{http.StatusForbidden, hostNotAllowed, target + " is not on this license gateway's list.\n" +
			"If the licensing client needs it, ask IT to add \"" + target + "\" to the gateway's allowed hosts.\n"}
	}
	return target, nil
}

// enter counts a tunnel.
func (t *Tunnel) enter(client string) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return &refusal{http.StatusServiceUnavailable, "closing", "This license gateway is going. Try again.\n"}
	case t.open >= t.cfg.Max:
		return &refusal{http.StatusServiceUnavailable, "too_many_tunnels", "This license gateway has as many tunnels open as it may. Try again later.\n"}
	case t.clients[client] >= t.cfg.PerClient:
		return &refusal{http.StatusTooManyRequests, "too_many_tunnels", "Your machine has as many tunnels open as it may. Close some, or try again later.\n"}
	}
	t.open++
	t.clients[client]++
	t.wg.Add(1)
	return nil
}

func (t *Tunnel) leave(client string) {
	t.mu.Lock()
	t.open--
	if t.clients[client]--; t.clients[client] == 0 {
		delete(t.clients, client)
	}
	t.mu.Unlock()
	t.wg.Done()
}

func (t *Tunnel) refuse(w http.ResponseWriter, r *http.Request, id string, no *refusal, cause error) {
	t.metrics.tunnels.WithLabelValues(no.code).Inc()
	attrs := []any{"id", id, "client", host(r.RemoteAddr), "host", printable(r.RequestURI), "status", no.status, "reason", no.code}
	if cause != nil {
		attrs = append(attrs, "err", cause)
	}
	level := slog.LevelWarn
	if !t.lines.Allow() {
		level = slog.LevelDebug
	}
	t.log.Log(r.Context(), level, "tunnel refused", attrs...)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Sitegate-Error", no.code)
	switch no.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodConnect)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(no.status)
	fmt.Fprint(w, no.text)
}

// accept takes the client's connection over, together with what it has sent
// already, and answers exactly what clients of CONNECT expect.
func (t *Tunnel) accept(w http.ResponseWriter) (net.Conn, []byte, error) {
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
		err = conn.SetDeadline(time.Now().Add(t.cfg.Handshake))
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

// parseTarget reads the target of a CONNECT: a name and a port, in lower case and
// without the dot that may end a full name. Addresses in any form, credentials
// and odd characters are refused.
func parseTarget(s string) (string, error) {
	const shape = "the target must be name:port"
	if len(s) > license.MaxName || strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || r == 0x7f }) {
		return "", errors.New(shape)
	}
	name, port, err := net.SplitHostPort(s)
	if err != nil || strings.HasPrefix(s, "[") {
		return "", errors.New(shape)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return "", errors.New(shape)
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return "", errors.New(shape)
		}
	}
	// A name whose last label is a number is an address to some: 10.0.0.1, but also
	// 167772161, 0xa000001 and 10.1.
	last := name[strings.LastIndexByte(name, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return "", errors.New("an address is no name")
	}
	return name + ":" + port, nil
}
