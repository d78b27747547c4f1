package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sitegate/license"
	"sitegate/siteca"
)

// The first byte after the TLS handshake says what a connection is for; a hello
// in each direction follows. Who has no certificate yet can do nothing but ask to
// be let in: see join.go.
const (
	streamRaft = 1
	streamRPC  = 2
)

const handshakeLimit = 5 * time.Second

// refusalLines is how often the log tells of connections that are refused; more are at debug.
const refusalLines, refusalLinesAtOnce = rate.Limit(1), 30

// hello introduces a node to another.
type hello struct {
	Protocol uint64 `cbor:"1,keyasint"`
	Cluster  string `cbor:"2,keyasint"`
	Node     string `cbor:"3,keyasint"`
	Instance string `cbor:"4,keyasint"`
	// Refused is why the connection is not taken; only in an answer.
	Refused string `cbor:"5,keyasint,omitempty"`
	// Address is where this node listens for its peers, as it knows itself; in a
	// cluster it may have another one by now than the members' list says.
	Address string `cbor:"90,keyasint,omitempty"`
	// Has is how far this node has come.
	Has progressed `cbor:"100,keyasint,omitzero"`
	// Founders are the instances with which this node has begun the cluster, by name.
	Founders map[string]string `cbor:"250,keyasint,omitempty"`
}

const protocol = 1

// mux is a node's one door to the others: mTLS, then by the first byte to raft or
// to the node RPC. It knows which instance of each node is connected and refuses
// a second one. A node that is alone may have no door yet: see open.
type mux struct {
	codec *codec
	log   *slog.Logger
	serve func(ctx context.Context, c net.Conn, from string)
	// vet says why a node, as its certificate and its hello have it, is not one of the
	// cluster any more; sure: that is to be told.
	vet func(caller) (err error, sure bool)
	// newcomer answers who has no certificate yet; nil: nobody does.
	newcomer func(ctx context.Context, c *tls.Conn, taken func()) error
	// progress is how far this node has come, seen how far the others were seen to have
	// come. lapsed says whether another node, by its hello, has less than it had, and
	// whether this one can be sure of it: had is of before that hello was made.
	progress func() (progressed, error)
	seen     func() map[string]progressed
	lapsed   func(who caller, has, had progressed) (lost error, sure bool)
	// nameAt is the member at an address: raft itself would take anyone's answer
	// there for the member's, and count one node's vote twice.
	nameAt func(address string) string
	// listed is the address that the members' list has of a node, or empty.
	listed func(name string) string
	dials  net.Dialer
	via    func(ctx context.Context, network, address string) (net.Conn, error) // nil: dials

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	toRaft chan net.Conn
	lines  *rate.Limiter

	mu     sync.Mutex
	self   hello // mu guards these
	shown  tlsOf
	door   *tls.Config          // for newcomers; nil: nobody is let in
	listen net.Listener         // nil: no door
	conns  map[net.Conn]*caller // nil: has not said who it is
	known  map[string]*known
	// strangers are those who have not said who they are, by the room that they take.
	strangers map[room]int
	// expected are the addresses at which the other members are looked for.
	expected map[netip.Addr]bool
}

// caller is who is at the other end of a connection.
type caller struct {
	name       string
	generation uint64 // of its certificate
	instance   string
	key        license.Digest // of its certificate
}

