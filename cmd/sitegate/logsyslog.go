package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"sitegate/configs"
)

// syslogTarget hands lines to a syslog server, from a goroutine of its own: by RFC 5424 over the
// network, in datagrams (RFC 5426), or over TCP and TLS by octet counting (RFC 6587, RFC 5425);
// by what syslog(3) writes to the socket of this machine's own, which is all that journald
// reads (RFC 3164, section 5.4). It holds nobody up. While the server is away lines wait, as many as there is
// room for; what comes then is lost, counted, and told once on the standard error, and to
// the server when it is back.
type syslogTarget struct {
	log              configs.Log
	network, address string
	tls              *tls.Config // of network tls
	header           string      // what is the same in each message: what follows its time
	stderr           io.Writer
	lost             *atomic.Uint64

	first   time.Duration // until it is tried again; then twice that, …
	flush   time.Duration // for what waits when the node ends
	lines   chan []byte
	waiting atomic.Int64 // bytes in lines
	away    atomic.Bool  // lines were lost since the server last took one
	unsaid  atomic.Uint64
	over    context.Context
	end     context.CancelFunc
	closing chan struct{}
	done    chan struct{}
}

const (
	syslogLines    = 16_384
	syslogBytes    = 8 << 20 // that wait
	syslogLine     = 8000    // of a message; more is cut off, as rsyslog does from 8,096 bytes on wherever that is
	syslogDatagram = 2 << 10 // the same over UDP
	syslogTime     = 10 * time.Second
	syslogFlush    = 3 * time.Second
	syslogFirst    = time.Second
	syslogLast     = 30 * time.Second

	facilityDaemon = 3
)

// openSyslog begins to hand lines over. The server need not be there yet.
func openSyslog(c configs.Log, stderr io.Writer, lost *atomic.Uint64) (*syslogTarget, error) {
	s, err := newSyslog(c, stderr, lost)
	if err == nil {
		go s.run()
	}
	return s, err
}

func newSyslog(c configs.Log, stderr io.Writer, lost *atomic.Uint64) (*syslogTarget, error) {
	s := &syslogTarget{log: c, stderr: stderr, lost: lost, first: syslogFirst, flush: syslogFlush, lines: make(chan []byte, syslogLines), closing: make(chan struct{}), done: make(chan struct{})}
	s.network, s.address = c.SyslogServer()
	if s.network == "tls" {
		host, _, _ := net.SplitHostPort(s.address)
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
		if c.SyslogCAFile != "" {
			pem, err := os.ReadFile(c.SyslogCAFile)
			if err != nil {
				return nil, fmt.Errorf("reading who vouches for the log server (log.syslog_ca_file): %w", err)
			}
			if s.tls.RootCAs = x509.NewCertPool(); !s.tls.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("log.syslog_ca_file: %s holds no certificate in PEM form", c.SyslogCAFile)
			}
		}
	}
	host, err := os.Hostname()
	if err != nil || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) || len(host) > 255 {
		host = "-"
	}
	s.header = fmt.Sprintf(" %s sitegate %d - - ", host, os.Getpid())
	if s.network == "unix" {
		s.header = fmt.Sprintf(" sitegate[%d]: ", os.Getpid())
	}
	s.over, s.end = context.WithCancel(context.Background())
	return s, nil
}

// handler is what the log goes by. The time is in the message's header, so the line has none.
func (s *syslogTarget) handler(c configs.Log) slog.Handler {
	to := &syslogLineOf{s: s}
	return &syslogHandler{c.Handler(&to.b, withoutTime), to}
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// lacks tells the server how many lines it lacks, in the log's format.
func (s *syslogTarget) lacks(n uint64) []byte {
	var b bytes.Buffer
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "lines of the log were lost while its server was away", 0)
	r.Add("lines", n)
	_ = s.log.Handler(&b, withoutTime).Handle(s.over, r) // into memory
	return s.message(r.Level, r.Time, bytes.TrimRight(b.Bytes(), "\n"))
}

// syslogLineOf is the line that is being made.
type syslogLineOf struct {
	s  *syslogTarget
	mu sync.Mutex
	b  bytes.Buffer
}

type syslogHandler struct {
	slog.Handler // writes into to.b
	to           *syslogLineOf
}

// Handle makes a message of a record.
func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	h.to.mu.Lock()
	defer h.to.mu.Unlock()
	h.to.b.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	h.to.s.put(h.to.s.message(r.Level, r.Time, bytes.TrimRight(h.to.b.Bytes(), "\n")))
	return nil
}

// WithAttrs is a handler with more to say each time.
func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &syslogHandler{h.Handler.WithAttrs(attrs), h.to}
}

