package emulator

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// SignIn does what a person at a browser and a program on the desktop do together: it reads the discovery document of issuer, opens the
// sign-in form, fills it in, and exchanges the code for a user's access token (authorization code with PKCE). Every request goes through c,
// whatever proxy it has; redirects are not followed.
func SignIn(ctx context.Context, c *http.Client, issuer, email, password string) (accessToken string, err error) {
	browser := *c
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := signIn{ctx: ctx, c: &browser}

	var doc struct {
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	body, _, err := s.get(strings.TrimSuffix(issuer, "/") + pathDiscovery)
	if err != nil {
		return "", fmt.Errorf("reading the issuer's discovery document: %w", err)
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("reading the issuer's discovery document: %w", err)
	}

	const redirect = "http://127.0.0.1/signed-in" // only read from the answer, never opened
	verifier, state := rand.Text()+rand.Text(), rand.Text()
	body, _, err = s.get(doc.Authorize + "?" + url.Values{
		"response_type": {"code"}, "client_id": {DesktopClient}, "redirect_uri": {redirect}, "scope": {"openid email profile"},
		"state": {state}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		return "", fmt.Errorf("opening the sign-in form: %w", err)
	}
	form := url.Values{"email": {email}, "password": {password}}
	for _, m := range hiddenField.FindAllSubmatch(body, -1) {
		form.Set(html.UnescapeString(string(m[1])), html.UnescapeString(string(m[2])))
	}
	_, to, err := s.post(doc.Authorize, form)
	if err != nil {
		return "", fmt.Errorf("signing in as %s: %w", email, err)
	}
	back, err := url.Parse(to)
	if err != nil || back.Query().Get("state") != state || back.Query().Get("code") == "" {
		return "", errors.New("the sign-in form did not send a code back")
	}

	body, _, err = s.post(doc.Token, url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"redirect_uri": {redirect}, "client_id": {DesktopClient}, "code_verifier": {verifier}})
	if err != nil {
		return "", fmt.Errorf("exchanging the code: %w", err)
	}
	var tok tokenAnswer
	if err := json.Unmarshal(body, &tok); err != nil || tok.AccessToken == "" {
		return "", errors.New("exchanging the code: the answer has no token")
	}
	return tok.AccessToken, nil
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

type signIn struct {
	ctx context.Context
	c   *http.Client
}

func (s signIn) get(u string) (body []byte, location string, err error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, "", err
	}
	return s.do(req)
}

func (s signIn) post(u string, form url.Values) (body []byte, location string, err error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, u, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(req)
}

func (s signIn) do(req *http.Request) (body []byte, location string, err error) {
	resp, err := s.c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode >= 400 {
		return nil, "", fmt.Errorf("the issuer answered %s", resp.Status)
	}
	return body, resp.Header.Get("Location"), nil
}
