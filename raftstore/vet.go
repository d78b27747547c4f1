package raftstore

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"sitegate/license"
)

// Who goes by a node's name. The state remembers the data folder of each, and how
// often the name was given to a new machine; a certificate says the latter, too. A
// node that lags behind does not refuse one that came after what it has applied,
// or two nodes that need each other's votes could never elect a leader.
//
// Once a node was removed that voted, a certificate of the CA proves nothing by itself:
// whoever has that node's data folder has the CA's key. From then on all three count, name,
// generation and key, as they are on record. A voter that has not applied yet who was let in
// last has the entry in its log that made them a member: by that it knows them. A node that
// was just let in itself reads the log of long ago, by which those that feed it were not
// let in yet: it does not refuse them for that, or they would end.

// vet says why a node that introduces itself so is not of this cluster any more. sure: it is to
// be told; else it asks again, once this node knows whether it has a vote.
func (s *Store) vet(c caller) (err error, sure bool) {
	sure = s.running()
	var n *license.Node
	known := false // the CA's key, outside
	var left error
	unread := s.reading() || s.listedAhead(c.name)
	s.View(func(st *license.State) {
		head := st.Head()
		known = head.CAOut != 0 && !unread
		left = leftBehind(&head.Rekeying, c.name, c.generation, st.Node(c.name))
		if known := st.Node(c.name); known != nil {
			copied := *known
			n = &copied
		}
	})
	switch {
	case left != nil:
		return left, true
	case known && (n == nil || c.generation > n.Generation):
		return fmt.Errorf("node %s is not on record here in generation %d, and a certificate proves nothing: somebody outside may have the key of the site's CA, as a node has had that was removed; "+
			"let the machine join by a token: sitegate cluster token, sitegate cluster join", c.name, c.generation), sure
	case n == nil || c.generation > n.Generation:
		return nil, true
	case n.Removed != 0:
		return errors.New(goneText(*n)), true
	case c.generation < n.Generation:
		return fmt.Errorf("another machine has joined as %s on %s; to use this one again, move its data folder away and join under a name of its own: sitegate cluster token, sitegate cluster join",
			n.Name, n.Since.Std().Format(dateLayout)), true
	case known && n.Key != license.Digest{} && n.Key != c.key:
		return fmt.Errorf("the certificate of node %s is not of the key that is on record: whoever has had the key of the site's CA, as a node has that was removed, could have made it; "+
			"if the key was replaced, remove the node and let it join again by a token", c.name), sure
	case n.Name != c.name:
		return fmt.Errorf("a node is called %s already; give this one a name that differs by more than capitals", n.Name), true
	case n.Instance != c.instance:
		return fmt.Errorf("the data folder of %s is not the one that this cluster knows: it was emptied, or is a second one, and does not know what %s has voted for; "+
			"remove it on another node, sitegate cluster remove %s, and join again with a token: sitegate cluster join", n.Name, n.Name, n.Name), true
	}
	return nil, true
}

// reading reports whether this node is still to read what has become of its site: its own
// admission is ahead of it in the log, where a machine of its name may have had a vote
// before, or it has no vote yet.
func (s *Store) reading() bool {
	if s.cfg.Keys != nil {
		ahead := false
		s.View(func(st *license.State) {
			self := st.Node(s.cfg.Node)
			ahead = s.cfg.Keys.Generation() > 0 && (self == nil || s.cfg.Keys.Generation() > self.Generation)
		})
		if ahead {
			return true
		}
	}
	return s.running() && !s.votes()
}

// aheadOf are the members of which the log tells further on than the state goes that a node
// begins with, as after a power cut, which takes the end of a state and not of a log.
type aheadOf struct {
	index uint64 // of the last entry that does
	names map[string]bool
}

// readAhead notes them.
func (s *Store) readAhead() error {
	last, err := s.wal.LastIndex()
	if err != nil {
		return fmt.Errorf("reading the log's end: %w", err)
	}
	pos, _ := s.disk.position()
	for i := pos.Index + 1; i <= last; i++ {
		var l raft.Log
		if err := s.wal.GetLog(i, &l); err != nil {
			return fmt.Errorf("reading the log at index %d: %w", i, err)
		}
		if l.Type != raft.LogConfiguration {
			continue
		}
		s.ahead.index, s.ahead.names = i, map[string]bool{}
		for _, x := range raft.DecodeConfiguration(l.Data).Servers {
			s.ahead.names[string(x.ID)] = true
		}
	}
	return nil
}

// listedAhead reports whether a node is one of those, and this one has not read yet why.
func (s *Store) listedAhead(name string) bool {
	return s.ahead.names[name] && s.fsm.applied.get() < s.ahead.index
}

// running reports whether raft runs, and knows its members.
func (s *Store) running() bool {
	select {
	case <-s.up:
		return s.raft != nil
	default:
		return false
	}
}

const dateLayout = "2006-01-02 15:04 UTC"

func goneText(n license.Node) string {
	why := ""
	if n.Note != "" {
		why = fmt.Sprintf(" (%s)", n.Note)
	}
	return fmt.Sprintf("node %s was removed from its cluster by %s on %s%s; to use the machine again, move its data folder away and join with a new token: sitegate cluster join",
		n.Name, n.By, n.Removed.Std().Format(dateLayout), why)
}

// observe hears of every event before others do: who was removed is cut off at
// once.
func (s *Store) observe(epoch uint64, events []license.Event) {
	for _, e := range events {
		switch f := e.Fact.(type) {
		case license.NodeRemoved:
			s.recheck(f.Node)
		case license.Joined:
			s.recheck(f.Node)
		case license.Enrolled:
			s.recheck(f.Node)
		case license.RekeyBegan:
			s.spawn(func() { s.followCAOrHalt(); s.mux.recheck() }) // the old CA's key proves nothing from here on
		case license.RekeyEnded:
			s.spawn(func() { s.followCAOrHalt(); s.mux.recheck() })
		}
	}
	if s.cfg.OnEvents != nil {
		s.cfg.OnEvents(epoch, events)
	}
}

// jumped: a snapshot has skipped events.
func (s *Store) jumped(epoch, seq uint64) {
	var self *license.Node
	s.View(func(st *license.State) { self = st.Node(s.cfg.Node) })
	if self != nil {
		s.recheck(*self)
	}
	s.spawn(s.followCAOrHalt)
	if s.cfg.OnJump != nil {
		s.cfg.OnJump(epoch, seq)
	}
}

// recheck ends the connections of who is not of the cluster any more; this node
// itself ends where that is it.
func (s *Store) recheck(n license.Node) {
	s.spawn(s.mux.recheck)
	if n.Name != s.cfg.Node || n.Removed == 0 || n.Instance != "" && n.Instance != s.identity.Instance {
		return
	}
	if s.roster.leaving.Load() {
		s.out()
		return
	}
	if s.cfg.Keys != nil && s.cfg.Keys.Generation() > n.Generation {
		return // what was removed is an earlier machine of this name
	}
	if err := s.identity.leave(s.cfg.Dir, goneText(n)); err != nil {
		s.log.Error("that this node was removed could not be noted", "err", err)
	}
	s.halt(errors.New(goneText(n)))
}
