package endpoint

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/gateway"
	"sitegate/license"
)

// exchangeTime bounds how long the issuer may take for a code.
const exchangeTime = 6 * time.Second

// The reasons for which an ID token is not taken, besides those of access tokens.
const (
	tokenNonce  = "nonce"  // it is of another sign-in
	tokenParty  = "party"  // it was given to another client
	tokenAbsent = "absent" // the issuer sent none
)

// oauthError is an error that the issuer names (RFC 6749, 4.1.2.1 and 5.2). What else it
// says is not kept: it may be anything.
type oauthError struct{ code string }

func (e *oauthError) Error() string { return fmt.Sprintf("the issuer answered %.60q", e.code) }

// codeTokens is the token endpoint's answer.
type codeTokens struct {
	Access string `json:"access_token"`
	ID     string `json:"id_token"`
	Error  string `json:"error"`
}

// exchange gets for a code what shows who has signed in at the issuer; from is the host that
// has shown it.
func (f *codeFlow) exchange(ctx context.Context, from, code, back string, b begun) (codeTokens, error) {
	release, err := f.slot(ctx, from)
	if err != nil {
		return codeTokens{}, err
	}
	defer release()
	about, ok := f.is.endpoints(ctx)
	if !ok {
		return codeTokens{}, errors.New("the issuer has not been read, or names no endpoints")
	}
	return f.ask(ctx, about, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {b.verifier()}})
}

// whose is who has signed in, and what they may be here.
func (f *codeFlow) whose(ctx context.Context, tokens codeTokens, nonce string) (Caller, error) {
	who, err := f.person(ctx, tokens.ID, nonce, time.Now())
	if err != nil || f.d.e.cfg.Administrators.role(who.claimed) > 0 {
		return who, err
	}
	// Some issuers tell roles to services only: in the access token, where it is for this one.
	if same, err := f.d.e.admins.check(ctx, tokens.Access, func() error { return nil }); err == nil && same.User == who.User {
		who.claimed = same.claimed
	}
	return who, nil
}

// ask posts a form to the token endpoint.
func (f *codeFlow) ask(ctx context.Context, about aboutIssuer, form url.Values) (got codeTokens, err error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	secret := ""
	if f.cfg.Secret != nil {
		if secret, err = f.cfg.Secret(); err != nil {
			return got, err
		}
	}
	basic := secret != "" && (len(about.Methods) == 0 || slices.Contains(about.Methods, "client_secret_basic"))
	if !basic {
		form.Set("client_id", f.cfg.ClientID)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, about.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return got, err
	}
	if basic { // RFC 6749, 2.3.1: both are form-encoded first
		req.SetBasicAuth(url.QueryEscape(f.cfg.ClientID), url.QueryEscape(secret))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := f.is.cfg.Client.Do(req)
	if err != nil {
		return got, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxKeyFile+1))
	switch {
	case err != nil:
		return got, fmt.Errorf("reading the token endpoint's answer: %w", err)
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, len(data) > maxKeyFile, json.Unmarshal(data, &got) != nil:
		return codeTokens{}, fmt.Errorf("the token endpoint answered %d, with no tokens", resp.StatusCode)
	case got.Error != "":
		return codeTokens{}, &oauthError{code: got.Error}
	case resp.StatusCode != http.StatusOK:
		return codeTokens{}, fmt.Errorf("the token endpoint answered %d, with no reason", resp.StatusCode)
	}
	return got, nil
}

// person verifies an ID token (OpenID Connect Core 1.0, 3.1.3.7), and is who it names.
func (f *codeFlow) person(ctx context.Context, raw, nonce string, now time.Time) (Caller, error) {
	switch {
	case raw == "":
		return Caller{}, &authError{tokenAbsent}
	case len(raw) > maxToken:
		return Caller{}, &authError{tokenMalformed}
	}
	t, err := jwt.ParseSigned(raw, algorithms())
	if err != nil || len(t.Headers) != 1 || !keyed(t.Headers[0]) {
		return Caller{}, &authError{tokenMalformed}
	}
	if typ := typeOf(t.Headers[0]); typ != "" && !strings.EqualFold(typ, "jwt") {
		return Caller{}, &authError{tokenMalformed} // an access token is none
	}
	var claims struct {
		personClaims
		Nonce string `json:"nonce"`
		Party string `json:"azp"`
	}
	var all map[string]any
	mark, err := f.is.open(ctx, t, &claims, &all)
	if err != nil {
		return Caller{}, err
	}
	if err := claims.check(f.is.cfg.URL, jwt.Audience{f.cfg.ClientID}, now); err != nil {
		return Caller{}, err
	}
	switch {
	case claims.Party != f.cfg.ClientID && (claims.Party != "" || len(claims.Audience) > 1):
		return Caller{}, &authError{tokenParty}
	case subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(nonce)) != 1:
		return Caller{}, &authError{tokenNonce}
	}
	return claims.caller(&f.is.cfg, mark, textsOf(all, f.d.e.cfg.Administrators.Claim)), nil
}

// codeProof begins what proves a sign-in by the issuer: then come nonce, ID token and access
// token, with spaces between them, by which the leader judges for itself.
const codeProof = "code "

func (f *codeFlow) withTokens(ctx context.Context, tokens codeTokens, nonce string) context.Context {
	return gateway.WithProof(ctx, codeProof+nonce+" "+tokens.ID+" "+tokens.Access)
}

// proven is who a sign-in at another node is of.
func (f *codeFlow) proven(ctx context.Context, shown string) (gateway.Administrator, error) {
	parts := strings.SplitN(shown, " ", 3)
	if f == nil || len(parts) != 3 {
		return gateway.Administrator{}, &authError{tokenMalformed}
	}
	who, err := f.whose(ctx, codeTokens{ID: parts[1], Access: parts[2]}, parts[0])
	if err != nil {
		return gateway.Administrator{}, err
	}
	return gateway.Administrator{Name: who.named(), Role: f.d.e.cfg.Administrators.role(who.claimed), Begins: license.SignedIn}, nil
}
