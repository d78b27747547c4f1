package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/configs"
	"sitegate/siteca"
	"sitegate/upstream/egress"
)

// pairs makes certificates for a name, and puts them where a node looks for them.
type pairs struct {
	ca        *siteca.CA
	roots     *x509.CertPool
	cert, key string // files
}

func newPairs(t *testing.T) *pairs {
	t.Helper()
	ca, err := siteca.New("blue", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &pairs{ca: ca, roots: x509.NewCertPool(), cert: filepath.Join(dir, "api.pem"), key: filepath.Join(dir, "api.key")}
	p.roots.AppendCertsFromPEM(ca.CertPEM())
	return p
}

// make is a pair whose certificate has this common name.
func (p *pairs) make(t *testing.T, name string, at time.Time) (cert, key []byte) {
	t.Helper()
	cert, key, err := p.ca.Issue(name, []string{"gate.test"}, false, at)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (p *pairs) write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *pairs) put(t *testing.T, name string) {
	t.Helper()
	cert, key := p.make(t, name, time.Now())
	p.write(t, p.cert, cert)
	p.write(t, p.key, key)
}

func (p *pairs) config() configs.Config {
	return configs.Config{API: configs.API{CertFile: p.cert, KeyFile: p.key}}
}

// told is a log that may be read while it is written.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *told) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take is what was told since it was last asked.
func (l *told) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// brokenNow is the metric of the API's files.
func brokenNow(t *testing.T, r *prometheus.Registry) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "sitegate_certificate_files_broken" && m.Label[0].GetValue() == "api" {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatal("there is no sitegate_certificate_files_broken of the API")
	return 0
}

// A node notices by itself within a minute that its certificate's files were replaced. A
// pair that cannot be used is told of once, and the one of before is shown meanwhile.
func TestChangedCertificateFilesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, lines := newPairs(t), &told{}
		p.put(t, "first")
		cs, err := openCertificates(p.config(), nil, slog.New(slog.NewTextHandler(lines, nil)))
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(cs)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); cs.run(ctx) }()
		defer func() { cancel(); <-done }()

		// shake is whom a new connection meets a minute later.
		shake := func() string {
			t.Helper()
			time.Sleep(time.Minute) // of the bubble's time
			synctest.Wait()
			near, far := net.Pipe()
			server := tls.Server(far, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return cs.forHost(h.ServerName), nil }})
			answered := make(chan error, 1)
			go func() { answered <- server.Handshake() }()
			client := tls.Client(near, &tls.Config{ServerName: "gate.test", RootCAs: p.roots})
			clientErr := client.Handshake()
			serverErr := <-answered
			near.Close()
			far.Close()
			if clientErr != nil || serverErr != nil {
				t.Fatalf("the handshake failed: client %v, server %v", clientErr, serverErr)
			}
			return client.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		expect := func(what, name, says string, broken float64) {
			t.Helper()
			if got := shake(); got != name {
				t.Errorf("%s: got the certificate %q, want %q", what, got, name)
			}
			text := lines.take()
			if n := strings.Count(text, "\n"); says == "" && n != 0 || says != "" && (n != 1 || !strings.Contains(text, says)) {
				t.Errorf("%s: the log says %q, want one line with %q, or none if that is empty", what, text, says)
			}
			if got := brokenNow(t, registry); got != broken {
				t.Errorf("%s: the metric is %v, want %v", what, got, broken)
			}
		}

		expect("before anything", "first", "", 0)
		p.put(t, "second")
		expect("replaced", "second", "read anew", 0)
		cert, key := p.make(t, "third", time.Now())
		p.write(t, p.cert, cert)
		expect("the certificate without its key", "second", "private key does not match public key", 1)
		expect("still", "second", "", 1)
		p.write(t, p.key, key)
		expect("the key as well", "third", "read anew", 0)
		p.write(t, p.cert, []byte("half"))
		expect("half a file", "third", "they are not a certificate and its key", 1)
		if err := os.Remove(p.cert); err != nil {
			t.Fatal(err)
		}
		expect("no file", "third", "no such file", 1)
		p.write(t, p.cert, bytes.Repeat([]byte("x"), certificateBytes+1))
		expect("a file that is too large", "third", "more than", 1)
		cert, key = p.make(t, "ended", time.Now().Add(-3*siteca.NodeLife/2))
		p.write(t, p.cert, cert)
		p.write(t, p.key, key)
		expect("one that has ended", "third", "has ended", 1)
		cert, key = p.make(t, "coming", time.Now().Add(3*time.Hour))
		p.write(t, p.cert, cert)
		p.write(t, p.key, key)
		expect("one that begins later", "third", "begins only at", 1)
		time.Sleep(4 * time.Hour)
		expect("once it has begun", "coming", "read anew", 0)
	})
}

