// Package proxy is the corporate forward proxy of demonstrations and tests: HTTP CONNECT only, Basic credentials, and a table of names that
// only it can resolve. It tells which source ports it connects from (emulator.OnlyFrom lets in no other), counts what it does, and its link to
// the outside can be cut.
package proxy

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Link is the state of the proxy's own link to the outside.
type Link int

// Links.
const (
	Up        Link = iota // CONNECT is tried
	Down                  // tunnels are closed, CONNECT is answered 502
	BlackHole             // tunnels stay and carry nothing, CONNECT is never answered
)

// Config is what a proxy is made with.
type Config struct {
	Users map[string]string // user name → password; none: the proxy asks nobody
	Realm string            // of the Basic challenge; empty is "proxy"
	Hosts map[string]string // "name:port" as in CONNECT → TCP address; everything else is refused with 403

	// Offers are further challenges, sent before Basic, such as `Negotiate`. With OnlyOffers, Basic is neither offered nor taken.
	Offers     []string
	OnlyOffers bool
	// CloseAfter407 closes the connection after asking for credentials, as some products do.
	CloseAfter407 bool

	// Opened and Closed hear of the source port of each connection to the outside, before the first byte and before its end.
	Opened, Closed func(port int)
}

// Stats counts since the start.
type Stats struct {
	Connects   int   `json:"connects"`   // requests
	Challenged int   `json:"challenged"` // answered 407, for want of credentials
	Rejected   int   `json:"rejected"`   // answered 407, for wrong ones
	Denied     int   `json:"denied"`     // answered 403 or 405
	Failed     int   `json:"failed"`     // answered 502: the link is down or the address does not answer
	Tunnels    int   `json:"tunnels"`    // opened
	Open       int   `json:"open"`       // tunnels now
	BytesUp    int64 `json:"bytes_up"`   // towards the outside
	BytesDown  int64 `json:"bytes_down"`
}

// Proxy is a running proxy.
type Proxy struct {
	cfg Config
	ln  net.Listener
	wg  sync.WaitGroup

	mu      sync.Mutex
	link    Link
	turned  chan struct{}         // closed when link changes
	conns   map[net.Conn]struct{} // all, of both sides
	outside map[net.Conn]struct{} // those of tunnels, of both sides
	stats   Stats
	closed  bool
}

// Start serves on ln until Close. It takes over ln.
func Start(ln net.Listener, cfg Config) *Proxy {
	p := &Proxy{cfg: cfg, ln: ln, turned: make(chan struct{}), conns: map[net.Conn]struct{}{}, outside: map[net.Conn]struct{}{}}
	p.wg.Add(1)
	go p.run()
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Stats is what it has done so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// SetLink cuts the link to the outside, or mends it. Tunnels that Down closed stay closed; those that BlackHole stopped go on.
func (p *Proxy) SetLink(l Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = l
	close(p.turned)
	p.turned = make(chan struct{})
	if l == Down {
		for c := range p.outside {
			c.Close()
		}
	}
}

// Close ends everything, and waits for it.
func (p *Proxy) Close() error {
	err := p.ln.Close()
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.turned)
		p.turned = make(chan struct{})
	}
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}

func (p *Proxy) run() {
	defer p.wg.Done()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		if !p.hold(c) {
			continue
		}
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			defer p.drop(c)
			p.serve(c)
		}()
	}
}

// hold remembers c so that Close can end it; false: it is closed, as the proxy is.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	delete(p.outside, c)
}

func (p *Proxy) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

// serve answers requests of one client until one of them has become a tunnel.
func (p *Proxy) serve(c net.Conn) {
	br := bufio.NewReader(c)
	for {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		c.SetReadDeadline(time.Time{})
		p.count(func(s *Stats) { s.Connects++ })
		if req.Method != http.MethodConnect {
			p.count(func(s *Stats) { s.Denied++ })
			reply(c, "405 Method Not Allowed", "Allow: CONNECT\r\nConnection: close\r\n", "This proxy does CONNECT only.")
			return
		}
		if good, given := p.authorized(req); !good {
			p.count(func(s *Stats) {
				if given {
					s.Rejected++
				} else {
					s.Challenged++
				}
			})
			if !p.challenge(c) {
				return
			}
			continue
		}
		addr, known := p.cfg.Hosts[strings.ToLower(req.Host)]
		if !known {
			p.count(func(s *Stats) { s.Denied++ })
			if reply(c, "403 Forbidden", "Via: 1.1 demo-proxy\r\n", "Blocked by policy: "+req.Host+" is not on the list.") != nil {
				return
			}
			continue
		}
		out, err := p.dial(addr)
		if err != nil {
			p.count(func(s *Stats) { s.Failed++ })
			if reply(c, "502 Bad Gateway", "Via: 1.1 demo-proxy\r\n", "Cannot reach "+req.Host+".") != nil {
				return
			}
			continue
		}
		p.tunnel(c, br, out)
		return
	}
}

// challenge answers 407; false: the connection is over.
func (p *Proxy) challenge(c net.Conn) bool {
	var h strings.Builder
	for _, o := range p.cfg.Offers {
		fmt.Fprintf(&h, "Proxy-Authenticate: %s\r\n", o)
	}
	if !p.cfg.OnlyOffers {
		realm := p.cfg.Realm
		if realm == "" {
			realm = "proxy"
		}
		fmt.Fprintf(&h, "Proxy-Authenticate: Basic realm=%q\r\n", realm)
	}
	if p.cfg.CloseAfter407 {
		h.WriteString("Connection: close\r\n")
	}
	err := reply(c, "407 Proxy Authentication Required", h.String(), "This proxy asks for credentials.")
	return err == nil && !p.cfg.CloseAfter407
}

func reply(c net.Conn, status, header, body string) error {
	_, err := fmt.Fprintf(c, "HTTP/1.1 %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
	return err
}

// authorized checks the credentials, and tells whether there were any.
func (p *Proxy) authorized(req *http.Request) (good, given bool) {
	if len(p.cfg.Users) == 0 && !p.cfg.OnlyOffers {
		return true, false
	}
	value := req.Header.Get("Proxy-Authorization")
	if value == "" {
		return false, false
	}
	as := http.Request{Header: http.Header{"Authorization": {value}}} // BasicAuth reads that one
	user, password, ok := as.BasicAuth()
	want, known := p.cfg.Users[user]
	a, b := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(want))
	return ok && known && !p.cfg.OnlyOffers && subtle.ConstantTimeCompare(a[:], b[:]) == 1, true
}

var errDown = io.ErrClosedPipe

// state is the link now, and a channel that is closed when it changes or the proxy closes.
func (p *Proxy) state() (Link, bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link, p.closed, p.turned
}

// passable waits while the link is a black hole; it says no when the proxy closes or the link is down.
func (p *Proxy) passable() bool {
	for {
		link, closed, turned := p.state()
		switch {
		case closed, link == Down:
			return false
		case link == Up:
			return true
		}
		<-turned
	}
}

func (p *Proxy) dial(addr string) (net.Conn, error) {
	if !p.passable() {
		return nil, errDown
	}
	return net.DialTimeout("tcp", addr, 10*time.Second)
}