// WithGroup is a handler whose attributes belong together.
func (h *syslogHandler) WithGroup(name string) slog.Handler {
	return &syslogHandler{h.Handler.WithGroup(name), h.to}
}

// message is a message of RFC 5424, or for the machine's own server of syslog(3).
func (s *syslogTarget) message(level slog.Level, at time.Time, text []byte) []byte {
	severity := 7
	switch {
	case level >= slog.LevelError:
		severity = 3
	case level >= slog.LevelWarn:
		severity = 4
	case level >= slog.LevelInfo:
		severity = 6
	}
	if at.IsZero() {
		at = time.Now()
	}
	m := make([]byte, 0, 64+len(s.header)+len(text))
	m = append(m, '<')
	m = strconv.AppendInt(m, int64(facilityDaemon*8+severity), 10)
	if s.network == "unix" {
		m = append(m, '>')
		m = at.Local().AppendFormat(m, time.Stamp)
	} else {
		m = append(m, ">1 "...)
		m = at.UTC().AppendFormat(m, "2006-01-02T15:04:05.000000Z")
	}
	m = append(m, s.header...)
	m = append(m, text...)
	most := syslogLine
	if s.network == "udp" {
		most = syslogDatagram
	}
	if len(m) <= most {
		return m
	}
	for !utf8.RuneStart(m[most]) {
		most--
	}
	return m[:most]
}

// put has a message wait to be handed over, if there is room.
func (s *syslogTarget) put(m []byte) {
	size := int64(len(m))
	if s.waiting.Add(size) <= syslogBytes {
		select {
		case s.lines <- m:
			return
		default:
		}
	}
	s.waiting.Add(-size)
	s.lose(1)
}

// lose counts what is lost, and says so the first time.
func (s *syslogTarget) lose(n uint64) {
	s.lost.Add(n)
	s.unsaid.Add(n)
	if !s.away.Swap(true) {
		tell(s.stderr, "the log server %s does not take the log, and lines of it are lost until it does", s.address)
	}
}

// run hands messages over until close.
func (s *syslogTarget) run() {
	defer close(s.done)
	var conn *syslogConn
	defer func() {
		if conn != nil {
			_ = conn.Close() // all that could be was written
		}
	}()
	wait := s.first
	for {
		var m []byte
		select {
		case m = <-s.lines:
		case <-s.closing:
			select {
			case m = <-s.lines:
			default:
				return
			}
		}
		for {
			var err error
			if conn == nil {
				conn, err = s.dial()
			}
			if err == nil && !conn.gone.Load() && s.write(conn, m) == nil {
				break
			}
			if conn != nil {
				_ = conn.Close() // it is broken
				conn = nil
			}
			if s.over.Err() != nil { // there was time enough
				s.lose(1 + uint64(len(s.lines)))
				return
			}
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-s.over.Done():
			}
			t.Stop()
			wait = min(2*wait, syslogLast)
		}
		wait = s.first
		s.waiting.Add(-int64(len(m)))
		if len(s.lines) > 0 { // there may not be room enough yet
			continue
		}
		if n := s.unsaid.Swap(0); n > 0 {
			s.away.Store(false)
			s.put(s.lacks(n))
		}
	}
}

// syslogConn is a connection to the server. Over TCP a server that has gone is only noticed
// by what comes from it, which is nothing otherwise.
type syslogConn struct {
	net.Conn
	gone atomic.Bool
}

// dial connects, within the time that there is.
func (s *syslogTarget) dial() (*syslogConn, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	c := &syslogConn{Conn: conn}
	if s.network == "tcp" || s.network == "tls" {
		go func() { // until it is closed, by either
			_, _ = io.Copy(io.Discard, conn)
			c.gone.Store(true)
		}()
	}
	return c, nil
}

func (s *syslogTarget) connect() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.over, syslogTime)
	defer cancel()
	network := s.network
	switch network {
	case "unix":
		network = "unixgram"
	case "tls":
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, s.address)
}

// write writes a message, as the network has it.
func (s *syslogTarget) write(conn net.Conn, m []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(syslogTime)); err != nil {
		return err
	}
	// The end comes after it, and is not put off by it.
	stop := context.AfterFunc(s.over, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if s.network == "tcp" || s.network == "tls" {
		m = append(strconv.AppendInt(make([]byte, 0, len(m)+8), int64(len(m)), 10), append([]byte{' '}, m...)...)
	}
	_, err := conn.Write(m)
	return err
}

// close gives what waits a moment.
func (s *syslogTarget) close() {
	late := time.AfterFunc(s.flush, s.end)
	close(s.closing)
	<-s.done
	late.Stop()
	s.end()
}
