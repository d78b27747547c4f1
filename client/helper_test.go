package client_test

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/client"
	"sitegate/client/clienttest"
)

// wire connects a client to gateways without sockets, so that a synctest bubble
// can hold both: each address is a handler behind a net.Pipe.
type wire struct {
	mu    sync.Mutex
	nodes map[string]*listener
	conns map[net.Conn]struct{}
	cut   bool
	dials map[string]int
}

type listener struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ch:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// serve puts a handler at an address, such as 127.0.0.1:1.
func (w *wire) serve(t *testing.T, address string, h http.Handler) {
	l := &listener{ch: make(chan net.Conn), done: make(chan struct{})}
	w.mu.Lock()
	if w.nodes == nil {
		w.nodes, w.conns, w.dials = map[string]*listener{}, map[net.Conn]struct{}{}, map[string]int{}
	}
	w.nodes[address] = l
	w.mu.Unlock()
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	t.Cleanup(func() { w.sever(true); srv.Close(); wg.Wait() })
}

func (w *wire) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials[address]++
	l := w.nodes[address]
	if w.cut || l == nil {
		return nil, errors.New("no route to " + address)
	}
	here, there := net.Pipe()
	select {
	case l.ch <- there:
	case <-l.done:
		return nil, errors.New("connection refused by " + address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.conns[here] = struct{}{}
	return here, nil
}

// sever cuts all connections; with stay, no new ones come up until mend.
func (w *wire) sever(stay bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = stay
	for c := range w.conns {
		c.Close()
		delete(w.conns, c)
	}
}

// other is another network to the same nodes.
func (w *wire) other(t *testing.T) *wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &wire{nodes: maps.Clone(w.nodes), conns: map[net.Conn]struct{}{}, dials: map[string]int{}}
	t.Cleanup(func() { o.sever(true) })
	return o
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

func (w *wire) dialled(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials[address]
}

const (
	ann = "ann@site.example"
	cad = "1000"
)

// newGateway is a gateway on wire at 127.0.0.1:1 with one user and one product.
func newGateway(t *testing.T, w *wire) *clienttest.Gateway {
	g := &clienttest.Gateway{Users: map[string]string{"ann-token": ann}, Products: []string{cad}}
	w.serve(t, "127.0.0.1:1", g)
	return g
}

// desktop is a client of machine name on the wire; opts change its Config.
func desktop(t *testing.T, w *wire, name string, opts ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{
		Nodes: []string{"http://127.0.0.1:1"}, Dial: w.dial, Machine: api.Machine{ID: "id-of-" + name, Name: name},
		Token: func(context.Context) (string, error) { return "ann-token", nil },
	}
	for _, o := range opts {
		o(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func start(t *testing.T, c *client.Client) *client.Session {
	t.Helper()
	s, err := c.Start(t.Context(), cad)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return s
}

// clock is a wall clock that can be put forward and back, as a machine's that
// slept or was set.
type clock struct{ ahead atomic.Int64 }

func (k *clock) now() time.Time       { return time.Now().Add(time.Duration(k.ahead.Load())) }
func (k *clock) jump(d time.Duration) { k.ahead.Add(int64(d)) }

func with(k *clock) func(*client.Config) { return func(c *client.Config) { c.Now = k.now } }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// next is the next notice that is none of the kinds to skip.
func next(t *testing.T, w *client.Watcher, skip ...string) api.Notice {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case n, ok := <-w.Notices():
			if !ok {
				t.Fatalf("the watcher ended: %v", w.Err())
			}
			skipped := false
			for _, k := range skip {
				skipped = skipped || n.Kind == k
			}
			if !skipped {
				return n
			}
		case <-late:
			t.Fatal("no notice came within a minute")
		}
	}
}
