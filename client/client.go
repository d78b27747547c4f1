// Package client is the reference client of a sitegate gateway: what a product,
// or a companion beside it, uses to hold a license on a machine.
//
// It promises that a Session that has not been told otherwise still has its
// right: a session counts its lease from when the heartbeat that was
// acknowledged was sent, by the larger of monotonic and wall time (laptops
// sleep), and closes Lost before the license could be given to another machine.
// It promises that a Watcher hears of every notice of its user, in order, or is
// told that there is a gap, also where something in between lets no websocket
// live; and that a request which may have been carried out is asked again under
// the same id, on whichever node answers.
//
// It leaves to others: where access tokens come from (package signin is one
// way), and what a program does when it is warned or has lost its right.
package client

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"sitegate/api"
)

// Config is what a Client is made of. Nodes, Token and Machine.ID are needed.
type Config struct {
	// Nodes are base URLs of gateway nodes, such as https://sitegate.example:8443.
	// One is enough to find the others. Only https, but for loopback addresses.
	Nodes []string

	// CA holds the certificates, in PEM, of the authorities the nodes' certificates
	// come from. Roots is the same as a pool, and wins. Neither: the system's.
	CA    []byte
	Roots *x509.CertPool

	// Token gives an access token that is good now. It is asked before each request
	// and each connection, at once from many goroutines. Its error is told as
	// ErrSignIn where it is a net.Error or the context's, which say nothing about the
	// sign-in; as ErrUnauthorized else.
	Token func(ctx context.Context) (string, error)

	Machine api.Machine // this computer; its ID stays the same for ever

	// Key is the machine's: an Ed25519 key, or one on P-256, of a file (package machinekey)
	// or of the platform's keystore. The client shows it to the gateway with an access token,
	// and then goes by what the key signs, also while there is no access token to be had.
	// Nil: by access tokens alone.
	Key crypto.Signer
	// Host names the computer that has the key, where the user has come there from Machine,
	// as to a multi-user server; empty: Machine has it.
	Host string
	// Bound is what OnBound was told last, perhaps in another program: with it the client
	// can go by the key from the first request on. OnBound is told whenever the key was
	// shown; it must not call the client. Both may be nil.
	Bound   *Bound
	OnBound func(Bound)

	Client string // version of the CONNECTION Client in whose name this asks; may be empty
	// Lang is the language of the sentences, of the gateway's and the client's own: en, fr,
	// de; empty is en.
	Lang string

	Logger *slog.Logger // nil discards
	// Proxy is for http.Transport; nil goes straight to the nodes, which are
	// inside the site, whatever the environment says.
	Proxy func(*http.Request) (*url.URL, error)
	// Dial opens connections; nil is TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the wall clock, from which sleep is noticed; nil is time.Now.
	Now func() time.Time
}

// Client speaks for one machine of one user. Its methods may be called at once
// from many goroutines.
type Client struct {
	cfg      Config
	log      *slog.Logger
	lang     lang
	nodes    *nodes
	http     *http.Client
	tls      *tls.Config
	instance string // random per Client: the server replaces older connections of it

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool
	running  sync.WaitGroup
	undoing  sync.WaitGroup // ends by itself, within undoTime
	machine  machine
	link     *link // the notices connection; nil until somebody needs it
	sessions map[string]*Session
	ahead    time.Duration // of the gateway's clock, as the last hello had it
	told     bool          // ahead is known
}

