package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
)

// hold keeps a cluster at its level.
const hold = "SITEGATE_CLUSTER_HOLD_LEVEL=true"

// TestARollingUpgradeAndTheWayBack replaces the program of one node after the other,
// under load: the last release's by this one, back, and by one that can do a higher
// level. As long as that is held back the way back is open; once the cluster works at
// it, earlier programs say that they are of no use, and why.
func TestARollingUpgradeAndTheWayBack(t *testing.T) {
	t.Parallel()
	released, this, later := EarlierProgram(t), Program(t, "sitegate"), NextProgram(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("what nodes of two versions must agree on has changed without a new level? See upgrade/README.md")
		}
	})
	s := NewSiteOf(t, released, 3, 20, busy...)
	ctx := t.Context()
	keeper := s.Client(t, emulator.UserA, "WS-KEPT", 0)
	keeper.Watch(ctx)
	kept, err := keeper.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Fatal(err)
	}
	work := s.shift(t, 8)
	work.more(t, "the beginning")

	for i := range s.Nodes {
		s.replace(t, work, i, this)
	}
	s.level(t, 1)
	for i := range s.Nodes { // and the way back: one of them, then all
		s.replace(t, work, i, released)
	}
	for i := range s.Nodes {
		if i == 0 {
			s.Nodes[i].env = []string{hold}
		}
		s.replace(t, work, i, later)
	}
	s.know(t, 2)
	work.more(t, "all could do more")
	s.level(t, 1)
	if out := s.mustOperate(t, 1, "", "members"); !strings.Contains(out, "Level 2 is held back on node1") {
		t.Errorf("the members are shown as\n%s\nwant who holds the level back", out)
	}
	s.replace(t, work, 2, released)
	s.replace(t, work, 2, later)

	s.Nodes[0].env = nil
	s.replace(t, work, 0, later)
	s.level(t, 2)
	work.more(t, "raising the level")

	for _, program := range []string{released, this} {
		s.mustOperate(t, 2, "", "drain", "--over", "300ms")
		s.Nodes[2].Stop(t)
		s.Nodes[2].program = program
		s.Start(t, 2)
		if status := s.Nodes[2].Wait(t, 30*time.Second); status == 0 || !strings.Contains(s.Nodes[2].Output(), "the cluster works at level 2") {
			t.Errorf("an earlier program: status %d, it wrote\n%s\nwant that it cannot do level 2", status, s.Nodes[2].Output())
		}
		s.Nodes[2].program = later
		s.Start(t, 2)
		s.AwaitReady(t, s.Nodes[2])
	}
	late := s.NewMachine(t, "node4")
	late.program = this
	if out, err := s.operateOn(t, late, s.token(t, 1), "join", "--token-file", "-", "--peer-listen", late.Door); err == nil || !strings.Contains(err.Error(), "This cluster works at level 2") {
		t.Errorf("an earlier program joins: %s, %v; want it refused", out, err)
	}
	work.more(t, "refusing earlier programs")
	work.end(t)

	select {
	case <-kept.Lost():
		t.Errorf("the session that was kept all the time is lost: %v", kept.Err())
	default:
	}
	Eventually(t, 30*time.Second, "all usage is with the cloud", func() error {
		if got := len(s.Cloud.Usage()); got != work.starts {
			return fmt.Errorf("%d records, want one for each of %d starts", got, work.starts)
		}
		return nil
	})
	if err := s.awaitAlike(t); err != nil {
		t.Error(err)
	}
}

// replace does what is done on each machine in a night of updates: drain, stop, install,
// start, and wait until it has its vote and has caught up.
func (s *Site) replace(t testing.TB, work *shift, i int, program string) {
	t.Helper()
	n := s.Nodes[i]
	s.mustOperate(t, i, "", "drain", "--over", "300ms")
	n.Stop(t)
	n.program = program
	s.Start(t, i)
	s.AwaitReady(t, n)
	s.votes(t, (i+1)%len(s.Nodes), n.Name, true)
	work.more(t, "replacing the program of "+n.Name)
}

// level waits until the cluster works at a level, by the word of each node.
func (s *Site) level(t testing.TB, want uint64) {
	t.Helper()
	for _, n := range s.Nodes {
		Eventually(t, 30*time.Second, fmt.Sprintf("level %d", want), func() error {
			st, err := s.Status(n)
			if err == nil && st.Cluster.Level != want {
				err = fmt.Errorf("%s says that it is %d", n.Name, st.Cluster.Level)
			}
			return err
		})
	}
}

// know waits until each node knows that all can do a level.
func (s *Site) know(t testing.TB, level uint64) {
	t.Helper()
	for i, n := range s.Nodes {
		Eventually(t, 30*time.Second, "who can do what", func() error {
			all, err := s.members(t, i)
			if err == nil && slices.ContainsFunc(all, func(m api.ClusterMember) bool { return m.Level != level }) {
				err = fmt.Errorf("%s knows %+v", n.Name, all)
			}
			return err
		})
	}
}
