package endpoint

import "context"

type crowdedKey struct{}

// WithCrowded says how to find out whether a door is so full that who is not known does not
// stay: strangers are answered as ever, and their connection is closed then, so that idle ones
// keep nobody out. It is for the server's ConnContext; crowded may be called by many at once.
func WithCrowded(ctx context.Context, crowded func() bool) context.Context {
	return context.WithValue(ctx, crowdedKey{}, crowded)
}

// crowdedAt reports whether a request's door is. One that nobody watches never is.
func crowdedAt(ctx context.Context) bool {
	f, ok := ctx.Value(crowdedKey{}).(func() bool)
	return ok && f()
}

// known reports whether it has been found out who calls.
func (c *call) known() bool { return c.caller.User != "" || c.administrator.Way != "" }
