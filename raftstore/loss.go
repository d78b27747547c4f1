package raftstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// A leader whose process has ended is noticed by its connections, long before a
// timeout: they close, and nobody takes a new one. A voter that sees this tells
// the others. Once a majority has seen the same loss, the one of them with the
// longest log stands for election; should it fail, the next does a little later.
// raft decides as ever who wins. A leader that is paused, or cut off, refuses no
// connection: only the timeout tells.

// loss is one voter's word that the leader of a term is gone, and how long its
// own log is.
type loss struct {
	Leader    string `cbor:"1,keyasint"`
	Term      uint64 `cbor:"2,keyasint"`
	LastTerm  uint64 `cbor:"3,keyasint"`
	LastIndex uint64 `cbor:"4,keyasint"`
	Stands    bool   `cbor:"5,keyasint,omitempty"` // it stands for election now
}

const (
	// standNext is the part of a heartbeat's time between one candidate and the next:
	// two at once would take each other's votes, and raft lets neither stand again
	// before a timeout. The network that the tempo was chosen for carries the first
	// one's word in less.
	standNext = 4
	// hearAll is how long a majority waits for the voters that have not spoken yet,
	// one of which may have the longest log.
	hearAll = 20 * time.Millisecond
	// lossLimit bounds telling one voter, and one look whether the leader is gone.
	lossLimit = 500 * time.Millisecond
	// A connection that is cut in the middle of a dial is no refusal: the system
	// closes the connections and the port of a process one after the other.
	redials     = 20
	redialPause = 5 * time.Millisecond
)

// losses gathers what the voters say of one leader's loss.
type losses struct {
	mu      sync.Mutex
	leader  string // mu guards these
	term    uint64
	said    map[string]loss // by voter
	heardBy time.Time       // a majority has spoken, and the others have had their time
	after   time.Time       // another stands, and has until then
	stand   *time.Timer
	stood   uint64 // the last term in which this node has stood
}

// note keeps a voter's word; one about an earlier loss is of no use any more.
func (l *losses) note(voter string, x loss) {
	if l.leader != x.Leader || l.term != x.Term {
		if x.Term < l.term {
			return
		}
		l.leader, l.term, l.said, l.heardBy, l.after = x.Leader, x.Term, map[string]loss{}, time.Time{}, time.Time{}
	}
	l.said[voter] = x
}

// known reports whether a voter has spoken about this loss already.
func (l *losses) known(voter, leader string, term uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.said[voter]
	return ok && l.leader == leader && l.term == term
}

// turn says when this node is to stand, if a majority of the voters has spoken,
// this node among them: at once where its log is the longest, later by its rank.
func (l *losses) turn(self string, voters []string, now time.Time, beat time.Duration) (at time.Time, ok bool) {
	type word struct {
		voter string
		loss
	}
	var words []word
	for _, v := range voters {
		if x, spoke := l.said[v]; spoke && v != l.leader {
			words = append(words, word{v, x})
		}
	}
	if len(words) < len(voters)/2+1 {
		return now, false
	}
	slices.SortFunc(words, func(a, b word) int {
		return cmp.Or(cmp.Compare(b.LastTerm, a.LastTerm), cmp.Compare(b.LastIndex, a.LastIndex), cmp.Compare(a.voter, b.voter))
	})
	rank := slices.IndexFunc(words, func(w word) bool { return w.voter == self })
	if rank < 0 {
		return now, false
	}
	switch {
	case len(words) >= len(voters)-1:
		l.heardBy = now
	case l.heardBy.IsZero():
		l.heardBy = now.Add(hearAll)
	}
	at = l.heardBy.Add(time.Duration(rank) * beat / standNext)
	if at.Before(l.after) {
		at = l.after
	}
	return at, true
}

// suspect looks whether a peer is the leader, and gone. It is called whenever a
// connection to a peer has ended.
func (s *Store) suspect(p *peer) {
	if s.ctx.Err() != nil {
		return
	}
	leader, term, ok := s.following()
	if !ok || leader != p.name || s.losses.known(s.cfg.Node, leader, term) || !s.refuses(p) {
		return
	}
	mine, ok := s.ownLoss(leader, term)
	if !ok {
		return
	}
	s.log.Info("the leader's process has ended", "leader", leader, "term", term)
	s.hearLoss(s.cfg.Node, mine)
	s.tellLoss(mine)
}

// tellLoss gives this node's word to the other voters, without waiting for them.
func (s *Store) tellLoss(mine loss) {
	for _, m := range s.others() {
		if !m.voter || m.name == mine.Leader {
			continue
		}
		s.spawn(func() {
			ctx, cancel := context.WithTimeout(s.ctx, lossLimit)
			defer cancel()
			if err := s.peer(m.name, m.address).ask(ctx, methodLost, mine, nil); err != nil {
				s.log.Debug("a voter could not be told of the leader's loss", "peer", m.name, "err", err)
			}
		})
	}
}

// following is whom this node follows, as a voter.
func (s *Store) following() (leader string, term uint64, ok bool) {
	term = s.raft.CurrentTerm()
	_, id := s.raft.LeaderWithID()
	voter := slices.ContainsFunc(s.members(), func(m member) bool { return m.voter && m.name == s.cfg.Node })
	return string(id), term, voter && id != "" && s.raft.State() == raft.Follower && s.raft.CurrentTerm() == term
}

