package endpoint

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// CodeFlow is how people sign in at the console by an issuer: authorization code with PKCE
// (RFC 6749, 4.1; RFC 7636; OpenID Connect Core 1.0, 3.1).
type CodeFlow struct {
	// ClientID is what the site is to the issuer, and its ID tokens' aud.
	ClientID string
	// Secret reads what the site shows there, anew each time; nil: it is a public client.
	Secret func() (string, error)
}

const (
	// beginPath leads to the issuer, and backPath is where it leads back to.
	beginPath = "/console/sign-in/issuer"
	backPath  = "/console/sign-in/back"

	codeScopes   = "openid email profile"
	maxCode      = 4096 // bytes
	maxExchanges = 8    // at once
	ofHost       = 2    // of them
)

// codeFlow signs people in by the administrators' issuer. It keeps nothing of a sign-in that
// has begun: the browser does, so that any node can end it.
type codeFlow struct {
	d     *doorman
	cfg   CodeFlow
	is    *issuer
	slots chan struct{} // of exchanges under way

	mu    sync.Mutex
	under map[string]int // those of a host
}

// newCodeFlow adds the pages of the code flow; nil: it is not set up.
func newCodeFlow(d *doorman) *codeFlow {
	a := d.e.cfg.Administrators
	if a == nil || a.Code == nil {
		return nil
	}
	f := &codeFlow{d: d, cfg: *a.Code, is: d.e.admins.issuers[a.URL], slots: make(chan struct{}, maxExchanges), under: map[string]int{}}
	for path, do := range map[string]func(*call) (reply, error){beginPath: f.begin, backPath: f.back} {
		d.e.mux.Handle("GET "+path, d.e.serve(route{method: "GET", path: path, who: anyone, do: do}, d.e.admitAnyone))
	}
	return f
}

// begin is GET /console/sign-in/issuer: it leads to the issuer. From a page of another
// site it leads to the page to sign in only.
func (f *codeFlow) begin(c *call) (reply, error) {
	next := inConsole(c.r.URL.Query().Get("next"))
	if fromElsewhere(c.r) {
		return leadTo(c, signInPath+"?next="+url.QueryEscape(next))
	}
	about, ok := f.is.endpoints(c.ctx)
	if !ok {
		return f.again(c, next, http.StatusServiceUnavailable, alertAway, nil)
	}
	to, err := url.Parse(about.Authorize)
	if err != nil {
		return reply{}, err
	}
	b := newBegun(f.d.e.gw.Now(), next)
	q := to.Query()
	for k, v := range map[string]string{"response_type": "code", "client_id": f.cfg.ClientID, "redirect_uri": backAt(c.r), "scope": codeScopes,
		"state": b.state(), "nonce": b.nonce(), "code_challenge": b.challenge(), "code_challenge_method": "S256"} {
		q.Set(k, v)
	}
	to.RawQuery, to.Fragment = q.Encode(), ""
	http.SetCookie(c.w, b.cookie())
	return leadTo(c, to.String())
}

// backAt is the address that the issuer leads back to: of the host that the browser knows
// this node by, whose cookie it keeps. The issuer takes those only that it was told of.
func backAt(r *http.Request) string {
	return (&url.URL{Scheme: "https", Host: r.Host, Path: backPath}).String()
}