// New checks cfg and makes a Client. It dials nothing yet.
func New(cfg Config) (*Client, error) {
	ns, err := newNodes(cfg.Nodes)
	if err != nil {
		return nil, err
	}
	if cfg.Token == nil {
		return nil, errors.New("the client needs a Token function")
	}
	if cfg.Machine.ID == "" {
		return nil, errors.New("the client needs a machine id")
	}
	if cfg.Roots == nil && cfg.CA != nil {
		cfg.Roots = x509.NewCertPool()
		if !cfg.Roots.AppendCertsFromPEM(cfg.CA) {
			return nil, errors.New("the CA holds no certificate in PEM")
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{cfg: cfg, log: cfg.Logger, lang: langOf(cfg.Lang), nodes: ns, instance: uuid.NewString(), sessions: map[string]*Session{}}
	c.machine.bound = cfg.Bound
	c.machine.tell()
	c.tls = &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}
	only1 := new(http.Protocols) // one dead HTTP/2 connection would take every request down with it
	only1.SetHTTP1(true)
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy: cfg.Proxy, DialContext: cfg.Dial, TLSClientConfig: c.tls.Clone(), Protocols: only1,
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: tryTimeout,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		// A node never redirects; following would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends the notices connection, all heartbeats and waits, and returns when
// no goroutine of the client is left. It stops no session: those not stopped are
// lost, with ErrClosed, and end at the gateway with their lease. What may have
// been granted though the answer was lost is given back before, if that can be
// done within three seconds.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	link := c.link
	c.mu.Unlock()
	c.undoing.Wait()
	c.cancel()
	c.running.Wait()
	if link != nil {
		link.stop(ErrClosed)
	}
	c.http.CloseIdleConnections()
	return nil
}

// spawn runs f, which ends with its context or the client's; false: closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// Me is what the site knows of the signed-in user.
func (c *Client) Me(ctx context.Context) (*api.Me, error) {
	var me api.Me
	if _, err := c.call(ctx, http.MethodGet, api.PathMe, nil, &me); err != nil {
		return nil, err
	}
	return &me, nil
}

// Refresh has the site send the usage that waits and read what the vendor's cloud
// says, now, and tells what the site knows of the user after that: the way out of
// trial mode (R18), and after somebody has assigned a license. ErrCloud: the cloud
// does not answer.
func (c *Client) Refresh(ctx context.Context) (*api.Me, error) {
	var me api.Me
	if _, err := c.call(ctx, http.MethodPost, api.PathRefresh, nil, &me); err != nil {
		return nil, err
	}
	return &me, nil
}

// SignOut ends all that the user runs on this machine (R8). Checkouts stay. Programs
// whose sessions those were are told with their next heartbeat, at the latest.
func (c *Client) SignOut(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodPost, api.PathSignOut, api.MachineRequest{Machine: c.cfg.Machine}, nil)
	return err
}

// Nodes are the base URLs known now, those learned from the gateway included.
func (c *Client) Nodes() []string { return c.nodes.all() }

func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return id.String(), nil
}

// instant is a moment on both clocks.
type instant struct{ mono, wall time.Time }

func (c *Client) now() instant {
	return instant{mono: time.Now(), wall: c.cfg.Now().Round(0)}
}

// until is how long it is to a time that the gateway has told.
func (c *Client) until(t time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Sub(c.cfg.Now().Round(0)) - c.ahead
}

// Skew is how much the gateway's clock is ahead of this computer's, to within the time
// that a message takes; false: it has not told yet (a wrong clock keeps people from
// signing in, R20).
func (c *Client) Skew() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.told
}

// clock notes what time it is at the gateway.
func (c *Client) clock(t time.Time) {
	if t.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.told = t.Sub(c.cfg.Now().Round(0)), true
}

// farOff is by how much the gateway's clock, as it was told, is wrong: a session token is good
// a minute before its time.
const farOff = 30 * time.Second

// dated notes what time it is at the gateway by an answer's Date, while nothing better is
// known, or where a token was not taken and it is far from what is: a machine signs tokens
// that are of another time else, if its clock is wrong or the site's was set.
func (c *Client) dated(resp *http.Response) {
	ahead, told := c.Skew()
	if c.cfg.Key == nil || told && resp.StatusCode != http.StatusUnauthorized {
		return
	}
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || told && (t.Sub(c.cfg.Now().Round(0))-ahead).Abs() < farOff {
		return
	}
	c.clock(t)
}

// since is how long ago i was, by the larger of the two clocks: a machine that
// slept has a monotonic clock that stood still, one whose wall clock was set back
// has one that lies.
func (c *Client) since(i instant) time.Duration {
	return max(time.Since(i.mono), c.cfg.Now().Round(0).Sub(i.wall))
}
