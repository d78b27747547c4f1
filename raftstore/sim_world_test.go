package raftstore

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"sitegate/raftstore/wal"
	"sitegate/raftstore/wal/crashfs"
)

// simNet is a network in memory, on which a synctest bubble sees who waits for
// whom. What is sent between two nodes arrives at once, or waits while the way is
// blocked, and is refused where nobody listens.
type simNet struct {
	mu        sync.Mutex
	opened    *sync.Cond // of mu: who dials may get on
	listeners map[string]*simListener
	blocked   map[[2]string]bool // from one node to another
	conns     map[*simConn]bool
}

func newSimNet() *simNet {
	n := &simNet{listeners: map[string]*simListener{}, blocked: map[[2]string]bool{}, conns: map[*simConn]bool{}}
	n.opened = sync.NewCond(&n.mu)
	return n
}

// block keeps what one node sends from another, or lets it through again.
func (n *simNet) block(from, to string, blocked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocked[[2]string{from, to}] = blocked
	n.opened.Broadcast()
	for c := range n.conns {
		c.moved.Broadcast()
	}
}

// simListener takes connections for one node; its address is the node's name,
// port 1.
type simListener struct {
	net    *simNet
	node   string
	moved  *sync.Cond // of net.mu
	queue  []net.Conn
	closed bool
}

func (n *simNet) listen(node string) *simListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &simListener{net: n, node: node, moved: sync.NewCond(&n.mu)}
	n.listeners[simAddress(node)] = l
	return l
}

func simAddress(node string) string { return node + ":1" }

func (l *simListener) Accept() (net.Conn, error) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.moved.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

func (l *simListener) Close() error {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.closed = true
	l.moved.Broadcast()
	l.net.opened.Broadcast()
	return nil
}

func (l *simListener) Addr() net.Addr { return advertised(simAddress(l.node)) }

// dial connects a node to an address. While either way is blocked it waits.
func (n *simNet) dial(from string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		defer context.AfterFunc(ctx, func() { n.mu.Lock(); n.opened.Broadcast(); n.mu.Unlock() })()
		n.mu.Lock()
		defer n.mu.Unlock()
		l := n.listeners[address]
		for l != nil && (n.blocked[[2]string{from, l.node}] || n.blocked[[2]string{l.node, from}]) && ctx.Err() == nil {
			n.opened.Wait()
		}
		l = n.listeners[address]
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case l == nil || l.closed:
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		here, there := &simConn{net: n, node: from, peer: l.node}, &simConn{net: n, node: l.node, peer: from}
		here.other, there.other = there, here
		here.moved, there.moved = sync.NewCond(&n.mu), sync.NewCond(&n.mu)
		n.conns[here], n.conns[there] = true, true
		l.queue = append(l.queue, there)
		l.moved.Broadcast()
		return here, nil
	}
}

// simConn is one end of a connection.
type simConn struct {
	net        *simNet
	node, peer string
	other      *simConn
	moved      *sync.Cond // of net.mu: Read may get on

	buf      []byte // has arrived, or waits while the way is blocked
	closed   bool
	deadline time.Time
	alarm    *time.Timer
}

func (c *simConn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		open := !c.net.blocked[[2]string{c.peer, c.node}]
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
			return 0, os.ErrDeadlineExceeded
		case open && len(c.buf) > 0:
			k := copy(b, c.buf)
			if c.buf = c.buf[k:]; len(c.buf) == 0 {
				c.buf = nil
			}
			return k, nil
		case open && c.other.closed:
			return 0, io.EOF
		}
		c.moved.Wait()
	}
}

func (c *simConn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed || c.other.closed {
		return 0, syscall.EPIPE
	}
	c.other.buf = append(c.other.buf, b...)
	c.other.moved.Broadcast()
	return len(b), nil
}

func (c *simConn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.closed = true
	delete(c.net.conns, c)
	if c.alarm != nil {
		c.alarm.Stop()
	}
	c.moved.Broadcast()
	c.other.moved.Broadcast()
	return nil
}

func (c *simConn) LocalAddr() net.Addr                { return advertised(simAddress(c.node)) }
func (c *simConn) RemoteAddr() net.Addr               { return advertised(simAddress(c.peer)) }
func (c *simConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *simConn) SetWriteDeadline(_ time.Time) error { return nil } // a write never waits

func (c *simConn) SetReadDeadline(t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.alarm != nil {
		c.alarm.Stop()
	}
	if c.deadline = t; !t.IsZero() {
		c.alarm = time.AfterFunc(time.Until(t), func() { c.net.mu.Lock(); c.moved.Broadcast(); c.net.mu.Unlock() })
	}
	return nil
}

// simDisks are databases in memory that outlive the stores that open them.
type simDisks struct {
	mu  sync.Mutex
	dbs map[string]*badger.DB // by folder
}

func (d *simDisks) open(dir string, log *slog.Logger) (*badger.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if db := d.dbs[dir]; db != nil {
		return db, nil
	}
	db, err := badger.Open(badger.DefaultOptions("").WithInMemory(true).
		WithMemTableSize(16 << 20).WithNumMemtables(2).
		WithNumCompactors(0). // they look for work twenty times a second
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithDetectConflicts(false).WithMetricsEnabled(false).WithLogger(badgerLog{log}))
	if err == nil {
		d.dbs[dir] = db
	}
	return db, err
}

func (d *simDisks) close(*badger.DB) error { return nil }

// end closes them for good.
func (d *simDisks) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, db := range d.dbs {
		db.Close()
	}
}

// simLog is the folder of a node's log, in memory. It may be used by several
// goroutines.
type simLog struct {
	mu *sync.Mutex
	fs *crashfs.FS // mu guards it
}

var _ wal.FS = simLog{}

// crash is what is left of the log after a power loss: what was not synced is
// gone.
func (l simLog) crash(dice *rand.Rand) simLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return simLog{&sync.Mutex{}, l.fs.Crash(crashfs.Lost, dice)}
}

func (l simLog) file(f wal.File, err error) (wal.File, error) {
	if err != nil {
		return nil, err
	}
	return simFile{l.mu, f}, nil
}

func (l simLog) Open(name string) (wal.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file(l.fs.Open(name))
}

func (l simLog) Create(name string) (wal.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file(l.fs.Create(name))
}

func (l simLog) Rename(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fs.Rename(from, to)
}

func (l simLog) Remove(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fs.Remove(name)
}

func (l simLog) List() ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fs.List()
}

func (l simLog) SyncDir() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fs.SyncDir()
}

type simFile struct {
	mu *sync.Mutex
	f  wal.File
}

func (f simFile) ReadAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.ReadAt(b, at)
}

func (f simFile) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.WriteAt(b, at)
}

func (f simFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.Sync()
}

func (f simFile) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.Size()
}

func (f simFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.f.Close()
}