// A certificate that is put in place of another is not told of as broken because a look
// falls between its two files.
func TestACertificateThatIsBeingReplacedIsNotBroken(t *testing.T) {
	p, lines := newPairs(t), &told{}
	p.put(t, "first")
	cs, err := openCertificates(p.config(), nil, slog.New(slog.NewTextHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	cert, key := p.make(t, "second", time.Now())
	p.write(t, p.cert, cert)
	if err := cs.api.look(false, cs.log); err == nil {
		t.Error("a certificate without its key was taken")
	}
	p.write(t, p.key, key)
	if err := cs.api.look(false, cs.log); err != nil {
		t.Errorf("got %v, want the new pair to be taken", err)
	}
	if text := lines.take(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "read anew") {
		t.Errorf("the log says %q, want no more than that it was read anew", text)
	}
}

// With SIGHUP a node takes the files as they are now: new connections meet the new
// certificate, those that are open go on, and a broken pair changes nothing.
func TestHangupTakesTheCertificateAnew(t *testing.T) {
	p, lines := newPairs(t), &told{}
	p.put(t, "first")
	log := slog.New(slog.NewTextHandler(lines, nil))
	c := p.config()
	cs, err := openCertificates(c, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	c.Egress.Direct = true
	d, err := egress.New(wayOut(c, log))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := newDoor("api", tls.NewListener(ln, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { return cs.forHost(h.ServerName), nil }}),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "well\n") }), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	hangups := make(chan os.Signal) // taken one by one
	rereads := &reloading{again: func() (setting, error) { return setting{Config: c}, nil }, dialer: d, certificates: cs, log: log}
	running.Go(func() { door.run(ctx) })
	running.Go(func() { rereads.run(ctx, hangups) })
	defer func() { cancel(); running.Wait() }()

	connect := func() (*tls.Conn, string) {
		t.Helper()
		conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Minute}, Config: &tls.Config{ServerName: "gate.test", RootCAs: p.roots}}).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn.(*tls.Conn), conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	ask := func(conn *tls.Conn) (int, error) {
		conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n"); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	// hangup returns once the node has done what SIGHUP asks for.
	hangup := func() {
		hangups <- syscall.SIGHUP
		hangups <- syscall.SIGHUP // is taken after the first was dealt with
	}

	old, name := connect()
	if name != "first" {
		t.Fatalf("got the certificate %q, want the first", name)
	}
	p.put(t, "second")
	hangup()
	if _, name := connect(); name != "second" {
		t.Errorf("after SIGHUP: got the certificate %q, want the second", name)
	}
	if status, err := ask(old); status != http.StatusOK || err != nil {
		t.Errorf("the connection of before: got %d, %v, want it to go on", status, err)
	}

	lines.take()
	p.write(t, p.key, []byte("no key"))
	hangup()
	if _, name := connect(); name != "second" {
		t.Errorf("after a broken key: got the certificate %q, want the second", name)
	}
	if text := lines.take(); !strings.Contains(text, "certificate=api") || !strings.Contains(text, p.key) || strings.Contains(text, "no key\"") {
		t.Errorf("the log says %q, want which files, and nothing of what is in them", text)
	}
	if _, err := rereads.take(); err == nil || !strings.Contains(err.Error(), p.key) {
		t.Errorf("who asked for it got %v, want what is wrong with %s", err, p.key)
	}
	if status, err := ask(old); status != http.StatusOK || err != nil {
		t.Errorf("the connection of before: got %d, %v, want it to go on", status, err)
	}
}

// Who asks for the discovery host is shown the certificate of that name, and everybody
// else the API's, before and after either was replaced.
func TestCertificatesByHost(t *testing.T) {
	p, q := newPairs(t), newPairs(t)
	p.put(t, "api")
	put := func(name string) {
		t.Helper()
		cert, key, err := q.ca.Issue(name, []string{"discovery.test"}, false, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		q.write(t, q.cert, cert)
		q.write(t, q.key, key)
	}
	put("relay")
	c := p.config()
	c.Relay = &configs.Relay{CertFile: q.cert, KeyFile: q.key}
	cs, err := openCertificates(c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(host, want string) {
		t.Helper()
		if got := cs.forHost(host).Leaf.Subject.CommonName; got != want {
			t.Errorf("%q: got the certificate %q, want %q", host, got, want)
		}
	}
	expect("discovery.test", "relay")
	expect("gate.test", "api")
	expect("", "api")
	put("relay2")
	if err := cs.reread(); err != nil {
		t.Fatal(err)
	}
	expect("discovery.test", "relay2")
	expect("gate.test", "api")
}
