package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitegate/license"
)

// secretsEvery is how often a node looks after the secrets of its way out.
const secretsEvery = 5 * time.Second

// watchSecrets tells the log, on every node, to which proxies it does not send its
// secret any more, and which take one again: administrators are told on whichever node
// they are. What could not be told is told with the next look.
func (g *Gateway) watchSecrets(ctx context.Context) {
	for {
		for _, c := range g.lockouts() {
			if _, err := g.ask(ctx, request{NoteLockout: &c}); err != nil {
				break
			}
		}
		if !pause(ctx, secretsEvery) {
			return
		}
	}
}

// NoteAlert has the leader note what administrators are to be told of, or what lasts no
// more.
func (g *Gateway) NoteAlert(ctx context.Context, c license.NoteAlert) error {
	answer, err := g.ask(ctx, request{NoteAlert: &c})
	if err == nil && answer.Outcome.Denial != nil {
		return fmt.Errorf("the site does not note it (%s)", answer.Outcome.Denial.Reason)
	}
	return err
}

// lockouts are what this node has to tell. A lockout that was told before this node was
// started stays until a secret is taken, or none is asked for: nothing else says that it is over.
func (g *Gateway) lockouts() []license.NoteLockout {
	node, secrets := g.log.Cluster().Node, g.secrets()
	var told []license.Lockout
	g.log.View(func(s *license.State) { told = license.LockoutsOf(s, node) })
	var list []license.NoteLockout
	for _, s := range secrets {
		if s.Stopped && !slices.ContainsFunc(told, func(l license.Lockout) bool { return l.Proxy == s.Proxy }) {
			list = append(list, license.NoteLockout{Node: node, Proxy: s.Proxy, Until: license.TimeOf(s.Until)})
		}
	}
	for _, l := range told {
		i := slices.IndexFunc(secrets, func(s Secret) bool { return s.Proxy == l.Proxy })
		if i < 0 || secrets[i].Taken {
			list = append(list, license.NoteLockout{Node: l.Node, Proxy: l.Proxy})
		}
	}
	return list
}
