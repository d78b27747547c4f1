package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sitegate/emulator/proxy"
	"sitegate/endpoint"
	"sitegate/gateway"
	"sitegate/notice"
	"sitegate/upstream/egress"
)

// readBytes is how many bytes this process has read by read(2) and its like. What the
// kernel splices is not among them.
func readBytes(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("this system does not count: %v", err)
	}
	if _, err := fmt.Sscanf(string(b), "rchar: %d", &n); err != nil {
		t.Fatalf("%v in %q", err, b)
	}
	return n
}

// connectDoor is the CONNECT door as a node has it: behind what bounds its connections,
// with the way out behind it.
func connectDoor(t testing.TB, out *egress.Dialer, allow string) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	gw := gateway.New(gateway.Config{Log: &nodeLog{}, Logger: log})
	ep, err := endpoint.New(endpoint.Config{Gateway: gw, Hub: notice.New(0, 0), Logger: log, KeysDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := ep.Tunnel(endpoint.TunnelConfig{Dialer: dialFunc(out.DialContext), Explain: blamed, Allow: []string{allow}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: tunnel, ReadHeaderTimeout: time.Minute}
	go srv.Serve(newCrowd(log).limit(ln))
	t.Cleanup(func() { srv.Close(); tunnel.Close() })
	return ln.Addr().String()
}

// pour sends so many bytes both ways through the door, one way after the other.
func pour(tb testing.TB, door, target string, size int64) {
	tb.Helper()
	c, err := net.Dial("tcp", door)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	r := bufio.NewReaderSize(c, 64)
	if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		tb.Fatalf("the door says %q, %v", line, err)
	}
	if _, err := r.ReadString('\n'); err != nil {
		tb.Fatal(err)
	}
	block := make([]byte, 64<<10)
	sent := make(chan error, 1)
	go func() {
		var err error
		for left := size; left > 0 && err == nil; left -= int64(len(block)) {
			_, err = c.Write(block[:min(left, int64(len(block)))])
		}
		if err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	if n, err := io.Copy(io.Discard, r); err != nil || n != size {
		tb.Errorf("%d bytes came back, %v; want %d", n, err, size)
	}
	if err := <-sent; err != nil {
		tb.Error(err)
	}
}

// drain is a server that reads all there is, and then sends as much back.
func drain(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				n, err := io.Copy(io.Discard, c)
				block := make([]byte, 64<<10)
				for left := n; left > 0 && err == nil; left -= int64(len(block)) {
					_, err = c.Write(block[:min(left, int64(len(block)))])
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// The bytes of a tunnel stay in the kernel, from the door's listener to the proxy: this
// process reads them at the tunnel's two ends, which are its own here, and nowhere else.
func TestTunnelsAreSpliced(t *testing.T) {
	const size, name = 32 << 20, "login.site.test:443"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := proxy.Start(ln, proxy.Config{Hosts: map[string]string{name: drain(t)}})
	defer p.Close()
	through, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	door := connectDoor(t, through, name)
	before := readBytes(t)
	pour(t, door, name, size)
	// The client's and the server's reads are size each, and the proxy's, which is here as
	// well and copies, twice that. Each way that the gateway copied would be one size more.
	if read := readBytes(t) - before; read < 4*size || read > 4*size+size/2 {
		t.Errorf("%d MB were read for %d MB through a tunnel, want %d: the kernel does not splice it", read>>20, 2*size>>20, 4*size>>20)
	}
}

// A tunnel's throughput, as a node has it: 64 MB each way, and what a copy costs.
func BenchmarkTunnel(b *testing.B) {
	const size, name = 64 << 20, "login.site.test:443"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	p := proxy.Start(ln, proxy.Config{Hosts: map[string]string{name: drain(b)}})
	defer p.Close()
	through, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}})
	if err != nil {
		b.Fatal(err)
	}
	door := connectDoor(b, through, name)
	b.SetBytes(2 * size)
	for b.Loop() {
		pour(b, door, name, size)
	}
}
