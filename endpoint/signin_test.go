package endpoint

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitegate/api"
	"sitegate/license"
)

const goodPassword = "correct horse battery"

// form posts a form and follows nothing.
func (r *rig) form(t testing.TB, path string, fields map[string]string, headers ...header) answer {
	t.Helper()
	v := url.Values{}
	for k, x := range fields {
		v.Set(k, x)
	}
	r.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return r.call(t, "", "POST", path, v.Encode(), append([]header{{"Content-Type": "application/x-www-form-urlencoded"}}, headers...)...)
}

// signedIn is the cookie that an answer sets.
func signedIn(t testing.TB, a answer) *http.Cookie {
	t.Helper()
	for _, c := range a.Cookies() {
		if c.Name == signInCookie && c.MaxAge > 0 {
			return c
		}
	}
	t.Fatalf("nobody was signed in: %d %v", a.StatusCode, a.Header)
	return nil
}

func cookieOf(c *http.Cookie) header { return header{"Cookie": c.Name + "=" + c.Value} }

// withAccount is a rig with the local account ivo.
func withAccount(t testing.TB, role string) *rig {
	t.Helper()
	node := filled(t)
	node.onTime = true
	r := newAdminRig(t, node)
	r.want(t, 204, "", "POST", api.PathAccounts, api.LocalAccountRequest{Name: "ivo", Role: role, Password: goodPassword}, r.asAdmin(t, "ida", "all"))
	return r
}

// By a local account somebody is signed in, in their browser only, until they sign out or the
// account goes.
func TestALocalAccountSignsIn(t *testing.T) {
	r := withAccount(t, "operator")
	a := r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword, "next": "/console/people?q=ada"})
	c := signedIn(t, a)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/console/people?q=ada" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 10*3600 {
		t.Errorf("%d to %s with %+v", a.StatusCode, a.Header.Get("Location"), c)
	}
	r.want(t, 200, "", "GET", api.PathStatus, nil, cookieOf(c))
	r.want(t, 403, "", "GET", api.PathAccounts, nil, cookieOf(c))
	r.want(t, 204, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{By: "x", Note: "left"}, cookieOf(c))
	var blocks api.List[api.Block]
	r.want(t, 200, "", "GET", api.PathBlocks, nil, cookieOf(c)).into(t, &blocks)
	if len(blocks.Items) != 1 || blocks.Items[0].By != "ivo (local account)" {
		t.Errorf("got %+v", blocks.Items)
	}
	if strings.Contains(r.log.String(), c.Value[4:30]) || strings.Contains(r.log.String(), goodPassword) {
		t.Error("a secret is in the log")
	}
	r.want(t, 401, "", "GET", api.PathMe, nil, cookieOf(c)) // at a desktop it is nobody's

	// Another sign-in has another secret, and ends the one that came along.
	again := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}, cookieOf(c)))
	if again.Value == c.Value {
		t.Error("two sign-ins have one secret")
	}
	r.want(t, 401, "", "GET", api.PathStatus, nil, cookieOf(c))
	r.want(t, 200, "", "GET", api.PathStatus, nil, cookieOf(again))

	out := r.form(t, signOutPath, nil, cookieOf(again))
	if out.StatusCode != 303 || len(out.Cookies()) != 1 || out.Cookies()[0].MaxAge >= 0 {
		t.Errorf("signed out: %d %v", out.StatusCode, out.Cookies())
	}
	r.want(t, 401, "", "GET", api.PathStatus, nil, cookieOf(again))

	last := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
	r.want(t, 204, "", "POST", api.PathAccounts+"/ivo/reset", api.LocalAccountRequest{Role: "viewer", Password: goodPassword + "!"}, r.asAdmin(t, "ida", "all"))
	r.want(t, 401, "", "GET", api.PathStatus, nil, cookieOf(last))
}

