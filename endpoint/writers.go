package endpoint

import (
	"slices"
	"sync"
	"syscall"

	"sitegate/notice"
	"sitegate/phrase"
)

// writers write to connections that take it at once: a few goroutines for all, where to
// begin one for each of ten thousand costs a sixth of telling them. They wait for
// nobody: what a connection does not take at once is left to a writer of its own.
type writers struct {
	most int

	mu      sync.Mutex
	due     []*conn // oldest first
	working int
}

// soon has a connection written to. The caller counts as one of the group.
func (ss *sockets) soon(c *conn) {
	w := &ss.writers
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = append(w.due, c)
	if w.working < w.most {
		w.working++
		ss.wg.Go(w.run)
	}
}

func (w *writers) run() {
	var some [32]*conn
	var d due
	p := newPusher()
	for {
		n := w.take(some[:])
		if n == 0 {
			return
		}
		for i, c := range some[:n] {
			c.writeNow(&d, p)
			some[i] = nil
		}
	}
}

// take gives the next connections. With none left, the writer that asks is gone.
func (w *writers) take(some []*conn) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := copy(some, w.due)
	if w.due = w.due[n:]; len(w.due) == 0 {
		w.due = nil
	}
	if n == 0 {
		w.working--
	}
	return n
}

// writeNow writes what there is, as far as nothing has to wait for the other side.
func (c *conn) writeNow(d *due, p *pusher) {
	for c.next(d) {
		for i, f := range d.frames {
			rest, err := c.s.SendNow(p, f)
			if err != nil {
				c.s.Drop() // the reader notices; writing stays set
				return
			}
			if rest != nil {
				c.writeRest(d, i+1, rest)
				return
			}
		}
		if d.code != 0 {
			c.writeRest(d, len(d.frames), func() error { return nil })
			return
		}
		c.ss.e.metrics.sent.Add(float64(d.notices))
	}
}

// writeRest leaves what is not written to a writer of the connection's own: rest, the
// frames from one on, and what comes.
func (c *conn) writeRest(d *due, from int, rest func() error) {
	own := due{frames: slices.Clone(d.frames[from:]), notices: d.notices, code: d.code, why: d.why}
	c.ss.wg.Go(func() {
		if rest() != nil {
			c.s.Drop()
			return
		}
		for c.put(&own) && c.next(&own) {
		}
	})
}

// wording is a notice as one kind of reader sees it.
type wording struct {
	n     *notice.Notice
	lang  phrase.Lang
	mine  bool
	frame []byte
}

// of is the frame of a notice for a connection. The next is often told the same.
func (w *wording) of(c *conn, n *notice.Notice) []byte {
	if mine := n.Mine(c.machine); w.n != n || w.lang != c.lang || w.mine != mine {
		*w = wording{n, c.lang, mine, c.ss.frame(n, c.lang, mine)}
	}
	return w.frame
}

// pusher writes to a socket what it takes at once. It is there to be used again, since
// a function for each write would cost memory.
type pusher struct {
	b   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

func newPusher() *pusher {
	p := &pusher{}
	p.try = func(fd uintptr) bool {
		for {
			if p.n, p.err = syscall.Write(int(fd), p.b); p.err != syscall.EINTR {
				return true // do not wait
			}
		}
	}
	return p
}

// push writes b, and returns how much of it was taken.
func (p *pusher) push(raw syscall.RawConn, b []byte) (n int, err error) {
	p.b = b
	if err := raw.Write(p.try); err != nil {
		return 0, err
	}
	if p.err == syscall.EAGAIN {
		return 0, nil
	}
	return max(0, p.n), p.err
}
