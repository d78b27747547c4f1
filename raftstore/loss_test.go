package raftstore

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestEndedLeaderIsReplacedBeforeATimeout(t *testing.T) {
	const beat = 10 * time.Second
	c := newCluster(t, func(cfg *Config) { cfg.beat = beat })
	c.do(fill(1))
	for range 3 {
		c.linked()
		old := c.leader()
		term := old.raft.CurrentTerm()
		began := time.Now()
		c.crash(old.cfg.Node)
		next := c.leader()
		took := time.Since(began)
		t.Logf("%s led after %v", next.cfg.Node, took)
		if got := next.raft.CurrentTerm(); got <= term {
			t.Errorf("the new leader's term: got %d, want one after %d", got, term)
		}
		if took >= beat {
			t.Errorf("a new leader led after %v; want it before the timeout of %v", took, beat)
		}
		c.restart(old.cfg.Node)
	}
}

// linked waits until every node is connected to every other, and knows the leader.
func (c *cluster) linked() {
	c.t.Helper()
	eventually(c.t, func() error {
		leader := c.leader().cfg.Node
		for name, s := range c.nodes {
			if got := s.Cluster().Leader; got != leader {
				return fmt.Errorf("%s takes %q for the leader, want %s", name, got, leader)
			}
			for _, m := range s.others() {
				p := s.peer(m.name, m.address)
				p.mu.Lock()
				up := p.line != nil
				p.mu.Unlock()
				if !up {
					return fmt.Errorf("%s is not connected to %s", name, m.name)
				}
			}
		}
		return nil
	})
}

func TestAClosedConnectionAloneReplacesNoLeader(t *testing.T) {
	c := newCluster(t, func(cfg *Config) { cfg.Tempo = WAN })
	c.linked()
	leader := c.leader()
	term := leader.raft.CurrentTerm()
	for _, s := range c.nodes {
		if s == leader {
			continue
		}
		p := s.peer(leader.cfg.Node, leader.cfg.Advertise)
		p.mu.Lock()
		broken := p.line
		p.mu.Unlock()
		broken.conn.Close()
		eventually(t, func() error { // it is dialled again at once, because it was the leader's
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.line == nil || p.line == broken {
				return fmt.Errorf("%s is not connected to the leader again", s.cfg.Node)
			}
			return nil
		})
	}
	if err := leader.Fresh(limited(t)); err != nil || leader.raft.CurrentTerm() != term {
		t.Errorf("after its connections were closed: got %v in term %d, want the leader of term %d", err, leader.raft.CurrentTerm(), term)
	}
	for name, s := range c.nodes {
		s.losses.mu.Lock()
		if len(s.losses.said) > 0 {
			t.Errorf("%s heard %v, want nothing", name, s.losses.said)
		}
		s.losses.mu.Unlock()
	}
}

func TestALoneSurvivorDoesNotStand(t *testing.T) {
	c := newCluster(t, nil)
	c.linked()
	leader := c.leader()
	down := c.follower()
	c.crash(down.cfg.Node)
	term := leader.raft.CurrentTerm()
	c.crash(leader.cfg.Node)
	for name, s := range c.nodes {
		eventually(t, func() error { // it has seen the loss, and told whom it could
			s.losses.mu.Lock()
			defer s.losses.mu.Unlock()
			if len(s.losses.said) != 1 {
				return fmt.Errorf("%s heard %v", name, s.losses.said)
			}
			return nil
		})
		if got := s.raft.CurrentTerm(); got != term {
			t.Errorf("the term of %s, alone: got %d, want %d still", name, got, term)
		}
	}
	c.restart(down.cfg.Node)
	c.do(fill(1))
}

