package gateway

import (
	"context"

	"sitegate/license"
)

// Request asks the user's active machine to let go, as far as the site lets it.
func (g *Gateway) Request(ctx context.Context, c license.Request) (Answer, error) {
	c.NotAfter = g.log.Now().Add(Life)
	return g.ask(ctx, request{Request: &c})
}

// LetGo gives a session up on its own machine.
func (g *Gateway) LetGo(ctx context.Context, c license.LetGo) (Answer, error) {
	return g.ask(ctx, request{LetGo: &c})
}

// Decline says that an active machine does not let go.
func (g *Gateway) Decline(ctx context.Context, c license.Decline) (Answer, error) {
	return g.ask(ctx, request{Decline: &c})
}

// takeover carries a request of this file out on the leader; nil where it is none.
func (r *request) takeover() license.Command {
	switch {
	case r.Request != nil:
		return *r.Request
	case r.LetGo != nil:
		return *r.LetGo
	case r.Decline != nil:
		return *r.Decline
	}
	return nil
}
