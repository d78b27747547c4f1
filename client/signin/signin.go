// Package signin signs a user in at an OpenID Connect issuer, through an HTTP
// CONNECT proxy such as a gateway's door: with a person at a browser, on whatever
// computer, by the device flow (RFC 8628); or without one, by authorization code
// with PKCE (RFC 7636), filling in the issuer's HTML form with an e-mail address
// and a password. It renews what it got with the refresh token, and takes it back.
//
// It promises that the password goes only to the issuer, over TLS (or within the
// machine), and that neither it nor a token is in an error or a URL it makes. It
// leaves to others: where tokens are kept, and, without a browser, sign-ins that
// need more than a form with two fields.
package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// What goes wrong.
var (
	// ErrRefused: the issuer does not take the e-mail address and password, or this program.
	ErrRefused = errors.New("the sign-in was refused")
	// ErrExpired: the refresh token is not good any more; sign in again.
	ErrExpired = errors.New("the sign-in has expired: sign in again")
)

// NotRenewedError: a sign-in could not be renewed, and may hold all the same, as where
// the issuer does not answer. It is a net.Error, by which client.Client tells it from
// not being signed in.
type NotRenewedError struct{ Err error }

func (e *NotRenewedError) Error() string {
	return "the sign-in cannot be renewed now: " + e.Err.Error()
}
func (e *NotRenewedError) Unwrap() error   { return e.Err }
func (e *NotRenewedError) Timeout() bool   { return errors.Is(e.Err, context.DeadlineExceeded) }
func (e *NotRenewedError) Temporary() bool { return true }

const (
	defaultClient = "desktop"
	// redirect is where the issuer sends the browser with the code. It is read from
	// the answer and never opened.
	redirect  = "http://127.0.0.1/signed-in"
	maxBody   = 1 << 20
	maxHops   = 5
	timeout   = 30 * time.Second // of one request
	wellKnown = "/.well-known/openid-configuration"
)

// Config says where to sign in.
type Config struct {
	Issuer   string   // base URL, https
	ClientID string   // empty is "desktop"
	Scopes   []string // empty is openid, email, profile, offline_access

	Proxy *url.URL       // HTTP CONNECT proxy; nil goes straight
	CA    []byte         // authorities the issuer's certificate comes from, in PEM
	Roots *x509.CertPool // the same as a pool, and wins; neither: the system's
}

// Tokens are what a sign-in gives. They are secrets.
type Tokens struct {
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token,omitempty"`
	Expires time.Time `json:"expires"` // of Access; counted from when it was asked for
}

// session is a browser of one sign-in.
type session struct {
	cfg  Config
	http *http.Client
	auth string // endpoints
	tok  string
	// Empty: the issuer has none.
	device string
	revoke string
}

