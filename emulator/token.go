package emulator

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sitegate/upstream/cloudapi"
)

// tokenAnswer is the token endpoint's success (RFC 6749, 5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

func tokenError(w http.ResponseWriter, status int, code, text string) {
	answer(w, status, map[string]string{"error": code, "error_description": text})
}

// token answers the token endpoint.
func (e *Emulator) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		tokenError(w, http.StatusBadRequest, "invalid_request", "the body is not a form")
		return
	}
	f := r.PostForm
	switch f.Get("grant_type") {
	case "client_credentials":
		e.siteToken(w, r, f)
	case "authorization_code":
		if !e.console(w, r, f) {
			return
		}
		l, ok := e.issuer.take(&e.issuer.codes, f.Get("code"), e.now())
		v := f.Get("code_verifier")
		if !ok || l.client != f.Get("client_id") || l.redirect != f.Get("redirect_uri") || len(v) < 43 || len(v) > 128 || challengeOf(v) != l.challenge {
			tokenError(w, http.StatusBadRequest, "invalid_grant", "code, client_id, redirect_uri and code_verifier do not belong together")
			return
		}
		e.userToken(w, r, l)
	case "refresh_token":
		l, ok := e.issuer.take(&e.issuer.refreshs, f.Get("refresh_token"), e.now())
		if !ok || l.client != f.Get("client_id") {
			tokenError(w, http.StatusBadRequest, "invalid_grant", "unknown refresh token")
			return
		}
		l.nonce = ""
		e.userToken(w, r, l)
	case GrantDevice:
		e.deviceToken(w, r, f)
	default:
		tokenError(w, http.StatusBadRequest, "unsupported_grant_type", "authorization_code, refresh_token, client_credentials or "+GrantDevice)
	}
}

// clientOf is which client asks, and what it shows.
func clientOf(r *http.Request, f url.Values) (id, secret string) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		return f.Get("client_id"), f.Get("client_secret")
	}
	id, _ = url.QueryUnescape(id) // RFC 6749, 2.3.1: both are form-encoded first
	secret, _ = url.QueryUnescape(secret)
	return id, secret
}

// console has the console's client show its secret, and the form say which client asks.
func (e *Emulator) console(w http.ResponseWriter, r *http.Request, f url.Values) bool {
	id, secret := clientOf(r, f)
	f.Set("client_id", id)
	if id != ConsoleClient || subtle.ConstantTimeCompare([]byte(e.ConsoleSecret), []byte(secret)) == 1 {
		return true
	}
	tokenError(w, http.StatusUnauthorized, "invalid_client", "wrong secret")
	return false
}

// siteToken gives a site its access token.
func (e *Emulator) siteToken(w http.ResponseWriter, r *http.Request, f url.Values) {
	id, secret := clientOf(r, f)
	want, known := e.Sites[id]
	if !known || subtle.ConstantTimeCompare([]byte(want), []byte(secret)) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="sites"`)
		tokenError(w, http.StatusUnauthorized, "invalid_client", "unknown client, or wrong secret")
		return
	}
	if s := f.Get("scope"); s != "" && s != cloudapi.Scope {
		tokenError(w, http.StatusBadRequest, "invalid_scope", "a site gets the scope "+cloudapi.Scope)
		return
	}
	c := e.claimsFor(e.base(r), SiteAudience, id, id, e.ttl())
	c.Scope = cloudapi.Scope
	e.giveToken(w, tokenAnswer{Scope: c.Scope}, c)
}

// userToken gives a user's tokens.
func (e *Emulator) userToken(w http.ResponseWriter, r *http.Request, l login) {
	u, known := e.User(l.user)
	if !known || u.Blocked {
		tokenError(w, http.StatusBadRequest, "invalid_grant", "the user is gone or blocked")
		return
	}
	scopes := strings.Fields(l.scope)
	audience := UserAudience
	if l.client == ConsoleClient {
		audience = AdminAudience
	}
	c := e.claimsFor(e.base(r), audience, u.ID, l.client, e.ttl())
	c.Email, c.Verified, c.Name, c.Roles, c.Scope = u.Email, u.Email != "", u.Name, u.Roles, l.scope
	a := tokenAnswer{Scope: l.scope}
	if slices.Contains(scopes, "openid") {
		id := c
		id.Audience, id.Scope, id.Nonce = []string{l.client}, "", l.nonce
		var err error
		if a.IDToken, err = e.sign("JWT", id); err != nil {
			tokenError(w, http.StatusInternalServerError, "server_error", err.Error())
			return
		}
	}
	if slices.Contains(scopes, "offline_access") {
		l.until = e.now().Add(7 * 24 * time.Hour)
		a.RefreshToken, _ = e.issuer.keep(&e.issuer.refreshs, l, e.now())
	}
	e.giveToken(w, a, c)
}

func (e *Emulator) giveToken(w http.ResponseWriter, a tokenAnswer, c claims) {
	var err error
	if a.AccessToken, err = e.sign("at+jwt", c); err != nil {
		tokenError(w, http.StatusInternalServerError, "server_error", err.Error())
		return
	}
	a.TokenType, a.ExpiresIn = "Bearer", int(e.ttl()/time.Second)
	answer(w, http.StatusOK, a)
}
