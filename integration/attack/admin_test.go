package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sitegate/api"
	"sitegate/integration"
)

// The site's own pages and cookie.
const (
	signIn     = "/console/sign-in"
	signInName = "__Host-sitegate"
)

// formTo is a form of a page of the site's own, or, with headers, of somebody else's.
func formTo(path string, fields url.Values, headers ...string) string {
	body := fields.Encode()
	return request("POST "+path+" HTTP/1.1", append([]string{"Content-Type: application/x-www-form-urlencoded", "Content-Length: " + strconv.Itoa(len(body))}, headers...)...) + body
}

// firstAdministrator makes a site's first account with the token in a node's data folder, and
// is the cookie of who is signed in by it.
func firstAdministrator(t *testing.T, s *integration.Site, n *integration.Node, name, password string) (cookie string) {
	t.Helper()
	file := filepath.Join(filepath.Dir(n.Config), "data", "first-account.token")
	var token string
	integration.Eventually(t, patience, "the one-time token is in its file", func() error {
		text, err := os.ReadFile(file)
		token = strings.TrimSpace(string(text))
		return err
	})
	if about, err := os.Stat(file); err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v; want it for one user only", about, err)
	}
	var a answer
	integration.Eventually(t, patience, "the token makes the first account", func() error {
		text, err := os.ReadFile(file) // the node may have made another
		if err != nil {
			return err
		}
		token = strings.TrimSpace(string(text))
		a = dial(t, s, n).send(formTo(signIn+"/first", url.Values{"token": {token}, "name": {name}, "password": {password}, "again": {password}})).answer()
		if a.status != http.StatusSeeOther {
			return fmt.Errorf("got %d %.300s", a.status, a.body)
		}
		return nil
	})
	if strings.Contains(n.Output(), token) {
		t.Error("the token is in the node's log")
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == signInName {
			return c.Value
		}
	}
	t.Fatalf("nobody is signed in: %v", a.header)
	return ""
}

