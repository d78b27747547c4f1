package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"sitegate/endpoint"
)

// crowd bounds the connections of a node's doors, all doors together, so that
// the log, the state and the other nodes never want for file descriptors. No
// address (of IPv6, no /64) takes more than half of what there is. Who is one too many is
// closed at once: a client goes to another node then. Where three quarters of either are
// taken, who asks without being known is answered and does not stay (watch): idle strangers
// so give way to those who belong, and keep at most what they hold while nobody wants it.
type crowd struct {
	max, each int
	log       *slog.Logger
	pace      *pace // nil: as fast as they come
	suspects  *pace // of those that strangers are wary of

	mu          sync.Mutex
	open        int
	from        map[netip.Prefix]int // by computer
	told, paced time.Time            // when it was last logged that there are too many, and that one address comes too often

	tooMany, tooOften, unwanted atomic.Uint64 // that were closed
}

const (
	fewFiles  = 1024        // the least that any system allows
	toldEvery = time.Minute // between two lines about a crowd
)

// newCrowd takes three quarters of the files this process may have open.
func newCrowd(log *slog.Logger) *crowd {
	most, pace := mostFiles(), newPace(runtime.GOMAXPROCS(0))
	return &crowd{max: most, each: most / 2, log: log, pace: pace, suspects: newSuspects(), from: map[netip.Prefix]int{}}
}

// mostFiles is how many connections from outside there may be.
func mostFiles() int {
	files := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = fewFiles
	}
	return int(min(max(files.Cur, fewFiles/4), 1<<20)) * 3 / 4
}

// limit is ln without those that are too many. It is closed before the program ends: who
// waits to be let in is then hung up on.
func (c *crowd) limit(ln net.Listener) net.Listener { return c.judged(ln, nil) }

// judged is limit without those either that strangers are wary of. What serves it tells who
// has asked (hear).
func (c *crowd) judged(ln net.Listener, by strangers) net.Listener {
	silent := 0
	if by != nil {
		silent = silentPerCore * runtime.GOMAXPROCS(0)
	}
	l := &limitedListener{Listener: ln, crowd: c, judges: by, queue: newQueue(mostWaiting, silent), failed: make(chan error), closed: make(chan struct{})}
	go l.gather()
	return l
}

// limitedListener takes connections at once, however many there are, and lets them in at the
// crowd's pace.
type limitedListener struct {
	net.Listener
	crowd  *crowd
	judges strangers // nil: nobody is judged
	queue  *queue
	failed chan error // what the listener below could not do
	once   sync.Once
	closed chan struct{}
}

// The bounds of one network's connections. More may wait than come at once from one address,
// and as many be silent inside as a node lets in of one address in half a second.
const (
	mostWaiting   = 8192
	waryWaiting   = 64 // where strangers are wary of it
	silentPerCore = 64
)

// gather takes what comes until the listener is closed.
func (l *limitedListener) gather() {
	for {
		conn, err := l.Listener.Accept()
		switch {
		case err == nil:
			l.take(conn)
			continue
		case errors.Is(err, net.ErrClosed):
			l.Close()
		}
		select {
		case l.failed <- err: // the server waits a moment before it asks again
		case <-l.closed:
			l.queue.close()
			return
		}
	}
}

// take puts one into the queue, or hangs up.
func (l *limitedListener) take(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		l.queue.put(conn, netip.Prefix{})
		return
	}
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	c := l.crowd
	if l.judges != nil && l.judges.Wary(from) && l.queue.count(network(from)) >= waryWaiting {
		c.unwanted.Add(1)
		tcp.SetLinger(0) // nothing was sent, and nothing is to be remembered of it
		conn.Close()
		return
	}
	if p := c.pace; p != nil && !p.admits(endpoint.Computer(from), time.Now()) {
		c.hurried(from)
		conn.Close()
		return
	}
	if !c.enter(from) {
		conn.Close()
		return
	}
	counted := &countedConn{TCPConn: tcp, leave: sync.OnceFunc(func() { c.leave(from) })}
	if !l.queue.put(counted, network(from)) {
		c.tooMany.Add(1)
		counted.Close()
	}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case err := <-l.failed:
			return nil, err
		case <-l.queue.some:
		}
		conn := l.queue.next()
		if conn == nil || !l.welcome(conn) {
			continue
		}
		if p := l.crowd.pace; p != nil {
			p.turn()
		}
		return conn, nil
	}
}

