package emulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/client/signin"
	"sitegate/emulator"
)

func TestSignIn(t *testing.T) {
	c := newCloud(t, 5)
	c.Issuer = c.url
	a, _ := c.User(emulator.UserA)
	in := signin.Config{Issuer: c.url}
	tokens, err := signin.SignIn(t.Context(), in, a.Email, emulator.Password(a.ID))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jwt.ParseSigned(tokens.Access, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if typ := tok.Headers[0].ExtraHeaders[jose.HeaderType]; typ != "at+jwt" {
		t.Errorf("got typ %v, want at+jwt", typ)
	}
	var keys jose.JSONWebKeySet
	c.do("GET", "/jwks", "", nil, &keys)
	var got struct {
		jwt.Claims
		Email    string `json:"email"`
		ClientID string `json:"client_id"`
	}
	if err := tok.Claims(keys.Key(tok.Headers[0].KeyID)[0].Key, &got); err != nil {
		t.Fatal(err)
	}
	want := jwt.Expected{Issuer: c.url, Subject: a.ID, AnyAudience: jwt.Audience{emulator.UserAudience}, Time: c.time.Add(59 * time.Minute)}
	if err := got.ValidateWithLeeway(want, 0); err != nil || got.Email != a.Email || got.ClientID != emulator.DesktopClient || got.ID == "" || got.IssuedAt == nil {
		t.Errorf("got claims %+v: %v", got, err)
	}
	for _, k := range keys.Keys {
		if !k.IsPublic() {
			t.Error("a private key is published")
		}
	}

	if _, err := signin.SignIn(t.Context(), in, a.Email, "guess"); err == nil {
		t.Error("wrong password: got a token")
	}
	c.SetPassword(a.ID, "changed")
	if _, err := signin.SignIn(t.Context(), in, strings.ToUpper(a.Email), "changed"); err != nil {
		t.Errorf("changed password: got %v", err)
	}
	a.Blocked = true
	c.PutUser(a)
	if _, err := signin.SignIn(t.Context(), in, a.Email, "changed"); err == nil {
		t.Error("blocked: got a token")
	}
}

func TestCodesAndRefreshTokensWorkOnce(t *testing.T) {
	c := newCloud(t, 5)
	a, _ := c.User(emulator.UserA)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	const redirect = "http://127.0.0.1:7777/back"
	// The verifier and challenge of RFC 7636, appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	authorize := func(change url.Values) *http.Response {
		t.Helper()
		q := url.Values{"response_type": {"code"}, "client_id": {emulator.DesktopClient}, "redirect_uri": {redirect}, "state": {"st"}, "nonce": {"no"},
			"scope": {"openid offline_access"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
		for k := range change {
			q.Set(k, change.Get(k))
		}
		resp, err := browser.Get(c.url + "/connect/authorize?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	code := func() string {
		t.Helper()
		var page strings.Builder
		resp := authorize(nil)
		if err := resp.Write(&page); err != nil {
			t.Fatal(err)
		}
		_, tx, _ := strings.Cut(page.String(), `name="tx" value="`)
		tx, _, _ = strings.Cut(tx, `"`)
		resp, err := browser.PostForm(c.url+"/connect/authorize", url.Values{"tx": {tx}, "email": {a.Email}, "password": {emulator.Password(a.ID)}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		u, err := resp.Location()
		if err != nil || !strings.HasPrefix(u.String(), redirect+"?") || u.Query().Get("state") != "st" || u.Query().Get("iss") != "https://"+u.Query().Get("iss")[8:] {
			t.Fatalf("got %s to %v, %v", resp.Status, u, err)
		}
		return u.Query().Get("code")
	}
	var got struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		IDToken      string `json:"id_token"`
		Error        string `json:"error"`
	}
	token := func(v url.Values) string {
		t.Helper()
		resp, err := http.PostForm(c.url+"/connect/token", v)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got.Error = ""
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		return got.Error
	}
	exchange := func(code, verifier string) url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "client_id": {emulator.DesktopClient}, "code_verifier": {verifier}}
	}
	first := code()
	if e := token(exchange(first, verifier)); e != "" || got.AccessToken == "" || got.IDToken == "" || got.RefreshToken == "" {
		t.Fatalf("got %+v, want three tokens", got)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.RefreshToken}, "client_id": {emulator.DesktopClient}}
	late := code()
	c.time = c.time.Add(61 * time.Second)
	for _, s := range []struct {
		name, want string
		v          url.Values
	}{
		{"the code again", "invalid_grant", exchange(first, verifier)},
		{"another verifier", "invalid_grant", exchange(code(), verifier[1:]+"x")},
		{"too late", "invalid_grant", exchange(late, verifier)},
		{"refresh", "", refresh},
		{"the old refresh token again", "invalid_grant", refresh},
		{"another grant", "unsupported_grant_type", url.Values{"grant_type": {"password"}}},
	} {
		if e := token(s.v); e != s.want {
			t.Errorf("%s: got error %q, want %q", s.name, e, s.want)
		}
	}
	for _, s := range []struct {
		name   string
		change url.Values
		want   int
	}{
		{"unknown client", url.Values{"client_id": {"x"}}, 400},
		{"redirect elsewhere", url.Values{"redirect_uri": {"https://evil.test/"}}, 400},
		{"redirect that looks like loopback", url.Values{"redirect_uri": {"http://127.0.0.1@evil.test/"}}, 400},
		{"plain PKCE", url.Values{"code_challenge_method": {"plain"}}, 302},
		{"implicit", url.Values{"response_type": {"token"}}, 302},
	} {
		resp := authorize(s.change)
		if resp.StatusCode != s.want {
			t.Errorf("%s: got %s, want %d", s.name, resp.Status, s.want)
		}
		if u, err := resp.Location(); s.want == 302 && (err != nil || u.Query().Get("error") == "") {
			t.Errorf("%s: got %v, want an error told to the client", s.name, u)
		}
	}
}

// TestDevicesAreSlowedDown: a device that asks more often than it may is told so,
// once its user has signed in the code is good, and then no more.
func TestDevicesAreSlowedDown(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	e := &emulator.Emulator{Issuer: "https://ims.example", Now: func() time.Time { return now }}
	e.Seed(3)
	post := func(path string, form url.Values) map[string]any {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		var got map[string]any
		json.Unmarshal(w.Body.Bytes(), &got)
		return got
	}
	started := post("/connect/deviceauthorization", url.Values{"client_id": {emulator.DesktopClient}, "scope": {"openid email"}})
	code, _ := started["device_code"].(string)
	if code == "" || started["interval"] != 5.0 {
		t.Fatalf("started %v, want a code and five seconds", started)
	}
	u, _ := e.User(emulator.UserA)
	steps := []struct {
		after time.Duration
		do    func()
		want  string
	}{
		{0, nil, "authorization_pending"},
		{time.Second, nil, "slow_down"},
		{6 * time.Second, nil, "slow_down"},
		{20 * time.Second, func() {
			post("/device", url.Values{"user_code": {started["user_code"].(string)}, "email": {u.Email}, "password": {emulator.Password(u.ID)}, "do": {"allow"}})
		}, ""},
		{20 * time.Second, nil, "invalid_grant"},
	}
	for i, s := range steps {
		now = now.Add(s.after)
		if s.do != nil {
			s.do()
		}
		got := post("/connect/token", url.Values{"grant_type": {emulator.GrantDevice}, "device_code": {code}, "client_id": {emulator.DesktopClient}})
		if said, _ := got["error"].(string); said != s.want {
			t.Errorf("question %d: %v, want the error %q", i, got, s.want)
		}
	}
}
