package raftstore

import (
	"net"
	"net/netip"
)

const (
	// maxStrangers bounds connections that have not said who they are yet, and
	// strangersOfHost those of one host. Those from the address of another member are not
	// among them, and strangersOfMember of each have room: however many strangers there are
	// elsewhere, the nodes are not kept from one another.
	maxStrangers      = 64
	strangersOfHost   = 16
	strangersOfMember = 32
)

// room is where connections that have not said who they are yet are counted: those of a
// host, or those of a member's address.
type room struct {
	of     netip.Prefix
	member bool
}

// admit counts a connection from an address that has not said who it is, in the room that
// it takes until admitted; false: there are enough.
func (m *mux) admit(from netip.Addr) (in room, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isMembers(from) {
		in = room{netip.PrefixFrom(from, from.BitLen()), true}
		ok = m.strangers[in] < strangersOfMember
	} else {
		in = room{hostOf(from), false}
		all := 0
		for r, n := range m.strangers {
			if !r.member {
				all += n
			}
		}
		ok = all < maxStrangers && m.strangers[in] < strangersOfHost
	}
	if ok {
		m.strangers[in]++
	}
	return in, ok
}

// admitted is the end of being a stranger.
func (m *mux) admitted(in room) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.strangers[in]--; m.strangers[in] == 0 {
		delete(m.strangers, in)
	}
}

// isMembers reports whether another member is looked for at an address, or has been
// connected by it. m.mu is held.
func (m *mux) isMembers(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if m.expected[a] {
		return true
	}
	for _, k := range m.known {
		if k.from == a || k.at == a {
			return true
		}
	}
	return false
}

// expect notes the addresses at which the other members are looked for, host:port. Of one
// that is given by name it is known only once it has been connected.
func (m *mux) expect(addresses []string) {
	expected := map[netip.Addr]bool{}
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil {
			expected[plain(a)] = true
		}
	}
	m.mu.Lock()
	m.expected = expected
	m.mu.Unlock()
}

// moveOut forgets where a node has been connected, unless another has come in its place.
func (m *mux) moveOut(who caller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.known[who.name]; k != nil && k.caller == who {
		k.from, k.at = netip.Addr{}, netip.Addr{}
	}
}

// addrOf is where the other end of a connection is, without its port; the zero Addr: it
// cannot be told.
func addrOf(c net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return plain(at.Addr())
}

// plain is an address as all others that mean the same are written.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// hostOf is what one computer is counted by that comes from an address: who has IPv6 has a
// /64 at least, and as many addresses in it as they like.
func hostOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	host, _ := a.Prefix(bits) // of the zero Addr the zero Prefix
	return host
}