// What is no sign-in of this site lets nobody in.
func TestForgedCookiesLetNobodyIn(t *testing.T) {
	r := withAccount(t, "admin")
	c := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
	token := newSecret(prefixAPIToken)
	digest, _ := secretDigest(prefixAPIToken, token)
	r.node.do(t, license.GiveCredential{Secret: digest, Kind: license.APIToken, Name: "x", Role: license.Admin, By: "ida", Until: license.TimeOf(time.Now().Add(5 * time.Hour))})
	for name, value := range map[string]string{
		"of another cluster": signInCookie + "=" + newSecret(prefixSignIn), "empty": signInCookie + "=", "cut": signInCookie + "=" + c.Value[:40],
		"an API token": signInCookie + "=" + token, "two": signInCookie + "=" + c.Value + "; " + signInCookie + "=" + newSecret(prefixSignIn),
		"another name": "sitegate=" + c.Value, "as a bearer's": "",
	} {
		h := header{"Cookie": value}
		if value == "" {
			h = bearerOf(c.Value)
		}
		if a := r.call(t, "", "GET", api.PathStatus, nil, h); a.StatusCode != 401 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.raw)
		}
	}
}

// A page of another site can have a browser do nothing.
func TestOtherSitesPagesDoNothing(t *testing.T) {
	r := withAccount(t, "admin")
	in := map[string]string{"name": "ivo", "password": goodPassword}
	c := signedIn(t, r.form(t, signInPath, in))
	for name, h := range map[string]header{"by Sec-Fetch-Site": {"Sec-Fetch-Site": "cross-site"}, "by a sibling": {"Sec-Fetch-Site": "same-site"}, "by Origin": {"Origin": "https://evil.example"}, "by no origin": {"Origin": "null"}} {
		if a := r.form(t, signInPath, in, h); a.StatusCode != 403 || len(a.Cookies()) > 0 {
			t.Errorf("a sign-in %s: %d %v", name, a.StatusCode, a.Cookies())
		}
		if a := r.form(t, signOutPath, nil, h, cookieOf(c)); a.StatusCode != 403 {
			t.Errorf("a sign-out %s: %d", name, a.StatusCode)
		}
		if a := r.call(t, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{Note: "left"}, h, cookieOf(c)); a.StatusCode != 403 {
			t.Errorf("an act %s: %d %s", name, a.StatusCode, a.raw)
		}
	}
	r.want(t, 200, "", "GET", api.PathStatus, nil, cookieOf(c)) // nothing has signed them out
}

// Nobody is led from the sign-in to anywhere but the console.
func TestNobodyIsLedAway(t *testing.T) {
	for next, want := range map[string]string{
		"": "/console/", "/console/": "/console/", "/console/people?q=a%26b": "/console/people?q=a%26b", "/console/people/": "/console/people",
		"https://evil.example/console/": "/console/", "//evil.example/console/": "/console/", `/\evil.example`: "/console/", `/console/\evil`: "/console/", "/v1/status": "/console/",
		"/console/../v1/status": "/console/", "/console/%2e%2e/v1": "/console/", "javascript:alert(1)": "/console/", "/console/\r\nSet-Cookie: a=b": "/console/",
		"/console/sign-out": "/console/", "/console/sign-in?next=/console/sign-in": "/console/", "/consoleevil": "/console/", "/console/people#x": "/console/people",
		"/console/" + strings.Repeat("x", 2000): "/console/", "https:/console/": "/console/", "/console//evil.example": "/console/evil.example",
		"/console/users/u-1?reason=ticket": "/console/users/u-1", "/console/machine?name=a%26b&%72eason=x&id=m&reason&reasons=y": "/console/machine?name=a%26b&id=m&reasons=y",
	} {
		if got := inConsole(next); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
	r := withAccount(t, "admin")
	if a := r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword, "next": "//evil.example/"}); a.StatusCode != 303 || a.Header.Get("Location") != "/console/" {
		t.Errorf("%d to %q", a.StatusCode, a.Header.Get("Location"))
	}
}

