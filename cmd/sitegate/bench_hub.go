package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitegate/emulator"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

const benchHubHelp = `
Usage: sitegate bench hub --dir FOLDER --issuer URL --issuer-ca FILE --listen ADDRESS --publish ADDRESS [--users N] [--tls]

Serves notices alone, without a log: what bench notices measures the websockets of
a node by. It listens for clients on one address; a POST to the other one tells a
user something, or everybody. It is not for sites.

Example:
  sitegate bench hub --dir /tmp/x --issuer https://127.0.0.1:9000 --issuer-ca ca.pem --listen 127.0.0.1:9001 --publish 127.0.0.1:9002
`

// hubNode is a gateway of a node that decides nothing: users, and what they are told.
type hubNode struct {
	endpoint.Gateway // nil: nobody may ask for more than is here
	mu               sync.Mutex
	state            *license.State
	hub              *notice.Hub

	telling sync.Mutex // one tells at a time, as one applies the log
	seq     uint64
}

func (n *hubNode) View(f func(*license.State)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.state)
}

func (n *hubNode) Now() license.Time { return license.TimeOf(time.Now()) }

func (n *hubNode) Cluster() gateway.Cluster { return gateway.Cluster{Node: "hub", Leader: "hub"} }

// CatchUp has nobody to catch up with.
func (n *hubNode) CatchUp(context.Context) error { return nil }

// Recall has no journal.
func (n *hubNode) Recall(context.Context, uint64, int, int, func(license.Event) bool) ([]license.Event, uint64, error) {
	return nil, 0, nil
}

// fill makes the users.
func (n *hubNode) fill(users int) error {
	apply := func(c license.Command) error {
		out, events := license.Apply(n.state, license.Entry{At: n.Now(), Command: c})
		n.hub.Publish(n.state.Head().Epoch, events)
		if out.Denial != nil {
			return fmt.Errorf("making the users: %s", out.Denial.Reason)
		}
		return nil
	}
	if err := apply(license.Found{Cluster: "0197a5b2-7c4e-7d1a-9f00-3c5b2a1d4e6f", Level: license.Level}); err != nil {
		return err
	}
	for i := 0; i < users; i += license.MaxChanges {
		page := license.Mirror{From: n.state.Head().Cursor, Full: true, Cursor: strconv.Itoa(i + 1), Last: i+license.MaxChanges >= users}
		for j := i; j < min(users, i+license.MaxChanges); j++ {
			page.Changes = append(page.Changes, license.Change{User: &license.User{ID: license.UserID(benchUser(j)), Country: "DE"}})
		}
		if err := apply(page); err != nil {
			return err
		}
	}
	n.seq = n.state.Head().Seq
	return nil
}

// publish is POST /?user=…&size=…: something happens to a user, or without one to
// everybody, in so many bytes. POST /collect gives memory back that is not in use.
func (n *hubNode) publish(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/collect" {
		debug.FreeOSMemory()
		return
	}
	size, err := strconv.Atoi(r.URL.Query().Get("size"))
	if err != nil || size < 0 || size > 1<<20 {
		http.Error(w, "size is the bytes of a notice, at most a million", http.StatusBadRequest)
		return
	}
	x := &license.Session{User: license.UserID(r.URL.Query().Get("user")), Product: license.ProductID(strings.Repeat("p", max(1, size))), Machine: license.Machine{ID: "m", Name: "WS-1"}}
	n.telling.Lock()
	defer n.telling.Unlock()
	n.seq++
	n.hub.Publish(n.hub.Position().Epoch, []license.Event{{Seq: n.seq, At: n.Now(), Fact: license.Started{Session: x}}})
}

func benchHub(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench hub", benchHubHelp)
	dir, issuer, issuerCA := f.String("dir", "", "where to keep what it needs"), f.String("issuer", "", "who vouches for users"), f.String("issuer-ca", "", "the CA of the issuer's certificate")
	listen, publish := f.String("listen", "127.0.0.1:0", "for clients"), f.String("publish", "127.0.0.1:0", "for who tells something")
	users, secure := f.Int("users", 10_000, "users"), f.Bool("tls", false, "serve clients over TLS")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	pem, err := os.ReadFile(*issuerCA)
	if err != nil {
		return usagef("bench hub: reading --issuer-ca: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	node := &hubNode{state: license.NewState(), hub: notice.New(0, 0)}
	if err := node.fill(*users); err != nil {
		return err
	}
	ep, err := endpoint.New(endpoint.Config{Gateway: node, Hub: node.hub, Logger: slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Issuers: []endpoint.Issuer{{URL: *issuer, Audience: emulator.UserAudience,
			Client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}}},
		KeysDir: filepath.Join(*dir, "keys"), Rate: endpoint.Rate{PerSecond: 1e6, Burst: 1e6}})
	if err != nil {
		return err
	}
	clients, err := net.Listen("tcp", *listen)
	if err != nil {
		return cannotListen("clients", "--listen", err)
	}
	if *secure {
		if clients, err = hubTLS(clients, *dir); err != nil {
			return err
		}
	}
	told, err := net.Listen("tcp", *publish)
	if err != nil {
		return cannotListen("who tells something", "--publish", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	serve := func(ln net.Listener, h http.Handler) {
		s := &http.Server{Handler: h, ReadHeaderTimeout: headerTime}
		g.Go(func() error {
			defer context.AfterFunc(gctx, func() { s.Close() })()
			if err := s.Serve(ln); gctx.Err() == nil {
				return err
			}
			return nil
		})
	}
	serve(clients, ep.Handler())
	serve(told, http.HandlerFunc(node.publish))
	g.Go(func() error { collect(gctx, func() bool { return false }); return nil })
	g.Go(func() error { return untilDone(gctx, ep.Run(gctx)) })
	fmt.Fprintln(p.stdout, "ready")
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// hubTLS serves with the certificate that is in the folder.
func hubTLS(ln net.Listener, dir string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, hubCert), filepath.Join(dir, hubKey))
	if err != nil {
		return nil, fmt.Errorf("the certificate of bench hub: %w", err)
	}
	return tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{pair}}), nil
}

const (
	hubCert = "hub.pem"
	hubKey  = "hub.key"
)
