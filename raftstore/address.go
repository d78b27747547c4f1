package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/hashicorp/raft"
)

// Where the nodes are. The members' list has an address of each, which the leader
// changes when a node says, with its certificate, that it has another one. Until
// then the others go by what the node has told them itself.

// Listen opens the peer port of a node that was alone, at an address that others
// reach it by, so that they can join. The Store closes l.
func (s *Store) Listen(ctx context.Context, l net.Listener, advertise string) error {
	keys := s.cfg.Keys
	if keys == nil {
		return errors.Join(errors.New("this node has no certificate to show to others"), l.Close())
	}
	if err := checkAddress(advertise); err != nil {
		return errors.Join(err, l.Close())
	}
	if err := s.mux.open(l, advertise, tlsOfKeys(keys), s.newcomerTLS(keys)); err != nil {
		return errors.Join(err, l.Close())
	}
	s.log.Info("this node listens for others", "address", advertise)
	return s.announce(ctx)
}

// Advertised is where this node listens for its peers; empty: it does not.
func (s *Store) Advertised() string { return s.mux.hello().Address }

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host == "" || port == "" || port == "0" || ip != nil && ip.IsUnspecified() || len(address) > 300 {
		return fmt.Errorf("%q is not an address that other nodes could reach: say host:port of this machine", address)
	}
	return nil
}

// acquaintances are the nodes to say hello to before raft runs: those of the last
// members' list on disk, those that were there when this one joined, and those
// that the operator names.
func (s *Store) acquaintances() []Peer {
	var all []Peer
	if pos, _ := s.disk.position(); len(pos.Config) > 0 {
		if c, err := pos.configuration(); err == nil {
			for _, x := range c.Servers {
				all = append(all, Peer{string(x.ID), string(x.Address)})
			}
		}
	}
	all = append(append(all, s.identity.Members...), s.cfg.Peers...)
	all = slices.DeleteFunc(all, func(p Peer) bool { return p.Name == s.cfg.Node || p.Address == p.Name })
	slices.SortFunc(all, func(a, b Peer) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address)) })
	return slices.Compact(all)
}

// listed is the address that the members' list has of a node; before raft runs, the
// one that it is looked for at.
func (s *Store) listed(name string) string {
	select {
	case <-s.up:
		if s.raft == nil {
			return ""
		}
		for _, m := range s.configured() {
			if m.name == name {
				return m.address
			}
		}
	default:
		for _, p := range s.acquaintances() {
			if p.Name == name {
				return p.Address
			}
		}
	}
	return ""
}

// nameAt is the member at an address, or empty.
func (s *Store) nameAt(address string) string {
	<-s.up // raft dials as soon as it runs
	if s.raft != nil {
		for _, m := range slices.Concat(s.members(), s.configured()) {
			if m.address == address {
				return m.name
			}
		}
	}
	return ""
}

// addresses tells raft where a node is, and under which address this one is known.
type addresses struct{ s *Store }

var _ raft.ServerAddressProvider = addresses{}

// ServerAddr is the address of a node.
func (a addresses) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	s := a.s
	if string(id) == s.cfg.Node {
		return raft.ServerAddress(cmp.Or(s.Advertised(), s.cfg.Node)), nil
	}
	if book := s.roster.book.Load(); book != nil {
		if at, ok := (*book)[id]; ok {
			return at, nil
		}
	}
	<-s.up
	if s.raft != nil {
		if at, ok := s.rebook()[id]; ok {
			return at, nil
		}
	}
	return "", fmt.Errorf("node %s is not on the list of members", id)
}

// rebook notes where the members are: raft asks with every message, and the peer port has
// room for them.
func (s *Store) rebook() map[raft.ServerID]raft.ServerAddress {
	book := map[raft.ServerID]raft.ServerAddress{}
	var others []string
	for _, m := range s.members() {
		book[raft.ServerID(m.name)] = raft.ServerAddress(m.address)
		if m.name != s.cfg.Node {
			others = append(others, m.address)
		}
	}
	for _, p := range s.cfg.Peers { // of a cluster that has not begun, there are no others
		if p.Name != s.cfg.Node {
			others = append(others, p.Address)
		}
	}
	s.roster.book.Store(&book)
	s.mux.expect(others)
	return book
}

// announce has the leader put this node's address on the members' list, where it
// has another one there.
func (s *Store) announce(ctx context.Context) error {
	address, listed := s.Advertised(), s.listed(s.cfg.Node)
	if address == "" || listed == "" || listed == address {
		return nil
	}
	return s.atLeader(ctx, true, func(ctx context.Context) error { return s.moveHere(ctx, s.cfg.Node, address) },
		func(ctx context.Context, p *peer) error { return p.ask(ctx, methodMoved, moved{address}, nil) })
}

// moved is a node's word that it listens elsewhere now.
type moved struct {
	Address string `cbor:"1,keyasint"`
}

// moveHere changes a member's address on the list, as the leader.
func (s *Store) moveHere(ctx context.Context, node, address string) error {
	if err := checkAddress(address); err != nil {
		return err
	}
	var found *member
	for _, m := range s.configured() {
		switch {
		case m.name == node:
			found = &m
		case m.address == address:
			return fmt.Errorf("node %s says that it is at %s, where %s is; give each an address of its own", node, address, m.name)
		}
	}
	if found == nil {
		return fmt.Errorf("node %s is not on the list of members", node)
	}
	if found.address == address {
		return nil
	}
	add := s.raft.AddNonvoter
	if found.voter {
		add = s.raft.AddVoter
	}
	if err := s.changeMembers(ctx, add(raft.ServerID(node), raft.ServerAddress(address), 0, enqueueWithin)); err != nil {
		return err
	}
	s.rebook()
	s.log.Info("a member has a new address", "peer", node, "address", address, "before", found.address)
	return nil
}

// changeMembers waits for a change of the members' list.
func (s *Store) changeMembers(ctx context.Context, change raft.IndexFuture) error {
	done := make(chan error, 1)
	go func() { done <- change.Error() }()
	select {
	case err := <-done:
		return proposalError(err)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return ErrClosed
	}
}