func TestWhoStandsFirst(t *testing.T) {
	const beat = 200 * time.Millisecond
	now := time.Unix(1_000_000, 0)
	three, five := []string{"a", "b", "c"}, []string{"a", "b", "c", "d", "e"}
	long, short, newer := loss{LastTerm: 4, LastIndex: 90}, loss{LastTerm: 4, LastIndex: 80}, loss{LastTerm: 5, LastIndex: 10}
	for name, x := range map[string]struct {
		voters []string
		said   map[string]loss
		self   string
		at     time.Duration
		no     bool
	}{
		"the longer log":                {three, map[string]loss{"b": short, "c": long}, "c", 0, false},
		"the shorter log":               {three, map[string]loss{"b": short, "c": long}, "b", beat / standNext, false},
		"the later term":                {three, map[string]loss{"b": newer, "c": long}, "b", 0, false},
		"alike, the lower name":         {three, map[string]loss{"b": long, "c": long}, "b", 0, false},
		"alike, the higher name":        {three, map[string]loss{"b": long, "c": long}, "c", beat / standNext, false},
		"alone":                         {three, map[string]loss{"b": long}, "b", 0, true},
		"it has not seen it itself":     {three, map[string]loss{"c": long, "b": long}, "d", 0, true},
		"the leader's word":             {three, map[string]loss{"a": long, "b": long}, "b", 0, true},
		"a stranger's word":             {three, map[string]loss{"x": long, "b": long}, "b", 0, true},
		"all four of five":              {five, map[string]loss{"b": short, "c": long, "d": long, "e": newer}, "d", 2 * beat / standNext, false},
		"three of five, one is awaited": {five, map[string]loss{"b": short, "c": long, "d": long}, "c", hearAll, false},
		"two of five":                   {five, map[string]loss{"b": short, "c": long}, "c", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			var l losses
			for voter, said := range x.said {
				said.Leader, said.Term = "a", 5
				l.note(voter, said)
			}
			at, ok := l.turn(x.self, x.voters, now, beat)
			if ok == x.no || ok && at.Sub(now) != x.at {
				t.Errorf("got %v after, %t; want %v, %t", at.Sub(now), ok, x.at, !x.no)
			}
		})
	}
	var held losses
	for _, voter := range []string{"b", "c"} {
		held.note(voter, loss{Leader: "a"})
	}
	held.after = now.Add(time.Second)
	if at, ok := held.turn("b", three, now, beat); !ok || at != now.Add(time.Second) {
		t.Errorf("while another stands: got %v after, %t; want it to have its time", at.Sub(now), ok)
	}
	var l losses
	l.note("b", loss{Leader: "a", Term: 5})
	l.note("c", loss{Leader: "b", Term: 6})
	l.note("d", loss{Leader: "a", Term: 5})
	if len(l.said) != 1 || l.term != 6 || l.leader != "b" {
		t.Errorf("words on several losses: got %v of %s in term %d, want that of the last only", l.said, l.leader, l.term)
	}
}

func TestWhoCannotGiveItsVote(t *testing.T) {
	for name, x := range map[string]struct {
		mine, other loss
		want        bool
	}{
		"the same":       {loss{LastTerm: 4, LastIndex: 9}, loss{LastTerm: 4, LastIndex: 9}, false},
		"more entries":   {loss{LastTerm: 4, LastIndex: 10}, loss{LastTerm: 4, LastIndex: 9}, true},
		"fewer entries":  {loss{LastTerm: 4, LastIndex: 8}, loss{LastTerm: 4, LastIndex: 9}, false},
		"a later term":   {loss{LastTerm: 5, LastIndex: 8}, loss{LastTerm: 4, LastIndex: 9}, true},
		"an earlier one": {loss{LastTerm: 3, LastIndex: 10}, loss{LastTerm: 4, LastIndex: 9}, false},
	} {
		if got := x.mine.longer(x.other); got != x.want {
			t.Errorf("%s: got %t, want %t", name, got, x.want)
		}
	}
}

// TestVotesAreAskedForOnANewConnection: raft's transport keeps connections to a node
// that was started anew since.
func TestVotesAreAskedForOnANewConnection(t *testing.T) {
	asked := 0
	if err := fresh(func() error {
		if asked++; asked <= poolSize {
			return io.EOF
		}
		return nil
	}); err != nil || asked != poolSize+1 {
		t.Errorf("after %d connections that had ended: asked %d times, %v; want once more, and an answer", poolSize, asked, err)
	}
	asked = 0
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	if err := fresh(func() error { asked++; return refused }); err != error(refused) || asked != 1 {
		t.Errorf("a node that is not there: asked %d times, %v; want once", asked, err)
	}
}
