package integration

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Link is a TCP link that can be cut: it listens on an address of its own and
// carries every connection to another. It can be cut for everyone, or be made to
// swallow what passes between it and one address in one direction, as a network
// does that has lost a route: nothing is refused, nothing arrives.
type Link struct {
	to string
	ln net.Listener

	mu    sync.Mutex
	moved *sync.Cond // of mu: something below has changed
	cut   bool
	walls map[wall]bool
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// wall is what does not pass a link: what comes from an address, or what goes
// back to it.
type wall struct {
	ip   string
	back bool
}

// NewLink opens a link to an address; it ends with the test.
func NewLink(t testing.TB, to string) *Link {
	t.Helper()
	l := &Link{to: to, ln: listen(t), walls: map[wall]bool{}, conns: map[net.Conn]struct{}{}}
	l.moved = sync.NewCond(&l.mu)
	l.wg.Go(l.run)
	t.Cleanup(func() {
		l.ln.Close()
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
	l.moved.Broadcast()
}

// Mend lets everything through again, what was swallowed too: a sender repeats it.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
	clear(l.walls)
	l.moved.Broadcast()
}

// Swallow lets nothing pass that comes from an IP address (or, with back, that
// goes back to it) until Mend.
func (l *Link) Swallow(ip string, back bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.walls[wall{ip, back}] = true
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
	ip := in.RemoteAddr().(*net.TCPAddr).IP.String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.copy(out, in, wall{ip, false})
		out.Close()
	}()
	l.copy(in, out, wall{ip, true})
	in.Close()
	<-done
}

// copy carries one direction of a connection, while no wall stands in the way.
func (l *Link) copy(to, from net.Conn, w wall) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil && err != io.EOF || !l.open(w) {
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

// open waits until nothing stands in the way; false: the link is cut.
func (l *Link) open(w wall) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.walls[w] && !l.cut {
		l.moved.Wait()
	}
	return !l.cut
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
