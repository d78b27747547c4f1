package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte after the TLS handshake says what a connection is for; a hello
// in each direction follows.
const (
	streamRaft = 1
	streamRPC  = 2
)

const (
	handshakeLimit = 5 * time.Second
	// maxStrangers bounds connections that have not said who they are yet.
	maxStrangers = 64
)

// hello introduces a node to another.
type hello struct {
	Protocol uint64 `cbor:"1,keyasint"`
	Cluster  string `cbor:"2,keyasint"`
	Node     string `cbor:"3,keyasint"`
	Instance string `cbor:"4,keyasint"`
	// Refused is why the connection is not taken; only in an answer.
	Refused string `cbor:"5,keyasint,omitempty"`
}

const protocol = 1

// mux is a node's one door to the others: mTLS, then by the first byte to raft or
// to the node RPC. It knows which instance of each node is connected and refuses
// a second one.
type mux struct {
	self   hello
	codec  *codec
	log    *slog.Logger
	server *tls.Config
	client *tls.Config
	listen net.Listener
	addr   raft.ServerAddress
	serve  func(ctx context.Context, c net.Conn, from string)
	// nameAt is the member at an address: raft itself would take anyone's answer
	// there for the member's, and count one node's vote twice.
	nameAt func(address string) string
	dials  net.Dialer
	via    func(ctx context.Context, network, address string) (net.Conn, error) // nil: dials

	ctx       context.Context
	cancel    context.CancelFunc
	group     sync.WaitGroup
	strangers chan struct{}
	toRaft    chan net.Conn

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	known map[string]*known
}

// known is a node that is connected, in either direction.
type known struct {
	instance string
	conns    int
	last     time.Time // when it last said hello
}

// refusal is a peer's word that this node must not run as it is.
type refusal struct {
	peer string
	text string
	// sure: the peer is a node of this cluster and says so itself. Otherwise it is
	// only that one side does not accept the other's certificate, which a stranger
	// at the peer's address could bring about too.
	sure bool
}

// Error is what the peer said.
func (r *refusal) Error() string { return fmt.Sprintf("node %s refuses this node: %s", r.peer, r.text) }

func (m *mux) run() {
	m.group.Go(func() {
		for {
			c, err := m.listen.Accept()
			if err != nil {
				if m.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
					return
				}
				m.log.Warn("a peer connection could not be accepted", "err", err)
				select {
				case <-time.After(50 * time.Millisecond):
					continue
				case <-m.ctx.Done():
					return
				}
			}
			select {
			case m.strangers <- struct{}{}:
				m.group.Go(func() { m.accept(c) })
			default:
				c.Close() // who means well dials again
			}
		}
	})
}

// accept takes a connection through handshake and hello and hands it on.
func (m *mux) accept(raw net.Conn) {
	stranger := true
	known := func() {
		if stranger {
			stranger = false
			<-m.strangers
		}
	}
	defer known()
	c := tls.Server(raw, m.server)
	if !m.track(c) {
		return
	}
	kind, from, err := m.greet(c)
	if err != nil {
		m.log.Info("a peer connection is refused", "remote", raw.RemoteAddr().String(), "err", err)
		m.untrack(c)
		return
	}
	known()
	keep := &peerConn{Conn: c, gone: sync.OnceFunc(func() { m.leave(from); m.untrack(c) })}
	switch kind {
	case streamRaft:
		select {
		case m.toRaft <- keep:
		case <-m.ctx.Done():
			keep.Close()
		}
	case streamRPC:
		defer keep.Close()
		m.serve(m.ctx, keep, from)
	}
}

// greet is the accepting side of handshake and hello.
func (m *mux) greet(c *tls.Conn) (kind byte, from string, err error) {
	if err := c.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return 0, "", err
	}
	if err := c.HandshakeContext(m.ctx); err != nil {
		return 0, "", err
	}
	name, err := peerName(c)
	if err != nil {
		return 0, "", err
	}
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return 0, "", err
	}
	if first[0] != streamRaft && first[0] != streamRPC {
		return 0, "", fmt.Errorf("node %s asks for service %d, which this program does not know", name.node, first[0])
	}
	var h hello
	if err := readMessage(c, m.codec, &h); err != nil {
		return 0, "", err
	}
	refused := m.judge(name, h)
	if refused == nil {
		refused = m.enter(h)
	}
	answer := m.self
	if refused != nil {
		answer.Refused = refused.Error()
	}
	err = writeMessage(c, m.codec, answer)
	if refused != nil {
		return 0, "", refused
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		m.leave(h.Node)
	}
	return first[0], h.Node, err
}

// judge says why a peer that introduces itself so is not one of ours.
func (m *mux) judge(name certName, h hello) error {
	switch {
	case h.Protocol != protocol:
		return fmt.Errorf("node %s speaks version %d of the node protocol, this one %d", name.node, h.Protocol, protocol)
	case name.cluster != m.self.Cluster || h.Cluster != m.self.Cluster:
		return fmt.Errorf("node %s is of cluster %s (its certificate: %s), this one is of %s; point it at its own cluster's nodes", name.node, h.Cluster, name.cluster, m.self.Cluster)
	case name.node != h.Node:
		return fmt.Errorf("a node calls itself %s, its certificate says %s; give each node its own certificate", h.Node, name.node)
	case h.Node == m.self.Node && h.Instance != m.self.Instance:
		return fmt.Errorf("a node named %s is running already at %s with its own data folder; give the second one a name and a certificate of its own, or stop the first", h.Node, m.addr)
	}
	return nil
}

