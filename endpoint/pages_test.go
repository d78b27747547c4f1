package endpoint

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/license"
)

// Whoever is turned away in the middle of something gets a page, which has what they have
// typed; programs get a problem document, and who only looks is led to sign in.
func TestWhoIsTurnedAwayIsGivenToThePages(t *testing.T) {
	r := withAccount(t, "operator")
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p := RefusalOf(req.Context())
		if p != nil {
			w.WriteHeader(p.Status)
		}
		fmt.Fprintf(w, "%s %d %s", cmp.Or(AdministratorOf(req.Context()).Name, "nobody"), status(p), req.PostFormValue("reason"))
	})
	r.e.Pages("GET /console/", license.Viewer, h)
	r.e.Pages("POST /console/", license.Operator, h)
	r.e.Public("GET /console/static/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body{}") }))
	if a := r.call(t, "", "GET", "/console/static/console.css", nil, header{"Accept": "text/css,*/*"}); a.StatusCode != 200 || string(a.raw) != "body{}" {
		t.Errorf("the style of what they get: %d %s", a.StatusCode, a.raw)
	}
	browser := header{"Accept": "text/html,*/*", "Content-Type": "application/x-www-form-urlencoded"}
	page := func(want string, status int, method string, headers ...header) {
		t.Helper()
		a := r.call(t, "", method, "/console/users/ada/block", "reason=typed", append([]header{browser}, headers...)...)
		if a.StatusCode != status || string(a.raw) != want {
			t.Errorf("%s: %d %s; want %d %s", method, a.StatusCode, a.raw, status, want)
		}
	}
	page("nobody 401 typed", 401, "POST")
	page("nobody 401 typed", 401, "POST", header{"Cookie": signInCookie + "=" + newSecret(prefixSignIn)})
	in := cookieOf(signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword})))
	page("ivo (local account) 200 typed", 200, "POST", in)
	page("ida@example.org 403 typed", 403, "POST", r.asAdmin(t, "ida", "looks"))
	page("ida@example.org 200 ", 200, "GET", r.asAdmin(t, "ida", "looks"))
	if a := r.call(t, "", "POST", "/console/users/ada/block", "reason=x", header{"Content-Type": "application/x-www-form-urlencoded"}); a.StatusCode != 401 || a.problem(t).Code != api.CodeUnauthorized {
		t.Errorf("a program: %d %s", a.StatusCode, a.raw)
	}
	r.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := r.call(t, "", "GET", "/console/users", nil, header{"Accept": "text/html"}); a.StatusCode != 303 || !strings.HasPrefix(a.Header.Get("Location"), signInPath) {
		t.Errorf("who looks: %d %s", a.StatusCode, a.raw)
	}
	r.e.limits = newLimits[string](Rate{PerSecond: 0.001, Burst: 1})
	page("ivo (local account) 200 typed", 200, "POST", in)
	page("ivo (local account) 429 typed", 429, "POST", in)
}

// Who is signed in gets the style of the pages, and their script, whatever strangers in their
// network do; strangers are told to come back.
func TestTheStyleOfThePagesIsThereForWhoIsSignedIn(t *testing.T) {
	r := withAccount(t, "operator")
	r.e.Public("GET /console/static/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "body{}") }))
	in := cookieOf(signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword})))
	r.e.strays = newStrangers(Rate{PerSecond: 0.001, Burst: 3}, anyPace)
	const style = "/console/static/console.css"
	for range 2 { // what it costs who is signed in: nothing
		r.want(t, 200, "", "GET", style, nil, in)
	}
	for range 3 {
		r.want(t, 200, "", "GET", style, nil, nil)
	}
	r.want(t, 429, "", "GET", style, nil, nil)
	r.want(t, 429, "", "GET", style, nil, header{"Cookie": signInCookie + "=" + newSecret(prefixSignIn)})
	r.want(t, 200, "", "GET", style, nil, in)
}

