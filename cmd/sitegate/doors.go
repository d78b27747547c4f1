package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/endpoint/console"
	"sitegate/license"
	"sitegate/upstream/egress"
)

// door is one listener and what answers behind it.
type door struct {
	name   string
	ln     net.Listener
	server *http.Server
	tunnel *endpoint.Tunnel // of the forward proxy; nil elsewhere
	closed chan struct{}    // closed once nobody new is let in
}

type doors []*door

const doorOperator = "operator"

// The bounds of a door.
const (
	headerTime  = 5 * time.Second
	idleTime    = 2 * time.Minute
	drainTime   = 5 * time.Second // requests under way when the door closes
	headerBytes = 64 << 10

	tunnelHeaderBytes = 32 << 10 // no token comes there
)

// openDoors listens on all of the node's addresses, or on none. certificate is asked
// for each connection; peer is where the node listens for the others.
func openDoors(c configs.Config, peer string, ep *endpoint.Endpoint, certificate func(host string) *tls.Certificate, out *egress.Dialer, again *reloading, members func() []api.ClusterMember, registry *prometheus.Registry, log *slog.Logger) (ds doors, err error) {
	pages, err := newConsole(ep, log)
	if err != nil {
		return ds, err
	}
	ep.Pages("GET "+console.Base, license.Viewer, pages)
	ep.Pages("POST "+console.Base, license.Viewer, pages)
	ep.Public("GET "+console.Static, pages)
	room := newCrowd(log)
	room.measure(registry)
	defer func() {
		if err != nil {
			ds.close()
		}
	}()
	ln, err := net.Listen("tcp", c.API.Listen)
	if err != nil {
		return ds, cannotListen("clients", "api.listen", err)
	}
	// HTTP/1.1 only: the websocket needs it, and one dead connection then takes
	// one request with it.
	ln = tls.NewListener(room.judged(ln, ep), newHandshakes().limit(&tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(hello.ServerName), nil }}))
	door := newDoor("api", ln, ep.Handler(), log)
	door.server.ConnState = hear
	room.watch(door.server)
	ds = append(ds, door)

	socket := c.OperatorSocket()
	if ln, err = listenUnix(socket); err != nil {
		return ds, fmt.Errorf("listening for the operator on %s: %w", socket, err)
	}
	op := newDoor(doorOperator, ln, ep.Operator(), log)
	op.server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return endpoint.WithSocketUser(ctx, socketUser(conn))
	}
	ds = append(ds, op)

	if c.Connect != nil {
		made := forwardProxy(c, peer, out, members)
		tunnel, err := ep.Tunnel(made)
		if err != nil {
			return ds, fmt.Errorf("the forward proxy (connect): %w", err)
		}
		again.also = append(again.also, (&forwarding{running: c, peer: peer, out: out, members: members, tunnel: tunnel, pac: c.Connect.PAC, site: made.PAC.Site}).again)
		if ln, err = net.Listen("tcp", c.Connect.Listen); err != nil {
			return ds, cannotListen("the forward proxy", "connect.listen", err)
		}
		d := newDoor("connect", room.limit(ln), tunnel, log)
		d.tunnel, d.server.MaxHeaderBytes = tunnel, tunnelHeaderBytes
		tunnel.Watch(d.server)
		room.watch(d.server)
		ds = append(ds, d)
	}
	return ds, nil
}

// cannotListen says what to do about an address that this node does not get.
func cannotListen(whom, key string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w; stop the program that has it, or set another %s", err, key)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("%w; set %s to an address of this machine", err, key)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w; set %s to a port above 1023, or let this user open lower ones", err, key)
	}
	return fmt.Errorf("listening for %s: %w", whom, err)
}

// api is the address that clients come to.
func (ds doors) api() net.Addr { return ds[0].ln.Addr() }

func newDoor(name string, ln net.Listener, h http.Handler, to *slog.Logger) *door {
	return &door{name: name, ln: ln, closed: make(chan struct{}), server: &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes, DisableGeneralOptionsHandler: true,
		ErrorLog: log.New(serverLog{to, name}, "", 0),
	}}
}

// run answers until ctx ends, and then lets what is under way finish.
func (d *door) run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- d.server.Serve(d.ln) }()
	select {
	case err := <-failed:
		select {
		case <-d.closed: // as it was asked to; those inside go on
		default:
			return fmt.Errorf("the %s door: %w", d.name, err)
		}
		<-ctx.Done()
		failed <- nil
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := d.server.Shutdown(drain)
	if d.tunnel != nil {
		err = errors.Join(err, d.tunnel.Close())
	}
	<-failed
	if errors.Is(err, context.DeadlineExceeded) {
		return d.server.Close()
	}
	return err
}

// drain lets no client in any more. Who is inside is served to the end, but for those
// that only keep a connection open.
func (ds doors) drain() {
	for _, d := range ds {
		if d.name == doorOperator {
			continue
		}
		select {
		case <-d.closed:
			continue
		default:
		}
		close(d.closed)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = d.server.Shutdown(ended) // it does not wait: the context has ended
	}
}

// close is for doors that were opened and never run; after run it does nothing.
func (ds doors) close() {
	for _, d := range ds {
		d.server.Close()
		d.ln.Close()
	}
}

// listenUnix makes the operator's socket, which only this user opens. A socket
// that a killed node left behind is replaced; the data folder's lock has made
// sure that nobody uses it.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}