// known is a node that is connected, in either direction.
type known struct {
	caller
	conns   int
	last    time.Time // when it last said hello
	address string    // where it says that it listens
	instead string    // of this address, which the members' list had then
	// from is where its latest connection came from, at where this node has reached it
	// last: it may have more than one address, and the members' list only its name.
	from, at netip.Addr
	// What its latest hello says.
	has      progressed
	founders map[string]string
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

// open begins to listen for the other nodes, at an address that they know. It
// opens once.
func (m *mux) open(l net.Listener, address string, shown tlsOf, newcomer *tls.Config) error {
	m.mu.Lock()
	if m.listen != nil || m.ctx.Err() != nil {
		m.mu.Unlock()
		return errors.New("this node listens for its peers already")
	}
	m.listen, m.shown, m.door, m.self.Address = l, shown, newcomer, address
	m.mu.Unlock()
	m.run(l)
	return nil
}

// hello is how this node introduces itself; its address is empty while it has no
// door.
func (m *mux) hello() hello {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self
}

// tls is what a connection is made with, either way: whom this node trusts now. Without a
// door there is nothing.
func (m *mux) tls() (server, client *tls.Config) {
	m.mu.Lock()
	shown, door := m.shown, m.door
	m.mu.Unlock()
	if shown == nil {
		return nil, nil
	}
	server, client = shown()
	server, client = serverTLS(server), clientTLS(client)
	if door != nil {
		server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(h.SupportedProtos, siteca.NewcomerProto) {
				return door, nil
			}
			return nil, nil // as anybody else
		}
	}
	return server, client
}

func (m *mux) run(l net.Listener) {
	m.group.Go(func() {
		for {
			c, err := l.Accept()
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
			if in, ok := m.admit(addrOf(c)); ok {
				m.group.Go(func() { m.accept(c, in) })
			} else {
				c.Close() // who means well dials again
			}
		}
	})
}

// accept takes a connection through handshake and hello and hands it on.
func (m *mux) accept(raw net.Conn, in room) {
	known := sync.OnceFunc(func() { m.admitted(in) })
	defer known()
	server, _ := m.tls()
	c := tls.Server(raw, server)
	if !m.track(c) {
		return
	}
	kind, from, err := m.greet(c)
	if errors.Is(err, errNewcomer) {
		err = m.newcomer(m.ctx, c, known)
		if err == nil {
			c.Close() // its farewell tells the other end that the answer is whole
			m.untrack(c)
			return
		}
	}
	if err != nil {
		level := slog.LevelDebug
		if m.lines.Allow() {
			level = slog.LevelInfo
		}
		m.log.Log(m.ctx, level, "a peer connection is refused", "remote", raw.RemoteAddr().String(), "err", err)
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
		m.serve(m.ctx, keep, from.name)
	}
}

// errNewcomer: the other end has no certificate, and asks to be let in.
var errNewcomer = errors.New("a newcomer")

// greet is the accepting side of handshake and hello.
func (m *mux) greet(c *tls.Conn) (kind byte, from caller, err error) {
	if err := c.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return 0, from, err
	}
	seen := m.seen()
	if err := c.HandshakeContext(m.ctx); err != nil {
		return 0, from, err
	}
	if c.ConnectionState().NegotiatedProtocol == siteca.NewcomerProto {
		return 0, from, errNewcomer
	}
	name, err := peerName(c)
	if err != nil {
		return 0, from, err
	}
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return 0, from, err
	}
	if first[0] != streamRaft && first[0] != streamRPC {
		return 0, from, fmt.Errorf("node %s asks for service %d, which this program does not know", name.node, first[0])
	}
	var h hello
	if err := readMessage(c, m.codec, &h); err != nil {
		return 0, from, err
	}
	from = caller{h.Node, name.generation, h.Instance, name.key}
	refused := m.judge(name, h)
	if refused == nil {
		refused = m.taken(from)
	}
	if refused == nil {
		gone, sure := m.vet(from)
		if gone != nil && !sure {
			return 0, from, gone
		}
		refused = gone
	}
	if refused == nil {
		lost, sure := m.lapsed(from, h.Has, seen[h.Node])
		if lost != nil && !sure {
			return 0, from, lost // it asks again, once this node knows its members
		}
		refused = lost
	}
	if refused == nil {
		refused = m.enter(c, from, h, false)
	}
	if refused != nil {
		self := m.hello() // who is refused learns no more than by whom
		return 0, from, errors.Join(refused, writeMessage(c, m.codec, hello{Protocol: protocol, Cluster: self.Cluster, Node: self.Node, Instance: self.Instance, Refused: refused.Error()}))
	}
	answer, err := m.withProgress(m.hello())
	if err != nil {
		m.leave(from)
		return 0, from, err
	}
	err = writeMessage(c, m.codec, answer)
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		m.leave(from)
	}
	return first[0], from, err
}

