package endpoint

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/license"
)

// newForgedRig is a node whose issuer answers what a test wants.
func newForgedRig(t *testing.T) *rig {
	t.Helper()
	node := filled(t)
	node.onTime = true
	is := newRealIssuer(t)
	r := newRig(t, node, func(c *Config) {
		c.Administrators = adminsOf(is, "roles")
		c.Administrators.Code = &CodeFlow{ClientID: "console"}
	})
	r.issuer = is
	r.readIssuer(t)
	r.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return r
}

// began begins a sign-in: what the issuer was asked for, and the cookie.
func (r *rig) began(t *testing.T) (asked url.Values, cookie header) {
	t.Helper()
	a := r.want(t, 303, "", "GET", beginPath, nil)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), r.issuer.URL+"/authorize?") || to.Query().Get("tenant") != "1" {
		t.Fatalf("led to %q", a.Header.Get("Location"))
	}
	for _, c := range a.Cookies() {
		if c.Name == begunCookie && c.Secure && c.HttpOnly && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == "" && c.MaxAge == 600 {
			return to.Query(), cookieOf(c)
		}
	}
	t.Fatalf("no good cookie in %v", a.Cookies())
	return nil, nil
}

func backWith(asked url.Values, change url.Values) string {
	q := url.Values{"state": {asked.Get("state")}, "code": {"c0de"}}
	for k, v := range change {
		q[k] = v
	}
	return backPath + "?" + q.Encode()
}

type tokenChange = func(*claims, *jose.SignerOptions, *jose.SigningKey)

// idToken is what changes a token into an ID token for the console, of ida with a role.
func idToken(nonce string) tokenChange {
	return func(c *claims, o *jose.SignerOptions, _ *jose.SigningKey) {
		c.Audience, c.Nonce, c.Roles = "console", nonce, "all"
		o.WithType("JWT")
	}
}

// An ID token that is not this issuer's, for this client, of this sign-in and now, signs
// nobody in.
func TestOnlyTheRightIDTokenSignsIn(t *testing.T) {
	r := newForgedRig(t)
	other := newRealIssuer(t)
	for name, s := range map[string]struct {
		status int
		change tokenChange
	}{
		"as it should be": {303, func(*claims, *jose.SignerOptions, *jose.SigningKey) {}},
		"for several, and this one": {303, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Audience, c.Party = []string{"console", "mail"}, "console"
		}},
		"of another sign-in":        {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Nonce = strings.Repeat("n", 43) }},
		"without a nonce":           {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Nonce = "" }},
		"for another client":        {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = "mail" }},
		"for administration":        {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = adminAudience }},
		"for several, not given us": {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = []string{"console", "mail"} }},
		"given to another client":   {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Party = "mail" }},
		"of another issuer":         {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Issuer = other.URL }},
		"signed by another issuer":  {403, func(_ *claims, _ *jose.SignerOptions, k *jose.SigningKey) { k.Key = other.keys[0] }},
		"all of another issuer":     {403, func(c *claims, _ *jose.SignerOptions, k *jose.SigningKey) { c.Issuer, k.Key = other.URL, other.keys[0] }},
		"expired": {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour))
		}},
		"without an end": {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Expiry = nil }},
		"not yet good": {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Before = jwt.NewNumericDate(time.Now().Add(time.Hour))
		}},
		"an access token": {403, func(_ *claims, o *jose.SignerOptions, _ *jose.SigningKey) { o.WithType("at+jwt") }},
		"of nobody":       {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Subject = "" }},
		"signed with a shared key": {403, func(_ *claims, _ *jose.SignerOptions, k *jose.SigningKey) {
			k.Algorithm, k.Key = jose.HS256, []byte(strings.Repeat("k", 32))
		}},
		"of a role spelt otherwise":  {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Roles = "ALL" }},
		"of roles that are a number": {403, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Roles = 3 }},
	} {
		asked, cookie := r.began(t)
		id := r.issuer.token(t, "ida", idToken(asked.Get("nonce")), s.change)
		r.issuer.set(func() {
			r.issuer.tokens = func(form url.Values) (int, any) {
				if form.Get("client_id") != "console" || form.Get("code") != "c0de" || form.Get("redirect_uri") != asked.Get("redirect_uri") || s256(form.Get("code_verifier")) != asked.Get("code_challenge") {
					t.Errorf("%s: asked with %v", name, form)
				}
				return 200, map[string]string{"id_token": id, "access_token": "opaque"}
			}
		})
		a := r.call(t, "", "GET", backWith(asked, nil), nil, cookie)
		if a.StatusCode != s.status || hasSignIn(a) != (s.status == 303) {
			t.Errorf("%s: %d, want %d: %s", name, a.StatusCode, s.status, a.raw)
		}
		if strings.Contains(r.log.String(), id) {
			t.Errorf("%s: the token is in the log", name)
		}
	}
}

