package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sitegate/api"
	"sitegate/client/machinekey"
)

const (
	bindEvery  = time.Hour        // the sign-in is shown anew, though it is the same
	bindAgain  = 10 * time.Second // after it could not be shown
	bindNever  = time.Hour        // after a gateway that knows nothing of keys, or will not have this one
	bindTime   = 4 * time.Second  // for an answer
	askFor     = 3 * time.Second  // an access token, where the key will do
	askAgain   = 30 * time.Second // after there was none
	tokenSpare = 2 * time.Minute  // of a session token's life, in which the next one is made
	tokenEnd   = 30 * time.Second // of its life, in which it is not shown any more
)

// Bound is what a machine must know to go on by its key where there is no access token to
// be had: as whom, and at which site. It is no secret.
type Bound struct {
	User    string    `json:"user"`              // as the gateway calls them
	Subject string    `json:"subject,omitempty"` // as their sign-in does; see subject
	Cluster string    `json:"cluster"`
	Until   time.Time `json:"until"` // something new can be started by the key alone
}

// SignIn is by what a client goes at the gateway.
type SignIn struct {
	// ByKey: there is no access token, and the machine goes by its key alone. What runs
	// goes on; something new can be started until Until.
	ByKey bool
	Until time.Time
	Err   error // why there is none
	// Keyed: the key was shown, and will do where there is no access token.
	Keyed bool
}

// SignIn tells by what the client has gone last.
func (c *Client) SignIn() SignIn {
	return *c.machine.by.Load()
}

// machine is what a client has to go by its machine's key.
type machine struct {
	mu    sync.Mutex
	bound *Bound            // nil: the key was not shown yet
	with  [sha256.Size]byte // the access token that it was shown with, by its digest
	at    instant           // it was shown
	not   time.Time         // before this it is not tried again
	why   *Error            // why it could not be shown, at the last try; nil: it was
	alone error             // why there is no access token; nil: there is one

	again  time.Time // while alone, before this no access token is asked for
	asking *asking   // nobody is asked: nil

	by atomic.Pointer[SignIn] // of bound and alone; who looks does not wait for the network, or a TPM

	token atomic.Pointer[string] // made for bound; none: nil or empty
	made  instant
	life  time.Duration
}

// tell has SignIn tell of bound and alone. The caller holds the lock.
func (k *machine) tell() {
	s := SignIn{ByKey: k.alone != nil, Err: k.alone, Keyed: k.bound != nil}
	if s.ByKey && k.bound != nil {
		s.Until = k.bound.Until
	}
	k.by.Store(&s)
}

func (k *machine) show(token string) { k.token.Store(&token) }

func (k *machine) shown() string {
	if t := k.token.Load(); t != nil {
		return *t
	}
	return ""
}

// asking is somebody being asked for an access token, which may take long where the issuer
// does not answer, and is not to be broken off: a refresh token may be good once only.
type asking struct {
	done  chan struct{}
	token string
	err   error
}

// accessOr asks for an access token. Who can go on by the key waits for a moment only, and
// after there was none, asks again a while later.
func (c *Client) accessOr(ctx context.Context) (string, error) {
	k := &c.machine
	k.mu.Lock()
	switch {
	case k.bound == nil:
		k.mu.Unlock()
		return c.access(ctx)
	case k.alone != nil && time.Now().Before(k.again):
		defer k.mu.Unlock()
		return "", k.alone
	}
	a := k.asking
	if a == nil {
		a = &asking{done: make(chan struct{})}
		if !c.spawn(func() { c.ask(a) }) {
			k.mu.Unlock()
			return "", ErrClosed
		}
		k.asking = a
	}
	k.mu.Unlock()
	late := time.NewTimer(askFor)
	defer late.Stop()
	select {
	case <-a.done:
		return a.token, a.err
	case <-late.C:
		return "", c.lang.notSignedIn(context.DeadlineExceeded)
	case <-ctx.Done():
		return "", c.lang.notSignedIn(ctx.Err())
	}
}

func (c *Client) ask(a *asking) {
	a.token, a.err = c.access(c.ctx)
	k := &c.machine
	k.mu.Lock()
	k.asking = nil
	k.mu.Unlock()
	close(a.done)
}

// byKey is what to show at the gateway, given an access token or why there is none: a
// session token wherever that will do, so that the sign-in is shown once an hour and
// whoever has only that is not this machine.
func (c *Client) byKey(ctx context.Context, access string, none error) (string, error) {
	k := &c.machine
	k.mu.Lock()
	defer k.mu.Unlock()
	if none != nil {
		if k.bound == nil {
			return "", none
		}
		if k.alone == nil {
			c.log.Warn("there is no access token: going by the machine's key", "until", k.bound.Until, "err", none)
		}
		if k.alone == nil || !time.Now().Before(k.again) {
			k.alone, k.again = none, time.Now().Add(askAgain)
			k.tell()
		}
		return c.sessionToken()
	}
	k.alone = nil
	k.tell()
	digest := sha256.Sum256([]byte(access))
	if (k.bound == nil || k.with != digest || c.since(k.at) >= bindEvery) && !time.Now().Before(k.not) {
		asked := c.now()
		bound, e := c.bind(ctx, access)
		was := k.why
		k.why = e
		switch {
		case e == nil:
			k.bound, k.with, k.at = bound, digest, asked
			k.tell()
			k.show("")
		case e.Is(ErrMachineClone), e.Is(ErrKeyUnusable) && k.bound == nil:
			return "", e
		case e.Code == api.CodeNotFound || e.Code == codeUnexpected || e.Denied():
			k.not = time.Now().Add(bindNever)
			if e.Denied() && (was == nil || was.Code != e.Code) {
				c.log.Warn("the machine's key is refused", "code", e.Code, "err", e)
			}
		case ctx.Err() == nil && c.ctx.Err() == nil:
			k.not = time.Now().Add(bindAgain)
			c.log.Info("the machine's key could not be shown", "err", e)
		}
	}
	if k.bound == nil || k.with != digest && (k.bound.Subject == "" || subject(access) != k.bound.Subject) { // it may be another user's
		return access, nil
	}
	return c.sessionToken()
}

