package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sitegate/emulator/proxy"
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

// Tunnels that say nothing any more hold no pipe of the kernel's: thousands of them would
// take the file descriptors that the log and the state need.
func TestIdleTunnelsHoldNoPipes(t *testing.T) {
	const many, name = 50, "login.site.test:443"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo := listenEcho(t)
	p := proxy.Start(ln, proxy.Config{Hosts: map[string]string{name: echo.Addr().String()}})
	defer p.Close()
	through, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	door := connectDoor(t, through, name)
	before := pipes(t)
	for range many {
		c, err := net.Dial("tcp", door)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", name, name)
		head := make([]byte, len("HTTP/1.1 200 Connection Established\r\n\r\n"))
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatalf("%q, %v", head, err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, head[:1]); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		runtime.GC() // what is kept to be used again goes with it
		n := pipes(t) - before
		if n <= 4 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d tunnels hold %d ends of pipes", many, n)
		}
	}
}

// However busy tunnels are, no more pipes are open than there is room for; what the kernel does
// not carry comes through as well.
func TestBusyTunnelsHoldFewPipes(t *testing.T) {
	const room, name = 2, "login.site.test:443"
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // each keeps some
	const many = 30
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := proxy.Start(ln, proxy.Config{Hosts: map[string]string{name: listenEcho(t).Addr().String()}})
	defer p.Close()
	through, err := egress.New(egress.Config{Proxies: []egress.Proxy{{Address: p.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	door := connectDoorWith(t, through, name, room)
	before := pipes(t)
	var open []net.Conn
	for range many {
		c, err := net.Dial("tcp", door)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(2 * time.Minute))
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", name, name)
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200 Connection Established\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	most, deadline := 2*room*(1+runtime.GOMAXPROCS(0)), time.Now().Add(time.Minute) // what is kept to be used again goes with the collector
	for {
		for i, c := range open {
			said := []byte(fmt.Sprintf("%04d", i))
			if _, err := c.Write(said); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(said))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != string(said) {
				t.Fatalf("%q came back as %q, %v", said, got, err)
			}
		}
		runtime.GC()
		n := pipes(t) - before
		if n <= most {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d busy tunnels hold %d ends of pipes, want %d at most", many, n, most)
		}
	}
}

// pipes are the ends of pipes that this process has open.
func pipes(t *testing.T) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("this system does not tell: %v", err)
	}
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
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