// A page leads to the sign-in, and back; a program gets a problem document.
func TestAPageLeadsToTheSignIn(t *testing.T) {
	r := newAdminRig(t, filled(t))
	r.e.Administer("GET /console/", license.Viewer, license.ReadScope, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Write([]byte("hello " + AdministratorOf(req.Context()).Name))
	}))
	r.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := r.want(t, 303, "", "GET", "/console/people?q=1&reason=ticket-7", nil, header{"Accept": "text/html,*/*"})
	if got := a.Header.Get("Location"); got != "/console/sign-in?next=%2Fconsole%2Fpeople%3Fq%3D1" {
		t.Errorf("led to %s", got)
	}
	r.want(t, 401, "", "GET", "/console/people", nil, header{"Accept": "application/json"})
	for lang, want := range map[string]string{"en": "<h1>Sign in</h1>", "fr": "<h1>Se connecter</h1>", "de": "<h1>Anmelden</h1>"} {
		page := r.want(t, 200, "", "GET", a.Header.Get("Location"), nil, header{"Accept-Language": lang})
		text := string(page.raw)
		if !strings.Contains(text, want) || !strings.Contains(text, `lang="`+lang+`"`) || !strings.Contains(text, `value="/console/people?q=1"`) || strings.Contains(text, "<script") {
			t.Errorf("in %s: %s", lang, text)
		}
		if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "form-action 'self'") {
			t.Errorf("its policy is %s", csp)
		}
	}
	if css := r.want(t, 200, "", "GET", stylePath, nil); !strings.HasPrefix(css.Header.Get("Content-Type"), "text/css") {
		t.Errorf("the style sheet is %s", css.Header.Get("Content-Type"))
	}
}

// A wrong password and an account that is not there look alike, and who guesses waits.
func TestWhoGuessesWaitsAndLearnsNothing(t *testing.T) {
	r := withAccount(t, "admin")
	wrong := r.form(t, signInPath, map[string]string{"name": "ivo", "password": "wrong horse battery"})
	nobody := r.form(t, signInPath, map[string]string{"name": "ann", "password": "wrong horse battery"})
	if wrong.StatusCode != 401 || nobody.StatusCode != 401 || strings.ReplaceAll(string(wrong.raw), "ivo", "ann") != string(nobody.raw) {
		t.Errorf("a wrong password: %d %s; nobody: %d %s", wrong.StatusCode, wrong.raw, nobody.StatusCode, nobody.raw)
	}
	r.form(t, signInPath, map[string]string{"name": "ivo", "password": "wrong horse battery"})
	guessed := r.e.door.attempts
	guessed.mu.Lock()
	if address := guessed.known["address 127.0.0.1/32"]; address == nil || address.failed != attemptsFree || address.until.IsZero() {
		t.Errorf("after three wrong ones there is %+v against the address, want a pause", address)
	}
	guessed.known["account ivo"].until = time.Now().Add(time.Minute) // one of a second may be over before the next is sent
	guessed.mu.Unlock()
	a := r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword})
	if a.StatusCode != 429 || a.Header.Get("Retry-After") == "" || len(a.Cookies()) > 0 {
		t.Errorf("the right one after three wrong ones: %d %v", a.StatusCode, a.Header)
	}
}

func TestPausesGrowByAccountAndByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttempts()
		guess := func(account, address string) time.Duration {
			_, wait := a.try(time.Now(), account, address)
			return wait
		}
		var pauses []time.Duration
		for range 12 {
			for {
				wait := guess("ivo", "192.0.2.1")
				if wait == 0 {
					break
				}
				pauses = append(pauses, wait)
				time.Sleep(wait)
			}
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256} {
			if pauses[i] != want*time.Second {
				t.Fatalf("pauses were %v", pauses)
			}
		}
		// Somebody else's account from there waits as long, and this one from elsewhere not
		// much longer than its own pause.
		if wait := guess("ann", "192.0.2.1"); wait < 5*time.Minute {
			t.Errorf("another account from there waits %v", wait)
		}
		if wait := guess("ivo", "192.0.2.2"); wait > accountPause {
			t.Errorf("the account waits %v from elsewhere", wait)
		}
		// Who has the password after all takes back that attempt, and what was guessed before
		// stands, but for this account there.
		time.Sleep(addressPause)
		by, wait := a.try(time.Now(), "ann", "192.0.2.1")
		if wait != 0 {
			t.Fatalf("after the pause another account waits %v", wait)
		}
		a.signedIn(time.Now(), "ann", "192.0.2.1", by)
		if wait := guess("ivo", "192.0.2.1"); wait != 0 {
			t.Errorf("after the pause the guesser waits %v", wait)
		}
		if wait := guess("ivo", "192.0.2.1"); wait < 5*time.Minute {
			t.Errorf("after another's sign-in from there, the guesser waits %v", wait)
		}
		if wait := guess("ann", "192.0.2.1"); wait != 0 {
			t.Errorf("who has signed in from there waits %v", wait)
		}
		for i := range 3 * maxAttemptors {
			guess(strings.Repeat("x", i%200)+string(rune('a'+i%26)), strings.Repeat("1", i%100)+string(rune('a'+i/100%26)))
		}
		if len(a.known) > maxAttemptors {
			t.Errorf("%d are remembered", len(a.known))
		}
	})
}