// subject is whom an access token says that it is of, in the words of its issuer, which
// need not be those of the gateway. Empty: it does not say so to us.
func subject(access string) string {
	_, rest, _ := strings.Cut(access, ".")
	payload, _, _ := strings.Cut(rest, ".")
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(b, &claims) != nil || claims.Subject == "" {
		return ""
	}
	return claims.Subject + " at " + claims.Issuer
}

// bind shows the key, and that it is this machine's: to the next node where one cannot
// answer, until all were asked or bindTime is over.
func (c *Client) bind(ctx context.Context, access string) (*Bound, *Error) {
	proof, err := machinekey.Prove(c.cfg.Key, c.cfg.Machine.ID, c.cfg.Host, access)
	if err != nil {
		return nil, c.lang.keyUnusable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, bindTime)
	defer cancel()
	body, err := json.Marshal(api.KeyRequest{Machine: c.cfg.Machine, Host: c.cfg.Host, Proof: proof})
	if err != nil {
		return nil, c.lang.unreachable("", err)
	}
	var got api.MachineKey
	for left := len(c.nodes.all()); ; left-- {
		e := c.showKey(ctx, left > 1, access, body, &got)
		if e == nil {
			break
		}
		if left <= 1 || !e.retry() || ctx.Err() != nil {
			return nil, e
		}
	}
	c.clock(got.Time)
	b := &Bound{User: got.User, Subject: subject(access), Cluster: got.Cluster, Until: got.Until}
	if c.cfg.OnBound != nil {
		c.cfg.OnBound(*b)
	}
	return b, nil
}

// showKey asks one node. Where there are more, it has half of the time that is left.
func (c *Client) showKey(ctx context.Context, more bool, access string, body []byte, got *api.MachineKey) *Error {
	node, wait := c.nodes.pick()
	if end, ok := ctx.Deadline(); ok && more {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	if !sleep(ctx, c.ctx, min(wait, maxBackoff)) {
		return c.lang.unreachable(node, ctx.Err())
	}
	_, e := c.try(ctx, node, access, http.MethodPost, api.PathMachineKey, body, got)
	return e
}

// sessionToken is one that is good for a while. The one before does as long as it is good,
// where the key cannot be used just now. The caller holds the lock.
func (c *Client) sessionToken() (string, error) {
	k := &c.machine
	if t := k.shown(); t != "" && c.since(k.made) < k.life-tokenSpare {
		return t, nil
	}
	made := c.now()
	ahead, _ := c.Skew()
	token, life, err := machinekey.Session{User: k.bound.User, Cluster: k.bound.Cluster, Machine: c.cfg.Machine.ID, Host: c.cfg.Host,
		At: made.wall.Add(ahead)}.Token(c.cfg.Key)
	if err != nil && k.shown() != "" && c.since(k.made) < k.life-tokenEnd {
		c.log.Warn("the machine's key cannot be used now", "err", err)
		return k.shown(), nil
	}
	if err != nil {
		return "", c.lang.keyUnusable(err)
	}
	k.made, k.life = made, life
	k.show(token)
	return token, nil
}

// notTaken notes that a gateway has not taken what was shown: the key is shown anew, with
// the sign-in, where there is one.
func (c *Client) notTaken(token string) {
	k := &c.machine
	if token == "" || token != k.shown() { // an access token, perhaps while it is shown with the key
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if token == k.shown() {
		k.show("")
		k.with, k.not, k.again = [sha256.Size]byte{}, time.Time{}, time.Time{}
	}
}

// keyNeeded notes that a gateway knows the machine by its key, and was shown an access token
// or another key: it is shown anew, though that has just failed.
func (c *Client) keyNeeded() {
	k := &c.machine
	k.mu.Lock()
	defer k.mu.Unlock()
	k.with, k.not = [sha256.Size]byte{}, time.Time{}
}

// keyShown reports whether this is a token of the machine's key, and else why there is none.
func (c *Client) keyShown(token string) (bool, *Error) {
	k := &c.machine
	k.mu.Lock()
	defer k.mu.Unlock()
	return token != "" && token == k.shown(), k.why
}

// keyRefused is the gateway's refusal of the key at the last try; nil: it was taken, or could
// not be shown.
func (c *Client) keyRefused() *Error {
	k := &c.machine
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.why != nil && k.why.Denied() {
		return k.why
	}
	return nil
}