// enter notes a connection of a node, unless another instance of it is connected.
func (m *mux) enter(h hello) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known[h.Node]
	if k == nil {
		k = &known{instance: h.Instance}
		m.known[h.Node] = k
	}
	if k.instance != h.Instance {
		if k.conns > 0 {
			return fmt.Errorf("a node named %s is running already with another data folder; give the second one a name and a certificate of its own, or stop the first", h.Node)
		}
		k.instance = h.Instance
	}
	k.conns++
	k.last = time.Now()
	return nil
}

func (m *mux) leave(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[node]; k != nil {
		k.conns--
	}
}

// heard notes that a node has answered.
func (m *mux) heard(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[node]; k != nil {
		k.last = time.Now()
	}
}

// lastHeard is when a node was last heard of; zero is never.
func (m *mux) lastHeard(node string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[node]; k != nil {
		return k.last
	}
	return time.Time{}
}

// dial connects to a peer and introduces itself. An empty name takes whoever of
// the cluster answers. A *refusal says that the peer will not have this node.
func (m *mux) dial(ctx context.Context, kind byte, name, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	via := m.via
	if via == nil {
		via = m.dialer(address).DialContext
	}
	raw, err := via(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	c := tls.Client(raw, m.client)
	if !m.track(c) {
		return nil, ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	h, err := m.introduce(ctx, c, kind, name)
	if err == nil && !stop() {
		err = context.Cause(ctx)
		m.leave(h.Node)
	}
	if err != nil {
		stop()
		m.untrack(c)
		if notTrusted(err) {
			return nil, &refusal{peer: name, text: trustError(name, address, err).Error()}
		}
		return nil, err
	}
	return &peerConn{Conn: c, gone: sync.OnceFunc(func() { m.leave(h.Node); m.untrack(c) })}, nil
}

// dialer dials from the address this node listens on, if that is a single one: the
// firewall between two server rooms then sees the address it was told of.
func (m *mux) dialer(address string) *net.Dialer {
	d := m.dials
	own, ok := m.listen.Addr().(*net.TCPAddr)
	if !ok || own.IP.IsUnspecified() {
		return &d
	}
	host, _, err := net.SplitHostPort(address)
	if to := net.ParseIP(host); err == nil && to.IsLoopback() == own.IP.IsLoopback() {
		d.LocalAddr = &net.TCPAddr{IP: own.IP, Zone: own.Zone}
	}
	return &d
}

func (m *mux) introduce(ctx context.Context, c *tls.Conn, kind byte, name string) (hello, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		return hello{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	is, err := peerName(c)
	if err != nil {
		return hello{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	if _, err := c.Write([]byte{kind}); err != nil {
		return hello{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	if err := writeMessage(c, m.codec, m.self); err != nil {
		return hello{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	var h hello
	if err := readMessage(c, m.codec, &h); err != nil {
		return hello{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	if h.Refused != "" {
		return hello{}, &refusal{peer: h.Node, text: h.Refused, sure: is == certName{m.self.Cluster, h.Node}}
	}
	if name != "" && h.Node != name {
		return hello{}, fmt.Errorf("node %s was expected, %s answers; check the peers' addresses", name, h.Node)
	}
	if err := m.judge(is, h); err != nil {
		return hello{}, err
	}
	return h, m.enter(h)
}

// track keeps a connection so that close ends it; false: closed already.
func (m *mux) track(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		c.Close()
		return false
	}
	m.conns[c] = struct{}{}
	return true
}

func (m *mux) untrack(c net.Conn) {
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
	if t, ok := c.(*tls.Conn); ok {
		t.NetConn().Close() // no farewell: it could block on a peer that is stopped
	}
}

// close ends the listener and every connection.
func (m *mux) close() {
	m.cancel()
	m.listen.Close()
	m.mu.Lock()
	for c := range m.conns {
		if t, ok := c.(*tls.Conn); ok {
			t.NetConn().Close()
		}
	}
	m.mu.Unlock()
	m.group.Wait()
}

// peerConn is a connection that the mux knows of until it is closed.
type peerConn struct {
	net.Conn
	gone func()
}

// Close closes it.
func (c *peerConn) Close() error {
	c.gone()
	return nil
}

// raftLayer is raft's side of the mux.
type raftLayer struct{ m *mux }

var _ raft.StreamLayer = raftLayer{}

// Accept returns the next raft connection.
func (l raftLayer) Accept() (net.Conn, error) {
	select {
	case c := <-l.m.toRaft:
		return c, nil
	case <-l.m.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close is left to the mux, which serves the node RPC as well.
func (l raftLayer) Close() error { return nil }

// Addr is the address the other nodes know.
func (l raftLayer) Addr() net.Addr { return advertised(l.m.addr) }

// Dial connects to another node's raft.
func (l raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.m.ctx, timeout)
	defer cancel()
	return l.m.dial(ctx, streamRaft, l.m.nameAt(string(address)), string(address))
}

type advertised string

// Network is tcp.
func (advertised) Network() string { return "tcp" }

// String is host:port.
func (a advertised) String() string { return string(a) }