func open(ctx context.Context, cfg Config) (*session, error) {
	if cfg.ClientID == "" {
		cfg.ClientID = defaultClient
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"openid", "email", "profile", "offline_access"}
	}
	cfg.Issuer = strings.TrimSuffix(cfg.Issuer, "/")
	if err := secure(cfg.Issuer); err != nil {
		return nil, err
	}
	if cfg.Roots == nil && cfg.CA != nil {
		cfg.Roots = x509.NewCertPool()
		if !cfg.Roots.AppendCertsFromPEM(cfg.CA) {
			return nil, errors.New("the issuer's CA holds no certificate in PEM")
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		OnProxyConnectResponse: connected}
	if cfg.Proxy != nil {
		t.Proxy = http.ProxyURL(cfg.Proxy)
	}
	s := &session{cfg: cfg, http: &http.Client{Transport: t, Jar: jar, Timeout: timeout, CheckRedirect: follow}}
	if err := s.discover(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { s.http.CloseIdleConnections() }

// follow lets redirects lead to the form, but not past the code, not off TLS, and
// never with what was posted.
func follow(req *http.Request, via []*http.Request) error {
	switch {
	case strings.HasPrefix(req.URL.String(), redirect+"?"), via[0].Method == http.MethodPost:
		return http.ErrUseLastResponse
	case len(via) >= maxHops:
		return errors.New("too many redirects")
	}
	return secure(req.URL.String())
}

// secure reports whether secrets may be sent to an address.
func secure(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return errors.New("an address of the sign-in is not one: it is written as https://HOST")
	}
	if u.User != nil {
		return fmt.Errorf("the address of the sign-in at %s has credentials in it: take them out", u.Host)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("the sign-in at %s is not https: secrets do not go there", u.Host)
}

// discover reads where the issuer's endpoints are (OpenID Connect Discovery 1.0).
func (s *session) discover(ctx context.Context) error {
	var doc struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
		Device    string `json:"device_authorization_endpoint"`
		Revoke    string `json:"revocation_endpoint"`
	}
	a, err := s.get(ctx, s.cfg.Issuer+wellKnown)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the issuer answered %d", a.status)
	}
	if err == nil {
		err = json.Unmarshal(a.body, &doc)
	}
	if err != nil {
		return fmt.Errorf("reading the issuer's discovery document: %w", err)
	}
	if strings.TrimSuffix(doc.Issuer, "/") != s.cfg.Issuer {
		return fmt.Errorf("%s says that it is %q: give the issuer as it names itself", s.cfg.Issuer, doc.Issuer)
	}
	for _, to := range []string{doc.Authorize, doc.Token, doc.Device, doc.Revoke} {
		if err := secure(to); err != nil && (to != "" || to == doc.Token) {
			return err
		}
	}
	s.auth, s.tok, s.device, s.revoke = doc.Authorize, doc.Token, doc.Device, doc.Revoke
	return nil
}

// SignIn signs a user in with a password.
func SignIn(ctx context.Context, cfg Config, email, password string) (Tokens, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return Tokens{}, err
	}
	defer s.close()
	if s.auth == "" {
		return Tokens{}, errors.New("this issuer has no sign-in with a form")
	}
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	u, err := url.Parse(s.auth)
	if err != nil {
		return Tokens{}, err
	}
	q := u.Query()
	for k, v := range map[string]string{
		"response_type": "code", "client_id": s.cfg.ClientID, "redirect_uri": redirect, "scope": strings.Join(s.cfg.Scopes, " "),
		"state": state, "code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	page, err := s.get(ctx, u.String())
	if err != nil {
		return Tokens{}, fmt.Errorf("opening the sign-in form: %w", err)
	}
	if page.status != http.StatusOK {
		return Tokens{}, fmt.Errorf("opening the sign-in form: the issuer answered %d", page.status)
	}
	form, err := readForm(page.url, page.body)
	if err != nil {
		return Tokens{}, err
	}
	form.fields.Set("email", email)
	form.fields.Set("password", password)
	back, err := s.post(ctx, form.action, form.fields)
	if err != nil {
		return Tokens{}, fmt.Errorf("signing in: %w", err)
	}
	for range maxHops { // an issuer may have pages between its form and the code
		if back.location == "" || strings.HasPrefix(back.location, redirect+"?") {
			break
		}
		to, err := back.url.Parse(back.location)
		if err == nil {
			err = secure(to.String())
		}
		if err == nil {
			back, err = s.get(ctx, to.String())
		}
		if err != nil {
			return Tokens{}, fmt.Errorf("signing in: %w", err)
		}
	}
	code, err := s.code(back, state)
	if err != nil {
		return Tokens{}, err
	}
	return s.exchange(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}})
}

