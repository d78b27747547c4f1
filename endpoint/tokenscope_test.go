package endpoint

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sitegate/api"
	"sitegate/license"
)

// scoped is the header of an API token with a role and scopes.
func (r *rig) scoped(t *testing.T, role string, scopes ...string) header {
	t.Helper()
	var made api.NewAPIToken
	in := api.APITokenRequest{Name: "jobs-" + strings.ToLower(newID()), Role: role, Scopes: scopes, ForMS: time.Hour.Milliseconds()}
	r.want(t, 201, "", "POST", api.PathAPITokens, in, r.asAdmin(t, "ida", "all")).into(t, &made)
	if !slices.Equal(made.Scopes, scopes) {
		t.Fatalf("made with %v, want %v", made.Scopes, scopes)
	}
	return bearerOf(made.Token)
}

// A token that was made with a scope opens the routes that are for it, as far as its role
// does, and no others; the document says which those are.
func TestAScopeOpensItsRoutesAndNoOthers(t *testing.T) {
	r := newAdminRig(t, filled(t))
	doc := openapiDocument(t)
	routes := map[string]int{}
	tokens := map[string]header{}
	for _, scope := range license.AnyScope.Names() {
		tokens[scope] = r.scoped(t, "admin", scope)
	}
	for _, rt := range r.e.table {
		if rt.who != byRole {
			continue
		}
		needed := rt.oneOf().Names()
		if len(needed) == 0 {
			t.Errorf("%s %s is for no scope", rt.method, rt.path)
		}
		documented := []string{}
		for _, way := range doc.Paths[rt.path][strings.ToLower(rt.method)].Security {
			list, _ := way["api_token"].([]any)
			for _, x := range list {
				documented = append(documented, x.(string))
			}
		}
		if !slices.Equal(documented, needed) {
			t.Errorf("%s %s takes tokens for %v by the document; want %v", rt.method, rt.path, documented, needed)
		}
		path := strings.ReplaceAll(rt.path, "{id}", "nobody")
		for scope, token := range tokens {
			opens := slices.Contains(needed, scope)
			if opens {
				routes[scope]++
			}
			if opens && (rt.long || rt.path == api.PathLeave) {
				continue // it would go on
			}
			a := r.call(t, "", rt.method, path, nil, token)
			if refused := a.StatusCode == 403 && strings.Contains(string(a.raw), "(needed: "+strings.Join(needed, " or ")+")"); refused == opens {
				t.Errorf("%s %s, which is for %v, by a token for %s: %d %s", rt.method, rt.path, needed, scope, a.StatusCode, a.raw)
			}
		}
	}
	for _, scope := range license.AnyScope.Names() {
		if routes[scope] == 0 && scope != "usage" {
			t.Errorf("nothing is for %s", scope)
		}
	}
}

// A scope narrows a role, and never widens it; what a token may not is refused with what it
// lacks, and it is listed by what it may.
func TestAScopeNarrowsARole(t *testing.T) {
	r := newAdminRig(t, filled(t))
	desk := r.scoped(t, "operator", "read", "machines")
	r.want(t, 200, "", "GET", api.PathBlocks, nil, desk)
	r.want(t, 204, "", "POST", "/v1/users/ada/block", api.ReleaseRequest{Note: "left"}, desk)
	p := r.want(t, 403, "", "POST", "/v1/licenses/l-1/move", api.MoveRequest{To: "ben"}, desk).problem(t)
	if p.Code != api.CodeForbidden || !strings.Contains(p.Detail, "licenses") || len(p.Next) == 0 {
		t.Errorf("refused with %+v; want the scope that is needed, and what to do", p)
	}
	looks := r.scoped(t, "viewer", "read", "machines")
	if p := r.want(t, 403, "", "POST", "/v1/users/ben/block", api.ReleaseRequest{Note: "left"}, looks).problem(t); !strings.Contains(p.Detail, "operator") {
		t.Errorf("refused with %+v; want the role that is needed", p)
	}
	var list api.List[api.APIToken]
	r.want(t, 200, "", "GET", api.PathAPITokens, nil, r.asAdmin(t, "ida", "all")).into(t, &list)
	if len(list.Items) != 2 || !slices.Equal(list.Items[0].Scopes, []string{"read", "machines"}) {
		t.Errorf("listed %+v", list.Items)
	}
	for _, scopes := range [][]string{{"all"}, {"read", "Read"}, {""}} {
		r.want(t, 400, "", "POST", api.PathAPITokens, api.APITokenRequest{Name: "x", Role: "viewer", Scopes: scopes, ForMS: time.Hour.Milliseconds()}, r.asAdmin(t, "ida", "all"))
	}
	// What is added to the API, and asked for by pages, is looked at the same.
	r.e.Administer("POST /v1/added", license.Operator, license.CheckoutsScope, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	r.want(t, 403, "", "POST", "/v1/added", nil, desk)
	r.want(t, 200, "", "POST", "/v1/added", nil, r.scoped(t, "operator", "checkouts"))
	r.want(t, 200, "", "POST", "/v1/added", nil, r.asAdmin(t, "ida", "desk"))
	for scopes, want := range map[license.TokenScopes]bool{0: true, license.ReadScope: false, license.CheckoutsScope: true, license.AnyScope: true} {
		err := (Administrator{Role: license.Admin, Scopes: scopes}).may(route{method: "POST", role: license.Operator, scopes: license.CheckoutsScope})
		if (err == nil) != want {
			t.Errorf("by a token for %v: %v", scopes.Names(), err)
		}
	}
	// The leader looks at it itself.
	who, err := r.e.Administers(t.Context(), strings.TrimPrefix(desk["Authorization"], "Bearer "))
	if err != nil || who.Scopes != license.ReadScope|license.MachinesScope {
		t.Errorf("to the leader it is %+v (%v)", who, err)
	}
}
