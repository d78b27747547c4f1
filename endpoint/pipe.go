package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// pipe carries bytes between a client and its target until both have said all,
// or a limit is reached.
//
// The connections are copied as they are, not wrapped, so that the kernel can
// splice them. What is idle is found by deadlines: each copy is interrupted a few
// times per idle limit, and tells by its count whether anything came. A direction in
// which nothing comes holds nothing but the stack of its goroutine: splicing needs two
// file descriptors, which it takes when there is something, and gives back soon after.
type pipe struct {
	down, up   net.Conn
	idle, life time.Duration
	host       string        // that the client has asked for, and may name in a ClientHello; empty: nobody looks
	splices    chan struct{} // room for directions that are spliced; nil: there is none
	over       func()        // called once, at the end

	sent, received int64 // as the client sees it; valid once it is over
	reason         string
	named          string // another host in the ClientHello, with pipeOtherName
	ech            bool   // which says that it hides one

	last atomic.Int64 // when a byte last came, in Unix nanoseconds
	left atomic.Int32 // directions that go on
	why  sync.Once
	stop []func() bool // of what ends it
}

// The reasons of a tunnel's end.
const (
	pipeDone    = "done"    // both sides have said all
	pipeBroken  = "broken"  // one side failed
	pipeIdle    = "idle"    // nothing came for too long
	pipeLife    = "life"    // it was open for as long as one may be
	pipeClosing = "closing" // this node is going

	pipeOtherName = "sni_mismatch" // the client names another host than the one that it asked for
)

// settle is how long a copy waits for more before it lets go of what splicing needs.
const settle = time.Second

// start carries on until the end, or that of ctx. early is what the client had sent
// before the tunnel was open.
func (p *pipe) start(ctx context.Context, early []byte) {
	p.last.Store(time.Now().UnixNano())
	p.left.Store(2)
	p.stop = []func() bool{context.AfterFunc(ctx, func() { p.end(pipeClosing) }), time.AfterFunc(p.life, func() { p.end(pipeLife) }).Stop}
	go func() {
		defer p.finish()
		if !p.greet(early) {
			return
		}
		p.sent += p.copy(p.up, p.down)
	}()
	go func() {
		defer p.finish()
		p.received = p.copy(p.down, p.up)
	}()
}

// finish is the end of one direction; with the second one the pipe is over.
func (p *pipe) finish() {
	if p.left.Add(-1) > 0 {
		return
	}
	p.end(pipeDone)
	for _, stop := range p.stop {
		stop()
	}
	p.over()
}

// tick is how often a copy looks up.
func (p *pipe) tick() time.Duration { return max(p.idle/4, time.Millisecond) }

// end closes both sides; the first reason stands.
func (p *pipe) end(why string) {
	p.why.Do(func() {
		p.reason = why
		p.down.Close()
		p.up.Close()
	})
}

// stale reports whether nothing came for too long. A copy tells of its bytes late.
func (p *pipe) stale() bool {
	return time.Since(time.Unix(0, p.last.Load())) > p.idle+p.tick()
}

// copy carries one direction until its side has said all, and then says so to the
// other.
func (p *pipe) copy(to, from net.Conn) (total int64) {
	more := awaiter(from)
	for {
		wait := p.tick()
		var n int64
		var err error
		late := false // the other side does not take what comes
		if more != nil {
			from.SetReadDeadline(time.Now().Add(wait))
			err = more()
			wait = min(wait, settle)
		}
		if err == nil {
			now := time.Now()
			from.SetReadDeadline(now.Add(wait))
			to.SetWriteDeadline(now.Add(wait + p.idle))
			n, err = p.carry(to, from)
			late = time.Since(now) >= wait+p.idle
		}
		total += n
		if n > 0 {
			p.last.Store(time.Now().UnixNano())
		}
		switch {
		case err == nil:
			if p.left.Load() == 1 {
				return total // the other direction is over: finish closes both at once
			}
			half, ok := to.(interface{ CloseWrite() error })
			if !ok || half.CloseWrite() != nil {
				p.end(pipeDone) // it cannot be told otherwise
			}
			return total
		case !errors.Is(err, os.ErrDeadlineExceeded):
			p.end(pipeBroken)
			return total
		case late || p.stale():
			p.end(pipeIdle)
			return total
		}
	}
}

// carry copies until an error or the end, by the kernel if there is room. What comes through
// TLS takes none: the kernel cannot carry it, and it would wait in its place.
func (p *pipe) carry(to io.Writer, from io.Reader) (int64, error) {
	if _, plain := from.(syscall.Conn); plain {
		select {
		case p.splices <- struct{}{}:
			defer func() { <-p.splices }()
			return io.Copy(to, from)
		default:
		}
	}
	return io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
}

// awaiter waits until there is something to read of a connection, or its end, or its
// deadline, without reading it. It is nil where the connection is no plain one: what it
// has read ahead could not be seen.
func awaiter(c net.Conn) func() error {
	plain, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return nil
	}
	return func() error { return raw.Read(readable) }
}