// A role may be in the access token, if that is for the site, and of the same person.
func TestARoleMayBeInTheAccessToken(t *testing.T) {
	r := newForgedRig(t)
	other := newRealIssuer(t)
	for name, s := range map[string]struct {
		status int
		user   string
		change tokenChange
	}{
		"theirs":            {303, "ida", func(*claims, *jose.SignerOptions, *jose.SigningKey) {}},
		"somebody else's":   {403, "eve", func(*claims, *jose.SignerOptions, *jose.SigningKey) {}},
		"for another site":  {403, "ida", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = "mail" }},
		"of another issuer": {403, "ida", func(c *claims, _ *jose.SignerOptions, k *jose.SigningKey) { c.Issuer, k.Key = other.URL, other.keys[0] }},
	} {
		asked, cookie := r.began(t)
		id := r.issuer.token(t, "ida", idToken(asked.Get("nonce")), func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Roles = nil })
		access := r.issuer.token(t, s.user, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Audience, c.Roles = adminAudience, "desk"
		}, s.change)
		r.issuer.set(func() {
			r.issuer.tokens = func(url.Values) (int, any) { return 200, map[string]string{"id_token": id, "access_token": access} }
		})
		if a := r.call(t, "", "GET", backWith(asked, nil), nil, cookie); a.StatusCode != s.status || hasSignIn(a) != (s.status == 303) {
			t.Errorf("%s: %d, want %d: %s", name, a.StatusCode, s.status, a.raw)
		}
	}
}

// An answer that belongs to no sign-in of the browser does not get to the issuer, and what
// the issuer refuses becomes a page that says what to do.
func TestWhatTheIssuerAnswersBecomesAPage(t *testing.T) {
	r := newForgedRig(t)
	var status int
	var body any
	exchanged := 0
	r.issuer.set(func() {
		r.issuer.tokens = func(url.Values) (int, any) { exchanged++; return status, body }
	})
	for name, s := range map[string]struct {
		want      int
		text      string
		exchanged int
		change    url.Values
		cookie    func(string) string
		status    int
		body      any
	}{
		"a forged state":       {want: 400, text: "Begin again", change: url.Values{"state": {strings.Repeat("s", 43)}}},
		"no state":             {want: 400, text: "Begin again", change: url.Values{"state": nil}},
		"two states":           {want: 400, text: "Begin again", change: url.Values{"state": {"a", "b"}}},
		"no cookie":            {want: 400, text: "Begin again", cookie: func(string) string { return "a=b" }},
		"another's cookie":     {want: 400, text: "Begin again", cookie: func(string) string { return begunCookie + "=" + newBegun(r.node.Now(), "/console/").cookie().Value }},
		"a cookie led astray":  {want: 400, text: "Begin again", cookie: func(c string) string { return c + "eHg" }},
		"two cookies":          {want: 400, text: "Begin again", cookie: func(c string) string { return c + "; " + begunCookie + "=x" }},
		"of another issuer":    {want: 400, text: "Begin again", change: url.Values{"iss": {"https://evil.example"}}},
		"no code":              {want: 400, text: "Begin again", change: url.Values{"code": nil}},
		"a huge code":          {want: 400, text: "Begin again", change: url.Values{"code": {strings.Repeat("c", maxCode+1)}}},
		"denied":               {want: 403, text: "did not let you in", change: url.Values{"error": {"access_denied"}}},
		"not as registered":    {want: 502, text: "as registered", change: url.Values{"error": {"unauthorized_client"}}},
		"busy":                 {want: 503, text: "local account", change: url.Values{"error": {"temporarily_unavailable"}}},
		"a code used twice":    {want: 400, text: "Begin again", exchanged: 1, status: 400, body: map[string]string{"error": "invalid_grant"}},
		"another secret":       {want: 502, text: "as registered", exchanged: 1, status: 401, body: map[string]string{"error": "invalid_client"}},
		"broken":               {want: 503, text: "local account", exchanged: 1, status: 502, body: "x"},
		"refused with no word": {want: 503, text: "local account", exchanged: 1, status: 403, body: map[string]string{}},
		"no ID token":          {want: 403, text: "does not hold", exchanged: 1, status: 200, body: map[string]string{"access_token": "a"}},
		"an ID token of junk":  {want: 403, text: "does not hold", exchanged: 1, status: 200, body: map[string]string{"id_token": "a.b.c"}},
		"an endless answer":    {want: 503, text: "local account", exchanged: 1, status: 200, body: map[string]string{"id_token": strings.Repeat("x", maxKeyFile)}},
	} {
		asked, cookie := r.began(t)
		if s.cookie != nil {
			cookie = header{"Cookie": s.cookie(cookie["Cookie"])}
		}
		r.issuer.set(func() { status, body, exchanged = s.status, s.body, 0 })
		a := r.call(t, "", "GET", backWith(asked, s.change), nil, cookie)
		if a.StatusCode != s.want || hasSignIn(a) || !strings.Contains(string(a.raw), s.text) || !strings.Contains(string(a.raw), `href="`+beginPath) {
			t.Errorf("%s: %d, want %d with %q: %s", name, a.StatusCode, s.want, s.text, a.raw)
		}
		r.issuer.set(func() {
			if exchanged != s.exchanged {
				t.Errorf("%s: the issuer was asked %d times, want %d", name, exchanged, s.exchanged)
			}
		})
	}
	// An issuer that is not there at all is told of, once the sign-in has begun and before.
	asked, cookie := r.began(t)
	r.issuer.CloseClientConnections()
	r.issuer.Close()
	if a := r.call(t, "", "GET", backWith(asked, nil), nil, cookie); a.StatusCode != 503 || !strings.Contains(string(a.raw), "local account") {
		t.Errorf("an issuer that is away: %d %s", a.StatusCode, a.raw)
	}
	r.e.admins.issuers[r.issuer.URL].mu.Lock()
	r.e.admins.issuers[r.issuer.URL].about = aboutIssuer{}
	r.e.admins.issuers[r.issuer.URL].mu.Unlock()
	if a := r.call(t, "", "GET", beginPath, nil); a.StatusCode != 503 || !strings.Contains(string(a.raw), "local account") {
		t.Errorf("an issuer that was not read: %d %s", a.StatusCode, a.raw)
	}
}

