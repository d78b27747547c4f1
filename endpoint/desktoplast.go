package endpoint

import (
	"strings"
	"sync"
	"time"

	"sitegate/license"
)

// lastPolicies remembers of the last policy that a user's machine was given for a
// product what matters once its client does not ask any more. It is this node's, and
// lost with it.
type lastPolicies struct {
	mu    sync.Mutex
	known map[policyKey]lastPolicy
}

// policyKey is what a policy is for.
type policyKey struct {
	user    license.UserID
	machine string // its name, folded
	product license.ProductID
}

// lastPolicy is what is remembered of one.
type lastPolicy struct {
	offline bool // the client may work on without asking
	expires time.Time
}

const maxLastPolicies = 50_000

func newLastPolicies() *lastPolicies { return &lastPolicies{known: map[policyKey]lastPolicy{}} }

func (x *exchange) policyKey(p license.ProductID) policyKey {
	return policyKey{x.desk.user, strings.ToLower(x.machine.Name), p}
}

func (l *lastPolicies) find(k policyKey, now time.Time) (lastPolicy, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, there := l.known[k]
	return p, there && now.Before(p.expires)
}

func (l *lastPolicies) keep(k policyKey, p lastPolicy, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.known[k]; !there {
		makeRoom(l.known, maxLastPolicies, func(p lastPolicy) bool { return now.After(p.expires) })
	}
	l.known[k] = p
}
