// Package krb gets the Kerberos tokens that a proxy asks for with Negotiate (RFC 4559), in an SPNEGO envelope, from a keytab, a password or a
// credential cache. It keeps the library behind it out of everything else: gokrb5 is no longer maintained (docs/decisions).
//
// Nothing is read and nobody is asked before the first Token, so that a gateway starts without a network. Every token has an authenticator
// of its own: two that are equal would be a replay. Service tickets are kept for ten minutes and never longer than they are good; the
// ticket-granting ticket is not kept at all, so nothing renews it behind the caller's back and no goroutine stays.
//
// One request to the KDC is under way at a time, whoever asks. The library knows no context: a caller whose context ends leaves the
// request to end by itself, which it does after at most 10 s for each KDC.
//
// It leaves to others: how often a secret that the KDC has rejected is sent again (Guard).
package krb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	keepTicket  = 10 * time.Minute
	keepFailure = 5 * time.Second // a KDC that is down is not asked for every connection
	maxTickets  = 64
	maxFile     = 1 << 20 // bytes of a keytab, a cache or krb5.conf
)

// Verdict is what the KDC made of a secret.
type Verdict int

// Verdicts. The zero Verdict is that it was not asked, or not about the secret.
const (
	Unsettled Verdict = iota
	Accepted
	Rejected
)

// Kind is what kind of thing went wrong.
type Kind int

// Kinds. The zero Kind is anything else.
const (
	Other          Kind = iota
	ClockSkew           // the clocks differ by more than 300 s
	UnknownService      // there is no such SPN
	BadSecret           // the KDC does not take the password or key, or does not know the principal
	Unusable            // a file is not there, or not what it should be, or too old
	Unreachable         // no KDC answers
)

// Error is why there is no token.
type Error struct {
	Kind Kind
	Err  error
}

// Error is the cause's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Config is who one is in a realm, by a keytab, a credential cache, or else Password.
type Config struct {
	Principal  string // user@REALM; a credential cache has its own
	KeytabFile string
	CacheFile  string
	Password   func() (string, error) // asked anew for each login
	ConfigFile string                 // empty is /etc/krb5.conf

	// Guard is asked for leave before a secret is shown to a KDC, and told what came of it. Nil: it may always be.
	Guard func(ctx context.Context, secret string) (settle func(Verdict), err error)
}

// Client makes tokens. It is safe for use by many goroutines, and needs no closing.
type Client struct {
	cfg  Config
	turn chan struct{} // held by the one that asks the KDC

	mu      sync.Mutex
	tickets map[string]*ticket // by SPN
}

type ticket struct {
	who    *client.Client // has the principal, and no session
	ticket messages.Ticket
	key    types.EncryptionKey
	until  time.Time
	err    error // instead of a ticket
}

// New makes a client. It reads nothing yet.
func New(cfg Config) *Client {
	if cfg.ConfigFile == "" {
		cfg.ConfigFile = "/etc/krb5.conf"
	}
	return &Client{cfg: cfg, turn: make(chan struct{}, 1), tickets: map[string]*ticket{}}
}

