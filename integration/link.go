package integration

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Link is a TCP link that can be cut: it listens on an address of its own and
// carries every connection to another.
type Link struct {
	to string
	ln net.Listener

	mu    sync.Mutex
	cut   bool // mu guards these
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// NewLink opens a link to an address; it ends with the test.
func NewLink(t testing.TB, to string) *Link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{to: to, ln: ln, conns: map[net.Conn]struct{}{}}
	l.wg.Go(l.run)
	t.Cleanup(func() {
		ln.Close()
		l.Cut()
		l.wg.Wait()
	})
	return l
}

// Addr is where the link begins.
func (l *Link) Addr() string { return l.ln.Addr().String() }

// Cut closes what is open and lets nothing through until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		c.Close()
	}
}

// Mend lets new connections through again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Link) run() {
	for {
		in, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() { l.carry(in) })
	}
}

func (l *Link) carry(in net.Conn) {
	defer l.drop(in)
	if !l.keep(in) {
		return
	}
	out, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer l.drop(out)
	if !l.keep(out) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(out, in)
		out.Close()
	}()
	io.Copy(in, out)
	in.Close()
	<-done
}

func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) drop(c net.Conn) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}
