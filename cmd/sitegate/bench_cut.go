package main

import (
	"net"
	"sync"
	"time"
)

// benchNet carries what nodes send each other, in a time of its own, and can cut hosts off: nothing is refused,
// and nothing arrives, until they are mended. What was on its way arrives then, as TCP
// sends it again. Each node has an address of its own, by which it is known.
type benchNet struct {
	oneWay time.Duration

	mu    sync.Mutex
	moved *sync.Cond
	gone  map[string]bool // mu guards these: the addresses that are cut off
	over  bool
	open  map[net.Conn]struct{}
	doors []net.Listener
	group sync.WaitGroup
}

func newBenchNet(roundTrip time.Duration) *benchNet {
	n := &benchNet{oneWay: roundTrip / 2, gone: map[string]bool{}, open: map[net.Conn]struct{}{}}
	n.moved = sync.NewCond(&n.mu)
	return n
}

// door opens an address at which the others reach a node that listens elsewhere.
func (n *benchNet) door(to string) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	n.doors = append(n.doors, ln)
	n.group.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			n.group.Go(func() { n.carry(c, to) })
		}
	})
	return ln.Addr().String(), nil
}

// cut cuts a host off; mend ends that for all.
func (n *benchNet) cut(ip string) { n.change(func() { n.gone[ip] = true }) }
func (n *benchNet) mend()         { n.change(func() { clear(n.gone) }) }

func (n *benchNet) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	n.moved.Broadcast()
}

func (n *benchNet) close() {
	n.change(func() {
		n.over = true
		for c := range n.open {
			c.Close()
		}
	})
	for _, ln := range n.doors {
		ln.Close()
	}
	n.group.Wait()
}

func (n *benchNet) carry(in net.Conn, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		in.Close()
		return
	}
	if !n.keep(in, out) {
		return
	}
	defer n.drop(in, out)
	a, b := hostOf(in.RemoteAddr()), hostOf(out.RemoteAddr())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.copy(out, in, a, b)
	}()
	n.copy(in, out, a, b)
	<-done
}

// copy carries one direction while neither host is cut off, and then ends both.
func (n *benchNet) copy(to, from net.Conn, a, b string) {
	defer to.Close()
	defer from.Close()
	type part struct {
		due  time.Time
		data []byte
	}
	onTheWay, over := make(chan part, 1024), make(chan struct{})
	defer close(over)
	go func() {
		defer close(onTheWay)
		for {
			buf := make([]byte, 16<<10)
			k, err := from.Read(buf)
			select {
			case onTheWay <- part{time.Now().Add(n.oneWay), buf[:k]}:
			case <-over:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range onTheWay {
		time.Sleep(time.Until(p.due))
		if !n.passes(a, b) {
			return
		}
		if _, err := to.Write(p.data); err != nil {
			return
		}
	}
}

// passes waits until neither host is cut off; false: it is over.
func (n *benchNet) passes(a, b string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for (n.gone[a] || n.gone[b]) && !n.over {
		n.moved.Wait()
	}
	return !n.over
}

func (n *benchNet) keep(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		if n.over {
			c.Close()
			continue
		}
		n.open[c] = struct{}{}
	}
	return !n.over
}

func (n *benchNet) drop(conns ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		delete(n.open, c)
	}
}

func hostOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return a.String()
}
