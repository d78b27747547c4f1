package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// crowd bounds the connections of a node's doors, all doors together, so that
// the log, the state and the other nodes never want for file descriptors. No
// address takes more than half of what there is. Who is one too many is closed at
// once: a client goes to another node then.
type crowd struct {
	max, each int
	log       *slog.Logger
	pace      *pace // nil: as fast as they come

	mu          sync.Mutex
	open        int
	from        map[netip.Addr]int
	told, paced time.Time // when it was last logged that there are too many, and that one address comes too often

	tooMany, tooOften atomic.Uint64 // that were closed
}

const (
	fewFiles  = 1024        // the least that any system allows
	toldEvery = time.Minute // between two lines about a crowd
)

// newCrowd takes three quarters of the files this process may have open.
func newCrowd(log *slog.Logger) *crowd {
	most := mostFiles()
	return &crowd{max: most, each: most / 2, log: log, pace: newPace(), from: map[netip.Addr]int{}}
}

// mostFiles is how many connections from outside there may be.
func mostFiles() int {
	files := unix.Rlimit{}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = fewFiles
	}
	return int(min(max(files.Cur, fewFiles/4), 1<<20)) * 3 / 4
}

// limit is ln without those that are too many.
func (c *crowd) limit(ln net.Listener) net.Listener { return &limitedListener{ln, c} }

type limitedListener struct {
	net.Listener
	crowd *crowd
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil
		}
		from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if p := l.crowd.pace; p != nil && !p.admits(from, time.Now()) {
			l.crowd.hurried(from)
			conn.Close()
			continue
		}
		if l.crowd.enter(from) {
			if p := l.crowd.pace; p != nil {
				p.turn()
			}
			return &countedConn{TCPConn: tcp, leave: sync.OnceFunc(func() { l.crowd.leave(from) })}, nil
		}
		conn.Close()
	}
}

func (c *crowd) enter(from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open < c.max && c.from[from] < c.each {
		c.open++
		c.from[from]++
		return true
	}
	c.tooMany.Add(1)
	if now := time.Now(); now.Sub(c.told) >= toldEvery {
		c.told = now
		c.log.Warn("too many connections: new ones are closed", "open", c.open, "most", c.max, "from", from.String(), "from_it", c.from[from], "most_of_one", c.each)
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
	for why, n := range map[string]*atomic.Uint64{"too-many": &c.tooMany, "too-often": &c.tooOften} {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "sitegate_connections_closed_total", ConstLabels: prometheus.Labels{"why": why},
			Help: "New connections that were closed at once: too-many are open, or their address connects too-often."}, func() float64 { return float64(n.Load()) }))
	}
}

func (c *crowd) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.from[from]--; c.from[from] == 0 {
		delete(c.from, from)
	}
}

// countedConn leaves the crowd when it is closed. It stays a TCP connection, so
// that the kernel can splice a tunnel.
type countedConn struct {
	*net.TCPConn
	leave func()
}

func (c *countedConn) Close() error {
	defer c.leave()
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
