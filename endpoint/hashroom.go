package endpoint

import (
	"context"
	"sync/atomic"
	"time"

	"sitegate/api"
)

// hashRoom is where passwords are hashed, one at a time: each takes 19 MiB and a core for a
// while, and anybody may ask. There are two, so that strangers who guess do not keep
// administrators from their acts. The zero value is not used.
type hashRoom struct {
	place   chan struct{} // holds one while it is taken
	waiting atomic.Int32
}

// The bounds of a hashRoom.
const (
	hashesWaiting = 8               // more are told to come back: they would wait for seconds
	hashPause     = 2 * time.Second // until then those have had their turn, mostly
)

func newHashRoom() *hashRoom { return &hashRoom{place: make(chan struct{}, 1)} }

// enter waits for its turn; the caller calls leave. A trouble: too many wait already.
func (h *hashRoom) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-h.place }
	select {
	case h.place <- struct{}{}:
		return leave, nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > hashesWaiting {
		return nil, &trouble{code: api.CodeTooMany, after: hashPause}
	}
	select {
	case h.place <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
