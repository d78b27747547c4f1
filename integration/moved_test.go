package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
)

// A machine of a cluster that was made gets another address, and so does one that has
// joined, as docs/operator/cluster.md tells it: the others find them, and count on them.
func TestAMembersAddressFollowsIt(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 20, busy...)
	work := s.shift(t, 4)
	work.more(t, "the beginning")

	made := s.Nodes[1]
	was, err := s.addressOf(t, 0, made.Name)
	if err != nil {
		t.Fatal(err)
	}
	made.Stop(t)
	now := freePortOn(t, made.IP)
	edit(t, made.Config, was, now)
	s.Start(t, 1)
	s.AwaitReady(t, made)
	for i := range s.Nodes {
		s.awaitAddress(t, i, made.Name, now)
	}
	s.Nodes[2].Kill() // now nothing is decided without the one that moved
	work.more(t, "moving "+made.Name)
	s.Start(t, 2)
	s.AwaitReady(t, s.Nodes[2])
	s.votes(t, 0, s.Nodes[2].Name, true)

	token := s.token(t, 0)
	i := s.machine(t, "node4")
	joined := s.Nodes[i]
	s.joins(t, i, token)
	joined.Stop(t)
	was, now = joined.Door, freePortOn(t, joined.IP)
	place := filepath.Join(joined.data(), "cluster", "member.json")
	edit(t, place, was, now)
	if status, _, stderr := s.Tool(t, joined, "check"); status == 0 || !strings.Contains(stderr, place) || !strings.Contains(stderr, "checksum") {
		t.Errorf("a place that does not fit its checksum: status %d, %s; want it refused", status, stderr)
	}
	sum := regexp.MustCompile(`  "checksum": .*\n`)
	b, err := os.ReadFile(place)
	if err == nil {
		err = os.WriteFile(place, sum.ReplaceAll(b, nil), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t, i)
	s.AwaitReady(t, joined)
	for i := range s.Nodes {
		s.awaitAddress(t, i, joined.Name, now)
	}
	if b, err := os.ReadFile(place); err != nil || !sum.Match(b) {
		t.Errorf("after the start its place is\n%s\n%v; want it with a checksum", b, err)
	}
	work.more(t, "moving "+joined.Name)
	work.end(t)
}

// edit replaces one address by another in a file.
func edit(t testing.TB, file, was, now string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), was) {
		t.Fatalf("%s has no %s in it:\n%s", file, was, b)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(b), was, now)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// addressOf is where a node has another one.
func (s *Site) addressOf(t testing.TB, by int, name string) (string, error) {
	t.Helper()
	all, err := s.members(t, by)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(m api.ClusterMember) bool { return m.Name == name })
	if i < 0 {
		return "", fmt.Errorf("%s is not among %+v", name, all)
	}
	return all[i].Address, nil
}

func (s *Site) awaitAddress(t testing.TB, by int, name, want string) {
	t.Helper()
	Eventually(t, 60*time.Second, name+" is at "+want, func() error {
		got, err := s.addressOf(t, by, name)
		if err == nil && got != want {
			err = fmt.Errorf("%s has it at %s", s.Nodes[by].Name, got)
		}
		return err
	})
}

// With cluster.remove_dead_after a node that is not heard of any more is taken out by
// itself, and stays out.
func TestADeadNodeIsTakenOutByItself(t *testing.T) {
	t.Parallel()
	s := NewSiteWithoutLinks(t, 3, 10, "SITEGATE_CLUSTER_REMOVE_DEAD_AFTER=1m")
	leader := s.Leader(t)
	dead, other := (leader+1)%3, (leader+2)%3
	s.Nodes[dead].Kill()
	Eventually(t, 8*time.Minute, s.Nodes[dead].Name+" is out", func() error {
		all, err := s.members(t, other)
		if err == nil && len(all) != 2 {
			err = fmt.Errorf("the members are %+v", all)
		}
		return err
	})
	s.Start(t, dead)
	if status := s.Nodes[dead].Wait(t, 30*time.Second); status == 0 || !strings.Contains(s.Nodes[dead].Output(), "was removed from its cluster by clean-up") {
		t.Errorf("the dead node came back: status %d, it wrote\n%s", status, s.Nodes[dead].Output())
	}
	for _, i := range []int{leader, other} { // of two, none is taken out
		s.AwaitReady(t, s.Nodes[i])
	}
}
