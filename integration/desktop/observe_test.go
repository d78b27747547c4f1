package desktop_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/emulator"
	"sitegate/integration"
	"sitegate/integration/desktop"
)

// spared are the refusals of a user that the journal of a node has, none of which was one: the
// mode observes.
func (s *site) spared(node int, user string) ([]api.SiteRefusal, error) {
	var list api.SiteRefusalList
	if err := s.Ask(s.Nodes[node], api.PathRefusals+"?kind=observed", &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(r api.SiteRefusal) bool { return r.User != user }), nil
}

// Where the mode only observes, both machines of a user work, each by another node. The site
// sees them together: one is noted, once a minute, as what would have been refused for the other,
// whichever nodes it asks, and every node shows it.
func TestObservedMachinesAtSeveralNodesAreNotedOnce(t *testing.T) {
	t.Parallel()
	s := newSiteWith(t, 3, "rules:\n  modes:\n    - {mode: observe}\n")
	s.Cloud.SetPolicyTerms(emulator.PolicyTerms{Blind: true}) // the vendor lets both of them in
	term := func() uint64 {
		t.Helper()
		st, err := s.Status(s.Nodes[s.Leader(t)])
		if err != nil {
			t.Fatal(err)
		}
		return st.Cluster.Term
	}
	began := term()
	through := func(node int, what func()) {
		s.first.Store(int32(node))
		what()
	}
	// together has both machines of a user ask, each through a node of its own, until one of them
	// is noted.
	together := func(user string, at, by int) (first, second *desk, noted api.SiteRefusal) {
		t.Helper()
		first, second = s.desk(user, "WS-101"), s.desk(user, "WS-202")
		var a, b *desktop.Application
		through(at, func() { a = first.start(emulator.ProductCapped, desktop.Ok) })
		through(by, func() { b = second.start(emulator.ProductCapped, desktop.Ok) })
		integration.Eventually(t, 60*time.Second, "one of two machines is noted", func() error {
			list, err := s.spared(by, user)
			if err == nil && len(list) == 0 {
				err = errText("none is noted")
				through(at, func() { first.refresh(a, desktop.Ok) })
				through(by, func() { second.refresh(b, desktop.Ok) })
			}
			if err == nil {
				noted = list[len(list)-1]
			}
			return err
		})
		return first, second, noted
	}

	first, second, noted := together(emulator.UserA, 0, 1)
	if other := noted.Other; noted.Reason != "machine-active" || !noted.Observed || !noted.Relayed || noted.Product != emulator.ProductCapped || other == nil ||
		!slices.Contains([]string{"WS-101 WS-202", "WS-202 WS-101"}, noted.Machine.Name+" "+other.Name) {
		t.Errorf("noted is %+v, want one machine that would have been refused for the other", noted)
	}
	// Both ask again, of all nodes; then another user's machines do, whose notes come after what
	// these would have made.
	for node := range s.Nodes {
		for _, d := range []*desk{first, second} {
			through(node, func() { d.start(emulator.ProductCapped, desktop.Ok) })
		}
	}
	together(emulator.UserB, 2, 0)
	last := s.desk(emulator.UserB, "WS-303")
	var c *desktop.Application
	through(1, func() { c = last.start(emulator.ProductCapped, desktop.Ok) })
	for node := range s.Nodes {
		integration.Eventually(t, 60*time.Second, "the node shows what is noted", func() error {
			list, err := s.spared(node, emulator.UserB)
			if err == nil && !slices.ContainsFunc(list, func(r api.SiteRefusal) bool { return r.Machine.Name == "WS-303" }) {
				err = fmt.Errorf("it does not show what was noted last: %+v", list)
				through(1, func() { last.refresh(c, desktop.Ok) })
			}
			return err
		})
		list, err := s.spared(node, emulator.UserA)
		if err != nil || len(list) == 0 {
			t.Errorf("node %d shows %d notes, %v, want one", node, len(list), err)
		}
		for i, r := range list {
			if r.Machine.Name != noted.Machine.Name && term() == began { // a new leader begins with whom it sees first
				t.Errorf("node %d: %s is noted beside %s", node, r.Machine.Name, noted.Machine.Name)
			}
			if i > 0 && list[i-1].At.Sub(r.At) < 50*time.Second && term() == began {
				t.Errorf("node %d: %s is noted at %v and again at %v, want it once a minute", node, r.Machine.Name, r.At, list[i-1].At)
			}
		}
	}
	if st, err := s.Status(s.Nodes[0]); err != nil || st.Counts.Sessions != 0 {
		t.Errorf("%d sessions are open (%v), want none: nothing is held", st.Counts.Sessions, err)
	}
}
