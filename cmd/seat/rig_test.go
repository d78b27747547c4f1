package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
	"sitegate/desktop"
)

// TestMain makes the test binary seat itself where a test runs it as one. What the tests
// were told to ignore, by nohup or a script that has them in the background, is none of
// seat's business: who listens for a signal hands it to programs as if it never was.
func TestMain(m *testing.M) {
	if os.Getenv("SEAT_TEST_MAIN") == "1" {
		main()
	}
	if ignored := slices.DeleteFunc(passed(), func(s os.Signal) bool { return !signal.Ignored(s) }); len(ignored) > 0 {
		signal.Notify(make(chan os.Signal, 1), ignored...)
	}
	os.Exit(m.Run())
}

const (
	ann = "ann@site.example"
	cad = "3101"
)

// rig is a gateway on TLS and what a user's computer has.
type rig struct {
	t   *testing.T
	g   *clienttest.Gateway
	srv *httptest.Server
	env map[string]string
	dir string

	keys   *ring
	lookup func(ctx context.Context, name string) (string, []*net.SRV, error)
	origin string // where the user comes from
	screen screen
}

// ring is a keyring in memory. Locked, it is one that nobody unlocks.
type ring struct {
	mu     sync.Mutex
	all    map[string]string
	locked bool
}

func (k *ring) Get(_ context.Context, name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch v, ok := k.all[name]; {
	case k.locked:
		return "", desktop.ErrNoKeyring
	case !ok:
		return "", desktop.ErrNotKept
	default:
		return v, nil
	}
}

func (k *ring) Set(_ context.Context, name, secret string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locked {
		return desktop.ErrNoKeyring
	}
	k.all[name] = secret
	return nil
}

func (k *ring) Forget(_ context.Context, name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, name)
	return nil
}

// screen is a desktop that notes what it shows.
type screen struct {
	mu    sync.Mutex
	shown []string
}

func (x *screen) Show(title, text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.shown = append(x.shown, text)
}

func (x *screen) Flush(context.Context) {}

func (x *screen) has(text string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.shown, func(s string) bool { return strings.Contains(s, text) })
}

func (x *screen) matches(text *regexp.Regexp) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.shown, text.MatchString)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), keys: &ring{all: map[string]string{}}, g: &clienttest.Gateway{Users: map[string]string{"ann-token": ann}, Products: []string{cad}}}
	r.srv = httptest.NewTLSServer(r.g)
	t.Cleanup(r.srv.Close)
	r.env = map[string]string{
		"SITEGATE_GATEWAY":    r.srv.URL,
		"SITEGATE_CA":         r.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.srv.Certificate().Raw}))),
		"SITEGATE_TOKEN_FILE": r.file("token", "ann-token\n"),
		"HOME":                r.dir,
	}
	return r
}

// file writes a file that only its owner can read.
func (r *rig) file(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// result is what a command line came to.
type result struct {
	status      int
	out, stderr string
}

func (r *rig) seat(args ...string) result {
	r.t.Helper()
	var out, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	status := r.build(&out, &stderr).main(ctx, args)
	return result{status, out.String(), stderr.String()}
}

// build is seat on the rig's computer.
func (r *rig) build(out, stderr io.Writer) *seat {
	lookup := r.lookup
	if lookup == nil {
		lookup = func(context.Context, string) (string, []*net.SRV, error) {
			return "", nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
	}
	return &seat{getenv: r.getenv, stdin: strings.NewReader(""), stdout: out, stderr: stderr, computer: filepath.Join(r.dir, "etc"), keys: r.keys,
		lookup: lookup, origin: func() (string, bool) { return r.origin, r.origin != "" }, desktop: func(string) notifier { return &r.screen }}
}

func (r *rig) getenv(k string) string { return r.env[k] }

// expect compares an exit status and looks for text in what was printed.
func (r *rig) expect(got result, status int, texts ...string) {
	r.t.Helper()
	if got.status != status {
		r.t.Errorf("exit status %d, want %d", got.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(got.out+got.stderr, text) {
			r.t.Errorf("want %q in it", text)
		}
	}
	if r.t.Failed() {
		r.t.Logf("stdout:\n%sstderr:\n%s", got.out, got.stderr)
	}
}

// other is another machine of Ann's.
func (r *rig) other(name string) *client.Client {
	r.t.Helper()
	ca, err := os.ReadFile(r.env["SITEGATE_CA"])
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := client.New(client.Config{Nodes: []string{r.srv.URL}, CA: ca, Machine: api.Machine{ID: "id-of-" + name, Name: name},
		Token: func(context.Context) (string, error) { return "ann-token", nil }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

func (r *rig) startOn(name string) *client.Session {
	r.t.Helper()
	s, err := r.other(name).Start(r.t.Context(), cad)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// background is seat in this process, whose output can be waited for.
type background struct {
	t      *testing.T
	r      *rig
	cancel context.CancelFunc
	done   chan int
	text   *transcript
}

// transcript is what was written so far, by many.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
	new chan struct{}
}

func (x *transcript) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.new)
	x.new = make(chan struct{})
	return x.all.Write(b)
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all.String()
}

// await waits until text has been written.
func (x *transcript) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		x.mu.Lock()
		got, more := x.all.String(), x.new
		x.mu.Unlock()
		if strings.Contains(got, text) {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("waited for %q, and got:\n%s", text, got)
		}
	}
}

func newTranscript() *transcript { return &transcript{new: make(chan struct{})} }

func (r *rig) background(args ...string) *background {
	ctx, cancel := context.WithCancel(r.t.Context())
	b := &background{t: r.t, r: r, cancel: cancel, done: make(chan int, 1), text: newTranscript()}
	s := r.build(b.text, b.text)
	go func() { b.done <- s.main(ctx, args) }()
	r.t.Cleanup(cancel)
	return b
}

// listens waits until a websocket is up: what happens before is not told on it.
func (r *rig) listens() {
	r.t.Helper()
	late := time.After(30 * time.Second)
	for r.g.Connected() == 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			r.t.Fatal("no websocket is up")
		}
	}
}

// waits waits until a machine waits at the gateway.
func (r *rig) waits() {
	r.t.Helper()
	late := time.After(30 * time.Second)
	for c := r.other("WS-900"); ; {
		me, err := c.Me(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if len(me.Waiting) > 0 {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			r.t.Fatal("nobody waits")
		}
	}
}

func (b *background) await(text string) { b.t.Helper(); b.text.await(b.t, text) }

func (b *background) end(status int) {
	b.t.Helper()
	select {
	case got := <-b.done:
		if got != status {
			b.t.Errorf("exit status %d, want %d; it said:\n%s", got, status, b.text.all.String())
		}
	case <-time.After(30 * time.Second):
		b.t.Fatal("it did not end")
	}
}

var _ io.Writer = (*transcript)(nil)

// sh is a program to run: a script and its $1.
func sh(script string, args ...string) []string {
	return append([]string{"--", "sh", "-c", script, "sh"}, args...)
}

func runArgs(flags []string, program []string) []string {
	return append(append([]string{"run", "--product", cad}, flags...), program...)
}
