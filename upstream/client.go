// Package upstream asks the vendor's cloud. It speaks the site API of upstream/cloudapi on the wire and the words of license to its
// callers, and everything it sends goes out through upstream/egress.
//
// What it promises: a denial of the cloud comes as a *license.Denial and is never made up here; whatever is not clearly the cloud's own
// answer (a captive portal's page, a proxy's error, half an answer, too much of one) is an error and decides nothing. Errors
// are told apart by ErrUnreachable, ErrGarbage, ErrBusy, ErrUnauthorized, ErrStaleFence and *StatusError. It does not follow redirects, bounds every answer,
// waits as long as the cloud asks it to, and keeps to a rate of its own.
//
// It leaves to others: when to ask, and what follows from an answer (gateway). It retries only what was not heard: a request whose token
// the cloud no longer takes is sent again once with a new one.
package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sitegate/upstream/egress"
)

// Config is what a Client is made of.
type Config struct {
	API        string         // address of the site API: https://host or https://host:port
	Issuer     string         // address of the cloud's sign-in; its discovery document names the token endpoint
	SiteID     string         // the site's client id there
	SecretFile string         // the site's client secret; read anew for each token
	Dialer     *egress.Dialer // the way out
	Usage      UsageConfig    // which way usage goes
	Rate       rate.Limit     // requests a second towards the cloud; zero is 200
	// Requests bounds the requests of any 30 s, of all kinds together; zero does not. Holds go in batches then, and a first reading of
	// the feed takes its time.
	Requests int
	Logger   *slog.Logger // nil discards
}

// Client asks one cloud for one site. It is safe for use by many goroutines; Close ends it.
type Client struct {
	api     string
	http    *http.Client
	tokens  *tokens
	batches *batcher
	limit   *rate.Limiter
	usage   UsageConfig
	log     *slog.Logger

	mu    sync.Mutex
	quiet map[string]time.Time // path → not before, as the cloud has asked

	maxPage int64 // bytes of a page of changes
	seen    seen
	pages   pages
}

// New checks the configuration. It connects to nothing yet.
func New(cfg Config) (*Client, error) {
	var errs []error
	for _, a := range []struct{ what, addr string }{{"the cloud's address", cfg.API}, {"the issuer's address", cfg.Issuer}} {
		if err := checkAddress(a.addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.what, err))
		}
	}
	if cfg.SiteID == "" {
		errs = append(errs, errors.New("the site's id at the cloud is missing"))
	}
	if _, err := egress.ReadSecret(cfg.SecretFile); err != nil {
		errs = append(errs, fmt.Errorf("the site's secret: %w", err))
	}
	if err := cfg.Usage.check(); err != nil {
		errs = append(errs, fmt.Errorf("sending usage: %w", err))
	}
	if cfg.Dialer == nil {
		errs = append(errs, errors.New("there is no way out: a dialer is missing"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	perSecond := cmp.Or(cfg.Rate, 200)
	burst := max(1, int(2*perSecond))
	if cfg.Requests > 0 { // half of them at once, and the other half in 30 s
		burst = max(1, cfg.Requests/2)
		perSecond = min(perSecond, rate.Limit(max(1, cfg.Requests-burst))/30)
	}
	c := &Client{
		usage: cfg.Usage,
		api:   strings.TrimSuffix(cfg.API, "/"),
		http: &http.Client{Transport: cfg.Dialer.Transport(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		limit: rate.NewLimiter(perSecond, burst),
		log:   cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		quiet: map[string]time.Time{},

		maxPage: maxPage,
	}
	c.batches = newBatcher(c)
	c.tokens = newTokens(c, strings.TrimSuffix(cfg.Issuer, "/"), cfg.SiteID, cfg.SecretFile)
	return c, nil
}

// checkAddress accepts https, a host and nothing that a path could be hidden in.
func checkAddress(addr string) error {
	u, err := url.Parse(addr)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%.200q is not https://host or https://host:port", addr)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("the address of %.200q has more than a host and a path", u.Host)
	}
	return nil
}

// Close ends requests for tokens and idle connections. Requests under way end with their contexts.
func (c *Client) Close() {
	c.tokens.close()
	c.http.CloseIdleConnections()
}

// wait keeps to the rate, and to what the cloud has asked for on path.
func (c *Client) wait(ctx context.Context, path string) error {
	until := c.quietUntil(path)
	if d := time.Until(until); d > 0 {
		if tooLate(ctx, until) {
			return leftAlone(until)
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := c.limit.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: this site asks more than it may in a second", ErrBusy)
	}
	return nil
}

// quietUntil is when the cloud may be asked for something on path again.
func (c *Client) quietUntil(path string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quiet[path]
}

// hush notes that the cloud wants to be left alone on path for d, which is bounded: a cloud that asks for more is asked again.
func (c *Client) hush(path string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet[path] = time.Now().Add(min(d, maxRetryAfter))
}