// Whoever has a local account's password sets another one: its sign-ins end everywhere, one
// begins here, and it is in the audit trail. Guessing the old one is held back as at the sign-in.
func TestAnAccountsOwnerChangesThePassword(t *testing.T) {
	r := withAccount(t, "operator")
	const next = "wrong battery of a horse"
	here := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
	elsewhere := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
	in := func(change map[string]string) map[string]string {
		f := map[string]string{"name": "ivo", "password": goodPassword, "new": next, "again": next}
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	if page := r.want(t, 200, "", "GET", changePath, nil); !strings.Contains(string(page.raw), `name="new"`) || strings.Contains(string(page.raw), `name="token"`) {
		t.Errorf("the page is %s", page.raw)
	}
	for name, s := range map[string]struct {
		status int
		change map[string]string
	}{"two new ones": {400, map[string]string{"again": "x"}}, "a short one": {400, map[string]string{"new": "x", "again": "x"}},
		"the same": {400, map[string]string{"new": goodPassword, "again": goodPassword}}, "none": {400, map[string]string{"new": "", "again": ""}},
		"another's": {401, map[string]string{"name": "eve"}}, "without the old one": {401, map[string]string{"password": next + "s"}}} {
		a := r.form(t, changePath, in(s.change), cookieOf(here))
		if a.StatusCode != s.status || len(a.Cookies()) > 0 || strings.Contains(string(a.raw), goodPassword) || strings.Contains(string(a.raw), next) {
			t.Errorf("%s: %d, want %d: %s", name, a.StatusCode, s.status, a.raw)
		}
	}
	if a := r.form(t, changePath, in(nil), header{"Sec-Fetch-Site": "cross-site"}, cookieOf(here)); a.StatusCode != 403 {
		t.Errorf("by a page of another site: %d", a.StatusCode)
	}
	r.want(t, 200, "", "GET", api.PathStatus, nil, cookieOf(here))

	a := r.form(t, changePath, in(map[string]string{"next": "/console/people"}), cookieOf(here))
	now := signedIn(t, a)
	if a.StatusCode != 303 || a.Header.Get("Location") != "/console/people" {
		t.Errorf("%d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	r.want(t, 200, "", "GET", api.PathStatus, nil, cookieOf(now))
	for name, c := range map[string]*http.Cookie{"the one here": here, "one elsewhere": elsewhere} {
		if a := r.call(t, "", "GET", api.PathStatus, nil, cookieOf(c)); a.StatusCode != 401 {
			t.Errorf("of before, %s is good still: %d", name, a.StatusCode)
		}
	}
	if a := r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}); a.StatusCode != 401 {
		t.Errorf("the password of before: %d", a.StatusCode)
	}
	r.want(t, 403, "", "GET", api.PathAccounts, nil, cookieOf(now)) // the role is that of before
	changed := 0
	r.node.mu.Lock()
	facts := slices.Clone(r.node.facts)
	r.node.mu.Unlock()
	for _, f := range facts {
		if x, ok := f.(license.AccountSet); ok && x.Own {
			if changed++; x.Name != "ivo" || x.By != "ivo" || x.Role != license.Operator {
				t.Errorf("journalled is %+v", x)
			}
		}
	}
	if changed != 1 {
		t.Errorf("%d changes are journalled, want one", changed)
	}
	if text := r.log.String(); strings.Contains(text, next) || !strings.Contains(text, "local account's password changed") {
		t.Errorf("the log is %s", text)
	}

	guessed := r.e.door.attempts
	guessed.mu.Lock()
	guessed.known["home ivo 127.0.0.1/32"] = &attempt{failed: attemptsFree, until: time.Now().Add(time.Minute), last: time.Now()}
	guessed.mu.Unlock()
	if a := r.form(t, changePath, map[string]string{"name": "ivo", "password": next, "new": goodPassword, "again": goodPassword}); a.StatusCode != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("after too many wrong ones: %d", a.StatusCode)
	}
}

