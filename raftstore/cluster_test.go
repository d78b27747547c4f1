package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitegate/license"
)

func TestThreeNodesAgree(t *testing.T) {
	c := newCluster(t, nil)
	leader := c.leader()
	c.do(fill(20))
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() { c.do(start(n+1, n, "WS-1")) })
	}
	group.Wait()
	seq := leader.fsm.lastSeq() // at least: the leader notes who the members are in its own time
	c.alike()
	for name, s := range c.nodes {
		if got := len(s.Cluster().Members); got != 3 {
			t.Errorf("%s knows %d members, want 3", name, got)
		}
		if got := s.Cluster().Leader; got != leader.cfg.Node {
			t.Errorf("%s takes %q for the leader, want %s", name, got, leader.cfg.Node)
		}
		if err := s.Flush(limited(t)); err != nil {
			t.Fatal(err)
		}
		events, err := s.Journal(limited(t), 0, 1000)
		if err != nil || uint64(len(events)) < seq {
			t.Errorf("%s has %d events in its journal, %v; want %d or more", name, len(events), err, seq)
		}
		for i, e := range events {
			if e.Seq != uint64(i+1) {
				t.Fatalf("%s: event %d of the journal is number %d", name, i+1, e.Seq)
			}
		}
	}
	if _, err := c.follower().Propose(limited(t), fill(1)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("proposing on a follower: got %v, want %v", err, ErrNotLeader)
	}
	if err := c.follower().Fresh(limited(t)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Fresh on a follower: got %v, want %v", err, ErrNotLeader)
	}
	if err := leader.Fresh(limited(t)); err != nil {
		t.Errorf("Fresh on the leader: %v", err)
	}
}

func TestAnyNodeForwardsToTheLeader(t *testing.T) {
	c := newCluster(t, func(cfg *Config) { cfg.LeaderWait = time.Second })
	leader := c.leader()
	for name, s := range c.nodes {
		got, err := s.Forward(limited(t), []byte("hi"))
		from := name
		if s == leader {
			from = "" // itself
		}
		if want := leader.cfg.Node + " answers hi of " + from; err != nil || string(got) != want {
			t.Errorf("Forward on %s: got %q, %v; want %q", name, got, err, want)
		}
	}
	follower := c.follower()
	for name := range c.nodes {
		if name != follower.cfg.Node {
			c.stop(name)
		}
	}
	eventually(t, func() error { // it may have been handed the leadership
		if _, err := follower.Forward(limited(t), []byte("hi")); !errors.Is(err, ErrNoLeader) {
			return fmt.Errorf("Forward without a leader: got %v, want %v", err, ErrNoLeader)
		}
		return nil
	})
	// Nor may it have been done where the caller's own time ends first.
	hurry, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := follower.Forward(hurry, []byte("hi")); !errors.Is(err, ErrNoLeader) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Forward without a leader, in a hurry: got %v, want %v and %v", err, ErrNoLeader, context.DeadlineExceeded)
	}
}

func TestLeaderChangeLosesNothing(t *testing.T) {
	for _, how := range []string{"closed", "crashed"} {
		t.Run(how, func(t *testing.T) {
			c := newCluster(t, nil)
			old := c.leader()
			c.do(fill(9))
			var mu sync.Mutex
			acked := map[license.ID]bool{}
			var group sync.WaitGroup
			under := make(chan struct{}, 16)
			for w := range 8 {
				group.Go(func() {
					defer func() { under <- struct{}{} }()
					for i := 0; ; i++ {
						id := 1000*(w+1) + i
						out, err := old.Propose(context.Background(), start(id, w+1, "WS-1"))
						if err != nil {
							return
						}
						if out.Denial == nil {
							mu.Lock()
							acked[testID(id)] = true
							mu.Unlock()
						}
						if i == 20 {
							under <- struct{}{}
						}
					}
				})
			}
			for range 8 {
				receive(t, under)
			}
			if how == "closed" {
				c.stop(old.cfg.Node)
			} else {
				c.crash(old.cfg.Node)
			}
			began := time.Now()
			group.Wait()
			leader := c.leader()
			t.Logf("%d acknowledged; %s led after %v", len(acked), leader.cfg.Node, time.Since(began))
			if err := leader.Fresh(limited(t)); err != nil {
				t.Fatal(err)
			}
			leader.View(func(st *license.State) {
				for id := range acked {
					if st.Session(id) == nil {
						t.Errorf("session %s was acknowledged and is lost", id)
					}
				}
			})
			c.restart(old.cfg.Node)
			c.do(start(1, 0, "WS-1"))
			c.alike()
		})
	}
}

