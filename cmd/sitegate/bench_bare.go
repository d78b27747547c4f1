package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"

	"sitegate/emulator"
	"sitegate/upstream/egress"
)

const benchBareHelp = `
Usage: sitegate bench bare --listen ADDRESS --to URL --to-ca FILE --write-ca FILE

A reverse proxy without anything else, over TLS and with a node's way out: what bench
relay measures the relay by. It is not for sites.

Example:
  sitegate bench bare --listen 127.0.0.1:9001 --to https://127.0.0.1:9000 --to-ca ca.pem --write-ca bare.pem
`

func benchBare(ctx context.Context, p *program, args []string) error {
	f := p.flags("bench bare", benchBareHelp)
	listen, to := f.String("listen", "127.0.0.1:0", "for clients"), f.String("to", "", "where to")
	toCA, writeCA := f.String("to-ca", "", "the CA of its certificate"), f.String("write-ca", "", "where to write the CA of this one's")
	if err := p.parseNone(f, args); err != nil {
		return err
	}
	base, err := url.Parse(*to)
	if err != nil || base.Host == "" {
		return usagef("bench bare: --to is https://host:port, not %q", *to)
	}
	dialer, err := egress.New(egress.Config{Direct: true, ExtraCA: []egress.ExtraCA{{File: *toCA, Hosts: []string{base.Hostname()}}}})
	if err != nil {
		return err
	}
	way := dialer.Transport()
	way.MaxIdleConnsPerHost = way.MaxIdleConns
	pool := &bareBuffers{sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}}
	proxy := &httputil.ReverseProxy{Transport: way, BufferPool: pool, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(base)
		r.Out.Host = ""
	}}
	ln, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening for clients: %w", err)
	}
	server, err := emulator.Serve(ln, http.HandlerFunc(proxy.ServeHTTP), "127.0.0.1")
	if err != nil {
		return err
	}
	defer server.Close()
	if err := os.WriteFile(*writeCA, server.CAPEM, 0o600); err != nil {
		return fmt.Errorf("writing the CA: %w", err)
	}
	<-ctx.Done()
	return nil
}

type bareBuffers struct{ sync.Pool }

func (b *bareBuffers) Get() []byte  { return *b.Pool.Get().(*[]byte) }
func (b *bareBuffers) Put(p []byte) { b.Pool.Put(&p) }
