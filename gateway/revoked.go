package gateway

import (
	"context"
	"sync"
	"time"

	"sitegate/license"
)

// revocations are what the vendor has told this node that users may no more, until all nodes
// know. They are told at once, and a user's next one a moment later: a user who is denied asks
// again and again.
type revocations struct {
	wake chan struct{}
	mu   sync.Mutex
	wait map[license.UserID]license.Time // mu guards it
}

const (
	revokedEvery = 2 * time.Second
	maxRevoking  = license.MaxRevoked // that wait for a leader; of more an arbitrary one is dropped
)

func newRevocations() *revocations {
	return &revocations{wake: make(chan struct{}, 1), wait: map[license.UserID]license.Time{}}
}

// Revoked has all nodes know that the vendor has taken back what it let a user use, at a time
// by its own clock: no policy of before is served again. It never blocks.
func (g *Gateway) Revoked(user license.UserID, at license.Time) {
	g.revoked.note(user, at)
	select {
	case g.revoked.wake <- struct{}{}:
	default:
	}
}

func (r *revocations) note(user license.UserID, at license.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.wait[user]; !there && len(r.wait) >= maxRevoking {
		for other := range r.wait {
			delete(r.wait, other)
			break
		}
	}
	r.wait[user] = max(at, r.wait[user])
}

// take returns some of those that wait.
func (r *revocations) take() (list []license.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for user, at := range r.wait {
		if len(list) == license.MaxRevokedAtOne {
			break
		}
		delete(r.wait, user)
		list = append(list, license.Revocation{User: user, At: at})
	}
	return list
}

// revoke tells the site of them until ctx ends. What could not be told is tried again.
func (g *Gateway) revoke(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.revoked.wake:
		}
		for {
			list := g.revoked.take()
			if len(list) == 0 {
				break
			}
			var c license.NoteRevoked
			g.log.View(func(s *license.State) {
				for _, r := range list {
					if license.RevokedAt(s, r.User) < r.At {
						c.Users = append(c.Users, r)
					}
				}
			})
			if len(c.Users) > 0 {
				if _, err := g.ask(ctx, request{NoteRevoked: &c}); err != nil {
					for _, r := range c.Users {
						g.revoked.note(r.User, r.At)
					}
					if ctx.Err() == nil {
						g.logger.Warn("what the vendor has taken back could not be told to the other nodes; it is tried again", "users", len(c.Users), "err", err)
					}
				}
			}
			if !pause(ctx, revokedEvery) {
				return
			}
		}
	}
}