// TestAdministratorsDoorsAreHeld: what looks like a sign-in or a token of a site, and is another
// site's, forged, cut, revoked, or shown where it does not belong, administers nothing; nor does
// what a page of another site sends with a true cookie, nor a role that a header claims.
func TestAdministratorsDoorsAreHeld(t *testing.T) {
	t.Parallel()
	const password = "correct horse battery"
	s := integration.NewSiteWithoutLinks(t, 1, users)
	elsewhere := integration.NewSiteWithoutLinks(t, 1, 3)
	n := s.Nodes[0]
	cookie := firstAdministrator(t, s, n, "ida", password)
	foreign := firstAdministrator(t, elsewhere, elsewhere.Nodes[0], "ida", password)
	cookies := func(value string) string { return "Cookie: " + signInName + "=" + value }
	status := func(headers ...string) answer {
		return dial(t, s, n).send(request("GET "+api.PathStatus+" HTTP/1.1", headers...)).answer()
	}
	if a := status(cookies(cookie)); a.status != http.StatusOK {
		t.Fatalf("an honest sign-in: %d %.300s", a.status, a.body)
	}
	made := func(name, role string) string {
		body := `{"name":"` + name + `","role":"` + role + `","for_ms":3600000}`
		a := dial(t, s, n).send(request("POST "+api.PathAPITokens+" HTTP/1.1", cookies(cookie), "Sec-Fetch-Site: same-origin", "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body))) + body).answer()
		var token api.NewAPIToken
		if err := json.Unmarshal([]byte(a.body), &token); err != nil || token.Token == "" {
			t.Fatalf("no token is made: %d %.300s", a.status, a.body)
		}
		return token.Token
	}
	viewer, revoked := made("viewer", "viewer"), made("revoked", "admin")
	if a := status("Authorization: Bearer " + viewer); a.status != http.StatusOK {
		t.Fatalf("an honest token: %d %.300s", a.status, a.body)
	}
	if a := dial(t, s, n).send(request("DELETE "+api.PathAPITokens+"/revoked HTTP/1.1", cookies(cookie), "Sec-Fetch-Site: same-origin")).answer(); a.status != http.StatusNoContent {
		t.Fatalf("revoking: %d %.300s", a.status, a.body)
	}

	t.Run("what-is-no-credential-here", func(t *testing.T) {
		for name, headers := range map[string][]string{
			"a cookie of another site":          {cookies(foreign)},
			"a cookie that was cut":             {cookies(cookie[:len(cookie)-1])},
			"a cookie of one other letter":      {cookies(otherLetter(cookie, 20))},
			"two cookies":                       {cookies(cookie + "; " + signInName + "=" + foreign)},
			"a cookie of another name":          {"Cookie: sitegate=" + cookie},
			"a cookie as a bearer's":            {"Authorization: Bearer " + cookie},
			"a token as a cookie":               {cookies(viewer)},
			"a token of one other letter":       {"Authorization: Bearer " + otherLetter(viewer, 20)},
			"a token twice":                     {"Authorization: Bearer " + viewer + viewer},
			"a token in another header":         {"X-API-Key: " + viewer, "X_Authorization: Bearer " + viewer},
			"a token as a password":             {"Authorization: Basic " + viewer},
			"a token that was revoked":          {"Authorization: Bearer " + revoked},
			"a name and a role in headers":      {"X-Forwarded-User: ida", "X-Remote-User: ida", "X-Roles: admin", "X-Sitegate-Role: admin"},
			"a user's access token":             {"Authorization: Bearer " + s.Token(t, s.Cloud.Users()[0].ID)},
			"a user's access token as a cookie": {cookies(s.Token(t, s.Cloud.Users()[0].ID))},
		} {
			a := status(headers...)
			if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
				t.Errorf("%s: got %d %.300s, want it refused", name, a.status, a.body)
			}
			a.discreet(t, cookie, foreign, viewer, revoked)
		}
	})
	block := func(headers ...string) answer {
		body := `{"by":"ida","note":"x"}`
		return dial(t, s, n).send(request("POST "+api.PathUsers+"/nobody/block HTTP/1.1", append(headers, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body)))...) + body).answer()
	}
	t.Run("a-page-of-another-site", func(t *testing.T) {
		fields := url.Values{"name": {"ida"}, "password": {password}}
		for _, from := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://attacker.example", "Origin: null"} {
			block(cookies(cookie), from).problem(t, http.StatusForbidden, api.CodeForbidden)
			for _, path := range []string{signIn, signIn + "/first", "/console/sign-out"} {
				if a := dial(t, s, n).send(formTo(path, fields, from, cookies(cookie))).answer(); a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
					t.Errorf("%s with %s: got %d, %q; want it refused", path, from, a.status, a.header.Get("Set-Cookie"))
				}
			}
		}
		if a := status(cookies(cookie)); a.status != http.StatusOK {
			t.Errorf("afterwards who was signed in is not: %d %.300s", a.status, a.body)
		}
	})
	t.Run("a-role-is-not-what-is-claimed", func(t *testing.T) {
		bearer := "Authorization: Bearer " + viewer
		block(bearer).problem(t, http.StatusForbidden, api.CodeForbidden)
		block(bearer, "X-Roles: admin", "X-HTTP-Method-Override: GET", "X-Original-URL: /v1/status").problem(t, http.StatusForbidden, api.CodeForbidden)
		for _, path := range []string{api.PathAPITokens, api.PathAccounts} {
			a := dial(t, s, n).send(post(path, viewer, `{"name":"eve","role":"admin","for_ms":3600000,"password":"`+password+`","by":"ida"}`)).answer()
			a.problem(t, http.StatusForbidden, api.CodeForbidden)
		}
	})
	t.Run("a-sign-in-of-the-issuers-begun-elsewhere", func(t *testing.T) {
		a := dial(t, s, n).send(request("GET " + signIn + "/back?code=stolen&state=forged HTTP/1.1")).answer()
		if a.status == http.StatusSeeOther || a.status == http.StatusOK || a.header.Get("Set-Cookie") != "" {
			t.Errorf("got %d, %q; want nobody signed in", a.status, a.header.Get("Set-Cookie"))
		}
	})
	t.Run("a-sign-in-that-is-over", func(t *testing.T) {
		if a := dial(t, s, n).send(formTo("/console/sign-out", nil, "Sec-Fetch-Site: same-origin", cookies(cookie))).answer(); a.status != http.StatusSeeOther {
			t.Errorf("signing out: %d %.300s", a.status, a.body)
		}
		integration.Eventually(t, patience, "a cookie that is replayed is refused", func() error {
			if a := status(cookies(cookie)); a.status != http.StatusUnauthorized {
				return fmt.Errorf("got %d", a.status)
			}
			return nil
		})
		if a := status("Authorization: Bearer " + viewer); a.status != http.StatusOK {
			t.Errorf("the token: %d", a.status)
		}
	})
	honest(t, s, n)
}

// otherLetter is s with another letter at a place than it has there.
func otherLetter(s string, at int) string {
	letter := "x"
	if s[at] == 'x' {
		letter = "y"
	}
	return s[:at] + letter + s[at+1:]
}
