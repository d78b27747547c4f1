package endpoint

import (
	"bytes"
	"cmp"
	_ "embed" // of the page
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
)

//go:embed signin.html
var signInHTML string

//go:embed signin.css
var signInCSS []byte

// signInPolicy lets the page have its style sheet, and send its form here.
const signInPolicy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxSignInForm bounds what the page's form may bring.
const maxSignInForm = 8 << 10

// doorman is what signs people in, by local accounts and by the issuer.
type doorman struct {
	e        *Endpoint
	page     *template.Template
	attempts *attempts
	code     *codeFlow // nil: no issuer signs people in here
}

// newDoorman adds the pages where administrators sign in, and out.
func newDoorman(e *Endpoint) (*doorman, error) {
	page, err := template.New("sign-in").Parse(signInHTML)
	if err != nil {
		return nil, fmt.Errorf("the page to sign in: %w", err)
	}
	d := &doorman{e: e, page: page, attempts: newAttempts()}
	for _, rt := range []route{
		{method: "GET", path: signInPath, do: func(c *call) (reply, error) { return d.show(c, signInForm{}, http.StatusOK, "") }},
		{method: "POST", path: signInPath, do: d.signIn},
		{method: "GET", path: firstPath, do: func(c *call) (reply, error) { return d.show(c, signInForm{First: true}, http.StatusOK, "") }},
		{method: "POST", path: firstPath, do: d.first},
		{method: "GET", path: changePath, do: func(c *call) (reply, error) { return d.show(c, signInForm{Change: true}, http.StatusOK, "") }},
		{method: "POST", path: changePath, do: d.change},
		{method: "GET", path: stylePath, do: d.style},
		{method: "POST", path: signOutPath, do: d.signOut},
	} {
		rt.who = anyone
		e.mux.Handle(rt.method+" "+rt.path, e.serve(rt, e.admitAnyone))
	}
	d.code = newCodeFlow(d)
	return d, nil
}

// signInForm is what the page shows, and sends. A password is never shown again.
type signInForm struct {
	First  bool
	Change bool
	Name   string
	Next   string

	token, password, fresh, again string
}

// read takes the form, from a page of this site only.
func (d *doorman) read(c *call, first bool) (signInForm, error) {
	if d.e.sameOrigin.Check(c.r) != nil {
		return signInForm{}, &trouble{code: api.CodeForbidden, detail: "it comes from a page of another site"}
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxSignInForm)
	if err := c.r.ParseForm(); err != nil {
		return signInForm{}, malformed("it is no form of this page")
	}
	v := c.r.PostForm
	return signInForm{First: first, Name: v.Get("name"), Next: inConsole(v.Get("next")), token: v.Get("token"), password: v.Get("password"), fresh: v.Get("new"), again: v.Get("again")}, nil
}