// back is GET /console/sign-in/back: the issuer's answer (RFC 6749, 4.1.2; RFC 9207), in the
// browser that has begun.
func (f *codeFlow) back(c *call) (reply, error) {
	b, ok := shownBegun(c.r, f.d.e.gw.Now())
	http.SetCookie(c.w, &http.Cookie{Name: begunCookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	q := c.r.URL.Query()
	if !ok || len(q["state"]) != 1 || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(b.state())) != 1 {
		return f.again(c, "", http.StatusBadRequest, alertBegin, errors.New("the issuer's answer is to no sign-in that began in this browser"))
	}
	if iss := q["iss"]; len(iss) > 1 || len(iss) == 1 && iss[0] != f.is.cfg.URL {
		return f.again(c, b.next, http.StatusBadRequest, alertBegin, errors.New("another issuer has answered the sign-in"))
	}
	if q.Has("error") {
		return f.refused(c, b.next, &oauthError{code: q.Get("error")})
	}
	if len(q["code"]) != 1 || q.Get("code") == "" || len(q.Get("code")) > maxCode {
		return f.again(c, b.next, http.StatusBadRequest, alertBegin, errors.New("the issuer's answer has no code"))
	}
	tokens, err := f.exchange(c.ctx, hostOf(c.r.RemoteAddr), q.Get("code"), backAt(c.r), b)
	if err != nil {
		return f.refused(c, b.next, err)
	}
	who, err := f.whose(c.ctx, tokens, b.nonce())
	if err != nil {
		return f.refused(c, b.next, err)
	}
	c.ctx = f.withTokens(c.ctx, tokens, b.nonce())
	return f.in(c, b.next, who)
}

// in signs in whom the issuer has vouched for, if they have a role now.
func (f *codeFlow) in(c *call, next string, who Caller) (reply, error) {
	role := f.d.e.cfg.Administrators.role(who.claimed)
	if role == 0 {
		f.d.e.denials.note("sign-in-denied", "role", host(c.r.RemoteAddr))
		return f.again(c, next, http.StatusForbidden, alertRole, nil)
	}
	return f.d.in(c, signInForm{Next: next}, license.SignedIn, who.named(), role, 0)
}

// refused shows what came of a code that was not good, and has a stranger pay for it.
func (f *codeFlow) refused(c *call, next string, err error) (reply, error) {
	if busy, is := errors.AsType[*trouble](err); is && busy.code == api.CodeTooMany {
		return reply{}, err
	}
	if toll := f.d.e.toll(c, costForged); toll != nil {
		return reply{}, toll
	}
	if bad, is := errors.AsType[*authError](err); is {
		f.d.e.denials.note("sign-in-denied", bad.why, host(c.r.RemoteAddr))
		return f.again(c, next, http.StatusForbidden, alertIDToken, err)
	}
	o, is := errors.AsType[*oauthError](err)
	switch {
	case !is, o.code == "temporarily_unavailable", o.code == "server_error":
		return f.again(c, next, http.StatusServiceUnavailable, alertAway, err)
	case o.code == "invalid_grant": // RFC 6749, 5.2: used, over, or of another sign-in
		return f.again(c, next, http.StatusBadRequest, alertBegin, err)
	case o.code == "access_denied":
		return f.again(c, next, http.StatusForbidden, alertDenied, err)
	}
	return f.again(c, next, http.StatusBadGateway, alertSetUp, err)
}

// again shows the page to sign in, and why somebody is there again. What exactly happened
// is for the log.
func (f *codeFlow) again(c *call, next string, status int, why string, err error) (reply, error) {
	c.w.reason, c.w.err = why, err
	return f.d.show(c, signInForm{Next: inConsole(next)}, status, why)
}

// link is what leads to the issuer on the page to sign in: its address, and the issuer's
// host; empty: nothing does.
func (f *codeFlow) link(next string) (to, issuer string) {
	if f == nil {
		return "", ""
	}
	u, err := url.Parse(f.is.cfg.URL)
	if err != nil {
		return "", ""
	}
	return beginPath + "?next=" + url.QueryEscape(inConsole(next)), u.Host
}

// slot waits for a place among the exchanges under way, of which a host has a few: anybody
// can make up a code that the issuer is asked about.
func (f *codeFlow) slot(ctx context.Context, of string) (release func(), err error) {
	f.mu.Lock()
	many := f.under[of] >= ofHost
	if !many {
		f.under[of]++
	}
	f.mu.Unlock()
	if many {
		return nil, &trouble{code: api.CodeTooMany, after: time.Second}
	}
	leave := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.under[of]--; f.under[of] == 0 {
			delete(f.under, of)
		}
	}
	select {
	case f.slots <- struct{}{}:
		return func() { <-f.slots; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, &trouble{code: api.CodeTooMany}
	}
}
