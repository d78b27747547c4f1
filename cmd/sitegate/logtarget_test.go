package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/configs"
	"sitegate/siteca"
)

// linesIn are the lines of a file.
func linesIn(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestALogFileIsPutAsideWhenItIsFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sitegate.log")
	var stderr bytes.Buffer
	var lost atomic.Uint64
	l, err := openLogFile(path, 100, 2, &stderr, &lost)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 35 {
		if _, err := fmt.Fprintf(l, "line %04d\n", n); err != nil { // of ten bytes
			t.Fatal(err)
		}
	}
	l.close()
	for file, first := range map[string]string{path: "line 0030", path + ".1": "line 0020", path + ".2": "line 0010"} {
		if got := linesIn(t, file); got[0] != first || len(got) > 10 {
			t.Errorf("%s begins with %q and has %d lines, want %q", file, got[0], len(got), first)
		}
		if about, err := os.Stat(file); err != nil || about.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want it for this user's eyes", file, about.Mode(), err)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("three are kept, want two")
	}
	if lost.Load() != 0 || stderr.Len() != 0 {
		t.Errorf("%d lines lost: %s", lost.Load(), stderr.String())
	}

	// What it goes on in is not longer than it may be.
	if l, err = openLogFile(path, 55, 0, &stderr, &lost); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "line 0035\n")
	l.close()
	if got := linesIn(t, path); len(got) != 1 || got[0] != "line 0035" {
		t.Errorf("got %q, want the last line alone", got)
	}
}

// A log that cannot be put aside, as where the folder is somebody else's, grows: nothing is lost
// of it nor of those of before, and that is told once.
func TestALogFileThatCannotBePutAsideGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sitegate.log")
	if err := os.MkdirAll(filepath.Join(path+".1", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	var lost atomic.Uint64
	l, err := openLogFile(path, 100, 1, &stderr, &lost)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for n := range 55 {
		fmt.Fprintf(l, "line %04d\n", n)
	}
	if got := linesIn(t, path); len(got) != 55 || lost.Load() != 0 {
		t.Errorf("%d lines, and %d lost; want 55", len(got), lost.Load())
	}
	if n := strings.Count(stderr.String(), "cannot be put aside"); n != 1 {
		t.Errorf("it is told %d times, want once: %s", n, stderr.String())
	}
	if err := os.RemoveAll(path + ".1"); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		fmt.Fprintf(l, "more %04d\n", n)
	}
	if got := linesIn(t, path+".1"); len(got) < 55 {
		t.Errorf("%d lines are put aside once they can be, want 55 and more", len(got))
	}
}

func TestALogFileIsOpenedAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sitegate.log")
	var stderr bytes.Buffer
	var lost atomic.Uint64
	l, err := openLogFile(path, 1<<20, 1, &stderr, &lost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	io.WriteString(l, "one\n")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "two\n")
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "three\n")
	if got := linesIn(t, path+".old"); len(got) != 2 || got[1] != "two" {
		t.Errorf("the old one has %q", got)
	}
	if got := linesIn(t, path); len(got) != 1 || got[0] != "three" {
		t.Errorf("the new one has %q", got)
	}
	if lost.Load() != 0 || stderr.Len() != 0 {
		t.Errorf("%d lines lost: %s", lost.Load(), stderr.String())
	}
}

// A log that cannot be written stops nobody: what is lost is counted, and told once.
func TestALogFileThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sitegate.log")
	var stderr bytes.Buffer
	var lost atomic.Uint64
	l, err := openLogFile(path, 1, 0, &stderr, &lost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "one\n") // into the file that is gone
	for range 3 {
		if n, err := io.WriteString(l, "two\nthree\n"); n != 10 || err != nil {
			t.Errorf("got %d, %v; want it taken", n, err)
		}
	}
	if lost.Load() != 6 || strings.Count(stderr.String(), "lines of it are lost") != 1 {
		t.Errorf("%d lines lost, told as %q", lost.Load(), stderr.String())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	io.WriteString(l, "four\n")
	if got := linesIn(t, path); got[0] != "four" || lost.Load() != 6 {
		t.Errorf("got %q, %d lost; want it to go on", got, lost.Load())
	}
	if _, err := openLogFile(filepath.Join(path, "x"), 1, 0, &stderr, &lost); err == nil || !strings.Contains(err.Error(), "log.file") {
		t.Errorf("got %v, want that it cannot be opened", err)
	}
}

// ownSyslog is a message's form for the machine's own server, rfc5424 for the others.
var ownSyslog = regexp.MustCompile(`^<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d sitegate\[\d+\]: (.*)$`)
var rfc5424 = regexp.MustCompile(`^<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ sitegate \d+ - - (.*)$`)

