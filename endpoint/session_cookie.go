package endpoint

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"sitegate/api"
	"sitegate/gateway"
	"sitegate/license"
	"sitegate/notice"
)

// signInCookie holds the secret of a sign-in. Its prefix has browsers take it from this
// host only, over TLS, for all paths: no other host of the domain can set it.
const signInCookie = "__Host-sitegate"

// signInLife is how long a sign-in is good: a working day. The leader's clock, which it is
// held against, may be behind this node's.
const signInLife = 10 * time.Hour

// signInLags is how many times notice.MaxLag a sign-in waits for this node to know of it.
const signInLags = 4

const (
	consolePath = "/console/"
	signInPath  = "/console/sign-in"
	firstPath   = "/console/sign-in/first"
	changePath  = "/console/sign-in/password"
	stylePath   = "/console/sign-in/style.css"
	signOutPath = "/console/sign-out"
	livePath    = "/console/live"
)

// attended reports whether somebody has asked for something themselves. A sign-in that
// nobody uses ends, though a page is open.
func attended(r *http.Request) bool {
	return r.Method != http.MethodGet || r.Header.Get(api.HeaderUnattended) == "" && r.URL.Path != livePath
}

// byCookie finds out whose sign-in a request shows; used: somebody does something with it.
func (e *Endpoint) byCookie(value string, used bool) (Administrator, error) {
	digest, ok := secretDigest(prefixSignIn, value)
	if !ok {
		return Administrator{}, &authError{tokenMalformed}
	}
	return e.ofSignIn(digest, used)
}

// ofSignIn finds out whose sign-in has a digest; used: somebody does something with it.
func (e *Endpoint) ofSignIn(digest license.Digest, used bool) (Administrator, error) {
	c, ok := e.credential(digest, used)
	switch {
	case ok && c.Kind == license.SignedIn:
		return Administrator{Name: c.Name, Role: c.Role, Way: ByOIDC, secret: digest}, nil
	case ok && c.Kind == license.SignedInHere:
		return Administrator{Name: c.Name + " (local account)", Role: c.Role, Way: ByAccount, secret: digest}, nil
	}
	return Administrator{}, &authError{tokenUnknown}
}

// shownCookie is the sign-in that a request shows, if it shows exactly one.
func shownCookie(r *http.Request) (string, bool) {
	cookies := r.CookiesNamed(signInCookie)
	if len(cookies) != 1 {
		return "", false
	}
	return cookies[0].Value, true
}

// begin signs a person in: a new secret for each sign-in, whatever cookie came along, so
// that nobody can have somebody else use one that they know. Changed is that of the local account
// whose password was checked.
func (e *Endpoint) begin(c *call, kind license.CredentialKind, name string, role license.Authority, changed license.Time) error {
	secret := newSecret(prefixSignIn)
	digest, _ := secretDigest(prefixSignIn, secret)
	a, err := decided(e.gw.GiveCredential(c.ctx, license.GiveCredential{Secret: digest, Kind: kind, Name: name, Role: role, By: name, Changed: changed,
		Until: e.gw.Now().Add(signInLife)}))
	if err != nil {
		return err
	}
	if old, ok := shownCookie(c.r); ok {
		e.end(c, old, name)
	}
	for range signInLags { // whom the leader has signed in is not to be a stranger here
		if e.hub.Await(c.ctx, notice.Token{Epoch: a.Epoch, Seq: a.Seq}) {
			break
		}
	}
	http.SetCookie(c.w, &http.Cookie{Name: signInCookie, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(signInLife / time.Second)})
	e.log.InfoContext(c.ctx, "administrator signed in", "id", c.id, "administrator", name, "way", kind.String(), "role", role.String(), "remote", host(c.r.RemoteAddr))
	return nil
}

// end takes back a sign-in; what is none is nobody's loss.
func (e *Endpoint) end(c *call, secret, by string) {
	digest, ok := secretDigest(prefixSignIn, secret)
	if !ok {
		return
	}
	known := false
	now := e.gw.Now()
	e.gw.View(func(s *license.State) { _, known = license.CredentialOf(s, digest, now) })
	if !known {
		return
	}
	if _, err := e.gw.EndCredential(gateway.WithProof(c.ctx, secret), license.EndCredential{Secret: digest, By: by}); err != nil {
		c.w.err = err
	}
}

// inConsole is where somebody wants to go once they are signed in, if that is a page of the
// console; else its first page. Nobody is led anywhere else. The page does not get the reason that
// the address gives: who signs in has not said it, and the page would take it from there.
func inConsole(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(next, "\\\r\n\t") ||
		!strings.HasPrefix(next, consolePath) || len(next) > 1024 {
		return consolePath
	}
	clean := path.Clean(u.Path)
	if clean+"/" == consolePath {
		return consolePath
	}
	if !strings.HasPrefix(clean, consolePath) || strings.HasPrefix(clean, signInPath) || strings.HasPrefix(clean, signOutPath) {
		return consolePath
	}
	parts := slices.DeleteFunc(strings.Split(u.RawQuery, "&"), func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		return err == nil && name == "reason"
	})
	return (&url.URL{Path: clean, RawQuery: strings.Join(parts, "&")}).String()
}

// redirected is an answer that leads elsewhere.
type redirected struct{ to string }

func (redirected) Error() string { return "sign in" }

// signInFirst leads who looks at a page, and is nobody, to the page where they sign in.
func signInFirst(r *http.Request, err error) error {
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, consolePath) || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return err
	}
	return redirected{signInPath + "?next=" + url.QueryEscape(inConsole(r.URL.RequestURI()))}
}