// refuses reports whether nothing listens at a peer's address any more.
func (s *Store) refuses(p *peer) bool {
	ctx, cancel := context.WithTimeout(s.ctx, lossLimit)
	defer cancel()
	for range redials {
		_, err := p.connect(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			return false
		case errors.Is(err, syscall.ECONNREFUSED):
			return true
		}
		select {
		case <-time.After(redialPause):
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// ownLoss is this node's word, if the leader is still the one it follows.
func (s *Store) ownLoss(leader string, term uint64) (loss, bool) {
	x := s.end(loss{Leader: leader, Term: term})
	is, now, ok := s.following()
	return x, ok && is == leader && now == term && x.LastTerm != 0
}

// end is a word with the end of this node's log.
func (s *Store) end(x loss) loss {
	x.LastIndex, x.Stands = s.raft.LastIndex(), false
	x.LastTerm = s.termAt(x.LastIndex)
	return x
}

// longer reports whether the log of x is longer than that of y, whose node then
// cannot get the vote of x.
func (x loss) longer(y loss) bool {
	return x.LastTerm > y.LastTerm || x.LastTerm == y.LastTerm && x.LastIndex > y.LastIndex
}

// termAt is the term of an entry at the end of the log; zero where it is not known.
func (s *Store) termAt(index uint64) uint64 {
	var l raft.Log
	if err := s.logs.GetLog(index, &l); err == nil {
		return l.Term
	}
	if pos, _ := s.disk.position(); pos.Index == index {
		return pos.Term
	}
	return 0
}

// handleLost hears another voter's word.
func (s *Store) handleLost(from string, body []byte) error {
	var x loss
	if err := s.codec.dec.Unmarshal(body, &x); err != nil {
		return fmt.Errorf("reading that the leader is gone: %w", err)
	}
	leader, term, ok := s.following()
	if x.Term != s.raft.CurrentTerm() || x.Leader == s.cfg.Node {
		return nil // that leader is not this node's
	}
	s.hearLoss(from, x)
	if ok && leader == x.Leader && term == x.Term { // where it was not connected, it has not noticed
		for _, m := range s.others() {
			if m.name == leader {
				s.spawn(func() { s.suspect(s.peer(m.name, m.address)) })
			}
		}
	}
	return nil
}

// hearLoss takes a voter's word into account, and stands for election when it is
// this node's turn.
func (s *Store) hearLoss(voter string, x loss) {
	var voters []string
	for _, m := range s.members() {
		if m.voter {
			voters = append(voters, m.name)
		}
	}
	if !slices.Contains(voters, voter) {
		return
	}
	l := &s.losses
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(voter, x)
	if x.Stands && x.Term == l.term && voter != s.cfg.Node { // two at once would take each other's votes
		l.after = time.Now().Add(s.cfg.beat)
		if mine := s.end(x); mine.longer(x) && l.stood <= x.Term { // what was on its way has made this log longer since
			l.stood = x.Term + 1
			s.spawn(func() { s.standAfter(x) })
		}
	}
	at, ok := l.turn(s.cfg.Node, voters, time.Now(), s.cfg.beat)
	if !ok || l.stood >= l.term {
		return
	}
	if l.stand != nil {
		l.stand.Stop()
	}
	leader, term := l.leader, l.term
	l.stand = time.AfterFunc(time.Until(at), func() { s.spawn(func() { s.standFor(leader, term) }) })
}

// standAfter stands for election after another that cannot have this node's vote,
// and so has used up a term.
func (s *Store) standAfter(x loss) {
	for range redials {
		if s.raft.CurrentTerm() > x.Term {
			break
		}
		select {
		case <-time.After(redialPause):
		case <-s.ctx.Done():
			return
		}
	}
	if _, known := s.raft.LeaderWithID(); known != "" || s.raft.CurrentTerm() != x.Term+1 || s.raft.State() == raft.Leader {
		return
	}
	s.standNow(x.Leader, x.Term+1)
}

// standFor stands for election after a leader's loss, unless another has been
// elected since, or stands.
func (s *Store) standFor(leader string, term uint64) {
	_, known := s.raft.LeaderWithID()
	if s.raft.CurrentTerm() != term || s.raft.State() == raft.Leader || known != "" && string(known) != leader {
		return
	}
	l := &s.losses
	l.mu.Lock()
	mine := l.said[s.cfg.Node]
	first := l.stood < term && mine.Term == term
	l.stood = max(l.stood, term)
	l.mu.Unlock()
	if !first {
		return
	}
	mine.Stands = true
	s.tellLoss(mine)
	s.standNow(leader, term)
}

func (s *Store) standNow(leader string, term uint64) {
	s.log.Info("standing for election in place of the leader that has ended", "leader", leader, "term", term+1)
	ctx, cancel := context.WithTimeout(s.ctx, lossLimit)
	defer cancel()
	if err := s.standing.stand(ctx); err != nil {
		s.log.Warn("this node could not stand for election", "err", err)
	}
}
