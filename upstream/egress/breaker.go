package egress

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	maxRejections = 2 // of one secret, in a row
	lockout       = 10 * time.Minute
	longLockout   = time.Hour
)

// pause is how long a secret is not sent that was rejected so often in a row: each try
// that fails doubles it. Several nodes may try the same one, and a directory that locks
// accounts counts what comes within half an hour or so.
func pause(rejections int) time.Duration {
	d := lockout
	for n := maxRejections; n < rejections && d < longLockout; n++ {
		d *= 2
	}
	return min(d, longLockout)
}

// breaker keeps a wrong password from locking the account it belongs to, whichever proxies it is used at. A secret is sent by one exchange at a time
// until the proxy has accepted it; the first success lets all others go ahead. After two rejections in a row by one proxy, or by several
// while none has accepted it, it is not sent for ten minutes, and then by one exchange only; each time that this one is rejected the pause is twice as long, up to an hour. Another secret starts afresh. The zero breaker is ready.
type breaker struct {
	mu       sync.Mutex
	accounts map[accountKey]*account
	last     map[string]accountKey // by address of the proxy and user: what was sent or to be sent last
	stopped  map[string]time.Time  // likewise: where a rejection was one too many and nothing was accepted since; until when nothing is sent
	stops    uint64                // how often that was
}

// accountKey is an account with a password.
type accountKey struct {
	name   string
	secret [sha256.Size]byte
}

const maxAccounts = 64 // passwords that are remembered, of which most are old ones

type account struct {
	at       map[string]*tally // by address of the proxy
	probing  bool              // an exchange is trying it out
	released chan struct{}     // closed when probing ends
}

// tally is how a proxy has taken a secret.
type tally struct {
	proven bool      // accepted, and not rejected since
	bad    int       // rejections since it was last accepted
	until  time.Time // not sent before this, once there were too many
}

