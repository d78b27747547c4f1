package endpoint

import (
	"sync"
	"time"
)

// attempts makes who guesses passwords wait, longer each time: by account, and by address.
// Where an account has signed in before, what goes wrong counts for that account there, and
// for nothing else: its owner does not wait for what others do to it elsewhere, or to others
// from there, and who signs in at one place forgives nothing of what is guessed at another.
// Each node counts for itself.
type attempts struct {
	mu    sync.Mutex
	known map[string]*attempt
	homes map[home]time.Time // when it was last
}

// home is where an account has signed in.
type home struct{ account, address string }

type attempt struct {
	failed int
	until  time.Time // no attempt before
	before time.Time // until, as it was before the last attempt
	last   time.Time
}

// The pauses of who guesses.
const (
	attemptsFree = 3 // without a pause
	// An account's pause is short: a stranger must not keep its owner out for long.
	accountPause  = 30 * time.Second
	addressPause  = 15 * time.Minute
	attemptsKept  = time.Hour // after the last
	maxAttemptors = 4096
	homesKept     = 30 * 24 * time.Hour // after the last sign-in from there
	maxHomes      = 256
)

func newAttempts() *attempts {
	return &attempts{known: map[string]*attempt{}, homes: map[home]time.Time{}}
}

// wait is how long an attempt has to wait; zero: it may be made now. No account is one that
// only the address counts for.
func (a *attempts) wait(now time.Time, account, address string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pause(now, account, address)
}

func (a *attempts) pause(now time.Time, account, address string) (wait time.Duration) {
	for key := range a.counters(now, account, address) {
		if x := a.known[key]; x != nil {
			wait = max(wait, x.until.Sub(now))
		}
	}
	return wait
}

// counters are by what an attempt is counted, and the longest pause of each.
func (a *attempts) counters(now time.Time, account, address string) map[string]time.Duration {
	switch {
	case a.isHome(now, account, address):
		return map[string]time.Duration{"home " + account + " " + address: addressPause}
	case account == "":
		return map[string]time.Duration{"address " + address: addressPause}
	}
	return map[string]time.Duration{"address " + address: addressPause, "account " + account: accountPause}
}

// charged is by what an attempt was counted: what it counts for may be another by the time it
// is taken back, where somebody else has signed in from there meanwhile.
type charged []string

// try counts an attempt as failed, until it is forgiven: many at once get no further than
// one after the other. wait is how long until there may be another; zero: now.
func (a *attempts) try(now time.Time, account, address string) (by charged, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := a.pause(now, account, address); wait > 0 {
		return nil, wait
	}
	for key, most := range a.counters(now, account, address) {
		by = append(by, key)
		x := a.of(key, now)
		x.failed++
		x.last, x.before = now, x.until
		if more := x.failed - attemptsFree; more >= 0 {
			x.until = now.Add(min(time.Second<<min(more, 20), most))
		}
	}
	return by, 0
}

// forgive takes an attempt back that has shown that its maker belongs, and nobody else's.
func (a *attempts) forgive(by charged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeBack(by)
}

func (a *attempts) takeBack(by charged) {
	for _, key := range by {
		x := a.known[key]
		if x == nil {
			continue
		}
		if x.failed--; x.failed <= 0 {
			delete(a.known, key)
			continue
		}
		x.until = x.before
	}
}

// signedIn takes the attempt back, and remembers that an account has signed in from an address,
// where all is forgiven that went wrong there before.
func (a *attempts) signedIn(now time.Time, account, address string, by charged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeBack(by)
	delete(a.known, "home "+account+" "+address)
	a.homes[home{account, address}] = now
	if len(a.homes) > maxHomes {
		oldest, at := home{}, now.Add(1)
		for h, last := range a.homes {
			if last.Before(at) {
				oldest, at = h, last
			}
		}
		delete(a.homes, oldest)
	}
}

// home reports whether an account has signed in from an address not too long ago.
func (a *attempts) home(now time.Time, account, address string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.isHome(now, account, address)
}

func (a *attempts) isHome(now time.Time, account, address string) bool {
	last, there := a.homes[home{account, address}]
	return there && now.Sub(last) < homesKept
}

func (a *attempts) of(key string, now time.Time) *attempt {
	x := a.known[key]
	if x == nil {
		if len(a.known) >= maxAttemptors {
			a.evict(now)
		}
		x = &attempt{last: now}
		a.known[key] = x
	}
	return x
}

// evict forgets those of a few that are long past, or the one of them with the least
// against it.
func (a *attempts) evict(now time.Time) {
	least, looked := "", 0
	for key, x := range a.known {
		if looked++; looked > 64 {
			break
		}
		if now.Sub(x.last) > attemptsKept {
			delete(a.known, key)
		} else if least == "" || x.failed < a.known[least].failed {
			least = key
		}
	}
	if len(a.known) >= maxAttemptors {
		delete(a.known, least)
	}
}