// bySnapshot has who was away for a few entries catch up by a snapshot.
func bySnapshot(cfg *Config) {
	cfg.TrailingEntries, cfg.SnapshotEntries, cfg.SnapshotEvery = 4, 8, 20*time.Millisecond
	cfg.FlushEvery = 10 * time.Millisecond
}

func TestFollowerCatchesUpBySnapshot(t *testing.T) {
	c := newCluster(t, bySnapshot)

	c.do(fill(1))
	behind := c.follower().cfg.Node
	c.stop(behind)
	for n := range 60 {
		c.do(start(n+1, 0, "WS-1"))
	}
	eventually(t, func() error {
		leader := c.leader()
		first, err := leader.logs.FirstIndex()
		if err == nil && first < 40 {
			err = fmt.Errorf("the leader's log still begins at %d", first)
		}
		return err
	})
	s := c.restart(behind)
	c.alike()
	if s.disk.name == folderName(firstFolder) {
		t.Errorf("%s was not caught up by a snapshot", behind)
	}
	c.do(stop(1, 0, "WS-1")) // and follows on
	c.alike()
	c.crash(behind)
	c.restart(behind)
	c.alike()
	events, err := s.disk.journal(0, 10)
	if !errors.Is(err, ErrClosed) {
		t.Errorf("the journal of a crashed store: got %d events, %v; want %v", len(events), err, ErrClosed)
	}
}

func TestFollowerThatASnapshotTookFarTellsOfTheJump(t *testing.T) {
	jumps := make(chan uint64, 10)
	c := newCluster(t, func(cfg *Config) {
		bySnapshot(cfg)
		cfg.fewEvents = 10
		cfg.OnJump = func(_, seq uint64) { jumps <- seq }
	})
	c.do(fill(1))
	behind := c.follower().cfg.Node
	c.stop(behind)
	had := c.leader().fsm.lastSeq()
	for n := range 60 {
		c.do(start(n+1, 0, "WS-1"))
	}
	eventually(t, func() error {
		first, err := c.leader().logs.FirstIndex()
		if err == nil && first < 40 {
			err = fmt.Errorf("the leader's log still begins at %d", first)
		}
		return err
	})
	c.restart(behind)
	c.alike()
	if got := receive(t, jumps); got <= had+10 { // the log brings what came after the snapshot
		t.Errorf("told of a jump to %d, want one of more than ten events from %d", got, had)
	}
}

func TestLeadRunsWithTheLeadership(t *testing.T) {
	c := newCluster(t, nil)
	type turn struct {
		node  string
		begin bool
	}
	turns := make(chan turn, 100)
	ctx, cancel := context.WithCancel(limited(t))
	defer cancel()
	var group sync.WaitGroup
	for name, s := range c.nodes {
		group.Go(func() {
			s.Lead(ctx, func(ctx context.Context) {
				turns <- turn{name, true}
				<-ctx.Done()
				turns <- turn{name, false}
			})
		})
	}
	first := receive(t, turns)
	if !first.begin {
		t.Fatalf("first turn: got the end of one on %s", first.node)
	}
	if err := c.nodes[first.node].StepDown(limited(t)); err != nil && !errors.Is(err, ErrNotLeader) {
		t.Fatal(err)
	}
	next, ended := receive(t, turns), receive(t, turns)
	if !next.begin { // either may be heard of first: they are two nodes
		next, ended = ended, next
	}
	if want := (turn{first.node, false}); ended != want || !next.begin || next.node == first.node {
		t.Errorf("after stepping down: got %+v and %+v, want %+v and the beginning of another", ended, next, want)
	}
	cancel()
	if got, want := receive(t, turns), (turn{next.node, false}); got != want {
		t.Errorf("after the end: got %+v, want %+v", got, want)
	}
	group.Wait()
}