// credential is the leave to send a secret once. It is given back with settle.
type credential struct {
	user, password string
	proxy          string
	account        *account
	probe          bool
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

// accountOf is the directory's name of a user: CORP\svc, svc@CORP.EXAMPLE and svc lock the same account.
func accountOf(user string) string {
	if i := strings.LastIndexByte(user, '\\'); i >= 0 {
		user = user[i+1:]
	}
	user, _, _ = strings.Cut(user, "@")
	return strings.ToLower(user)
}

// locked is until when the account's secret is not sent to a proxy; the zero Time: it may be.
func (a *account) locked(proxy string) time.Time {
	sum, last, proven := 0, time.Time{}, false
	for _, t := range a.at {
		sum += t.bad
		proven = proven || t.proven
		if t.until.After(last) {
			last = t.until
		}
	}
	switch t := a.at[proxy]; {
	case t != nil && t.bad >= maxRejections:
		return t.until
	case sum >= maxRejections && !proven:
		return last
	}
	return time.Time{}
}

// rejections are those in a row that count for a proxy: its own, and where none has
// accepted the secret those of all.
func (a *account) rejections(own *tally) int {
	sum := 0
	for _, t := range a.at {
		if t.proven {
			return own.bad
		}
		sum += t.bad
	}
	return sum
}

// taken reports whether a proxy has accepted the account's secret and not rejected it since, or another has, and this one does not keep it
// from being sent.
func (a *account) taken(proxy string) bool {
	if t := a.at[proxy]; t != nil && t.proven {
		return true
	}
	for _, t := range a.at {
		if t.proven {
			return a.locked(proxy).IsZero()
		}
	}
	return false
}

// account is what is known of an account with a password.
func (b *breaker) account(proxy, user, password string) *account {
	key := accountKey{accountOf(user), sha256.Sum256([]byte(password))}
	if b.accounts == nil {
		b.accounts, b.last = map[accountKey]*account{}, map[string]accountKey{}
	}
	if len(b.last) > maxAccounts {
		clear(b.last)
	}
	b.last[proxy+" "+key.name] = key
	a := b.accounts[key]
	if a == nil {
		if len(b.accounts) >= maxAccounts {
			for k, old := range b.accounts {
				if !old.probing && old.locked("").Before(time.Now()) {
					delete(b.accounts, k)
				}
			}
		}
		a = &account{at: map[string]*tally{}}
		b.accounts[key] = a
	}
	return a
}

// acquire waits until a user's password may be sent to a proxy. It fails with *lockedError, or as ctx does.
func (b *breaker) acquire(ctx context.Context, proxy, user, password string) (*credential, error) {
	c := &credential{user: user, password: password, proxy: proxy}
	for {
		b.mu.Lock()
		a := b.account(proxy, user, password)
		c.account = a
		until := a.locked(proxy)
		switch t := a.at[proxy]; {
		case t != nil && t.proven:
			b.mu.Unlock()
			return c, nil
		case time.Now().Before(until):
			b.mu.Unlock()
			return nil, &lockedError{until}
		case !a.probing:
			a.probing, a.released = true, make(chan struct{})
			c.probe = true
			b.mu.Unlock()
			return c, nil
		}
		wait := a.released
		b.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// settle takes c back and learns from what became of it; true: from now on the secret is not sent until then.
func (b *breaker) settle(c *credential, v verdict) (until time.Time, locked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := c.account
	if c.probe {
		a.probing = false
		close(a.released)
		c.probe = false
	}
	if v == unsettled {
		return time.Time{}, false
	}
	t := a.at[c.proxy]
	if t == nil {
		t = &tally{}
		a.at[c.proxy] = t
	}
	who := c.proxy + " " + accountOf(c.user)
	if v == accepted {
		t.proven, t.bad = true, 0
		b.resume(accountOf(c.user))
		return time.Time{}, false
	}
	t.proven = false
	t.bad++
	t.until = time.Now().Add(pause(a.rejections(t)))
	if until = a.locked(c.proxy); until.IsZero() {
		return until, false
	}
	if b.stopped == nil || len(b.stopped) >= maxAccounts {
		b.stopped = map[string]time.Time{}
	}
	b.stopped[who] = until
	b.stops++
	return until, true
}

// resume forgets that an account's secret was stopped, at every proxy to which it may be sent by now: what one accepts is over at all that
// have not rejected it too often themselves. The lock is held.
func (b *breaker) resume(name string) {
	for who := range b.stopped {
		proxy, of, _ := strings.Cut(who, " ")
		if a := b.accounts[b.last[who]]; of == name && (a == nil || a.locked(proxy).IsZero()) {
			delete(b.stopped, who)
		}
	}
}

// unasked notes that a proxy does without a user's secret.
func (b *breaker) unasked(proxy, user string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.stopped, proxy+" "+accountOf(user))
}

// SecretState is what has become of the secret that is configured for a proxy.
type SecretState string

// The states. The zero state is that there is none, or that nothing is known of it yet.
const (
	SecretTaken   SecretState = "taken"   // the proxy, or the KDC, has accepted it, or another proxy that the same account is for, and this one has not rejected it
	SecretUnasked SecretState = "unasked" // the last tunnel came about without it
	SecretStopped SecretState = "stopped" // it was rejected too often, and none was accepted since
)

// secretOf is what is known of a user's secret at a proxy, and of a stopped one until when it is not sent.
func (b *breaker) secretOf(proxy, user string) (SecretState, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	who := proxy + " " + accountOf(user)
	if until, stopped := b.stopped[who]; stopped {
		return SecretStopped, until
	}
	key, used := b.last[who]
	if a := b.accounts[key]; a != nil && a.taken(proxy) || !used && b.takenElsewhere(accountOf(user)) {
		return SecretTaken, time.Time{}
	}
	return "", time.Time{}
}

// takenElsewhere reports whether some proxy takes the secret that was sent to it last
// for an account: for one that was not used since the start nothing else tells that a
// rejection of before is over. The lock is held.
func (b *breaker) takenElsewhere(name string) bool {
	for who, key := range b.last {
		proxy, _, _ := strings.Cut(who, " ")
		if a := b.accounts[key]; key.name == name && a != nil && a.taken(proxy) {
			return true
		}
	}
	return false
}

// lockedAt is until when a user's password, as it was when it was last asked for, is not sent to a proxy.
func (b *breaker) lockedAt(proxy, user string, now time.Time) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[b.last[proxy+" "+accountOf(user)]]
	if a == nil {
		return time.Time{}, false
	}
	until := a.locked(proxy)
	return until, now.Before(until)
}
