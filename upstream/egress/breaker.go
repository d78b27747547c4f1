package egress

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

const (
	maxRejections = 2 // of one secret, in a row
	lockout       = 10 * time.Minute
)

// breaker keeps a wrong password from locking the account it belongs to. A secret is sent by one exchange at a time until it
// has been accepted; the first success lets all others go ahead. After two rejections in a row it is not sent for ten minutes, and then
// by one exchange only. Another secret starts afresh. The zero breaker is ready.
type breaker struct {
	mu       sync.Mutex
	seen     bool              // the proxy has asked for credentials before
	secret   [sha256.Size]byte // the one that the rest is about
	proven   bool              // accepted, and not rejected since
	bad      int               // rejections since it was last accepted
	until    time.Time         // not sent before this, once bad is maxRejections
	probing  bool              // an exchange is trying it out
	released chan struct{}     // closed when probing ends
}

// credential is the leave to send a secret once. It is given back with settle.
type credential struct {
	userpass string
	secret   [sha256.Size]byte
	probe    bool
}

// verdict is what became of a credential.
type verdict int

const (
	unsettled verdict = iota // the proxy did not get to it
	accepted
	rejected
)

// lockedError says that a secret is not sent for now.
type lockedError struct{ until time.Time }

func (e *lockedError) Error() string { return fmt.Sprintf("not sent before %s", e.until) }

// wanted says whether the proxy is known to ask for credentials.
func (b *breaker) wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}

// acquire waits until userpass may be sent. It fails with *lockedError, or as ctx does.
func (b *breaker) acquire(ctx context.Context, userpass string) (*credential, error) {
	c := &credential{userpass: userpass, secret: sha256.Sum256([]byte(userpass))}
	for {
		b.mu.Lock()
		b.seen = true
		if c.secret != b.secret && !b.probing {
			b.secret, b.proven, b.bad = c.secret, false, 0
		}
		switch {
		case c.secret == b.secret && b.proven:
			b.mu.Unlock()
			return c, nil
		case c.secret == b.secret && b.bad >= maxRejections && time.Now().Before(b.until):
			defer b.mu.Unlock()
			return nil, &lockedError{b.until}
		case !b.probing:
			b.probing, b.released = true, make(chan struct{})
			c.probe = true
			b.mu.Unlock()
			return c, nil
		}
		wait := b.released
		b.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// settle takes c back and learns from what became of it.
func (b *breaker) settle(c *credential, v verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.probe {
		b.probing = false
		close(b.released)
	}
	if c.secret != b.secret {
		return
	}
	switch v {
	case accepted:
		b.proven, b.bad = true, 0
	case rejected:
		b.proven = false
		b.bad++
		b.until = time.Now().Add(lockout)
	}
}