func TestLeave(t *testing.T) {
	c := newCluster(t, nil)
	for _, left := range []int{2, 1} {
		leader := c.leader() // the leader leaves, which is the harder case
		if err := leader.Leave(limited(t)); err != nil {
			t.Fatalf("%s leaves: %v", leader.cfg.Node, err)
		}
		c.stop(leader.cfg.Node)
		again, err := Open(c.config(leader.cfg.Node, listen(t, "127.0.0.1:0")))
		if err == nil {
			closeStore(t, again)
		}
		if err == nil || !strings.Contains(err.Error(), "has left its cluster") {
			t.Errorf("%s started again: got %v, want that it has left", leader.cfg.Node, err)
		}
		eventually(t, func() error {
			if got := c.leader().voters(); got != left {
				return fmt.Errorf("%d voters, want %d", got, left)
			}
			return nil
		})
		c.do(license.Link{Up: left == 2})
	}
	if err := c.leader().Leave(limited(t)); err == nil {
		t.Error("the last voter left")
	}
}

// TestTimeIsThatOfMostClocks: whichever node leads, one in 2036, one in 1970, or the
// one that is right.
func TestTimeIsThatOfMostClocks(t *testing.T) {
	off := map[string]*atomic.Int64{"n1": {}, "n2": {}, "n3": {}}
	far := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)
	off["n1"].Store(int64(time.Until(far)))
	off["n2"].Store(int64(-time.Since(time.Unix(0, 0))))
	c := newCluster(t, func(cfg *Config) {
		mine := off[cfg.Node]
		cfg.Clock = func() time.Time { return time.Now().Add(time.Duration(mine.Load())) }
	})
	near := func(what string, want time.Time) {
		t.Helper()
		eventually(t, func() error { // a follower hears of it with the first entry
			for name, s := range c.nodes {
				got := s.Now().Std()
				off := got.Sub(want)
				if off.Abs() > wallTolerance && leads(s) == nil {
					t.Fatalf("%s: at the leader, %s, it is %v, want about %v", what, name, got, want)
				}
				if off.Abs() > wallTolerance {
					return fmt.Errorf("%s: at %s it is %v, want about %v", what, name, got, want)
				}
			}
			return nil
		})
	}
	led := map[string]bool{}
	eventually(t, func() error { // all have led
		leader := c.leader()
		c.linked()
		c.do(license.Link{Up: len(led)%2 == 0})
		near("led by "+leader.cfg.Node, time.Now())
		led[leader.cfg.Node] = true
		if len(led) == len(c.nodes) {
			return nil
		}
		if err := leader.StepDown(limited(t)); err != nil && !errors.Is(err, ErrNotLeader) {
			t.Fatal(err)
		}
		return fmt.Errorf("led so far: %v", led)
	})
	for _, o := range off { // and now all at once
		o.Store(int64(3 * time.Hour))
	}
	c.do(license.Link{Up: true})
	near("after all jumped", time.Now())
	leader := c.leader()
	if st, err := leader.Status(); err != nil || !st.TimeHeld {
		t.Errorf("after all jumped: got held %t, %v; want the alarm", st.TimeHeld, err)
	}
	before, now, err := leader.AcceptTime(limited(t))
	if jump := now.Sub(before); err != nil || (jump-3*time.Hour).Abs() > wallTolerance {
		t.Fatalf("accepting: got %s after %s, %v; want three hours more", now, before, err)
	}
	c.do(license.Link{Up: false})
	eventually(t, func() error { // the others hear of it with the next entry
		for name, s := range c.nodes {
			if got, want := s.Now().Std(), time.Now().Add(3*time.Hour); got.Sub(want).Abs() > wallTolerance {
				return fmt.Errorf("accepted: at %s it is %v, want about %v", name, got, want)
			}
		}
		return nil
	})
}