// Of a long form that somebody sends who is not signed in more is read while few others do so.
func TestALongFormOfWhoIsTurnedAway(t *testing.T) {
	r := withAccount(t, "operator")
	r.e.Pages("POST /console/", license.Operator, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(RefusalOf(req.Context()).Status)
		n, err := io.Copy(io.Discard, req.Body)
		fmt.Fprint(w, n, err != nil)
	}))
	send := func(size int, want string) {
		t.Helper()
		if a := r.call(t, "", "POST", "/console/checkouts/bulk", strings.Repeat("x", size), header{"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}); string(a.raw) != want {
			t.Errorf("of %d bytes: %s, want %s", size, a.raw, want)
		}
	}
	send(1<<20, "1048576 false")
	send(3<<20, "2097152 true")
	for range cap(r.e.longTyped) {
		r.e.longTyped <- struct{}{}
	}
	send(200<<10, "204800 false")
	send(1<<20, "262144 true")
	<-r.e.longTyped
	for range 2 { // a place is given back
		send(1<<20, "1048576 false")
	}
}

// A person who asks for a page at a path that no page can have is told so by the pages, with
// nothing of the path in the request; a program gets a problem.
func TestAPathThatNoPageHas(t *testing.T) {
	r := withAccount(t, "operator")
	r.e.Pages("GET /console/", license.Viewer, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprint(w, req.URL.EscapedPath())
	}))
	in := cookieOf(signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword})))
	browser := header{"Accept": "text/html,*/*"}
	for _, path := range []string{"/console/licenses/%2e%2e%2f", "/console/licenses/a%2Fb", "/console//users", "/console/../v1/me", "/console/%2e%2e/v1/me"} {
		if a := r.call(t, "", "GET", path, nil, browser, in); a.StatusCode != 200 || string(a.raw) != "/console/-" {
			t.Errorf("%s: %d %s; want the page of /console/-", path, a.StatusCode, a.raw)
		}
		if a := r.call(t, "", "GET", path, nil, in); a.StatusCode != 404 || a.problem(t).Code != api.CodeNotFound {
			t.Errorf("%s, asked for by a program: %d %s", path, a.StatusCode, a.raw)
		}
		if a := r.call(t, "", "GET", path, nil, browser, in, header{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}); a.StatusCode == 200 && string(a.raw) != "/console/-" {
			t.Errorf("%s, from another site's page: %d %s", path, a.StatusCode, a.raw)
		}
	}
	if a := r.call(t, "", "GET", "/v1/%2e%2e/console/", nil, browser, in); a.StatusCode != 404 {
		t.Errorf("a path of the API: %d", a.StatusCode)
	}
}

func status(p *api.Problem) int {
	if p == nil {
		return http.StatusOK
	}
	return p.Status
}

// What a page asks for by itself is no use of a sign-in, which ends though it is open.
func TestAPageThatIsOnlyOpenKeepsNobodySignedIn(t *testing.T) {
	r := withAccount(t, "viewer")
	r.e.Pages("GET /console/", license.Viewer, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r.e.Pages("POST /console/", license.Viewer, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	in := cookieOf(signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword})))
	r.stop() // what is to be noted stays where it is
	r.want(t, 200, "", "GET", "/console/users", nil, in, header{api.HeaderUnattended: "1"})
	r.want(t, 200, "", "GET", livePath, nil, in)
	if n := len(r.e.uses); n != 0 {
		t.Errorf("%d uses are noted of a page that is open", n)
	}
	r.want(t, 200, "", "GET", "/console/users", nil, in)
	if n := len(r.e.uses); n != 1 {
		t.Errorf("%d uses are noted of somebody who looks; want 1", n)
	}
	r.want(t, 200, "", "POST", "/console/users", nil, in, header{api.HeaderUnattended: "1"})
	if n := len(r.e.uses); n != 2 {
		t.Errorf("%d uses are noted with what somebody does; want 2", n)
	}
}
