package raftstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// A new cluster begins when every one of its first nodes has met all others, and none
// has a log yet. Were a majority enough, two of three nodes whose folders were emptied
// would begin it again while the third is away, and forget with it what they had
// answered. Each node keeps the instances that it began with, and says them in its
// hello: who comes later, and was one of them, begins too, and who comes with another
// folder than it had is told so.

// errEmptied: the cluster has begun, with another folder of this node.
var errEmptied = errors.New("this node's data folder was emptied")

// meets says what a new node learns of another by its hello: true, that the other is new
// as well, or has begun with this very folder.
func meets(self hello, h hello) (bool, error) {
	if h.Has.Index == 0 {
		return true, nil
	}
	switch instance, named := h.Founders[self.Node]; {
	case !named: // it came to its log some other way, and cannot tell
		return false, nil
	case instance == self.Instance:
		return true, nil
	}
	return false, fmt.Errorf("%w: %s has begun cluster %s with this node's earlier one, and %s does not know any more what it has voted for; "+
		"remove it on another node, sitegate cluster remove %s, and join again with a token: sitegate cluster join. Where no majority is left, go on from the node that has its data, sitegate cluster recover, or from a backup",
		errEmptied, h.Node, self.Cluster, self.Node, self.Node)
}

// foundEvery is how often nodes that were not met are looked for, waitingEvery how often
// that is said.
const (
	foundEvery   = 100 * time.Millisecond
	waitingEvery = 10 * time.Second
)

// founding begins the cluster once all its first nodes have met, at the same time; it
// ends when there is a log, however it came to be.
func (s *Store) founding() {
	tick := time.NewTicker(foundEvery)
	defer tick.Stop()
	said := s.mono()
	for s.raft.LastIndex() == 0 {
		met, missing, err := s.meetAll()
		if err != nil {
			s.halt(err)
			return
		}
		if len(missing) == 0 {
			s.begin(met)
		}
		if s.mono()-said >= waitingEvery && s.raft.LastIndex() == 0 {
			said = s.mono()
			s.waiting(missing)
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
	if s.mux.hello().Founders != nil {
		return
	}
	// Another was faster. Where all can still be met, this one can tell of them as well.
	if met, missing, err := s.meetAll(); err == nil && len(missing) == 0 {
		s.keepFounders(met)
	}
}

// waiting says what keeps the cluster from beginning.
func (s *Store) waiting(missing []string) {
	if len(missing) == 0 {
		s.log.Warn("this node has voted for another that has begun the cluster, and waits for its log; start the others")
		return
	}
	s.log.Warn("a new cluster begins when all its first nodes have met; start those that are missing; one that will not come is taken out of cluster.peers on the others, which are started again, and joins later with a token; "+
		"if this site is not new, this node's data folder was emptied: stop it, and let it join anew",
		"missing", strings.Join(missing, ", "))
}

// meetAll meets all first nodes: the instances of those that this one may begin with,
// by name, and the names of the others. errEmptied: it may never.
func (s *Store) meetAll() (met map[string]string, missing []string, err error) {
	met = map[string]string{s.cfg.Node: s.identity.Instance}
	for _, p := range s.cfg.Peers {
		if p.Name == s.cfg.Node {
			continue
		}
		instance, err := s.meet(p)
		switch {
		case errors.Is(err, errEmptied):
			return nil, nil, err
		case err == nil && instance != "":
			met[p.Name] = instance
		default:
			missing = append(missing, p.Name)
		}
	}
	return met, missing, nil
}

// meet is the instance of another first node that this one may begin with; empty: it
// cannot say so.
func (s *Store) meet(p Peer) (instance string, err error) {
	if _, err := s.peer(p.Name, p.Address).connect(s.ctx); err != nil {
		return "", err // it is not there yet, or refuses this node, which is seen to
	}
	return s.mux.met(p.Name)
}

// met is what a connected node has said of itself: see meets.
func (m *mux) met(name string) (instance string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known[name]
	if k == nil {
		return "", nil
	}
	if ok, err := meets(m.self, hello{Node: name, Has: k.has, Founders: k.founders}); !ok || err != nil {
		return "", err
	}
	return k.instance, nil
}

// begin begins the cluster. The instances come first: whoever has a log can tell them.
func (s *Store) begin(met map[string]string) {
	if !s.keepFounders(met) {
		return
	}
	err := s.bootstrap()
	switch {
	case err == nil:
		s.log.Info("a new cluster has begun", "nodes", strings.Join(slices.Sorted(maps.Keys(met)), ", "))
	case errors.Is(err, raft.ErrCantBootstrap) || errors.Is(err, raft.ErrRaftShutdown) || s.ctx.Err() != nil:
		// another has begun it already, and has this node's vote: its log comes
	default:
		s.halt(fmt.Errorf("beginning a new cluster: %w", err))
	}
}

// bootstrap writes the first entry. raft never answers where it could not write its
// term: its goroutine has ended then.
func (s *Store) bootstrap() error {
	answered := make(chan error, 1)
	go func() { answered <- s.raft.BootstrapCluster(s.firstMembers()).Error() }()
	select {
	case err := <-answered:
		return err
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// keepFounders keeps with whom this node has begun, and has it say so; false: it could
// not, and has stopped.
func (s *Store) keepFounders(met map[string]string) bool {
	id := s.identity
	id.Founders = met
	if err := id.write(filepath.Join(s.cfg.Dir, identityFile)); err != nil {
		s.halt(fmt.Errorf("beginning a new cluster: %w", err))
		return false
	}
	s.mux.began(met)
	return true
}

// began has this node say with whom it has begun.
func (m *mux) began(founders map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.self.Founders = founders
}

// firstTerm is the term of a cluster's first entry. Nobody asks for a vote in it, so
// that a node with nothing but this term has begun, and was interrupted.
const firstTerm = 1

// unbegin takes the first term back where a crash came between it and the first entry:
// raft would hold the node for one that has begun, and it never would.
func unbegin(l *logStore, state position) error {
	last, err := l.LastIndex()
	if err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	}
	if l.term.Load() != firstTerm || last > 0 || state.Index > 0 {
		return nil
	}
	return l.SetUint64([]byte(raftTerm), 0)
}
