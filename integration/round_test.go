package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"sitegate/api"
	"sitegate/integration/model"
)

// round is one recorded history: machines of a few users ask through every node,
// several of each user at once, while the nemesis does its work.
type round struct {
	s      *Site
	name   string // begins its users' names
	users  int
	each   int // machines of a user
	length time.Duration
	lease  time.Duration // of the site; zero: too long to be seen
	seed   uint64
	faults []fault
	rest   time.Duration // at the end, without faults

	more   []string // users beside them
	beside func(testing.TB, context.Context, *model.History)
}

// run records the history and says whether it is possible by the rules.
func (r round) run(t testing.TB) error {
	t.Helper()
	t.Logf("round %s, seed %d", r.name, r.seed)
	var users []string
	for i := range r.users {
		users = append(users, fmt.Sprintf("%s-%d", r.name, i+1))
	}
	site, err := r.s.recordHistory(append(users, r.more...))
	if err != nil {
		return err
	}
	h := model.Begin()
	ctx, cancel := context.WithTimeout(context.Background(), r.length)
	defer cancel()
	var all sync.WaitGroup
	for i, user := range users {
		for j := range r.each {
			m := r.s.machineInHistory(t, h, r.each*i+j, user, r.seed)
			m.lease = r.lease
			all.Go(func() { m.work(ctx) })
		}
	}
	if r.beside != nil {
		all.Go(func() { r.beside(t, ctx, h) })
	}
	n := &nemesis{t: t, s: r.s, faults: r.faults, dice: rand.New(rand.NewPCG(r.seed, 1<<32)),
		say: func(what string) { t.Logf("%8.3f s: %s", h.Now().Seconds(), what) }}
	busy, end := context.WithTimeout(ctx, r.length-r.rest)
	n.work(busy)
	end()
	t.Log(n.account())
	all.Wait()
	return r.judge(t, h, site)
}

// errShowsNothing says that too little has happened in a history to judge by it.
var errShowsNothing = errors.New("the history shows nothing")

func (r round) judge(t testing.TB, h *model.History, site model.Site) error {
	t.Helper()
	ops := h.Operations()
	granted, unknown, open := 0, 0, 0
	for _, op := range ops {
		switch out := op.Output.(model.Output); {
		case out.Unknown:
			unknown++
			if op.Return == math.MaxInt64 {
				open++
			}
		case out.Denied == "":
			granted++
		}
	}
	t.Logf("%d operations: %d granted, %d unknown, of which %d may have happened at any time since", len(ops), granted, unknown, open)
	if per := int(r.length/time.Second) * r.users; granted < per {
		return fmt.Errorf("%w: it has %d grants; want one a second and user, %d", errShowsNothing, granted, per)
	}
	m, info, err := h.Check(site, 2*time.Minute)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, model.Stuck(ops, info))
		if dir := os.Getenv("SITEGATE_HISTORIES"); dir != "" {
			file := filepath.Join(dir, fmt.Sprintf("history-%s-%d.html", r.name, r.seed))
			err = errors.Join(err, porcupine.VisualizePath(m, info, file))
		}
	}
	return err
}

// awaitSame waits until all nodes are at the same index with the same counts, and have
// decided the same, to the digit; where they do not, the error wraps errDiffer.
func (s *Site) awaitSame(t testing.TB) error {
	t.Helper()
	if err := s.awaitEqual(); err != nil {
		return err
	}
	return s.awaitAlike(t)
}

// awaitEqual waits until every node has the same counts; where they differ, the error
// wraps errDiffer. A node is not asked for its index and its counts at one moment, and
// goes on working: what differs once may only have changed in between, what differs
// again and again is not the same.
func (s *Site) awaitEqual() error {
	var differ error
	again := 0
	err := within(30*time.Second, "all nodes are at the same index", func() error {
		if err := s.whole(); err != nil {
			return err
		}
		var first api.Status
		differ = nil
		for i, n := range s.Nodes {
			if err := s.ready(n); err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
			st, err := s.Status(n)
			if err != nil {
				return err
			}
			if i == 0 {
				first = st
			}
			if st.Cluster.Index != first.Cluster.Index {
				return fmt.Errorf("%s is at %d, %s at %d", st.Node, st.Cluster.Index, first.Node, first.Cluster.Index)
			}
			if !sameCounts(st, first) {
				differ = fmt.Errorf("%w: %s has %+v %+v, %s has %+v %+v", errDiffer, st.Node, st.Usage, st.Counts, first.Node, first.Usage, first.Counts)
			}
		}
		if again++; again < 20 {
			return differ
		}
		return nil
	})
	return cmp.Or(err, differ)
}

