package upstream

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sitegate/upstream/cloudapi"
	"sitegate/upstream/egress"
)

const (
	renewBefore = time.Minute      // the end of a token
	rejectedFor = 30 * time.Second // how long a rejected secret is not sent again

	retryRenewal = 5 * time.Second // after a renewal that failed
)

// tokens is the site's credential at the cloud: an access token by the client credentials grant, kept until a minute before its end and
// asked for by one request at a time, for all who wait.
type tokens struct {
	c          *Client
	issuer     string
	id, secret string // secret is the file
	one        singleflight.Group
	ctx        context.Context // ends with the client
	cancel     context.CancelFunc

	mu       sync.Mutex
	endpoint string // from the discovery document; empty: not read yet
	value    string
	renew    time.Time // when to get a new one
	until    time.Time // its end
	rejected [sha256.Size]byte
	quiet    time.Time // rejected is not sent before this
}

func newTokens(c *Client, issuer, id, secretFile string) *tokens {
	t := &tokens{c: c, issuer: issuer, id: id, secret: secretFile}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

func (t *tokens) close() { t.cancel() }

// get gives a token that is good for now.
func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	value, renew, until := t.value, t.renew, t.until
	t.mu.Unlock()
	now := time.Now()
	good := value != "" && now.Before(until)
	if good && now.Before(renew) {
		return value, nil
	}
	got := t.one.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
		defer cancel()
		value, err := t.fetch(ctx)
		if err != nil {
			t.later()
		}
		return value, err
	})
	if good {
		// The old one is still good: the new one comes in the background, and a cloud that gives none is noticed when it has ended.
		return value, nil
	}
	select {
	case r := <-got:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(string), nil
	case <-ctx.Done():
		return "", unreachable(ctx, ctx.Err())
	}
}

// later keeps a token that is still good from being renewed at every request while the cloud gives no new one.
func (t *tokens) later() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" {
		t.renew = time.Now().Add(retryRenewal)
	}
}

// drop forgets a token that the cloud did not take.
func (t *tokens) drop(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == value {
		t.value = ""
	}
}

// fetch asks the token endpoint.
func (t *tokens) fetch(ctx context.Context) (string, error) {
	secret, err := egress.ReadSecret(t.secret)
	if err != nil {
		return "", fmt.Errorf("the site's secret: %w", err)
	}
	sum := sha256.Sum256([]byte(secret))
	t.mu.Lock()
	endpoint, locked := t.endpoint, sum == t.rejected && time.Now().Before(t.quiet)
	t.mu.Unlock()
	if locked {
		return "", ErrUnauthorized
	}
	if endpoint == "" {
		if endpoint, err = t.discover(ctx); err != nil {
			return "", err
		}
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {cloudapi.Scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(t.id), url.QueryEscape(secret)) // RFC 6749, 2.3.1: encoded as in a form
	resp, body, err := t.c.fetch(req, maxSmall, 0)
	if err != nil {
		return "", err
	}
	var a struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Error       string `json:"error"`
	}
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return "", fmt.Errorf("%w: the sign-in answered with status %d", ErrUnreachable, resp.StatusCode)
	case resp.StatusCode >= 400:
		if decode(resp, body, &a) != nil || a.Error != "invalid_client" {
			t.forget()
			return "", &StatusError{Status: resp.StatusCode, Reason: clip(a.Error), Detail: "from the sign-in"}
		}
		t.mu.Lock()
		t.rejected, t.quiet = sum, time.Now().Add(rejectedFor)
		t.mu.Unlock()
		t.c.log.Error("the cloud rejected this site's id and secret", "site", t.id)
		return "", ErrUnauthorized
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%w: status %d", ErrGarbage, resp.StatusCode)
	}
	if err := decode(resp, body, &a); err != nil {
		return "", err
	}
	if !strings.EqualFold(a.TokenType, "Bearer") || a.AccessToken == "" || len(a.AccessToken) > 16<<10 || strings.ContainsAny(a.AccessToken, " \r\n") || a.ExpiresIn <= 0 {
		return "", fmt.Errorf("%w: it has no bearer token with an end", ErrGarbage)
	}
	life := time.Duration(min(a.ExpiresIn, 24*60*60)) * time.Second
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.until, t.renew = a.AccessToken, now.Add(life), now.Add(max(life-renewBefore, life/2))
	return t.value, nil
}

// discover reads where the token endpoint is. It has to be where the issuer is: the secret goes nowhere else.
func (t *tokens) discover(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return "", err
	}
	resp, body, err := t.c.fetch(req, maxSmall, 0)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w: the sign-in's discovery document came with status %d", ErrUnreachable, resp.StatusCode)
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
	}
	if err := decode(resp, body, &doc); err != nil {
		return "", err
	}
	us, err1 := url.Parse(t.issuer)
	them, err2 := url.Parse(doc.Token)
	if err1 != nil || err2 != nil || strings.TrimSuffix(doc.Issuer, "/") != t.issuer || them.Scheme != "https" || !strings.EqualFold(them.Host, us.Host) {
		return "", fmt.Errorf("%w: the discovery document of %s is for another issuer, or sends secrets elsewhere", ErrGarbage, us.Host)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endpoint = doc.Token
	return t.endpoint, nil
}

// forget makes the next request read the discovery document again.
func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endpoint = ""
}
