package attack

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"sitegate/emulator"
	"sitegate/integration"
)

// honest has somebody who belongs start and stop at a node, as the client package does.
func honest(t *testing.T, s *integration.Site, n *integration.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	first := 0
	for i := range s.Nodes {
		if s.Nodes[i] == n {
			first = i
		}
	}
	c := s.Client(t, user(t, s), "HONEST-"+uuid.NewString()[:8], first)
	session, err := c.Start(ctx, emulator.ProductCapped)
	if err != nil {
		t.Errorf("an honest start meanwhile: got %v, want it granted", err)
		return
	}
	if err := session.Stop(ctx); err != nil {
		t.Errorf("an honest stop meanwhile: got %v, want it taken", err)
	}
}

func TestHonestUsersAreServed(t *testing.T) {
	t.Parallel()
	s := single(t)
	honest(t, s, s.Nodes[0])
	three := cluster(t)
	for _, n := range three.Nodes {
		honest(t, three, n)
	}
}