// Token is a new SPNEGO token for a service such as HTTP/proxy.corp.example. fresh asks the KDC even if there is a ticket; cached tells that there was
// one. Errors are *Error, Guard's, or ctx's.
func (c *Client) Token(ctx context.Context, spn string, fresh bool) (token []byte, cached bool, err error) {
	if t := c.kept(spn); t != nil && (!fresh || t.err != nil) {
		if t.err != nil {
			return nil, false, t.err
		}
		token, err = t.token()
		return token, true, err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	if t := c.kept(spn); t != nil && t.err == nil && !fresh { // somebody else has got it meanwhile
		<-c.turn
		token, err = t.token()
		return token, true, err
	}
	done := make(chan *ticket, 1)
	go func() {
		defer func() { <-c.turn }()
		done <- c.get(ctx, spn)
	}()
	select {
	case t := <-done:
		if t.err != nil {
			return nil, false, t.err
		}
		token, err = t.token()
		return token, false, err
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

func (c *Client) kept(spn string) *ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tickets[spn]
	if t == nil || time.Now().After(t.until) {
		return nil
	}
	return t
}

// get asks the KDC, or looks into the cache, and keeps what came of it.
func (c *Client) get(ctx context.Context, spn string) *ticket {
	t := &ticket{until: time.Now().Add(keepTicket)}
	if t.err = c.fill(ctx, spn, t); t.err != nil {
		t.until = time.Now().Add(keepFailure)
		if k := (*Error)(nil); !errors.As(t.err, &k) {
			return t // the guard's, or ctx's: not to be kept
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tickets) >= maxTickets {
		clear(c.tickets)
	}
	c.tickets[spn] = t
	return t
}

func (c *Client) fill(ctx context.Context, spn string, t *ticket) (err error) {
	defer func() {
		if r := recover(); r != nil { // the library reads files and messages without checking their lengths
			err = &Error{Unusable, fmt.Errorf("a file or an answer that cannot be read (%v)", r)}
		}
	}()
	conf, err := readConfig(c.cfg.ConfigFile)
	if err != nil {
		return &Error{Unusable, err}
	}
	if c.cfg.CacheFile != "" {
		return c.fromCache(spn, conf, t)
	}
	name, realm, _ := strings.Cut(c.cfg.Principal, "@")
	var cl *client.Client
	var secret string
	if c.cfg.KeytabFile != "" {
		b, err := readFile(c.cfg.KeytabFile)
		if err != nil {
			return &Error{Unusable, err}
		}
		kt := keytab.New()
		if err := kt.Unmarshal(b); err != nil {
			return &Error{Unusable, fmt.Errorf("%s is no keytab: %w", c.cfg.KeytabFile, err)}
		}
		secret, cl = string(b), client.NewWithKeytab(name, realm, kt, conf, client.DisablePAFXFAST(true))
	} else {
		if secret, err = c.cfg.Password(); err != nil {
			return &Error{Unusable, err}
		}
		cl = client.NewWithPassword(name, realm, secret, conf, client.DisablePAFXFAST(true))
	}
	defer cl.Destroy()
	settle := func(Verdict) {}
	if c.cfg.Guard != nil {
		if settle, err = c.cfg.Guard(ctx, secret); err != nil {
			return err
		}
	}
	v := Unsettled
	defer func() { settle(v) }()
	if err := cl.Login(); err != nil {
		e := classify(err)
		if e.Kind == BadSecret {
			v = Rejected
		}
		return e
	}
	v = Accepted
	t.who = client.NewWithPassword(name, realm, "", conf)
	if t.ticket, t.key, err = cl.GetServiceTicket(spn); err != nil {
		return classify(err)
	}
	return nil
}

// fromCache takes the service ticket, or the ticket-granting ticket that leads to it, from a file that somebody else keeps fresh.
func (c *Client) fromCache(spn string, conf *config.Config, t *ticket) error {
	b, err := readFile(c.cfg.CacheFile)
	if err != nil {
		return &Error{Unusable, err}
	}
	cache := new(credentials.CCache)
	if len(b) < 2 {
		return &Error{Unusable, fmt.Errorf("%s is no credential cache", c.cfg.CacheFile)}
	}
	if err := cache.Unmarshal(b); err != nil {
		return &Error{Unusable, fmt.Errorf("%s is no credential cache: %w", c.cfg.CacheFile, err)}
	}
	good := false
	for _, cred := range cache.GetEntries() {
		good = good || cred.EndTime.After(time.Now())
	}
	if !good {
		return &Error{Unusable, fmt.Errorf("all tickets in %s are too old: what renews it does not run", c.cfg.CacheFile)}
	}
	cl, err := client.NewFromCCache(cache, conf, client.DisablePAFXFAST(true))
	if err != nil {
		return &Error{Unusable, fmt.Errorf("%s: %w", c.cfg.CacheFile, err)}
	}
	t.who = client.NewWithPassword(cache.DefaultPrincipal.PrincipalName.PrincipalNameString(), cache.DefaultPrincipal.Realm, "", conf)
	if t.ticket, t.key, err = cl.GetServiceTicket(spn); err != nil {
		return classify(err)
	}
	t.until = time.Now().Add(time.Minute) // the file may be another person's by then
	return nil
}

// token makes a token by the ticket.
func (t *ticket) token() (token []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Other, fmt.Errorf("the ticket cannot be used (%v)", r)}
		}
	}()
	first, err := spnego.NewNegTokenInitKRB5(t.who, t.ticket, t.key)
	if err != nil {
		return nil, &Error{Other, err}
	}
	b, err := (&spnego.SPNEGOToken{Init: true, NegTokenInit: first}).Marshal()
	if err != nil {
		return nil, &Error{Other, err}
	}
	return b, nil
}

func readConfig(file string) (*config.Config, error) {
	b, err := readFile(file)
	if err != nil {
		return nil, err
	}
	conf, err := config.NewFromString(string(b))
	var odd config.UnsupportedDirective
	if err != nil && !errors.As(err, &odd) { // it does not know include; the rest is used
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	conf.LibDefaults.UDPPreferenceLimit = 1 // always TCP: tickets with many groups do not fit into a packet
	return conf, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return slices.Clip(b), err // the library reads past the end, as far as there is memory
}

// classify sorts the library's errors, which are text only.
func classify(err error) *Error {
	text := err.Error()
	has := func(these ...string) bool {
		for _, s := range these {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	switch {
	case has("clock skew", "KRB_AP_ERR_SKEW"):
		return &Error{ClockSkew, err}
	case has("KDC_ERR_S_PRINCIPAL_UNKNOWN", "KDC_ERR_SERVICE_EXP"):
		return &Error{UnknownService, err}
	case has("KDC_ERR_PREAUTH_FAILED", "KDC_ERR_C_PRINCIPAL_UNKNOWN", "KDC_ERR_CLIENT_REVOKED", "KDC_ERR_KEY_EXPIRED", "KRB_AP_ERR_BAD_INTEGRITY", "password/keytab incorrect"):
		return &Error{BadSecret, err}
	case has("Networking_Error", "communication error", "no KDC", "error sending to a KDC"):
		return &Error{Unreachable, err}
	case has("matching key not found in keytab"):
		return &Error{Unusable, err}
	}
	return &Error{Other, err}
}