// sameCounts says whether two nodes count the same. Since when the oldest usage waits each
// looks for in its journal, which may not be as far as what it counts.
func sameCounts(a, b api.Status) bool {
	a.Usage.Oldest, b.Usage.Oldest = time.Time{}, time.Time{}
	return a.Usage == b.Usage && a.Counts == b.Counts
}

// A node whose journal is behind is no node that counts something else.
func TestNodesAreNotComparedByTheirJournals(t *testing.T) {
	var ahead, behind api.Status
	ahead.Usage.Waiting, behind.Usage.Waiting = 2, 2
	ahead.Usage.Oldest = time.Unix(1_700_000_000, 0)
	if !sameCounts(ahead, behind) {
		t.Errorf("%+v and %+v differ, want the same", ahead.Usage, behind.Usage)
	}
	if behind.Usage.Waiting = 1; sameCounts(ahead, behind) {
		t.Errorf("%+v and %+v are the same, want a difference", ahead.Usage, behind.Usage)
	}
	behind = ahead
	if behind.Counts.Users++; sameCounts(ahead, behind) {
		t.Error("nodes with other users are the same, want a difference")
	}
}

// A backup that cannot be asked for is told to who waits for it, and ends no goroutine.
func TestABackupWithoutAProgramIsAnError(t *testing.T) {
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() {
		err := errors.New("the goroutine ended")
		defer func() { done <- err }()
		_, err = new(Site).backUp(filepath.Join(dir, "none"), &Node{Name: "n1"}, filepath.Join(dir, "n1"))
	}()
	if err := <-done; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

// awaitAlike waits until backups of all nodes end at the same event with the same digest
// of all events. Two digests at one event that differ never become the same: the error
// wraps errDiffer.
func (s *Site) awaitAlike(t testing.TB) error {
	t.Helper()
	dir, err := os.MkdirTemp(s.Dir, "alike-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var differ error
	err = within(3*time.Minute, "all nodes are alike", func() error {
		if err := s.whole(); err != nil {
			return err
		}
		said := make([]backedUp, len(s.Nodes))
		errs := make([]error, len(s.Nodes))
		var all sync.WaitGroup // at once: nodes go on deciding
		for i, n := range s.Nodes {
			program := s.programOf(t, n)
			all.Go(func() { said[i], errs[i] = s.backUp(program, n, filepath.Join(dir, n.Name)) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		first, name := said[0], s.Nodes[0].Name
		for i, b := range said {
			if b.Seq != first.Seq {
				return fmt.Errorf("%s is at event %d, %s at %d", s.Nodes[i].Name, b.Seq, name, first.Seq)
			}
			if b.Digest != first.Digest {
				differ = fmt.Errorf("%w: at event %d the digest of %s is %s, that of %s is %s", errDiffer, b.Seq, s.Nodes[i].Name, b.Digest, name, first.Digest)
			}
		}
		return nil
	})
	return cmp.Or(err, differ)
}

// backedUp is what a backup says of itself.
type backedUp struct {
	Seq    uint64 `json:"seq"`
	Digest string `json:"digest"`
}

// backUp has a node write a backup to a file, whatever is there, and looks into it, by a
// program.
func (s *Site) backUp(program string, n *Node, file string) (b backedUp, err error) {
	if err := os.RemoveAll(file); err != nil {
		return b, err
	}
	if status, _, stderr, err := s.run(program, "backup", file, "--config", n.Config); err != nil {
		return b, err
	} else if status != 0 {
		return b, fmt.Errorf("a backup of %s: status %d: %s", n.Name, status, stderr)
	}
	status, stdout, stderr, err := s.run(program, "backup", "inspect", "--json", file)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal([]byte(stdout), &b); status != 0 || err != nil {
		return b, fmt.Errorf("looking into the backup of %s: status %d: %s, %v", n.Name, status, stderr, err)
	}
	return b, nil
}
