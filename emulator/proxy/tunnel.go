package proxy

import (
	"io"
	"net"
	"sync"
)

// tunnel connects a client with the outside until one of them, or the link, ends it. What the client has sent after its request is in from.
func (p *Proxy) tunnel(client net.Conn, from io.Reader, out net.Conn) {
	if !p.hold(out) {
		return
	}
	defer p.drop(out)
	if a, ok := out.LocalAddr().(*net.TCPAddr); ok {
		if p.cfg.Opened != nil {
			p.cfg.Opened(a.Port)
		}
		if p.cfg.Closed != nil {
			defer p.cfg.Closed(a.Port)
		}
	}
	p.mu.Lock()
	if p.link == Down || p.closed { // since the dial
		p.mu.Unlock()
		return
	}
	p.outside[client], p.outside[out] = struct{}{}, struct{}{}
	p.stats.Tunnels++
	p.stats.Open++
	p.mu.Unlock()
	defer p.count(func(s *Stats) { s.Open-- })

	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		p.pump(out, from, func(s *Stats, n int64) { s.BytesUp += n })
	}()
	go func() {
		defer both.Done()
		p.pump(client, out, func(s *Stats, n int64) { s.BytesDown += n })
	}()
	both.Wait()
}

// pump copies while the link carries anything, and passes the end on. An end by error ends both directions.
func (p *Proxy) pump(to net.Conn, from io.Reader, count func(*Stats, int64)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.passable() {
				to.Close()
				return
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				to.Close()
				if c, ok := from.(net.Conn); ok {
					c.Close()
				}
				return
			}
			p.count(func(s *Stats) { count(s, int64(n)) })
		}
		if err == io.EOF && p.passable() {
			if c, ok := to.(*net.TCPConn); ok && c.CloseWrite() == nil {
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}