// syslogServer takes messages, and gives them out one by one.
type syslogServer struct {
	t        *testing.T
	c        configs.Log
	messages chan string
	hangUp   atomic.Int32 // connections that it ends at once
}

// next is the next message's priority and text.
func (s *syslogServer) next() (priority int, text string) {
	s.t.Helper()
	select {
	case m := <-s.messages:
		form := rfc5424
		if strings.HasPrefix(s.c.Syslog, "unix:") {
			form = ownSyslog
		}
		parts := form.FindStringSubmatch(m)
		if parts == nil {
			s.t.Fatalf("%q is no message of the form %v", m, form)
		}
		priority, _ = strconv.Atoi(parts[1])
		return priority, parts[2]
	case <-time.After(time.Minute):
		s.t.Fatal("no message came in a minute")
	}
	return 0, ""
}

// accept takes messages by octet counting.
func (s *syslogServer) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		if s.hangUp.Add(-1) >= 0 {
			conn.Close()
			continue
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReader(conn)
			for {
				size, err := r.ReadString(' ')
				n, bad := strconv.Atoi(strings.TrimSpace(size))
				if err != nil || bad != nil {
					return
				}
				b := make([]byte, n)
				if _, err := io.ReadFull(r, b); err != nil {
					return
				}
				s.messages <- string(b)
			}
		}()
	}
}

func (s *syslogServer) datagrams(conn net.PacketConn) {
	b := make([]byte, 64<<10)
	for {
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		s.messages <- string(b[:n])
	}
}

