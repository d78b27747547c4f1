package endpoint

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sitegate/api"
	"sitegate/license"
)

const adminAudience = "site-gateway-administration"

// adminsOf lets the rig's issuer vouch for administrators, too.
func adminsOf(is *realIssuer, claim string) *AdminIssuer {
	return &AdminIssuer{Issuer: Issuer{URL: is.URL, Audience: adminAudience, Client: is.Client()}, Claim: claim,
		Roles: map[string]license.Authority{"looks": license.Viewer, "desk": license.Operator, "all": license.Admin}}
}

// newAdminRig is a rig whose issuer vouches for administrators.
func newAdminRig(t testing.TB, node *oneNode, change ...func(*Config)) *rig {
	t.Helper()
	is := newRealIssuer(t)
	r := newRig(t, node, append(change, func(c *Config) {
		c.Issuers = []Issuer{{URL: is.URL, Audience: "site-gateway", Client: is.Client()}}
		c.Administrators = adminsOf(is, "roles")
		c.Cluster = &fewNodes{}
	})...)
	r.issuer = is
	r.e.passwords = newPasswords(64, 1) // a test has no time
	return r
}

// asAdmin is the header of an administrator whose claims say roles.
func (r *rig) asAdmin(t testing.TB, name string, roles any, change ...func(*claims, *jose.SignerOptions, *jose.SigningKey)) header {
	t.Helper()
	change = append([]func(*claims, *jose.SignerOptions, *jose.SigningKey){func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
		c.Audience, c.Roles = adminAudience, roles
	}}, change...)
	return header{"Authorization": "Bearer " + r.issuer.token(t, name, change...)}
}

// A role opens the routes that need it or one below it, and no others.
func TestARoleOpensItsRoutesAndNoOthers(t *testing.T) {
	r := newAdminRig(t, filled(t))
	routes := map[license.Authority]int{}
	for _, rt := range r.e.table {
		if rt.who != byRole {
			continue
		}
		routes[rt.role]++
		path := strings.ReplaceAll(rt.path, "{id}", "nobody")
		for value, has := range map[string]license.Authority{"none": 0, "looks": license.Viewer, "desk": license.Operator, "all": license.Admin} {
			if has == license.Admin && rt.path == api.PathLeave {
				continue
			}
			if rt.long && has >= rt.role {
				continue // it would go on; TestSiteEvents is let in
			}
			a := r.call(t, "", rt.method, path, nil, r.asAdmin(t, "ida", value))
			if refused := a.StatusCode == 401 || strings.Contains(string(a.raw), `"code":"forbidden"`); refused != (has < rt.role) {
				t.Errorf("%s %s, which needs %s, as %q: %d %s", rt.method, rt.path, rt.role, has, a.StatusCode, a.raw)
			}
		}
		if a := r.want(t, 401, "", rt.method, path, nil); a.problem(t).Code != api.CodeUnauthorized || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s %s without a token: %s", rt.method, rt.path, a.raw)
		}
	}
	for _, role := range []license.Authority{license.Viewer, license.Operator, license.Admin} {
		if routes[role] < 5 {
			t.Errorf("%d routes need %s", routes[role], role)
		}
	}
}

// What is not an administrator's token opens nothing.
func TestOnlyAdministratorsTokensAdminister(t *testing.T) {
	r := newAdminRig(t, filled(t))
	other := newRealIssuer(t)
	for name, s := range map[string]struct {
		status int
		h      header
	}{
		"a desktop's":                   {403, header{"Authorization": "Bearer " + r.issuer.token(t, "ada")}},
		"a desktop's that claims roles": {403, r.asAdmin(t, "ada", "all", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = "site-gateway" })},
		"without a role":                {403, r.asAdmin(t, "ida", nil)},
		"of roles that are numbers":     {403, r.asAdmin(t, "ida", []any{1, true, nil})},
		"of roles in a map":             {403, r.asAdmin(t, "ida", map[string]any{"all": true})},
		"of a role spelt otherwise":     {403, r.asAdmin(t, "ida", "ALL")},
		"for a third party":             {401, r.asAdmin(t, "ida", "all", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Audience = "mail" })},
		"expired": {401, r.asAdmin(t, "ida", "all", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Expiry = jwt.NewNumericDate(time.Now().Add(-time.Hour))
		})},
		"of another issuer": {401, r.asAdmin(t, "ida", "all", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Issuer = other.URL })},
		"signed by another issuer": {401, r.asAdmin(t, "ida", "all", func(_ *claims, _ *jose.SignerOptions, k *jose.SigningKey) {
			k.Key = other.keys[0]
		})},
		"basic": {401, header{"Authorization": "Basic aWRhOmlkYQ=="}},
	} {
		a := r.call(t, "", "GET", api.PathStatus, nil, s.h)
		if a.StatusCode != s.status {
			t.Errorf("%s: %d, want %d: %s", name, a.StatusCode, s.status, a.raw)
		}
	}
	// And an administrator's is none of a desktop's.
	if a := r.call(t, "", "GET", api.PathMe, nil, r.asAdmin(t, "ada", "all")); a.StatusCode != 401 {
		t.Errorf("an administrator's token as a desktop's: %d %s", a.StatusCode, a.raw)
	}
}