// welcome looks once more at whom it lets in: much may have come of its network since it
// began to wait. False: it was hung up on.
func (l *limitedListener) welcome(conn net.Conn) bool {
	counted, ok := conn.(*countedConn)
	if !ok || l.judges == nil {
		return true
	}
	from := counted.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if now := time.Now(); l.judges.Wary(from) && !l.crowd.suspects.admits(network(from), now) {
		l.crowd.unwanted.Add(1)
		counted.SetLinger(0)
		counted.Close()
		l.queue.left(network(from))
		return false
	}
	counted.watched = &watched{from: from, since: time.Now(), judges: l.judges, queue: l.queue}
	return true
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (c *crowd) enter(from netip.Addr) bool {
	one := endpoint.Computer(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open < c.max && c.from[one] < c.each {
		c.open++
		c.from[one]++
		return true
	}
	c.tooMany.Add(1)
	if now := time.Now(); now.Sub(c.told) >= toldEvery {
		c.told = now
		c.log.Warn("too many connections: new ones are closed", "open", c.open, "most", c.max, "from", from.String(), "from_it", c.from[one], "most_of_one", c.each)
	}
	return false
}

// hurried notes that one was closed because its address comes too often.
func (c *crowd) hurried(from netip.Addr) {
	c.tooOften.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.paced) >= toldEvery {
		c.paced = now
		c.log.Warn("one address connects too often: its new connections are closed", "from", from.String(), "per_second", c.pace.each.PerSecond, "at_once", c.pace.each.Burst, "closed", c.tooOften.Load())
	}
}

// measure tells to how many connections were closed at once.
func (c *crowd) measure(to prometheus.Registerer) {
	for why, n := range map[string]*atomic.Uint64{"too-many": &c.tooMany, "too-often": &c.tooOften, "junk": &c.unwanted} {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sitegate_connections_closed_total", ConstLabels: prometheus.Labels{"why": why},
			Help: "New connections that were closed at once: too-many are open, their address connects too-often, or too much junk comes from its network."}, func() float64 { return float64(n.Load()) }))
	}
}

func (c *crowd) leave(from netip.Addr) {
	one := endpoint.Computer(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.from[one]--; c.from[one] == 0 {
		delete(c.from, one)
	}
}

// tight reports whether more than three quarters of all there may be are open, or of those
// that may be from where an address is.
func (c *crowd) tight(from netip.Addr) bool {
	one := endpoint.Computer(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open > c.max*3/4 || c.from[one] > c.each*3/4
}

// watch has a server's requests know whether it is tight where they come from. It is called
// before the server serves, and after whoever else sets its ConnContext.
func (c *crowd) watch(srv *http.Server) {
	before := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if before != nil {
			ctx = before(ctx, conn)
		}
		tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
		if !ok {
			return ctx
		}
		from := tcp.AddrPort().Addr()
		return endpoint.WithCrowded(ctx, func() bool { return c.tight(from) })
	}
}

// countedConn leaves the crowd when it is closed. It stays a TCP connection, so
// that the kernel can splice a tunnel.
type countedConn struct {
	*net.TCPConn
	leave func()
	// beforeWrite is called before the next Write, and then forgotten; nil: nothing is.
	beforeWrite atomic.Pointer[func()]
	watched     *watched // nil: nobody wants to know whether it asks for anything
}

func (c *countedConn) Write(b []byte) (int, error) {
	if c.beforeWrite.Load() != nil {
		if f := c.beforeWrite.Swap(nil); f != nil {
			(*f)()
		}
	}
	return c.TCPConn.Write(b)
}

func (c *countedConn) Close() error {
	defer c.leave()
	if c.watched != nil {
		c.watched.closed()
	}
	return c.TCPConn.Close()
}

// serverLog takes what net/http has to say. That it cannot accept connections,
// an operator must hear; all the rest anybody outside can cause at will.
type serverLog struct {
	log  *slog.Logger
	door string
}

func (s serverLog) Write(b []byte) (int, error) {
	level, text := slog.LevelDebug, strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "http: Accept error") {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "server", "door", s.door, "err", text)
	return len(b), nil
}