// The one-time token makes the first account, once, and signs its owner in.
func TestTheFirstAccountIsMadeByATokenOnce(t *testing.T) {
	node := filled(t)
	node.onTime = true
	r := newAdminRig(t, node)
	token := NewFirstToken()
	if needed, mine, others := r.e.FirstAccount("n1", token); !needed || mine != 0 || others != 0 {
		t.Errorf("before there is a token: %t, %v, %v", needed, mine, others)
	}
	if until, err := r.e.OfferFirstAccount(t.Context(), "n1", token); err != nil || time.Until(until) < time.Hour {
		t.Fatalf("good until %v, %v", until, err)
	}
	if needed, mine, others := r.e.FirstAccount("n1", token); !needed || mine < time.Hour || others != 0 {
		t.Errorf("of the token: %t, %v, %v", needed, mine, others)
	}
	if needed, mine, others := r.e.FirstAccount("n2", ""); !needed || mine != 0 || others < time.Hour {
		t.Errorf("without it: %t, %v, %v", needed, mine, others)
	}
	in := func(change map[string]string) map[string]string {
		f := map[string]string{"token": token, "name": "ida", "password": goodPassword, "again": goodPassword}
		for k, v := range change {
			f[k] = v
		}
		return f
	}
	if page := r.want(t, 200, "", "GET", firstPath, nil); !strings.Contains(string(page.raw), `name="token"`) {
		t.Errorf("the page is %s", page.raw)
	}
	for name, s := range map[string]struct {
		status int
		change map[string]string
	}{"another token": {403, map[string]string{"token": newSecret(prefixFirst)}}, "two passwords": {400, map[string]string{"again": "x"}},
		"a short password": {400, map[string]string{"password": "x", "again": "x"}}, "a bad name": {400, map[string]string{"name": "I da"}}} {
		if a := r.form(t, firstPath, in(s.change)); a.StatusCode != s.status || len(a.Cookies()) > 0 {
			t.Errorf("%s: %d, want %d: %s", name, a.StatusCode, s.status, a.raw)
		}
	}
	c := signedIn(t, r.form(t, firstPath, in(nil)))
	r.want(t, 200, "", "GET", api.PathAccounts, nil, cookieOf(c))
	if a := r.form(t, firstPath, in(map[string]string{"name": "eve"})); a.StatusCode != 403 {
		t.Errorf("once more: %d %s", a.StatusCode, a.raw)
	}
	if until, err := r.e.OfferFirstAccount(t.Context(), "n1", NewFirstToken()); !until.IsZero() || err != nil {
		t.Errorf("with an account there is a token all the same: until %v, %v", until, err)
	}
	if needed, mine, others := r.e.FirstAccount("n1", token); needed || mine != 0 || others != 0 {
		t.Errorf("with an account: %t, %v, %v", needed, mine, others)
	}
	if strings.Contains(r.log.String(), token[4:30]) {
		t.Error("the token is in the log")
	}
}

// A sign-in that nobody uses ends, in a browser with the cookie in its jar.
func TestASignInThatIsNotUsedEnds(t *testing.T) {
	r := withAccount(t, "viewer")
	c := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
	digest, _ := secretDigest(prefixSignIn, c.Value)
	now := license.TimeOf(time.Now())
	r.node.View(func(s *license.State) {
		x, ok := license.CredentialOf(s, digest, now)
		if !ok || x.Good(x.Since.Add(license.SignInIdle)) || !x.Good(x.Since.Add(license.SignInIdle)-1) || x.Good(x.Until) {
			t.Errorf("%+v is good too long, or not long enough", x)
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	here := &url.URL{Scheme: "https", Host: "gw.example"}
	jar.SetCookies(here, []*http.Cookie{c})
	if len(jar.Cookies(here)) != 1 || len(jar.Cookies(&url.URL{Scheme: "http", Host: "gw.example"})) != 0 {
		t.Error("a browser sends the cookie without TLS, or not at all")
	}
}
