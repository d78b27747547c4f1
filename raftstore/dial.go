package raftstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// dial connects to a peer and introduces itself. An empty name takes whoever of
// the cluster answers. A *refusal says that the peer will not have this node.
func (m *mux) dial(ctx context.Context, kind byte, name, address string) (net.Conn, error) {
	_, client := m.tls()
	if client == nil {
		return nil, errors.New("this node has no certificate to show to other nodes: it is alone")
	}
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
	c := tls.Client(raw, client)
	if !m.track(c) {
		return nil, ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	who, err := m.introduce(ctx, c, kind, name)
	if err == nil && !stop() {
		err = context.Cause(ctx)
		m.leave(who)
	}
	if err != nil {
		stop()
		m.untrack(c)
		if notTrusted(err) {
			return nil, &refusal{peer: name, text: trustError(name, address, err).Error()}
		}
		return nil, err
	}
	return &peerConn{Conn: c, gone: sync.OnceFunc(func() { m.leave(who); m.untrack(c) })}, nil
}

// dialer dials from the address this node listens on, if that is a single one: the
// firewall between two server rooms then sees the address it was told of.
func (m *mux) dialer(address string) *net.Dialer {
	d := m.dials
	own, ok := m.listening().(*net.TCPAddr)
	if !ok || own.IP.IsUnspecified() {
		return &d
	}
	host, _, err := net.SplitHostPort(address)
	if to := net.ParseIP(host); err == nil && to.IsLoopback() == own.IP.IsLoopback() {
		d.LocalAddr = &net.TCPAddr{IP: own.IP, Zone: own.Zone}
	}
	return &d
}

// listening is the address of this node's door; nil: it has none.
func (m *mux) listening() net.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listen == nil {
		return nil
	}
	return m.listen.Addr()
}

func (m *mux) introduce(ctx context.Context, c *tls.Conn, kind byte, name string) (caller, error) {
	if err := c.HandshakeContext(ctx); err != nil {
		return caller{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	is, err := peerName(c)
	if err != nil {
		return caller{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	if _, err := c.Write([]byte{kind}); err != nil {
		return caller{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	seen := m.seen()
	self, err := m.withProgress(m.hello())
	if err != nil {
		return caller{}, err
	}
	if err := writeMessage(c, m.codec, self); err != nil {
		return caller{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	var h hello
	if err := readMessage(c, m.codec, &h); err != nil {
		return caller{}, fmt.Errorf("connecting to node %s: %w", name, err)
	}
	if h.Refused != "" {
		return caller{}, &refusal{peer: h.Node, text: h.Refused, sure: is.cluster == self.Cluster && is.node == h.Node}
	}
	if name != "" && h.Node != name {
		return caller{}, fmt.Errorf("node %s was expected, %s answers; check the peers' addresses", name, h.Node)
	}
	if err := m.judge(is, h); err != nil {
		return caller{}, err
	}
	who := caller{h.Node, is.generation, h.Instance, is.key}
	if err, _ := m.vet(who); err != nil {
		return caller{}, err
	}
	if lost, _ := m.lapsed(who, h.Has, seen[h.Node]); lost != nil {
		return caller{}, lost
	}
	return who, m.enter(c, who, h, true)
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
func (l raftLayer) Addr() net.Addr {
	self := l.m.hello()
	return advertised(cmp.Or(self.Address, self.Node))
}

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