func TestRolesAreFoundWhereTheIssuerPutsThem(t *testing.T) {
	all := map[string]any{"roles": []any{"a", "b", 7}, "one": "a", "realm_access": map[string]any{"roles": []any{"c"}, "x": map[string]any{"y": "d"}},
		"https://site.example/roles": []any{"e"}}
	for name, want := range map[string]string{"roles": "a b", "one": "a", "realm_access.roles": "c", "realm_access.x.y": "d", "https://site.example/roles": "e",
		"none": "", "roles.a": "", "realm_access": "", "realm_access.": "", ".": "", "realm_access.x.y.z": ""} {
		if got := strings.Join(textsOf(all, name), " "); got != want {
			t.Errorf("under %q: got %q, want %q", name, got, want)
		}
	}
}

// What is recorded of an act is who was authenticated.
func TestByIsWhoWasAuthenticated(t *testing.T) {
	r := newAdminRig(t, filled(t))
	r.want(t, 204, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{By: "somebody-else", Note: "left"}, r.asAdmin(t, "ida", []string{"x", "desk"}))
	r.want(t, 204, "", "POST", "/v1/users/ben/block", api.ReleaseRequest{Note: "left"}, r.asAdmin(t, "ivo", "desk", func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) { c.Verified = false }))
	var list api.List[api.Block]
	r.want(t, 200, "", "GET", api.PathBlocks, nil, r.asAdmin(t, "ida", "looks")).into(t, &list)
	if len(list.Items) != 2 || list.Items[0].By != "ida@example.org" || list.Items[1].By != "ivo" {
		t.Errorf("got %+v, want them by ida@example.org and, whose address nobody vouches for, ivo", list.Items)
	}
	if log := r.log.String(); !strings.Contains(log, `"administrator":"ida@example.org"`) || strings.Contains(log, "somebody-else") {
		t.Errorf("the log does not say who it was: %s", log)
	}

	op := httptest.NewUnstartedServer(r.e.Operator())
	op.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return WithSocketUser(ctx, "root") }
	op.Start()
	defer op.Close()
	for by, want := range map[string]string{"": "root", "root": "root", "ida": "ida (root)"} {
		resp, err := http.Post(op.URL+"/v1/users/ada/unblock", "application/json", strings.NewReader(`{"note":""}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		resp, err = http.Post(op.URL+"/v1/users/ada/block", "application/json", strings.NewReader(`{"by":"`+by+`","note":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		r.want(t, 200, "", "GET", api.PathBlocks, nil, r.asAdmin(t, "ida", "looks")).into(t, &list)
		if resp.StatusCode != 204 || list.Items[0].By != want {
			t.Errorf("by %q on the socket: %d, recorded %q, want %q", by, resp.StatusCode, list.Items[0].By, want)
		}
	}
}

// What is no line of the API's table is behind the same door.
func TestWhatIsAddedIsForItsRole(t *testing.T) {
	is := newRealIssuer(t)
	r := newRig(t, filled(t), func(c *Config) { c.Administrators = adminsOf(is, "realm_access.roles") })
	r.issuer = is
	r.e.Administer("POST /v1/added", license.Operator, license.MachinesScope, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a := AdministratorOf(req.Context())
		w.Write([]byte(a.By("me") + " " + a.Role.String()))
	}))
	in := func(role string) header {
		return r.asAdmin(t, "ida", nil, func(c *claims, _ *jose.SignerOptions, _ *jose.SigningKey) {
			c.Realm = map[string]any{"roles": []string{role}}
		})
	}
	r.want(t, 401, "", "POST", "/v1/added", nil)
	r.want(t, 403, "", "POST", "/v1/added", nil, in("looks"))
	if a := r.want(t, 200, "", "POST", "/v1/added", nil, in("desk")); string(a.raw) != "ida@example.org operator" {
		t.Errorf("got %s", a.raw)
	}
}
