package endpoint

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// told reads the stream of the site for as long as it goes on, a minute at most; begun is called
// once it has said hello.
func (r *rig) told(t *testing.T, as header, begun func()) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", r.URL+api.PathSiteEvents, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range as {
		req.Header.Set(k, v)
	}
	resp, err := r.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all strings.Builder
	for b := make([]byte, 4096); !strings.Contains(all.String(), "event: hello"); {
		n, err := resp.Body.Read(b)
		if all.Write(b[:n]); err != nil {
			t.Fatalf("%d, and the stream ended before hello: %v: %s", resp.StatusCode, err, all.String())
		}
	}
	begun()
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("the stream was not ended: %v: %s", err, rest)
	}
	return string(rest)
}

// Who may no longer look is told nothing more, whether something happens or not.
func TestWhoMayNoLongerLookIsToldNothing(t *testing.T) {
	for name, withdrawn := range map[string]func(t *testing.T, r *rig) (as header, withdraw func()){
		"a token that is revoked": func(t *testing.T, r *rig) (header, func()) {
			var made api.NewAPIToken
			in := api.APITokenRequest{Name: "monitor", Role: "viewer", ForMS: time.Hour.Milliseconds()}
			r.want(t, 201, "", "POST", api.PathAPITokens, in, r.asAdmin(t, "ida", "all")).into(t, &made)
			return bearerOf(made.Token), func() {
				r.want(t, 204, "", "DELETE", api.PathAPITokens+"/monitor", nil, r.asAdmin(t, "ida", "all"))
			}
		},
		"a sign-in that is over": func(t *testing.T, r *rig) (header, func()) {
			c := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
			return cookieOf(c), func() { r.form(t, signOutPath, nil, cookieOf(c)) }
		},
		"a local account that is removed": func(t *testing.T, r *rig) (header, func()) {
			c := signedIn(t, r.form(t, signInPath, map[string]string{"name": "ivo", "password": goodPassword}))
			return cookieOf(c), func() {
				r.want(t, 204, "", "DELETE", api.PathAccounts+"/ivo", nil, r.asAdmin(t, "ida", "all"))
			}
		},
		"a key that its issuer has withdrawn": func(t *testing.T, r *rig) (header, func()) {
			as := r.asAdmin(t, "ida", "looks")
			return as, func() {
				who, err := r.e.byBearer(t.Context(), strings.TrimPrefix(as["Authorization"], "Bearer "), func() error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				who.token.key.withdrawn.Store(true)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := withAccount(t, "viewer")
			as, withdraw := withdrawn(t, r)
			session := ""
			if rest := r.told(t, as, func() { withdraw(); session = r.begin(t, "ada", "road", ws101) }); strings.Contains(rest, session) {
				t.Errorf("it was told %s", rest)
			}
			r = withAccount(t, "viewer")
			r.e.comment = time.Millisecond
			as, withdraw = withdrawn(t, r)
			r.told(t, as, withdraw)
		})
	}
}

// Somebody who goes on for long is looked at as when they came.
func TestWhoWasLetInIsLookedAtAgain(t *testing.T) {
	r := withAccount(t, "viewer")
	in := func(as header) Administrator {
		t.Helper()
		who, err := r.e.byBearer(t.Context(), strings.TrimPrefix(as["Authorization"], "Bearer "), func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return who
	}
	by := map[string]Administrator{"the socket": {Role: license.Admin, Way: BySocket}, "a token": in(r.scoped(t, "viewer", "read")), "an issuer": in(r.asAdmin(t, "ida", "looks"))}
	for name, who := range by {
		if err := r.e.again(who, looks); err != nil {
			t.Errorf("by %s: %v", name, err)
		}
	}
	over := *by["an issuer"].token
	over.Expires = time.Now().Add(-tokenGrace)
	acts := in(r.scoped(t, "admin", "machines"))
	for name, who := range map[string]Administrator{"nobody": {Role: license.Admin}, "a token for another thing": acts, "one without a role": in(r.asAdmin(t, "ida", "none")),
		"one whose token is over": {Role: license.Admin, Way: ByOIDC, token: &over}, "a sign-in as a token": {Role: license.Admin, Way: ByAccount, secret: by["a token"].secret}} {
		if r.e.again(who, looks) == nil {
			t.Errorf("%s goes on", name)
		}
	}
	if left := (Administrator{token: &over}).left(time.Now()); left > 0 {
		t.Errorf("who has come by a token that is over has %v", left)
	}
}