// judge says why a peer that introduces itself so is not one of ours.
func (m *mux) judge(name certName, h hello) error {
	self := m.hello()
	switch {
	case h.Protocol != protocol:
		return fmt.Errorf("node %s speaks version %d of the node protocol, this one %d", name.node, h.Protocol, protocol)
	case name.cluster != self.Cluster || h.Cluster != self.Cluster:
		return fmt.Errorf("node %s is of cluster %s (its certificate: %s), this one is of %s; point it at its own cluster's nodes", name.node, h.Cluster, name.cluster, self.Cluster)
	case name.node != h.Node:
		return fmt.Errorf("a node calls itself %s, its certificate says %s; give each node its own certificate", h.Node, name.node)
	case h.Node == self.Node && h.Instance != self.Instance:
		return fmt.Errorf("a node named %s is running already at %s with its own data folder; give the second one a name and a certificate of its own, or stop the first", h.Node, self.Address)
	}
	return nil
}

// taken says that another data folder is connected under the name.
func (m *mux) taken(who caller) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[who.name]; k != nil && k.instance != who.instance && k.conns > 0 && who.generation <= k.generation {
		return errTaken(who.name)
	}
	return nil
}

func errTaken(name string) error {
	return fmt.Errorf("a node named %s is running already with another data folder; give the second one a name and a certificate of its own, or stop the first", name)
}

// enter notes a connection of a node, unless another instance of it is connected; dialled:
// it is this node that has made it.
func (m *mux) enter(c net.Conn, who caller, h hello, dialled bool) error {
	listed := m.listed(who.name)
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known[who.name]
	if k == nil {
		k = &known{caller: who}
		m.known[who.name] = k
	}
	if k.instance != who.instance && who.generation > k.generation {
		k.conns = 0 // the new machine has taken the place of the one that was connected
	}
	if k.instance != who.instance && k.conns > 0 {
		return errTaken(who.name)
	}
	k.caller = who
	k.conns++
	k.last = time.Now()
	k.address, k.instead = h.Address, listed
	k.has, k.founders = h.Has, h.Founders
	if dialled {
		k.at = addrOf(c)
	} else {
		k.from = addrOf(c)
	}
	if _, open := m.conns[c]; open {
		m.conns[c] = &who
	}
	return nil
}

// movedTo is where a member says that it listens, if that is not where the list has
// it; a list that has changed since knows better.
func (m *mux) movedTo(name, listed string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[name]; k != nil && k.address != "" && k.address != listed && k.instead == listed {
		return k.address
	}
	return listed
}

// who is the node of a name that is connected.
func (m *mux) who(name string) (caller, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[name]; k != nil && k.conns > 0 {
		return k.caller, true
	}
	return caller{}, false
}

// recheck ends the connections of nodes that are not of the cluster any more, and keeps no
// room for strangers where they were.
func (m *mux) recheck() {
	m.mu.Lock()
	var all []net.Conn
	var callers []caller
	for c, who := range m.conns {
		if who != nil {
			all, callers = append(all, c), append(callers, *who)
		}
	}
	met := make([]caller, 0, len(m.known))
	for _, k := range m.known {
		met = append(met, k.caller)
	}
	m.mu.Unlock()
	for _, who := range met {
		if err, sure := m.vet(who); err != nil && sure {
			m.moveOut(who)
		}
	}
	for i, c := range all {
		if err, _ := m.vet(callers[i]); err != nil {
			m.log.Info("a peer connection is ended", "peer", callers[i].name, "err", err)
			if t, ok := c.(*tls.Conn); ok {
				t.NetConn().Close()
			}
		}
	}
}

func (m *mux) leave(who caller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[who.name]; k != nil && k.instance == who.instance {
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

// track keeps a connection so that close ends it; false: closed already.
func (m *mux) track(c net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		c.Close()
		return false
	}
	m.conns[c] = nil
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
	m.mu.Lock()
	if m.listen != nil {
		m.listen.Close()
	}
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