// newSyslogServer listens on this machine.
func newSyslogServer(t *testing.T, network string) *syslogServer {
	t.Helper()
	s := &syslogServer{t: t, c: configs.Default().Log, messages: make(chan string, 2*syslogLines)} // which none of the tests fills
	s.c.Target = configs.LogSyslog
	listen := func(network, at string) net.Listener {
		ln, err := net.Listen(network, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln
	}
	packets := func(network, at string) net.PacketConn {
		conn, err := net.ListenPacket(network, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		go s.datagrams(conn)
		return conn
	}
	switch network {
	case "unix":
		dir, err := os.MkdirTemp("", "log") // a socket's path is to be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		path := filepath.Join(dir, "log")
		packets("unixgram", path)
		s.c.Syslog = "unix://" + path
	case "udp":
		s.c.Syslog = "udp://" + packets("udp", "127.0.0.1:0").LocalAddr().String()
	case "tcp":
		ln := listen("tcp", "127.0.0.1:0")
		go s.accept(ln)
		s.c.Syslog = "tcp://" + ln.Addr().String()
	case "tls":
		ca, err := siteca.New("logs", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		cert, key, err := ca.Issue("logs", []string{"127.0.0.1"}, false, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		s.c.SyslogCAFile = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(s.c.SyslogCAFile, ca.CertPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		ln := listen("tcp", "127.0.0.1:0")
		go s.accept(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
		s.c.Syslog = "tls://" + ln.Addr().String()
	}
	return s
}

func TestTheLogGoesToSyslog(t *testing.T) {
	for _, network := range []string{"unix", "udp", "tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			s := newSyslogServer(t, network)
			var stderr bytes.Buffer
			var lost atomic.Uint64
			to, err := newSyslog(s.c, &stderr, &lost)
			if err != nil {
				t.Fatal(err)
			}
			to.flush = time.Minute
			go to.run()
			log := slog.New(to.handler(s.c)).With("node", "n1")
			for _, c := range []struct {
				say      func(string, ...any)
				priority int
			}{{log.Error, 27}, {log.Warn, 28}, {log.Info, 30}, {log.WithGroup("g").Info, 30}} {
				c.say("something has happened", "user", "Ädä\nb")
				priority, text := s.next()
				if priority != c.priority || !strings.Contains(text, `msg="something has happened" node=n1`) || !strings.Contains(text, `user="Ädä\nb"`) || strings.Contains(text, "time=") {
					t.Errorf("got <%d> %q, want <%d>", priority, text, c.priority)
				}
			}
			log.Debug("not this")
			log.Info(strings.Repeat("x", 100_000))
			if _, text := s.next(); !strings.Contains(text, "xxx") || len(text) > syslogLine {
				t.Errorf("%d bytes came of a long line", len(text))
			}
			log.Info("the last")
			to.close()
			if _, text := s.next(); !strings.Contains(text, "the last") {
				t.Errorf("got %q, want what was said last", text)
			}
			if lost.Load() != 0 || stderr.Len() != 0 {
				t.Errorf("%d lines lost: %s", lost.Load(), stderr.String())
			}

			// So it does by what the configuration says.
			opened, err := openLog(s.c, &stderr)
			if err != nil {
				t.Fatal(err)
			}
			slog.New(opened.handler).Info("by the configuration")
			if _, text := s.next(); !strings.Contains(text, "by the configuration") {
				t.Errorf("got %q, want what was said", text)
			}
			opened.close()
		})
	}
}

// A server that is away, or takes nothing, holds nobody up: what there is no room for is
// lost, counted and told once; when it is back it gets what waited, and how much it lacks.
func TestALogServerThatIsAwayHoldsNobodyUp(t *testing.T) {
	server := newSyslogServer(t, "tls") // so that one that hangs up is noticed before anything is sent
	server.hangUp.Store(3)
	c := server.c
	var stderr bytes.Buffer
	var lost atomic.Uint64
	s, err := newSyslog(c, &stderr, &lost)
	if err != nil {
		t.Fatal(err)
	}
	s.first, s.flush = time.Millisecond, time.Minute
	log := slog.New(s.handler(c))
	const more = 100
	for n := range syslogLines + more { // none is taken out yet
		log.Info("line", "n", n)
	}
	if lost.Load() != more || strings.Count(stderr.String(), "does not take the log") != 1 {
		t.Errorf("%d lines lost, told as %q; want %d, told once", lost.Load(), stderr.String(), more)
	}
	go s.run()
	for n := range syslogLines {
		if _, text := server.next(); !strings.HasSuffix(text, fmt.Sprintf("n=%d", n)) {
			t.Fatalf("got %q, want line %d", text, n)
		}
	}
	if priority, text := server.next(); priority != 28 || !strings.Contains(text, fmt.Sprintf("lines=%d", more)) {
		t.Errorf("got %q, want how many lines it lacks", text)
	}
	s.close()
}

// That lines were lost is told in the format of the log, so that who reads JSON can read it.
func TestALogServerIsToldWhatItLacksInTheLogsFormat(t *testing.T) {
	for format, want := range map[string]string{
		"text": `level=WARN msg="lines of the log were lost while its server was away" lines=3`,
		"json": `{"level":"WARN","msg":"lines of the log were lost while its server was away","lines":3}`,
	} {
		server := newSyslogServer(t, "tcp")
		server.c.Format = format
		var stderr bytes.Buffer
		var lost atomic.Uint64
		s, err := newSyslog(server.c, &stderr, &lost)
		if err != nil {
			t.Fatal(err)
		}
		s.flush = time.Minute
		s.lose(3)
		go s.run()
		slog.New(s.handler(server.c)).Info("it is back")
		if _, text := server.next(); !strings.Contains(text, "it is back") {
			t.Errorf("%s: got %q, want the line that was said", format, text)
		}
		if priority, text := server.next(); priority != 28 || text != want {
			t.Errorf("%s: got <%d> %s, want <28> %s", format, priority, text, want)
		}
		s.close()
	}
}

// A node ends although the log server takes nothing.
func TestALogServerThatTakesNothingKeepsNobodyFromEnding(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() }) // it accepts nothing, and reads nothing
	c := configs.Default().Log
	c.Target, c.Syslog = configs.LogSyslog, "tcp://"+ln.Addr().String()
	var stderr bytes.Buffer
	var lost atomic.Uint64
	to, err := newSyslog(c, &stderr, &lost)
	if err != nil {
		t.Fatal(err)
	}
	to.flush = time.Millisecond
	go to.run()
	log := slog.New(to.handler(c))
	for range syslogLines {
		log.Info(strings.Repeat("x", 4000))
	}
	if lost.Load() == 0 {
		t.Error("64 MB wait, want a bound")
	}
	ended := make(chan struct{})
	go func() { to.close(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("it has not ended in a minute")
	}
}

// A node's log goes into its file, and on in another one after a reload.
func TestANodeLogsToAFile(t *testing.T) {
	config := writeSingle(t)
	file := filepath.Join(filepath.Dir(config), "sitegate.log")
	f, err := os.OpenFile(config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, "log: {target: file, file: sitegate.log}\n")
	if f.Close(); err != nil {
		t.Fatal(err)
	}
	node := serveNode(t, config)
	has := func(want string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if b, err := os.ReadFile(file); err == nil && strings.Contains(string(b), want) {
				return
			} else if time.Now().After(end) {
				t.Fatalf("the log has no %q, %v:\n%s", want, err, b)
			}
		}
	}
	has("node is up")
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := sitegate(t, nil, "reload", "--config", config); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	has("the way out is as the configuration now says")
	if node.log() != "" {
		t.Errorf("the standard error has %q", node.log())
	}
}
