package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// pipe carries bytes between a client and its target until both have said all,
// or a limit is reached.
//
// The connections are copied as they are, not wrapped, so that the kernel can
// splice them. What is idle is found by deadlines: each copy is interrupted a few
// times per idle limit, and tells by its count whether anything came.
type pipe struct {
	down, up   net.Conn
	idle, life time.Duration

	sent, received int64 // as the client sees it; valid after run
	reason         string

	last atomic.Int64 // when a byte last came, in Unix nanoseconds
	why  sync.Once
}

// The reasons of a tunnel's end.
const (
	pipeDone    = "done"    // both sides have said all
	pipeBroken  = "broken"  // one side failed
	pipeIdle    = "idle"    // nothing came for too long
	pipeLife    = "life"    // it was open for as long as one may be
	pipeClosing = "closing" // this node is going
)

// run carries on until the end. early is what the client had sent before the
// tunnel was open.
func (p *pipe) run(ctx context.Context, early []byte) {
	p.last.Store(time.Now().UnixNano())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watch(ctx)
	}()
	var wg sync.WaitGroup
	wg.Go(func() {
		n, err := p.up.Write(early)
		p.sent = int64(n)
		if err != nil {
			p.end(pipeBroken)
			return
		}
		p.sent += p.copy(p.up, p.down)
	})
	wg.Go(func() { p.received = p.copy(p.down, p.up) })
	wg.Wait()
	p.end(pipeDone)
	cancel()
	<-watched
}

// watch ends the pipe at its limits.
func (p *pipe) watch(ctx context.Context) {
	life := time.NewTimer(p.life)
	defer life.Stop()
	tick := time.NewTicker(p.tick())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.end(pipeClosing) // or it is over already
			return
		case <-life.C:
			p.end(pipeLife)
			return
		case <-tick.C:
			if time.Since(time.Unix(0, p.last.Load())) > p.idle+p.tick() { // a copy tells of its bytes late
				p.end(pipeIdle)
				return
			}
		}
	}
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

// copy carries one direction until its side has said all, and then says so to the
// other.
func (p *pipe) copy(to, from net.Conn) (total int64) {
	for {
		if from.SetReadDeadline(time.Now().Add(p.tick())) != nil {
			p.end(pipeBroken)
			return total
		}
		n, err := io.Copy(to, from)
		total += n
		if n > 0 {
			p.last.Store(time.Now().UnixNano())
		}
		switch {
		case err == nil:
			half, ok := to.(interface{ CloseWrite() error })
			if !ok || half.CloseWrite() != nil {
				p.end(pipeDone) // it cannot be told otherwise
			}
			return total
		case !errors.Is(err, os.ErrDeadlineExceeded):
			p.end(pipeBroken)
			return total
		}
	}
}
