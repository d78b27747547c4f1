package console

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// once remembers which forms were sent, for acts that would be done twice if they were sent
// twice.
type once struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

const (
	onceKept = 10 * time.Minute
	onceMost = 1000
)

func newOnce() *once { return &once{seen: map[string]time.Time{}} }

// first reports whether it is the first time that a form is sent.
func (o *once) first(nonce string) bool {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for k, at := range o.seen {
		if now.Sub(at) > onceKept || len(o.seen) > onceMost {
			delete(o.seen, k)
		}
	}
	if _, again := o.seen[nonce]; again || nonce == "" {
		return false
	}
	o.seen[nonce] = now
	return true
}

// newNonce names one form.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
