package gateway

import (
	"context"
	"slices"
	"time"

	"sitegate/license"
)

// IssuerKeys are the keys of an issuer of sign-ins as this node sees them, by their
// thumbprints, in order.
type IssuerKeys struct {
	Issuer string
	Taken  []license.Digest // that it goes by
	Held   []license.Digest // that the issuer lists now, and that are not believed; none: it lists no such
}

// keysEvery is how often a node looks whether there is something to say of issuers' keys.
const keysEvery = 5 * time.Second

// keysAtMost is how long a node waits at most before it says again what was denied.
const keysAtMost = 10 * time.Minute

// watchKeys tells the log, on every node, which keys of issuers it goes by, and which it
// holds back. What could not be told is told with the next look, and what was denied a
// while later, longer each time.
func (g *Gateway) watchKeys(ctx context.Context) {
	type denied struct {
		reason license.Reason
		pause  time.Duration
		until  time.Time
	}
	not := map[string]denied{} // by issuer
	for {
		for _, c := range g.keysToNote() {
			d := not[c.Issuer]
			if time.Now().Before(d.until) {
				continue
			}
			a, err := g.ask(ctx, request{NoteKeys: &c})
			if err != nil {
				break
			}
			if a.Outcome.Denial == nil {
				delete(not, c.Issuer)
				continue
			}
			if reason := a.Outcome.Denial.Reason; reason != d.reason {
				g.logger.Warn("the site does not take how this node sees an issuer's keys", "issuer", c.Issuer, "denial", reason)
				d.reason = reason
			}
			d.pause = min(max(2*d.pause, 2*keysEvery), keysAtMost)
			d.until = time.Now().Add(d.pause)
			not[c.Issuer] = d
		}
		if !pause(ctx, keysEvery) {
			return
		}
	}
}

// keysToNote is what this node has to say. Of an issuer whose keys it has not read it says
// nothing; one that it asks no more it forgets.
func (g *Gateway) keysToNote() []license.NoteKeys {
	node, now := g.log.Cluster().Node, g.issuerKeys()
	if now == nil {
		return nil // it does not know yet whom it asks
	}
	var told []license.KeyView
	g.log.View(func(s *license.State) { told = license.KeyViewsOf(s, node) })
	var list []license.NoteKeys
	for _, k := range now {
		i := slices.IndexFunc(told, func(v license.KeyView) bool { return v.Issuer == k.Issuer })
		said := i >= 0 && slices.Equal(told[i].Taken, k.Taken) && slices.Equal(told[i].Held, k.Held)
		if !said && len(k.Taken)+len(k.Held) > 0 {
			list = append(list, license.NoteKeys{Issuer: k.Issuer, Node: node, Taken: k.Taken, Held: k.Held})
		}
	}
	for _, v := range told {
		if !slices.ContainsFunc(now, func(k IssuerKeys) bool { return k.Issuer == v.Issuer }) {
			list = append(list, license.NoteKeys{Issuer: v.Issuer, Node: node})
		}
	}
	return list
}

// AcceptKeys has all nodes take the keys of an issuer that they hold back.
func (g *Gateway) AcceptKeys(ctx context.Context, c license.AcceptKeys) (Answer, error) {
	return g.ask(ctx, request{AcceptKeys: &c})
}
