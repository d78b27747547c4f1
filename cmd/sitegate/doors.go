package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
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

	"github.com/google/uuid"

	"sitegate/api"
	"sitegate/configs"
	"sitegate/endpoint"
	"sitegate/raftstore"
	"sitegate/upstream/egress"
)

// door is one listener and what answers behind it.
type door struct {
	name   string
	ln     net.Listener
	server *http.Server
	tunnel *endpoint.Tunnel // of the CONNECT door; nil elsewhere
}

type doors []*door

// The bounds of a door.
const (
	headerTime  = 5 * time.Second
	idleTime    = 2 * time.Minute
	drainTime   = 5 * time.Second // requests under way when the door closes
	headerBytes = 64 << 10
)

// openDoors listens on all of the node's addresses, or on none. left is called
// when the operator has taken the node out of its cluster.
func openDoors(c configs.Config, ep *endpoint.Endpoint, store *raftstore.Store, left func(), certificate tls.Certificate, out *egress.Dialer, log *slog.Logger) (ds doors, err error) {
	room := newCrowd(log)
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
	ln = tls.NewListener(room.limit(ln), &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	ds = append(ds, newDoor("api", ln, ep.Handler(), log))

	socket := c.OperatorSocket()
	if ln, err = listenUnix(socket); err != nil {
		return ds, fmt.Errorf("listening for the operator on %s: %w", socket, err)
	}
	operators := http.NewServeMux()
	operators.HandleFunc("GET "+pathBackup, giveBackup(store, log))
	operators.Handle("/", operatorHandler(ep.Operator(), store.Leave, left, log))
	ds = append(ds, newDoor("operator", ln, operators, log))

	if c.Connect != nil {
		tunnel, err := ep.Tunnel(endpoint.TunnelConfig{Dialer: dialFunc(out.DialContext), Allow: c.Connect.Allow, Clients: c.Connect.From})
		if err != nil {
			return ds, fmt.Errorf("the door for sign-in pages (connect): %w", err)
		}
		if ln, err = net.Listen("tcp", c.Connect.Listen); err != nil {
			return ds, cannotListen("sign-in pages", "connect.listen", err)
		}
		d := newDoor("connect", room.limit(ln), tunnel, log)
		d.tunnel = tunnel
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
	return &door{name: name, ln: ln, server: &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		ErrorLog: log.New(serverLog{to, name}, "", 0),
	}}
}

// run answers until ctx ends, and then lets what is under way finish.
func (d *door) run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- d.server.Serve(d.ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("the %s door: %w", d.name, err)
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

// operatorHandler is the operator's socket: the endpoint's, and what concerns
// the node itself: leave takes it out of its cluster, left hears that it is out.
func operatorHandler(ep http.Handler, leave func(context.Context) error, left func(), log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathLeave, func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		w.Header().Set("X-Request-Id", id)
		err := leave(r.Context())
		log.Info("asked to leave the cluster", "id", id, "err", err)
		if err != nil {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(http.StatusConflict)
			json.NewEncoder(w).Encode(api.Problem{Type: api.ProblemBase + "cannot-leave", Code: "cannot-leave", Status: http.StatusConflict,
				Title: "The node cannot leave its cluster", Detail: err.Error(), RequestID: id,
				Next: []string{"Look at sitegate status: most nodes must be there, and one must lead.", "Then try again."}}) // who has gone reads no answer
			return
		}
		w.WriteHeader(http.StatusNoContent)
		left() // the door lets this answer out before it closes
	})
	mux.Handle("/", ep)
	return mux
}