// code reads the authorization response (RFC 6749, 4.1.2; RFC 9207).
func (s *session) code(back page, state string) (string, error) {
	if back.location == "" {
		said := alert(back.body)
		if said == "" {
			said = fmt.Sprintf("the issuer answered %d", back.status)
		}
		return "", fmt.Errorf("%w: %.200s", ErrRefused, said)
	}
	u, err := url.Parse(back.location)
	if err != nil || !strings.HasPrefix(back.location, redirect+"?") {
		return "", errors.New("the issuer sent the sign-in elsewhere")
	}
	q := u.Query()
	switch {
	case q.Get("state") != state:
		return "", errors.New("the issuer answered another sign-in than this one")
	case q.Has("iss") && strings.TrimSuffix(q.Get("iss"), "/") != s.cfg.Issuer:
		return "", errors.New("another issuer answered the sign-in")
	case q.Get("error") != "":
		return "", fmt.Errorf("%w: %.100q %.200q", ErrRefused, q.Get("error"), q.Get("error_description"))
	case q.Get("code") == "":
		return "", errors.New("the issuer sent no code")
	}
	return q.Get("code"), nil
}

// Renew gets new tokens for a refresh token, which may be good once only. Errors:
// ErrExpired; ErrRefused, where the issuer does not take this program any more; and
// *NotRenewedError, after which it may be tried again.
func Renew(ctx context.Context, cfg Config, refresh string) (Tokens, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return Tokens{}, &NotRenewedError{err}
	}
	defer s.close()
	t, err := s.exchange(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	if err != nil && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrRefused) {
		err = &NotRenewedError{err}
	}
	return t, err
}

// exchange asks the token endpoint.
func (s *session) exchange(ctx context.Context, form url.Values) (Tokens, error) {
	form.Set("client_id", s.cfg.ClientID)
	asked := time.Now()
	a, err := s.post(ctx, s.tok, form)
	if err != nil {
		return Tokens{}, fmt.Errorf("asking for a token: %w", err)
	}
	t, code, err := read(a, asked)
	switch {
	case err != nil:
		return Tokens{}, err
	case code == "invalid_grant" && form.Get("grant_type") == "refresh_token":
		return Tokens{}, ErrExpired
	case code == "invalid_client" || code == "unauthorized_client": // RFC 6749, 5.2
		return Tokens{}, fmt.Errorf("%w: %w", ErrRefused, refusedToken(a.status, code))
	case code != "":
		return Tokens{}, refusedToken(a.status, code)
	}
	if t.Refresh == "" {
		t.Refresh = form.Get("refresh_token") // it stays good (RFC 6749, 6)
	}
	return t, nil
}

// read reads an answer of the token endpoint to what was asked then: tokens, or an
// error's code (RFC 6749, 5.2).
func read(a page, asked time.Time) (_ Tokens, code string, _ error) {
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Expires int64  `json:"expires_in"` // seconds
		Error   string `json:"error"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return Tokens{}, "", fmt.Errorf("asking for a token: the issuer answered %d without JSON", a.status)
	}
	if a.status != http.StatusOK || got.Access == "" {
		return Tokens{}, cmp.Or(got.Error, "no_token"), nil
	}
	life := time.Duration(min(max(got.Expires, 0), 1<<31)) * time.Second
	return Tokens{Access: got.Access, Refresh: got.Refresh, Expires: asked.Add(life).UTC().Truncate(time.Second)}, "", nil
}

func refusedToken(status int, code string) error {
	return fmt.Errorf("asking for a token: the issuer answered %d %.100q", status, code)
}

// page is an answer.
type page struct {
	url      *url.URL // after redirects
	status   int
	body     []byte
	location string
}

func (s *session) get(ctx context.Context, to string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, nil)
	if err != nil {
		return page{}, err
	}
	return s.do(req)
}

func (s *session) post(ctx context.Context, to string, form url.Values) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(req)
}

func (s *session) do(req *http.Request) (page, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // its URL may hold the code or the state
		}
		return page{}, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return page{}, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	p := page{url: resp.Request.URL, status: resp.StatusCode, body: body}
	if resp.StatusCode/100 == 3 {
		p.location = resp.Header.Get("Location")
	}
	return p, nil
}
