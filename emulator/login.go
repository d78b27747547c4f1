package emulator

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// login is one sign-in on its way: first a form, then a code, then perhaps a refresh token.
type login struct {
	client, redirect, state, nonce, scope string
	challenge                             string // PKCE, S256
	user                                  string
	until                                 time.Time
}

const maxLogins = 10_000 // sign-ins under way, of each sort

var loginForm = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head>
<body><h1>Sign in</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
<form method="post" action="` + pathAuthorize + `">
<input type="hidden" name="tx" value="{{.Tx}}">
<p><label>E-mail <input type="email" name="email" autocomplete="username" required autofocus></label></p>
<p><label>Password <input type="password" name="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button></p>
</form></body></html>
`))

func showLogin(w http.ResponseWriter, status int, tx, problem string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	loginForm.Execute(w, struct{ Tx, Problem string }{tx, problem})
}

// loopback says whether u is where a program on the user's own machine listens (RFC 8252, 7.3).
func loopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// authorize shows the form. What is wrong with client or redirect_uri is told here; the rest goes back to the client.
func (e *Emulator) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := login{client: q.Get("client_id"), redirect: q.Get("redirect_uri"), state: q.Get("state"), nonce: q.Get("nonce"),
		scope: q.Get("scope"), challenge: q.Get("code_challenge"), until: e.now().Add(10 * time.Minute)}
	switch {
	case l.client != DesktopClient && l.client != ConsoleClient:
		http.Error(w, "unknown client_id", http.StatusBadRequest)
		return
	case l.client == DesktopClient && !loopback(l.redirect):
		http.Error(w, "redirect_uri must be http on the loopback interface", http.StatusBadRequest)
		return
	case l.client == ConsoleClient && !slices.Contains(e.Consoles, l.redirect):
		http.Error(w, "redirect_uri is not registered", http.StatusBadRequest)
		return
	}
	switch {
	case q.Get("response_type") != "code":
		e.back(w, r, l, url.Values{"error": {"unsupported_response_type"}})
	case q.Get("code_challenge_method") != "S256" || len(l.challenge) != 43:
		e.back(w, r, l, url.Values{"error": {"invalid_request"}, "error_description": {"PKCE with S256 is required"}})
	default:
		tx, ok := e.issuer.keep(&e.issuer.logins, l, e.now())
		if !ok {
			http.Error(w, "too many sign-ins under way", http.StatusServiceUnavailable)
			return
		}
		showLogin(w, http.StatusOK, tx, "")
	}
}

// login takes the form.
func (e *Emulator) login(w http.ResponseWriter, r *http.Request) {
	tx := r.PostFormValue("tx")
	l, ok := e.issuer.look(&e.issuer.logins, tx, e.now())
	if !ok {
		http.Error(w, "this sign-in is over; start again", http.StatusBadRequest)
		return
	}
	user, problem := e.authenticate(r.PostFormValue("email"), r.PostFormValue("password"))
	if problem != "" {
		showLogin(w, http.StatusForbidden, tx, problem)
		return
	}
	e.issuer.take(&e.issuer.logins, tx, e.now())
	l.user, l.until = user, e.now().Add(time.Minute)
	code, ok := e.issuer.keep(&e.issuer.codes, l, e.now())
	if !ok {
		http.Error(w, "too many sign-ins under way", http.StatusServiceUnavailable)
		return
	}
	e.back(w, r, l, url.Values{"code": {code}})
}

// authenticate finds who signs in, or says what is wrong.
func (e *Emulator) authenticate(email, password string) (user, problem string) {
	e.mu.Lock()
	u, known := e.user(strings.TrimSpace(email))
	want, set := e.secrets[u.ID]
	e.mu.Unlock()
	if !set {
		want = Password(u.ID)
	}
	switch {
	case !known || subtle.ConstantTimeCompare([]byte(want), []byte(password)) != 1:
		return "", "The e-mail address or the password is wrong."
	case u.Blocked:
		return "", "This user is blocked. Ask your administrator."
	}
	return u.ID, ""
}

// back sends the browser to the client with v.
func (e *Emulator) back(w http.ResponseWriter, r *http.Request, l login, v url.Values) {
	u, _ := url.Parse(l.redirect) // authorize knows it
	q := u.Query()
	for k := range v {
		q.Set(k, v.Get(k))
	}
	if l.state != "" {
		q.Set("state", l.state)
	}
	q.Set("iss", e.base(r))
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusFound)
}

// keep stores l under a fresh random name; false: there are too many.
func (s *issuer) keep(m *map[string]login, l login, now time.Time) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(*m) >= maxLogins {
		for k, old := range *m {
			if now.After(old.until) {
				delete(*m, k)
			}
		}
		if len(*m) >= maxLogins {
			return "", false
		}
	}
	name := rand.Text() + rand.Text()
	put(m, name, l)
	return name, true
}

// look finds what is stored under name and not over.
func (s *issuer) look(m *map[string]login, name string, now time.Time) (login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := (*m)[name]
	return l, ok && !now.After(l.until)
}

// take is look, once: the name is worth nothing afterwards.
func (s *issuer) take(m *map[string]login, name string, now time.Time) (login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := (*m)[name]
	delete(*m, name)
	return l, ok && !now.After(l.until)
}

// challengeOf is the S256 code challenge of a verifier (RFC 7636).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
