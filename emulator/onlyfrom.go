package emulator

import (
	"net"
	"sync"
	"time"
)

// registerWithin is how long a connection may wait for its source port to be registered: a proxy knows the port only after connecting.
const registerWithin = time.Second

// OnlyFrom is a listener that lets in connections from registered source ports only, and closes all others. A proxy that registers
// the ports it connects from so becomes the only way in. It takes over the listener it is made with; Close ends it.
type OnlyFrom struct {
	ln     net.Listener
	ready  chan net.Conn
	closed chan struct{}
	end    sync.Once
	wg     sync.WaitGroup

	mu      sync.Mutex
	ports   map[int]int   // registered source port → how often
	changed chan struct{} // closed at the next registration
	refused int
	err     error // of the listener
}

// NewOnlyFrom wraps ln. No port is registered yet.
func NewOnlyFrom(ln net.Listener) *OnlyFrom {
	o := &OnlyFrom{ln: ln, ready: make(chan net.Conn), closed: make(chan struct{}), ports: map[int]int{}, changed: make(chan struct{})}
	o.wg.Add(1)
	go o.run()
	return o
}

// Register lets in connections from a source port, until as many Unregister.
func (o *OnlyFrom) Register(port int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ports[port]++
	close(o.changed)
	o.changed = make(chan struct{})
}

// Unregister takes one Register back. Connections that are in stay.
func (o *OnlyFrom) Unregister(port int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ports[port]--; o.ports[port] <= 0 {
		delete(o.ports, port)
	}
}

// Refused is how many connections came from ports that nobody registered in time.
func (o *OnlyFrom) Refused() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

func (o *OnlyFrom) run() {
	defer o.wg.Done()
	for {
		c, err := o.ln.Accept()
		if err != nil {
			o.mu.Lock()
			o.err = err
			o.mu.Unlock()
			o.end.Do(func() { close(o.closed) })
			return
		}
		o.wg.Add(1)
		go o.admit(c)
	}
}

// admit waits until c may come in.
func (o *OnlyFrom) admit(c net.Conn) {
	defer o.wg.Done()
	from, _ := c.RemoteAddr().(*net.TCPAddr)
	late := time.NewTimer(registerWithin)
	defer late.Stop()
	for {
		o.mu.Lock()
		ok, changed := from != nil && o.ports[from.Port] > 0, o.changed
		o.mu.Unlock()
		if ok {
			select {
			case o.ready <- c:
			case <-o.closed:
				c.Close()
			}
			return
		}
		select {
		case <-changed:
		case <-late.C:
			o.mu.Lock()
			o.refused++
			o.mu.Unlock()
			c.Close()
			return
		case <-o.closed:
			c.Close()
			return
		}
	}
}

// Accept gives the next connection from a registered port.
func (o *OnlyFrom) Accept() (net.Conn, error) {
	select {
	case c := <-o.ready:
		return c, nil
	case <-o.closed:
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.err != nil {
			return nil, o.err
		}
		return nil, net.ErrClosed
	}
}

// Close ends the listener and what waits at it.
func (o *OnlyFrom) Close() error {
	err := o.ln.Close()
	o.end.Do(func() { close(o.closed) })
	o.wg.Wait()
	return err
}

// Addr is where it listens.
func (o *OnlyFrom) Addr() net.Addr { return o.ln.Addr() }