// show answers with the page, and why somebody is still there.
func (d *doorman) show(c *call, f signInForm, status int, why string) (reply, error) {
	if f.Next == "" {
		f.Next = inConsole(c.r.URL.Query().Get("next"))
	}
	action, other := signInPath, changePath
	switch {
	case f.First:
		action = firstPath
	case f.Change:
		action, other = changePath, signInPath
	}
	if !license.ValidAccountName(f.Name) {
		f.Name = ""
	}
	begin, issuer := d.code.link(f.Next)
	var b bytes.Buffer
	err := d.page.Execute(&b, struct {
		signInForm
		Lang, Action, Other, Alert, Begin, Issuer string
		Words                                     signInWords
	}{f, c.lang.String(), action, other, cmp.Or(alertOf(c.lang, why), alertOfCode(c.lang, why)), begin, wordsOfIssuer(c.lang, issuer), wordsOfSignIn(c.lang, f)})
	if err != nil {
		return reply{}, err
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", c.lang.String())
	h.Set("Content-Security-Policy", signInPolicy)
	c.w.WriteHeader(status)
	c.w.Write(b.Bytes()) // who has gone reads no page
	return reply{done: true}, nil
}

// signIn is POST /console/sign-in.
func (d *doorman) signIn(c *call) (reply, error) {
	f, err := d.read(c, false)
	if err != nil {
		return reply{}, err
	}
	account, answer, err := d.owner(c, f)
	if err != nil || answer.done {
		return answer, err
	}
	return d.in(c, f, license.SignedInHere, account.Name, account.Role, account.Changed)
}

// owner is the account whose name and password a form has; the leader is shown them from then
// on. Otherwise the caller is answered, or there is an error.
func (d *doorman) owner(c *call, f signInForm) (license.LocalAccount, reply, error) {
	remote, name := hostOf(c.r.RemoteAddr), printable(f.Name)
	account, right, by, wait, err := d.checked(c, f, name, remote)
	var answer reply
	switch {
	case err != nil:
		return account, answer, err
	case wait > 0:
		answer, err = d.wait(c, f, wait)
		return account, answer, err
	}
	if !right {
		if err := d.e.toll(c, costForged); err != nil {
			return account, answer, err
		}
		c.w.reason = "wrong-password"
		d.e.denials.note("sign-in-denied", "password", host(c.r.RemoteAddr))
		if account.Name != "" { // what is no account may be a password in the wrong field
			d.e.log.WarnContext(c.ctx, "sign-in refused", "id", c.id, "account", account.Name, "remote", remote)
		}
		answer, err = d.show(c, f, http.StatusUnauthorized, alertWrong)
		return account, answer, err
	}
	d.attempts.signedIn(time.Now(), name, remote, by)
	c.ctx = withPassword(c.ctx, account.Name, f.password)
	return account, answer, nil
}

// change is POST /console/sign-in/password: whoever has a local account's password sets
// another one. That ends all of its sign-ins, and begins one here.
func (d *doorman) change(c *call) (reply, error) {
	f, err := d.read(c, false)
	if err != nil {
		return reply{}, err
	}
	f.Change = true
	switch {
	case f.fresh != f.again:
		return d.show(c, f, http.StatusBadRequest, alertDiffer)
	case f.fresh == f.password || weak(f.fresh, f.Name) != nil:
		return d.show(c, f, http.StatusBadRequest, alertNew)
	}
	account, answer, err := d.owner(c, f)
	if err != nil || answer.done {
		return answer, err
	}
	hash, err := d.e.passwords.hash(c.ctx, f.fresh)
	if err != nil {
		return reply{}, err
	}
	a, err := d.e.gw.SetLocalAccount(c.ctx, license.SetLocalAccount{Name: account.Name, Role: account.Role, Hash: hash, Reset: true, By: account.Name, Was: account.Changed})
	switch code := codeOf(err); {
	case err != nil && (code == api.CodeNoQuorum || code == api.CodeUnknown):
		return d.show(c, f, http.StatusServiceUnavailable, alertNoWrite)
	case err != nil:
		return reply{}, err
	case a.Outcome.Denial != nil: // it was set, or taken away, in between
		return d.show(c, f, http.StatusConflict, alertWrong)
	}
	d.e.log.InfoContext(c.ctx, "local account's password changed", "id", c.id, "account", account.Name, "remote", hostOf(c.r.RemoteAddr))
	c.ctx = withPassword(c.ctx, account.Name, f.fresh)
	return d.in(c, f, license.SignedInHere, account.Name, account.Role, 0)
}

// checked looks whether a form has an account's password, when its turn comes. wait: it was
// not looked at, because there were too many wrong ones, or there are too many at once,
// which is not held against anybody. by is what the attempt was counted by.
func (d *doorman) checked(c *call, f signInForm, name, remote string) (account license.LocalAccount, right bool, by charged, wait time.Duration, err error) {
	if wait := d.attempts.wait(time.Now(), name, remote); wait > 0 {
		return account, false, nil, wait, nil
	}
	room := d.e.passwords.strangers
	if d.attempts.home(time.Now(), name, remote) {
		room = d.e.passwords.known
	}
	leave, err := room.enter(c.ctx)
	if t, ok := errors.AsType[*trouble](err); ok {
		d.e.metrics.limited.Inc()
		return account, false, nil, t.after, nil
	}
	if err != nil {
		return account, false, nil, 0, err
	}
	defer leave()
	if by, wait = d.attempts.try(time.Now(), name, remote); wait > 0 {
		return account, false, nil, wait, nil
	}
	d.e.gw.View(func(s *license.State) { account, _ = license.LocalAccountOf(s, f.Name) })
	right, err = d.e.passwords.check(f.password, account.Hash)
	return account, right, by, 0, err
}

// in signs somebody in, and leads them on.
func (d *doorman) in(c *call, f signInForm, kind license.CredentialKind, name string, role license.Authority, changed license.Time) (reply, error) {
	if err := d.e.begin(c, kind, name, role, changed); err != nil {
		if code := codeOf(err); code == api.CodeNoQuorum || code == api.CodeUnknown {
			return d.show(c, f, http.StatusServiceUnavailable, alertNoWrite)
		}
		return reply{}, err
	}
	return leadTo(c, f.Next)
}

// leadTo has a browser get a page of the console.
func leadTo(c *call, to string) (reply, error) {
	c.w.Header().Set("Location", to)
	c.w.WriteHeader(http.StatusSeeOther)
	return reply{done: true}, nil
}

func (d *doorman) wait(c *call, f signInForm, wait time.Duration) (reply, error) {
	c.w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	return d.show(c, f, http.StatusTooManyRequests, alertWait)
}

// first is POST /console/sign-in/first: whoever has the one-time token makes the first
// local account, and is signed in by it.
func (d *doorman) first(c *call) (reply, error) {
	f, err := d.read(c, true)
	if err != nil {
		return reply{}, err
	}
	remote := hostOf(c.r.RemoteAddr)
	by, wait := d.attempts.try(time.Now(), "", remote)
	if wait > 0 {
		return d.wait(c, f, wait)
	}
	digest, ok := secretDigest(prefixFirst, f.token)
	now := d.e.gw.Now()
	if ok {
		d.e.gw.View(func(s *license.State) {
			var x license.Credential
			x, ok = license.CredentialOf(s, digest, now)
			ok = ok && x.Kind == license.FirstAccount
		})
	}
	switch {
	case !ok:
		if err := d.e.toll(c, costForged); err != nil {
			return reply{}, err
		}
		d.e.denials.note("sign-in-denied", "first-account", host(c.r.RemoteAddr))
		return d.show(c, f, http.StatusForbidden, alertFirst)
	case f.password != f.again:
		d.attempts.forgive(by)
		return d.show(c, f, http.StatusBadRequest, alertDiffer)
	case !license.ValidAccountName(f.Name) || weak(f.password, f.Name) != nil:
		d.attempts.forgive(by)
		return d.show(c, f, http.StatusBadRequest, alertWeak)
	}
	hash, err := d.e.passwords.hash(c.ctx, f.password)
	if err != nil {
		return reply{}, err
	}
	a, err := d.e.gw.SetLocalAccount(gateway.WithProof(c.ctx, f.token), license.SetLocalAccount{Name: f.Name, Role: license.Admin, Hash: hash, By: f.Name, First: digest})
	if err != nil {
		return reply{}, err
	}
	if a.Outcome.Denial != nil {
		return d.show(c, f, http.StatusForbidden, alertFirst)
	}
	d.attempts.signedIn(time.Now(), f.Name, remote, by)
	d.e.log.InfoContext(c.ctx, "first local account made", "id", c.id, "account", f.Name, "remote", remote)
	c.ctx = withPassword(c.ctx, f.Name, f.password)
	return d.in(c, f, license.SignedInHere, f.Name, license.Admin, 0)
}

// signOut is POST /console/sign-out.
func (d *doorman) signOut(c *call) (reply, error) {
	if d.e.sameOrigin.Check(c.r) != nil {
		return reply{}, &trouble{code: api.CodeForbidden, detail: "it comes from a page of another site"}
	}
	if secret, ok := shownCookie(c.r); ok {
		if who, err := d.e.byCookie(secret, false); err == nil {
			d.e.end(c, secret, who.Name)
			d.e.log.InfoContext(c.ctx, "administrator signed out", "id", c.id, "administrator", who.Name)
		}
	}
	http.SetCookie(c.w, &http.Cookie{Name: signInCookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	return leadTo(c, signInPath)
}

func (d *doorman) style(c *call) (reply, error) {
	c.w.Header().Set("Content-Type", "text/css; charset=utf-8")
	c.w.WriteHeader(http.StatusOK)
	c.w.Write(signInCSS) // who has gone reads no style
	return reply{done: true}, nil
}