// No page of another site has a browser begin, and nobody is led out of the console.
func TestASignInByTheIssuerLeadsNowhereElse(t *testing.T) {
	r := newForgedRig(t)
	for _, site := range []string{"cross-site", "same-site"} {
		a := r.want(t, 303, "", "GET", beginPath+"?next=/console/people", nil, header{"Sec-Fetch-Site": site})
		if got := a.Header.Get("Location"); got != signInPath+"?next=%2Fconsole%2Fpeople" || len(a.Cookies()) > 0 {
			t.Errorf("%s: led to %q with %v", site, got, a.Cookies())
		}
	}
	now := license.TimeOf(time.Now())
	for _, next := range []string{"//evil.example/", "https://evil.example/console/", "/console/../v1/status", "/v1/status"} {
		a := r.want(t, 303, "", "GET", beginPath+"?next="+url.QueryEscape(next), nil)
		b, ok := parseBegun(a.Cookies()[0].Value, now)
		if !ok || b.next != consolePath {
			t.Errorf("next %q: leads to %q, %v", next, b.next, ok)
		}
	}
}

// A cookie that was changed, or is over, is of no sign-in, or of another one.
func TestASignInOnItsWayEnds(t *testing.T) {
	now := license.TimeOf(time.Now())
	b := newBegun(now, "/console/people")
	value := b.cookie().Value
	if got, ok := parseBegun(value, now); !ok || got != b || got.state() != b.state() {
		t.Errorf("got %+v, %v, want %+v", got, ok, b)
	}
	for name, at := range map[string]license.Time{"over": now.Add(begunLife + begunLeeway + time.Second), "of a later time": now.Add(-begunLeeway - 2*time.Second)} {
		if _, ok := parseBegun(value, at); ok {
			t.Errorf("%s: it is good", name)
		}
	}
	later := b
	later.at++
	elsewhere := b
	elsewhere.next = "/console/usage"
	for name, other := range map[string]begun{"later": later, "elsewhere": elsewhere, "anew": newBegun(now, b.next)} {
		if other.state() == b.state() {
			t.Errorf("%s: it has the same state", name)
		}
	}
	seen := map[string]bool{b.state(): true, b.nonce(): true, b.verifier(): true, b.challenge(): true}
	if len(seen) != 4 || len(b.verifier()) != 43 {
		t.Errorf("state, nonce, verifier and challenge are %v", seen)
	}
	for _, junk := range []string{"", ".", "..", b.secret, b.secret + ".x.", b.secret + ".+1." + "L2NvbnNvbGUv", value + ".", strings.Replace(value, "sgb_", "sgs_", 1)} {
		if _, ok := parseBegun(junk, now); ok {
			t.Errorf("%q is good", junk)
		}
	}
}

// Whatever a browser shows, what is taken for a sign-in on its way is one as this site makes
// them, and leads into the console.
func FuzzBegun(f *testing.F) {
	now := license.TimeOf(time.Unix(1_800_000_000, 0))
	f.Add(newBegun(now, "/console/people?q=a").cookie().Value)
	f.Add("sgb_.1800000000.L2NvbnNvbGUv")
	f.Fuzz(func(t *testing.T, value string) {
		b, ok := parseBegun(value, now)
		if !ok {
			return
		}
		if b.cookie().Value != value || inConsole(b.next) != b.next || !strings.HasPrefix(b.next, consolePath) {
			t.Errorf("%q is taken, as %q to %q", value, b.cookie().Value, b.next)
		}
	})
}
